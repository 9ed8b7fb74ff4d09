"""Average pooling with weights that decrease with the distance from the center of the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.layers.pooling_window import WindowPooling, pad_same
from deepkit.utils.validation import check_number

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class WeightedAveragePooling(WindowPooling):
    """A weighted mean over each window of a sequence, an image or a volume: the center weighs most.

    The weight of an element is proportional to exp(-d^2 / (2 sigma^2)), where d is its distance from the center of the
    window in elements; the weights of a window sum to 1. By default sigma is a quarter of the pool size on each axis:
    the window extends two sigma to either side. If windows overlap (`strides` below `pool_size`), the output changes
    less under a shift of the input than that of average pooling, whose window has a hard border. A window of two
    elements has equal weights. With `padding="same"`, a window at the border averages only the elements of the input.
    Means are computed in float32 or wider.

    Reference:
        Goodfellow, Bengio & Courville 2016, "Deep Learning", section 9.3, which names a weighted average based on the
        distance from the central pixel.

    Args:
        pool_size: Size of the window in elements: one integer for all spatial axes, or one for each axis.
        strides: Distance between windows: one integer, or one for each axis; None for `pool_size`.
        padding: `"valid"` or `"same"`, as in Keras's pooling layers.
        sigma: Standard deviation of the weights in elements; None for a quarter of the pool size.
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
        >>> from deepkit.layers import WeightedAveragePooling
        >>> impulse = np.array([[[0.0], [1.0], [0.0]]])
        >>> round(
        ...     float(WeightedAveragePooling(3)(impulse)[0, 0, 0]), 4
        ... )  # AveragePooling1D returns 0.3333
        0.5488
    """

    def __init__(
        self,
        pool_size: int | tuple[int, ...] = 3,
        *,
        strides: int | tuple[int, ...] | None = None,
        padding: str = "valid",
        sigma: float | None = None,
        data_format: str | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(pool_size, strides=strides, padding=padding, data_format=data_format, **kwargs)
        hint = "use sigma=1.0, or None for a quarter of the pool size"
        name = "WeightedAveragePooling: sigma"
        self.sigma = None if sigma is None else check_number(sigma, name, above=0, hint=hint)

    def call(self, inputs: Tensor) -> Tensor:
        """Sum the weighted elements; divide by the sum of the weights on elements of the input."""
        x = ops.cast(inputs, keras.backend.result_type(self.compute_dtype, "float32"))
        if self.padding == "valid":
            return ops.cast(self._weighted_sums(x), self.compute_dtype)
        one_channel = x[:1, ..., :1] if self.data_format == "channels_last" else x[:1, :1]
        means = self._weighted_sums(x) / self._weighted_sums(ops.ones_like(one_channel))
        return ops.cast(means, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "sigma": self.sigma}

    def _weighted_sums(self, x: Tensor) -> Tensor:
        """Return the weighted sum of each window, axis after axis: the weight of an element is a product over the axes.

        A convolution of single channels would be the same, but oneDNN returns wrong values for some unequal strides.
        """
        pool, strides = self.pool_and_strides(len(x.shape))
        if self.padding == "same":
            x = pad_same(x, pool, strides, self.data_format)
        first_axis = 1 if self.data_format == "channels_last" else 2
        for axis, (size, stride) in enumerate(zip(pool, strides, strict=True), start=first_axis):
            before = (slice(None),) * axis
            # element i of every window
            slices = [slice(i, i - size + 1 if i < size - 1 else None, stride) for i in range(size)]
            x = sum(w * x[(*before, element)] for w, element in zip(self._weights(size), slices, strict=True))
        return x

    def _weights(self, size: int) -> list[float]:
        """Return the weights along one axis, which sum to 1."""
        sigma = size / 4 if self.sigma is None else self.sigma
        squares = np.square((np.arange(size) - (size - 1) / 2) / sigma)
        weights = np.exp((squares.min() - squares) / 2)  # at least one weight is 1, however small sigma is
        return list((weights / weights.sum()).tolist())
