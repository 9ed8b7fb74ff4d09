"""The difference between the outputs of a model and those of its export."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Outputs whose largest value is below this are compared as if it were this: float32 sums are rounded at about 1e-7.
SMALL = 1e-2


class ShapeMismatch(ValueError):
    """The outputs of a model and of its export differ in number or in shape."""


@dataclass(frozen=True)
class Difference:
    """The largest difference between two lists of outputs.

    Args:
        absolute: The largest absolute difference.
        relative: The largest absolute difference of an output over the largest absolute value of that output.
        scaled: As `relative`, but the largest value of an output counts as at least 0.01, so that rounding near zero
            does not matter. This number is compared with the tolerance.
        output: Index of the output with the largest `scaled`.
        expected: Value of the model at the largest difference in that output.
        received: Value of the export there.
    """

    absolute: float
    relative: float
    scaled: float
    output: int
    expected: float
    received: float


def compare_outputs(expected: Sequence[np.ndarray], received: Sequence[np.ndarray]) -> Difference:
    """Compare outputs one by one. A NaN equals a NaN, and differs by infinity from any other value.

    Raises:
        ShapeMismatch: The outputs differ in number or in shape.
    """
    expected_shapes = [array.shape for array in expected]
    received_shapes = [array.shape for array in received]
    if expected_shapes != received_shapes:
        raise ShapeMismatch(
            f"the model's outputs have the shapes {_shapes_text(expected_shapes)}, "
            f"the exported outputs {_shapes_text(received_shapes)}"
        )
    differences = [_compare(i, a, b) for i, (a, b) in enumerate(zip(expected, received, strict=True))]
    worst = max(differences, key=lambda difference: difference.scaled)
    return Difference(
        max(difference.absolute for difference in differences),
        max(difference.relative for difference in differences),
        worst.scaled,
        worst.output,
        worst.expected,
        worst.received,
    )


def _compare(output: int, expected: np.ndarray, received: np.ndarray) -> Difference:
    a, b = np.asarray(expected, "float64").ravel(), np.asarray(received, "float64").ravel()
    if not a.size:
        return Difference(0.0, 0.0, 0.0, output, math.nan, math.nan)
    with np.errstate(invalid="ignore"):
        distance = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    distance = np.where(np.isnan(distance), math.inf, distance)
    index = int(np.argmax(distance))
    largest, scale = float(distance[index]), float(np.max(np.abs(a[np.isfinite(a)]), initial=0.0))
    relative = 0.0
    if scale:
        relative = largest / scale
    elif largest:
        relative = math.inf
    return Difference(largest, relative, largest / max(SMALL, scale), output, float(a[index]), float(b[index]))


def _shapes_text(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join("x".join(map(str, shape)) or "()" for shape in shapes) or "none"
