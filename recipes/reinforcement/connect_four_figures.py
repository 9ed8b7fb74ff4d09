"""Figures of the recipe `connect_four`, from its results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from deepkit.recipe import Result
from deepkit.visualize.figures import BLUE, GRAY, ORANGE, PngFigure
from recipes.basics.bands import draw_range, finish
from recipes.reinforcement.connect_four_matches import MATCHES


def draw_training(results: Sequence[Result]) -> Figure:
    """Draw the score over the moves of REINFORCE, and the errors of the value networks over the epochs."""
    figure = PngFigure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_range(left, results, "score against SL", color=BLUE)
    left.axhline(80, color="black", linewidth=0.8, linestyle=":")
    finish(left, xlabel="moves", ylabel="score in %", ylim=(40, 100), title="REINFORCE against the supervised policy")
    for name, color in (("one position per game", BLUE), ("whole games", ORANGE)):
        draw_range(right, results, f"training error, {name}", color=color, linestyle="--", label=f"{name}, training")
        draw_range(right, results, f"validation error, {name}", color=color, label=f"{name}, validation")
    finish(right, xlabel="epoch", ylabel="squared error", ylim=(0, None), title="value networks")
    return figure


def draw_matches(results: Sequence[Result]) -> Figure:
    """Draw the score of each match with its range over the repeats."""
    figure = PngFigure(figsize=(7, 2.4), layout="constrained")
    axes = figure.subplots()
    scores = np.array([[result.measured[f"search, {name}"] for name in MATCHES] for result in results])
    places = np.arange(len(MATCHES))
    spread = np.abs(np.stack([scores.min(0), scores.max(0)]) - scores.mean(0))
    axes.barh(places, scores.mean(0), color=BLUE, height=0.6, xerr=spread, ecolor=GRAY)
    axes.axvline(50, color="black", linewidth=0.8, linestyle=":")
    axes.set_yticks(places, MATCHES)
    axes.invert_yaxis()
    finish(axes, xlabel="score of the first one in %", xlim=(0, 100))
    return figure
