"""Figures of a regression: predicted against true values, and the distribution of the residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from deepkit.visualize.figures import BLUE, GRAY, ORANGE, subplots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_POINTS = 2000
_WIDTH, _HEIGHT = 4.2, 3.6  # inches


def draw_true_and_predicted(labels: np.ndarray, predictions: np.ndarray, name: str) -> Figure:
    """Draw predicted against true values with the diagonal; evenly spaced examples if there are many.

    Args:
        labels: The true values `(examples,)`.
        predictions: The predicted values `(examples,)`.
        name: Name of the value, for the axes.
    """
    step = -(-len(labels) // _MAX_POINTS)
    labels, predictions = labels[::step], predictions[::step]
    figure, axes = subplots(1, 1, _WIDTH, _HEIGHT)
    ax = axes[0, 0]
    limits = _limits(np.concatenate([labels, predictions]))
    ax.plot(limits, limits, color=GRAY, linestyle="--", linewidth=1, label="predicted = true")
    alpha = float(np.clip(200 / len(labels), 0.25, 0.8))
    ax.scatter(labels, predictions, s=14, color=BLUE, alpha=alpha, linewidths=0)
    ax.set(xlim=limits, ylim=limits, aspect="equal")
    ax.set_xlabel(f"True {name}", parse_math=False)
    ax.set_ylabel(f"Predicted {name}", parse_math=False)
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    _style(ax)
    return figure


def draw_residuals(residuals: np.ndarray, name: str) -> Figure:
    """Draw a histogram of the differences between predicted and true values.

    Args:
        residuals: The differences `(examples,)`.
        name: Name of the value, for the axis.
    """
    figure, axes = subplots(1, 1, _WIDTH, _HEIGHT)
    ax = axes[0, 0]
    low, high = _limits(residuals)
    num_bins = int(np.clip(np.sqrt(len(residuals)), 5, 40))
    ax.hist(residuals, bins=num_bins, range=(low, high), color=BLUE, alpha=0.75)
    ax.axvline(0, color=GRAY, linestyle="--", linewidth=1)
    mean = float(residuals.mean())
    ax.axvline(mean, color=ORANGE, linewidth=1.5, label=f"mean {mean:.3g}")
    ax.set_xlabel(f"Predicted − true {name}", parse_math=False)
    ax.set_ylabel("Number of examples")
    ax.legend(frameon=False, fontsize=9)
    _style(ax)
    return figure


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or max(1e-3, 0.05 * abs(high))
    return low - margin, high + margin


def _style(ax: Axes) -> None:
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_locator(MaxNLocator(5))
