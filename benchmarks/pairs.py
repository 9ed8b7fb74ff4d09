"""Interleaved pairs: measure two sides in turn, summarize the ratios, and compare them with a target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from deepkit.utils.errors import message

MIN_PAIRS = 9  # for a result to be recorded

Pair = tuple[float, float]


@dataclass(frozen=True)
class Spread:
    """Median, quartiles and range of some numbers.

    Examples:
        >>> Spread.of([1.0, 2.0, 3.0, 4.0, 9.0])
        Spread(median=3.0, lower=2.0, upper=4.0, minimum=1.0, maximum=9.0)
    """

    median: float
    lower: float
    upper: float
    minimum: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one number."""
        lower, median, upper = np.percentile(values, [25, 50, 75])
        return cls(float(median), float(lower), float(upper), float(min(values)), float(max(values)))


@dataclass(frozen=True)
class Summary:
    """Summary of the pairs of a benchmark.

    Args:
        ratio: Spread of the ratio of left to right, one per pair.
        left: Median of the left numbers.
        right: Median of the right numbers.
        pairs: Number of pairs.

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
        """Summarize at least one pair.

        Raises:
            ValueError: A number is not positive.
        """
        smallest = min(min(pair) for pair in pairs)
        if smallest <= 0:
            raise ValueError(message(f"a measured number must be positive, received {smallest}", hint="measure longer"))
        left, right = np.median(np.array(pairs), axis=0)
        return cls(Spread.of([a / b for a, b in pairs]), float(left), float(right), len(pairs))


@dataclass(frozen=True)
class Target:
    """The range in which the median ratio should lie.

    Args:
        low: Minimum, or None.
        high: Maximum, or None.
        reason: Reason for a target that depends on the machine.

    Examples:
        >>> str(Target(low=0.95, high=1.05)), str(Target(high=0.8))
        ('1.00 within 0.05', 'at most 0.80')
    """

    low: float | None = None
    high: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        low, high = self.low, self.high
        if low is not None and high is not None:
            text = f"{(low + high) / 2:.2f} within {(high - low) / 2:.2f}"
        else:
            text = f"at most {high:.2f}" if high is not None else f"at least {low:.2f}"
        return f"{text}: {self.reason}" if self.reason else text

    def is_met(self, ratio: float) -> bool:
        """Return whether an unrounded ratio lies in the range."""
        return (self.low is None or ratio >= self.low) and (self.high is None or ratio <= self.high)


def verdict(target: Target | None, summary: Summary) -> str:
    """Return `"met"`, `"missed"`, or `"recorded"` if there is no target.

    Examples:
        >>> verdict(Target(high=0.8), Summary.of([(0.81, 1.0)]))
        'missed'
    """
    if target is None:
        return "recorded"
    return "met" if target.is_met(summary.ratio.median) else "missed"


def interleaved(left: Callable[[], float], right: Callable[[], float], count: int) -> Iterator[Pair]:
    """Measure both sides once as a warm-up, then yield pairs of numbers; the sides take turns in going first.

    Args:
        left: Function that measures the left side once.
        right: Function that measures the right side once.
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
