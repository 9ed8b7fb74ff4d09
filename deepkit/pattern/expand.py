"""A pattern and its arguments become steps: one for each layer, every repeat written out, every number filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from deepkit.definition.errors import DefinitionError
from deepkit.pattern.arguments import Lookup, Loop
from deepkit.pattern.parser import parse
from deepkit.pattern.symbols import KINDS, Atom, Item, Source

MOST = 10_000  # layers in one pattern

Place = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Step:
    """One layer of an expanded pattern.

    Args:
        kind: Its kind: `"CONV"`.
        place: The stages it lies in, outermost first: where each is written, and which time this is.
        atom: What it was written as.
        number: Filters, units, classes, a rate or a slope.
        window: Size of the kernel or pooling window, or of the input.
        classifier: Whether it is a dense layer that tells classes apart.
        activation: What that ends in: None, `"softmax"` or `"sigmoid"`.
    """

    kind: str
    place: Place
    atom: Atom
    number: float | None = None
    window: tuple[int, ...] = ()
    classifier: bool = False
    activation: str | None = None


def expand(pattern: str, arguments: Mapping[str, Any]) -> tuple[Step, ...]:
    """Return the layers of a pattern in their order.

    Args:
        pattern: The text.
        arguments: What was given with it, lists as tuples.

    Raises:
        DefinitionError: The text is not a pattern, or the arguments do not fit it.
    """
    source = Source(pattern)
    items = parse(source)
    _check_input(source, items)
    lookup = Lookup(source, arguments)
    _check_total(items, lookup)
    expansion = _Expansion(lookup, head=_head(items))
    expansion.sequence(items, (), ())
    lookup.check_unused(_atoms(items))
    _check_steps(expansion.steps, source)
    return tuple(_with_head(expansion.steps))


class _Expansion:
    """Writes the repeats out and fills the numbers in."""

    def __init__(self, lookup: Lookup, *, head: Atom | None) -> None:
        self.lookup, self.head = lookup, head
        self.steps: list[Step] = []

    def sequence(self, items: tuple[Item, ...], loops: tuple[Loop, ...], place: Place) -> None:
        for item in items:
            count = self.lookup.count(item) if self.lookup.wanted(item, loops) else 0
            if not count:  # the arguments of what is left out are idle, not wrong
                self.lookup.used |= self.could_use(item)
            for index in range(count):
                self.once(item, (*loops, *_loop(item, count, index)), (*place, *_stage(item, index)))

    def once(self, item: Item, loops: tuple[Loop, ...], place: Place) -> None:
        if not isinstance(item.body, Atom):
            self.sequence(item.body, loops, place)
        elif item.body.text != "INPUT" and not self.is_activation_of_the_last(item.body):
            self.steps.append(self.step(item.body, loops, place))

    def is_activation_of_the_last(self, atom: Atom) -> bool:
        """Tell whether this is the softmax of the dense layer before it, and give it to that."""
        before = self.steps[-1] if self.steps else None
        if atom.kind != "SOFTMAX" or before is None or before.kind != "FC" or before.classifier:
            return False
        if atom.size and before.atom.size == atom.size:
            problem = f"{atom.text} after {before.atom.text}: the size is given twice"
            raise self.lookup.source.error(atom.at, problem, f"{atom.text} alone")
        if not atom.size:
            self.steps[-1] = replace(before, classifier=True, activation="softmax")
        return not atom.size

    def step(self, atom: Atom, loops: tuple[Loop, ...], place: Place) -> Step:
        step = Step(atom.kind, place, atom)
        if atom.kind == "CONV":
            return replace(step, number=self.number(atom, loops), window=self.kernel(atom, loops))
        if atom.kind == "SOFTMAX":
            return replace(step, number=self.number(atom, loops), classifier=True, activation="softmax")
        if atom.kind in ("FC", "DROPOUT"):
            return replace(step, number=self.number(atom, loops))
        if atom.kind == "LEAKYRELU":
            return replace(step, number=atom.size[0] if atom.size else None)
        return replace(step, window=tuple(int(n) for n in atom.size))

    def number(self, atom: Atom, loops: tuple[Loop, ...]) -> float:
        return atom.size[-1] if atom.size else self.lookup.value(self.argument(atom), atom, atom.at, loops)

    def kernel(self, atom: Atom, loops: tuple[Loop, ...]) -> tuple[int, int]:
        if len(atom.size) == 3:
            return int(atom.size[0]), int(atom.size[1])
        given = "kernel_size" in self.lookup.arguments
        size = self.lookup.value("kernel_size", atom, atom.at, loops) if given else 3
        return size, size

    def argument(self, atom: Atom) -> str:
        """Return the argument that holds the size of an atom that has none, empty where it needs none."""
        if atom.kind == "SOFTMAX" or atom == self.head:
            return "num_classes"
        return {"FC": "units", "DROPOUT": "rate", "CONV": "filters"}.get(atom.kind, "")

    def could_use(self, item: Item) -> set[str]:
        """Return the arguments that this item and what is in it would take."""
        names = {self.argument(atom) for atom in item.atoms() if not atom.size}
        names |= {"kernel_size" for atom in item.atoms() if atom.kind == "CONV" and len(atom.size) < 3}
        for inner in item.nested():
            names |= {inner.times} if isinstance(inner.times, str) else set()
            names |= set() if inner.asked_at is None else {next(inner.atoms()).kind.lower()}
        return names


def _loop(item: Item, count: int, index: int) -> tuple[Loop, ...]:
    """Return the repeat that an item is, if it is one."""
    if item.times is None:
        return ()
    return (Loop(f"*{item.times}" + (f" ({item.times}={count})" if isinstance(item.times, str) else ""), count, index),)


def _stage(item: Item, index: int) -> Place:
    """Return the stage that an item is: a repeat with repeats in it names its layers `stage1.conv1`."""
    repeats = [inner for inner in item.nested() if inner.times is not None]
    return ((item.at, index),) if item.times is not None and len(repeats) > 1 else ()


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


def _with_head(steps: list[Step]) -> list[Step]:
    """Return the steps; a dense layer at the end, perhaps with its sigmoid, is a classifier."""
    if steps[-1].kind == "FC":
        return [*steps[:-1], replace(steps[-1], classifier=True)]
    if steps[-1].kind == "SIGMOID" and len(steps) > 1 and steps[-2].kind == "FC":
        return [*steps[:-2], replace(steps[-2], classifier=True, activation="sigmoid")]
    return steps


def _check_steps(steps: list[Step], source: Source) -> None:
    """Raise where nothing is left, or an image is needed where only a vector is left."""
    if all(step.kind == "INPUT" for step in steps):
        raise DefinitionError(
            "from_pattern: no layer is left of the pattern", code=source.text, hint="a layer that stays"
        )
    vector = ""
    for step in steps:
        if vector and (step.kind == "GAP" or KINDS[step.kind].window):
            problem = f"{step.atom.text} needs an image, and {vector} before it leaves a vector"
            hint = "one of them" if step.kind == vector else f"{step.kind} before {vector}"
            raise source.error(step.atom.at, problem, hint)
        vector = step.atom.text if step.kind in ("FC", "SOFTMAX", "GAP", "FLATTEN") else vector


def _check_input(source: Source, items: tuple[Item, ...]) -> None:
    first = items[0]
    for atom in _atoms(items):
        if atom.kind == "INPUT" and (atom is not first.body or first.times is not None or first.asked_at is not None):
            raise source.error(atom.at, "INPUT is the first item, once", "the pattern without it")


def _check_total(items: tuple[Item, ...], lookup: Lookup) -> int:
    """Raise where more layers than can be meant would come out, before any is made."""
    total = 0
    for item in items:
        inner = 1 if isinstance(item.body, Atom) else _check_total(item.body, lookup)
        total += max(1, inner * lookup.count(item))  # what comes to nothing is still gone through
        if total > MOST:
            at = item.at if item.times is None else item.times_at
            raise lookup.source.error(at, f"more than {MOST:,} layers", "a smaller repeat")
    return total


def _atoms(items: tuple[Item, ...]) -> Iterator[Atom]:
    for item in items:
        yield from item.atoms()
