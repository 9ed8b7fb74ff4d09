"""Validity of labels as tensors: for arrays before the training, and in the graph that prepares each batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from deepkit.training.label_rules import LabelRule

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor

_TOLERANCE = 1e-3  # of the sum of a row of probabilities


def is_compatible(shape: Shape, expected: Shape) -> bool:
    """Return whether a static shape can be the expected one; size 1 does not fit an unknown size: Keras broadcasts."""
    return len(shape) == len(expected) and all(
        size is None or size == other or (other is None and size != 1)
        for size, other in zip(shape[1:], expected[1:], strict=True)
    )


def has_shape(size: Tensor, shapes: Sequence[Shape]) -> Tensor:
    """Return whether a tensor of known rank has one of the shapes."""
    results = [tf.constant(False)]
    for shape in shapes:
        if len(shape) == size.shape[0]:
            axes = [axis for axis, expected in enumerate(shape) if expected is not None and axis]
            results.append(tf.reduce_all([size[axis] == shape[axis] for axis in axes]))
    return tf.reduce_any(tf.stack(results))


def _as_numbers(labels: Tensor) -> Tensor:
    return tf.cast(labels, tf.float64 if labels.dtype.is_floating else tf.int64)


def valid_labels(rule: LabelRule, labels: Tensor) -> Tensor:
    """Return for each label, or for each row of probabilities, whether it fits; a comparison with NaN is False."""
    numbers = _as_numbers(labels)
    if rule.kind == "numbers":
        return tf.math.is_finite(numbers) if labels.dtype.is_floating else tf.constant(True)
    if rule.kind == "class_indices":
        valid = (numbers >= 0) & (numbers <= rule.num_outputs - 1)
        if labels.dtype.is_floating:
            valid &= tf.floor(numbers) == numbers
        return valid if rule.ignored_class is None else valid | (numbers == rule.ignored_class)
    if rule.kind == "probabilities" and not rule.allows_fractions:
        return tf.equal(numbers, 0) | tf.equal(numbers, 1)
    if rule.kind == "probabilities":
        return (numbers >= 0) & (numbers <= 1)
    sums = tf.cast(tf.reduce_sum(numbers, -1), tf.float64)
    valid = tf.abs(sums - 1) <= _TOLERANCE
    if rule.allows_zero_rows:
        valid |= sums == 0
    return valid & tf.reduce_all(numbers >= 0, -1)


def summarize_invalid(rule: LabelRule, labels: Tensor) -> tuple[Tensor, ...]:
    """Return the arguments of `InvalidLabel`, as scalar tensors: index, value, low, high and has_zero."""
    numbers = tf.cast(labels, tf.float64)
    first = tf.where(tf.logical_not(valid_labels(rule, labels)))[0]
    value = tf.gather_nd(numbers, first)
    if rule.kind == "class_probabilities":
        row = value
        value = tf.where(tf.reduce_any(row < 0), tf.reduce_min(row), tf.reduce_sum(row))
    return first[0], value, tf.reduce_min(numbers), tf.reduce_max(numbers), tf.reduce_any(numbers == 0)
