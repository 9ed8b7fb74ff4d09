"""Residual connections with their three shortcuts, and the bottleneck."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from deepkit.blocks import common as parts
from deepkit.blocks.conv import ORDERS, ConvBlock, set_convolution_fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder, BuildState
from deepkit.definition.errors import shape_text
from deepkit.definition.sequential import as_body

SHORTCUTS = ("auto", "identity", "projection", "pad")
_MIDDLE_ONLY = ("groups", "dilation_rate")
_PROBE = 5040  # steps or pixels: large, and divisible by all small strides


@dataclass(frozen=True, repr=False)
class Residual(Block):
    """A body with a shortcut around it, added up (He et al. 2016, "Deep Residual Learning", sections 3.2 and 4.1).

    A projection of a sequence is a dense layer where the stride is 1, so that a mask passes; with a stride, or padded
    channels, a mask ends here.

    Args:
        body: A block, a Keras layer or a list of them. End it with `activation=None`: the activation comes
            after the addition.
        shortcut: `"identity"`; `"projection"`, a 1x1 convolution (a dense layer for vectors) without bias, then
            `norm`: option B of the paper; `"pad"`, every n-th pixel and zeros for the new channels, without
            weights: option A; `"auto"`, the identity where the shapes are equal, else a projection.
        activation: After the addition; None for pre-activation bodies.
        norm: Normalisation of a projection: `"batch"`, `"layer"`, a layer, or None.
        conv: Further arguments of a projection: `{"kernel_initializer": "he_normal"}`.

    Input shape:
        What the body takes.

    Output shape:
        What the body returns.

    Raises:
        DefinitionError: The shortcut cannot be brought to the body's output shape.

    Examples:
        >>> import deepkit as dk
        >>> block = dk.Residual([dk.ConvBlock(8), dk.ConvBlock(8, activation=None)])
        >>> block.build((28, 28, 8)).output_shape
        (None, 28, 28, 8)
    """

    body: Any = field(metadata={"body": "one or many"})
    shortcut: str = field(default="auto", kw_only=True)
    activation: Any = field(default="relu", kw_only=True)
    norm: Any = field(default="batch", kw_only=True)
    conv: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts.choice("Residual", "shortcut", self.shortcut, SHORTCUTS)
        object.__setattr__(self, "body", as_body(self.body, "Residual: body"))
        set_convolution_fields(self, ("filters", "kernel_size", "strides", "activation"))

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the body, the shortcut, their sum and the activation."""
        y = builder.add_all(x, self.body, reserved=("shortcut", "add", "activation"))
        builder.require_single(y, parts.SEVERAL)
        short = self._shortcut(x, y, builder.child("shortcut", self))
        # the shortcut first: Keras then walks the graph of a deep net along the short way
        y = builder.add_layer([short, y], "add", layers.Add)
        return parts.add_activation(y, self.activation, builder)

    def _shortcut(self, x: Any, y: Any, builder: Builder) -> Any:
        if len(x.shape) != len(y.shape):
            raise builder.error(f"the body turns {shape_text(x)} into {shape_text(y)}: the axes differ in number")
        strides = _strides(x, y, builder, self.body)
        channels = y.shape[parts.channel_axis(y)]
        same = set(strides) <= {1} and x.shape[parts.channel_axis(x)] == channels
        if self.shortcut == "identity" and not same:
            raise builder.error(
                f'shortcut="identity" cannot turn {shape_text(x)} into {shape_text(y)}',
                hint='shortcut="projection" or "pad", or a body that keeps the shape',
            )
        if self.shortcut == "identity" or (self.shortcut in ("auto", "pad") and same):
            return x
        if self.shortcut == "pad":
            return _pad(_subsample(x, strides, builder), channels, builder)
        return self._project(x, strides, channels, builder)

    def _project(self, x: Any, strides: tuple[int, ...], channels: int, builder: Builder) -> Any:
        given = {"use_bias": False} | self.conv.fresh()  # type: ignore[attr-defined]
        if not strides or (len(x.shape) == 3 and set(strides) == {1} and parts.channel_axis(x) == 2):
            short = builder.add_layer(x, "dense", layers.Dense, channels, **given)
        else:
            short = builder.add_layer(x, "conv", parts.by_rank("Conv", x, builder), channels, 1, strides, **given)
        return parts.add_norm(short, self.norm, builder)


@dataclass(frozen=True, repr=False)
class Bottleneck(Block):
    """A residual unit of three convolutions: 1x1 to `filters`, 3x3, and 1x1 to `expansion` times as many.

    Source: He et al. 2016, "Deep Residual Learning", section 4.1 and figure 5. The stride lies in the 3x3
    convolution, where most implementations have it; the authors' own models have it in the first. With
    `conv={"groups": 32}` it is ResNeXt's (Xie et al. 2017, section 3.3).

    Args:
        filters: Channels of the first two convolutions.
        strides: Of the 3x3 convolution, and of the shortcut.
        expansion: Output channels in units of `filters`.
        activation: Keras's name, a registered function, a layer, or None.
        norm: `"batch"`, `"layer"`, a layer, or None; of the projection too.
        order: Of each convolution, as in `ConvBlock`. With the activation before the convolution the unit is
            pre-activated (He et al. 2016b, figure 4): nothing comes after the addition, and a projection takes what
            the first activation gives, as the first convolution does, without a normalisation of its own.
        conv: Further arguments of the three convolutions; `groups` and `dilation_rate` go to the 3x3 one alone. A
            projection gets those of its kernel, such as `kernel_initializer`.

    Input shape:
        As `ConvBlock`.

    Output shape:
        The same with `expansion * filters` channels and each size divided by `strides`, rounded up.

    Raises:
        DefinitionError: An argument is out of range, or the input does not fit.

    Examples:
        >>> import deepkit as dk
        >>> dk.Bottleneck(64).build((56, 56, 256)).output_shape
        (None, 56, 56, 256)
        >>> dk.Bottleneck(128, expansion=2, conv={"groups": 32}).build((56, 56, 256)).output_shape
        (None, 56, 56, 256)
    """

    filters: int
    strides: int | tuple[int, ...] = field(default=1, kw_only=True)
    expansion: int = field(default=4, kw_only=True)
    activation: Any = field(default="relu", kw_only=True)
    norm: Any = field(default="batch", kw_only=True)
    order: str = field(default="conv-norm-activation", kw_only=True)
    conv: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts.positive("Bottleneck", "filters", self.filters)
        parts.positive("Bottleneck", "expansion", self.expansion)
        parts.choice("Bottleneck", "order", self.order, ORDERS)
        set_convolution_fields(self, ("filters", "kernel_size", "strides", "activation"))

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the residual unit that this is short for."""
        parts.by_rank("Conv", x, builder)  # refuses what is no sequence or image
        before, after = self.order.split("conv")
        if "activation" not in before:
            return self._unit(self.order, self.norm, {"activation": self.activation, "norm": self.norm}).add(x, builder)
        bare = {"activation": None, "norm": None}
        if self._keeps_shape(x):
            return self._unit(self.order, self.norm, bare, last=self.activation).add(x, builder)
        for part in before.split("-")[:-1]:  # common to the body and the projection
            add = parts.add_norm if part == "norm" else parts.add_activation
            x = add(x, self.norm if part == "norm" else self.activation, builder)
        turned = "-".join(filter(None, ["conv", after.strip("-"), before.strip("-")]))
        return self._unit(turned, self.norm if "norm" in after else None, bare).add(x, builder)

    def _keeps_shape(self, x: Any) -> bool:
        strides = self.strides if isinstance(self.strides, tuple) else (self.strides,)
        return set(strides) == {1} and x.shape[parts.channel_axis(x)] == self.expansion * self.filters

    def _unit(self, order: str, norm: Any, rest: Mapping[str, Any], last: Any = None) -> Residual:
        """Return the unit; `norm` and `last` are the normalisation and activation of the last convolution."""
        common: dict[str, Any] = {"order": order, "activation": self.activation, "norm": self.norm}
        thin = {key: value for key, value in self.conv.items() if key not in _MIDDLE_ONLY}
        narrow = ConvBlock(self.filters, kernel_size=1, conv=thin, **common)
        middle = ConvBlock(self.filters, strides=self.strides, conv=self.conv, **common)
        thin = {"use_bias": self.norm is None} | thin
        common |= {"activation": last, "norm": norm}
        wide = ConvBlock(self.expansion * self.filters, kernel_size=1, conv=thin, **common)
        kernel = {key: value for key, value in self.conv.items() if key.startswith("kernel_")}
        return Residual([narrow, middle, wide], conv=kernel, **rest)


def _strides(x: Any, y: Any, builder: Builder, body: tuple[Block, ...]) -> tuple[int, ...]:
    """Return by how much the body shrinks each spatial axis."""
    axes = parts.spatial_axes(x)
    if all(x.shape[axis] is not None and x.shape[axis] == y.shape[axis] for axis in axes):
        return (1,) * len(axes)
    after = _probed(x, y, builder, body)
    strides = tuple(math.ceil(_PROBE / after[axis]) for axis in axes)
    pairs = [(_PROBE, after[axis], s) for axis, s in zip(axes, strides, strict=True)]
    pairs += [(x.shape[axis], y.shape[axis], s) for axis, s in zip(axes, strides, strict=True)]
    if any(n is not None and m is not None and math.ceil(n / s) != m for n, m, s in pairs):
        raise builder.error(
            f"the body turns {shape_text(x)} into {shape_text(y)}, which no stride of a shortcut does",
            hint='padding="same" in the body',
        )
    return strides


def _probed(x: Any, y: Any, builder: Builder, body: tuple[Block, ...]) -> tuple[int, ...]:
    """Return the shape that the body makes of `_PROBE` steps or pixels: small sizes do not tell the stride."""
    shape = [_PROBE if axis in parts.spatial_axes(x) else size for axis, size in enumerate(x.shape)]
    try:
        return keras.Function(x, y).compute_output_spec(keras.KerasTensor((1, *shape[1:]), x.dtype)).shape
    except Exception:  # a mask comes from before x, or the body takes one size only
        inputs = keras.Input(tuple(shape[1:]), dtype=x.dtype)
    with keras.StatelessScope(initialize_variables=False):  # no weight is made
        try:
            return Builder(definition=builder.definition, state=BuildState()).add_all(inputs, body).shape
        except ValueError:
            pairs = zip(x.shape, y.shape, strict=True)
            return tuple(_PROBE if n is None or m is None else _PROBE // math.ceil(n / m) for n, m in pairs)


def _subsample(x: Any, strides: tuple[int, ...], builder: Builder) -> Any:
    if set(strides) <= {1}:
        return x
    return builder.add_layer(x, "pool", parts.by_rank("MaxPooling", x, builder), 1, strides)


def _pad(x: Any, channels: int, builder: Builder) -> Any:
    """Append zero channels with stock layers, so that the file opens without deepkit."""
    axis = parts.channel_axis(x)
    extra = channels - x.shape[axis]
    if extra < 0:
        raise builder.error(
            f'shortcut="pad" cannot take {x.shape[axis]} channels down to {channels}',
            hint='shortcut="projection"',
        )
    if extra == 0:
        return x
    if len(x.shape) == 2:
        x = builder.add_layer(x, "expand", layers.Reshape, (-1, 1))
        x = builder.add_layer(x, "pad", layers.ZeroPadding1D, (0, extra), data_format="channels_last")
        return builder.add_layer(x, "squeeze", layers.Flatten)
    # Keras pads the axes that the format calls spatial; under the other format the channels are one of them
    other = "channels_last" if axis == 1 else "channels_first"
    padding = [(0, 0)] * (len(x.shape) - 2)
    padding[0 if axis == 1 else -1] = (0, extra)
    given = padding[0] if len(padding) == 1 else tuple(padding)
    return builder.add_layer(x, "pad", parts.by_rank("ZeroPadding", x, builder), given, data_format=other)
