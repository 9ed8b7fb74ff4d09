"""Pooling over the unmasked steps of a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from deepkit.layers.axes import as_float
from deepkit.utils.validation import check_choice

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class MaskedPooling1D(keras.layers.Layer):
    """The mean or the maximum over the unmasked steps; zeros if every step is masked.

    Without a mask it equals `GlobalAveragePooling1D` or `GlobalMaxPooling1D`. With a mask, Keras's maximum includes
    the padding, and its mean of a sequence of padding only is NaN, which makes every weight NaN at the next step.
    `dk.Classifier(pool="avg")` and the other heads use this layer if their input has a mask.

    Args:
        pool: `"avg"` or `"max"`.

    Call arguments:
        inputs: Tensor of shape `(batch, steps, features)`.
        mask: Boolean tensor of shape `(batch, steps)`; False leaves a step out.

    Input shape:
        `(batch, steps, features)`.

    Output shape:
        `(batch, features)`.

    Raises:
        ValueError: `pool` is neither `"avg"` nor `"max"`.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> x, mask = (
        ...     np.array([[[-1.0], [-3.0], [0.0]]]),
        ...     np.array([[True, True, False]]),
        ... )
        >>> [
        ...     float(dk.layers.MaskedPooling1D(pool)(x, mask=mask)[0, 0])
        ...     for pool in ("avg", "max")
        ... ]
        [-2.0, -1.0]
    """

    def __init__(self, pool: str = "avg", **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.pool = check_choice(pool, "MaskedPooling1D: pool", ("avg", "max"), hint='use pool="avg"')
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool; sums are in float32, as float16 holds no integers above a few thousand exactly."""
        inputs = as_float(inputs, self.compute_dtype)  # a mean of integers would be truncated
        if mask is None:
            return ops.mean(inputs, axis=1) if self.pool == "avg" else ops.max(inputs, axis=1)
        unmasked = ops.expand_dims(ops.cast(mask, "bool"), 2)
        if self.pool == "max":
            is_float16 = keras.backend.standardize_dtype(inputs.dtype) == "float16"
            lowest = ops.cast(-6e4 if is_float16 else -3e38, inputs.dtype)  # near the smallest number of the dtype
            largest = ops.max(ops.where(unmasked, inputs, lowest), axis=1)
            return ops.where(ops.any(unmasked, axis=1), largest, ops.zeros_like(largest))
        total = ops.sum(ops.cast(ops.where(unmasked, inputs, ops.zeros_like(inputs)), "float32"), axis=1)
        count = ops.maximum(ops.sum(ops.cast(unmasked, "float32"), axis=1), 1.0)
        return ops.cast(total / count, inputs.dtype)

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> None:
        """Return None: the output has no time axis."""
        return

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the output shape."""
        return (input_shape[0], input_shape[2])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "pool": self.pool}
