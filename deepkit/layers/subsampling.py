"""Average pooling with a trainable coefficient and bias for each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from deepkit.layers.axes import (
    as_float,
    channel_axis,
    from_channels_last,
    make_shape,
    spatial_sizes,
    standardize_data_format,
    to_channels_last,
)
from deepkit.utils.validation import check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import ActivationLike, InitializerLike, Shape, Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class Subsampling2D(keras.layers.Layer):
    """Sum pooling with a trainable coefficient and bias for each channel, followed by an activation.

    Reference:
        LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", section II.B, layers S2
        (12 weights) and S4 (32 weights).

    Args:
        pool_size: Side of the square window in pixels, and the distance between windows.
        activation: Name of a Keras activation, a function, or None.
        coefficient_initializer: Initializer of the coefficients, which multiply the sum over the window.
        data_format: `"channels_last"`, `"channels_first"`, or None for Keras's setting.

    Input shape:
        `(batch, rows, columns, channels)`, or `(batch, channels, rows, columns)` with `"channels_first"`; integers are
        cast to the compute dtype.

    Output shape:
        `(batch, rows // pool_size, columns // pool_size, channels)`, with the channels as in the input.

    Raises:
        ValueError: `pool_size` is not a positive integer.

    Examples:
        >>> import keras
        >>> from deepkit.layers import Subsampling2D
        >>> layer = Subsampling2D(2, activation="tanh")
        >>> layer(keras.Input((28, 28, 6))).shape, layer.count_params()
        ((None, 14, 14, 6), 12)
    """

    def __init__(
        self,
        pool_size: int = 2,
        *,
        activation: ActivationLike = None,
        coefficient_initializer: InitializerLike = "ones",
        data_format: str | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = check_integer(pool_size, "Subsampling2D: pool_size", hint="use Subsampling2D(2)")
        self.activation = keras.activations.get(activation)
        self.coefficient_initializer = keras.initializers.get(coefficient_initializer)
        self.data_format = standardize_data_format(data_format, "Subsampling2D")
        self.input_spec = keras.InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        """Create a coefficient and a bias for each channel."""
        channels = (input_shape[channel_axis(self.data_format)],)
        self.coefficient = self.add_weight(name="coefficient", shape=channels, initializer=self.coefficient_initializer)
        self.bias = self.add_weight(name="bias", shape=channels, initializer="zeros")

    def call(self, inputs: Tensor) -> Tensor:
        """Sum over each window, scale, shift and apply the activation."""
        pool = self.pool_size
        x = to_channels_last(as_float(inputs, self.compute_dtype), self.data_format)
        mean = ops.average_pool(x, pool, strides=pool, padding="valid", data_format="channels_last")
        outputs = self.activation(mean * (pool**2 * self.coefficient) + self.bias)
        return from_channels_last(outputs, self.data_format)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the output shape."""
        sizes = spatial_sizes(input_shape, self.data_format)
        sizes = tuple(None if n is None else n // self.pool_size for n in sizes)
        return make_shape(input_shape[0], sizes, input_shape[channel_axis(self.data_format)], self.data_format)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "activation": keras.activations.serialize(self.activation),
            "coefficient_initializer": keras.initializers.serialize(self.coefficient_initializer),
            "data_format": self.data_format,
        }
