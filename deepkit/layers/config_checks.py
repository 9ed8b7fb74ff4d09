"""Checks of arguments that several layers share."""

from __future__ import annotations

from typing import Any

import keras


def positive_integer(value: Any, argument: str, hint: str) -> int:
    """Return a count or a size, or raise.

    Args:
        value: What the user gave.
        argument: The layer and its argument: `"Maxout: units"`.
        hint: Code that works.

    Raises:
        ValueError: It is no integer of at least 1.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{argument} must be a positive integer, received {value!r}\n  hint: {hint}")
    return value


def data_format(value: Any, layer: str) -> str:
    """Return the order of the axes, Keras's own where None was given, or raise."""
    if value is None:
        return keras.config.image_data_format()
    if value not in ("channels_last", "channels_first"):
        raise ValueError(
            f'{layer}: data_format must be "channels_last", "channels_first" or None, received {value!r}\n'
            '  hint: data_format="channels_last"'
        )
    return value


def channel_axis(order: str) -> int:
    """Return the axis that holds the channels under this data format."""
    return -1 if order == "channels_last" else 1


def known_size(input_shape: tuple[int | None, ...], axis: int, layer: str) -> int:
    """Return the size of an axis that the layer must know beforehand, or raise."""
    size = input_shape[axis]
    if size is None:
        raise ValueError(
            f"{layer}: axis {axis} of the input must have a known size, received the shape {tuple(input_shape)}\n"
            "  hint: keras.Input or build with a number on that axis"
        )
    return size
