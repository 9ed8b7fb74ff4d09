"""Average pooling with a trainable coefficient and bias for each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

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

    Input shape:
        `(batch, rows, columns, channels)`.

    Output shape:
        `(batch, rows // pool_size, columns // pool_size, channels)`.

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
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = check_integer(pool_size, "Subsampling2D: pool_size", hint="use Subsampling2D(2)")
        self.activation = keras.activations.get(activation)
        self.coefficient_initializer = keras.initializers.get(coefficient_initializer)
        self.input_spec = keras.InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        """Create a coefficient and a bias for each channel."""
        channels = (input_shape[-1],)
        self.coefficient = self.add_weight(name="coefficient", shape=channels, initializer=self.coefficient_initializer)
        self.bias = self.add_weight(name="bias", shape=channels, initializer="zeros")

    def call(self, inputs: Tensor) -> Tensor:
        """Sum over each window, scale, shift and apply the activation."""
        pool = self.pool_size
        mean = ops.average_pool(inputs, pool, strides=pool, padding="valid", data_format="channels_last")
        return self.activation(mean * (pool**2 * self.coefficient) + self.bias)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the output shape."""
        sides = [None if n is None else n // self.pool_size for n in input_shape[1:3]]
        return (input_shape[0], *sides, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "activation": keras.activations.serialize(self.activation),
            "coefficient_initializer": keras.initializers.serialize(self.coefficient_initializer),
        }
