"""Figures of points in the plane in the colors of their classes, and of the points of a curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepkit.visualize.figures import BLUE, GRAY, GREEN, ORANGE, subplots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS = (BLUE, ORANGE, GREEN, "#862e9c", GRAY, "#c92a2a", "#0b7285", "#e67700", "#5c940d", "#364fc7")
_MARKERS = "osD^vP*Xd<"  # a second mark of the class, for readers who do not distinguish the colors


def points_figure(x: np.ndarray, y: np.ndarray, class_names: Sequence[str] = ()) -> Figure:
    """Draw points in the colors of their classes, with equal scales of both axes.

    Args:
        x: Points `(batch, 2)`.
        y: Integer labels `(batch,)`.
        class_names: Names in the order of the classes; empty for their numbers.
    """
    figure, axes = subplots(1, 1, 4.6, 4.2)
    ax = axes[0, 0]
    size = 24 if len(x) <= 200 else 10
    for index, label in enumerate(np.unique(y).tolist()):
        name = class_names[label] if 0 <= label < len(class_names) else str(label)
        color, marker = _COLORS[index % len(_COLORS)], _MARKERS[index % len(_MARKERS)]
        ax.scatter(*x[y == label].T, s=size, color=color, marker=marker, alpha=0.75, linewidths=0, label=name)
    ax.set(xlabel="x1", ylabel="x2", aspect="equal")
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    return figure


def curve_figure(x: np.ndarray, y: np.ndarray, curve: tuple[np.ndarray, np.ndarray]) -> Figure:
    """Draw the points of a curve, and the curve itself.

    Args:
        x: Inputs `(batch,)`.
        y: Targets `(batch,)`.
        curve: Inputs and outputs of the function, in the order of the inputs.
    """
    figure, axes = subplots(1, 1, 4.6, 3.2)
    ax = axes[0, 0]
    ax.plot(*curve, color=GRAY, linewidth=1)
    ax.plot(x, y, ".", color=BLUE, markersize=4)
    ax.set(xlabel="x", ylabel="y")
    return figure
