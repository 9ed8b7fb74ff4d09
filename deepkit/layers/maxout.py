"""Maxout: the maximum of several linear functions, in a dense layer or across channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from deepkit.layers.axes import channel_axis, standardize_data_format, static_size
from deepkit.layers.initializers import independent_initializers
from deepkit.utils.errors import message
from deepkit.utils.validation import check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import ConstraintLike, InitializerLike, RegularizerLike, Shape, Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class Maxout(keras.layers.Layer):
    """A dense layer in which each unit is the maximum of `num_pieces` linear functions of the input.

    A unit learns its own convex, piecewise linear activation; no other activation follows. Each piece is initialized
    as a separate dense layer: the initializer receives the shape `(features, units)`. The paper applies dropout to the
    input. For its convolutional networks see `ChannelMax`.

    Reference:
        Goodfellow et al. 2013, "Maxout Networks", section 2.

    Args:
        units: Number of outputs.
        num_pieces: Number of linear pieces of each unit; the paper's k.
        use_bias: Whether every piece has a bias.
        kernel_initializer: Initializer of the kernel, called once for each piece.
        bias_initializer: Initializer of the bias, called once for each piece.
        kernel_regularizer: Regularizer of the whole kernel, of shape `(features, units, num_pieces)`.
        bias_regularizer: Regularizer of the whole bias, of shape `(units, num_pieces)`.
        kernel_constraint: Constraint on the kernel; its axis 0 is the input, so that `MaxNorm(axis=0)` bounds each
            piece.
        bias_constraint: Constraint on the bias.

    Input shape:
        `(batch, ..., features)`.

    Output shape:
        `(batch, ..., units)`.

    Raises:
        ValueError: `units` or `num_pieces` is not a positive integer, or the number of features is unknown.

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
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        hint = "use Maxout(240, num_pieces=5)"
        self.units = check_integer(units, "Maxout: units", hint=hint)
        self.num_pieces = check_integer(num_pieces, "Maxout: num_pieces", hint=hint)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.input_spec = keras.InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """Create the kernel and the biases of all pieces."""
        features = static_size(input_shape, -1, "Maxout")
        self.kernel = self.add_weight(
            name="kernel",
            shape=(features, self.units, self.num_pieces),
            initializer=_initialize_each_piece(self.kernel_initializer),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units, self.num_pieces),
                initializer=_initialize_each_piece(self.bias_initializer),
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = keras.InputSpec(min_ndim=2, axes={-1: features})

    def call(self, inputs: Tensor) -> Tensor:
        """Compute all pieces as one dense layer, then take the maximum of each unit."""
        width = self.units * self.num_pieces
        pieces = ops.matmul(inputs, ops.reshape(self.kernel, (-1, width)))
        if self.bias is not None:
            pieces = pieces + ops.reshape(self.bias, (width,))
        return _max_of_groups(pieces, self.num_pieces, axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
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
    """The maximum of each `num_pieces` neighboring channels: max-pooling across channels, without weights.

    After a linear convolution with `filters * num_pieces` filters, it makes `filters` convolutional maxout units.

    Reference:
        Goodfellow et al. 2013, "Maxout Networks", section 2.

    Args:
        num_pieces: Number of neighboring channels in a group; the paper's k.
        data_format: `"channels_last"`, `"channels_first"`, or None for Keras's setting.

    Input shape:
        `(batch, ..., channels)`, or `(batch, channels, ...)` with `"channels_first"`.

    Output shape:
        The input shape, with `channels // num_pieces` channels.

    Raises:
        ValueError: An argument is out of range, or the number of channels is unknown or not a multiple of
            `num_pieces`.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> unit = [
        ...     layers.Conv2D(2 * 48, 8, padding="same"),
        ...     dk.layers.ChannelMax(2),
        ...     layers.MaxPooling2D(4, 2),
        ... ]
        >>> net = dk.Sequential(
        ...     [
        ...         *unit,
        ...         layers.Flatten(),
        ...         dk.layers.Maxout(240, num_pieces=5),
        ...         dk.Classifier(10),
        ...     ]
        ... )
        >>> net.build((28, 28, 1)).output_shape
        (None, 10)
    """

    def __init__(self, num_pieces: int = 2, *, data_format: str | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.num_pieces = check_integer(num_pieces, "ChannelMax: num_pieces", hint="use ChannelMax(2)")
        self.data_format = standardize_data_format(data_format, "ChannelMax")
        self.input_spec = keras.InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """Check the number of channels."""
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        """Take the maximum of each group of channels."""
        return _max_of_groups(inputs, self.num_pieces, axis=channel_axis(self.data_format))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the output shape."""
        axis = channel_axis(self.data_format)
        channels = static_size(input_shape, axis, "ChannelMax")
        if channels % self.num_pieces:
            problem = (
                f"ChannelMax: the number of channels must be a multiple of num_pieces={self.num_pieces}, "
                f"received {channels} channels"
            )
            raise ValueError(message(problem, hint=f"use filters={self.num_pieces} * units in the layer before"))
        shape = list(input_shape)
        shape[axis] = channels // self.num_pieces
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "num_pieces": self.num_pieces, "data_format": self.data_format}


def _max_of_groups(x: Tensor, size: int, axis: int) -> Tensor:
    """Return the maximum of each `size` neighbors along an axis, 1 or -1."""
    shape = ops.shape(x)
    if axis == 1:
        return ops.max(ops.reshape(x, (shape[0], shape[1] // size, size, *shape[2:])), axis=2)
    return ops.max(ops.reshape(x, (*shape[:-1], shape[-1] // size, size)), axis=-1)


def _initialize_each_piece(initializer: Callable[..., Any]) -> Callable[..., Tensor]:
    """Return an initializer for shapes `(..., num_pieces)` that draws each piece as a separate weight."""

    def initialize(shape: tuple[int, ...], dtype: str | None = None) -> Tensor:
        initializers = independent_initializers(initializer, shape[-1])
        return ops.stack([initialize_piece(shape[:-1], dtype=dtype) for initialize_piece in initializers], axis=-1)

    return initialize
