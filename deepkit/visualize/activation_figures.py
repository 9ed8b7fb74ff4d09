"""Outputs of layers and their statistics as figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
from matplotlib.figure import Figure

from deepkit.utils.errors import message
from deepkit.visualize import activations as _activations
from deepkit.visualize.activations import LayerStatistics
from deepkit.visualize.figures import BLUE, GRAY, ORANGE, hide_axis_lines, subplots
from deepkit.visualize.model_inputs import accepts_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from deepkit.utils.types import LossLike
    from deepkit.visualize.model_inputs import Batch

_MAX_MAPS = 64  # feature maps of one example
_MAX_EXAMPLES, _MAX_COLUMNS = 8, 8


@accepts_run
def feature_maps(model: keras.Model, images: Batch, layer: str) -> Figure:
    """Draw the output of a layer for some examples.

    Args:
        model: Any built Keras model.
            A `Run` stands for its model.
        images: A batch that the model takes, of images or other inputs.
        layer: Name of a layer, also of a layer in a nested model. If several layers have the name, its path, such as
            `"base/conv5"`.

    Returns:
        For an output with rows and columns: the feature maps of one image (64 at most), or a row per image with the
        first 8 maps of each. For a sequence: an image per example, with time to the right and channels downwards.
        For vectors: one image with a row per example. Lighter values are larger. `dk.visualize.arrays.feature_maps`
        returns all numbers.

    Raises:
        ValueError: No layer or several layers have the name, the batch does not fit, or the model is not built.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.ConvBlock(6).build((8, 8, 1))
        >>> figure = dk.visualize.feature_maps(model, np.ones((1, 8, 8, 1)), "conv")
        >>> len(figure.axes)
        6
    """
    values = _activations.feature_maps(model, images, layer)
    rows = _image_rows(values)
    figure, axes = subplots(len(rows), max(map(len, rows)), 1.2, 1.2)
    for ax in axes.flat:
        hide_axis_lines(ax)
    for axes_row, images_row in zip(axes, rows, strict=True):
        for ax, image in zip(axes_row, images_row, strict=False):
            ax.imshow(image, cmap="viridis", aspect="auto" if values.ndim < 4 else "equal")
        for ax in axes_row[len(images_row) :]:
            ax.remove()
    num_channels = values.shape[-1]
    num_drawn = _MAX_MAPS if len(values) == 1 else _MAX_COLUMNS
    if values.ndim == 4 and num_channels > num_drawn:
        figure.suptitle(f"{num_drawn} of {num_channels} feature maps", fontsize=9)
    return figure


@accepts_run
def statistics(model: keras.Model, batch: Batch, *, loss: LossLike | None = None, training: bool = True) -> Figure:
    """Draw the size of the outputs and of the gradients of each layer, from the first layer to the last.

    Gradients that shrink from layer to layer toward the input vanish; units that are 0 for every example are dead;
    sigmoids near their bounds are saturated (Glorot and Bengio, "Understanding the difficulty of training deep
    feedforward neural networks", 2010, sections 3 and 4).

    Args:
        model: Any built Keras model.
            A `Run` stands for its model.
        batch: The inputs x, or (x, y) to include gradients.
        loss: A Keras loss or its name. By default the loss that the model was compiled with.
        training: Whether layers such as dropout and batch normalization run in training mode. The state that they
            change is restored.

    Returns:
        A row per layer: the standard deviation of its output, the fractions of zeros, dead units and saturated
        values, and, with labels, the norm of the gradient of the loss with respect to its weights.
        `dk.visualize.arrays.statistics` returns the numbers.

    Raises:
        TypeError: The batch is a whole dataset.
        ValueError: The batch does not fit, the model is not built, or there are labels but no loss.

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
    has_gradients = any(row.gradient_norm is not None for row in rows)
    figure, axes = subplots(1, 3 if has_gradients else 2, 2.9, max(1.8, 0.9 + 0.2 * len(rows)))
    for ax in axes[0]:
        _prepare_axes(ax, [row.layer for row in rows], show_names=ax is axes[0, 0])
    _draw_log_bars(axes[0, 0], [row.std for row in rows], BLUE, "Output standard deviation")
    _draw_fractions(axes[0, 1], rows)
    if has_gradients:
        _draw_log_bars(axes[0, 2], [row.gradient_norm for row in rows], ORANGE, "Gradient norm of the weights")
    return figure


def _image_rows(values: np.ndarray) -> list[list[np.ndarray]]:
    """Return the output of a layer as rows of two-dimensional images."""
    if values.ndim == 2:
        return [[values]]
    if values.ndim == 3:
        return [[example.T] for example in values[:_MAX_EXAMPLES]]
    if values.ndim != 4:
        problem = f"feature_maps: expected an output with 2 to 4 axes, received an output of shape {values.shape}"
        raise ValueError(message(problem, hint="use dk.visualize.arrays.feature_maps, which returns the numbers"))
    if len(values) > 1:
        num_maps = min(_MAX_COLUMNS, values.shape[-1])
        return [_channel_images(example, num_maps) for example in values[:_MAX_EXAMPLES]]
    images = _channel_images(values[0], min(_MAX_MAPS, values.shape[-1]))
    columns = min(_MAX_COLUMNS, len(images))
    return [images[i * columns : (i + 1) * columns] for i in range(math.ceil(len(images) / columns))]


def _channel_images(example: np.ndarray, num_channels: int) -> list[np.ndarray]:
    return [example[..., i] for i in range(num_channels)]


def _prepare_axes(ax: Axes, names: Sequence[str], *, show_names: bool) -> None:
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_yticks(range(len(names)), names if show_names else [""] * len(names), fontsize=7)
    ax.tick_params(axis="x", labelsize=7)
    ax.grid(axis="x", alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)


def _draw_log_bars(ax: Axes, values: Sequence[float | None], color: str, title: str) -> None:
    """Draw bars along a logarithmic axis, without bars for zero and for None."""
    positive = {position: value for position, value in enumerate(values) if value}
    ax.barh(list(positive), list(positive.values()), color=color, height=0.7)
    if positive:
        ax.set_xscale("log")
        ax.set_xlim(min(positive.values()) / 3, max(positive.values()) * 2)
    ax.set_title(title, fontsize=8)


def _draw_fractions(ax: Axes, rows: Sequence[LayerStatistics]) -> None:
    """Draw the fractions of zeros, dead units and saturated values as bars on top of each other."""
    positions = range(len(rows))
    ax.barh(positions, [row.zeros for row in rows], color="#ced4da", height=0.7, label="zeros")
    ax.barh(positions, [row.dead for row in rows], color=GRAY, height=0.35, label="dead units")
    if any(row.saturated is not None for row in rows):
        saturated = [row.saturated or 0.0 for row in rows]
        ax.barh(positions, saturated, color=ORANGE, height=0.7, label="saturated")
    ax.set_xlim(0, 1)
    ax.set_title("Fraction of the output", fontsize=8)
    ax.legend(frameon=False, fontsize=6, loc="lower right")
