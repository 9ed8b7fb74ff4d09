"""Pooling by the Euclidean norm of each window."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import keras
from keras import ops

from deepkit.layers.pooling_window import WindowPooling, pad_same

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class L2Pooling(WindowPooling):
    """The square root of the sum of squares over each window of a sequence, an image or a volume.

    Lp pooling with p = 2, in which every element of the window has the weight 1. It is a sum, not a mean: divide the
    output by `sqrt(window size)` for the root mean square. With `padding="same"`, a window at the border sums only
    the elements of the input. Squares and roots are computed in float32 or wider, and the gradient at zero is zero.

    Reference:
        Sermanet et al. 2012, "Convolutional Neural Networks Applied to House Numbers Digit Classification".

    Args:
        pool_size: Size of the window in elements: one integer for all spatial axes, or one for each axis.
        strides: Distance between windows: one integer, or one for each axis; None for `pool_size`.
        padding: `"valid"` or `"same"`, as in Keras's pooling layers.
        data_format: `"channels_last"`, `"channels_first"`, or None for Keras's setting.

    Input shape:
        `(batch, spatial..., channels)` with one to three spatial axes, or `(batch, channels, spatial...)` with
        `"channels_first"`.

    Output shape:
        The input shape, with `(n - pool_size) // strides + 1` elements on a spatial axis of n elements, or
        `ceil(n / strides)` with `padding="same"`.

    Raises:
        ValueError: An argument is out of range, or does not match the number of spatial axes.

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
        **kwargs: object,
    ) -> None:
        super().__init__(pool_size, strides=strides, padding=padding, data_format=data_format, **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        """Sum the squares and take the root."""
        pool, strides = self.pool_and_strides(len(inputs.shape))
        squares = ops.square(ops.cast(inputs, keras.backend.result_type(self.compute_dtype, "float32")))
        if self.padding == "same":
            # average pooling would leave the zeros of "same" out of its mean
            squares = pad_same(squares, pool, strides, self.data_format)
        sums = math.prod(pool) * ops.average_pool(squares, pool, strides, "valid", self.data_format)
        # the root has an infinite gradient at zero, which the inner `where` hides from the backward pass
        is_positive = sums > 0
        roots = ops.sqrt(ops.where(is_positive, sums, 1.0))
        return ops.cast(ops.where(is_positive, roots, 0.0), self.compute_dtype)
