"""A pattern and its arguments become steps: one for each layer, with every number filled in."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from deepkit._grammar import KINDS, Atom, Item, Source
from deepkit._parse import parse
from deepkit.scope import DefinitionError

MOST = 10_000  # layers in one pattern

_FLAGS = tuple(kind.lower() for kind in KINDS if kind != "INPUT")
_LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_MISSING = {  # what an atom lacks, and what to try
    "filters": ("number of filters", "CONV64, or filters=64"),
    "units": ("number of units", "FC256, or units=256"),
    "classes": ("number of classes", "{kind}10, or classes=10"),
    "rate": ("rate", "DROPOUT0.5, or rate=0.5"),
}
_GOOD = {"filters": 64, "units": 256, "classes": 10, "kernel_size": 3, "rate": 0.5}
_TAKEN_BY = {"filters": "CONV", "kernel_size": "CONV", "units": "FC", "rate": "DROPOUT"}
_HEADS = ("FC", "SOFTMAX")


@dataclass(frozen=True)
class Step:
    """One layer of an expanded pattern.

    Args:
        kind: Its kind: `"CONV"`.
        place: The stages it lies in, outermost first: where each is written, and which time this is.
        number: Filters, units, classes, a rate or a slope.
        window: Size of the kernel or pooling window, or of the input.
        strides: The stride, where one is written.
        padding: `"same"` or `"valid"`, where it is written.
        activation: What a dense layer that is a classifier ends in: None, `"softmax"` or `"sigmoid"`.
        classifier: Whether it is one.
        atom: What it was written as.
    """

    kind: str
    place: tuple[tuple[int, int], ...]
    atom: Atom
    number: float | None = None
    window: tuple[int, ...] = ()
    strides: int | None = None
    padding: str | None = None
    activation: str | None = None
    classifier: bool = False


@dataclass(frozen=True)
class Loop:
    """A repeat that is being written out, at one of its times."""

    text: str
    count: int
    index: int


def expand(pattern: str, arguments: Mapping[str, Any]) -> tuple[Step, ...]:
    """Return the layers of a pattern in their order.

    Raises:
        DefinitionError: The text is not a pattern, or the arguments do not fit it.
    """
    source = Source(pattern)
    items = parse(source)
    _check_input(source, items)
    for name, value in arguments.items():
        _check_argument(name, value)
    expansion = _Expansion(source, items, arguments)
    expansion.check_total(items)
    expansion.sequence(items, (), ())
    expansion.check_unused()
    return _with_head(expansion.steps, source)


class _Expansion:
    """Writes the repeats out, looks the numbers up and remembers which arguments were used."""

    def __init__(self, source: Source, items: tuple[Item, ...], arguments: Mapping[str, Any]) -> None:
        self.source, self.items, self.arguments = source, items, arguments
        self.head = _head(items)
        self.steps: list[Step] = []
        self.used: set[str] = set()

    def sequence(self, items: tuple[Item, ...], loops: tuple[Loop, ...], place: tuple[tuple[int, int], ...]) -> None:
        for item in items:
            if self.wanted(item, loops):
                self.item(item, loops, place)
            else:
                self.used |= self.could_use(item)

    def item(self, item: Item, loops: tuple[Loop, ...], place: tuple[tuple[int, int], ...]) -> None:
        count = self.count(item)
        if count == 0:
            self.used |= self.could_use(item)
        for index in range(count):
            inner, where = loops, place
            if item.times is not None:
                text = f"*{item.times}" if isinstance(item.times, int) else f"*{item.times} with {item.times}={count}"
                inner = (*loops, Loop(text, count, index))
            if _is_stage(item):
                where = (*place, (item.at, index))
            if isinstance(item.body, Atom):
                self.atom(item.body, inner, where)
            else:
                self.sequence(item.body, inner, where)

    def atom(self, atom: Atom, loops: tuple[Loop, ...], place: tuple[tuple[int, int], ...]) -> None:
        step = Step(atom.kind, place, atom, strides=atom.strides, padding=atom.padding)
        before = self.steps[-1] if self.steps else None
        if atom.kind == "SOFTMAX" and before and before.kind == "FC":
            if not atom.size:
                self.steps[-1] = replace(before, activation="softmax", classifier=True)
                return
            if before.atom.size == atom.size:
                raise self.source.error(
                    atom.at, f"{atom.text} after {before.atom.text}: the size is given twice", f"{atom.text} alone"
                )
        if atom.kind == "CONV":
            step = self.convolution(step, loops)
        elif atom.kind == "SOFTMAX":
            step = replace(step, number=self.number(atom, loops), activation="softmax", classifier=True)
        elif atom.kind in ("FC", "DROPOUT"):
            step = replace(step, number=self.number(atom, loops))
        elif atom.kind == "LEAKYRELU":
            step = replace(step, number=atom.size[0] if atom.size else None)
        else:
            step = replace(step, window=tuple(int(n) for n in atom.size))
        self.steps.append(step)

    def convolution(self, step: Step, loops: tuple[Loop, ...]) -> Step:
        atom = step.atom
        filters = atom.size[-1] if atom.size else self.value("filters", atom, atom.at, loops)
        if len(atom.size) == 3:
            return replace(step, number=filters, window=(int(atom.size[0]), int(atom.size[1])))
        size = self.value("kernel_size", atom, atom.at, loops) if "kernel_size" in self.arguments else 3
        return replace(step, number=filters, window=(size, size))

    def number(self, atom: Atom, loops: tuple[Loop, ...]) -> Any:
        return atom.size[0] if atom.size else self.value(self.size_of(atom), atom, atom.at, loops)

    def size_of(self, atom: Atom) -> str:
        """Return the argument that holds the size of an atom that has none."""
        if atom.kind == "SOFTMAX" or atom == self.head:
            return "classes"
        return {"FC": "units", "DROPOUT": "rate", "CONV": "filters"}.get(atom.kind, "")

    def value(self, name: str, atom: Atom, at: int, loops: tuple[Loop, ...]) -> Any:
        """Return an argument, of a list the value for this time of its repeat.

        Raises:
            DefinitionError: It is not given, or no repeat around the atom runs once for each value of the list.
        """
        if name not in self.arguments:
            raise self.missing(name, atom, at)
        self.used.add(name)
        given = self.arguments[name]
        if not isinstance(given, tuple):
            return given
        for loop in loops:
            if loop.count == len(given):
                return given[loop.index]
        around = ", ".join(loop.text for loop in loops)
        lies = f"the repeats around it are {around}" if loops else "it is not repeated"
        noun = f"{len(given)} values" if len(given) > 1 else "a list of 1 value"
        counts = " or ".join(str(n) for n in dict.fromkeys(loop.count for loop in loops))
        mend = f"one value for all, or a list of {counts}" if loops else f"{name}={given[0]!r}, one value"
        raise self.source.error(at, f"{name} has {noun}, but no repeat of {atom.text} runs so often: {lies}", mend)

    def missing(self, name: str, atom: Atom, at: int) -> DefinitionError:
        if name in _MISSING:
            noun, mend = _MISSING[name]
            return self.source.error(at, f"{atom.text} has no {noun}", mend.format(kind=atom.kind))
        problem = f"whether {atom.kind} stays is not said"
        return self.source.error(at, problem, f"{name}=True or {name}=False")

    def wanted(self, item: Item, loops: tuple[Loop, ...]) -> bool:
        if item.asked_at is None:
            return True
        atom = next(item.atoms())
        return self.value(atom.kind.lower(), atom, item.asked_at, loops)

    def count(self, item: Item) -> int:
        if isinstance(item.times, str):
            if item.times not in self.arguments:
                problem = f"how often {item.times} is, is not said"
                raise self.source.error(item.times_at, problem, f"{item.times}=2")
            self.used.add(item.times)
            return self.arguments[item.times]
        return 1 if item.times is None else item.times

    def could_use(self, item: Item) -> set[str]:
        """Return the arguments that belong to an item which is left out: they are not wrong, only idle."""
        names = {self.size_of(atom) for atom in item.atoms() if not atom.size}
        names |= {"kernel_size" for atom in item.atoms() if atom.kind == "CONV" and len(atom.size) < 3}
        return names | _asked(item)

    def check_total(self, items: tuple[Item, ...]) -> int:
        """Raise where more layers than can be meant would come out, before any is made."""
        total = 0
        for item in items:
            inner = 1 if isinstance(item.body, Atom) else self.check_total(item.body)
            total += max(1, inner * self.count(item))  # what comes to nothing is still gone through
            if total > MOST:
                at = item.at if item.times is None else item.times_at
                raise self.source.error(at, f"more than {MOST:,} layers", "a smaller repeat")
        return total

    def check_unused(self) -> None:
        for name, value in self.arguments.items():
            if name in self.used:
                continue
            given = f"{name}={list(value) if isinstance(value, tuple) else value!r} is given"
            kinds = _HEADS if name == "classes" else (_TAKEN_BY.get(name),)
            sized = [atom for atom in _atoms(self.items) if atom.kind in kinds and atom.size]
            if sized:
                atom = sized[-1] if name == "classes" else sized[0]
                problem = f"{given}, but {atom.text} has its own in the text"
                raise self.source.error(atom.at, problem, f"{atom.kind} without a size, or no {name}=")
            if name in _LETTERS:
                problem, mend = f"nothing is repeated {name} times", f"*{name} behind what is repeated"
            elif name in _FLAGS:
                problem, mend = f"no {name.upper()}? is in the pattern", f"{name.upper()}? where it may be left out"
            else:
                problem, mend = "nothing in the pattern takes it", "leaving it out"
            raise DefinitionError(f"from_pattern: {given}, but {problem}", code=self.source.text, mend=mend)


def _with_head(steps: list[Step], source: Source) -> tuple[Step, ...]:
    """Return the steps; a dense layer at the end, perhaps with its sigmoid, is a classifier."""
    if all(step.kind == "INPUT" for step in steps):
        raise DefinitionError("from_pattern: no layer is left of the pattern", code=source.text, mend="a count above 0")
    last = steps[-1]
    if last.kind == "FC":
        steps[-1] = replace(last, classifier=True)
    elif last.kind == "SIGMOID" and len(steps) > 1 and steps[-2].kind == "FC":
        steps[-2:] = [replace(steps[-2], activation="sigmoid", classifier=True)]
    return tuple(steps)


def _head(items: tuple[Item, ...]) -> Atom | None:
    """Return the dense layer that ends the network, where one does outside of every repeat."""
    last = items[-1]
    if isinstance(last.body, Atom) and last.body.kind in ("SOFTMAX", "SIGMOID") and not last.body.size and items[1:]:
        last = items[-2]
    if last.times is not None:
        return None
    if isinstance(last.body, Atom):
        return last.body if last.body.kind == "FC" else None
    return _head(last.body)


def _is_stage(item: Item) -> bool:
    """Tell whether this is a repeat of repeats, whose layers are named by a stage."""
    return item.times is not None and not isinstance(item.body, Atom) and any(_repeats(inner) for inner in item.body)


def _repeats(item: Item) -> bool:
    return item.times is not None or (not isinstance(item.body, Atom) and any(_repeats(inner) for inner in item.body))


def _asked(item: Item) -> set[str]:
    """Return the letters and the `?` arguments of an item and of what is in it."""
    names = {item.times} if isinstance(item.times, str) else set()
    names |= set() if item.asked_at is None else {next(item.atoms()).kind.lower()}
    return names.union(*(_asked(inner) for inner in item.body)) if not isinstance(item.body, Atom) else names


def _check_input(source: Source, items: tuple[Item, ...]) -> None:
    first = items[0]
    for atom in _atoms(items):
        if atom.kind == "INPUT" and (atom is not first.body or first.times is not None or first.asked_at is not None):
            raise source.error(atom.at, "INPUT is the first item, once", "the pattern without it")


def _atoms(items: tuple[Item, ...]) -> Iterator[Atom]:
    for item in items:
        yield from item.atoms()


def _check_argument(name: str, value: Any) -> None:
    """Raise unless an argument is known and its value is of the right kind."""
    if name in _LETTERS:
        if not _whole(value, least=0):
            raise DefinitionError(
                f"from_pattern: {name} must be a whole number of at least 0, received {value!r}", mend=f"{name}=2"
            )
        return
    tests = {"rate": (_rate, "a fraction in [0, 1)"), **dict.fromkeys(_FLAGS, (_flag, "True or False"))}
    if name not in _GOOD and name not in tests:
        near = difflib.get_close_matches(name, (*_GOOD, *_FLAGS), n=1)
        known = f"{', '.join(_GOOD)}, a capital letter of a repeat, or a kind in lower case for a '?'"
        mend = f"{near[0]}=" if near else known
        raise DefinitionError(f"from_pattern takes no argument {name!r}", mend=mend)
    fits, words = tests.get(name, (_whole, "a positive integer"))
    values = value if isinstance(value, tuple) and name != "classes" else (value,)
    if not values or not all(fits(item) for item in values):
        many = "" if name == "classes" else ", or a list of them, one for each time of a repeat"
        shown = list(value) if isinstance(value, tuple) else value
        raise DefinitionError(
            f"from_pattern: {name} must be {words}{many}; received {shown!r}", mend=f"{name}={_GOOD.get(name, True)}"
        )


def _whole(value: Any, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _rate(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1


def _flag(value: Any) -> bool:
    return isinstance(value, bool)
