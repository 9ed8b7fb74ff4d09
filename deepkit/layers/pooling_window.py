"""The windows of pooling layers for inputs of any rank: the base class, its arguments, and the padding of `"same"`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from deepkit.layers.axes import standardize_data_format
from deepkit.utils.errors import message
from deepkit.utils.validation import check_choice, check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor


class WindowPooling(keras.layers.Layer):
    """The arguments and the output shape of a pooling layer for sequences, images and volumes; abstract.

    A subclass defines `call`, which pools over windows of the size and the strides of `pool_and_strides`.

    Args:
        pool_size: Size of the window in elements: one integer for all spatial axes, or one for each axis.
        strides: Distance between windows: one integer, or one for each axis; None for `pool_size`.
        padding: `"valid"` or `"same"`, as in Keras's pooling layers.
        data_format: `"channels_last"`, `"channels_first"`, or None for Keras's setting.

    Raises:
        ValueError: An argument is out of range, or does not match the number of spatial axes.
    """

    def __init__(
        self,
        pool_size: int | tuple[int, ...],
        *,
        strides: int | tuple[int, ...] | None,
        padding: str,
        data_format: str | None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        layer = type(self).__name__
        self.pool_size = check_sizes(pool_size, "pool_size", layer)
        self.strides = self.pool_size if strides is None else check_sizes(strides, "strides", layer)
        self.padding = check_choice(padding, f"{layer}: padding", ("valid", "same"), hint='use padding="same"')
        self.data_format = standardize_data_format(data_format, layer)
        self.input_spec = keras.InputSpec(min_ndim=3, max_ndim=5)

    def build(self, input_shape: Shape) -> None:
        """Check that the arguments match the number of axes."""
        self.pool_and_strides(len(input_shape))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the output shape."""
        pool, strides = self.pool_and_strides(len(input_shape))
        inputs = keras.KerasTensor(input_shape)
        return tuple(ops.average_pool(inputs, pool, strides, self.padding, self.data_format).shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
        }

    def pool_and_strides(self, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return pool size and strides, one integer for each spatial axis of an input with `rank` axes."""
        layer = type(self).__name__
        pool = broadcast_to_axes(self.pool_size, "pool_size", layer, rank)
        return pool, broadcast_to_axes(self.strides, "strides", layer, rank)


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
        ValueError: The number of integers differs from the number of spatial axes.
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
