"""Expand a pattern and its arguments into steps: one for each layer, with every repeat unrolled and every size set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from deepkit.definition.errors import DefinitionError
from deepkit.pattern.arguments import Argument, Lookup, Repeat
from deepkit.pattern.parser import parse
from deepkit.pattern.symbols import KINDS, Atom, Item, Source

MAX_LAYERS = 10_000

Stages: TypeAlias = tuple[tuple[int, int], ...]
"""The stages around a layer, the outermost first: position of the repeat in the text, and index of the iteration."""


@dataclass(frozen=True)
class Step:
    """One layer of an expanded pattern.

    Args:
        kind: Kind of the layer: `"CONV"`.
        stages: The stages around it.
        atom: The atom in the text.
        number: Filters, units, classes, a rate or a slope.
        window: Size of the kernel or pooling window, or shape of the input.
        is_classifier: Whether it is the dense layer of a classifier.
        activation: Activation of the classifier: None, `"softmax"` or `"sigmoid"`.
        loss: Loss of the classifier: `"crossentropy"` or `"hinge"`.
    """

    kind: str
    stages: Stages
    atom: Atom
    number: float | None = None
    window: tuple[int, ...] = ()
    is_classifier: bool = False
    activation: str | None = None
    loss: str = "crossentropy"


def expand(pattern: str, arguments: Mapping[str, Argument]) -> tuple[Step, ...]:
    """Return the layers of a pattern in their order.

    Args:
        pattern: The text.
        arguments: The arguments, as `check_arguments` returns them.

    Raises:
        DefinitionError: The text is not a pattern, or the arguments do not fit it.
    """
    source = Source(pattern)
    items = parse(source)
    _check_input(source, items)
    lookup = Lookup(source, arguments)
    _check_total(items, lookup)
    expansion = _Expansion(lookup, head=_find_head(items))
    expansion.add_items(items, (), ())
    steps = _with_loss(_with_classifier(expansion.steps), lookup)
    lookup.check_unused(_atoms(items))
    _check_steps(expansion.steps, source)
    return tuple(steps)


class _Expansion:
    """Unrolls the repeats and looks up the sizes.

    Args:
        lookup: The arguments.
        head: The dense layer at the end of the network, if there is one: its size is `num_classes`.
    """

    def __init__(self, lookup: Lookup, *, head: Atom | None) -> None:
        self.lookup, self.head = lookup, head
        self.steps: list[Step] = []

    def add_items(self, items: tuple[Item, ...], repeats: tuple[Repeat, ...], stages: Stages) -> None:
        for item in items:
            count = self.lookup.count(item) if self.lookup.is_included(item, repeats) else 0
            if not count:  # arguments of an item that is left out are allowed, though unused
                self.lookup.used |= self.possible_arguments(item)
            for index in range(count):
                self.add_item(item, (*repeats, *_repeat(item, count, index)), (*stages, *_stage(item, index)))

    def add_item(self, item: Item, repeats: tuple[Repeat, ...], stages: Stages) -> None:
        if not isinstance(item.body, Atom):
            self.add_items(item.body, repeats, stages)
        elif item.body.text != "INPUT" and not self.merge_softmax(item.body):
            self.steps.append(self.step(item.body, repeats, stages))

    def merge_softmax(self, atom: Atom) -> bool:
        """Make a softmax the activation of the dense layer before it; return whether it is one."""
        previous = self.steps[-1] if self.steps else None
        if atom.kind != "SOFTMAX" or previous is None or previous.kind != "FC" or previous.is_classifier:
            return False
        if atom.size and previous.atom.size == atom.size:
            problem = f"{previous.atom.text} and {atom.text} both set the number of classes"
            raise self.lookup.source.error(atom.position, problem, f"use {atom.text} alone")
        if atom.size:
            return False
        self.steps[-1] = replace(previous, is_classifier=True, activation="softmax")
        return True

    def step(self, atom: Atom, repeats: tuple[Repeat, ...], stages: Stages) -> Step:
        step = Step(atom.kind, stages, atom)
        if atom.kind == "CONV":
            return replace(step, number=self.number(atom, repeats), window=self.kernel_size(atom, repeats))
        if atom.kind == "SOFTMAX":
            return replace(step, number=self.number(atom, repeats), is_classifier=True, activation="softmax")
        if atom.kind in ("FC", "DROPOUT"):
            return replace(step, number=self.number(atom, repeats))
        if atom.kind == "LEAKYRELU":
            return replace(step, number=atom.size[0] if atom.size else None)
        return replace(step, window=tuple(int(n) for n in atom.size))

    def number(self, atom: Atom, repeats: tuple[Repeat, ...]) -> float:
        if atom.size:
            return atom.size[-1]
        return self.lookup.value(self.size_argument(atom), atom, atom.position, repeats)

    def kernel_size(self, atom: Atom, repeats: tuple[Repeat, ...]) -> tuple[int, int]:
        if len(atom.size) == 3:
            return int(atom.size[0]), int(atom.size[1])
        if "kernel_size" not in self.lookup.arguments:
            return 3, 3
        size = int(self.lookup.value("kernel_size", atom, atom.position, repeats))
        return size, size

    def size_argument(self, atom: Atom) -> str:
        """Return the argument for the size of an atom without one; an empty string if its kind has no such argument."""
        if atom.kind == "SOFTMAX" or atom == self.head:
            return "num_classes"
        return {"FC": "units", "DROPOUT": "rate", "CONV": "filters"}.get(atom.kind, "")

    def possible_arguments(self, item: Item) -> set[str]:
        """Return all arguments that an item and the items in it can use."""
        names = {self.size_argument(atom) for atom in item.atoms() if not atom.size}
        names |= {"kernel_size" for atom in item.atoms() if atom.kind == "CONV" and len(atom.size) < 3}
        for inner in item.walk():
            if isinstance(inner.repeats, str):
                names.add(inner.repeats)
            if inner.optional_position is not None:
                names.add(next(inner.atoms()).kind.lower())
        return names


def _repeat(item: Item, count: int, index: int) -> tuple[Repeat, ...]:
    """Return the iteration of an item, or nothing if it is not repeated."""
    if item.repeats is None:
        return ()
    text = f"*{item.repeats}"
    if isinstance(item.repeats, str):
        text += f" ({item.repeats}={count})"
    return (Repeat(text, count, index),)


def _stage(item: Item, index: int) -> Stages:
    """Return the stage of an item: a repeat that contains repeats names its layers `stage1.conv1`."""
    num_repeats = sum(inner.repeats is not None for inner in item.walk())
    return ((item.position, index),) if item.repeats is not None and num_repeats > 1 else ()


def _find_head(items: tuple[Item, ...]) -> Atom | None:
    """Return the dense layer at the end of the network, or None if there is none outside of all repeats."""
    last = items[-1]
    if isinstance(last.body, Atom) and last.body.kind in ("SOFTMAX", "SIGMOID") and not last.body.size and items[1:]:
        last = items[-2]
    if last.repeats is not None:
        return None
    if isinstance(last.body, Atom):
        return last.body if last.body.kind == "FC" else None
    return _find_head(last.body)


def _with_classifier(steps: list[Step]) -> list[Step]:
    """Return the steps, with the dense layer at the end, and a sigmoid after it, as a classifier."""
    if not steps:
        return steps
    if steps[-1].kind == "FC":
        return [*steps[:-1], replace(steps[-1], is_classifier=True)]
    if steps[-1].kind == "SIGMOID" and len(steps) > 1 and steps[-2].kind == "FC":
        return [*steps[:-2], replace(steps[-2], is_classifier=True, activation="sigmoid")]
    return steps


def _with_loss(steps: list[Step], lookup: Lookup) -> list[Step]:
    """Return the steps, with the argument `loss` as the loss of the classifier at the end."""
    loss = lookup.arguments.get("loss")
    if not isinstance(loss, str) or not steps or not steps[-1].is_classifier:
        return steps
    lookup.used.add("loss")
    last = steps[-1]
    if loss == "hinge" and last.activation is not None:
        problem = f'loss="hinge" compares scores of any sign, and a {last.activation} returns probabilities'
        raise lookup.source.error(last.atom.position, problem, "end the pattern in FC")
    return [*steps[:-1], replace(last, loss=loss)]


def _check_steps(steps: list[Step], source: Source) -> None:
    """Raise if there is no layer, or if a layer for images follows a layer that returns a vector."""
    if all(step.kind == "INPUT" for step in steps):
        raise DefinitionError(
            "from_pattern: the pattern builds no layer", code=source.text, hint="add a layer that is not left out"
        )
    vector = ""
    for step in steps:
        if vector and (step.kind == "GAP" or KINDS[step.kind].has_window):
            problem = f"{step.atom.text} needs an image, but {vector} before it returns a vector"
            hint = "remove one of them" if step.kind == vector else f"move {step.kind} before {vector}"
            raise source.error(step.atom.position, problem, hint)
        if step.kind in ("FC", "SOFTMAX", "GAP", "FLATTEN"):
            vector = step.atom.text


def _check_input(source: Source, items: tuple[Item, ...]) -> None:
    first = items[0]
    is_plain = first.repeats is None and first.optional_position is None
    for atom in _atoms(items):
        if atom.kind == "INPUT" and not (atom is first.body and is_plain):
            raise source.error(atom.position, "INPUT must be the first item, without '*' and '?'", "remove this INPUT")


def _check_total(items: tuple[Item, ...], lookup: Lookup) -> int:
    """Return the number of layers; raise if there are too many, before any is created."""
    total = 0
    for item in items:
        inner = 1 if isinstance(item.body, Atom) else _check_total(item.body, lookup)
        total += max(1, inner * lookup.count(item))  # an item that is repeated 0 times takes time too
        if total > MAX_LAYERS:
            position = item.position if item.repeats is None else item.repeats_position
            problem = f"the pattern has more than {MAX_LAYERS:,} layers"
            raise lookup.source.error(position, problem, "use a smaller repeat")
    return total


def _atoms(items: tuple[Item, ...]) -> Iterator[Atom]:
    for item in items:
        yield from item.atoms()
