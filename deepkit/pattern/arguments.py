"""The arguments of a pattern: which there are, what each may be, and which value an atom gets."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deepkit.definition.errors import DefinitionError
from deepkit.pattern.symbols import KINDS, Atom, Item, Source

SIZES = {"filters": 64, "units": 256, "num_classes": 10, "kernel_size": 3, "rate": 0.5}  # each with a good value
FLAGS = tuple(kind.lower() for kind in KINDS if kind != "INPUT")
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")

_MISSING = {  # what an atom lacks, and what to try
    "filters": ("number of filters", "CONV64, or filters=64"),
    "units": ("number of units", "FC256, or units=256"),
    "num_classes": ("number of classes", "{kind}10, or num_classes=10"),
    "rate": ("rate", "DROPOUT0.5, or rate=0.5"),
}
_TAKEN_BY = {
    "filters": ("CONV",),
    "kernel_size": ("CONV",),
    "units": ("FC",),
    "num_classes": ("FC", "SOFTMAX"),
    "rate": ("DROPOUT",),
}


@dataclass(frozen=True)
class Loop:
    """A repeat that is being written out, at one of its times."""

    text: str
    count: int
    index: int


class Lookup:
    """The arguments of one pattern, and which of them were used.

    Args:
        source: The text, for errors.
        arguments: What was given, lists as tuples.

    Raises:
        DefinitionError: A name is unknown, or a value is of the wrong kind.
    """

    def __init__(self, source: Source, arguments: Mapping[str, Any]) -> None:
        for name, value in arguments.items():
            _check(name, value)
        self.source, self.arguments = source, arguments
        self.used: set[str] = set()

    def count(self, item: Item) -> int:
        """Return how often an item comes."""
        if not isinstance(item.times, str):
            return 1 if item.times is None else item.times
        if item.times not in self.arguments:
            raise self.source.error(item.times_at, f"the count {item.times} has no value", f"{item.times}=2")
        self.used.add(item.times)
        return self.arguments[item.times]

    def wanted(self, item: Item, loops: tuple[Loop, ...]) -> bool:
        """Tell whether an item stays: it has no `?`, or its argument says so."""
        if item.asked_at is None:
            return True
        atom = next(item.atoms())
        return self.value(atom.kind.lower(), atom, item.asked_at, loops)

    def value(self, name: str, atom: Atom, at: int, loops: tuple[Loop, ...]) -> Any:
        """Return an argument; of a list, the value for this time of the repeat it belongs to.

        Args:
            name: The argument.
            atom: Who asks.
            at: Where in the text an error points.
            loops: The repeats around the atom, outermost first.

        Raises:
            DefinitionError: It is not given, or no repeat around the atom runs once for each value of the list.
        """
        if name not in self.arguments:
            raise self._missing(name, atom, at)
        self.used.add(name)
        given = self.arguments[name]
        if not isinstance(given, tuple):
            return given
        for loop in loops:
            if loop.count == len(given):
                return given[loop.index]
        raise self._no_repeat(name, given, atom, at, loops)

    def check_unused(self, atoms: Iterable[Atom]) -> None:
        """Raise where an argument was given that nothing took."""
        for name in self.arguments:
            if name not in self.used:
                raise self._unused(name, list(atoms))

    def _missing(self, name: str, atom: Atom, at: int) -> DefinitionError:
        if name not in _MISSING:
            return self.source.error(at, f"nothing decides {atom.kind}?", f"{name}=True or {name}=False")
        noun, hint = _MISSING[name]
        return self.source.error(at, f"{atom.text} has no {noun}", hint.format(kind=atom.kind))

    def _no_repeat(
        self, name: str, given: tuple[Any, ...], atom: Atom, at: int, loops: tuple[Loop, ...]
    ) -> DefinitionError:
        noun = "value" if len(given) == 1 else "values"
        if loops:
            counts = " or ".join(str(n) for n in dict.fromkeys(loop.count for loop in loops))
            why = f"{atom.text} is repeated {', '.join(loop.text for loop in loops)}"
            hint = f"one value for all, or a list of {counts}"
        else:
            why, hint = f"{atom.text} is not repeated", f"{name}={given[0]!r}, one value"
        return self.source.error(at, f"{name} has {len(given)} {noun}, one for each time of a repeat, but {why}", hint)

    def _unused(self, name: str, atoms: list[Atom]) -> DefinitionError:
        given = f"{name}={_shown(self.arguments[name])} is given, but "
        sized = [atom for atom in atoms if atom.kind in _TAKEN_BY.get(name, ()) and atom.size]
        if sized:
            atom = sized[-1] if name == "num_classes" else sized[0]
            problem = f"{given}{atom.text} has its own in the text"
            return self.source.error(atom.at, problem, f"{atom.kind} without a size, or no {name}=")
        if name in LETTERS:
            problem, hint = f"nothing is repeated {name} times", f"*{name} behind what is repeated"
        elif name in FLAGS:
            problem, hint = f"no {name.upper()}? is in the pattern", f"{name.upper()}? where it may be left out"
        else:
            problem, hint = "nothing in the pattern takes it", "leaving it out"
        return DefinitionError(f"from_pattern: {given}{problem}", code=self.source.text, hint=hint)


def _check(name: str, value: Any) -> None:
    """Raise unless an argument is known and its value is of the right kind."""
    if name in LETTERS:
        fits, words, good = _whole(value, least=0), "a whole number of at least 0", "2"
    elif name in FLAGS:
        fits, words, good = _all(value, _flag), f"True or False, {_OR_LIST}", "True"
    elif name == "num_classes":
        fits, words, good = _whole(value), "a positive integer", "10"
    elif name == "rate":
        fits, words, good = _all(value, _fraction), f"a fraction in [0, 1), {_OR_LIST}", "0.5"
    elif name in SIZES:
        fits, words, good = _all(value, _whole), f"a positive integer, {_OR_LIST}", str(SIZES[name])
    else:
        near = difflib.get_close_matches(name, (*SIZES, *FLAGS), n=1)
        known = f"{', '.join(SIZES)}, a capital letter of a repeat, or the kind before a '?' in lower case"
        raise DefinitionError(f"from_pattern takes no argument {name!r}", hint=f"{near[0]}=" if near else known)
    if not fits:
        raise DefinitionError(f"from_pattern: {name} must be {words}; received {_shown(value)}", hint=f"{name}={good}")


_OR_LIST = "or a list with one for each time of a repeat"


def _all(value: Any, fits: Any) -> bool:
    return bool(value) and all(map(fits, value)) if isinstance(value, tuple) else fits(value)


def _whole(value: Any, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _fraction(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _shown(value: Any) -> str:
    return repr(list(value) if isinstance(value, tuple) else value)
