"""How far the outputs of two ways of running a model are apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Shape = tuple[int, ...]

SMALL = 1e-2  # outputs smaller than this are compared as if they were as large: float32 sums round at about 1e-7


class ShapesDiffer(ValueError):
    """Two sets of outputs differ in number or in shape."""


@dataclass(frozen=True)
class Difference:
    """How far the outputs of two ways of running a model are apart.

    Args:
        absolute: The largest absolute difference.
        relative: The largest over the outputs of: its largest absolute difference over its largest absolute value.
        excess: As `relative`, with outputs that are all smaller than 0.01 taken as 0.01, so that rounding near zero
            is no difference; what a tolerance is compared with.
        output: Number of the output where `excess` is.
        expected: What the model gave there.
        received: What the other way gave there.
    """

    absolute: float
    relative: float
    excess: float
    output: int
    expected: float
    received: float


def difference(expected: Sequence[np.ndarray], received: Sequence[np.ndarray]) -> Difference:
    """Compare outputs one by one; a NaN equals a NaN and differs infinitely from everything else.

    Raises:
        ShapesDiffer: They differ in number or in shape.
    """
    shapes = [[array.shape for array in arrays] for arrays in (expected, received)]
    if shapes[0] != shapes[1]:
        raise ShapesDiffer(f"the model's outputs have the shapes {_text(shapes[0])}, those exported {_text(shapes[1])}")
    every = [_one(i, a, b) for i, (a, b) in enumerate(zip(expected, received, strict=True))]
    worst = max(every, key=lambda one: one.excess)
    return Difference(
        max(one.absolute for one in every),
        max(one.relative for one in every),
        worst.excess,
        worst.output,
        worst.expected,
        worst.received,
    )


def _one(number: int, expected: np.ndarray, received: np.ndarray) -> Difference:
    a, b = np.asarray(expected, "float64").ravel(), np.asarray(received, "float64").ravel()
    if not a.size:
        return Difference(0.0, 0.0, 0.0, number, math.nan, math.nan)
    with np.errstate(invalid="ignore"):
        apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    apart = np.where(np.isnan(apart), math.inf, apart)
    at = int(np.argmax(apart))
    largest, scale = float(apart[at]), float(np.max(np.abs(a[np.isfinite(a)]), initial=0.0))
    relative = largest / scale if scale else (math.inf if largest else 0.0)
    return Difference(largest, relative, largest / max(SMALL, scale), number, float(a[at]), float(b[at]))


def _text(shapes: Sequence[Shape]) -> str:
    return ", ".join("x".join(map(str, shape)) or "()" for shape in shapes) or "none"
