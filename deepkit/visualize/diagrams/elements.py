"""Elements of a diagram: boxes that list layers, and blocks around other elements."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from deepkit.visualize.diagrams import layer_labels as _labels

Link = tuple[int, int]  # from one call to another, as positions in the list of calls


@dataclass(frozen=True)
class LayerRow:
    """A row of a box: one layer.

    Args:
        name: The name of the layer.
        label: The description of the layer, such as `Conv2D 3×3, 64`.
        category: The category of the layer, which decides the color.
        num_params: Number of its weights.
        is_generic: Whether the name only repeats the kind of the layer.
    """

    name: str
    label: str
    category: str
    num_params: int = 0
    is_generic: bool = False


@dataclass(frozen=True)
class Element:
    """A box with rows, or a block around other elements.

    Args:
        name: Name of a block, or of a box that stands for a block; empty for a box that is only its rows.
        calls: Positions of the calls in it.
        rows: The layers that a box lists.
        children: The elements in a block.
        shape: Shape of its output.
        num_params: Number of weights of its layers, each layer counted once, for all copies together.
        num_copies: Number of equal consecutive elements that it stands for.
        reuses_weights: Whether all its weights belong to earlier calls.
        is_output: Whether it is one of several outputs of the model.
        lists_block: Whether it is a box that lists the layers of a block under the block's name.
        closed_rows: Rows of the box that replaces a short, unbranched block when it is closed.
    """

    name: str
    calls: tuple[int, ...]
    rows: tuple[LayerRow, ...] = ()
    children: tuple[Element, ...] = ()
    shape: str = ""
    num_params: int = 0
    num_copies: int = 1
    reuses_weights: bool = False
    is_output: bool = False
    lists_block: bool = False
    closed_rows: tuple[LayerRow, ...] = ()


class HasCalls(Protocol):
    """An element or a group of calls."""

    @property
    def calls(self) -> tuple[int, ...]:
        """Positions of the calls in it."""


def owner_of_calls(elements: Iterable[HasCalls]) -> dict[int, int]:
    """Return the index of the element that contains each call."""
    return {call: i for i, element in enumerate(elements) for call in element.calls}


def close_blocks(element: Element, depth: int) -> Element:
    """Return an element in which the blocks deeper than `depth` are boxes that count their layers."""
    if not element.children:
        return element
    if depth >= 0:
        return replace(element, children=tuple(close_blocks(child, depth - 1) for child in element.children))
    if element.closed_rows:
        return replace(element, children=(), rows=element.closed_rows, lists_block=True)
    kinds = Counter(_layer_kinds(replace(element, num_copies=1)))
    most_frequent = sorted(kinds.items(), key=lambda item: -item[1])[:3]
    rows = [LayerRow("", f"{sum(kinds.values())} layers", _labels.OTHER)]
    rows += [LayerRow("", f"{count} {kind}", _labels.OTHER) for kind, count in most_frequent]
    return replace(element, children=(), rows=tuple(rows), lists_block=True)


def nesting_depth(element: Element) -> int:
    """Return the largest number of blocks nested in an element; 0 if it only contains boxes."""
    return max((1 + nesting_depth(child) for child in element.children if child.children), default=0)


def rows_of(elements: Iterable[Element]) -> tuple[LayerRow, ...]:
    """Return the rows of boxes as one list; the rows of a box that stands for copies are repeated."""
    return tuple(row for element in elements for row in element.rows * element.num_copies)


def _layer_kinds(element: Element) -> list[str]:
    """Return the kind of every layer in an element, such as `Conv2D`."""
    kinds = [re.split(r"[ ,]", row.label)[0] for row in element.rows]
    for child in element.children:
        kinds += _layer_kinds(child)
    return kinds * element.num_copies
