"""Competition between neighbouring channels, before there was batch normalisation."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from deepkit.layers import config_checks as _checks


@keras.saving.register_keras_serializable(package="deepkit")
class LocalResponseNormalization(keras.layers.Layer):
    """Divide each channel by a power of the sum of squares of its neighbours at the same place.

    `b = a / (bias + alpha * sum of a^2 over the channels from i - depth_radius to i + depth_radius) ** beta`, where
    channels beyond the first and the last count as zero. Source: Krizhevsky et al. 2012, "ImageNet Classification
    with Deep Convolutional Neural Networks", section 3.3, whose k = 2, n = 5, alpha = 1e-4, beta = 0.75 are the
    defaults here. As in the paper and in `tf.nn.local_response_normalization`, `alpha` is not divided by n; where
    a net was trained with one that is, divide its `alpha` by n. Computed in float32 at least.

    Args:
        depth_radius: Number of neighbours on either side; the paper's n is `2 * depth_radius + 1`.
        bias: The paper's k, above zero.
        alpha: Weight of the sum of squares, not below zero.
        beta: The power.
        data_format: `"channels_last"`, `"channels_first"`, or None for Keras's setting.

    Input shape:
        `(batch, ..., channels)`, or `(batch, channels, ...)` under `"channels_first"`.

    Output shape:
        That of the input.

    Raises:
        ValueError: An argument is wrong, or the number of channels is unknown.

    Examples:
        >>> import numpy as np
        >>> from deepkit.layers import LocalResponseNormalization
        >>> layer = LocalResponseNormalization(depth_radius=1, bias=2.0, alpha=1.0, beta=1.0)
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(depth_radius, bool) or not isinstance(depth_radius, int) or depth_radius < 0:
            raise ValueError(
                f"LocalResponseNormalization: depth_radius must be an integer of at least 0, received {depth_radius!r}"
                "\n  hint: depth_radius=2, for five channels"
            )
        if not bias > 0:
            raise ValueError(
                f"LocalResponseNormalization: bias must be above 0, received {bias!r}: channels that are all zero "
                "would be divided by zero\n  hint: bias=2.0"
            )
        if not alpha >= 0:
            raise ValueError(
                f"LocalResponseNormalization: alpha must be at least 0, received {alpha!r}\n  hint: alpha=1e-4"
            )
        self.depth_radius = depth_radius
        self.bias = bias
        self.alpha = alpha
        self.beta = beta
        self.data_format = _checks.data_format(data_format, "LocalResponseNormalization")
        self.input_spec = keras.InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check that the number of channels is known."""
        _checks.known_size(input_shape, _checks.channel_axis(self.data_format), "LocalResponseNormalization")

    def call(self, inputs: Any) -> Any:
        """Divide by the power of what the neighbours sum up to, as a logarithm: `ops.power` takes twice the time."""
        x = ops.cast(inputs, keras.backend.result_type(self.compute_dtype, "float32"))
        logarithm = ops.log(self.bias + self.alpha * self._sum_of_neighbours(ops.square(x)))
        return ops.cast(x * ops.exp(-self.beta * logarithm), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
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

    def _sum_of_neighbours(self, squares: Any) -> Any:
        """Multiply by a band of ones: no running sum that loses the small beside the large, and exportable anywhere."""
        axis = _checks.channel_axis(self.data_format) % len(squares.shape)
        channels = np.arange(squares.shape[axis])
        band = np.abs(channels[:, None] - channels[None, :]) <= self.depth_radius
        last = ops.moveaxis(squares, axis, -1)
        return ops.moveaxis(ops.matmul(last, ops.cast(band, squares.dtype)), -1, axis)
