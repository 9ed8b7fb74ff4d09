"""The metaclass of blocks, and the functions that describe the arguments of a block class."""

from __future__ import annotations

import inspect
from abc import ABCMeta
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass
from dataclasses import Field as DataclassField
from dataclasses import fields as dataclass_fields
from typing import Any, dataclass_transform

from deepkit.definition import fields, source
from deepkit.definition.errors import DefinitionError, MissingArgumentError
from deepkit.definition.field import Field, equal_values
from deepkit.definition.keras_config import parameters
from deepkit.utils.errors import did_you_mean_or_list, format_value


@dataclass_transform(
    frozen_default=True,
    field_specifiers=(
        fields.integer, fields.integers, fields.size, fields.number, fields.fraction, fields.flag, fields.choice,
        fields.name_or_layer, fields.plain, fields.unchecked, fields.body, fields.named_bodies, fields.activation,
        fields.norm, fields.pool,
    ),
)  # fmt: skip
class BlockType(ABCMeta):
    """The metaclass of `Block`: every subclass is a frozen dataclass, and a misspelled argument gets a suggestion."""

    def __new__(
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, eq: bool = True, **kwargs: Any
    ) -> BlockType:
        """Create the class; an annotation without a field gets `fields.plain()`."""
        if any(isinstance(base, BlockType) for base in bases):
            _check_class_body(name, bases, namespace)
        for argument, annotation in namespace.get("__annotations__", {}).items():
            if _is_plain(annotation, namespace.get(argument, MISSING)):
                namespace[argument] = fields.plain(default=namespace.get(argument, MISSING))
        created = super().__new__(cls, name, bases, namespace, **kwargs)
        make_dataclass: Any = dataclass(frozen=True, repr=False, eq=eq)
        created = make_dataclass(created)
        if eq and "__eq__" not in namespace:  # that of a dataclass has 1 == True; equal blocks have equal hashes still
            created.__eq__ = _equal_blocks
        return created

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(name, bases, namespace)

    def __call__(cls, /, *args: Any, **kwargs: Any) -> Any:
        """Check the names of the arguments, and create the block."""
        check_arguments(cls, args, kwargs)
        _check_complete(cls, args, kwargs)
        return super().__call__(*args, **kwargs)

    @property
    def __signature__(cls) -> inspect.Signature:
        """The arguments, as `inspect.signature` and Jupyter show them."""
        arguments = []
        for item in dataclass_fields(cls):  # type: ignore[arg-type]
            kind = inspect.Parameter.KEYWORD_ONLY if item.kw_only else inspect.Parameter.POSITIONAL_OR_KEYWORD
            default = inspect.Parameter.empty if item.default is MISSING else item.default
            arguments.append(inspect.Parameter(item.name, kind, default=default, annotation=item.type))
        return inspect.Signature(sorted(arguments, key=lambda argument: (argument.kind, argument.name == "name")))


def block_name(cls: type) -> str:
    """Return the name by which code refers to a block class: `dk.ConvBlock`, `mine.Scale`, `Scale` of a script."""
    if cls.__module__.startswith("deepkit."):
        return f"dk.{cls.__name__}"
    return cls.__qualname__ if cls.__module__ == "__main__" else f"{cls.__module__}.{cls.__qualname__}"


def field_of(cls: type, name: str) -> Field[Any, Any]:
    """Return the field of an argument; `fields.plain()` if the class declares none."""
    for base in cls.__mro__:
        if isinstance(base.__dict__.get(name), Field):
            return base.__dict__[name]
    return fields.plain()


def field_items(cls: Any) -> dict[str, DataclassField[Any]]:
    """Return the dataclass field of each argument of a block class by name."""
    return {item.name: item for item in dataclass_fields(cls)}


def check_arguments(cls: type, args: Sequence[object], kwargs: Mapping[str, object]) -> None:
    """Raise if a block class does not take these arguments.

    Raises:
        DefinitionError: An argument is misspelled, belongs to the Keras layer, or is passed by position.
    """
    items = field_items(cls)
    for key in kwargs:
        if key not in items:
            raise DefinitionError(f"{cls.__name__} takes no {format_value(key)}{_suggestion(cls, key, list(items))}")
    positional = [name for name, item in items.items() if not item.kw_only]
    if len(args) > len(positional):
        accepted = ", ".join(positional) or "no arguments"
        raise DefinitionError(
            f"{cls.__name__} takes {accepted} by position, received {len(args)} values",
            hint="pass a list, or the other arguments by name",
        )


def _equal_blocks(self: object, other: object) -> bool:
    """Return whether two blocks have the same class and equal arguments; 1, 1.0 and True differ."""
    if type(self) is not type(other):
        return NotImplemented
    pairs = [(self, other)]  # a stack, as recursion would limit the depth of definitions
    while pairs:
        first, second = pairs.pop()
        cls = type(first)
        if isinstance(first, tuple) and isinstance(second, tuple) and len(first) == len(second):
            pairs.extend(zip(first, second, strict=True))
        elif cls is type(second) and cls.__eq__ is _equal_blocks and first is not second:
            for name in field_items(cls):
                values = getattr(first, name), getattr(second, name)
                if field_of(cls, name).compares_types:
                    pairs.append(values)
                elif values[0] != values[1]:
                    return False
        elif not equal_values(first, second):
            return False
    return True


def _check_complete(cls: type, args: Sequence[object], kwargs: Mapping[str, object]) -> None:
    """Raise unless each required argument is passed, and none is passed by position and by name."""
    items = field_items(cls)
    positional = [name for name, item in items.items() if not item.kw_only][: len(args)]
    for name in positional:
        if name in kwargs:
            received = f"{format_value(args[positional.index(name)])} and {name}={format_value(kwargs[name])}"
            raise DefinitionError(f"{cls.__name__}: {name} is passed twice, received {received}", hint="leave one out")
    required = [name for name, item in items.items() if item.default is MISSING]
    missing = [name for name in required if name not in kwargs and name not in positional]
    if missing:
        *others, last = missing
        names = f"arguments {', '.join(others)} and {last}" if others else f"argument {last}"
        raise MissingArgumentError(
            f"{cls.__name__}: the required {names} {'are' if others else 'is'} missing", hint=f"use {_example(cls)}"
        )


def _example(cls: type) -> str:
    """Return source code that creates a block with examples of its required arguments."""
    required = [item for item in field_items(cls).values() if item.default is MISSING]
    examples = {item.name: field_of(cls, item.name).example for item in required}
    positional = [examples[item.name] for item in required if not item.kw_only]
    return source.call(
        block_name(cls), positional, {item.name: examples[item.name] for item in required if item.kw_only}
    )


def _suggestion(cls: type, key: str, names: list[str]) -> str:
    """Return the end of the message for an unknown argument.

    It names the field that passes this argument to a Keras layer, or a similar argument, or all arguments.
    """
    for name in names:
        layer = field_of(cls, name).keras_layer()
        if layer is not None and key in parameters(layer):
            return f", which is an argument of the Keras layer; pass {name}={{{source.quoted(key)}: ...}}"
    return did_you_mean_or_list(key, sorted(names))


def _check_class_body(name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
    """Refuse a class body that would lose an argument or a check without an error.

    Raises:
        DefinitionError: A field has no annotation or the name of a method, or `__init__` or `__post_init__` is defined.
    """
    annotations = namespace.get("__annotations__", {})
    for method in ("__init__", "__post_init__"):
        if method in namespace:
            raise DefinitionError(
                f"{name}: a block cannot define {method}, which creates it from its fields",
                hint="declare arguments as fields, and refuse contradictory ones in `check`",
            )
    for argument, value in namespace.items():
        if isinstance(value, DataclassField):
            raise DefinitionError(
                f"{name}: the argument {argument!r} is a field of dataclasses, which checks nothing",
                hint=f"use a field of deepkit.fields, such as {argument}: int = fields.integer()",
            )
        if argument not in annotations and not isinstance(value, Field) and _has_field(bases, argument):
            raise DefinitionError(
                f"{name}: the attribute {argument!r} replaces an inherited argument",
                hint=f"declare the argument again, with its type and a field: {argument}: int = fields.integer()",
            )
        if isinstance(value, Field) and argument not in annotations:
            raise DefinitionError(
                f"{name}: the field {argument!r} has no annotation, so it would not be an argument",
                hint=f"write {argument}: int = fields.integer(), with the type of the argument",
            )
    for argument in annotations:
        inherited = next((vars(base)[argument] for base in bases[0].__mro__ if argument in vars(base)), None)
        if callable(inherited) or isinstance(inherited, property):
            raise DefinitionError(
                f"{name}: the argument {argument!r} has the name of a method or property of {bases[0].__name__}",
                hint="rename the argument",
            )


def _has_field(bases: tuple[type, ...], name: str) -> bool:
    """Return whether a base class has an argument of this name."""
    return any(isinstance(vars(cls).get(name), Field) for base in bases for cls in base.__mro__)


def _is_plain(annotation: object, default: object) -> bool:
    """Return whether an annotation of a class body declares an argument without a field."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    is_argument = "ClassVar" not in text and "KW_ONLY" not in text
    return is_argument and not isinstance(default, Field | DataclassField)
