"""Curves of several repeats in a figure: their mean, and their range as a band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from deepkit.recipe import Result


def draw_range(axes: Axes, results: Sequence[Result], name: str, *, color: str, **style: Any) -> None:
    """Draw a curve of all repeats, which share its x: the mean, and the range as a band."""
    y = [result.curves[name].y for result in results]
    draw_range_of(axes, results[0].curves[name].x, np.array(y), color=color, **style)


def draw_range_of(axes: Axes, x: Sequence[float], y: np.ndarray, *, color: str, **style: Any) -> None:
    """Draw values `(repeats, points)` over x: their mean, and their range as a band."""
    axes.plot(x, y.mean(axis=0), color=color, **style)
    axes.fill_between(x, y.min(axis=0), y.max(axis=0), color=color, alpha=0.2, linewidth=0)


def finish(axes: Axes, **properties: Any) -> None:
    """Set labels and scales, and draw the legend and a light grid."""
    axes.set(**properties)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
