"""Blocks that work channel by channel: squeeze-and-excitation, and depthwise-separable convolution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras import layers

from deepkit.blocks import common as parts
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.source import Arguments


@dataclass(frozen=True, repr=False)
class SqueezeExcitation(Block):
    """Each channel scaled by a gate that sees the average of all channels.

    Source: Hu, Shen & Sun 2018, "Squeeze-and-Excitation Networks", section 3. It comes last in the body of a
    residual: `dk.Residual([..., dk.SqueezeExcitation()])`.

    Args:
        ratio: By how much the inner layer is narrower than the input; it has one unit at least.
        activation: Of the inner layer.
        dense: Further arguments of both dense layers.

    Input shape:
        `(batch, steps, channels)`, `(batch, rows, columns, channels)` or a volume; sizes may be unknown.

    Output shape:
        That of the input. A mask is used in the average and ends here.

    Raises:
        DefinitionError: `ratio` is not a positive integer, or the input has no positions to average.

    Examples:
        >>> import deepkit as dk
        >>> dk.SqueezeExcitation(ratio=16).build((None, None, 64)).count_params()
        580
    """

    ratio: int = field(default=16, kw_only=True)
    activation: Any = field(default="relu", kw_only=True)
    dense: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts.positive("SqueezeExcitation", "ratio", self.ratio)
        owner = "SqueezeExcitation"
        dense = Arguments(self.dense, layers.Dense, owner=f"{owner}(dense=...)", taken=("units", "activation"))
        object.__setattr__(self, "activation", parts.activation_value(owner, self.activation))
        object.__setattr__(self, "dense", dense)

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the average, the two dense layers and the product."""
        width = parts.channels(x, builder)
        y = builder.add_layer(x, "pool", parts.by_rank("GlobalAveragePooling", x, builder))
        y = builder.add_layer(y, "squeeze", layers.Dense, max(1, width // self.ratio), **self._given())
        y = parts.add_activation(y, self.activation, builder)
        y = builder.add_layer(y, "excite", layers.Dense, width, activation="sigmoid", **self._given())
        shape = [1] * (len(x.shape) - 1)
        shape[parts.channel_axis(x) - 1] = width
        gates = builder.add_layer(y, "reshape", layers.Reshape, tuple(shape))
        return builder.add_layer([x, gates], "multiply", layers.Multiply)

    def _given(self) -> dict[str, Any]:
        return self.dense.fresh()  # type: ignore[attr-defined]


@dataclass(frozen=True, repr=False)
class SeparableConvBlock(Block):
    """A convolution in two steps: each channel by itself, then 1x1 across channels, each normalised and activated.

    Source: Howard et al. 2017, "MobileNets", section 3.1 and figure 3. The form without anything between the two
    steps (Chollet 2017, "Xception") is `layers.SeparableConv2D`, an element like any other.

    Args:
        filters: Number of output channels.
        kernel_size: Window of the first step, in pixels or steps: one integer, or one per axis.
        strides: Distance between windows of the first step.
        activation: After each step: Keras's name, a registered function, a layer, or None.
        norm: After each step: `"batch"`, `"layer"`, a layer, or None.
        depthwise: Further arguments of `keras.layers.DepthwiseConv2D`: `{"depth_multiplier": 2}`.
        pointwise: Further arguments of the 1x1 convolution.

    Input shape:
        `(batch, steps, channels)` or `(batch, rows, columns, channels)`.

    Output shape:
        The same with `filters` channels and each size divided by `strides`, rounded up.

    Raises:
        DefinitionError: An argument is out of range, or the input does not fit.

    Examples:
        >>> import deepkit as dk
        >>> dk.SeparableConvBlock(64, strides=2).build((56, 56, 32)).output_shape
        (None, 28, 28, 64)
    """

    filters: int
    kernel_size: int | tuple[int, ...] = field(default=3, kw_only=True)
    strides: int | tuple[int, ...] = field(default=1, kw_only=True)
    activation: Any = field(default="relu", kw_only=True)
    norm: Any = field(default="batch", kw_only=True)
    depthwise: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    pointwise: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        owner, taken = "SeparableConvBlock", ("filters", "kernel_size", "strides", "activation")
        parts.positive(owner, "filters", self.filters)
        values = {
            "kernel_size": parts.sizes(owner, "kernel_size", self.kernel_size),
            "strides": parts.sizes(owner, "strides", self.strides),
            "activation": parts.activation_value(owner, self.activation),
            "norm": parts.norm_value(owner, self.norm),
            "depthwise": Arguments(
                self.depthwise, layers.DepthwiseConv2D, owner=f"{owner}(depthwise=...)", taken=taken
            ),
            "pointwise": Arguments(self.pointwise, layers.Conv2D, owner=f"{owner}(pointwise=...)", taken=taken),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the two steps."""
        if len(x.shape) not in (3, 4):
            raise builder.error(f"expected a sequence or an image, received {tuple(x.shape[1:])}")
        usual = {"padding": "same", "use_bias": self.norm is None}
        x = builder.add_layer(
            x,
            "depthwise",
            parts.by_rank("DepthwiseConv", x, builder),
            self.kernel_size,
            self.strides,
            **(usual | self.depthwise.fresh()),  # type: ignore[attr-defined]
        )
        x = self._finished(x, "1", builder)
        make, given = parts.by_rank("Conv", x, builder), usual | self.pointwise.fresh()  # type: ignore[attr-defined]
        return self._finished(builder.add_layer(x, "pointwise", make, self.filters, 1, **given), "2", builder)

    def _finished(self, x: Any, number: str, builder: Builder) -> Any:
        x = parts.add_norm(x, self.norm, builder, f"norm{number}")
        return parts.add_activation(x, self.activation, builder, f"activation{number}")
