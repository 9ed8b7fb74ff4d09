"""Pooling by the length of the window's vector."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from deepkit.layers import config_checks as _checks


@keras.saving.register_keras_serializable(package="deepkit")
class L2Pooling(keras.layers.Layer):
    """The square root of the sum of squares over each window, for sequences, images and volumes alike.

    Lp pooling with p = 2 (Sermanet et al. 2012, "Convolutional Neural Networks Applied to House Numbers Digit
    Classification"), every element of the window with the weight 1. It is a sum, not a mean: the root of the mean
    of squares is this over `sqrt(window size)`. Under `padding="same"` a window at the border sums only what is
    there. Squares and root are computed in float32 at least, and at zero the gradient is zero.

    Args:
        pool_size: Size of the window in elements: one integer for all spatial axes, or one for each.
        strides: Distance between windows, likewise; None for `pool_size`.
        padding: `"valid"` or `"same"`, as in Keras's pooling.
        data_format: `"channels_last"`, `"channels_first"`, or None for Keras's setting.

    Input shape:
        `(batch, spatial..., channels)` with one to three spatial axes, or `(batch, channels, spatial...)` under
        `"channels_first"`.

    Output shape:
        The same with `(n - pool_size) // strides + 1` elements on a spatial axis of n; `ceil(n / strides)` under
        `"same"`.

    Raises:
        ValueError: An argument is wrong, or does not fit the number of spatial axes.

    Examples:
        >>> import numpy as np
        >>> from deepkit.layers import L2Pooling
        >>> np.asarray(L2Pooling(2)(np.array([[[3.0], [4.0], [0.0], [0.0]]]))).tolist()
        [[[5.0], [0.0]]]
    """

    def __init__(
        self,
        pool_size: int | tuple[int, ...] = 2,
        *,
        strides: int | tuple[int, ...] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = _sizes(pool_size, "pool_size")
        self.strides = self.pool_size if strides is None else _sizes(strides, "strides")
        if padding not in ("valid", "same"):
            raise ValueError(
                f'L2Pooling: padding must be "valid" or "same", received {padding!r}\n  hint: padding="same"'
            )
        self.padding = padding
        self.data_format = _checks.data_format(data_format, "L2Pooling")
        self.input_spec = keras.InputSpec(min_ndim=3, max_ndim=5)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check that the arguments fit the number of axes."""
        self._windows(len(input_shape))

    def call(self, inputs: Any) -> Any:
        """Pool the squares and take the root, whose gradient at zero would be infinite."""
        pool, strides = self._windows(len(inputs.shape))
        squares = ops.square(ops.cast(inputs, keras.backend.result_type(self.compute_dtype, "float32")))
        if self.padding == "same":
            squares = self._pad(squares, pool, strides)
        sums = math.prod(pool) * ops.average_pool(squares, pool, strides, "valid", self.data_format)
        some = sums > 0
        return ops.cast(ops.where(some, ops.sqrt(ops.where(some, sums, 1.0)), 0.0), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output shape."""
        pool, strides = self._windows(len(input_shape))
        inputs = keras.KerasTensor(input_shape)
        return tuple(ops.average_pool(inputs, pool, strides, self.padding, self.data_format).shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
        }

    def _windows(self, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return pool size and strides, one number for each spatial axis."""
        return _for_each_axis(self.pool_size, "pool_size", rank), _for_each_axis(self.strides, "strides", rank)

    def _pad(self, squares: Any, pool: tuple[int, ...], strides: tuple[int, ...]) -> Any:
        """Put zeros where "same" windows reach over the border: average pooling would leave those out of its mean."""
        first = 1 if self.data_format == "channels_last" else 2
        widths: list[Any] = [(0, 0)] * len(squares.shape)
        for axis, (size, stride) in enumerate(zip(pool, strides, strict=True), start=first):
            n = ops.shape(squares)[axis]
            over = ((n + stride - 1) // stride - 1) * stride + size - n
            over = max(over, 0) if isinstance(n, int) else ops.maximum(over, 0)
            widths[axis] = (over // 2, over - over // 2)
        return ops.pad(squares, widths)


def _sizes(value: Any, argument: str) -> int | tuple[int, ...]:
    """Return an integer as it is, and several as a tuple."""
    several = isinstance(value, list | tuple)
    for item in value if several else (value,):
        _checks.positive_integer(item, f"L2Pooling: {argument}", "L2Pooling(2)")
    return tuple(value) if several else value


def _for_each_axis(value: int | tuple[int, ...], argument: str, rank: int) -> tuple[int, ...]:
    sizes = (value,) * (rank - 2) if isinstance(value, int) else value
    if len(sizes) != rank - 2:
        raise ValueError(
            f"L2Pooling: {argument}={value} has {len(sizes)} numbers, the input has {rank - 2} spatial axes\n"
            f"  hint: {argument}={sizes[0] if sizes else 2}, for all of them"
        )
    return sizes
