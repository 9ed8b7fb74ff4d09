"""Figures of the recipe gridworld."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.envs.grid_map import parse_grid
from deepkit.envs.gridworld_figure import draw_gridworld_on
from deepkit.recipe import Result
from deepkit.teaching import value_iteration
from deepkit.visualize.figures import BLUE, GRAY, GREEN, ORANGE, PngFigure, subplots
from recipes.basics.bands import draw_range, finish

COLORS = (ORANGE, BLUE, GREEN)


def draw_two_floors(grid: Sequence[str]) -> Figure:
    """Draw the optimal values and policies without slips and with them, side by side."""
    figure, axes = subplots(1, 2, 4.6, 3.4)
    for ax, slip in zip(axes[0], (0.0, 0.2), strict=True):
        env = dk.envs.Gridworld(grid, slip=slip)
        Q = value_iteration(*env.transitions(), env.discount)
        draw_gridworld_on(ax, parse_grid(grid), policy=Q.argmax(axis=1), values=Q.max(axis=1))
        ax.set_title(f"slip {slip:g}", fontsize=10)
    return figure


def draw_solution(grid: Sequence[str]) -> Figure:
    """Draw the optimal values and a best policy."""
    env = dk.envs.Gridworld(grid)
    Q = value_iteration(*env.transitions(), env.discount)
    return env.draw(policy=Q.argmax(axis=1), values=Q.max(axis=1))


def draw_contraction(result: Result) -> Figure:
    """Draw the error of value iteration on both maps, and the bound that follows from the discount."""
    figure = PngFigure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    discount = dk.envs.Gridworld().discount
    for name, color in (("two paths", BLUE), ("pits", ORANGE)):
        curve = result.curves[f"error, {name}"]
        axes.plot(curve.x, curve.y, color=color, label=f"map with {name}")
    iterations = np.array(curve.x)
    axes.plot(iterations, curve.y[0] * discount**iterations, "--", color=GRAY, label=f"{discount:g}^iterations")
    finish(axes, yscale="log", xlabel="iteration", ylabel="largest error")
    return figure


def draw_q_learning(results: Sequence[Result], names: Sequence[str]) -> Figure:
    """Draw the error of Q-learning with each step size."""
    figure = PngFigure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for name, color in zip(names, (BLUE, ORANGE, GRAY), strict=True):
        draw_range(axes, results, f"Q-learning error, {name}", color=color, label=f"step size {name}")
    axes.axhline(0.01, color="black", linewidth=0.8, linestyle=":")
    finish(axes, xscale="log", yscale="log", xlabel="steps", ylabel="largest error")
    return figure


def draw_returns(results: Sequence[Result], names: Sequence[str]) -> Figure:
    """Draw the return of each agent, as a share of the optimal one, in panels side by side."""
    figure, axes = subplots(1, len(names), 2.9, 3.2)
    for ax, name, color in zip(axes[0], names, COLORS, strict=True):
        draw_range(ax, results, f"return, {name}", color=color)
        ax.axhline(0.95, color="black", linewidth=0.8, linestyle=":")
        finish(ax, xscale="log", xlabel="steps", title=name, ylim=(-1.6, 1.1))
    axes[0, 0].set_ylabel("return / optimal return")
    return figure
