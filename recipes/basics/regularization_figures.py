"""Figures of the recipe `regularization`, from the curves of its results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepkit.recipe import Result
from deepkit.visualize.class_markers import scatter_by_class
from deepkit.visualize.figures import BLUE, GREEN, ORANGE, PngFigure
from recipes.basics.bands import draw_range, draw_range_of, finish

COLORS = {"L2": BLUE, "L1": ORANGE, "elastic net": GREEN}


def draw_penalties(results: Sequence[Result]) -> PngFigure:
    """Draw norms, zeros and errors over the penalty."""
    figure = PngFigure(figsize=(11, 3.2), layout="constrained")
    labels = {"norm": "sum of absolute weights", "zeros": "weights that are zero", "validation error": "squared error"}
    for axes, (quantity, label) in zip(figure.subplots(1, 3), labels.items(), strict=True):
        for name, color in COLORS.items():
            draw_range(axes, results, f"{quantity}, {name}", color=color, label=name)
        finish(axes, xscale="log", xlabel="penalty lambda", ylabel=label)
    return figure


def draw_simpler_curve(result: Result) -> PngFigure:
    """Draw f1 and f2 with their training points."""
    figure = PngFigure(figsize=(5, 3.4), layout="constrained")
    axes = figure.subplots()
    for name, color in (("f1", ORANGE), ("f2", BLUE)):
        error = result.measured[f"test error, {name}"]
        axes.plot(result.curves[name].x, result.curves[name].y, color=color, label=f"{name}, test error {error:.2g}")
    points = result.curves["ten points"]
    axes.plot(points.x, points.y, "o", color="black", markersize=5)
    finish(axes, xlabel="x", ylabel="y", ylim=(-2, 2))
    return figure


def draw_surfaces(result: Result, widths: Sequence[int], lambdas: Sequence[float]) -> PngFigure:
    """Draw the decision boundary of each network with the training points."""
    columns = max(len(widths), len(lambdas))
    figure = PngFigure(figsize=(3 * columns, 5.6), layout="constrained")
    grid = figure.subplots(2, columns, squeeze=False, sharex=True, sharey=True)
    names = [[f"{width} units" for width in widths], [f"lambda {penalty:g}" for penalty in lambdas]]
    for row, row_names in zip(grid, names, strict=True):
        for axes in row[len(row_names) :]:
            axes.set_visible(False)
        for axes, name in zip(row, row_names, strict=False):
            classes = [result.curves[f"points of class {label}"] for label in (0, 1)]
            points = np.concatenate([np.transpose([points.x, points.y]) for points in classes])
            labels = np.repeat([0, 1], [len(points.x) for points in classes])
            scatter_by_class(axes, points, labels, ("", ""), size=9)
            line = result.curves[f"boundary, {name}"]
            axes.plot(line.x, line.y, color="black", linewidth=1.5, zorder=4)
            axes.set_title(f"{name}: {result.measured[f'test accuracy, {name}']:.1f} % of the test", fontsize=9)
            finish(axes, xlabel="x1", ylabel="x2", xlim=(-2, 3), ylim=(-1.6, 2.1))
    return figure


def draw_bias(results: Sequence[Result]) -> PngFigure:
    """Draw squared bias and variance of three methods, the last one over two scales."""
    figure = PngFigure(figsize=(13, 3.2), layout="constrained")
    scales = {
        "degree": "degree of the polynomial",
        "neighbors": "number of neighbors k",
        "C": "C of scikit-learn",
        "budget": "budget of violations",
    }
    for axes, (name, label) in zip(figure.subplots(1, 4), scales.items(), strict=True):
        for part, color in (("bias", BLUE), ("variance", ORANGE)):
            curve_label = "squared bias" if part == "bias" else part
            curves = [result.curves[f"{part}, {name}"] for result in results]
            x = np.mean([curve.x for curve in curves], axis=0)  # the budgets of one C differ between the repeats
            y = np.array([curve.y for curve in curves])
            draw_range_of(axes, x, y, color=color, marker="o", markersize=3, label=curve_label)
        finish(axes, xlabel=label, ylabel="part of the squared error", ylim=(-0.02, 0.6))
        if name == "C":
            axes.set_xscale("log")
    return figure
