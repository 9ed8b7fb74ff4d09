"""Convolutions: one with its normalisation and activation, and stacks of them with pooling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

from keras import layers

from deepkit.blocks import common as parts
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.source import Arguments

ORDERS = tuple("-".join(order) for order in permutations(("conv", "norm", "activation")))
_NAMED = ("filters", "kernel_size", "strides", "activation")


@dataclass(frozen=True, repr=False)
class ConvBlock(Block):
    """A convolution, a normalisation and an activation (Ioffe & Szegedy 2015, section 3.2).

    The convolution is 1-D, 2-D or 3-D after the rank of its input. Padding is `"same"` unless `conv` says
    otherwise, and the convolution has no bias where the block normalises: the next normalisation cancels it, which
    is this block's, or in a pre-activated net the next block's.

    Args:
        filters: Number of output channels.
        kernel_size: Width of the window in pixels or steps: one integer, or one per axis.
        strides: Distance between windows: one integer, or one per axis.
        activation: Keras's name, a registered function, a layer such as `layers.PReLU()`, or None.
        norm: `"batch"`, `"layer"`, a layer such as `layers.GroupNormalization(8)`, or None.
        order: The order of the three: `"norm-activation-conv"` is pre-activation (He et al. 2016b).
        conv: Further arguments of the Keras convolution: `{"dilation_rate": 2, "groups": 4}`.

    Input shape:
        `(batch, steps, channels)`, `(batch, rows, columns, channels)` or `(batch, planes, rows, columns, channels)`.

    Output shape:
        The same with `filters` channels and each size divided by `strides`, rounded up.

    Raises:
        DefinitionError: An argument is out of range, or the input does not fit.

    Examples:
        >>> import deepkit as dk
        >>> dk.ConvBlock(16, kernel_size=5, strides=2).build((28, 28, 1)).output_shape
        (None, 14, 14, 16)
    """

    filters: int
    kernel_size: int | tuple[int, ...] = field(default=3, kw_only=True)
    strides: int | tuple[int, ...] = field(default=1, kw_only=True)
    activation: Any = field(default="relu", kw_only=True)
    norm: Any = field(default="batch", kw_only=True)
    order: str = field(default="conv-norm-activation", kw_only=True)
    conv: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts.positive("ConvBlock", "filters", self.filters)
        parts.choice("ConvBlock", "order", self.order, ORDERS)
        set_convolution_fields(self, _NAMED)

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the three in order."""
        for part in self.order.split("-"):
            if part == "conv":
                x = self._convolve(x, builder)
            elif part == "norm":
                x = parts.add_norm(x, self.norm, builder)
            else:
                x = parts.add_activation(x, self.activation, builder)
        return x

    def _convolve(self, x: Any, builder: Builder) -> Any:
        given = {"padding": "same", "use_bias": self.norm is None} | self.conv.fresh()  # type: ignore[attr-defined]
        make = parts.by_rank("Conv", x, builder)
        return builder.add_layer(x, "conv", make, self.filters, self.kernel_size, self.strides, **given)


@dataclass(frozen=True, repr=False)
class ConvStack(Block):
    """Several `ConvBlock`s of one width, then pooling: the stage of a VGG-style network.

    Source: Simonyan & Zisserman 2015, section 2.1 (there without normalisation: `norm=None`).

    Args:
        filters: Number of channels of every convolution.
        num_convs: Number of convolutions.
        kernel_size: Width of the window in pixels or steps: one integer, or one per axis.
        pool: `"max"`, `"avg"` or `"l2"` for windows of 2 with strides of 2, a pooling layer, or None.
        activation: Keras's name, a registered function, a layer, or None.
        norm: `"batch"`, `"layer"`, a layer, or None.
        conv: Further arguments of the Keras convolutions.

    Input shape:
        As `ConvBlock`.

    Output shape:
        The same with `filters` channels, each size halved and rounded down by the pooling.

    Raises:
        DefinitionError: An argument is out of range, or the input does not fit.

    Examples:
        >>> import deepkit as dk
        >>> dk.ConvStack(32, num_convs=2).build((28, 28, 1)).output_shape
        (None, 14, 14, 32)
    """

    filters: int
    num_convs: int = field(default=2, kw_only=True)
    kernel_size: int | tuple[int, ...] = field(default=3, kw_only=True)
    pool: Any = field(default="max", kw_only=True)
    activation: Any = field(default="relu", kw_only=True)
    norm: Any = field(default="batch", kw_only=True)
    conv: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts.positive("ConvStack", "filters", self.filters)
        parts.positive("ConvStack", "num_convs", self.num_convs, most=parts.MOST)
        set_convolution_fields(self, _NAMED)
        object.__setattr__(self, "pool", parts.pool_value("ConvStack", self.pool))

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the convolutions, then the pooling."""
        unit = ConvBlock(
            self.filters,
            kernel_size=self.kernel_size,
            activation=self.activation,
            norm=self.norm,
            conv=self.conv,
        )
        x = builder.add_all(x, [unit] * self.num_convs, reserved=("pool",))
        return parts.add_pool(x, self.pool, builder)


def set_convolution_fields(block: Any, named: tuple[str, ...]) -> None:
    """Check and keep as values the arguments that every convolutional block has."""
    owner = type(block).__name__
    kept: dict[str, Any] = {
        "activation": parts.activation_value(owner, block.activation),
        "norm": parts.norm_value(owner, block.norm),
        "conv": Arguments(block.conv, layers.Conv2D, owner=f"{owner}(conv=...)", taken=named),
    }
    for argument in ("kernel_size", "strides"):
        if hasattr(block, argument):
            kept[argument] = parts.sizes(owner, argument, getattr(block, argument))
    for key, value in kept.items():
        object.__setattr__(block, key, value)
