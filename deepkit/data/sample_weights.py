"""Weights of examples in the loss: checks of the arrays that a user passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from deepkit.data.frames import refuse_masked_values
from deepkit.utils.errors import did_you_mean, format_value, message

MAX_WEIGHT = float(np.finfo(np.float32).max)


def check_sample_weight(weight: object, labels: Any, name: str) -> Any:
    """Return sample weights as float32 arrays: one array for all outputs, or a dictionary by name of the output.

    Args:
        weight: An array `(batch,)` or `(batch, time, ...)`; for labels by name also a mapping of such arrays, in
            which an output that is missing has weights of 1; for a tuple of labels also a tuple.
        labels: The validated labels.
        name: Name of the argument in error messages.

    Raises:
        TypeError: The weights are not numbers.
        ValueError: A weight is negative, NaN or infinite, all weights are 0, or their number differs from that of
            the examples.
    """
    num_examples = len(tf.nest.flatten(labels)[0])
    weights: Any
    if isinstance(weight, Mapping):
        weights = _check_by_name(weight, labels, num_examples, name)
    elif isinstance(weight, tuple | list) and isinstance(labels, tuple) and len(weight) == len(labels):
        weights = tuple(_check_array(item, num_examples, f"{name}[{i}]") for i, item in enumerate(weight))
    else:
        weights = _check_array(weight, num_examples, name)
    if not any(array.any() for array in tf.nest.flatten(weights)):
        raise ValueError(message(f"{name}: all weights are 0, so the loss is 0", hint="pass a positive weight"))
    return weights


def _check_by_name(weights: Mapping[Any, object], labels: Any, num_examples: int, name: str) -> dict[str, np.ndarray]:
    if not isinstance(labels, dict):
        problem = f"{name}: expected one array, as the labels have no names, received {format_value(weights)}"
        raise ValueError(message(problem, hint=f"pass {name}=array, or class_weight for weights of classes"))
    for key in weights:
        if key not in labels:
            problem = f"{name}: the outputs are {', '.join(labels)}, received {format_value(key)}"
            raise ValueError(message(problem + did_you_mean(key, labels), hint="name the weights like the labels"))
    ones = np.ones(num_examples, "float32")
    return {
        key: _check_array(weights[key], num_examples, f"{name}[{key!r}]") if key in weights else ones for key in labels
    }


def _check_array(weight: object, num_examples: int, name: str) -> np.ndarray:
    refuse_masked_values(weight, name)
    array = np.asarray(weight)
    if array.dtype.kind not in "biuf":
        problem = f"{name} must be an array of numbers, received {format_value(weight)}"
        raise TypeError(message(problem, hint="pass one number of at least 0 for each example"))
    if array.ndim == 0 or len(array) != num_examples:
        problem = f"{name} must have one weight for each of {num_examples:,} examples, received "
        problem += f"{format_value(weight)}" if array.ndim == 0 else f"an array of shape {array.shape}"
        raise ValueError(message(problem, hint=f"pass an array of shape ({num_examples},)"))
    invalid = ~np.isfinite(array) | (array < 0)
    if invalid.any():
        row = np.flatnonzero(invalid.reshape(num_examples, -1).any(1))[0]
        problem = (
            f"{name} must be numbers of at least 0, received {array[invalid][0]:g} at index {row} "
            f"({np.count_nonzero(invalid):,} of {array.size:,} weights)"
        )
        raise ValueError(message(problem, hint="use 0 for an example that must not count"))
    if array.size and array.max() > MAX_WEIGHT:
        problem = f"{name} must be numbers that float32 can hold, received {array.max():g}"
        raise ValueError(message(problem, hint="divide the weights by their mean"))
    array = array.astype("float32")
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
