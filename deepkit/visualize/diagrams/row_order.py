"""Layered graph drawing: assign nodes to rows from top to bottom and order each row so that few edges cross.

After Sugiyama et al. 1981, "Methods for Visual Understanding of Hierarchical System Structures"; their layers are
called rows here, because the word layer stands for a layer of a network. A
`net`, as in circuit design, is the number of a call whose output several edges may carry.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

Key = Hashable
_NUM_SWEEPS = 8


class Edge(NamedTuple):
    """An edge from one node to another; edges of one `net` from one node are drawn as one line that forks."""

    source: Key
    target: Key
    net: int


class DummyNode(NamedTuple):
    """A node of width 0 that reserves the space for a long edge in a row that it passes."""

    source: Key
    net: int
    row: int


@dataclass
class Node:
    """The width of a node and the positions of its ports, measured from its left side.

    Args:
        width: Width in points.
        is_first: Whether the node belongs to the top row.
        is_last: Whether the node belongs to the bottom row.
        out_ports: Position at which the edges of each net leave; by default the middle.
        in_ports: Position at which the edges of each net enter; by default the middle.
    """

    width: float
    is_first: bool = False
    is_last: bool = False
    out_ports: Mapping[int, float] = field(default_factory=dict)
    in_ports: Mapping[int, float] = field(default_factory=dict)

    def out_port(self, net: int) -> float:
        """Return the position at which the edges of a net leave."""
        return self.out_ports.get(net, self.width / 2)

    def in_port(self, net: int) -> float:
        """Return the position at which the edges of a net enter."""
        return self.in_ports.get(net, self.width / 2)


@dataclass
class OrderedRows:
    """A graph in rows, each ordered from left to right, with dummy nodes for long edges.

    Args:
        nodes: The nodes in the preferred order from the left.
        edges: The edges, without cycles.
    """

    nodes: dict[Key, Node]
    edges: Sequence[Edge]
    rows: list[list[Key]] = field(init=False)
    segments: list[Edge] = field(init=False)  # the edges, split at their dummy nodes

    def __post_init__(self) -> None:
        row_of_node = assign_rows(self.nodes, self.edges)
        segments = [segment for edge in self.edges for segment in _split_edge(edge, row_of_node)]
        self.segments = list(dict.fromkeys(segments))
        dummies = [key for segment in self.segments for key in segment[:2] if isinstance(key, DummyNode)]
        self.nodes = self.nodes | {dummy: Node(0.0) for dummy in dummies}
        row_of_node |= {dummy: dummy.row for dummy in dummies}
        self.rows = [[] for _ in range(max(row_of_node.values()) + 1)]
        for key in self.nodes:
            self.rows[row_of_node[key]].append(key)
        self._minimize_crossings()

    def incoming_nets(self, key: Key) -> list[int]:
        """Return the nets of the edges into a node, ordered as they start in the row above."""
        positions = self._positions()
        segments = [segment for segment in self.segments if segment.target == key]
        segments.sort(key=lambda segment: self._source_position(segment, positions))
        return list(dict.fromkeys(segment.net for segment in segments))

    def _positions(self) -> dict[Key, int]:
        """Return the position of each node in its row."""
        return {key: i for row in self.rows for i, key in enumerate(row)}

    def _source_position(self, segment: Edge, positions: Mapping[Key, int]) -> float:
        """Return the position at which a segment leaves its row; the ports of one node have different positions."""
        node = self.nodes[segment.source]
        return positions[segment.source] + node.out_port(segment.net) / (node.width + 1.0)

    def _target_position(self, segment: Edge, positions: Mapping[Key, int]) -> float:
        """Return the position at which a segment enters its row."""
        node = self.nodes[segment.target]
        return positions[segment.target] + node.in_port(segment.net) / (node.width + 1.0)

    def _minimize_crossings(self) -> None:
        best_rows, fewest_crossings = [list(row) for row in self.rows], self._count_crossings()
        for sweep in range(_NUM_SWEEPS):
            if not fewest_crossings:
                break
            self._sweep(downwards=sweep % 2 == 0)
            num_crossings = self._count_crossings()
            if num_crossings < fewest_crossings:
                best_rows, fewest_crossings = [list(row) for row in self.rows], num_crossings
        self.rows = best_rows

    def _sweep(self, downwards: bool) -> None:
        """Sort each row by the barycenters of the nodes' neighbors in the preceding row."""
        positions = self._positions()
        segments_of_node: dict[Key, list[Edge]] = defaultdict(list)
        for segment in self.segments:
            segments_of_node[segment.target if downwards else segment.source].append(segment)
        neighbor_position = self._source_position if downwards else self._target_position
        for fixed_row, row in pairwise(self.rows if downwards else self.rows[::-1]):
            positions |= {key: i for i, key in enumerate(fixed_row)}
            barycenters = {}
            for i, key in enumerate(row):
                neighbors = [neighbor_position(segment, positions) for segment in segments_of_node[key]]
                barycenters[key] = mean(neighbors, default=i * len(fixed_row) / max(1, len(row)))
            row.sort(key=lambda key: barycenters[key])

    def _count_crossings(self) -> int:
        positions = self._positions()
        row_of_node = {key: i for i, row in enumerate(self.rows) for key in row}
        ends_between_rows: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for segment in self.segments:
            ends = self._source_position(segment, positions), self._target_position(segment, positions)
            ends_between_rows[row_of_node[segment.source]].append(ends)
        num_crossings = 0
        for all_ends in ends_between_rows.values():
            for i, (top, bottom) in enumerate(all_ends):
                num_crossings += sum((top - a) * (bottom - b) < 0 for a, b in all_ends[:i])
        return num_crossings


def assign_rows(nodes: Mapping[Key, Node], edges: Iterable[Edge]) -> dict[Key, int]:
    """Return the row of each node: below all its sources; a node without sources is just above its first target."""
    targets, sources = defaultdict(set), defaultdict(set)
    for source, target, _ in edges:
        targets[source].add(target)
        sources[target].add(source)
    rows: dict[Key, int] = {}
    stack = [key for key in nodes if not sources[key]]
    num_missing = {key: len(sources[key]) for key in nodes}
    topological_order = []
    while stack:
        key = stack.pop()
        topological_order.append(key)
        rows[key] = max((rows[source] + 1 for source in sources[key]), default=0)
        for target in targets[key]:
            num_missing[target] -= 1
            if not num_missing[target]:
                stack.append(target)
    if any(node.is_first for node in nodes.values()):
        for key, row in rows.items():
            if not nodes[key].is_first and not sources[key]:
                rows[key] = max(row, 1)
    for key in topological_order:
        if not sources[key] and targets[key] and not nodes[key].is_first:
            rows[key] = min(rows[target] for target in targets[key]) - 1
    bottom = max((rows[key] for key in nodes if not nodes[key].is_last), default=-1) + 1
    return {key: bottom if nodes[key].is_last else row for key, row in rows.items()}


def mean(values: Sequence[float], default: float) -> float:
    """Return the mean, or `default` for no values."""
    return sum(values) / len(values) if values else default


def _split_edge(edge: Edge, rows: Mapping[Key, int]) -> list[Edge]:
    """Return the segments of an edge between its dummy nodes, one in each row that the edge passes."""
    dummies = [DummyNode(edge.source, edge.net, row) for row in range(rows[edge.source] + 1, rows[edge.target])]
    return [Edge(source, target, edge.net) for source, target in pairwise([edge.source, *dummies, edge.target])]
