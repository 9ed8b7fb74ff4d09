"""Figures of the recipe `dqn`: learning curves, and an episode with the values of its actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from deepkit.recipe import Result
from deepkit.visualize.figures import PngFigure
from recipes.basics.bands import draw_range, finish


def draw_learning(results: Sequence[Result], colors: Mapping[str, str], *, is_bounded: bool) -> Figure:
    """Draw returns and predicted values over the steps: the mean of the repeats, and their range as a band.

    Args:
        results: Result of each repeat.
        colors: Color of each agent by name; those without a curve are left out.
        is_bounded: Whether 1 is the largest possible value.
    """
    figure = PngFigure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    if is_bounded:
        right.axhline(1, color="black", linewidth=0.8, linestyle=":")
    for name, color in colors.items():
        if f"return, {name}" in results[0].curves:
            draw_range(left, results, f"return, {name}", color=color, label=name)
            draw_range(right, results, f"value, {name}", color=color)
    finish(left, xlabel="steps", ylabel="mean return", title="return")
    finish(right, xlabel="steps", ylabel="value of the best action", title="predicted value, mean of an epoch")
    return figure


def draw_episode(frames: Sequence[np.ndarray], values: np.ndarray, actions: Sequence[str]) -> Figure:
    """Draw images in a row, and below them the value of each action.

    Args:
        frames: An image `(height, width)` of each step.
        values: Values `(steps, actions)`.
        actions: Names of the actions.
    """
    figure = PngFigure(figsize=(9, 3.6), layout="constrained")
    grid = figure.add_gridspec(2, len(frames), height_ratios=(1, 2))
    for i, frame in enumerate(frames):
        axes = figure.add_subplot(grid[0, i])
        axes.imshow(frame, cmap="gray", vmin=0, vmax=255)
        axes.set_axis_off()
    axes = figure.add_subplot(grid[1, :])
    for action, line in zip(actions, values.T, strict=True):
        axes.plot(line, marker="o", markersize=4, label=action)
    finish(axes, xlabel="step", ylabel="value", xlim=(-0.5, len(frames) - 0.5), xticks=range(len(frames)))
    return figure
