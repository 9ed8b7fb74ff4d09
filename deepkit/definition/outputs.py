"""What a model ends in: the layer that its outputs come from, what that layer does to them, and the loss that fits."""

from __future__ import annotations

import contextlib
import inspect
from typing import Any

import keras
from keras import layers

_PASSING = (layers.Dropout, layers.Flatten, layers.Identity, layers.Reshape)
_ALONE = {name.replace("_", "") for name in dir(keras.activations)} | {"prelu"}  # layers and operations, in lower case
PROBABILITY_ACTIVATIONS = (
    "softmax",
    "sigmoid",
    "log_softmax",
    "log_sigmoid",
    "Softmax",
    "Sigmoid",
    "LogSoftmax",
    "LogSigmoid",
)

_KINDS = ("Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "EinsumDense", "Dense")
_AFFINE = tuple(getattr(layers, kind) for kind in _KINDS)


def ending(output: keras.KerasTensor) -> tuple[Any, str | None]:
    """Return the layer that an output's numbers come from, and the name of its activation.

    Models in the model are looked into, and layers passed by that change no number when the model is used:
    dropout, another shape, a linear activation.

    Args:
        output: What a layer gave for symbolic inputs.

    Returns:
        The layer, and `"linear"`, `"relu"`, `"Softmax"` and so on; None where a layer does not say.
    """
    while True:
        layer, node, index = output._keras_history
        inner = keras.tree.flatten(getattr(layer, "outputs", None) or []) if isinstance(layer, keras.Model) else []
        activation = _activation(layer)
        passes = isinstance(layer, _PASSING) or (isinstance(layer, layers.Activation) and activation == "linear")
        if not inner and not passes:
            return layer, activation
        output = inner[index] if inner else layer._inbound_nodes[node].input_tensors[0]


def gives_logits(model: keras.Model) -> bool | None:
    """Tell whether a model's output is logits rather than probabilities; None where neither layer nor loss says it."""
    outputs = keras.tree.flatten(getattr(model, "outputs", None) or [])
    if len(outputs) == 1:
        name = ending(outputs[0])[1]
        if name in PROBABILITY_ACTIVATIONS:
            return name.lower().startswith("log")  # a softmax of logarithms of probabilities gives them back
        if name == "linear":
            return True
    said = getattr(getattr(model, "loss", None), "from_logits", None)
    return said if isinstance(said, bool) else None


def check_loss(loss: Any, output: keras.KerasTensor, argument: str = "loss", instead: str = "") -> None:
    """Raise where a loss of probabilities is given to an output that is a linear layer's.

    Keras clips the logits between 0 and 1 there, and those outside have no gradient.

    Args:
        loss: A Keras loss, its name, a function, or anything else, which passes.
        output: Of the model that is to learn it.
        argument: Where the loss was given, for the message.
        instead: What could be done rather than to say `from_logits=True`.
    """
    name = loss_of_probabilities(loss)
    last, activation = ending(output) if name else (None, None)
    if activation == "linear" and isinstance(last, _AFFINE):
        raise ValueError(logits_for(name, argument, f"{last.name} is linear", instead))


def logits_for(name: str | None, argument: str, why: str, instead: str = "") -> str:
    """Return what to say of a loss of probabilities where there are logits."""
    public = f"keras.losses.{name}" if hasattr(keras.losses, str(name)) else name
    return (
        f"{argument}: {name} is of probabilities unless it says from_logits=True, and the model gives logits: {why}\n"
        f"  hint: {instead}{public}(from_logits=True)"
    )


def loss_of_probabilities(loss: Any) -> str | None:
    """Return the class name of a loss that could be computed from logits and is not; None for every other loss."""
    with contextlib.suppress(ValueError, TypeError):
        loss = keras.losses.get(loss)
    if isinstance(loss, keras.losses.Loss):
        return type(loss).__name__ if getattr(loss, "from_logits", None) is False else None
    said = inspect.signature(loss).parameters.get("from_logits") if inspect.isfunction(loss) else None
    if said is None or said.default is not False:
        return None
    return "".join(part.capitalize() for part in loss.__name__.split("_"))


def _activation(layer: Any) -> str | None:
    squash = getattr(layer, "activation", None)
    if squash is not None:
        return getattr(squash, "__name__", type(squash).__name__)
    name = type(layer).__name__
    return name if name.lower() in _ALONE else None
