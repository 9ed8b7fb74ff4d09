"""The arguments of a Python object, read from its attributes: for callbacks, losses and metrics of the user."""

from __future__ import annotations

import inspect
from collections.abc import Collection

from deepkit.utils.function_identity import is_library, is_plain

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def object_arguments(value: object, ignored: Collection[str] = ()) -> dict[str, object]:
    """Return the arguments of an object: the attributes with the names of the constructor's arguments.

    If an argument has no such attribute, another attribute may hold it, so all plain attributes and functions count.

    Args:
        value: An object whose class stores its arguments, as Python classes usually do.
        ignored: Names that are not returned.
    """
    attributes = dict(getattr(value, "__dict__", {}))
    arguments: dict[str, object] = {}
    complete = True
    for name, is_required in _constructor_arguments(type(value)):
        attribute = next((key for key in (name, f"_{name}") if key in attributes), None)
        if attribute is not None:
            arguments[name] = attributes[attribute]
        elif is_required:
            complete = False
    if not complete:
        for name, item in attributes.items():
            if is_plain(item) or inspect.isroutine(item):
                arguments.setdefault(name, item)
    return {name: item for name, item in arguments.items() if name not in ignored}


def _constructor_arguments(cls: type) -> list[tuple[str, bool]]:
    """Return the arguments of the constructors of a class and its base classes, up to the first class of a library.

    Each name comes with a flag: whether the object must have an attribute of this name. The flag is True for the
    arguments of a user's class, and for its `**kwargs` unless a base class may accept them.
    """
    names: list[tuple[str, bool]] = []
    variadic: list[str] = []
    for base in cls.__mro__:
        constructor = vars(base).get("__init__")
        if not inspect.isfunction(constructor):
            continue
        parameters = [p for p in inspect.signature(constructor).parameters.values() if p.name != "self"]
        named = [p.name for p in parameters if p.kind not in _VARIADIC]
        if named:
            variadic.clear()
        names += [(name, not is_library(base)) for name in named]
        if is_library(base):
            break
        variadic += [p.name for p in parameters if p.kind in _VARIADIC]
    return names + [(name, True) for name in variadic]
