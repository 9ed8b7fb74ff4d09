"""Typed fields of blocks: each validates an argument, prints it as code, and writes and reads it as plain data.

A block lists its arguments as fields:

    class Scale(dk.Block):
        units: int = fields.integer()
        _: KW_ONLY
        trainable: bool = fields.flag(default=True)
        dense: fields.KerasArguments = fields.keras_arguments(layers.Dense, excluding=("units",))

A field is a descriptor: the value that a block holds is the validated one, in a canonical form.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar, overload

import keras

from deepkit.definition import keras_config, source
from deepkit.definition.errors import DefinitionError, check_name
from deepkit.definition.frozen_dict import FrozenDict
from deepkit.definition.layer_arguments import LayerArguments
from deepkit.definition.protocol import DefinitionBase
from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import (
    MAX_INTEGER,
    check_choice,
    check_flag,
    check_fraction,
    check_integer,
    check_number,
    is_flag,
    is_integer,
    is_number,
)

if TYPE_CHECKING:
    from deepkit.definition.protocol import Definition

Accepted = TypeVar("Accepted")
Held = TypeVar("Held")

NORMS = ("batch", "layer")
POOLS = ("max", "avg", "l2")


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


class Field(Generic[Accepted, Held]):
    """One argument of a block; this base class of all fields accepts any value.

    Args:
        default: Value if the argument is left out; a field without one is required.
    """

    name = ""

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
        """Return the value in its canonical form; override it for a form that depends on fields listed before."""
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
        """Return whether a canonical value is the default."""
        if self.default is MISSING:
            return False
        default = self.validate(self.default, self.name)
        if default is value:
            return True
        try:
            return type(default) is type(value) and bool(default == value)
        except Exception:  # such as the comparison of arrays
            return False

    def to_source(self, value: Any) -> str:
        """Return the source code of a canonical value."""
        return source.quoted(value)

    def to_data(self, value: Any, writer: DataWriter) -> object:
        """Return a canonical value as plain data."""
        return writer.value(value)

    def from_data(self, value: object, path: str, reader: DataReader) -> object:
        """Return the argument that plain data describes; `path` is the path of the data in the file, for errors."""
        return reader.value(value, path)

    def keras_layer(self) -> type[keras.layers.Layer] | None:
        """Return the class of the Keras layer that receives the arguments in this field; None for any other field."""
        return None


class _Unchecked(Field[Any, Any]):
    """Any value."""

    def to_data(self, value: Any, writer: DataWriter) -> object:
        raise DefinitionError(
            f"{self.name}={format_value(value)} cannot be written to a file: its field accepts any value",
            hint="declare the argument with a field that can be written, such as fields.plain()",
        )


class _Plain(Field[Any, Any]):
    """A plain value: None, a boolean, a number, a string, or a list of them."""

    def validate(self, value: Any, name: str) -> Any:
        if isinstance(value, list | tuple):
            return tuple(self.validate(item, name) for item in value)
        if value is None:
            return None
        if isinstance(value, str):
            return str(value)
        if is_flag(value):
            return bool(value)
        if is_integer(value):
            return check_integer(value, name, minimum=-MAX_INTEGER, error=DefinitionError)
        if is_number(value) or isinstance(value, float):
            return float(value)
        raise DefinitionError(
            f"{name} must be a plain value, received {format_value(value)}",
            hint="use a typed field of deepkit.fields for layers, bodies and Keras arguments",
        )

    def to_source(self, value: Any) -> str:
        if isinstance(value, tuple):
            return source.sequence([self.to_source(item) for item in value])
        return source.quoted(value)


class _Optional(Field[Any, Any]):
    """A field that accepts None only if None is its default."""

    def validate(self, value: Any, name: str) -> Any:
        if value is None and self.default is None:
            return None
        return self.validate_value(value, name)

    def validate_value(self, value: Any, name: str) -> Any:
        """Return a value that is not None in its canonical form."""
        raise NotImplementedError


class _Integer(_Optional):
    def __init__(self, *, default: object = MISSING, minimum: int = 1, maximum: int | None = None) -> None:
        super().__init__(default=default)
        self.minimum, self.maximum = minimum, maximum

    def validate_value(self, value: Any, name: str) -> int:
        return check_integer(value, name, minimum=self.minimum, maximum=self.maximum, error=DefinitionError)


class _Integers(Field[Sequence[int], tuple[int, ...]]):
    def validate(self, value: Any, name: str) -> tuple[int, ...]:
        if not isinstance(value, list | tuple):
            block, _, argument = name.partition(": ")
            example = f"[{format_value(value)}]" if is_integer(value) else "[300, 100]"
            raise DefinitionError(
                f"{name} must be a list of integers, received {format_value(value)}",
                hint=f"use dk.{block}({argument}={example})",
            )
        return tuple(check_integer(item, f"{name}[{i}]", error=DefinitionError) for i, item in enumerate(value))

    def to_source(self, value: tuple[int, ...]) -> str:
        return source.sequence([source.quoted(item) for item in value])


class _Size(_Optional):
    def validate_value(self, value: Any, name: str) -> int | tuple[int, ...]:
        if not isinstance(value, list | tuple):
            return check_integer(value, name, error=DefinitionError)
        if not value:
            raise DefinitionError(f"{name} must be a positive integer or a tuple of them, received {value!r}")
        return tuple(check_integer(item, name, error=DefinitionError) for item in value)


class _Number(Field[float, float]):
    def __init__(
        self,
        *,
        default: object = MISSING,
        above: float | None = None,
        minimum: float | None = None,
        maximum: float | None = None,
    ) -> None:
        super().__init__(default=default)
        self.above, self.minimum, self.maximum = above, minimum, maximum

    def validate(self, value: Any, name: str) -> float:
        number = check_number(
            value, name, above=self.above, minimum=self.minimum, maximum=self.maximum, error=DefinitionError
        )
        if abs(number) > sys.float_info.max:
            raise DefinitionError(f"{name} must be a number that a float can hold, received {format_value(value)}")
        return number


class _Fraction(Field[float, float]):
    def validate(self, value: Any, name: str) -> float:
        return check_fraction(value, name, error=DefinitionError)


class _Flag(Field[bool, bool]):
    def validate(self, value: Any, name: str) -> bool:
        return check_flag(value, name, error=DefinitionError)


class _Choice(Field[Any, Any]):
    def __init__(self, choices: Sequence[Any], *, default: object = MISSING, hint: str = "") -> None:
        super().__init__(default=default)
        self.choices, self.hint = tuple(choices), hint

    def validate(self, value: Any, name: str) -> Any:
        return check_choice(value, name, self.choices, error=DefinitionError, hint=self.hint)


class _Name(_Optional):
    def validate_value(self, value: Any, name: str) -> str:
        check_name(value, name)
        return str(value)


class _Body(_Optional):
    """A body: blocks and Keras layers one after the other, held as a tuple."""

    as_element: Callable[[Any, str], Definition]
    as_body: Callable[[Any, str], tuple[Definition, ...]]

    def __init__(self, *, default: object = MISSING, is_list: bool = False) -> None:
        super().__init__(default=default)
        self.is_list = is_list

    def validate_value(self, value: Any, name: str) -> tuple[Definition, ...]:
        if self.is_list and not isinstance(value, list | tuple):
            block = name.partition(":")[0]
            problem = f"{block} takes a list, received {format_value(value)}"
            raise TypeError(message(problem, hint=f"use dk.{block}([...])"))
        return _Body.as_body(value, name)

    def to_source(self, value: Any) -> str:
        if value is None:
            return "None"
        return source.sequence([repr(item) for item in value]) if self.is_list else source.body(value)

    def to_data(self, value: Any, writer: DataWriter) -> object:
        if value is None:
            return None
        return [writer.element(item) for item in value] if self.is_list else writer.body(value)

    def from_data(self, value: object, path: str, reader: DataReader) -> object:
        return value if value is None else reader.body(value, path)


class _NamedBodies(Field[Mapping[str, Any], Mapping[str, Any]]):
    """Bodies by name, in their order."""

    def validate(self, value: Any, name: str) -> FrozenDict:
        if not isinstance(value, Mapping) or not value:
            raise DefinitionError(
                f"{name} must be a mapping of names to bodies, received {format_value(value)}",
                hint=f'use dk.{name.partition(":")[0]}({{"left": dk.ConvBlock(8), "right": []}})',
            )
        bodies = {}
        for key, body in value.items():
            check_name(key, f"{name}: a name")
            bodies[key] = _Body.as_body(body, f"{name}[{key!r}]")
        return FrozenDict(bodies, source.body)

    def to_source(self, value: FrozenDict) -> str:
        return repr(value)

    def to_data(self, value: FrozenDict, writer: DataWriter) -> object:
        return {name: writer.body(body) for name, body in value.items()}

    def from_data(self, value: object, path: str, reader: DataReader) -> object:
        return reader.named(value, path, reader.body)


class KerasArgumentsField(Field[Mapping[str, Any], LayerArguments]):
    """Keyword arguments of a Keras layer."""

    def __init__(self, layer: type[keras.layers.Layer], excluding: Sequence[str]) -> None:
        super().__init__(default=LayerArguments({}, layer, name=layer.__name__))
        self.layer, self.excluding = layer, tuple(excluding)

    def validate(self, value: Any, name: str) -> LayerArguments:
        block, _, argument = name.partition(": ")
        return LayerArguments(value, self.layer, name=f"{block}({argument}=...)", excluding=self.excluding)

    def to_source(self, value: LayerArguments) -> str:
        return repr(value)

    def to_data(self, value: LayerArguments, writer: DataWriter) -> object:
        return writer.arguments(value)

    def from_data(self, value: object, path: str, reader: DataReader) -> object:
        return reader.arguments(value, path)

    def keras_layer(self) -> type[keras.layers.Layer]:
        return self.layer


class _NameOrLayer(_Choice):
    """One of several names, a block, or a Keras layer."""

    def validate(self, value: Any, name: str) -> Any:
        if _is_layer_or_block(value):
            return _Body.as_element(value, name)
        return super().validate(value, name)


class _Activation(Field[Any, Any]):
    def __init__(self, *, default: object = MISSING, allow_layers: bool = True) -> None:
        super().__init__(default=default)
        self.allow_layers = allow_layers

    def validate(self, value: Any, name: str) -> Any:
        if _is_layer_or_block(value):
            if self.allow_layers:
                return _Body.as_element(value, name)
            raise DefinitionError(
                f"{name} must be a name, a registered function or None, received {format_value(value)}",
                hint='use a name such as "softplus"',
            )
        registered = _registered_name(value) if callable(value) else value
        if registered is not None and not isinstance(registered, str):
            raise DefinitionError(
                f"{name} must be a function that a saved model can find by name, received {format_value(value)}",
                hint='use a name such as "relu", or register it with @keras.saving.register_keras_serializable',
            )
        if registered is not None:
            registered = str(registered)
            activation_function(registered, name)
        return registered


Size: TypeAlias = int | tuple[int, ...]
KerasArguments: TypeAlias = Field[Mapping[str, Any], LayerArguments]
Integers: TypeAlias = Field[Sequence[int], tuple[int, ...]]
ActivationName: TypeAlias = Field[str | Callable[..., Any] | None, str | None]
if TYPE_CHECKING:
    BodyLike: TypeAlias = Definition | keras.layers.Layer | Sequence["BodyLike"]
    Body: TypeAlias = Field[BodyLike, tuple[Definition, ...]]
    OptionalBody: TypeAlias = Field[BodyLike | None, tuple[Definition, ...] | None]
    NamedBodies: TypeAlias = Field[Mapping[str, BodyLike], Mapping[str, tuple[Definition, ...]]]
    Activation: TypeAlias = Field[
        str | Callable[..., Any] | keras.layers.Layer | Definition | None, str | Definition | None
    ]
    NameOrLayer: TypeAlias = Field[str | keras.layers.Layer | Definition | None, str | Definition | None]
else:  # for `typing.get_type_hints`, which resolves names in the module of a block
    BodyLike = Any
    Body = OptionalBody = NamedBodies = Activation = NameOrLayer = Field[Any, Any]


def integer(*, default: object = MISSING, minimum: int = 1, maximum: int | None = None) -> Any:
    """Return a field for an integer from `minimum` to `maximum`; with `default=None` it also accepts None."""
    return _Integer(default=default, minimum=minimum, maximum=maximum)


def integers(*, default: object = MISSING) -> Any:
    """Return a field for a list of positive integers, held as a tuple."""
    return _Integers(default=default)


def size(*, default: object = MISSING) -> Any:
    """Return a field for a size per axis: one positive integer, or a tuple of them."""
    return _Size(default=default)


def number(
    *,
    default: object = MISSING,
    above: float | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """Return a field for a finite number: greater than `above`, at least `minimum`, and at most `maximum`."""
    return _Number(default=default, above=above, minimum=minimum, maximum=maximum)


def fraction(*, default: object = MISSING) -> Any:
    """Return a field for a fraction from 0 to below 1, such as a dropout rate."""
    return _Fraction(default=default)


def flag(*, default: object = MISSING) -> Any:
    """Return a field for True or False."""
    return _Flag(default=default)


def choice(choices: Sequence[Any], *, default: object = MISSING, hint: str = "") -> Any:
    """Return a field for one of several values."""
    return _Choice(choices, default=default, hint=hint)


def name_or_layer(choices: Sequence[Any], *, default: object = MISSING, hint: str = "") -> Any:
    """Return a field for one of several names, or a block or Keras layer."""
    return _NameOrLayer(choices, default=default, hint=hint)


def plain(*, default: object = MISSING) -> Any:
    """Return a field for a plain value: None, a boolean, a number, a string, or a list of them."""
    return _Plain(default=default if default is MISSING else _Plain().validate(default, "default"))


def unchecked(*, default: object = MISSING) -> Any:
    """Return a field that accepts any value unchecked; a block with such a value cannot be written to a file."""
    return _Unchecked(default=default)


def body(*, default: object = MISSING, is_list: bool = False) -> Any:
    """Return a field for a body: a block, a Keras layer or a list of them, held as a tuple of blocks.

    Args:
        default: Value if the argument is left out; with None, the field also accepts None.
        is_list: Whether only a list is accepted, which is also printed and written as a list.
    """
    return _Body(default=default, is_list=is_list)


def named_bodies(*, default: object = MISSING) -> Any:
    """Return a field for a mapping of names to bodies; the order matters."""
    return _NamedBodies(default=default)


def keras_arguments(layer: type[keras.layers.Layer], *, excluding: Sequence[str] = ()) -> Any:
    """Return a field for keyword arguments of a Keras layer, checked against its signature; empty by default.

    Args:
        layer: The Keras layer that takes them.
        excluding: Arguments that the block sets itself.

    Raises:
        TypeError: `layer` is not a class of layers.
    """
    if not (isinstance(layer, type) and issubclass(layer, keras.layers.Layer)):
        problem = f"keras_arguments takes a class of Keras layers, received {format_value(layer)}"
        raise TypeError(message(problem, hint="use fields.keras_arguments(layers.Dense)"))
    unknown = sorted(set(excluding) - set(keras_config.parameters(layer)))
    if isinstance(excluding, str) or unknown:
        names = excluding if isinstance(excluding, str) else unknown
        problem = f"keras_arguments: excluding must be names of arguments of {layer.__name__}, received {names!r}"
        raise TypeError(message(problem, hint='use excluding=("units", "activation")'))
    return KerasArgumentsField(layer, excluding)


def activation(*, default: object = MISSING, allow_layers: bool = True) -> Any:
    """Return a field for an activation: the name of a Keras activation, a registered function, or None.

    Args:
        default: Value if the argument is left out.
        allow_layers: Whether a layer or block is accepted too.
    """
    return _Activation(default=default, allow_layers=allow_layers)


def norm(*, default: object = MISSING) -> Any:
    """Return a field for a normalization: `"batch"`, `"layer"`, a layer, or None."""
    return _NameOrLayer(
        (*NORMS, None), default=default, hint="use a layer such as layers.GroupNormalization(8) for any other"
    )


def pool(*, default: object = MISSING) -> Any:
    """Return a field for a pooling: `"max"`, `"avg"`, `"l2"`, a layer, or None."""
    return _NameOrLayer(
        (*POOLS, None), default=default, hint="use a layer such as layers.MaxPooling2D(3, 2) for any other"
    )


def name_field() -> Any:
    """Return the field for the name of a block."""
    return _Name(default=None)


def register_converters(as_element: Callable[[Any, str], Any], as_body: Callable[[Any, str], tuple[Any, ...]]) -> None:
    """Set the functions that convert users' values to blocks; importing `deepkit.definition.sequential` calls it."""
    _Body.as_element, _Body.as_body = staticmethod(as_element), staticmethod(as_body)


def activation_function(name: str, argument: str = "activation") -> Callable[..., Any]:
    """Return the function of an activation's name.

    Raises:
        DefinitionError: The name is neither a Keras activation nor a registered function.
    """
    if name.startswith("deepkit>"):
        import deepkit

        _ = deepkit.layers  # importing it registers deepkit's functions
    function = keras.saving.get_registered_object(name)
    if inspect.isfunction(function):
        return function
    try:
        return keras.activations.get(name)
    except ValueError as error:
        raise DefinitionError(
            f"{argument} must be an activation of Keras or a registered one, received {format_value(name)}",
            hint='use "relu", "tanh", "gelu" or a layer',
        ) from error


def _is_layer_or_block(value: object) -> bool:
    """Return whether a value is a Keras layer or a block; this module cannot import `Block`."""
    return isinstance(value, keras.layers.Layer | DefinitionBase)


def _registered_name(function: Callable[..., Any]) -> Any:
    """Return the name by which Keras finds a function, or the function itself if there is none."""
    registered = keras.saving.get_registered_name(function)
    if keras.saving.get_registered_object(registered) is function:
        return registered
    name = getattr(function, "__name__", "")
    return name if getattr(keras.activations, name, None) is function else function
