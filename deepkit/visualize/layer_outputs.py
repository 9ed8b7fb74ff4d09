"""Pictures of what layers give for a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from deepkit.visualize import activations as _activations
from deepkit.visualize.activations import LayerStatistics
from deepkit.visualize.figures import BLUE, GREY, ORANGE, panels, plain

_MAPS, _IMAGES, _COLUMNS = 64, 8, 8  # at most: maps of one image, images, pictures in a row


def feature_maps(model: keras.Model, images: Any, layer: str) -> Figure:
    """Draw what a layer gives for some examples.

    Args:
        model: Any Keras model that is built.
        images: A batch that the model takes; of images, or of whatever else.
        layer: Name of a layer, in a model within the model too, there as `"base/conv5"` where the name alone is not
            unique.

    Returns:
        Of a layer with rows and columns: for one image each of its maps (64 at most), for several images a row each
        with the first 8. Of a sequence: one picture an example, time to the right and channels downwards. Of a
        vector: one picture, an example a row. Lighter is larger. `dk.visualize.arrays.feature_maps` returns the
        numbers, all of them.

    Raises:
        ValueError: There is no such layer, or several; the batch does not fit, or the model is not built.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.ConvBlock(6).build((8, 8, 1))
        >>> figure = dk.visualize.feature_maps(model, np.ones((1, 8, 8, 1)), "conv")
        >>> len(figure.axes)
        6
    """
    values = _activations.feature_maps(model, images, layer)
    pictures = _pictures(values)
    figure, axes = panels(len(pictures), max(map(len, pictures)), 1.2, 1.2)
    for ax in axes.flat:
        plain(ax)
    for row, line in zip(axes, pictures, strict=True):
        for ax, picture in zip(row, line, strict=False):
            ax.imshow(picture, cmap="viridis", aspect="auto" if values.ndim < 4 else "equal")
        for ax in row[len(line) :]:
            ax.remove()
    channels = values.shape[-1]
    drawn = _MAPS if len(values) == 1 else _COLUMNS
    if values.ndim == 4 and channels > drawn:
        figure.suptitle(f"{drawn} of {channels} maps", fontsize=9)
    return figure


def statistics(model: keras.Model, batch: Any, *, loss: Any = None, training: bool = True) -> Figure:
    """Draw how large the outputs and the gradients of each layer are, from the first layer to the last.

    Gradients that shrink from layer to layer towards the input vanish; units that are 0 for every example are dead;
    sigmoids at their bounds are saturated (Glorot and Bengio, "Understanding the difficulty of training deep
    feedforward neural networks", 2010, sections 3 and 4).

    Args:
        model: Any Keras model that is built, of any class.
        batch: The inputs x, or (x, y) for gradients too.
        loss: A Keras loss or its name; the one that the model was compiled with if left out.
        training: Whether layers such as dropout and batch normalisation act as in training; all that they change
            is put back.

    Returns:
        A row a layer: the standard deviation of its output, the shares of zeros, dead units and saturated values,
        and, with labels, the norm of the gradient of the loss for its weights. `dk.visualize.arrays.statistics`
        returns the rows.

    Raises:
        TypeError: The batch is a whole data set.
        ValueError: The batch does not fit, the model is not built, or there are labels without a loss.

    Examples:
        >>> import keras, numpy as np, deepkit as dk
        >>> model = dk.Sequential([dk.MLP([8, 8]), dk.Classifier(2)]).build((4,))
        >>> batch = np.ones((5, 4), "float32"), np.array([0, 1, 0, 1, 0])
        >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> rows = dk.visualize.arrays.statistics(model, batch, loss=loss)
        >>> rows[-1].layer, rows[-1].shape
        ('classifier.dense', (5, 2))
        >>> figure = dk.visualize.statistics(model, batch, loss=loss)
    """
    rows = _activations.statistics(model, batch, loss=loss, training=training)
    with_gradients = any(row.gradient_norm is not None for row in rows)
    count = 3 if with_gradients else 2
    figure, axes = panels(1, count, 2.9, max(1.8, 0.9 + 0.2 * len(rows)))
    for ax in axes[0]:
        _prepare(ax, [row.layer for row in rows], named=ax is axes[0, 0])
    _bars(axes[0, 0], [row.std for row in rows], BLUE, "standard deviation of the output")
    _shares(axes[0, 1], rows)
    if with_gradients:
        _bars(axes[0, 2], [row.gradient_norm for row in rows], ORANGE, "norm of the weights' gradient")
    return figure


def _pictures(values: np.ndarray) -> list[list[np.ndarray]]:
    """Return rows of two-dimensional pictures."""
    if values.ndim == 2:
        return [[values]]
    if values.ndim == 3:
        return [[example.T] for example in values[:_IMAGES]]
    if values.ndim != 4:
        raise ValueError(
            f"feature_maps: an output of shape {values.shape} is no row of pictures\n"
            "  hint: dk.visualize.arrays.feature_maps for the numbers"
        )
    if len(values) > 1:
        return [[example[..., i] for i in range(min(_COLUMNS, example.shape[-1]))] for example in values[:_IMAGES]]
    maps = [values[0, ..., i] for i in range(min(_MAPS, values.shape[-1]))]
    columns = min(_COLUMNS, len(maps))
    return [maps[i * columns : (i + 1) * columns] for i in range(math.ceil(len(maps) / columns))]


def _prepare(ax: Any, names: Sequence[str], *, named: bool) -> None:
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_yticks(range(len(names)), names if named else [""] * len(names), fontsize=7)
    ax.tick_params(axis="x", labelsize=7)
    ax.grid(axis="x", alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)


def _bars(ax: Any, values: Sequence[float | None], colour: str, title: str) -> None:
    """Draw bars along a logarithmic axis; what is zero or not there has none."""
    there = {place: value for place, value in enumerate(values) if value}
    ax.barh(list(there), list(there.values()), color=colour, height=0.7)
    if there:
        ax.set_xscale("log")
        ax.set_xlim(min(there.values()) / 3, max(there.values()) * 2)
    ax.set_title(title, fontsize=8)


def _shares(ax: Any, rows: Sequence[LayerStatistics]) -> None:
    """Draw zeros, over them the dead units, and what is saturated."""
    places = range(len(rows))
    ax.barh(places, [row.zeros for row in rows], color="#ced4da", height=0.7, label="zeros")
    ax.barh(places, [row.dead for row in rows], color=GREY, height=0.35, label="dead units")
    saturated = [row.saturated or 0.0 for row in rows]
    if any(row.saturated is not None for row in rows):
        ax.barh(places, saturated, color=ORANGE, height=0.7, label="saturated")
    ax.set_xlim(0, 1)
    ax.set_title("share of the output", fontsize=8)
    ax.legend(frameon=False, fontsize=6, loc="lower right")
