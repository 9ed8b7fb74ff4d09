"""Where what stands one below the other is wrapped into columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from deepkit.visualize.diagrams.boxes import Link, Part
from deepkit.visualize.diagrams.row_order import Edge, Key, Node, row_of

GAP = 11.0  # between rows, in points
_SHORTEST = 0.25  # a column, of the tallest
_SHARES = tuple(share / 20 for share in range(19, 9, -1))


class Wiring:
    """The lines between parts that lie side by side, and those that come from and go to other places.

    Args:
        parts: What lies side by side.
        links: From call to call.
        make_input: The nets that come from other places in the order in which they come, from the left; as in
            the model where none is given.
    """

    def __init__(self, parts: Sequence[Part], links: Iterable[Link], make_input: Sequence[int] = ()) -> None:
        owner = {use: i for i, part in enumerate(parts) for use in part.uses}
        near = [(owner.get(a), owner.get(b), a) for a, b in links if a in owner or b in owner]
        self.inner = sorted({Edge(a, b, net) for a, b, net in near if a is not None and b is not None and a != b})
        at = {net: i for i, net in enumerate(make_input)}
        ins = {(net, b) for a, b, net in near if a is None and b is not None}
        self.ins = sorted(ins, key=lambda end: (at.get(end[0], len(at)), end))
        self.outs = sorted({(net, a) for a, b, net in near if b is None and a is not None})

    def edges(self) -> list[Edge]:
        """Return all lines, with the places where they enter and leave as nodes of their own."""
        make_input = [Edge(("in", net), target, net) for net, target in self.ins]
        leaving = [Edge(source, ("out", net), net) for net, source in self.outs]
        return [*make_input, *self.inner, *leaving]


def in_columns(wiring: Wiring, sizes: Sequence[float], tallest: float) -> list[list[int]]:
    """Return the parts of each column; one column where all fits, or where no cut is clean."""
    nodes: dict[Key, Node] = {i: Node(0.0) for i in range(len(sizes))}
    row = row_of(nodes, wiring.inner)
    heights = [0.0] * (max(row.values()) + 1)
    for i, height in enumerate(sizes):
        heights[row[i]] = max(heights[row[i]], height + GAP)
    if sum(heights) <= tallest:
        return [list(range(len(sizes)))]
    clean = [cut for cut in range(1, len(heights)) if _clean(cut, wiring, row)]
    cuts = _cuts(heights, clean, tallest)
    for share in _SHARES:  # as many columns, more even
        closer = _cuts(heights, clean, share * tallest)
        cuts = closer if len(closer) == len(cuts) else cuts
    bounds = [0, *cuts, len(heights)]
    columns = [[i for i in range(len(sizes)) if a <= row[i] < b] for a, b in pairwise(bounds)]
    lengths = [sum(heights[a:b]) for a, b in pairwise(bounds)]
    sensible = _forward(columns, wiring) and min(lengths) >= _SHORTEST * max(lengths)
    return columns if sensible else [list(range(len(sizes)))]


def _cuts(heights: Sequence[float], clean: Sequence[int], tallest: float) -> list[int]:
    cuts: list[int] = []
    start = 0
    for cut, after in pairwise([*clean, len(heights)]):
        if sum(heights[start:after]) > tallest:
            cuts.append(cut)
            start = cut
    return cuts


def _clean(cut: int, wiring: Wiring, row: Mapping[Key, int]) -> bool:
    """Whether what lies from row `cut` on takes but one output of what lies above, and nothing from outside."""
    nets = {net for a, b, net in wiring.inner if row[a] < cut <= row[b]}
    return (
        len(nets) == 1
        and all(row[target] < cut for _, target in wiring.ins)
        and all(row[source] >= cut for _, source in wiring.outs)
    )


def _forward(columns: Sequence[Sequence[int]], wiring: Wiring) -> bool:
    at = {i: c for c, column in enumerate(columns) for i in column}
    return all(at[b] - at[a] in (0, 1) for a, b, _ in wiring.inner)  # type: ignore[index]
