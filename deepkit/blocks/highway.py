"""Highway layers: a gate chooses, unit by unit, between a transform and the input."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.blocks import common
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import shape_text
from deepkit.definition.masks import has_mask

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor

_GATE_ARGUMENTS = ("units", "activation", "bias_initializer", "use_bias")


class Highway(Block):
    """A transform H and its gate T: y = T(x) H(x) + (1 - T(x)) x.

    For vectors both are dense layers, for sequences, images and volumes convolutions, as wide as the input.

    Reference:
        Srivastava, Greff & Schmidhuber 2015, "Highway Networks", section 2, equation 3; section 2.1 for convolutions,
        and section 2.2 for the negative bias, with which a deep stack begins as the identity.

    Args:
        body: The transform: a block, a Keras layer or a list of them that keeps the shape; None for one layer
            with `activation`.
        kernel_size: Window of the convolutions, in pixels or steps. A masked sequence needs 1, which treats each step
            separately.
        activation: Activation of the transform if `body` is None.
        transform_bias: Initial bias of the gate; a negative value passes most of the input on.
        gate: Further arguments of the gate's Keras layer: `{"kernel_initializer": "he_normal"}`.

    Input shape:
        `(batch, features)`, or an image or sequence with channels.

    Output shape:
        The input shape.

    Raises:
        DefinitionError: The body changes the shape, or a larger window would read padded steps of a masked sequence.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.Sequential(
        ...     [
        ...         dk.MLP([50]),
        ...         dk.Repeat(dk.Highway(), num_repeats=9),
        ...         dk.Classifier(10),
        ...     ]
        ... )
        >>> net.build((28, 28, 1)).count_params()
        85660
    """

    body: fields.OptionalBody = fields.body(default=None)
    _: KW_ONLY
    kernel_size: fields.Size = fields.size(default=3)
    activation: fields.Activation = fields.activation(default="relu")
    transform_bias: float = fields.number(default=-2.0)
    gate: fields.KerasArguments = fields.keras_arguments(layers.Dense, excluding=_GATE_ARGUMENTS)

    def add(self, x: KerasTensor, builder: Builder) -> KerasTensor:
        """Add transform and gate, and mix them: x + T (H - x) needs one product less than the equation."""
        if len(x.shape) == 3 and has_mask(x) and not common.is_stepwise(x, self.kernel_size, 1):
            raise builder.error(
                f"convolutions with kernel_size={self.kernel_size} read padded steps of a masked sequence",
                hint="use kernel_size=1, which treats each step separately, or mask_zero=False in the Embedding",
            )
        y = self._transform(x, builder)
        if tuple(y.shape[1:]) != tuple(x.shape[1:]):
            raise builder.error(
                f"the transform maps {shape_text(x)} to {shape_text(y)}, but a highway keeps the shape",
                hint="add a layer before the highway that changes the width",
            )
        bias = keras.initializers.Constant(self.transform_bias)
        kwargs: dict[str, Any] = {"activation": "sigmoid", "bias_initializer": bias} | self.gate.new()
        gate = common.add_projection(
            x, "gate", common.num_channels(x, builder), builder, kernel_size=self.kernel_size, **kwargs
        )
        change = common.add_merge([y, x], "subtract", layers.Subtract, builder)
        gated = common.add_merge([gate, change], "multiply", layers.Multiply, builder)
        return common.add_merge([x, gated], "add", layers.Add, builder)

    def _transform(self, x: KerasTensor, builder: Builder) -> Any:
        if self.body is not None:
            y = builder.add_all(x, self.body, reserved=("gate", "subtract", "multiply", "add"))
            return builder.require_single(y, "the body must return one tensor, but returns")
        width = common.num_channels(x, builder)
        y = common.add_projection(x, "transform", width, builder, kernel_size=self.kernel_size)
        return common.add_activation(y, self.activation, builder)
