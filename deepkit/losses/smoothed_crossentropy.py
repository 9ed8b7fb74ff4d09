"""Losses that Keras lacks, which files of trained models name."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="deepkit")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy of logits with class numbers, a share of the target spread over all classes.

    Keras smooths labels only where they are one-hot. Source: Szegedy et al. 2016, "Rethinking the Inception
    Architecture for Computer Vision", section 7.

    Args:
        smoothing: Share of the target that is spread, from 0 to below 1.
        name: Name of the loss.
        kwargs: What `keras.losses.Loss` takes besides.

    Raises:
        ValueError: `smoothing` is out of its range.

    Examples:
        >>> import numpy as np
        >>> from deepkit.models import SmoothedCrossentropy
        >>> loss = SmoothedCrossentropy(0.0)
        >>> round(float(loss(np.array([1]), np.zeros((1, 2), "float32"))), 4)
        0.6931
    """

    def __init__(self, smoothing: float = 0.1, name: str = "smoothed_crossentropy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        if isinstance(smoothing, bool) or not isinstance(smoothing, int | float) or not 0 <= smoothing < 1:
            raise ValueError(
                f"SmoothedCrossentropy: smoothing must be a number from 0 to below 1, received {smoothing!r}\n"
                "  hint: SmoothedCrossentropy(0.1)"
            )
        self.smoothing = smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each example, or of each position of each."""
        numbers = keras.ops.reshape(y_true, keras.ops.shape(y_pred)[:-1])  # labels may have an axis of their own
        one_hot = keras.ops.one_hot(numbers, y_pred.shape[-1])
        return keras.losses.categorical_crossentropy(one_hot, y_pred, from_logits=True, label_smoothing=self.smoothing)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "smoothing": self.smoothing}
