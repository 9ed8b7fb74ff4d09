"""The axes and the dtype of a layer's input: data format, channel axis, static sizes, integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import ops

from deepkit.utils.errors import message
from deepkit.utils.validation import check_choice

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor

DATA_FORMATS = ("channels_last", "channels_first")


def standardize_data_format(value: object, layer: str) -> str:
    """Return a data format: Keras's setting for None.

    Args:
        value: `"channels_last"`, `"channels_first"` or None.
        layer: Class name of the layer, for the message.

    Raises:
        ValueError: The value is none of these.
    """
    if value is None:
        return keras.config.image_data_format()
    return check_choice(value, f"{layer}: data_format", DATA_FORMATS, hint='use data_format="channels_last"')


def channel_axis(data_format: str) -> int:
    """Return the axis of the channels."""
    return -1 if data_format == "channels_last" else 1


def to_channels_last(x: Tensor, data_format: str) -> Tensor:
    """Return a tensor with the channels on its last axis; TensorFlow does not convolve the others on a CPU."""
    return x if data_format == "channels_last" else ops.moveaxis(x, 1, -1)


def from_channels_last(x: Tensor, data_format: str) -> Tensor:
    """Return a tensor with the channels where the data format has them."""
    return x if data_format == "channels_last" else ops.moveaxis(x, -1, 1)


def spatial_sizes(input_shape: Shape, data_format: str) -> Shape:
    """Return the sizes of the axes other than batch and channels."""
    return tuple(input_shape[1:-1] if data_format == "channels_last" else input_shape[2:])


def make_shape(batch: int | None, sizes: Shape, channels: int | None, data_format: str) -> Shape:
    """Return the shape of a batch with these spatial sizes and channels."""
    return (batch, *sizes, channels) if data_format == "channels_last" else (batch, channels, *sizes)


def as_float(x: Tensor, dtype: str) -> Tensor:
    """Cast integers and booleans to a float dtype; Keras casts only floats to the compute dtype of a layer."""
    return x if keras.backend.is_float_dtype(x.dtype) else ops.cast(x, dtype)


def static_size(input_shape: Shape, axis: int, layer: str) -> int:
    """Return the size of an axis whose size the weights or the computation of a layer depend on.

    Args:
        input_shape: Shape with the batch axis.
        axis: Index of the axis.
        layer: Class name of the layer, for the message.

    Raises:
        ValueError: The size is None.
    """
    size = input_shape[axis]
    if size is None:
        problem = f"{layer}: axis {axis} of the input must have a known size, received the shape {tuple(input_shape)}"
        raise ValueError(message(problem, hint="use a keras.Input, or a build shape, with a number on that axis"))
    return size
