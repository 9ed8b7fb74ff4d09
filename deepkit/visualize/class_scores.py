"""The score of a class: the value before the softmax or sigmoid, for models with logits and with probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import ops

from deepkit.definition.outputs import PROBABILITY_ACTIVATIONS
from deepkit.utils.errors import format_value
from deepkit.utils.validation import is_integer
from deepkit.visualize.layer_calls import RecordedCall

if TYPE_CHECKING:
    from deepkit.utils.types import Nested, Tensor

_MIN_PROBABILITY = 1e-30

GRADIENT_SCALE = 1024.0  # factor on a score before its gradient, so that small gradients do not vanish in float16


def class_scores(output: Nested, calls: Sequence[RecordedCall], caller: str) -> Tensor:
    """Return the scores (batch, classes) before any softmax or sigmoid at the end of the model.

    Args:
        output: The output of the model.
        calls: The calls of all layers of the model, in order.
        caller: Name of the public function, for error messages.

    Raises:
        ValueError: The model has several outputs, or its output is not of shape (batch, classes).
    """
    tensors = keras.tree.flatten(output)
    if len(tensors) != 1 or len(tensors[0].shape) != 2:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
        raise ValueError(
            f"{caller}: expected a model with one output (batch, classes), received outputs of shape {shapes}"
        )
    activated: Tensor = tensors[0]
    scores = _before_activation(activated, calls)
    if scores is activated and _are_probabilities(activated):  # no layer computes the scores
        scores = ops.log(ops.maximum(activated, _MIN_PROBABILITY))
    return ops.cast(scores, "float32")


def sum_of_class_scores(scores: Tensor, class_index: int | list[int] | None, caller: str) -> tuple[Tensor, list[int]]:
    """Return the sum over the batch of each example's score of one class, and the classes.

    In a model with a single score, that is the score of class 1, and minus it is the score of class 0.

    Args:
        scores: The scores (batch, classes).
        class_index: One class for all examples, a list with a class per example, or None for the predicted classes.
        caller: Name of the public function, for error messages.

    Raises:
        ValueError: A class is out of range.
    """
    if scores.shape[-1] == 1:
        scores = ops.concatenate([-scores, scores], axis=-1)
    num_examples, num_classes = scores.shape
    if class_index is None:
        classes = list(np.asarray(ops.argmax(scores, axis=-1)))
    elif isinstance(class_index, list):
        classes = class_index
    else:
        classes = [class_index] * num_examples
    invalid = [index for index in classes if not is_integer(index) or not 0 <= index < num_classes]
    if invalid or len(classes) != num_examples:
        per_image = f" for each of {num_examples} images" if isinstance(class_index, list) else ""
        received = format_value(class_index)
        raise ValueError(f"{caller}: expected class_index in [0, {num_classes}){per_image}, received {received}")
    return ops.sum(scores * ops.one_hot(classes, num_classes)), [int(index) for index in classes]


def _before_activation(output: Nested, calls: Sequence[RecordedCall]) -> Nested:
    """Return the input of the last softmax or sigmoid, or the output itself if no layer computes one."""
    for call in reversed(calls):
        if call.output is not output or call.inputs is output:
            continue
        name, is_activation_layer = _activation_name(call.layer), isinstance(call.layer, keras.layers.Activation)
        if name in PROBABILITY_ACTIVATIONS:
            is_separate = is_activation_layer or getattr(call.layer, "activation", None) is None  # also Softmax
            return call.inputs if is_separate else _without_activation(call)
        if name == "linear" and is_activation_layer:  # changes at most the dtype
            return _before_activation(call.inputs, calls)
    return output


def _activation_name(layer: keras.Operation) -> str:
    """Return the name of a layer's activation, or of the layer itself if it does not have one."""
    function = getattr(layer, "activation", None) or layer
    return getattr(function, "__name__", type(function).__name__)


def _without_activation(call: RecordedCall) -> Tensor:
    """Return the output of the layer for the same inputs without its activation."""
    activation = getattr(call.layer, "activation", None)
    object.__setattr__(call.layer, "activation", keras.activations.linear)  # bypasses Keras's attribute tracking
    try:
        return call.layer(call.inputs)
    finally:
        object.__setattr__(call.layer, "activation", activation)


def _are_probabilities(outputs: Tensor) -> bool:
    values = np.asarray(ops.cast(outputs, "float32"))
    if values.shape[-1] == 1 or values.min() < 0:
        return False
    return bool(np.allclose(values.sum(-1), 1, atol=1e-2))
