"""Cross-entropy with label smoothing for integer labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from deepkit.utils.validation import check_fraction

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy between integer labels and logits, with label smoothing.

    Keras smooths only one-hot labels.

    Reference:
        Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", section 7.

    Args:
        smoothing: Fraction of the target distribution that is spread over all classes, from 0 to below 1.
        name: Name of the loss.
        kwargs: Further arguments of `keras.losses.Loss`.

    Call arguments:
        y_true: Integer labels of shape `(batch, ...)`, or `(batch, ..., 1)`.
        y_pred: Logits of shape `(batch, ..., classes)`.

    Raises:
        ValueError: `smoothing` is not a fraction in [0, 1).

    Examples:
        >>> import numpy as np
        >>> from deepkit.losses import SmoothedCrossentropy
        >>> loss = SmoothedCrossentropy(0.0)
        >>> round(float(loss(np.array([1]), np.zeros((1, 2), "float32"))), 4)
        0.6931
    """

    def __init__(self, smoothing: float = 0.1, name: str = "smoothed_crossentropy", **kwargs: object) -> None:
        super().__init__(name=name, **kwargs)
        hint = "use SmoothedCrossentropy(0.1)"
        self.smoothing = check_fraction(smoothing, "SmoothedCrossentropy: smoothing", hint=hint)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of each example, or of each position of each example."""
        labels = keras.ops.reshape(y_true, keras.ops.shape(y_pred)[:-1])  # removes an axis of size 1
        one_hot = keras.ops.one_hot(labels, y_pred.shape[-1])
        return keras.losses.categorical_crossentropy(one_hot, y_pred, from_logits=True, label_smoothing=self.smoothing)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "smoothing": self.smoothing}
