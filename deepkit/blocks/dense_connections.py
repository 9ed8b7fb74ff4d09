"""Dense connections (DenseNet): every layer receives the outputs of all layers before it."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING

from keras import layers

from deepkit.blocks import common
from deepkit.blocks.conv import CONV_ARGUMENTS, ConvBlock
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.sequential import single

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor


class DenselyConnected(Block):
    """A body applied several times, each time to the concatenation of the input and all outputs so far.

    The paper's growth rate k is the number of channels of the body. Its layer is pre-activated:
    `dk.ConvBlock(k, order="norm-activation-conv")`; with a bottleneck
    `[dk.ConvBlock(4 * k, kernel_size=1, order=...), dk.ConvBlock(k, order=...)]`.

    Reference:
        Huang et al. 2017, "Densely Connected Convolutional Networks", section 3.

    Args:
        body: A block, a Keras layer or a list of them; it must keep all sizes except the channels.
        num_repeats: Number of repetitions, each with separate weights.

    Input shape:
        Input of the body, with any number of channels.

    Output shape:
        The same with `num_repeats` times the body's channels added.

    Raises:
        DefinitionError: `num_repeats` is not a positive integer, or the body changes a size other than the channels.

    Examples:
        >>> import deepkit as dk
        >>> block = dk.DenselyConnected(
        ...     dk.ConvBlock(12, order="norm-activation-conv"), num_repeats=3
        ... )
        >>> block.build((32, 32, 16)).output_shape  # 16 + 3 x 12 channels
        (None, 32, 32, 52)
    """

    body: fields.Body = fields.body()
    _: KW_ONLY
    num_repeats: int = fields.integer(maximum=common.MAX_REPEATS)

    def add(self, x: KerasTensor, builder: Builder) -> KerasTensor:
        """Add the body `num_repeats` times, each followed by a concatenation."""
        unit = single(self.body)
        units = [unit] * self.num_repeats
        concats = common.numbered("concat", self.num_repeats)
        for name, concat in zip(builder.sibling_names(units, reserved=concats), concats, strict=True):
            y = builder.add_block(name, unit, x)
            y = builder.require_single(y, "the body must return one tensor, but returns")
            common.check_same_shape([x, y], builder, except_channels=True)
            x = common.add_merge([x, y], concat, layers.Concatenate, builder, axis=common.channel_axis(x))
        return x


class Transition(Block):
    """Reduce channels and sizes between two densely connected stages.

    A normalization, an activation, a 1x1 convolution and a pooling.

    Reference:
        Huang et al. 2017, "Densely Connected Convolutional Networks", section 3, "Pooling layers" and "Compression".
        The activation is that of the authors' code; the text does not mention it.

    Args:
        compression: Fraction of the channels to keep, rounded down: theta in the paper.
        pool: `"avg"`, `"max"` or `"l2"` for windows of 2 with strides of 2, a pooling layer, or None.
        activation: Name of a Keras activation, a registered function, a layer, or None.
        norm: `"batch"` (momentum 0.9), `"layer"`, a layer, or None.
        conv: Further arguments of the Keras convolution.

    Input shape:
        As for `dk.ConvBlock`.

    Output shape:
        The same with `compression * channels` channels, and each size halved by the pooling; both rounded down.

    Raises:
        DefinitionError: `compression` lies outside (0, 1] or leaves no channel.

    Examples:
        >>> import deepkit as dk
        >>> dk.Transition().build((32, 32, 52)).output_shape
        (None, 16, 16, 26)
    """

    _: KW_ONLY
    compression: float = fields.number(default=0.5, above=0.0, maximum=1.0)
    pool: fields.NameOrLayer = fields.pool(default="avg")
    activation: fields.Activation = fields.activation(default="relu")
    norm: fields.NameOrLayer = fields.norm(default="batch")
    conv: fields.KerasArguments = fields.keras_arguments(layers.Conv2D, excluding=CONV_ARGUMENTS)

    def add(self, x: KerasTensor, builder: Builder) -> KerasTensor:
        """Add the convolution with its normalization and activation, then the pooling."""
        channels = common.num_channels(x, builder)
        filters = math.floor(self.compression * channels + 1e-9)  # 0.29 x 100 is 28.999... in binary
        if filters < 1:
            raise builder.error(f"compression={self.compression} keeps none of {channels} channels")
        squeeze = ConvBlock(
            filters,
            kernel_size=1,
            activation=self.activation,
            norm=self.norm,
            order="norm-activation-conv",
            conv=self.conv,
        )
        return common.add_pool(squeeze.add(x, builder), self.pool, builder)
