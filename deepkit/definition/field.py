"""`Field`, the base of the fields of blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

import keras

from deepkit.definition import source
from deepkit.definition.layer_arguments import LayerArguments
from deepkit.utils.errors import message

if TYPE_CHECKING:
    from deepkit.definition.protocol import Definition

Accepted = TypeVar("Accepted")
Held = TypeVar("Held")


class DataWriter(Protocol):
    """Writes the values of a definition as plain data; `deepkit.serialization` implements it."""

    def element(self, block: Definition) -> dict[str, object]:
        """Return a block or layer as plain data."""

    def body(self, body: Sequence[Definition]) -> object:
        """Return a body: one element, or a list of them."""

    def arguments(self, arguments: LayerArguments) -> dict[str, object]:
        """Return keyword arguments of a Keras layer."""

    def value(self, value: object) -> object:
        """Return a plain value."""


class DataReader(Protocol):
    """Reads the values of a definition from plain data; `deepkit.serialization` implements it."""

    def body(self, value: object, path: str) -> object:
        """Return a body: one element, or a list of them."""

    def named(self, value: object, path: str, read: Callable[[object, str], object]) -> dict[str, object]:
        """Return a mapping of names, each value read by `read`."""

    def input(self, value: object, path: str) -> object:
        """Return an input of a graph."""

    def node(self, value: object, path: str) -> object:
        """Return a node of a graph."""

    def arguments(self, value: object, path: str) -> dict[str, object]:
        """Return keyword arguments of a Keras layer."""

    def value(self, value: object, path: str) -> object:
        """Return a plain value or the Keras object that a mapping describes."""


def equal_values(first: object, second: object) -> bool:
    """Return whether two values, or two tuples of values, are equal and numbers have the same type."""
    if first is second:
        return True
    if isinstance(first, tuple) and isinstance(second, tuple):
        return len(first) == len(second) and all(map(equal_values, first, second))
    if isinstance(first, int | float) and type(first) is not type(second):
        return False
    return bool(first == second)


class Field(Generic[Accepted, Held]):
    """One argument of a block; this base class of all fields accepts any value.

    A subclass overrides `validate`, and `to_source`, `to_data` and `from_data` for values that are not plain.

    Args:
        default: Value if the argument is left out; a field without one is required.

    Examples:
        >>> import deepkit as dk
        >>> class EvenField(dk.fields.Field[int, int]):
        ...     def validate(self, value, name):
        ...         if value % 2:
        ...             raise dk.DefinitionError(
        ...                 f"{name} must be even, received {value}"
        ...             )
        ...         return value
        >>> class Heads(dk.Block):
        ...     num_heads: int = EvenField(default=2)
        ...
        ...     def add(self, x, builder):
        ...         return builder.add_block(
        ...             "attend", dk.MultiHeadAttention(self.num_heads), x
        ...         )
        >>> Heads(4).num_heads
        4
        >>> Heads(3)
        Traceback (most recent call last):
            ...
        deepkit.definition.errors.DefinitionError: Heads: num_heads must be even, received 3
    """

    name = ""
    example = "..."
    """Source code of a value, for the hint of an error about a missing argument."""
    compares_types = True
    """Whether blocks with 1, 1.0 and True in this field are different."""

    def __init__(self, *, default: object = MISSING) -> None:
        self.default = default

    def __set_name__(self, owner: type, name: str) -> None:
        if self.name:
            raise TypeError(message(f"{name} and {self.name} are one field", hint="create a field for each argument"))
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Held: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> Held: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> Any:
        if instance is not None:
            return instance.__dict__[self.name]
        if self.default is MISSING:  # `dataclasses` then treats the argument as required
            raise AttributeError(self.name)
        return self.default

    def __set__(self, instance: object, value: Accepted) -> None:
        instance.__dict__[self.name] = self.validate_for(instance, value, f"{type(instance).__name__}: {self.name}")

    def validate_for(self, instance: Any, value: Any, name: str) -> Any:
        """Return the value in its canonical form; override it for a form that depends on fields listed before.

        Args:
            instance: The block, whose fields listed before this one are set.
            value: The user's value, or a canonical value.
            name: Block and argument, for the message: `"ConvBlock: filters"`.

        Raises:
            DefinitionError: The value is invalid.
        """
        return self.validate(value, name)

    def validate(self, value: Any, name: str) -> Any:
        """Return the value in its canonical form.

        Args:
            value: The user's value, or a canonical value.
            name: Block and argument, for the message: `"ConvBlock: filters"`.

        Raises:
            DefinitionError: The value is invalid.
        """
        return value

    def is_default(self, value: object) -> bool:
        """Return whether a canonical value is the default.

        Args:
            value: A value that `validate` returned.
        """
        if self.default is MISSING:
            return False
        default = self.validate(self.default, self.name)
        if default is value:
            return True
        try:
            return type(default) is type(value) and equal_values(default, value)
        except Exception:  # such as the comparison of arrays
            return False

    def to_source(self, value: Any) -> str:
        """Return the source code of a canonical value.

        Args:
            value: A value that `validate` returned.
        """
        return source.quoted(value)

    def to_data(self, value: Any, writer: DataWriter) -> object:
        """Return a canonical value as plain data.

        Args:
            value: A value that `validate` returned.
            writer: Writes blocks, bodies and keyword arguments of layers in the value.
        """
        return writer.value(value)

    def from_data(self, value: object, path: str, reader: DataReader) -> object:
        """Return the argument that plain data describes.

        Args:
            value: Plain data, as `to_data` returns it.
            path: The path of the data in the file, for errors.
            reader: Reads blocks, bodies and keyword arguments of layers in the data.

        Raises:
            DefinitionError: The data does not describe a value of this field.
        """
        return reader.value(value, path)

    def keras_layer(self) -> type[keras.layers.Layer] | None:
        """Return the class of the Keras layer that receives the arguments in this field; None for any other field."""
        return None
