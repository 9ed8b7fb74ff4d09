"""Orthogonal edge routing: assign the horizontal segments between two rows to tracks so that few edges cross."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from deepkit.visualize.diagrams.row_order import Key

_MIN_DISTANCE = 2.0  # between lines that are visibly separate, in points
_OVERLAP_COST = 100  # in crossings


class HorizontalSegment(NamedTuple):
    """The horizontal part of the edges from one port: down from `start`, along a track, and down to the `ends`.

    Args:
        start: Coordinate of the port, from the left.
        ends: Coordinates at which the edges leave the track.
        box: The box that all edges enter; None if they enter a block, or several boxes.
    """

    start: float
    ends: tuple[float, ...]
    box: Key | None

    @property
    def left(self) -> float:
        """The left end."""
        return min(self.start, *self.ends)

    @property
    def right(self) -> float:
        """The right end."""
        return max(self.start, *self.ends)

    def passes(self, x: float) -> bool:
        """Return whether a coordinate lies between the ends."""
        return self.left < x < self.right


def assign_tracks(segments: Sequence[HorizontalSegment]) -> list[int]:
    """Return the track of each segment, 0 for the uppermost; segments that do not overlap may share a track."""
    order: list[int] = []
    for i, segment in enumerate(segments):
        # the cost above all ordered segments, then below the first of them, below the first two, ...
        costs = [sum(_cost(segment, segments[j]) for j in order)]
        for j in order:
            costs.append(costs[-1] - _cost(segment, segments[j]) + _cost(segments[j], segment))
        order.insert(costs.index(min(costs)), i)
    tracks = [0] * len(segments)
    for position, i in enumerate(order):
        above = [tracks[j] + 1 for j in order[:position] if not _may_share_track(segments[i], segments[j])]
        tracks[i] = max(above, default=0)
    return tracks


def _cost(upper: HorizontalSegment, lower: HorizontalSegment) -> int:
    """Return the number of crossings if one segment lies above another, with overlaps as several crossings."""
    num_overlaps = sum(abs(end - lower.start) < _MIN_DISTANCE for end in upper.ends)
    num_crossings = upper.passes(lower.start) + sum(lower.passes(end) for end in upper.ends)
    return num_crossings + _OVERLAP_COST * num_overlaps


def _may_share_track(first: HorizontalSegment, second: HorizontalSegment) -> bool:
    if first.box is not None and first.box == second.box:  # they meet at the box, and may meet before it
        return True
    return first.right + _MIN_DISTANCE < second.left or second.right + _MIN_DISTANCE < first.left
