"""Layered graph drawing: give each node of ordered rows a horizontal coordinate, connected nodes below each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from deepkit.visualize.diagrams.row_order import DummyNode, Edge, Key, OrderedRows, mean

_NUM_SWEEPS = 24

_SegmentsOfNode = Mapping[Key, Sequence[Edge]]


@dataclass
class PlacedRows(OrderedRows):
    """A graph in rows whose nodes have coordinates.

    Args:
        gap: Smallest gap between neighbors in a row, in points.
    """

    gap: float
    left: dict[Key, float] = field(init=False)  # the left side of each node

    def __post_init__(self) -> None:
        super().__post_init__()
        self.left = self._initial_coordinates()
        above: dict[Key, list[Edge]] = defaultdict(list)
        below: dict[Key, list[Edge]] = defaultdict(list)
        for segment in self.segments:
            above[segment.target].append(segment)
            below[segment.source].append(segment)
        stiffness = {}
        for segment in self.segments:
            stiffness[segment] = _stiffness(segment, len(below[segment.source]), len(above[segment.target]))
        for sweep in range(_NUM_SWEEPS):
            for row in self.rows if sweep % 2 == 0 else self.rows[::-1]:
                self._relax_row(row, above, below, stiffness)
        self._align_pairs(above, below, stiffness)
        self._align_long_edges()

    def source_x(self, segment: Edge) -> float:
        """Return the coordinate at which a segment leaves its source."""
        return self.left[segment.source] + self.nodes[segment.source].out_port(segment.net)

    def target_x(self, segment: Edge) -> float:
        """Return the coordinate at which a segment enters its target."""
        return self.left[segment.target] + self.nodes[segment.target].in_port(segment.net)

    def _initial_coordinates(self) -> dict[Key, float]:
        """Return coordinates with all gaps as small as possible and all rows centered."""
        left = {}
        for row in self.rows:
            x = 0.0
            for key in row:
                left[key] = x
                x += self.nodes[key].width + self.gap
            center = (x - self.gap) / 2
            for key in row:
                left[key] -= center
        return left

    def _relax_row(
        self, row: list[Key], above: _SegmentsOfNode, below: _SegmentsOfNode, stiffness: Mapping[Edge, float]
    ) -> None:
        """Move each node of a row toward its neighbors above and below, as far as the row allows."""
        desired, weights = [], []
        for key in row:
            moves = [(self.source_x(segment) - self.target_x(segment), stiffness[segment]) for segment in above[key]]
            moves += [(self.target_x(segment) - self.source_x(segment), stiffness[segment]) for segment in below[key]]
            total = sum(weight for _, weight in moves)
            offset = sum(move * weight for move, weight in moves) / total if total else 0.0
            desired.append(self.left[key] + offset)
            weights.append(max(total, 0.1))
        self.left |= dict(zip(row, spread(desired, weights, self._distances(row)), strict=True))

    def _align_pairs(self, above: _SegmentsOfNode, below: _SegmentsOfNode, stiffness: Mapping[Edge, float]) -> None:
        """Move each node exactly below the node above it if the segment between them is the stiffest of both."""
        for row in self.rows[1:]:
            desired, weights = [self.left[key] for key in row], [1.0] * len(row)
            for i, key in enumerate(row):
                segment = _stiffest(above[key], stiffness)
                if segment and segment == _stiffest(below[segment.source], stiffness):
                    desired[i] += self.source_x(segment) - self.target_x(segment)
                    weights[i] = 10.0 if isinstance(key, DummyNode) else 1e4
            self.left |= dict(zip(row, spread(desired, weights, self._distances(row)), strict=True))

    def _align_long_edges(self) -> None:
        """Make each edge over several rows one straight line, if there is room for it in all rows."""
        edges: dict[tuple[Key, int], list[DummyNode]] = defaultdict(list)
        for row in self.rows:
            for key in row:
                if isinstance(key, DummyNode):
                    edges[key.source, key.net].append(key)
        neighbors = {key: (before, after) for row in self.rows for before, key, after in _with_neighbors(row)}
        for dummies in edges.values():
            low, high = float("-inf"), float("inf")
            for dummy in dummies:
                before, after = neighbors[dummy]
                if before is not None:
                    low = max(low, self.left[before] + self.nodes[before].width + self.gap)
                if after is not None:
                    high = min(high, self.left[after] - self.gap)
            if low <= high:
                x = min(max(mean([self.left[dummy] for dummy in dummies], 0.0), low), high)
                self.left |= dict.fromkeys(dummies, x)

    def _distances(self, row: Sequence[Key]) -> list[float]:
        """Return the smallest distances between the left sides of consecutive nodes."""
        return [self.nodes[key].width + self.gap for key in row[:-1]]


def spread(desired: Sequence[float], weights: Sequence[float], distances: Sequence[float]) -> list[float]:
    """Return the coordinates closest to the desired ones (least squares) that are at least `distances` apart.

    Without the distances, this is isotonic regression, solved by pooling adjacent violators.
    """
    offsets = [0.0]
    for distance in distances:
        offsets.append(offsets[-1] + distance)
    pools: list[tuple[float, float, int]] = []  # mean, weight, number of members
    for x, weight, offset in zip(desired, weights, offsets, strict=True):
        pool = (x - offset, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            previous_mean, previous_weight, count = pools.pop()
            total = previous_weight + pool[1]
            pooled_mean = (previous_mean * previous_weight + pool[0] * pool[1]) / total
            pool = (pooled_mean, total, count + pool[2])
        pools.append(pool)
    pooled = [pool_mean for pool_mean, _, count in pools for _ in range(count)]
    return [x + offset for x, offset in zip(pooled, offsets, strict=True)]


def _stiffness(segment: Edge, num_leaving: int, num_entering: int) -> float:
    """Return the weight of a straight segment: largest inside a long edge, and for edges without forks and joins."""
    if isinstance(segment.source, DummyNode) and isinstance(segment.target, DummyNode):
        return 8.0
    if isinstance(segment.source, DummyNode) or (isinstance(segment.target, DummyNode) and num_leaving > 1):
        return 0.02
    return 4.0 if num_leaving == num_entering == 1 else 0.25


def _stiffest(segments: Sequence[Edge], stiffness: Mapping[Edge, float]) -> Edge | None:
    """Return the stiffest segment, or None if there is a tie."""
    ranked = sorted(segments, key=lambda segment: -stiffness[segment])
    if not ranked or (len(ranked) > 1 and stiffness[ranked[0]] <= stiffness[ranked[1]]):
        return None
    return ranked[0]


def _with_neighbors(row: Sequence[Key]) -> Iterator[tuple[Key | None, Key, Key | None]]:
    """Yield each node of a row with the nodes to its left and right."""
    return zip([None, *row[:-1]], row, [*row[1:], None], strict=True)
