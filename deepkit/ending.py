"""What a model ends in: the layer that its outputs come from, and what that layer does to them."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

_PASSING = (layers.Dropout, layers.Flatten, layers.Identity, layers.Reshape)
_ALONE = {name.replace("_", "") for name in dir(keras.activations)} | {"prelu"}  # layers and operations, in lower case
SQUASHES = ("softmax", "sigmoid", "log_softmax", "log_sigmoid", "Softmax", "Sigmoid", "LogSoftmax", "LogSigmoid")


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
        if name in SQUASHES:
            return name.lower().startswith("log")  # a softmax of logarithms of probabilities gives them back
        if name == "linear":
            return True
    said = getattr(getattr(model, "loss", None), "from_logits", None)
    return said if isinstance(said, bool) else None


def _activation(layer: Any) -> str | None:
    squash = getattr(layer, "activation", None)
    if squash is not None:
        return getattr(squash, "__name__", type(squash).__name__)
    name = type(layer).__name__
    return name if name.lower() in _ALONE else None
