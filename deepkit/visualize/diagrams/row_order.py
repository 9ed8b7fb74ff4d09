"""A directed graph in rows from top to bottom, few lines crossing (Sugiyama et al. 1981, "Methods for Visual
Understanding of Hierarchical System Structures").
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

Key = Hashable
_SWEEPS = 8  # to find an order


class Edge(NamedTuple):
    """A line from one node to another; lines with one `net` from one node are drawn as one that forks."""

    source: Key
    target: Key
    net: int


class Lane(NamedTuple):
    """The place that a line over several rows keeps free in a row between."""

    source: Key
    net: int
    row: int


@dataclass
class Node:
    """What is placed: its width, and where lines leave and enter it, measured from its left side.

    Args:
        width: In points.
        first: Whether it belongs into the top row.
        last: Whether it belongs into the bottom row.
        outs: Where the line of a net leaves; in the middle if not given.
        ins: Where it enters.
    """

    width: float
    first: bool = False
    last: bool = False
    outs: Mapping[int, float] = field(default_factory=dict)
    ins: Mapping[int, float] = field(default_factory=dict)


@dataclass
class Order:
    """The graph in rows, each from left to right, with lanes between.

    Args:
        nodes: In the order in which they should stand where nothing speaks against it.
        edges: Without circles.
    """

    nodes: dict[Key, Node]
    edges: Sequence[Edge]
    rows: list[list[Key]] = field(init=False)
    pieces: list[Edge] = field(init=False)  # the edges, cut at their lanes

    def __post_init__(self) -> None:
        row = row_of(self.nodes, self.edges)
        self.pieces = list(dict.fromkeys(piece for edge in self.edges for piece in _pieces(edge, row)))
        lanes = [key for edge in self.pieces for key in edge[:2] if isinstance(key, Lane)]
        self.nodes = self.nodes | {lane: Node(0.0) for lane in lanes}
        row |= {lane: lane.row for lane in lanes}
        self.rows = [[] for _ in range(max(row.values()) + 1)]
        for key in self.nodes:
            self.rows[row[key]].append(key)
        self._order()

    def make_input(self, key: Key) -> list[int]:
        """Return the nets of the lines into a node, from the left of the row above."""
        at = {key: i for row in self.rows for i, key in enumerate(row)}
        pieces = [piece for piece in self.pieces if piece.target == key]
        return list(dict.fromkeys(piece.net for piece in sorted(pieces, key=lambda piece: self._start(piece, at))))

    def _start(self, piece: Edge, at: Mapping[Key, int]) -> float:
        """Return from where in its row a piece leaves, in places; lines that leave a node side by side differ."""
        node = self.nodes[piece.source]
        return at[piece.source] + node.outs.get(piece.net, node.width / 2) / (node.width + 1.0)

    def _end(self, piece: Edge, at: Mapping[Key, int]) -> float:
        node = self.nodes[piece.target]
        return at[piece.target] + node.ins.get(piece.net, node.width / 2) / (node.width + 1.0)

    def _order(self) -> None:
        best, fewest = [list(row) for row in self.rows], self._crossings()
        for sweep in range(_SWEEPS):
            if not fewest:
                break
            self._sweep(down=sweep % 2 == 0)
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(row) for row in self.rows], crossings
        self.rows = best

    def _sweep(self, down: bool) -> None:
        at = {key: i for row in self.rows for i, key in enumerate(row)}
        toward: dict[Key, list[Edge]] = defaultdict(list)
        for piece in self.pieces:
            toward[piece.target if down else piece.source].append(piece)
        place = self._start if down else self._end
        for fixed, row in pairwise(self.rows if down else self.rows[::-1]):
            at |= {key: i for i, key in enumerate(fixed)}
            old = {key: i * len(fixed) / max(1, len(row)) for i, key in enumerate(row)}
            row.sort(key=lambda key: mean([place(piece, at) for piece in toward[key]], old[key]))

    def _crossings(self) -> int:
        at = {key: i for row in self.rows for i, key in enumerate(row)}
        level = {key: i for i, row in enumerate(self.rows) for key in row}
        between: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for piece in self.pieces:
            between[level[piece.source]].append((self._start(piece, at), self._end(piece, at)))
        return sum(
            (a - c) * (b - d) < 0 for ends in between.values() for i, (a, b) in enumerate(ends) for c, d in ends[:i]
        )


def row_of(nodes: Mapping[Key, Node], edges: Iterable[Edge]) -> dict[Key, int]:
    """Return the row of each node: below all it takes, and a source just above the first that takes it."""
    after, before = defaultdict(set), defaultdict(set)
    for source, target, _ in edges:
        after[source].add(target)
        before[target].add(source)
    row: dict[Key, int] = {}
    todo = [key for key in nodes if not before[key]]
    waiting = {key: len(before[key]) for key in nodes}
    order = []
    while todo:
        key = todo.pop()
        order.append(key)
        row[key] = max((row[source] + 1 for source in before[key]), default=0)
        for target in after[key]:
            waiting[target] -= 1
            todo += [] if waiting[target] else [target]
    if any(node.first for node in nodes.values()):
        row = {key: at if nodes[key].first or before[key] else max(at, 1) for key, at in row.items()}
    for key in order:
        if not before[key] and after[key] and not nodes[key].first:
            row[key] = min(row[target] for target in after[key]) - 1
    bottom = max((row[key] for key in nodes if not nodes[key].last), default=-1) + 1
    return {key: bottom if nodes[key].last else at for key, at in row.items()}


def _pieces(edge: Edge, row: Mapping[Key, int]) -> list[Edge]:
    lanes = [Lane(edge.source, edge.net, i) for i in range(row[edge.source] + 1, row[edge.target])]
    return [Edge(a, b, edge.net) for a, b in pairwise([edge.source, *lanes, edge.target])]


def mean(values: Sequence[float], default: float) -> float:
    """Return the mean, or `default` for no values."""
    return sum(values) / len(values) if values else default
