"""The output of a model: the layer that computes it, its activation, and the losses that fit."""

from __future__ import annotations

import contextlib
import inspect
from typing import Any

import keras
from keras import layers

from deepkit.utils.errors import message

PROBABILITY_ACTIVATIONS = (
    "softmax", "sigmoid", "log_softmax", "log_sigmoid", "Softmax", "Sigmoid", "LogSoftmax", "LogSigmoid",
)  # fmt: skip
_TRANSPARENT = (layers.Dropout, layers.Flatten, layers.Identity, layers.Reshape)  # keep every value in inference
_LINEAR_LAYERS = (
    layers.Conv1D, layers.Conv2D, layers.Conv3D,
    layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose,
    layers.EinsumDense, layers.Dense,
)  # fmt: skip
_ACTIVATION_NAMES = {name.replace("_", "") for name in dir(keras.activations)} | {"prelu"}


def output_activation(output: keras.KerasTensor) -> tuple[Any, str | None]:
    """Return the layer that computes an output, and the name of its activation.

    The search enters nested models, and skips layers that change no value in inference: dropout, reshaping, a linear
    activation.

    Args:
        output: A symbolic output of a layer.

    Returns:
        The layer, and `"linear"`, `"relu"`, `"Softmax"` and so on; None if the layer has no activation.
    """
    while True:
        layer, node, index = output._keras_history  # type: ignore[attr-defined]
        inner: list[keras.KerasTensor] = []  # the outputs of a nested model
        if isinstance(layer, keras.Model):
            inner = keras.tree.flatten(getattr(layer, "outputs", None) or [])
        activation = _activation(layer)
        is_linear = isinstance(layer, layers.Activation) and activation == "linear"
        if not inner and not is_linear and not isinstance(layer, _TRANSPARENT):
            return layer, activation
        output = inner[index] if inner else layer._inbound_nodes[node].input_tensors[0]


def outputs_logits(model: keras.Model) -> bool | None:
    """Return whether a model outputs logits rather than probabilities; None if this is unknown."""
    outputs = keras.tree.flatten(getattr(model, "outputs", None) or [])
    if len(outputs) == 1:
        activation = output_activation(outputs[0])[1]
        if activation in PROBABILITY_ACTIVATIONS:
            return activation.lower().startswith("log")  # the softmax of log-probabilities is the probabilities
        if activation == "linear":
            return True
    from_logits = getattr(getattr(model, "loss", None), "from_logits", None)
    return from_logits if isinstance(from_logits, bool) else None


def check_loss(loss: object, output: keras.KerasTensor, argument: str = "loss", alternative: str = "") -> None:
    """Raise if a loss that expects probabilities is used with a linear output, or a hinge loss with probabilities.

    Keras would clip the logits to [0, 1], and a clipped logit has no gradient. A hinge loss compares scores of any
    sign: differences of probabilities are at most 1, so that no example reaches the margin.

    Args:
        loss: A Keras loss, its name or a function; any other value is accepted.
        output: The model's symbolic output.
        argument: Name of the loss argument, for the message.
        alternative: Another fix, which the hint names first.

    Raises:
        ValueError: The output is linear, and the loss expects probabilities; or the loss is a hinge loss, and the
            output holds probabilities.
    """
    _check_hinge(loss, output, argument)
    name = probability_loss_name(loss)
    if name is None:
        return
    layer, activation = output_activation(output)
    if activation == "linear" and isinstance(layer, _LINEAR_LAYERS):
        raise ValueError(logits_message(name, argument, f"the output layer {layer.name!r} is linear", alternative))


def _check_hinge(loss: object, output: keras.KerasTensor, argument: str) -> None:
    name = hinge_loss_name(loss)
    if name is None:
        return
    layer, activation = output_activation(output)
    if activation in PROBABILITY_ACTIVATIONS:
        raise ValueError(
            message(
                f"{argument}: {name} compares scores of any sign, but the output layer {layer.name!r} ends in "
                f"{activation} (probabilities)",
                hint="use activation=None in the output layer, or a cross-entropy",
            )
        )


def hinge_loss_name(loss: Any) -> str | None:
    """Return the name of a hinge loss of Keras or deepkit; None for every other loss."""
    with contextlib.suppress(ValueError, TypeError):
        loss = keras.losses.get(loss)
    kind = loss if inspect.isfunction(loss) else type(loss)
    is_stock = kind.__module__.split(".")[0] in ("keras", "deepkit")
    return kind.__name__ if is_stock and "hinge" in kind.__name__.lower() else None


def logits_message(name: str, argument: str, reason: str, alternative: str = "") -> str:
    """Return the message for a loss that expects probabilities and receives logits."""
    public_name = f"keras.losses.{name}" if hasattr(keras.losses, name) else name
    return message(
        f"{argument}: {name} expects probabilities (from_logits=False), but {reason} (logits)",
        hint=f"use {alternative}{public_name}(from_logits=True)",
    )


def probability_loss_name(loss: Any) -> str | None:
    """Return the class name of a loss with from_logits=False; None for every other loss."""
    with contextlib.suppress(ValueError, TypeError):
        loss = keras.losses.get(loss)
    if isinstance(loss, keras.losses.Loss):
        return type(loss).__name__ if getattr(loss, "from_logits", None) is False else None
    parameter = inspect.signature(loss).parameters.get("from_logits") if inspect.isfunction(loss) else None
    if parameter is None or parameter.default is not False:
        return None
    return "".join(word.capitalize() for word in loss.__name__.split("_"))


def is_activation(layer: object) -> bool:
    """Return whether a layer or another operation of a graph only applies an activation: `Activation`, `ReLU`."""
    return isinstance(layer, layers.Activation) or type(layer).__name__.lower() in _ACTIVATION_NAMES


def _activation(layer: Any) -> str | None:
    """Return the name of a layer's activation, or of an activation layer such as `ReLU`; None for any other layer."""
    activation = getattr(layer, "activation", None)
    if activation is not None:
        return getattr(activation, "__name__", type(activation).__name__)
    return type(layer).__name__ if is_activation(layer) else None
