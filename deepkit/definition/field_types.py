"""The classes of fields; `deepkit.fields` has a function for each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any

import keras

from deepkit.definition import source
from deepkit.definition.errors import DefinitionError, check_name
from deepkit.definition.field import DataReader, DataWriter, Field
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


NORMS = ("batch", "layer")
POOLS = ("max", "avg", "l2")


class UncheckedField(Field[Any, Any]):
    """Any value."""

    def to_data(self, value: Any, writer: DataWriter) -> object:
        raise DefinitionError(
            f"{self.name}={format_value(value)} cannot be written to a file: its field accepts any value",
            hint="declare the argument with a field that can be written, such as fields.plain()",
        )


class PlainField(Field[Any, Any]):
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


class IntegerField(_Optional):
    """An integer in a range."""

    def __init__(self, *, default: object = MISSING, minimum: int = 1, maximum: int | None = None) -> None:
        super().__init__(default=default)
        self.minimum, self.maximum = minimum, maximum
        self.example = str(max(minimum, 10 if maximum is None else min(maximum, 10)))

    def validate_value(self, value: Any, name: str) -> int:
        return check_integer(value, name, minimum=self.minimum, maximum=self.maximum, error=DefinitionError)


class IntegersField(Field[Sequence[int], tuple[int, ...]]):
    """A list of positive integers, held as a tuple."""

    example = "[300, 100]"

    def validate(self, value: Any, name: str) -> tuple[int, ...]:
        if not isinstance(value, list | tuple):
            block, _, argument = name.partition(": ")
            example = f"[{format_value(value)}]" if is_integer(value) else self.example
            raise DefinitionError(
                f"{name} must be a list of integers, received {format_value(value)}",
                hint=f"use dk.{block}({argument}={example})",
            )
        return tuple(check_integer(item, f"{name}[{i}]", error=DefinitionError) for i, item in enumerate(value))

    def to_source(self, value: tuple[int, ...]) -> str:
        return source.sequence([source.quoted(item) for item in value])


class SizeField(_Optional):
    """A positive integer, or a tuple of them."""

    example = "3"

    def validate_value(self, value: Any, name: str) -> int | tuple[int, ...]:
        if not isinstance(value, list | tuple):
            return check_integer(value, name, error=DefinitionError)
        if not value:
            raise DefinitionError(f"{name} must be a positive integer or a tuple of them, received {value!r}")
        return tuple(check_integer(item, name, error=DefinitionError) for item in value)


class NumberField(Field[float, float]):
    """A finite number in a range."""

    compares_types = False  # 1 and 1.0 are the same number

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
        return check_number(
            value, name, above=self.above, minimum=self.minimum, maximum=self.maximum, error=DefinitionError
        )


class FractionField(Field[float, float]):
    """A fraction from 0 to below 1."""

    example = "0.5"

    def validate(self, value: Any, name: str) -> float:
        return check_fraction(value, name, error=DefinitionError)


class FlagField(Field[bool, bool]):
    """True or False."""

    example = "True"

    def validate(self, value: Any, name: str) -> bool:
        return check_flag(value, name, error=DefinitionError)


class ChoiceField(Field[Any, Any]):
    """One of several values."""

    def __init__(self, choices: Sequence[Any], *, default: object = MISSING, hint: str = "") -> None:
        super().__init__(default=default)
        self.choices, self.hint = tuple(choices), hint
        self.example = source.quoted(self.choices[0]) if self.choices else "..."

    def validate(self, value: Any, name: str) -> Any:
        return check_choice(value, name, self.choices, error=DefinitionError, hint=self.hint)


class NameField(_Optional):
    """The name of a block."""

    def validate_value(self, value: Any, name: str) -> str:
        check_name(value, name)
        return str(value)


class BodyField(_Optional):
    """A body: blocks and Keras layers one after the other, held as a tuple."""

    as_element: Callable[[Any, str], Definition]
    as_body: Callable[[Any, str], tuple[Definition, ...]]

    def __init__(self, *, default: object = MISSING, is_list: bool = False) -> None:
        super().__init__(default=default)
        self.is_list = is_list
        self.example = "[dk.MLP([300, 100]), dk.Classifier(10)]" if is_list else "dk.MLP([300, 100])"

    def validate_value(self, value: Any, name: str) -> tuple[Definition, ...]:
        if self.is_list and not isinstance(value, list | tuple):
            block = name.partition(":")[0]
            problem = f"{block} takes a list, received {format_value(value)}"
            raise TypeError(message(problem, hint=f"use dk.{block}([...])"))
        return BodyField.as_body(value, name)

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


class NamedBodiesField(Field[Mapping[str, Any], Mapping[str, Any]]):
    """Bodies by name, in their order."""

    example = '{"left": dk.ConvBlock(8), "right": []}'

    def validate(self, value: Any, name: str) -> FrozenDict:
        if not isinstance(value, Mapping) or not value:
            raise DefinitionError(
                f"{name} must be a mapping of names to bodies, received {format_value(value)}",
                hint=f"use dk.{name.partition(':')[0]}({self.example})",
            )
        bodies = {}
        for key, body in value.items():
            check_name(key, f"{name}: a name")
            bodies[key] = BodyField.as_body(body, f"{name}[{key!r}]")
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


class NameOrLayerField(ChoiceField):
    """One of several names, a block, or a Keras layer."""

    def validate(self, value: Any, name: str) -> Any:
        if _is_layer_or_block(value):
            return BodyField.as_element(value, name)
        return super().validate(value, name)


class ActivationField(Field[Any, Any]):
    """The name of an activation, a registered function, a layer, or None."""

    example = '"relu"'

    def __init__(self, *, default: object = MISSING, allow_layers: bool = True) -> None:
        super().__init__(default=default)
        self.allow_layers = allow_layers

    def validate(self, value: Any, name: str) -> Any:
        if _is_layer_or_block(value):
            if self.allow_layers:
                return BodyField.as_element(value, name)
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


def register_converters(as_element: Callable[[Any, str], Any], as_body: Callable[[Any, str], tuple[Any, ...]]) -> None:
    """Set the functions that convert users' values to blocks; importing `deepkit.definition.sequential` calls it."""
    BodyField.as_element, BodyField.as_body = staticmethod(as_element), staticmethod(as_body)


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
