"""The figure of the recipe `visual_questions`: the accuracy of its networks for each type of question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from deepkit.recipe import Result, Settings
from deepkit.visualize.figures import BLUE, GRAY, ORANGE, PngFigure

NETWORKS = {"image and question": BLUE, "image alone": ORANGE, "question alone": GRAY}  # and their colors
TYPES = ("shape", "horizontal", "vertical", "distance", "count")


def draw_curves(config: Settings, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the accuracy of the three networks for each type of question, beside chance."""
    figure = PngFigure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    chance = results[0].curves["chance"].y
    positions = np.arange(len(chance))
    for number, (name, color) in enumerate(NETWORKS.items()):
        values = np.array([result.curves[name].y for result in results])
        axes.bar(positions + 0.25 * (number - 1), values.mean(axis=0), 0.25, color=color, label=name)
    axes.hlines(chance, positions - 0.4, positions + 0.4, color="black", linewidth=1, label="chance")
    axes.set(ylabel="test accuracy in percent", ylim=(0, 100))
    axes.set_xticks(positions, TYPES if len(chance) > 1 else ("all questions",))
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    caption = (
        "Accuracy for each type of question: only the network with image and question is better than the best "
        "constant answer (line)"
    )
    return {caption: figure}
