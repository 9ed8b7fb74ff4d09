"""Local response normalization: competition between neighboring channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.layers.axes import channel_axis, standardize_data_format, static_size
from deepkit.utils.validation import check_integer, check_number

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class LocalResponseNormalization(keras.layers.Layer):
    """Divide each channel by a power of the sum of squares of its neighboring channels at the same position.

    `b = a / (bias + alpha * sum of a^2 over the channels from i - depth_radius to i + depth_radius) ** beta`, where
    channels before the first and after the last count as zero. As in the paper and in
    `tf.nn.local_response_normalization`, `alpha` is not divided by the number n of channels in the sum; for a network
    that was trained with the division, pass `alpha / n`. The layer computes in float32 or wider.

    Reference:
        Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural Networks", section 3.3, whose
        k = 2, n = 5, alpha = 1e-4, beta = 0.75 are the defaults.

    Args:
        depth_radius: Number of neighbors on either side; the paper's n is `2 * depth_radius + 1`.
        bias: The paper's k, above zero.
        alpha: Weight of the sum of squares, zero or above.
        beta: The exponent.
        data_format: `"channels_last"`, `"channels_first"`, or None for Keras's setting.

    Input shape:
        `(batch, ..., channels)`, or `(batch, channels, ...)` with `"channels_first"`.

    Output shape:
        The input shape.

    Raises:
        ValueError: An argument is out of range, or the number of channels is unknown.

    Examples:
        >>> import numpy as np
        >>> from deepkit.layers import LocalResponseNormalization
        >>> layer = LocalResponseNormalization(
        ...     depth_radius=1, bias=2.0, alpha=1.0, beta=1.0
        ... )
        >>> np.asarray(layer(np.array([[1.0, 1.0, 0.0]]))).tolist()
        [[0.25, 0.25, 0.0]]
    """

    def __init__(
        self,
        depth_radius: int = 2,
        *,
        bias: float = 2.0,
        alpha: float = 1e-4,
        beta: float = 0.75,
        data_format: str | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        name = "LocalResponseNormalization"
        hint = "use depth_radius=2 for sums over five channels"
        self.depth_radius = check_integer(depth_radius, f"{name}: depth_radius", minimum=0, hint=hint)
        hint = "use bias=2.0; bias=0 divides by zero if all channels are zero"
        self.bias = check_number(bias, f"{name}: bias", above=0, hint=hint)
        self.alpha = check_number(alpha, f"{name}: alpha", minimum=0, hint="use alpha=1e-4")
        self.beta = beta
        self.data_format = standardize_data_format(data_format, name)
        self.input_spec = keras.InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """Check that the number of channels is known."""
        static_size(input_shape, channel_axis(self.data_format), "LocalResponseNormalization")

    def call(self, inputs: Tensor) -> Tensor:
        """Divide by the power of the sum; `exp` and `log` take half the time of `ops.power`."""
        x = ops.cast(inputs, keras.backend.result_type(self.compute_dtype, "float32"))
        logarithm = ops.log(self.bias + self.alpha * self._sum_neighbors(ops.square(x)))
        return ops.cast(x * ops.exp(-self.beta * logarithm), self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the output shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            **super().get_config(),
            "depth_radius": self.depth_radius,
            "bias": self.bias,
            "alpha": self.alpha,
            "beta": self.beta,
            "data_format": self.data_format,
        }

    def _sum_neighbors(self, squares: Tensor) -> Tensor:
        """Multiply by a band matrix of ones: exact for a small channel among large ones, unlike a running sum."""
        axis = channel_axis(self.data_format) % len(squares.shape)
        channels = np.arange(squares.shape[axis])
        band = np.abs(channels[:, None] - channels[None, :]) <= self.depth_radius
        last = ops.moveaxis(squares, axis, -1)
        return ops.moveaxis(ops.matmul(last, ops.cast(band, squares.dtype)), -1, axis)
