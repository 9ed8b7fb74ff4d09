"""What a file may name: the blocks of deepkit, and the layers and other objects of Keras that do no harm."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Mapping
from typing import Any

import keras

import deepkit
from deepkit import layers as own
from deepkit.definition.block import Block
from deepkit.definition.errors import DefinitionError

OBJECTS: dict[str, tuple[Any, type]] = {
    "layer": (keras.layers, keras.layers.Layer),
    "initializer": (keras.initializers, keras.initializers.Initializer),
    "regularizer": (keras.regularizers, keras.regularizers.Regularizer),
    "constraint": (keras.constraints, keras.constraints.Constraint),
}
REFUSED = {
    "Lambda": "it runs code, which a file may not",
    "TFSMLayer": "it reads a folder, which a file may not name",
    "JaxLayer": "it runs code, which a file may not",
    "FlaxLayer": "it runs code, which a file may not",
    "TorchModuleWrapper": "it runs code, which a file may not",
    "InputLayer": "block: Input says what enters",
    "Layer": "it is the base of all layers and does nothing",
    "Wrapper": "it is the base of wrappers and does nothing",
}
_PREFIX = "deepkit."


def file_name(cls: type, kind: str) -> str:
    """Return the name by which a file says a class: Keras's own, or `deepkit.RBF`.

    Raises:
        DefinitionError: A file cannot name it.
    """
    aliases = [name for name, found in classes(kind).items() if found is cls]
    if aliases:
        return next((name for name in aliases if name.endswith(cls.__name__)), aliases[0])
    reason = REFUSED.get(cls.__name__, "it is neither Keras's nor deepkit's")
    raise DefinitionError(f"a file cannot name {cls.__name__}: {reason}")


def find(name: Any, kind: str, path: str) -> type:
    """Return the class that a file names at `path`.

    Raises:
        DefinitionError: There is none of that name, or a file may not name it.
    """
    known = blocks() if kind == "block" else classes(kind)
    if isinstance(name, str) and name in known:
        return known[name]
    if kind == "layer" and isinstance(name, str) and name in REFUSED:
        raise DefinitionError(f"{name} cannot be named in a file: {REFUSED[name]}", path=path)
    raise DefinitionError(f"there is no {kind} {name!r}{_hint(str(name), kind, known)}", path=path)


@functools.cache
def blocks() -> Mapping[str, type[Block]]:
    """Return the blocks that a file can name."""
    found = {name: getattr(deepkit, name) for name in deepkit.__all__}
    return {n: c for n, c in found.items() if inspect.isclass(c) and issubclass(c, Block) and c is not Block}


@functools.cache
def classes(kind: str) -> Mapping[str, type]:
    """Return the Keras and deepkit classes of a kind that a file can name."""
    home, base = OBJECTS[kind]
    found = {name: getattr(home, name) for name in dir(home)}
    found |= {_PREFIX + name: getattr(own, name) for name in own.__all__}
    return {
        name: cls
        for name, cls in found.items()
        if inspect.isclass(cls) and issubclass(cls, base) and cls is not base and name not in REFUSED
    }


def _hint(name: str, kind: str, known: Mapping[str, type]) -> str:
    other = "layer" if kind == "block" else "block"
    elsewhere = classes("layer") if kind == "block" else blocks()
    if name in elsewhere:
        return f"; it is a {other}: say {other}: {name}"
    if _PREFIX + name in known:
        return f"; did you mean {_PREFIX}{name}?"
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
