"""Blocks that work channel by channel: squeeze-and-excitation, and depthwise-separable convolution."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

from keras import layers

from deepkit.blocks import common
from deepkit.blocks.conv import CONV_ARGUMENTS
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor


class SqueezeExcitation(Block):
    """Scale each channel by a gate computed from the averages of all channels.

    Use it as the last element in the body of a residual: `dk.Residual([..., dk.SqueezeExcitation()])`.

    Reference:
        Hu, Shen & Sun 2018, "Squeeze-and-Excitation Networks", section 3.

    Args:
        ratio: Number of channels divided by the units of the inner layer, which has at least one unit.
        activation: Activation of the inner layer.
        dense: Further arguments of both dense layers.

    Input shape:
        `(batch, steps, channels)`, `(batch, rows, columns, channels)` or a volume; sizes may be unknown.

    Output shape:
        The input shape. The average ignores masked steps, and the output has the mask of the input.

    Raises:
        DefinitionError: `ratio` is not a positive integer, or the input has no positions to average.

    Examples:
        >>> import deepkit as dk
        >>> dk.SqueezeExcitation(ratio=16).build((None, None, 64)).count_params()
        580
    """

    _: KW_ONLY
    ratio: int = fields.integer(default=16)
    activation: fields.Activation = fields.activation(default="relu")
    dense: fields.KerasArguments = fields.keras_arguments(layers.Dense, excluding=("units", "activation"))

    def add(self, x: KerasTensor, builder: Builder) -> KerasTensor:
        """Add the average, the two dense layers and the product."""
        width = common.num_channels(x, builder)
        y = common.add_global_pool(x, "avg", builder)
        y = builder.add_layer(y, "squeeze", layers.Dense, max(1, width // self.ratio), **self.dense.new())
        y = common.add_activation(y, self.activation, builder)
        y = builder.add_layer(y, "excite", layers.Dense, width, activation="sigmoid", **self.dense.new())
        shape = [1] * (len(x.shape) - 1)
        shape[common.channel_axis(x) - 1] = width
        gates = builder.add_layer(y, "reshape", layers.Reshape, tuple(shape))
        return common.add_merge([x, gates], "multiply", layers.Multiply, builder)


class SeparableConvBlock(Block):
    """A convolution in two steps: per channel, then 1x1 across channels, each with normalization and activation.

    The version without normalization and activation between the two steps (Chollet 2017, "Xception") is
    `layers.SeparableConv2D`.

    Reference:
        Howard et al. 2017, "MobileNets", section 3.1 and figure 3.

    Args:
        filters: Number of output channels.
        kernel_size: Window of the first step, in pixels or steps: one integer, or one per axis.
        strides: Distance between windows of the first step.
        activation: Activation after each step: name of a Keras activation, a registered function, a layer, or None.
        norm: Normalization after each step: `"batch"` (momentum 0.9), `"layer"`, a layer, or None.
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

    filters: int = fields.integer()
    _: KW_ONLY
    kernel_size: fields.Size = fields.size(default=3)
    strides: fields.Size = fields.size(default=1)
    activation: fields.Activation = fields.activation(default="relu")
    norm: fields.NameOrLayer = fields.norm(default="batch")
    depthwise: fields.KerasArguments = fields.keras_arguments(layers.DepthwiseConv2D, excluding=CONV_ARGUMENTS[1:])
    pointwise: fields.KerasArguments = fields.keras_arguments(layers.Conv2D, excluding=CONV_ARGUMENTS)

    def add(self, x: KerasTensor, builder: Builder) -> KerasTensor:
        """Add the two steps."""
        if len(x.shape) not in (3, 4):
            raise builder.error(f"expected a sequence or an image, received {tuple(x.shape[1:])}")
        defaults: dict[str, Any] = {"padding": "same", "use_bias": self.norm is None}
        make = common.layer_for_rank("DepthwiseConv", x, builder)
        kwargs = defaults | self.depthwise.new()
        x = builder.add_layer(x, "depthwise", make, self.kernel_size, self.strides, **kwargs)
        x = self._normalize_and_activate(x, "1", builder)
        make = common.layer_for_rank("Conv", x, builder)
        x = builder.add_layer(x, "pointwise", make, self.filters, 1, **(defaults | self.pointwise.new()))
        return self._normalize_and_activate(x, "2", builder)

    def _normalize_and_activate(self, x: KerasTensor, number: str, builder: Builder) -> Any:
        x = common.add_norm(x, self.norm, builder, f"norm{number}")
        return common.add_activation(x, self.activation, builder, f"activation{number}")
