"""Limits of plain data, so that the time and the memory to read it are bounded."""

from __future__ import annotations

from collections.abc import Mapping

from deepkit.definition.errors import DefinitionError
from deepkit.serialization.paths import path_of
from deepkit.serialization.registry import KINDS

MAX_BYTES = 4_000_000
MAX_DEPTH = 60
MAX_VALUES = 200_000
MAX_OBJECTS = 5_000
MAX_CHARACTERS = 10_000
MAX_DIGITS = 20
MAX_INTEGER = 2**31 - 1
_OBJECT_KEYS = ("block", *KINDS)


class LimitCounter:
    """A counter of the values of a definition, which raises a `DefinitionError` at a limit."""

    def __init__(self) -> None:
        self.values = self.objects = self.depth = 0

    def add_value(self) -> None:
        """Count a key, a scalar, a list or a mapping."""
        self.values += 1
        if self.values > MAX_VALUES:
            raise DefinitionError(
                f"a definition has at most {MAX_VALUES:,} keys and values, received more",
                hint="shorten its lists, or create a layer with a long vocabulary in Python",
            )

    def add_text(self, text: str) -> None:
        """Count a string or a key."""
        self.add_value()
        if len(text) > MAX_CHARACTERS:
            raise DefinitionError(
                f"expected a string of at most {MAX_CHARACTERS:,} characters, received {len(text):,}",
                hint="shorten the string",
            )

    def add_object(self) -> None:
        """Count a block or a Keras object."""
        self.objects += 1
        if self.objects > MAX_OBJECTS:
            raise DefinitionError(
                f"a definition has at most {MAX_OBJECTS:,} blocks, layers and other objects, received more",
                hint="use a Repeat block for layers that repeat",
            )

    def enter(self) -> None:
        """Count a list or a mapping, and go to the level of its items."""
        self.add_value()
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise DefinitionError(
                f"nested too deeply: at most {MAX_DEPTH} lists and mappings inside each other, received more",
                hint="replace lists inside lists by one list",
            )

    def leave(self) -> None:
        """Go back to the level of the list or the mapping."""
        self.depth -= 1


def check_limits(data: object) -> None:
    """Raise if plain data is too large, is nested too deeply or contains itself.

    Raises:
        DefinitionError: The message contains the path of the value.
    """
    _check(data, LimitCounter(), [], [])


def _check(value: object, counter: LimitCounter, keys: list[object], ancestors: list[int]) -> None:
    """Count a value at the path `keys`, and the values in it."""
    try:
        if not isinstance(value, Mapping | list | tuple):
            counter.add_text(value) if isinstance(value, str) else counter.add_value()
            return
        if id(value) in ancestors:
            raise DefinitionError("a list or mapping contains itself", hint="pass a copy of the inner one")
        counter.enter()
        if isinstance(value, Mapping):
            for key in value:
                counter.add_text(key) if isinstance(key, str) else counter.add_value()
            if any(key in value for key in _OBJECT_KEYS):
                counter.add_object()
    except DefinitionError as error:
        raise DefinitionError(error.problem, path=path_of(keys), hint=error.hint) from error
    ancestors.append(id(value))
    for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
        keys.append(key)
        _check(item, counter, keys, ancestors)
        keys.pop()
    ancestors.pop()
    counter.leave()
