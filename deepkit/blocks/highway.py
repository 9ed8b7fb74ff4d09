"""Highway layers: a gate decides, unit by unit, between a transform and the input."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from deepkit.blocks import common as parts
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, shape_text
from deepkit.definition.sequential import as_body
from deepkit.definition.source import Arguments


@dataclass(frozen=True, repr=False)
class Highway(Block):
    """A transform H and its gate T: y = T(x) H(x) + (1 - T(x)) x.

    For vectors both are dense layers, for sequences, images and volumes convolutions, as wide as the input.
    Source: Srivastava, Greff & Schmidhuber 2015, "Highway Networks", section 2, equation 3; section 2.1 has the
    convolutional form and section 2.2 the negative bias, which lets a deep stack begin as the identity.

    Args:
        body: The transform: a block, a Keras layer or a list of them that keeps the shape; None for one layer
            with `activation`.
        kernel_size: Window of the convolutions, in pixels or steps; 1 treats each position alone, and lets the mask
            of a sequence pass, which a convolution ends.
        activation: Of the transform, where `body` is None.
        transform_bias: What the gate's bias begins with: the more negative, the more of the input is carried.
        gate: Further arguments of the gate's Keras layer: `{"kernel_initializer": "he_normal"}`.

    Input shape:
        `(batch, features)`, or an image or sequence with channels.

    Output shape:
        That of the input.

    Raises:
        DefinitionError: The body changes the shape.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.Sequential([dk.MLP([50]), dk.Repeat(dk.Highway(), num_repeats=9), dk.Classifier(10)])
        >>> net.build((28, 28, 1)).count_params()
        85660
    """

    body: Any = field(default=None, metadata={"body": "one or many"})
    kernel_size: int | tuple[int, ...] = field(default=3, kw_only=True)
    activation: Any = field(default="relu", kw_only=True)
    transform_bias: float = field(default=-2.0, kw_only=True)
    gate: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        bias = self.transform_bias
        if not isinstance(bias, int | float) or isinstance(bias, bool) or not math.isfinite(bias):
            raise DefinitionError(f"Highway: transform_bias must be a number, received {bias!r}")
        taken = ("units", "activation", "bias_initializer", "use_bias")
        values = {
            "body": None if self.body is None else as_body(self.body, "Highway: body"),
            "kernel_size": parts.sizes("Highway", "kernel_size", self.kernel_size),
            "activation": parts.activation_value("Highway", self.activation),
            "gate": Arguments(self.gate, layers.Dense, owner="Highway(gate=...)", taken=taken),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def add(self, x: Any, builder: Builder) -> Any:
        """Add transform and gate, and mix: x + T (H - x) needs one product less than the equation."""
        y = builder.require_single(self._transform(x, builder), parts.SEVERAL)
        if tuple(y.shape[1:]) != tuple(x.shape[1:]):
            raise builder.error(
                f"the transform turns {shape_text(x)} into {shape_text(y)}, and a highway keeps its shape",
                hint="a layer before the highway that changes the width",
            )
        bias = keras.initializers.Constant(self.transform_bias)
        given = {"activation": "sigmoid", "bias_initializer": bias} | self.gate.fresh()  # type: ignore[attr-defined]
        gate = parts.add_projection(
            x, "gate", parts.channels(x, builder), builder, kernel_size=self.kernel_size, **given
        )
        change = builder.add_layer([y, x], "subtract", layers.Subtract)
        return builder.add_layer([x, builder.add_layer([gate, change], "multiply", layers.Multiply)], "add", layers.Add)

    def _transform(self, x: Any, builder: Builder) -> Any:
        if self.body is not None:
            return builder.add_all(x, self.body, reserved=("gate", "subtract", "multiply", "add"))
        y = parts.add_projection(x, "transform", parts.channels(x, builder), builder, kernel_size=self.kernel_size)
        return parts.add_activation(y, self.activation, builder)
