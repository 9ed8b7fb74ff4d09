"""Interleaved pairs: measuring two sides in turn, and what is said about them afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

LEAST = 9  # pairs of a result that is recorded

Pair = tuple[float, float]


@dataclass(frozen=True)
class Spread:
    """Where numbers lie: median, quartiles and the whole range.

    Examples:
        >>> Spread.of([1.0, 2.0, 3.0, 4.0, 9.0])
        Spread(median=3.0, lower=2.0, upper=4.0, least=1.0, most=9.0)
    """

    median: float
    lower: float
    upper: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one number."""
        lower, median, upper = np.percentile(values, [25, 50, 75])
        return cls(float(median), float(lower), float(upper), float(min(values)), float(max(values)))


@dataclass(frozen=True)
class Summary:
    """What pairs of figures come to.

    Args:
        ratio: Spread of left over right, one ratio a pair.
        left: Median of the left figures.
        right: Median of the right figures.
        pairs: How many there are.

    Examples:
        >>> Summary.of([(1.0, 2.0), (3.0, 4.0), (2.0, 2.0)]).ratio.median
        0.75
    """

    ratio: Spread
    left: float
    right: float
    pairs: int

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> Summary:
        """Summarise at least one pair.

        Raises:
            ValueError: A figure is not above zero.
        """
        if any(figure <= 0 for pair in pairs for figure in pair):
            raise ValueError(f"a figure must be above zero, received {min(map(min, pairs))}\n  hint: measuring longer")
        left, right = np.median(np.array(pairs), axis=0)
        return cls(Spread.of([a / b for a, b in pairs]), float(left), float(right), len(pairs))


@dataclass(frozen=True)
class Target:
    """Where the median ratio should lie.

    Args:
        low: At least this.
        high: At most this.
        because: What the target follows from, where it is not fixed.

    Examples:
        >>> str(Target(low=0.95, high=1.05)), str(Target(high=0.8))
        ('1.00 within 0.05', 'at most 0.80')
    """

    low: float | None = None
    high: float | None = None
    because: str = ""

    def __str__(self) -> str:
        low, high = self.low, self.high
        if low is not None and high is not None:
            text = f"{(low + high) / 2:.2f} within {(high - low) / 2:.2f}"
        else:
            text = f"at most {high:.2f}" if high is not None else f"at least {low:.2f}"
        return f"{text}: {self.because}" if self.because else text

    def met(self, ratio: float) -> bool:
        """Return whether a ratio lies there; rounding cannot help it."""
        return (self.low is None or ratio >= self.low) and (self.high is None or ratio <= self.high)


def verdict(target: Target | None, summary: Summary) -> str:
    """Return `"met"`, `"missed"`, or `"recorded"` where there is no target.

    Examples:
        >>> verdict(Target(high=0.8), Summary.of([(0.81, 1.0)]))
        'missed'
    """
    if target is None:
        return "recorded"
    return "met" if target.met(summary.ratio.median) else "missed"


def interleaved(left: Callable[[], float], right: Callable[[], float], count: int) -> Iterator[Pair]:
    """Measure both sides once to warm them, then give pairs of figures; the sides take turns in going first.

    Args:
        left: Measures one figure of the left side.
        right: Measures one of the right side.
        count: Number of pairs.

    Examples:
        >>> list(interleaved(lambda: 1.0, lambda: 2.0, 2))
        [(1.0, 2.0), (1.0, 2.0)]
    """
    left(), right()
    for number in range(count):
        if number % 2:
            second = right()
            yield left(), second
        else:
            first = left()
            yield first, right()
