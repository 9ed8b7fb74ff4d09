"""Features of dates: the time that has passed, and the position within the year, the week and the day."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import keras
from keras import ops

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor

_DAY = 24 * 60 * 60
_YEAR = 31_556_952  # seconds of 365.2425 days, the mean year of the calendar
_CYCLES = (_YEAR, 7 * _DAY, _DAY)
_YEAR_2000 = 946_684_800
_MONDAY = 4 * _DAY  # 1970 began on a Thursday
_MISSING = -(2**63)


@keras.saving.register_keras_serializable(package="deepkit")
class DateFeatures(keras.layers.Layer):
    """Convert seconds since 1970 to features of a date.

    The features are the years since 2000, and sine and cosine of the position within the year, the week and the day:
    the end of a cycle is close to its beginning. The smallest int64, as which NumPy stores NaT, is a missing date; its
    features are NaN.

    Args:
        kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of int64.

    Input shape:
        `(batch, 1)`.

    Output shape:
        `(batch, 7)`.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> noon = np.array([["2000-01-01T12:00"]], "datetime64[s]").astype("int64")
        >>> dk.layers.DateFeatures()(noon).numpy().round(2)[
        ...     0, -1
        ... ].item()  # cosine of the position within the day
        -1.0
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        """Compute the features; remainders are computed on integers, which float32 could not hold."""
        seconds = ops.cast(inputs, "int64")
        is_missing = ops.less(seconds, _MISSING // 2)
        since_2000 = ops.where(is_missing, ops.zeros_like(seconds), seconds) - _YEAR_2000
        rest = ops.mod(since_2000, _YEAR)
        years = ops.round(ops.cast(since_2000 - rest, "float32") / _YEAR) + ops.cast(rest, "float32") / _YEAR
        features = [years]
        since_monday = since_2000 + _YEAR_2000 - _MONDAY
        for cycle in _CYCLES:
            position = ops.mod(since_2000 if cycle == _YEAR else since_monday, cycle)
            angle = ops.cast(position, "float32") * (2 * math.pi / cycle)
            features += [ops.sin(angle), ops.cos(angle)]
        outputs = ops.concatenate(features, axis=-1)
        nan = ops.full_like(outputs, float("nan"))
        return ops.cast(ops.where(is_missing, nan, outputs), self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the output shape."""
        return (*input_shape[:-1], 1 + 2 * len(_CYCLES))

    def compute_output_spec(self, inputs: Tensor) -> keras.KerasTensor:
        """Return the symbolic output."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)
