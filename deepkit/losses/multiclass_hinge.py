"""The hinge loss of several classes: the sum over the wrong classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from deepkit.utils.errors import make_error
from deepkit.utils.validation import check_number

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class MulticlassHinge(keras.losses.Loss):
    """The multiclass hinge (support vector machine) loss: the score of the class must exceed all others by a margin.

    The loss of an example with scores s and class y is the sum over all classes j other than y of
    max(0, s_j - s_y + margin). Keras's `CategoricalHinge` takes the largest of these terms instead of their sum, as
    Crammer & Singer 2001 do. The scores may have any sign and are not logits of probabilities: a softmax of them has no
    meaning.

    The loss of a label that is not a class is NaN.

    Reference:
        Weston & Watkins 1999, "Support Vector Machines for Multi-Class Pattern Recognition", section 2, with margin 2.

    Args:
        margin: Smallest difference between the score of the class and another score at which that score costs nothing.
        name: Name of the loss.
        kwargs: Further arguments of `keras.losses.Loss`.

    Call arguments:
        y_true: Integer labels of shape `(batch, ...)`, or `(batch, ..., 1)`.
        y_pred: Scores of shape `(batch, ..., classes)`, at least two classes.

    Raises:
        ValueError: `margin` is not a positive number, there is one score alone, or the labels have another shape.
        TypeError: An argument such as `label_smoothing` does not exist.

    Examples:
        >>> import numpy as np
        >>> from deepkit.losses import MulticlassHinge
        >>> scores = np.array([[3.2, 5.1, -1.7]])  # of a cat, a car and a frog
        >>> round(
        ...     float(MulticlassHinge()(np.array([0]), scores)), 2
        ... )  # max(0, 2.9) + max(0, -3.9)
        2.9
    """

    def __init__(self, margin: float = 1.0, name: str = "multiclass_hinge", **kwargs: object) -> None:
        if "label_smoothing" in kwargs:
            raise make_error(
                TypeError,
                "MulticlassHinge takes no label_smoothing: it compares scores, and smoothed labels are probabilities",
                hint="leave label_smoothing out, or use dk.losses.SmoothedCrossentropy()",
            )
        super().__init__(name=name, **kwargs)
        self.margin = check_number(margin, "MulticlassHinge: margin", above=0, hint="use MulticlassHinge(1.0)")

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of each example, or of each position of each example."""
        _check_shapes(y_true, y_pred)
        num_classes = y_pred.shape[-1]
        labels = ops.cast(ops.reshape(y_true, ops.shape(y_pred)[:-1]), "int32")  # removes an axis of size 1
        one_hot = ops.one_hot(labels, num_classes, dtype=y_pred.dtype)
        score = ops.sum(one_hot * y_pred, axis=-1, keepdims=True)
        terms = ops.maximum(y_pred - score + self.margin, 0.0) * (1.0 - one_hot)
        is_class = ops.logical_and(labels >= 0, labels < num_classes)
        if keras.backend.is_float_dtype(y_true.dtype):  # a fraction is not a class
            is_class = ops.logical_and(
                is_class, ops.equal(ops.cast(labels, y_true.dtype), ops.reshape(y_true, ops.shape(labels)))
            )
        return ops.where(is_class, ops.sum(terms, axis=-1), float("nan"))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "margin": self.margin}


def _check_shapes(labels: Tensor, scores: Tensor) -> None:
    """Raise if there is one score alone, or the static shape of the labels is not that of class indices."""
    shape, expected = tuple(labels.shape), tuple(scores.shape)[:-1]
    if scores.shape[-1:] in ((), (1,)):
        raise make_error(
            ValueError,
            f"MulticlassHinge: expected scores of at least two classes, received the shape {tuple(scores.shape)}",
            hint="use keras.losses.Hinge() for one score per example, or an output with a score for each class",
        )
    has_column = len(shape) == len(expected) + 1 and shape[-1] in (1, None)
    sizes = shape[:-1] if has_column else shape
    if len(sizes) == len(expected) and all(
        size is None or other is None or size == other for size, other in zip(sizes, expected, strict=True)
    ):
        return
    raise make_error(
        ValueError,
        f"MulticlassHinge: expected class indices of shape {expected}, received labels of shape {shape}",
        hint="use y.argmax(axis=-1) for one-hot labels, or keras.losses.CategoricalHinge(), the largest term",
    )
