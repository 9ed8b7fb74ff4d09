"""Weights of classes in the loss: `class_weight` of `fit`, as sample weights of each batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import tensorflow as tf

from deepkit.data.sample_weights import MAX_WEIGHT
from deepkit.utils.errors import did_you_mean, format_value, make_error
from deepkit.utils.validation import is_integer, is_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepkit.utils.types import Dataset, Nested, Tensor

ClassWeight: TypeAlias = Mapping[int, float] | Mapping[str, float] | Literal["balanced"]
"""Weights by class index or class name, or "balanced"."""

_MAX_CLASSES = 10  # classes that a message lists
_BALANCED_HINT = 'pass class_weight="balanced", or a mapping such as class_weight={0: 1.0, 1: 5.0}'


@dataclass(frozen=True)
class ClassWeights:
    """The weight of each class, which multiplies the sample weight of its examples.

    Args:
        values: The weights by class index.
        has_rows: Whether the labels are rows of probabilities, such as one-hot labels, rather than class indices.
    """

    values: tuple[float, ...]
    has_rows: bool = False

    def weigh(self, batches: Dataset) -> Dataset:
        """Return batches (x, y, sample_weight) for batches (x, y) or (x, y, sample_weight)."""
        return batches.map(self.weigh_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    @tf.autograph.experimental.do_not_convert
    def weigh_batch(self, x: Nested, y: Tensor, sample_weight: Tensor | None = None) -> tuple[Nested, Tensor, Tensor]:
        """Return (x, y, sample_weight) with the weights of the classes."""
        classes = class_indices(y, has_rows=self.has_rows)
        classes = tf.clip_by_value(classes, 0, len(self.values) - 1)  # the check of the labels refuses others
        weights = tf.gather(tf.constant(self.values, tf.float32), classes)
        if sample_weight is None:
            return x, y, weights
        sample_weight = tf.cast(sample_weight, tf.float32)
        extra_axes = max(0, len(weights.shape) - len(sample_weight.shape))  # one weight for all steps of a sequence
        return x, y, weights * tf.reshape(sample_weight, [*tf.unstack(tf.shape(sample_weight)), *[1] * extra_axes])

    def describe(self, names: Sequence[str], counts: np.ndarray | None) -> str:
        """Return the weights as text, with the number of examples of each class if it is known."""
        texts = []
        for index, weight in enumerate(self.values[:_MAX_CLASSES]):
            name = repr(names[index]) if index < len(names) else str(index)
            texts.append(f"{name}: {weight:.4g}" + ("" if counts is None else f" ({int(counts[index]):,} labels)"))
        more = ", ..." if len(self.values) > _MAX_CLASSES else ""
        return f"class weights: {', '.join(texts)}{more}"


def class_indices(labels: Tensor, *, has_rows: bool) -> Tensor:
    """Return labels as int64 class indices `(batch, ...)`; rows of probabilities as their most probable class."""
    if has_rows:
        return tf.argmax(labels, axis=-1)
    if len(labels.shape) > 1 and labels.shape[-1] == 1:
        labels = tf.squeeze(labels, axis=-1)
    return tf.cast(labels, tf.int64)


def balanced_weights(counts: np.ndarray) -> tuple[float, ...]:
    """Return weights inversely proportional to the number of labels, as `sklearn.utils.class_weight` computes them.

    Args:
        counts: Number of labels of each class. The weight of a class without labels is 1; it weighs nothing.
    """
    num_classes = np.count_nonzero(counts)
    weights = np.where(counts > 0, counts.sum() / (num_classes * np.maximum(counts, 1)), 1.0)
    return tuple(float(weight) for weight in weights)


def weights_by_class(class_weight: object, num_classes: int, names: Sequence[str]) -> tuple[float, ...]:
    """Return the weight of each class from a mapping by class index or name; 1 for the others, as in Keras.

    Args:
        class_weight: The mapping that was passed by the user.
        num_classes: Number of classes.
        names: Names of the classes; empty if they have none.

    Raises:
        TypeError: It is not a mapping.
        ValueError: A class does not exist, or a weight is not a number of at least 0, or all are 0.
    """
    if not isinstance(class_weight, Mapping):
        problem = f"class_weight: expected a mapping or 'balanced', received {format_value(class_weight)}"
        is_list = isinstance(class_weight, list | tuple | np.ndarray)
        hint = "pass dict(enumerate(weights)) for a list of weights" if is_list else _BALANCED_HINT
        raise make_error(TypeError, problem, hint=hint)
    weights = [1.0] * num_classes
    for key, weight in class_weight.items():
        index = _class_index(key, num_classes, names)
        if not is_number(weight) or not 0 <= weight <= MAX_WEIGHT:
            is_large = is_number(weight) and weight > 0
            expected = "a number that float32 can hold" if is_large else "a number of at least 0"
            problem = f"class_weight[{key!r}] must be {expected}, received {format_value(weight)}"
            hint = "use smaller weights" if is_large else "use 0 for a class that must not count"
            raise make_error(ValueError, problem, hint=hint)
        weights[index] = float(weight)
    if not any(weights):
        raise make_error(ValueError, "class_weight: all weights are 0, so the loss is 0", hint=_BALANCED_HINT)
    return tuple(weights)


def _class_index(key: Any, num_classes: int, names: Sequence[str]) -> int:
    if isinstance(key, str) and key in names:
        return names.index(key)
    if is_integer(key) and 0 <= key < num_classes:
        return int(key)
    expected = f"0 to {num_classes - 1}"
    if names:
        expected += f" or {', '.join(map(repr, names[:_MAX_CLASSES]))}{', ...' if len(names) > _MAX_CLASSES else ''}"
    problem = f"class_weight: the classes are {expected}, received {format_value(key)}{did_you_mean(key, names)}"
    hint = "use class names or class indices as keys" if names else "use class indices as keys"
    raise make_error(ValueError, problem, hint=hint)
