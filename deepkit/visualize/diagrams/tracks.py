"""The heights of lines that run along between two rows: none lies on another, and few cross."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from deepkit.visualize.diagrams.row_order import Key

_APART = 2.0  # points between lines that are seen as two
_OVERLAP = 100  # crossings that are better than a line upon another


class Rail(NamedTuple):
    """The lines from one output: down from `start`, along, and down to the `ends`.

    Args:
        start: From the left.
        ends: Likewise.
        box: The box at which all of them end; None where that is a block, or where they end at several.
    """

    start: float
    ends: tuple[float, ...]
    box: Key | None

    @property
    def low(self) -> float:
        """Where it begins at the left."""
        return min(self.start, *self.ends)

    @property
    def high(self) -> float:
        """Where it ends at the right."""
        return max(self.start, *self.ends)

    def crosses(self, x: float) -> bool:
        """Whether it runs along over a place."""
        return self.low < x < self.high


def in_tracks(rails: Sequence[Rail]) -> list[int]:
    """Return the height of each rail, 0 for the uppermost; those that are apart may have the same."""
    order: list[int] = []
    for i, rail in enumerate(rails):
        # what it costs to put it below the first of those that have a place, below the first two, ...
        costs = [sum(_cost(rail, rails[j]) for j in order)]
        for j in order:
            costs.append(costs[-1] - _cost(rail, rails[j]) + _cost(rails[j], rail))
        order.insert(costs.index(min(costs)), i)
    heights = [0] * len(rails)
    for at, i in enumerate(order):
        above = [heights[j] + 1 for j in order[:at] if not _may_share(rails[i], rails[j])]
        heights[i] = max(above, default=0)
    return heights


def _cost(upper: Rail, lower: Rail) -> int:
    """Return how many crossings there are if one rail lies above another."""
    on = sum(abs(end - lower.start) < _APART for end in upper.ends)
    return upper.crosses(lower.start) + sum(lower.crosses(end) for end in upper.ends) + _OVERLAP * on


def _may_share(one: Rail, other: Rail) -> bool:
    together = one.box is not None and one.box == other.box  # they meet there, and may meet before it
    return together or one.high + _APART < other.low or other.high + _APART < one.low
