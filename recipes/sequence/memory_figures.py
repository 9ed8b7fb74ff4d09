"""Figures of the recipe `memory`, from the curves of its results."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from deepkit.recipe import Result
from deepkit.visualize.figures import BLUE, GRAY, GREEN, ORANGE, PngFigure
from recipes.basics.bands import draw_range, finish

COLORS = {"tanh RNN": GRAY, "IRNN": GREEN, "GRU": ORANGE, "LSTM": BLUE}
CHANCE = 1 / 8  # of the recall


def draw_gradients(results: Sequence[Result]) -> Figure:
    """Draw the gradient over the lag of each cell before and after training."""
    figure = PngFigure(figsize=(8.4, 3.4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    titles = {"gradient": "before training", "trained gradient": "after training on the adding problem"}
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        for cell, color in COLORS.items():
            draw_range(ax, results, f"{name}, {cell}", color=color, label=cell)
        finish(ax, yscale="log", xlabel="lag in steps", title=title)
    axes[0].set_ylabel("norm of the gradient")
    return figure


def draw_errors(results: Sequence[Result]) -> Figure:
    """Draw the validation error of each cell and the accuracy of the recall over the steps."""
    figure = PngFigure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    left.axhline(1 / 6, color="black", linewidth=0.8, linestyle=":", label="mean")
    draw_range(left, results, "MSE, tanh RNN, longer", color=GRAY, linestyle="--", label="tanh RNN, longer")
    for cell, color in COLORS.items():
        draw_range(left, results, f"MSE, {cell}", color=color, label=cell)
    finish(left, yscale="log", xlabel="steps", ylabel="validation MSE", title="adding problem")
    draw_range(right, results, "recall", color=BLUE)
    right.axhline(CHANCE, color="black", linewidth=0.8, linestyle=":")
    finish(right, xlabel="steps", ylabel="validation accuracy", ylim=(0, 1.05), title="recall, LSTM")
    return figure
