"""Pooling over the steps of a sequence that count."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="deepkit")
class MaskedPooling1D(keras.layers.Layer):
    """The mean or the maximum over the steps that the mask keeps; zeros where it keeps none.

    Without a mask it is `GlobalAveragePooling1D` or `GlobalMaxPooling1D`. With one, Keras's maximum takes the padding
    for data, and its mean of a sequence of padding alone is not a number, which ruins every weight at the next step.
    `dk.Classifier(pool="avg")` and its like take this layer wherever a mask comes in.

    Args:
        pool: `"avg"` or `"max"`.

    Input shape:
        `(batch, steps, features)`.

    Output shape:
        `(batch, features)`.

    Raises:
        ValueError: `pool` is neither.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> x, mask = np.array([[[-1.0], [-3.0], [0.0]]]), np.array([[True, True, False]])
        >>> [float(dk.layers.MaskedPooling1D(pool)(x, mask=mask)[0, 0]) for pool in ("avg", "max")]
        [-2.0, -1.0]
    """

    def __init__(self, pool: str = "avg", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if pool not in ("avg", "max"):
            raise ValueError(f'MaskedPooling1D: pool must be "avg" or "max", received {pool!r}')
        self.pool = pool
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Sum in float32: half precision counts no further than some thousand steps."""
        if mask is None:
            return ops.mean(inputs, axis=1) if self.pool == "avg" else ops.max(inputs, axis=1)
        kept = ops.expand_dims(ops.cast(mask, "bool"), 2)
        if self.pool == "max":
            half = keras.backend.standardize_dtype(inputs.dtype) == "float16"
            lowest = ops.cast(-6e4 if half else -3e38, inputs.dtype)  # a step that counts is hardly below
            highest = ops.max(ops.where(kept, inputs, lowest), axis=1)
            return ops.where(ops.any(kept, axis=1), highest, ops.zeros_like(highest))
        total = ops.sum(ops.cast(ops.where(kept, inputs, ops.zeros_like(inputs)), "float32"), axis=1)
        count = ops.maximum(ops.sum(ops.cast(kept, "float32"), axis=1), 1.0)
        return ops.cast(total / count, inputs.dtype)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """No steps are left."""
        return

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output shape."""
        return (input_shape[0], input_shape[2])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "pool": self.pool}
