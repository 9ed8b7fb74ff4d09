"""Units that answer with the largest of several linear pieces."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from deepkit.layers import config_checks as _checks
from deepkit.layers.initializers import independent


@keras.saving.register_keras_serializable(package="deepkit")
class Maxout(keras.layers.Layer):
    """A dense layer whose every unit is the largest of `num_pieces` linear functions of the input.

    A unit learns its own convex, piecewise linear activation; no other activation follows. Each piece starts as a
    dense layer of its own would: the initialiser sees `(features, units)`. The paper puts dropout in front of it.
    Source: Goodfellow et al. 2013, "Maxout Networks", section 2; for its convolutional nets see `ChannelMax`.

    Args:
        units: Number of outputs.
        num_pieces: Number of linear pieces a unit takes the maximum of; the paper's k.
        use_bias: Whether every piece has a bias.
        kernel_initializer: For each piece by itself.
        bias_initializer: For each piece by itself.
        kernel_regularizer: For the kernel of shape `(features, units, num_pieces)`, whole.
        bias_regularizer: For the biases of shape `(units, num_pieces)`, whole.
        kernel_constraint: For the kernel; its axis 0 is the input, so that `MaxNorm(axis=0)` bounds each piece.
        bias_constraint: For the biases.

    Input shape:
        `(batch, ..., features)`.

    Output shape:
        `(batch, ..., units)`.

    Raises:
        ValueError: `units` or `num_pieces` is no positive integer, or the number of features is unknown.

    Examples:
        >>> import keras
        >>> from deepkit.layers import Maxout
        >>> layer = Maxout(240, num_pieces=5)
        >>> layer(keras.Input((784,))).shape, layer.count_params()
        ((None, 240), 942000)
    """

    def __init__(
        self,
        units: int,
        *,
        num_pieces: int = 2,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = _checks.positive_integer(units, "Maxout: units", "Maxout(240, num_pieces=5)")
        self.num_pieces = _checks.positive_integer(num_pieces, "Maxout: num_pieces", "Maxout(240, num_pieces=5)")
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.input_spec = keras.InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the kernel and the biases of all pieces."""
        features = _checks.known_size(input_shape, -1, "Maxout")
        self.kernel = self.add_weight(
            name="kernel",
            shape=(features, self.units, self.num_pieces),
            initializer=_of_each_piece(self.kernel_initializer),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units, self.num_pieces),
                initializer=_of_each_piece(self.bias_initializer),
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = keras.InputSpec(min_ndim=2, axes={-1: features})

    def call(self, inputs: Any) -> Any:
        """Compute all pieces as one dense layer, then take the largest of each unit."""
        width = self.units * self.num_pieces
        pieces = ops.matmul(inputs, ops.reshape(self.kernel, (-1, width)))
        if self.bias is not None:
            pieces = pieces + ops.reshape(self.bias, (width,))
        return _largest_of_groups(pieces, self.num_pieces, axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output shape."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "num_pieces": self.num_pieces,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
        }


@keras.saving.register_keras_serializable(package="deepkit")
class ChannelMax(keras.layers.Layer):
    """The largest of each `num_pieces` neighbouring channels: pooling across channels, without weights.

    Behind a linear convolution of `filters * num_pieces` maps it makes `filters` convolutional maxout units.
    Source: Goodfellow et al. 2013, "Maxout Networks", section 2.

    Args:
        num_pieces: Number of neighbouring channels that become one; the paper's k.
        data_format: `"channels_last"`, `"channels_first"`, or None for Keras's setting.

    Input shape:
        `(batch, ..., channels)`, or `(batch, channels, ...)` under `"channels_first"`.

    Output shape:
        The same with `channels // num_pieces` channels.

    Raises:
        ValueError: An argument is wrong, or the number of channels is unknown or no multiple of `num_pieces`.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> unit = [layers.Conv2D(2 * 48, 8, padding="same"), dk.layers.ChannelMax(2), layers.MaxPooling2D(4, 2)]
        >>> net = dk.Sequential([*unit, layers.Flatten(), dk.layers.Maxout(240, num_pieces=5), dk.Classifier(10)])
        >>> net.build((28, 28, 1)).output_shape
        (None, 10)
    """

    def __init__(self, num_pieces: int = 2, *, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_pieces = _checks.positive_integer(num_pieces, "ChannelMax: num_pieces", "ChannelMax(2)")
        self.data_format = _checks.data_format(data_format, "ChannelMax")
        self.input_spec = keras.InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check the number of channels."""
        self.compute_output_shape(input_shape)

    def call(self, inputs: Any) -> Any:
        """Take the largest of each group."""
        return _largest_of_groups(inputs, self.num_pieces, axis=_checks.channel_axis(self.data_format))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output shape."""
        axis = _checks.channel_axis(self.data_format)
        channels = _checks.known_size(input_shape, axis, "ChannelMax")
        if channels % self.num_pieces:
            raise ValueError(
                f"ChannelMax: the number of channels must be a multiple of num_pieces={self.num_pieces}, "
                f"received {channels} channels\n  hint: filters={self.num_pieces} * units in the layer before"
            )
        shape = list(input_shape)
        shape[axis] = channels // self.num_pieces
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "num_pieces": self.num_pieces, "data_format": self.data_format}


def _largest_of_groups(x: Any, size: int, axis: int) -> Any:
    """Return the largest of each `size` neighbours along an axis, 1 or -1."""
    shape = ops.shape(x)
    if axis == 1:
        return ops.max(ops.reshape(x, (shape[0], shape[1] // size, size, *shape[2:])), axis=2)
    return ops.max(ops.reshape(x, (*shape[:-1], shape[-1] // size, size)), axis=-1)


def _of_each_piece(initializer: Any) -> Any:
    """Return an initialiser of shapes `(..., num_pieces)` that draws each piece as a weight of its own."""

    def draw(shape: tuple[int, ...], dtype: Any = None) -> Any:
        pieces = [one(shape[:-1], dtype=dtype) for one in independent(initializer, shape[-1])]
        return ops.stack(pieces, axis=-1)

    return draw
