"""The inputs of a model: fixed by its definition, or created from the shape passed to `build`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

import keras

from deepkit.definition.errors import DefinitionError
from deepkit.utils.errors import format_value
from deepkit.utils.validation import is_integer

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor, Shape


@dataclass(frozen=True)
class InputSpec:
    """The input that a definition fixes; the method `input_spec` of a block returns it.

    Args:
        shape: Shape of one example, without the batch axis.
        dtype: Type of the values; Keras's default float type if None.
        batch_size: Fixed batch size, or None.
        name: Name of the input.

    Examples:
        >>> import deepkit as dk
        >>> dk.Text(1000).input_spec()
        InputSpec(shape=(), dtype='string', batch_size=None, name=None)
        >>> from deepkit.definition.inputs import InputSpec
        >>> InputSpec((28, 28, 1), dtype="uint8").make_input().shape
        (None, 28, 28, 1)
    """

    shape: Shape
    dtype: str | None = None
    batch_size: int | None = None
    name: str | None = None

    def check_shape(self, shape: object, definition: object) -> None:
        """Raise a `DefinitionError` if a shape passed to `build` differs."""
        if not isinstance(shape, list | tuple) or tuple(shape) != self.shape:
            raise DefinitionError(
                f"build received input_shape={format_value(shape)}, but the definition fixes {self.shape}",
                code=definition,
                hint="leave input_shape out",
            )

    def make_input(self, dtype: str | None = None) -> KerasTensor:
        """Return a new symbolic input; `dtype` applies if the definition fixes none."""
        return keras.Input(self.shape, batch_size=self.batch_size, dtype=self.dtype or dtype, name=self.name)


@dataclass(frozen=True)
class InputSpecs:
    """Several inputs that a definition fixes, by name."""

    specs: tuple[tuple[str, InputSpec], ...]

    def check_shape(self, shape: object, definition: object) -> None:
        """Raise a `DefinitionError` if a mapping of shapes passed to `build` differs."""
        expected = {name: spec.shape for name, spec in self.specs}
        received = shape
        if isinstance(shape, Mapping):
            received = {name: tuple(size) if isinstance(size, list) else size for name, size in shape.items()}
        if received != expected:
            raise DefinitionError(
                f"build received input_shape={format_value(received)}, but the definition fixes {expected}",
                code=definition,
                hint="leave input_shape out",
            )

    def make_input(self, dtypes: Mapping[str, str | None]) -> dict[str, KerasTensor]:
        """Return new symbolic inputs by name; `dtypes` apply to the inputs whose dtype the definition leaves open."""
        return {name: spec.make_input(dtypes.get(name)) for name, spec in self.specs}


def is_shape(shape: object) -> TypeGuard[list[int | None] | tuple[int | None, ...]]:
    """Return whether a value is a list or tuple of positive integers and None."""
    return isinstance(shape, list | tuple) and all(n is None or (is_integer(n) and n > 0) for n in shape)


def make_input_spec(shape: object, definition: object) -> InputSpec:
    """Return the input of a shape passed to `build`.

    Raises:
        DefinitionError: The value is not a shape.
    """
    if not is_shape(shape):
        raise DefinitionError(
            f"build: input_shape must be a tuple of positive integers or None, received {format_value(shape)}",
            code=definition,
            hint="use .build((28, 28, 1)), the shape of one example without the batch axis",
        )
    return InputSpec(tuple(None if n is None else int(n) for n in shape))
