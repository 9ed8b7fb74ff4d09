"""Curves of a result: points (x, y) that a recipe records, so figures can be redrawn without training."""

from __future__ import annotations

import contextlib
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from deepkit.utils.errors import format_value, message

DIGITS = 6  # significant digits of a recorded number
MAX_POINTS = 1000  # of a recorded curve


@dataclass(frozen=True)
class Curve:
    """A curve of a result: y over x.

    Args:
        x: Numbers on the horizontal axis, such as the width of a network.
        y: Numbers on the vertical axis, one for each x; a NaN or an infinity is a gap.

    Raises:
        ValueError: `x` and `y` differ in length, are empty, have more than 1,000 points, or hold a value that is not
            a real number, such as text.

    Examples:
        >>> from deepkit.recipe import Curve
        >>> Curve([1, 10, 100], [0.5, 0.25, 0.125])
        Curve(x=(1.0, 10.0, 100.0), y=(0.5, 0.25, 0.125))
    """

    x: Sequence[float]
    y: Sequence[float]

    def __post_init__(self) -> None:
        for axis in ("x", "y"):
            if not isinstance(getattr(self, axis), Iterable):
                problem = (
                    f"a curve expects a sequence of numbers as {axis}, received {format_value(getattr(self, axis))}"
                )
                raise ValueError(message(problem, hint="pass floats, or a one-dimensional NumPy array"))
            object.__setattr__(self, axis, tuple(_number(value, axis) for value in getattr(self, axis)))
        if len(self.x) != len(self.y):
            problem = f"a curve has one y for each x, received {len(self.x)} x and {len(self.y)} y"
            raise ValueError(message(problem, hint="pass two sequences of the same length"))
        if not 1 <= len(self.x) <= MAX_POINTS:
            problem = f"a curve has 1 to {MAX_POINTS:,} points, received {len(self.x):,}"
            raise ValueError(message(problem, hint="store every k-th point, or means over equal intervals"))

    @classmethod
    def from_record(cls, record: Mapping[str, Sequence[float | None]]) -> Self:
        """Return the curve of a results file; None is a gap."""
        return cls(*([math.nan if value is None else value for value in record[axis]] for axis in ("x", "y")))

    def as_record(self) -> dict[str, list[float | None]]:
        """Return the curve as JSON values with six significant digits; a gap is None."""
        return {"x": [_rounded(value) for value in self.x], "y": [_rounded(value) for value in self.y]}


def _number(value: Any, axis: str) -> float:
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # an integer above the largest float
            return float(value)
    problem = f"a curve expects numbers, received {format_value(value)} in {axis}"
    raise ValueError(message(problem, hint="pass floats, or a one-dimensional NumPy array"))


def _rounded(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
