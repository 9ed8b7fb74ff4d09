"""The names of classes in files: blocks of deepkit and of users, and the Keras classes that a file may name."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, TypeVar

import keras

import deepkit
from deepkit.definition.block import Block
from deepkit.definition.errors import DefinitionError
from deepkit.utils.errors import did_you_mean, format_value, message

BlockClass = TypeVar("BlockClass", bound=type[Block])

KINDS: dict[str, tuple[ModuleType, type]] = {  # the module of each kind of object, and the base class
    "layer": (keras.layers, keras.layers.Layer),
    "initializer": (keras.initializers, keras.initializers.Initializer),
    "regularizer": (keras.regularizers, keras.regularizers.Regularizer),
    "constraint": (keras.constraints, keras.constraints.Constraint),
}
REFUSED = {  # classes that a file may not name, with the reason
    "Lambda": "it runs code, which a file may not do",
    "TFSMLayer": "it reads a folder, which a file may not name",
    "JaxLayer": "it runs code, which a file may not do",
    "FlaxLayer": "it runs code, which a file may not do",
    "TorchModuleWrapper": "it runs code, which a file may not do",
    "InputLayer": "use `block: Input`",
    "Layer": "it is the base class of layers",
    "Wrapper": "it is the base class of wrappers",
}
_PREFIX = "deepkit."
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_user_blocks: dict[str, type[Block]] = {}


def register_block(package: str, name: str | None = None) -> Callable[[BlockClass], BlockClass]:
    """Register a block class, so that `to_dict`, `from_dict`, `dump` and `load` can name it.

    A file names it `package.name`; import the module of the class before you load the file.

    Args:
        package: Name of your package or project.
        name: Name of the class in files; by default the name of the class.

    Returns:
        A decorator of the class.

    Raises:
        TypeError: The class is not a block.
        ValueError: Another class has this name already, the package is `deepkit`, or a name is invalid.

    Examples:
        >>> import keras, deepkit as dk
        >>> @dk.register_block("mine")
        ... class Halve(dk.Block):
        ...     def add(self, x, builder):
        ...         return builder.add_layer(
        ...             x, "rescaling", keras.layers.Rescaling, 0.5
        ...         )
        >>> dk.to_dict(Halve())
        {'deepkit': 1, 'block': 'mine.Halve'}
    """
    for argument, value in (("package", package), ("name", name)):
        is_missing = argument == "name" and value is None
        if not is_missing and not (isinstance(value, str) and _NAME.fullmatch(value)):
            problem = f"register_block: {argument} must be a name such as 'mine', received {format_value(value)}"
            raise ValueError(message(problem, hint='use @dk.register_block("mine") above a class'))
    if package == "deepkit":
        raise ValueError(message("register_block: the package 'deepkit' is reserved", hint="use another package"))

    def register(cls: BlockClass) -> BlockClass:
        if not (inspect.isclass(cls) and issubclass(cls, Block)):
            problem = f"register_block takes a subclass of dk.Block, received {format_value(cls)}"
            raise TypeError(message(problem, hint='use @dk.register_block("package") above a class'))
        if cls is Block or builtin_blocks().get(cls.__name__) is cls:
            raise TypeError(
                message(f"register_block: {cls.__name__} is deepkit's", hint="register a block of your own")
            )
        key = f"{package}.{name or cls.__name__}"
        other = _user_blocks.get(key)
        is_same_class = other is None or (other.__module__, other.__qualname__) == (cls.__module__, cls.__qualname__)
        if not is_same_class:  # running a notebook cell again defines the same class again
            raise ValueError(message(f"register_block: {key!r} is the name of {other}", hint="pass another name="))
        _user_blocks[key] = cls
        return cls

    return register


def block_key(cls: type[Block]) -> str:
    """Return the name of a block class in a file.

    Raises:
        DefinitionError: The class is neither deepkit's nor registered.
    """
    if builtin_blocks().get(cls.__name__) is cls:
        return cls.__name__
    for key, registered in _user_blocks.items():
        if registered is cls:
            return key
    raise DefinitionError(
        f"the block {cls.__module__}.{cls.__qualname__} is not registered, so a file cannot name it",
        hint='put @dk.register_block("your_package") above the class',
    )


def class_key(cls: type, kind: str) -> str:
    """Return the name of a Keras or deepkit class in a file: Keras's own, or `deepkit.RBF`.

    Raises:
        DefinitionError: A file may not name it.
    """
    # Keras exports some classes under several names
    aliases = [name for name, candidate in classes(kind).items() if candidate is cls]
    for alias in aliases:
        if alias.endswith(cls.__name__):
            return alias
    if aliases:
        return aliases[0]
    reason = REFUSED.get(cls.__name__, "it is neither Keras's nor deepkit's")
    raise DefinitionError(f"a file cannot name {cls.__name__}: {reason}")


def find_class(name: object, kind: str, path: str) -> Any:
    """Return the class that a file names at `path`.

    Raises:
        DefinitionError: No class has this name, or a file may not name it.
    """
    candidates: Mapping[str, type] = blocks() if kind == "block" else classes(kind)
    if isinstance(name, str) and name in candidates:
        return candidates[name]
    if kind == "layer" and isinstance(name, str) and name in REFUSED:
        raise DefinitionError(f"{name} cannot be named in a file: {REFUSED[name]}", path=path)
    raise DefinitionError(f"there is no {kind} {format_value(name)}{_suggestion(name, kind, candidates)}", path=path)


@functools.cache
def builtin_blocks() -> Mapping[str, type[Block]]:
    """Return deepkit's blocks by name."""
    members = {name: getattr(deepkit, name) for name in deepkit.__all__}
    return {
        name: cls
        for name, cls in members.items()
        if inspect.isclass(cls) and issubclass(cls, Block) and cls is not Block
    }


def blocks() -> Mapping[str, type[Block]]:
    """Return all blocks that a file can name."""
    return {**builtin_blocks(), **_user_blocks}


@functools.cache
def classes(kind: str) -> Mapping[str, type]:
    """Return the Keras and deepkit classes of a kind that a file can name."""
    module, base = KINDS[kind]
    members = {name: getattr(module, name) for name in dir(module)}
    members |= {_PREFIX + name: getattr(deepkit.layers, name) for name in deepkit.layers.__all__}
    return {
        name: cls
        for name, cls in members.items()
        if inspect.isclass(cls) and issubclass(cls, base) and cls is not base and name not in REFUSED
    }


def _suggestion(name: object, kind: str, candidates: Mapping[str, type]) -> str:
    """Return the end of the message for an unknown name."""
    other = "layer" if kind == "block" else "block"
    others: Mapping[str, type] = classes("layer") if kind == "block" else blocks()
    if not isinstance(name, str):
        return ""
    if name in others:
        return f"; it is a {other}: write {other}: {name}"
    if _PREFIX + name in candidates:
        return f"; did you mean {_PREFIX + name!r}?"
    if "." in name and kind == "block":
        return "; import the module that registers it first"
    return did_you_mean(name, candidates)
