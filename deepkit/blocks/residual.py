"""Residual connections with their three shortcuts, and the bottleneck."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

from keras import layers

from deepkit.blocks import common
from deepkit.blocks.conv import CONV_ARGUMENTS, ORDERS, ConvBlock
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import shape_text
from deepkit.definition.masks import has_mask

if TYPE_CHECKING:
    from deepkit.definition.fields import BodyLike
    from deepkit.utils.types import KerasTensor

SHORTCUTS = ("auto", "identity", "projection", "pad")
_ENLARGING = (
    layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose,
    layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D,
)  # fmt: skip
_MIDDLE_ONLY = ("groups", "dilation_rate")  # arguments of the 3x3 convolution of a bottleneck


class Residual(Block):
    """The sum of a body and a shortcut around it.

    The sum of a masked sequence has a mask, also if the body loses it: see the rule of `dk.Merge`. A projection with
    stride 1 is a dense layer, which passes the mask on.

    Reference:
        He et al. 2016, "Deep Residual Learning", sections 3.2 and 4.1.

    Args:
        body: A block, a Keras layer or a list of them. End it with `activation=None`: the activation comes
            after the addition.
        strides: Factor by which the body reduces each spatial axis: one integer, or one per axis. None infers it from
            the layers of the body, or from the sizes of its input and output if the body contains a model.
        shortcut: `"identity"`; `"projection"`, a 1x1 convolution (a dense layer for vectors) without bias, then
            `norm`: option B of the paper; `"pad"`, every n-th pixel and zeros for the new channels, without
            weights: option A; `"auto"`, the identity if the shapes are equal, else a projection.
        activation: Activation after the addition; None for pre-activation bodies.
        norm: Normalization of a projection: `"batch"` (momentum 0.9), `"layer"`, a layer, or None.
        conv: Further arguments of a projection: `{"kernel_initializer": "he_normal"}`.

    Input shape:
        Input of the body.

    Output shape:
        Output of the body.

    Raises:
        DefinitionError: The shortcut cannot have the body's output shape, or the strides of the body are unknown.

    Examples:
        >>> import deepkit as dk
        >>> block = dk.Residual([dk.ConvBlock(8), dk.ConvBlock(8, activation=None)])
        >>> block.build((28, 28, 8)).output_shape
        (None, 28, 28, 8)
    """

    body: fields.Body = fields.body()
    _: KW_ONLY
    strides: fields.Size | None = fields.size(default=None)
    shortcut: str = fields.choice(SHORTCUTS, default="auto")
    activation: fields.Activation = fields.activation(default="relu")
    norm: fields.NameOrLayer = fields.norm(default="batch")
    conv: fields.KerasArguments = fields.keras_arguments(layers.Conv2D, excluding=CONV_ARGUMENTS)

    def add(self, x: KerasTensor, builder: Builder) -> KerasTensor:
        """Add the body, the shortcut, their sum and the activation."""
        y = builder.require_single(
            builder.add_all(x, self.body, reserved=("shortcut", "add", "activation")),
            "the body must return one tensor, but returns",
        )
        shortcut = self._shortcut(x, y, builder.child("shortcut", self))
        # the shortcut comes first: Keras then recurses through a deep network along the short path
        y = common.add_merge([shortcut, y], "add", layers.Add, builder)
        return common.add_activation(y, self.activation, builder)

    def _shortcut(self, x: KerasTensor, y: KerasTensor, builder: Builder) -> Any:
        if len(x.shape) != len(y.shape):
            raise builder.error(f"the body maps {shape_text(x)} to {shape_text(y)}, which has another number of axes")
        strides = self._strides(x, y, builder)
        channels = y.shape[common.channel_axis(y)]
        is_same = set(strides) <= {1} and x.shape[common.channel_axis(x)] == channels
        if self.shortcut == "identity" and not is_same:
            raise builder.error(
                f'shortcut="identity" cannot map {shape_text(x)} to {shape_text(y)}',
                hint='use shortcut="projection" or "pad", or a body that keeps the shape',
            )
        if is_same and self.shortcut != "projection":
            return x
        if self.shortcut == "pad":
            return _pad_channels(_subsample(x, strides, builder), channels, builder)
        return self._project(x, strides, channels, builder)

    def _project(self, x: KerasTensor, strides: tuple[int, ...], channels: int, builder: Builder) -> Any:
        kwargs = {"use_bias": False} | self.conv.new()
        if not strides or common.is_stepwise(x, 1, strides):
            projected = builder.add_layer(x, "dense", layers.Dense, channels, **kwargs)
        else:
            make = common.layer_for_rank("Conv", x, builder)
            projected = builder.add_layer(x, "conv", make, channels, 1, strides, **kwargs)
        return common.add_norm(projected, self.norm, builder)

    def _strides(self, x: KerasTensor, y: KerasTensor, builder: Builder) -> tuple[int, ...]:
        """Return the factor by which the body reduces each spatial axis, checked against the known sizes."""
        sizes = [(x.shape[axis], y.shape[axis]) for axis in common.spatial_axes(x)]
        if self.strides is None:
            strides = _layer_strides(x, y, len(sizes)) or self._strides_of_sizes(sizes, x, y, builder)
        elif isinstance(self.strides, tuple):
            strides = self.strides
        else:
            strides = (self.strides,) * len(sizes)
        if len(strides) != len(sizes):
            raise builder.error(f"strides={strides} has another number of axes than the input {shape_text(x)}")
        for (before, after), stride in zip(sizes, strides, strict=True):
            if before is not None and after is not None and math.ceil(before / stride) != after:
                raise builder.error(
                    f"the body maps {shape_text(x)} to {shape_text(y)}, which strides of {strides} do not",
                    hint='use padding="same" in the body',
                )
        return strides

    def _strides_of_sizes(
        self, sizes: list[tuple[int | None, int | None]], x: KerasTensor, y: KerasTensor, builder: Builder
    ) -> tuple[int, ...]:
        """Return the smallest strides that fit the sizes before and after the body."""
        strides = []
        for before, after in sizes:
            if before is None or after is None:
                raise builder.error(
                    f"the strides of the body are unknown: it maps {shape_text(x)} to {shape_text(y)}",
                    hint="pass strides= to dk.Residual: 1 for a body that keeps the sizes",
                )
            strides.append(math.ceil(before / after))
        return tuple(strides)


def _layer_strides(x: KerasTensor, y: KerasTensor, rank: int) -> tuple[int, ...] | None:
    """Return the product of the strides of the layers from `x` to `y`, along the first input of each layer.

    None if the path does not lead to `x`, or leads through a model or a layer that enlarges its input.
    """
    strides = (1,) * rank
    while y is not x:
        layer, node_index, _ = y._keras_history  # type: ignore[attr-defined]
        inputs = layer._inbound_nodes[node_index].input_tensors
        if not inputs or hasattr(layer, "layers") or isinstance(layer, _ENLARGING):
            return None
        factors = getattr(layer, "strides", 1)
        factors = (factors,) * rank if isinstance(factors, int) else tuple(factors)
        if len(factors) != rank:
            return None
        strides = tuple(stride * factor for stride, factor in zip(strides, factors, strict=True))
        y = inputs[0]
    return strides


class Bottleneck(Block):
    """A residual unit of three convolutions: 1x1 and 3x3 with `filters` channels, 1x1 with `expansion * filters`.

    The 3x3 convolution has the strides, as in most implementations; in the authors' models the first one has them.
    With `conv={"groups": 32}` it is the unit of ResNeXt.

    Reference:
        He et al. 2016, "Deep Residual Learning", section 4.1 and figure 5; Xie et al. 2017, section 3.3, for ResNeXt.

    Args:
        filters: Number of channels of the first two convolutions.
        strides: Strides of the 3x3 convolution and of the shortcut.
        expansion: Number of output channels divided by `filters`.
        activation: Name of a Keras activation, a registered function, a layer, or None.
        norm: `"batch"` (momentum 0.9), `"layer"`, a layer, or None; of the projection too.
        order: Order in each `ConvBlock`. With the activation before the convolution the unit is
            pre-activated (He et al. 2016b, figure 4): nothing follows the addition, and a projection receives the
            output of the first activation, as the first convolution does, without a normalization.
        conv: Further arguments of the three convolutions; `groups` and `dilation_rate` go to the 3x3 one alone. A
            projection receives those of its kernel, such as `kernel_initializer`.

    Input shape:
        As for `dk.ConvBlock`.

    Output shape:
        The same with `expansion * filters` channels and each size divided by `strides`, rounded up.

    Raises:
        DefinitionError: An argument is out of range, or the input does not fit.

    Examples:
        >>> import deepkit as dk
        >>> dk.Bottleneck(64).build((56, 56, 256)).output_shape
        (None, 56, 56, 256)
        >>> dk.Bottleneck(128, expansion=2, conv={"groups": 32}).build(
        ...     (56, 56, 256)
        ... ).output_shape
        (None, 56, 56, 256)
    """

    filters: int = fields.integer()
    _: KW_ONLY
    strides: fields.Size = fields.size(default=1)
    expansion: int = fields.integer(default=4)
    activation: fields.Activation = fields.activation(default="relu")
    norm: fields.NameOrLayer = fields.norm(default="batch")
    order: str = fields.choice(ORDERS, default="conv-norm-activation")
    conv: fields.KerasArguments = fields.keras_arguments(layers.Conv2D, excluding=CONV_ARGUMENTS)

    def add(self, x: KerasTensor, builder: Builder) -> KerasTensor:
        """Add the residual unit."""
        common.layer_for_rank("Conv", x, builder)  # refuses an input that is not a sequence, an image or a volume
        before, after = self.order.split("conv")
        if "activation" not in before:
            return self._unit(self.order, self.norm, None, activation=self.activation, norm=self.norm).add(x, builder)
        if self._keeps_shape(x):
            return self._unit(self.order, self.norm, self.activation, activation=None, norm=None).add(x, builder)
        for step in before.split("-")[:-1]:  # the body and the projection share these steps
            if step == "norm":
                x = common.add_norm(x, self.norm, builder)
            else:
                x = common.add_activation(x, self.activation, builder)
        # as these steps are added, each block begins with its convolution: norm-activation-conv is conv-norm-activation
        rotated = "-".join(filter(None, ["conv", after.strip("-"), before.strip("-")]))
        last_norm = self.norm if "norm" in after else None
        return self._unit(rotated, last_norm, None, activation=None, norm=None).add(x, builder)

    def _keeps_shape(self, x: KerasTensor) -> bool:
        strides = self.strides if isinstance(self.strides, tuple) else (self.strides,)
        return set(strides) == {1} and x.shape[common.channel_axis(x)] == self.expansion * self.filters

    def _unit(self, order: str, last_norm: Any, last_activation: Any, *, activation: Any, norm: Any) -> Residual:
        """Return the residual unit.

        Args:
            order: Order in each `ConvBlock`.
            last_norm: Normalization of the last convolution.
            last_activation: Activation of the last convolution.
            activation: Activation after the addition.
            norm: Normalization of the projection.
        """
        common_kwargs: dict[str, Any] = {"order": order, "activation": self.activation, "norm": self.norm}
        conv = {key: value for key, value in self.conv.items() if key not in _MIDDLE_ONLY}
        first = ConvBlock(self.filters, kernel_size=1, conv=conv, **common_kwargs)
        middle = ConvBlock(self.filters, strides=self.strides, conv=self.conv, **common_kwargs)
        last = ConvBlock(
            self.expansion * self.filters,
            kernel_size=1,
            order=order,
            activation=last_activation,
            norm=last_norm,
            conv={"use_bias": self.norm is None} | conv,
        )
        kernel = {key: value for key, value in self.conv.items() if key.startswith("kernel_")}
        body: BodyLike = [first, middle, last]
        return Residual(body, strides=self.strides, activation=activation, norm=norm, conv=kernel)


def _subsample(x: KerasTensor, strides: tuple[int, ...], builder: Builder) -> Any:
    if set(strides) <= {1}:
        return x
    return builder.add_layer(x, "pool", common.layer_for_rank("MaxPooling", x, builder), 1, strides)


def _pad_channels(x: KerasTensor, channels: int, builder: Builder) -> Any:
    """Append channels of zeros with stock layers, so that the file loads without deepkit."""
    axis = common.channel_axis(x)
    extra = channels - x.shape[axis]
    if extra < 0:
        raise builder.error(
            f'shortcut="pad" cannot reduce {x.shape[axis]} channels to {channels}',
            hint='use shortcut="projection"',
        )
    if extra == 0:
        return x
    if has_mask(x):
        raise builder.error(
            'shortcut="pad" loses the mask of a sequence', hint='use shortcut="projection", a dense layer that keeps it'
        )
    if len(x.shape) == 2:
        x = builder.add_layer(x, "expand", layers.Reshape, (-1, 1))
        x = builder.add_layer(x, "pad", layers.ZeroPadding1D, (0, extra), data_format="channels_last")
        return builder.add_layer(x, "squeeze", layers.Flatten)
    # Keras pads the axes that are spatial in a data format; in the other format the channels are one of them
    other_format = "channels_last" if axis == 1 else "channels_first"
    padding = [(0, 0)] * (len(x.shape) - 2)
    padding[0 if axis == 1 else -1] = (0, extra)
    argument = padding[0] if len(padding) == 1 else tuple(padding)
    make = common.layer_for_rank("ZeroPadding", x, builder)
    return builder.add_layer(x, "pad", make, argument, data_format=other_format)
