"""The windows of pooling layers for inputs of any rank: their arguments, and the padding of `"same"`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras import ops

from deepkit.utils.errors import message
from deepkit.utils.validation import check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


def check_sizes(value: object, argument: str, layer: str) -> int | tuple[int, ...]:
    """Return one positive integer, or a tuple of positive integers.

    Args:
        value: The value of the argument.
        argument: Name of the argument, for the message.
        layer: Class name of the layer, for the message.

    Raises:
        ValueError: A number is not a positive integer.
    """
    name, hint = f"{layer}: {argument}", f"use {layer}(2)"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(check_integer(size, name, hint=hint) for size in value)
    return check_integer(value, name, hint=hint)


def broadcast_to_axes(value: int | tuple[int, ...], argument: str, layer: str, rank: int) -> tuple[int, ...]:
    """Return one integer for each spatial axis of an input with `rank` axes.

    Raises:
        ValueError: There are as many integers as another number of axes needs.
    """
    sizes = (value,) * (rank - 2) if isinstance(value, int) else value
    if len(sizes) != rank - 2:
        problem = f"{layer}: {argument}={value} has {len(sizes)} numbers, the input has {rank - 2} spatial axes"
        raise ValueError(message(problem, hint=f"use {argument}={sizes[0] if sizes else 2} for all axes"))
    return sizes


def pad_same(x: Tensor, pool: tuple[int, ...], strides: tuple[int, ...], data_format: str) -> Tensor:
    """Add zeros at the borders, so that windows with `padding="valid"` have the positions of `padding="same"`."""
    first_axis = 1 if data_format == "channels_last" else 2
    widths: list[tuple[Tensor | int, Tensor | int]] = [(0, 0)] * len(x.shape)
    for axis, (size, stride) in enumerate(zip(pool, strides, strict=True), start=first_axis):
        n = ops.shape(x)[axis]
        excess = ((n + stride - 1) // stride - 1) * stride + size - n
        excess = max(excess, 0) if isinstance(n, int) else ops.maximum(excess, 0)
        widths[axis] = (excess // 2, excess - excess // 2)
    return ops.pad(x, widths)
