"""Points and lines in the plane: a constant input for the bias, and the boundary at which a surface is zero."""

from __future__ import annotations

import contourpy
import numpy as np

from deepkit.recipe import Curve

MAX_POINTS = 1000  # of a recorded curve


def append_one(x: np.ndarray) -> np.ndarray:
    """Append a constant feature of 1, whose weight is the bias."""
    return np.column_stack([x, np.ones(len(x))]).astype("float64")


def zero_lines(line: np.ndarray, surface: np.ndarray) -> Curve:
    """Return the lines in a square on which a surface is zero, with a gap after each.

    Args:
        line: Values of both coordinates, `(points,)`.
        surface: Values of the surface, `(points, points)`: the second coordinate changes along the first axis.
    """
    gap = np.full((1, 2), np.nan)
    pieces = contourpy.contour_generator(line, line, surface).lines(0.0)
    path = np.concatenate([part for piece in pieces for part in (piece, gap)] or [gap])[:MAX_POINTS]
    return Curve(path[:, 0].tolist(), path[:, 1].tolist())
