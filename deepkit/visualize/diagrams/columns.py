"""Wrap a tall stack of elements into columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from deepkit.visualize.diagrams.elements import Element, Link, owner_of_calls
from deepkit.visualize.diagrams.row_order import Edge, Key, Node, assign_rows

ROW_GAP = 11.0  # in points
_MIN_COLUMN_SHARE = 0.25  # height of the shortest column, as a fraction of the tallest
_HEIGHT_SHARES = tuple(share / 20 for share in range(19, 9, -1))


class Connections:
    """The edges between the elements of a block, and the edges that enter and leave the block.

    Attributes:
        inner: Edges between two elements of the block.
        incoming: Net and target of each edge that enters the block.
        outgoing: Net and source of each edge that leaves the block.

    Args:
        elements: The elements of the block.
        links: The links between the calls of the model.
        input_order: The nets that enter the block, in the order from the left. Other nets follow in the order of the
            model.
    """

    def __init__(self, elements: Sequence[Element], links: Iterable[Link], input_order: Sequence[int] = ()) -> None:
        owner = owner_of_calls(elements)
        position = {net: i for i, net in enumerate(input_order)}
        inner, incoming, outgoing = set(), set(), set()
        for source_call, target_call in links:
            source, target = owner.get(source_call), owner.get(target_call)
            if source is not None and target is not None and source != target:
                inner.add((source, target, source_call))
            elif source is None and target is not None:
                incoming.add((source_call, target))
            elif source is not None and target is None:
                outgoing.add((source_call, source))
        self.inner = [Edge(*edge) for edge in sorted(inner)]
        self.incoming = sorted(incoming, key=lambda edge: (position.get(edge[0], len(position)), edge))
        self.outgoing = sorted(outgoing)

    def edges(self) -> list[Edge]:
        """Return all edges; the points where they enter and leave the block are nodes."""
        incoming = [Edge(("in", net), target, net) for net, target in self.incoming]
        outgoing = [Edge(source, ("out", net), net) for net, source in self.outgoing]
        return [*incoming, *self.inner, *outgoing]


def wrap_into_columns(connections: Connections, heights: Sequence[float], max_height: float) -> list[list[int]]:
    """Return the elements of each column; a single column if all elements fit, or if the stack cannot be cut.

    Args:
        connections: The edges of the block.
        heights: Height of each element in points.
        max_height: Largest height of a column in points.
    """
    nodes: dict[Key, Node] = {i: Node(0.0) for i in range(len(heights))}
    rows = assign_rows(nodes, connections.inner)
    single_column = [list(range(len(heights)))]
    row_heights = [0.0] * (max(rows.values()) + 1)
    for i, height in enumerate(heights):
        row_heights[rows[i]] = max(row_heights[rows[i]], height + ROW_GAP)
    if sum(row_heights) <= max_height:
        return single_column
    allowed_cuts = [cut for cut in range(1, len(row_heights)) if _is_allowed_cut(cut, connections, rows)]
    cuts = _choose_cuts(row_heights, allowed_cuts, max_height)
    for share in _HEIGHT_SHARES:  # keep the number of columns, but make their heights more equal
        lower_cuts = _choose_cuts(row_heights, allowed_cuts, share * max_height)
        if len(lower_cuts) == len(cuts):
            cuts = lower_cuts
    bounds = [0, *cuts, len(row_heights)]
    columns = []
    for start, stop in pairwise(bounds):
        columns.append([i for i in range(len(heights)) if start <= rows[i] < stop])
    column_heights = [sum(row_heights[start:stop]) for start, stop in pairwise(bounds)]
    is_even = min(column_heights) >= _MIN_COLUMN_SHARE * max(column_heights)
    return columns if is_even and _connects_neighbors_only(columns, connections) else single_column


def _choose_cuts(row_heights: Sequence[float], allowed_cuts: Sequence[int], max_height: float) -> list[int]:
    """Return the rows before which a new column starts, with each column as tall as allowed."""
    cuts: list[int] = []
    start = 0
    for cut, next_cut in pairwise([*allowed_cuts, len(row_heights)]):
        if sum(row_heights[start:next_cut]) > max_height:
            cuts.append(cut)
            start = cut
    return cuts


def _is_allowed_cut(cut: int, connections: Connections, rows: Mapping[Key, int]) -> bool:
    """Return whether exactly one net crosses into row `cut`, the block's inputs lie above and its outputs below."""
    nets = {net for source, target, net in connections.inner if rows[source] < cut <= rows[target]}
    return (
        len(nets) == 1
        and all(rows[target] < cut for _, target in connections.incoming)
        and all(rows[source] >= cut for _, source in connections.outgoing)
    )


def _connects_neighbors_only(columns: Sequence[Sequence[int]], connections: Connections) -> bool:
    """Return whether every edge lies in a column or leads to the next one."""
    column_of: dict[Key, int] = {i: number for number, column in enumerate(columns) for i in column}
    return all(column_of[target] - column_of[source] in (0, 1) for source, target, _ in connections.inner)
