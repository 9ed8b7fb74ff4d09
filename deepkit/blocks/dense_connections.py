"""Dense connections: every layer sees what all before it made (DenseNet)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras import layers

from deepkit.blocks import common as parts
from deepkit.blocks.conv import ConvBlock, set_convolution_fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError
from deepkit.definition.sequential import as_body, as_element


@dataclass(frozen=True, repr=False)
class DenselyConnected(Block):
    """A body several times, each time on the input and all outputs so far, concatenated.

    Source: Huang et al. 2017, "Densely Connected Convolutional Networks", section 3. Their growth rate k is the
    width of the body; their layer is pre-activated: `dk.ConvBlock(k, order="norm-activation-conv")`, and with a
    bottleneck `[dk.ConvBlock(4 * k, kernel_size=1, order=...), dk.ConvBlock(k, order=...)]`.

    Args:
        body: A block, a Keras layer or a list of them; it must keep all sizes but the channels.
        num_repeats: How often the body comes, each time with weights of its own.

    Input shape:
        What the body takes, with any number of channels.

    Output shape:
        The same with `num_repeats` times the body's channels more.

    Raises:
        DefinitionError: `num_repeats` is not a positive integer, or the body changes another size than the channels.

    Examples:
        >>> import deepkit as dk
        >>> block = dk.DenselyConnected(dk.ConvBlock(12, order="norm-activation-conv"), num_repeats=3)
        >>> block.build((32, 32, 16)).output_shape  # 16 + 3 x 12 channels
        (None, 32, 32, 52)
    """

    body: Any = field(metadata={"body": "one or many"})
    num_repeats: int = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts.positive("DenselyConnected", "num_repeats", self.num_repeats, most=parts.MOST)
        object.__setattr__(self, "body", as_body(self.body, "DenselyConnected: body"))

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the body `num_repeats` times, a concatenation after each."""
        unit = self.body[0] if len(self.body) == 1 else as_element(list(self.body), "DenselyConnected")
        units = [unit] * self.num_repeats
        concats = parts.numbered("concat", self.num_repeats)
        for name, concat in zip(builder.sibling_names(units, reserved=concats), concats, strict=True):
            y = builder.require_single(builder.add_block(name, unit, x), parts.SEVERAL)
            parts.check_alike([x, y], builder, but_channels=True)
            x = builder.add_layer([x, y], concat, layers.Concatenate, axis=parts.channel_axis(x))
        return x


@dataclass(frozen=True, repr=False)
class Transition(Block):
    """Between two densely connected stages: fewer channels, then pooling.

    A normalisation, an activation, a 1x1 convolution and a pooling (Huang et al. 2017, section 3, "Pooling
    layers" and "Compression"; the code of its authors has the activation, the text leaves it out).

    Args:
        compression: Fraction of the channels that is kept, rounded down: the paper's theta.
        pool: `"avg"`, `"max"` or `"l2"` for windows of 2 with strides of 2, a pooling layer, or None.
        activation: Keras's name, a registered function, a layer, or None.
        norm: `"batch"`, `"layer"`, a layer, or None.
        conv: Further arguments of the Keras convolution.

    Input shape:
        As `ConvBlock`.

    Output shape:
        The same with `compression * channels` channels, and each size halved by the pooling; both rounded down.

    Raises:
        DefinitionError: `compression` lies outside (0, 1] or leaves no channel.

    Examples:
        >>> import deepkit as dk
        >>> dk.Transition().build((32, 32, 52)).output_shape
        (None, 16, 16, 26)
    """

    compression: float = field(default=0.5, kw_only=True)
    pool: Any = field(default="avg", kw_only=True)
    activation: Any = field(default="relu", kw_only=True)
    norm: Any = field(default="batch", kw_only=True)
    conv: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        kept = self.compression
        if not isinstance(kept, int | float) or isinstance(kept, bool) or not 0 < kept <= 1:
            raise DefinitionError(f"Transition: compression must be a fraction in (0, 1], received {kept!r}")
        set_convolution_fields(self, ("filters", "kernel_size", "strides", "activation"))
        object.__setattr__(self, "pool", parts.pool_value("Transition", self.pool))

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the four in order."""
        channels = parts.channels(x, builder)
        filters = math.floor(self.compression * channels + 1e-9)  # 0.29 x 100 is 28.999... in binary
        if filters < 1:
            raise builder.error(f"compression={self.compression} leaves none of {channels} channels")
        squeeze = ConvBlock(
            filters,
            kernel_size=1,
            activation=self.activation,
            norm=self.norm,
            order="norm-activation-conv",
            conv=self.conv,
        )
        return parts.add_pool(squeeze.add(x, builder), self.pool, builder)
