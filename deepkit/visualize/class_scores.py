"""The score of a class: what comes before the softmax, whether the model gives logits or probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from deepkit.definition.outputs import PROBABILITY_ACTIVATIONS
from deepkit.visualize.capture import Call

_LEAST = 1e-30

SCALE = 1024.0  # of what gradients are taken of, so that small ones do not vanish where numbers have 16 bits


def class_scores(output: Any, calls: Sequence[Call], who: str) -> Any:
    """Return one row of scores an example, before any softmax or sigmoid at the end of the model.

    Args:
        output: What the model returned.
        calls: Of its layers, all of them, in order.
        who: The function that asks, for errors.

    Raises:
        ValueError: The output is no row of scores an example.
    """
    tensors = keras.tree.flatten(output)
    if len(tensors) != 1 or len(tensors[0].shape) != 2:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
        raise ValueError(
            f"{who}: expected a model with one output (batch, classes), received outputs of shape {shapes}"
        )
    squashed = tensors[0]
    scores = _before(squashed, calls)
    if scores is squashed and _are_probabilities(squashed):  # no layer says how they came to be
        scores = ops.log(ops.maximum(squashed, _LEAST))
    return ops.cast(scores, "float32")


def chosen(scores: Any, class_index: int | list[int] | None, who: str) -> tuple[Any, list[int]]:
    """Return the sum of each example's score of a class, and the classes: one for all, one each, or those predicted.

    A model with one output says yes or no: class 1 has its score, class 0 has minus its score.

    Raises:
        ValueError: There is no such class.
    """
    count = scores.shape[-1]
    both = ops.concatenate([-scores, scores], axis=-1) if count == 1 else scores
    if class_index is None:
        classes = list(np.asarray(ops.argmax(both, axis=-1)))
    else:
        classes = class_index if isinstance(class_index, list) else [class_index] * both.shape[0]
        wrong = [i for i in classes if not isinstance(i, int | np.integer) or not 0 <= i < both.shape[-1]]
        if wrong or len(classes) != both.shape[0]:
            some = f" for each of {both.shape[0]} images" if isinstance(class_index, list) else ""
            raise ValueError(f"{who}: expected class_index in [0, {both.shape[-1]}){some}, received {class_index!r}")
    return ops.sum(both * ops.one_hot(classes, both.shape[-1])), [int(i) for i in classes]


def _before(output: Any, calls: Sequence[Call]) -> Any:
    """Return what entered the last softmax or sigmoid, or the output itself where there is none."""
    for call in reversed(calls):
        if call.output is not output or call.inputs is output:
            continue
        squash = getattr(call.layer, "activation", None)
        name = getattr(squash, "__name__", type(squash).__name__) if squash else type(call.layer).__name__
        if name in PROBABILITY_ACTIVATIONS:
            alone = squash is None or isinstance(call.layer, keras.layers.Activation)
            return call.inputs if alone else _linear(call)
        if name == "linear" and isinstance(call.layer, keras.layers.Activation):  # changes the dtype at most
            return _before(call.inputs, calls)
    return output


def _linear(call: Call) -> Any:
    """Return what the layer gives for the same inputs without its activation."""
    squash = call.layer.activation
    object.__setattr__(call.layer, "activation", keras.activations.linear)  # past Keras, where it is a layer itself
    try:
        return call.layer(call.inputs)
    finally:
        object.__setattr__(call.layer, "activation", squash)


def _are_probabilities(outputs: Any) -> bool:
    values = np.asarray(ops.cast(outputs, "float32"))
    if values.shape[-1] == 1 or values.min() < 0:
        return False
    return bool(np.allclose(values.sum(-1), 1, atol=1e-2))
