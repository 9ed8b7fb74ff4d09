"""Exact matches and learning curves of sequence-to-sequence models, for the recipes on generated pairs of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Curve, Result
from deepkit.visualize.figures import PngFigure
from recipes.basics.bands import draw_range, finish

_MAX_LENGTH = 30  # characters of a generated target; all targets of the recipes are shorter


def texts_of(split: dk.data.Pipeline, num_pairs: int) -> tuple[list[str], list[str]]:
    """Return the first sources and targets of a split."""
    sources, targets = split.arrays(num_pairs)
    return [text.decode() for text in sources], [text.decode() for text in targets]


def exact_match(model: keras.Model, split: dk.data.Pipeline, num_pairs: int) -> float:
    """Return the share of the first pairs of a split whose generated target has no wrong character, in percent."""
    sources, targets = texts_of(split, num_pairs)
    generated = model.translate(sources, num_beams=1, max_length=_MAX_LENGTH, batch_size=500)
    return 100 * float(np.mean(np.array(generated) == np.array(targets)))


def accuracy_curves(runs: Mapping[str, dk.Run]) -> dict[str, Curve]:
    """Return the validation accuracy of each run over the epochs."""
    return {
        f"validation accuracy, {name}": Curve(range(1, run.epochs + 1), run.history["val_accuracy"])
        for name, run in runs.items()
    }


def draw_accuracy(results: Sequence[Result], colors: Mapping[str, str]) -> Mapping[str, Figure]:
    """Draw the validation accuracy of each network, whose names and colors are given, over the epochs."""
    figure = PngFigure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, color in colors.items():
        draw_range(axes, results, f"validation accuracy, {name}", color=color, marker="o", markersize=3, label=name)
    finish(axes, xlabel="epoch", ylabel="accuracy of a character")
    axes.locator_params(axis="x", integer=True)
    caption = (
        "Share of the characters of validation targets that the networks predict from the source and the true "
        "characters before them, the end of a text included: mean over the repeats, and their range as a band"
    )
    return {caption: figure}
