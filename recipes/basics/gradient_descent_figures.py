"""Figures of the recipe `gradient_descent`, from the curves of its results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepkit.recipe import Result
from deepkit.visualize.figures import BLUE, GRAY, GREEN, ORANGE, PngFigure
from recipes.basics import update_rules
from recipes.basics.bands import draw_range, finish

RATES = (0.05, 1.0, 1.9, 2.1)  # learning rates, in units of 1/L
COLORS = dict(zip(update_rules.METHODS, (GRAY, BLUE, "#15aabf", GREEN, ORANGE, "#ae3ec9"), strict=True))


def draw_batches(results: Sequence[Result]) -> PngFigure:
    """Draw variance and speed over the batch size."""
    figure = PngFigure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, color in (("with replacement", BLUE), ("from an epoch", ORANGE)):
        draw_range(left, results, f"variance, {name}", color=color, label=name, marker="o")
    finish(left, xscale="log", yscale="log", xlabel="batch size B", ylabel="variance of the gradient")
    draw_range(right, results, "examples per second", color=BLUE, marker="o")
    finish(right, xscale="log", yscale="log", xlabel="batch size B", ylabel="examples per second")
    return figure


def draw_losses(results: Sequence[Result]) -> PngFigure:
    """Draw the loss over the steps, for several learning rates and for several starts."""
    figure = PngFigure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for rate, color in zip(RATES, (GRAY, BLUE, GREEN, ORANGE), strict=True):
        draw_range(left, results, f"loss, {rate:g}/L", color=color, label=f"{rate:g}/L")
    finish(left, yscale="log", xlabel="step", ylabel="squared error", ylim=(1e-6, 1e5))
    for name, color in (("W = 0", GRAY), ("small W", ORANGE), ("random W", BLUE)):
        draw_range(right, results, f"loss from {name}", color=color, label=name)
    finish(right, xscale="log", xlabel="step", ylabel="squared error")
    return figure


def draw_paths(result: Result) -> PngFigure:
    """Draw the paths of one repeat over the contours of Rosenbrock's function."""
    figure = PngFigure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    x, y = np.meshgrid(np.linspace(-1.6, 1.4, 200), np.linspace(-0.6, 1.9, 200))
    heights = update_rules.rosenbrock(np.stack([x, y], axis=-1))
    left.contour(x, y, heights, levels=np.geomspace(0.1, 1000, 12), colors=GRAY, linewidths=0.5)
    for name, color in COLORS.items():
        path, values = result.curves[f"path, {name}"], result.curves[f"Rosenbrock, {name}"]
        left.plot(path.x, path.y, color=color, linewidth=1.3, label=name)
        right.plot(values.x, values.y, color=color, linewidth=1.3)
    left.plot(1, 1, "k*", markersize=10)
    finish(right, xscale="symlog", yscale="log", xlabel="step", ylabel="Rosenbrock's function")
    finish(left, xlabel="w1", ylabel="w2", xlim=(-1.6, 1.4), ylim=(-0.6, 1.9))
    left.legend(frameon=False, fontsize=7, loc="lower left")
    return figure


def draw_minima(results: Sequence[Result]) -> PngFigure:
    """Draw the ends of 20 starts, and the curvatures at critical points."""
    figure = PngFigure(figsize=(11, 3.2), layout="constrained")
    left, center, right = figure.subplots(1, 3)
    for result in results:
        ends = result.curves["end losses"]
        left.plot(ends.x, ends.y, "o-", color=BLUE, markersize=3, linewidth=0.8)
    finish(left, xlabel="start, sorted by its end", ylabel="squared error at the end", xticks=(1, 5, 10, 15, 20))
    draw_range(center, results, "negative share", color=ORANGE, label="negative curvatures", marker="o")
    draw_range(center, results, "minima", color=BLUE, label="minima", marker="o")
    finish(center, xlabel="dimension", ylabel="share", ylim=(0, 1))
    for result in results:
        points = result.curves["share over value"]
        right.plot(points.x, points.y, "o", color=ORANGE, markersize=2, alpha=0.4)
    finish(right, xlabel="value at the critical point", ylabel="negative curvatures, dimension 10")
    return figure


def draw_epochs(results: Sequence[Result]) -> PngFigure:
    """Draw the losses over the epochs."""
    figure = PngFigure(figsize=(5.5, 3.4), layout="constrained")
    axes = figure.subplots()
    for name, color in (("training loss", GRAY), ("validation loss", BLUE)):
        draw_range(axes, results, name, color=color, label=name)
    for result in results:
        best = result.measured["best epoch"]
        axes.plot(best, result.measured["validation loss, best"], "o", color=ORANGE)
    axes.plot([], [], "o", color=ORANGE, label="best epoch of a repeat")
    finish(axes, xlabel="epoch", ylabel="cross-entropy")
    return figure
