"""What enters a model: the inputs that a definition fixes, or the shape that `build` was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras

from deepkit.definition.errors import DefinitionError

if TYPE_CHECKING:
    from deepkit.definition.block import Block


@dataclass(frozen=True)
class InputSpec:
    """What enters a model: a `keras.Input` to be made, or the input that a model already fixes."""

    shape: tuple[int | None, ...]
    dtype: str | None = None
    batch_size: int | None = None
    name: str | None = None

    def with_shape(self, shape: Any, owner: Block) -> InputSpec:
        """Return this entry, checked against a shape given to `build`."""
        if tuple(shape) != self.shape:
            raise DefinitionError(
                f"build received input_shape={tuple(shape)}, but the definition fixes {self.shape}",
                code=owner,
                hint="leaving input_shape out",
            )
        return self

    def tensor(self) -> keras.KerasTensor:
        """Return a new symbolic input."""
        return keras.Input(self.shape, batch_size=self.batch_size, dtype=self.dtype, name=self.name)


@dataclass(frozen=True)
class InputSpecs:
    """What enters a model with several inputs, by name."""

    parts: tuple[tuple[str, InputSpec], ...]

    def with_shape(self, shape: Any, owner: Block) -> InputSpecs:
        """Return these entries, checked against a mapping of shapes given to `build`."""
        fixed = {name: entry.shape for name, entry in self.parts}
        given = {name: tuple(one) for name, one in shape.items()} if isinstance(shape, Mapping) else shape
        if given != fixed:
            raise DefinitionError(
                f"build received input_shape={given!r}, but the definition fixes {fixed}",
                code=owner,
                hint="leaving input_shape out",
            )
        return self

    def tensor(self) -> dict[str, keras.KerasTensor]:
        """Return new symbolic inputs by name."""
        return {name: entry.tensor() for name, entry in self.parts}


def make_input(shape: Any, owner: Block) -> keras.KerasTensor:
    """Return a new symbolic input of a shape given to `build`."""
    if not isinstance(shape, list | tuple) or not all(
        n is None or (isinstance(n, int) and not isinstance(n, bool) and n > 0) for n in shape
    ):
        raise DefinitionError(
            f"build: input_shape must be a tuple of positive integers or None, received {shape!r}",
            code=owner,
            hint=".build((28, 28, 1)), the shape of one example without the batch axis",
        )
    return keras.Input(tuple(shape))
