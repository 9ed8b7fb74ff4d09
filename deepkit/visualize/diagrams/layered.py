"""The places of a graph's nodes: rows from top to bottom, what belongs together straight below each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from deepkit.visualize.diagrams.row_order import Edge, Key, Lane, Order, mean

_SETTLE = 24  # rounds to find places

_Pieces = Mapping[Key, Sequence[Edge]]


@dataclass
class Rows(Order):
    """The graph in rows, with places.

    Args:
        gap: Between neighbours in a row, in points.
    """

    gap: float
    left: dict[Key, float] = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.left = self._places()

    def out(self, edge: Edge) -> float:
        """Return where a piece leaves its source, from the left."""
        node = self.nodes[edge.source]
        return self.left[edge.source] + node.outs.get(edge.net, node.width / 2)

    def into(self, edge: Edge) -> float:
        """Return where a piece enters its target."""
        node = self.nodes[edge.target]
        return self.left[edge.target] + node.ins.get(edge.net, node.width / 2)

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
                place = min(max(mean([self.left[lane] for lane in lanes], 0.0), low), high)
                self.left |= dict.fromkeys(lanes, place)

    def _steps(self, row: Sequence[Key]) -> list[float]:
        return [self.nodes[key].width + self.gap for key in row[:-1]]

    @staticmethod
    def _pull(piece: Edge, leaving: int, make_input: int) -> float:
        """Return how much a line wants to be straight: most along a lane and where nothing forks or joins."""
        if isinstance(piece.source, Lane) and isinstance(piece.target, Lane):
            return 8.0
        if isinstance(piece.source, Lane) or (isinstance(piece.target, Lane) and leaving > 1):
            return 0.02
        return 4.0 if leaving == make_input == 1 else 0.25


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


def _strongest(pieces: Sequence[Edge], pull: Mapping[Edge, float]) -> Edge | None:
    ranked = sorted(pieces, key=lambda piece: -pull[piece])
    alone = len(ranked) == 1 or (len(ranked) > 1 and pull[ranked[0]] > pull[ranked[1]])
    return ranked[0] if alone else None


def _neighbours(row: Sequence[Key]) -> Iterator[tuple[Key | None, Key, Key | None]]:
    return zip([None, *row[:-1]], row, [*row[1:], None], strict=True)
