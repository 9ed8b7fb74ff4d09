"""The arguments of a pattern: their checks, and the value of each for a layer."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from deepkit.definition.errors import DefinitionError
from deepkit.pattern.symbols import KINDS, Atom, Item, Source
from deepkit.utils.errors import format_value
from deepkit.utils.validation import check_choice, check_flag, check_fraction, check_integer

Value: TypeAlias = bool | int | float
Argument: TypeAlias = Value | tuple[Value, ...] | str
"""A value, one value for each iteration of a repeat, or the name of the loss."""

LOSSES = ("crossentropy", "hinge")
SIZES = {"filters": 64, "units": 256, "num_classes": 10, "kernel_size": 3, "rate": 0.5}  # each with an example value
FLAGS = tuple(kind.lower() for kind in KINDS if kind != "INPUT")
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")

_MISSING = {  # the noun and the hint for the error of a missing size
    "filters": ("number of filters", "use CONV64, or pass filters=64"),
    "units": ("number of units", "use FC256, or pass units=256"),
    "num_classes": ("number of classes", "use {kind}10, or pass num_classes=10"),
    "rate": ("rate", "use DROPOUT0.5, or pass rate=0.5"),
}
_KINDS_WITH = {  # the layers that use an argument
    "filters": ("CONV",),
    "kernel_size": ("CONV",),
    "units": ("FC",),
    "num_classes": ("FC", "SOFTMAX"),
    "rate": ("DROPOUT",),
}


@dataclass(frozen=True)
class Repeat:
    """One iteration of a repeat.

    Args:
        text: The repeat in an error message: `"*N (N=2)"`.
        count: Number of iterations.
        index: Index of this iteration.
    """

    text: str
    count: int
    index: int


class Lookup:
    """The values of the arguments of one pattern, and the names of those that were used.

    Args:
        source: The text of the pattern, for errors.
        arguments: The arguments, as `check_arguments` returns them.
    """

    def __init__(self, source: Source, arguments: Mapping[str, Argument]) -> None:
        self.source, self.arguments = source, arguments
        self.used: set[str] = set()

    def count(self, item: Item) -> int:
        """Return how often an item is repeated."""
        if item.repeats is None:
            return 1
        if isinstance(item.repeats, int):
            return item.repeats
        letter = item.repeats
        count = self.arguments.get(letter)
        if not isinstance(count, int):
            problem = f"{letter}, the number of repeats, is missing"
            raise self.source.error(item.repeats_position, problem, f"pass {letter}=2")
        self.used.add(letter)
        return count

    def is_included(self, item: Item, repeats: tuple[Repeat, ...]) -> bool:
        """Return whether an item is built: it has no `?`, or its argument is True."""
        if item.optional_position is None:
            return True
        atom = next(item.atoms())
        return bool(self.value(atom.kind.lower(), atom, item.optional_position, repeats))

    def value(self, name: str, atom: Atom, position: int, repeats: tuple[Repeat, ...]) -> Value:
        """Return the value of an argument for an atom; of a list, the value for the current iteration of its repeat.

        Args:
            name: The argument.
            atom: The atom that needs it.
            position: Position in the text for an error.
            repeats: The repeats around the atom, the outermost first.

        Raises:
            DefinitionError: The argument is missing, or no repeat around the atom has as many iterations as the list
                has values.
        """
        if name not in self.arguments:
            raise self._missing(name, atom, position)
        self.used.add(name)
        argument = self.arguments[name]
        assert not isinstance(argument, str)  # the loss is not an argument of a layer
        if not isinstance(argument, tuple):
            return argument
        for repeat in repeats:
            if repeat.count == len(argument):
                return argument[repeat.index]
        raise self._wrong_length(name, argument, atom, position, repeats)

    def check_unused(self, atoms: Iterable[Atom]) -> None:
        """Raise if an argument was not used."""
        for name in self.arguments:
            if name not in self.used:
                raise self._unused(name, list(atoms))

    def _missing(self, name: str, atom: Atom, position: int) -> DefinitionError:
        if name not in _MISSING:
            problem = f"{name}, which decides {atom.kind}?, is missing"
            return self.source.error(position, problem, f"pass {name}=True or {name}=False")
        noun, hint = _MISSING[name]
        return self.source.error(position, f"{atom.text} has no {noun}", hint.format(kind=atom.kind))

    def _wrong_length(
        self, name: str, values: tuple[Value, ...], atom: Atom, position: int, repeats: tuple[Repeat, ...]
    ) -> DefinitionError:
        problem = f"{name} has {len(values)} {'value' if len(values) == 1 else 'values'}, but {atom.text} is"
        if not repeats:
            return self.source.error(position, f"{problem} not repeated", f"pass one value: {name}={values[0]!r}")
        texts = ", ".join(repeat.text for repeat in repeats)
        counts = " or ".join(str(n) for n in dict.fromkeys(repeat.count for repeat in repeats))
        hint = f"pass one value, or a list of {counts} values"
        return self.source.error(position, f"{problem} repeated {texts}", hint)

    def _unused(self, name: str, atoms: list[Atom]) -> DefinitionError:
        problem = f"{name}={_format(self.arguments[name])} is not used: "
        sized = [atom for atom in atoms if atom.kind in _KINDS_WITH.get(name, ()) and atom.size]
        if sized:
            atom = sized[-1] if name == "num_classes" else sized[0]
            hint = f"use {atom.kind} without a size, or remove {name}="
            return self.source.error(atom.position, f"{problem}{atom.text} has its own size", hint)
        if name in LETTERS:
            reason, hint = f"nothing is repeated {name} times", f"write *{name} after a layer or a group"
        elif name in FLAGS:
            reason, hint = f"the pattern has no {name.upper()}?", f"write {name.upper()}? if it may be left out"
        elif name == "loss":
            reason, hint = "the pattern does not end in a classifier", "end the pattern in FC, or remove loss="
        else:
            reason, hint = "no layer of the pattern takes it", "remove it"
        return DefinitionError(f"from_pattern: {problem}{reason}", code=self.source.text, hint=hint)


def check_arguments(arguments: Mapping[str, object]) -> dict[str, Argument]:
    """Return the arguments with plain Python numbers, and lists as tuples.

    Raises:
        DefinitionError: A name is unknown, or a value is of the wrong type.
    """
    return {name: _check_argument(name, value) for name, value in arguments.items()}


def _check_argument(name: str, value: object) -> Argument:
    if name in LETTERS:
        hint = f"pass {name}=2"
        return check_integer(value, f"from_pattern: {name}", minimum=0, error=DefinitionError, hint=hint)
    if name in FLAGS:
        return _check_each(check_flag, name, value, "True")
    if name == "num_classes":
        return check_integer(value, "from_pattern: num_classes", error=DefinitionError, hint="pass num_classes=10")
    if name == "loss":
        return check_choice(value, "from_pattern: loss", LOSSES, error=DefinitionError, hint='pass loss="hinge"')
    if name == "rate":
        return _check_each(check_fraction, name, value, "0.5")
    if name in SIZES:
        return _check_each(check_integer, name, value, str(SIZES[name]))
    close = difflib.get_close_matches(str(name), (*SIZES, "loss", *FLAGS), n=1)
    names = f"{', '.join(SIZES)}, loss, a capital letter of a repeat, or the layer before a '?' in lower case"
    hint = f"use {close[0]}=" if close else f"use {names}"
    raise DefinitionError(f"from_pattern takes no argument {format_value(name)}", hint=hint)


def _check_each(check: Callable[..., Value], name: str, value: object, example: str) -> Argument:
    """Return a checked value, or a list of checked values as a tuple."""
    hint = f"pass {name}={example}, or a list with one value for each iteration of a repeat"
    if not isinstance(value, list | tuple):
        return check(value, f"from_pattern: {name}", error=DefinitionError, hint=hint)
    if not value:
        raise DefinitionError(f"from_pattern: {name} must not be an empty list", hint=hint)
    return tuple(
        check(element, f"from_pattern: {name}[{i}]", error=DefinitionError, hint=hint)
        for i, element in enumerate(value)
    )


def _format(argument: Argument) -> str:
    return format_value(list(argument) if isinstance(argument, tuple) else argument)
