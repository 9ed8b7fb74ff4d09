"""Convolutions: one with its normalization and activation, and stacks of them with pooling."""

from __future__ import annotations

from dataclasses import KW_ONLY
from itertools import permutations
from typing import TYPE_CHECKING, Any

from keras import layers

from deepkit.blocks import common
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.masks import has_mask

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor

ORDERS = tuple("-".join(order) for order in permutations(("conv", "norm", "activation")))
_WINDOW_ARGUMENTS = ("padding", "dilation_rate", "groups", "data_format")  # without effect for a window of one step
CONV_ARGUMENTS = ("filters", "kernel_size", "strides", "activation")


class ConvBlock(Block):
    """A convolution, a normalization and an activation.

    The convolution is 1-D, 2-D or 3-D, depending on the rank of its input. Padding is `"same"` unless `conv` sets it.
    With `kernel_size=1` and `strides=1`, the convolution of a masked sequence is a dense layer, which keeps the mask; a
    larger window would read padded steps, and raises an error.
    With a normalization the convolution has no bias: the normalization after it, in this block or, in a pre-activation
    network, in the next one, would cancel the bias.

    Reference:
        Ioffe & Szegedy 2015, "Batch Normalization", section 3.2.

    Args:
        filters: Number of output channels.
        kernel_size: Width of the window in pixels or steps: one integer, or one per axis.
        strides: Distance between windows: one integer, or one per axis.
        activation: Name of a Keras activation, a registered function, a layer such as `layers.PReLU()`, or None.
        norm: `"batch"`, which has momentum 0.9 (with Keras's 0.99 the moving statistics need about 300 steps),
            `"layer"`, a layer such as `layers.GroupNormalization(8)`, or None.
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

    filters: int = fields.integer()
    _: KW_ONLY
    kernel_size: fields.Size = fields.size(default=3)
    strides: fields.Size = fields.size(default=1)
    activation: fields.Activation = fields.activation(default="relu")
    norm: fields.NameOrLayer = fields.norm(default="batch")
    order: str = fields.choice(ORDERS, default="conv-norm-activation")
    conv: fields.KerasArguments = fields.keras_arguments(layers.Conv2D, excluding=CONV_ARGUMENTS)

    def add(self, x: KerasTensor, builder: Builder) -> KerasTensor:
        """Add the convolution, the normalization and the activation in the order of `order`."""
        for step in self.order.split("-"):
            if step == "conv":
                x = self._convolve(x, builder)
            elif step == "norm":
                x = common.add_norm(x, self.norm, builder)
            else:
                x = common.add_activation(x, self.activation, builder)
        return x

    def _convolve(self, x: KerasTensor, builder: Builder) -> Any:
        kwargs: dict[str, Any] = {"padding": "same", "use_bias": self.norm is None} | self.conv.new()
        if has_mask(x) and kwargs.get("groups", 1) == 1 and common.is_stepwise(x, self.kernel_size, self.strides):
            dense = {key: value for key, value in kwargs.items() if key not in _WINDOW_ARGUMENTS}
            return builder.add_layer(x, "conv", layers.Dense, self.filters, **dense)  # the same function, with a mask
        make = common.layer_for_rank("Conv", x, builder)
        return builder.add_layer(x, "conv", make, self.filters, self.kernel_size, self.strides, **kwargs)


class ConvStack(Block):
    """Several `ConvBlock`s of one width, then pooling: the stage of a VGG-style network.

    Reference:
        Simonyan & Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition", section 2.1,
        without normalization (`norm=None`).

    Args:
        filters: Number of output channels of each convolution.
        num_convs: Number of convolutions.
        kernel_size: Width of their windows in pixels or steps: one integer, or one per axis.
        pool: `"max"`, `"avg"` or `"l2"` for windows of 2 with strides of 2, a pooling layer, or None.
        activation: Name of a Keras activation, a registered function, a layer, or None.
        norm: `"batch"` (momentum 0.9), `"layer"`, a layer, or None.
        conv: Further arguments of the Keras convolutions.

    Input shape:
        As for `dk.ConvBlock`.

    Output shape:
        The same with `filters` channels, each size halved and rounded down by the pooling.

    Raises:
        DefinitionError: An argument is out of range, or the input does not fit.

    Examples:
        >>> import deepkit as dk
        >>> dk.ConvStack(32, num_convs=2).build((28, 28, 1)).output_shape
        (None, 14, 14, 32)
    """

    filters: int = fields.integer()
    _: KW_ONLY
    num_convs: int = fields.integer(default=2, maximum=common.MAX_REPEATS)
    kernel_size: fields.Size = fields.size(default=3)
    pool: fields.NameOrLayer = fields.pool(default="max")
    activation: fields.Activation = fields.activation(default="relu")
    norm: fields.NameOrLayer = fields.norm(default="batch")
    conv: fields.KerasArguments = fields.keras_arguments(layers.Conv2D, excluding=CONV_ARGUMENTS)

    def add(self, x: KerasTensor, builder: Builder) -> KerasTensor:
        """Add the convolutions, then the pooling."""
        unit = ConvBlock(
            self.filters,
            kernel_size=self.kernel_size,
            activation=self.activation,
            norm=self.norm,
            conv=self.conv,
        )
        y = builder.add_all(x, [unit] * self.num_convs, reserved=("pool",))
        return common.add_pool(builder.require_single(y, "expected one tensor, received"), self.pool, builder)
