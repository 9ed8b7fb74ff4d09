"""How the flags of a command line are read and described: plain types in the help, and errors that name the type."""

from __future__ import annotations

import dataclasses
import functools
import operator
import types
import typing
from typing import TYPE_CHECKING, Annotated, Any

if TYPE_CHECKING:
    from tyro.constructors import (
        ConstructorRegistry,
        PrimitiveConstructorSpec,
        PrimitiveTypeInfo,
        StructConstructorSpec,
        StructFieldSpec,
        StructTypeInfo,
        UnsupportedTypeAnnotationError,
    )

NONE = "None"


def flag_types() -> ConstructorRegistry:
    """Return the rules by which tyro creates the values of flags and describes them in the help."""
    from tyro.constructors import ConstructorRegistry  # a slow import, which `deepkit --help` does not need

    registry = ConstructorRegistry()
    registry.primitive_rule(_number)
    registry.primitive_rule(_optional)
    registry.struct_rule(_HideEmptyDefaults())
    return registry


def _number(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Read a number; the error names the expected kind of number."""
    from tyro.constructors import PrimitiveConstructorSpec

    if info.type not in (int, float):
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=info.type.__name__.upper(),
        instance_from_str=lambda args: _parse_number(args[0], info.type),
        is_instance=lambda value: isinstance(value, (int, info.type)),
        str_from_instance=lambda value: [str(value)],
    )


def _parse_number(text: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(text)
    except ValueError:
        expected = "an integer" if kind is int else "a number"
        raise ValueError(f"expected {expected}, received {text!r}") from None


def _optional(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | UnsupportedTypeAnnotationError | None:
    """Read `X | None`: described as X, with the errors of X; the text None is accepted, but not offered."""
    from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

    members = typing.get_args(info.type) if info.type_origin in (typing.Union, types.UnionType) else ()
    if type(None) not in members:
        return None
    others: Any = functools.reduce(operator.or_, (member for member in members if member is not type(None)))
    spec = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(others, info.markers))
    if not isinstance(spec, PrimitiveConstructorSpec):
        return spec
    return dataclasses.replace(
        spec,
        instance_from_str=lambda args: None if args == [NONE] else spec.instance_from_str(args),
        is_instance=lambda value: True if value is None else spec.is_instance(value),
        str_from_instance=lambda value: [NONE] if value is None else spec.str_from_instance(value),
        choices=None if spec.choices is None else (*spec.choices, NONE),
    )


class _HideEmptyDefaults:
    """Leave out `(default: None)` and empty defaults in the help of a dataclass: the text describes what they mean."""

    def __init__(self) -> None:
        self._pending: list[object] = []

    def __call__(self, info: StructTypeInfo) -> StructConstructorSpec | None:
        from tyro.constructors import ConstructorRegistry, StructConstructorSpec

        if not dataclasses.is_dataclass(info.type) or info.type in self._pending:
            return None
        self._pending.append(info.type)
        try:
            spec = ConstructorRegistry.get_struct_spec(info)
        finally:
            self._pending.pop()
        if not isinstance(spec, StructConstructorSpec):
            return None
        return dataclasses.replace(spec, fields=tuple(map(_without_empty_default, spec.fields)))


def _without_empty_default(field: StructFieldSpec) -> StructFieldSpec:
    from tyro.conf import arg

    if field.default is not None and field.default not in ((), ""):
        return field
    field_type: Any = Annotated[field.type, arg(help_behavior_hint="")]
    return dataclasses.replace(field, type=field_type)
