"""The axes of a layer's input: data format, channel axis and static sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from deepkit.utils.errors import message
from deepkit.utils.validation import check_choice

if TYPE_CHECKING:
    from deepkit.utils.types import Shape

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
