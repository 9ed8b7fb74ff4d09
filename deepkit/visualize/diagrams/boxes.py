"""What a diagram is made of: boxes with rows, and blocks around them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from deepkit.visualize.diagrams import labels as _labels

Link = tuple[int, int]  # from one call to another, as positions in the list of calls


@dataclass(frozen=True)
class Row:
    """One line of a box: a layer."""

    name: str
    text: str
    kind: str
    params: int = 0
    plain: bool = False  # whether the name only repeats what the layer is


@dataclass(frozen=True)
class Part:
    """A box with rows, or a block around other parts.

    Args:
        name: Of a block, or of a box that stands for one; empty for a box that is only its rows.
        uses: Positions of the calls in it.
        rows: The lines of a box.
        parts: What lies in a block.
        shape: Of what it returns.
        params: Weights of its layers, each layer counted once; of all its copies.
        times: How many copies in a row it stands for.
        again: Whether its weights were met before.
    """

    name: str
    uses: tuple[int, ...]
    rows: tuple[Row, ...] = ()
    parts: tuple[Part, ...] = ()
    shape: str = ""
    params: int = 0
    times: int = 1
    again: bool = False
    output: bool = False  # is one of several outputs of the model
    joined: bool = False  # lists the layers of a block, under its name
    listing: tuple[Row, ...] = ()  # the layers of a block that is a plain run of few, for when it is closed


def closed(part: Part, depth: int) -> Part:
    """Return a part with the blocks deeper than `depth` as boxes that count their layers."""
    if not part.parts:
        return part
    if depth >= 0:
        return replace(part, parts=tuple(closed(inner, depth - 1) for inner in part.parts))
    if part.listing:
        return replace(part, parts=(), rows=part.listing, joined=True)
    kinds = Counter(_counted(replace(part, times=1)))
    most = sorted(kinds.items(), key=lambda item: -item[1])[:3]
    rows = (
        Row("", f"{sum(kinds.values())} layers", _labels.OTHER),
        *(Row("", f"{count} {kind}", _labels.OTHER) for kind, count in most),
    )
    return replace(part, parts=(), rows=rows, joined=True)


def levels(part: Part) -> int:
    """Return how many blocks lie in each other at most; 0 where there are only boxes."""
    return max((1 + levels(inner) for inner in part.parts if inner.parts), default=0)


def rows_of(parts: Iterable[Part]) -> tuple[Row, ...]:
    """Return the layers of boxes as one list, those that stand for several as often as they do."""
    return tuple(row for part in parts for row in part.rows * part.times)


def _counted(part: Part) -> list[str]:
    own = [re.split(r"[ ,]", row.text)[0] for row in part.rows]
    return (own + [kind for inner in part.parts for kind in _counted(inner)]) * part.times
