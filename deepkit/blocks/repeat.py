"""Repetition of a body."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

from deepkit.blocks import common
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.inputs import InputSpec, InputSpecs
from deepkit.definition.objective import Objective
from deepkit.definition.rematerialization import add_rematerialized

if TYPE_CHECKING:
    from deepkit.utils.types import Tensors


class Repeat(Block):
    """A body repeated several times in sequence, with separate weights for each repetition.

    Args:
        body: A block, a Keras layer or a list of them.
        num_repeats: Number of repetitions.
        rematerialize: Whether the backward pass computes the activations of each repetition again instead of keeping
            them in memory. It takes more time and less memory; outputs, gradients and weights stay the same.

    Input shape:
        Input of the body.

    Output shape:
        Output of the last repetition.

    Raises:
        DefinitionError: `num_repeats` is not an integer from 1 to 10,000.

    Examples:
        >>> import deepkit as dk
        >>> unit = dk.Residual([dk.ConvBlock(8), dk.ConvBlock(8, activation=None)])
        >>> dk.Repeat(unit, num_repeats=3).build((28, 28, 8)).output_shape
        (None, 28, 28, 8)
    """

    body: fields.Body = fields.body()
    _: KW_ONLY
    num_repeats: int = fields.integer(maximum=common.MAX_REPEATS)
    rematerialize: bool = fields.flag(default=False)

    @property
    def accepts_multiple_inputs(self) -> bool:
        """True: the first element receives them."""
        return True

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Add the repetitions; their elements are numbered consecutively."""
        if self.rematerialize and self.body:
            return add_rematerialized(x, self.body * self.num_repeats, builder, size=len(self.body))
        return builder.add_all(x, self.body * self.num_repeats)

    def input_spec(self) -> InputSpec | InputSpecs | None:
        """Return the input that the first element fixes."""
        return self.body[0].input_spec() if self.body else None

    def objective(self, output_shape: Any, label_shape: Any) -> Objective | None:
        """Return the objective of the last element."""
        return self.body[-1].objective(output_shape, label_shape) if self.body else None
