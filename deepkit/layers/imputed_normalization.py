"""Normalization of features with missing values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import is_integer

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike, Shape, Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class ImputedNormalization(keras.layers.Normalization):
    """A `keras.layers.Normalization` of features in which NaN is a missing value.

    A missing value is replaced by the mean of its feature, which is 0 after the normalization. For the features in
    `indicators`, an output of 1 or 0 shows whether the value is missing. `dk.fit` and `dk.adapt` compute mean and
    variance from the values that are present; a feature with one value only has the variance 1.

    Args:
        indicators: Positions of the features with an indicator.
        axis: The axis of the features, the last one.
        mean: Mean of each feature; None to adapt it.
        variance: Variance of each feature; None to adapt it.
        invert: False; the layer cannot be inverted.
        kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor with NaN for missing values.

    Input shape:
        `(batch, features)`.

    Output shape:
        `(batch, features + indicators)`, finite numbers.

    Raises:
        ValueError: `indicators` is not a list of distinct positions, or the layer is to be inverted.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> layer = dk.layers.ImputedNormalization(
        ...     indicators=[1], mean=[1.0, 2.0], variance=[1.0, 4.0]
        ... )
        >>> layer(np.array([[2.0, 6.0], [0.0, np.nan]])).numpy().tolist()
        [[1.0, 2.0, 0.0], [-1.0, 0.0, 1.0]]
    """

    ignores_nan = True  # the adaptation then leaves NaN out of the statistics

    def __init__(
        self,
        indicators: Sequence[int] = (),
        *,
        axis: int | Sequence[int] | None = -1,
        mean: ArrayLike | None = None,
        variance: ArrayLike | None = None,
        invert: bool = False,
        **kwargs: object,
    ) -> None:
        is_list = isinstance(indicators, list | tuple)
        if not is_list or not all(is_integer(i) and i >= 0 for i in indicators) or len({*indicators}) < len(indicators):
            problem = (
                "ImputedNormalization: indicators must be a list of distinct positions, received "
                f"{format_value(indicators)}"
            )
            raise ValueError(message(problem, hint="use ImputedNormalization(indicators=[0, 2])"))
        if axis not in (-1, [-1], (-1,)) or invert:
            problem = (
                f"ImputedNormalization: axis must be -1 and invert False, received axis={axis!r}, invert={invert!r}"
            )
            raise ValueError(message(problem, hint="use keras.layers.Normalization"))
        super().__init__(axis=-1, mean=mean, variance=variance, **kwargs)
        self.indicators = [int(i) for i in indicators]

    def call(self, inputs: Tensor) -> Tensor:
        """Normalize the features, replace missing values, and append the indicators."""
        is_missing = ops.isnan(inputs)
        normalized = super().call(ops.where(is_missing, ops.zeros_like(inputs), inputs))
        outputs = ops.where(is_missing, ops.zeros_like(normalized), normalized)
        if not self.indicators:
            return outputs
        indicators = ops.cast(ops.take(is_missing, self.indicators, axis=-1), outputs.dtype)
        return ops.concatenate([outputs, indicators], axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the output shape."""
        features = input_shape[-1]
        return (*input_shape[:-1], None if features is None else features + len(self.indicators))

    def compute_output_spec(self, inputs: Tensor) -> keras.KerasTensor:
        """Return the symbolic output."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "indicators": self.indicators}
