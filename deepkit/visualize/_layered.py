"""A directed graph in rows from top to bottom, few lines crossing (Sugiyama et al. 1981, "Methods for Visual
Understanding of Hierarchical System Structures").
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

Key = Hashable
_SWEEPS = 8  # to find an order
_SETTLE = 24  # to find places


class Edge(NamedTuple):
    """A line from one node to another; lines with one `net` from one node are drawn as one that forks."""

    source: Key
    target: Key
    net: int


_Pieces = Mapping[Key, Sequence[Edge]]


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
class Rows:
    """The graph in rows, each from left to right, with lanes between.

    Args:
        nodes: In the order in which they should stand where nothing speaks against it.
        edges: Without circles.
        gap: Between neighbours in a row, in points.
    """

    nodes: dict[Key, Node]
    edges: Sequence[Edge]
    gap: float
    rows: list[list[Key]] = field(init=False)
    pieces: list[Edge] = field(init=False)  # the edges, cut at their lanes
    left: dict[Key, float] = field(init=False)

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
        self.left = self._places()

    def out(self, edge: Edge) -> float:
        """Return where a piece leaves its source, from the left."""
        node = self.nodes[edge.source]
        return self.left[edge.source] + node.outs.get(edge.net, node.width / 2)

    def into(self, edge: Edge) -> float:
        """Return where a piece enters its target."""
        node = self.nodes[edge.target]
        return self.left[edge.target] + node.ins.get(edge.net, node.width / 2)

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
        near: dict[Key, list[Key]] = defaultdict(list)
        for source, target, _ in self.pieces:
            near[target if down else source].append(source if down else target)
        for fixed, row in pairwise(self.rows if down else self.rows[::-1]):
            at = {key: i for i, key in enumerate(fixed)}
            old = {key: i * len(fixed) / max(1, len(row)) for i, key in enumerate(row)}
            row.sort(key=lambda key: _mean([at[k] for k in near[key]], old[key]))

    def _crossings(self) -> int:
        at = {key: i for row in self.rows for i, key in enumerate(row)}
        level = {key: i for i, row in enumerate(self.rows) for key in row}
        between: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for source, target, _ in self.pieces:
            between[level[source]].append((at[source], at[target]))
        return sum(
            (a - c) * (b - d) < 0 for ends in between.values() for i, (a, b) in enumerate(ends) for c, d in ends[:i]
        )

    def _places(self) -> dict[Key, float]:
        """Put each node as near to its neighbours above and below as the others in its row allow."""
        self.left = {}
        for row in self.rows:
            x = 0.0
            for key in row:
                self.left[key] = x
                x += self.nodes[key].width + self.gap
            middle = (x - self.gap) / 2
            for key in row:
                self.left[key] -= middle
        above: dict[Key, list[Edge]] = defaultdict(list)
        below: dict[Key, list[Edge]] = defaultdict(list)
        for piece in self.pieces:
            above[piece.target].append(piece)
            below[piece.source].append(piece)
        pull = {piece: self._pull(piece, len(below[piece.source]), len(above[piece.target])) for piece in self.pieces}
        for sweep in range(_SETTLE):
            for row in self.rows if sweep % 2 == 0 else self.rows[::-1]:
                self._settle(row, above, below, pull)
        self._straighten(above, below, pull)
        self._align()
        return self.left

    def _settle(self, row: list[Key], above: _Pieces, below: _Pieces, pull: Mapping[Edge, float]) -> None:
        wishes, weights = [], []
        for key in row:
            moves = [(self.out(piece) - self.into(piece), pull[piece]) for piece in above[key]]
            moves += [(self.into(piece) - self.out(piece), pull[piece]) for piece in below[key]]
            weight = sum(w for _, w in moves)
            wishes.append(self.left[key] + (sum(move * w for move, w in moves) / weight if weight else 0.0))
            weights.append(max(weight, 0.1))
        self.left |= dict(zip(row, spread(wishes, weights, self._steps(row)), strict=True))

    def _straighten(self, above: _Pieces, below: _Pieces, pull: Mapping[Edge, float]) -> None:
        """Put each node exactly under the one that it follows, where neither has another as close."""
        for row in self.rows[1:]:
            places, weights = [self.left[key] for key in row], [1.0] * len(row)
            for i, key in enumerate(row):
                first = _strongest(above[key], pull)
                if first and first == _strongest(below[first.source], pull):
                    places[i] += self.out(first) - self.into(first)
                    weights[i] = 10.0 if isinstance(key, Lane) else 1e4
            self.left |= dict(zip(row, spread(places, weights, self._steps(row)), strict=True))

    def _align(self) -> None:
        """Make each line over several rows one straight line, where there is room in all of them."""
        lines: dict[tuple[Key, int], list[Lane]] = defaultdict(list)
        room: dict[Key, tuple[float, float]] = {}
        for row in self.rows:
            for lane in (key for key in row if isinstance(key, Lane)):
                lines[lane.source, lane.net].append(lane)
        beside = {key: (before, after) for row in self.rows for before, key, after in _neighbours(row)}
        for lanes in lines.values():
            for lane in lanes:
                before, after = beside[lane]
                low = self.left[before] + self.nodes[before].width + self.gap if before is not None else float("-inf")
                room[lane] = low, self.left[after] - self.gap if after is not None else float("inf")
            low, high = max(room[lane][0] for lane in lanes), min(room[lane][1] for lane in lanes)
            if low <= high:
                place = min(max(_mean([self.left[lane] for lane in lanes], 0.0), low), high)
                self.left |= dict.fromkeys(lanes, place)

    def _steps(self, row: Sequence[Key]) -> list[float]:
        return [self.nodes[key].width + self.gap for key in row[:-1]]

    @staticmethod
    def _pull(piece: Edge, leaving: int, entering: int) -> float:
        """Return how much a line wants to be straight: most along a lane and where nothing forks or joins."""
        if isinstance(piece.source, Lane) and isinstance(piece.target, Lane):
            return 8.0
        if isinstance(piece.source, Lane) or (isinstance(piece.target, Lane) and leaving > 1):
            return 0.02
        return 4.0 if leaving == entering == 1 else 0.25


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


def spread(wishes: Sequence[float], weights: Sequence[float], steps: Sequence[float]) -> list[float]:
    """Return the places nearest to the wishes (least squares) that are at least `steps` apart.

    Without the steps it is isotonic regression, solved by pooling neighbours that stand in each other's way.
    """
    offsets = [0.0]
    for step in steps:
        offsets.append(offsets[-1] + step)
    pools: list[tuple[float, float, int]] = []  # mean, weight, members
    for wish, weight, offset in zip(wishes, weights, offsets, strict=True):
        pool = (wish - offset, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            mean, other, count = pools.pop()
            total = other + pool[1]
            pool = ((mean * other + pool[0] * pool[1]) / total, total, count + pool[2])
        pools.append(pool)
    flat = [mean for mean, _, count in pools for _ in range(count)]
    return [place + offset for place, offset in zip(flat, offsets, strict=True)]


def _pieces(edge: Edge, row: Mapping[Key, int]) -> list[Edge]:
    lanes = [Lane(edge.source, edge.net, i) for i in range(row[edge.source] + 1, row[edge.target])]
    return [Edge(a, b, edge.net) for a, b in pairwise([edge.source, *lanes, edge.target])]


def _strongest(pieces: Sequence[Edge], pull: Mapping[Edge, float]) -> Edge | None:
    ranked = sorted(pieces, key=lambda piece: -pull[piece])
    alone = len(ranked) == 1 or (len(ranked) > 1 and pull[ranked[0]] > pull[ranked[1]])
    return ranked[0] if alone else None


def _neighbours(row: Sequence[Key]) -> Iterator[tuple[Key | None, Key, Key | None]]:
    return zip([None, *row[:-1]], row, [*row[1:], None], strict=True)


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default
