"""Repetition: the same definition several times in a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from deepkit.blocks import common as parts
from deepkit.definition.block import Block, Objective
from deepkit.definition.builder import Builder
from deepkit.definition.inputs import InputSpec, InputSpecs
from deepkit.definition.sequential import as_body


@dataclass(frozen=True, repr=False)
class Repeat(Block):
    """A body several times in a row, each time with weights of its own.

    Args:
        body: A block, a Keras layer or a list of them.
        num_repeats: How often.

    Input shape:
        What the body takes.

    Output shape:
        What the body returns the last time.

    Raises:
        DefinitionError: `num_repeats` is not a positive integer, or larger than 10,000.

    Examples:
        >>> import deepkit as dk
        >>> unit = dk.Residual([dk.ConvBlock(8), dk.ConvBlock(8, activation=None)])
        >>> dk.Repeat(unit, num_repeats=3).build((28, 28, 8)).output_shape
        (None, 28, 28, 8)
    """

    body: Any = field(metadata={"body": "one or many"})
    num_repeats: int = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts.positive("Repeat", "num_repeats", self.num_repeats, most=parts.MOST)
        object.__setattr__(self, "body", as_body(self.body, "Repeat: body"))

    @property
    def accepts_multiple_inputs(self) -> bool:
        """Several tensors go to the first element."""
        return True

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the body again and again; siblings are numbered through."""
        return builder.add_all(x, self.body * self.num_repeats)

    def input_spec(self) -> InputSpec | InputSpecs | None:
        """Return what the first element fixes."""
        return self.body[0].input_spec() if self.body else None

    def objective(self, outputs: Any, labels: Any) -> Objective | None:
        """Ask the last element."""
        return self.body[-1].objective(outputs, labels) if self.body else None
