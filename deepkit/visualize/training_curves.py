"""Learning curves: the loss and the metrics over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deepkit.utils.errors import message
from deepkit.utils.metric_names import metric_name
from deepkit.visualize.figures import BLUE, GRAY, ORANGE, subplots

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def curves(history: Mapping[str, Sequence[float | Any]] | keras.callbacks.History) -> Figure:
    """Draw the loss and every metric over the epochs, for training and validation data.

    Args:
        history: The values of each metric by name, such as `Run.history`; or a `Run`, or the `History` that
            `model.fit` returns. A metric with several values, such as one for each class, has a line for each of them.

    Returns:
        A figure with a panel per metric, the loss first.

    Raises:
        ValueError: The history is empty.

    Examples:
        >>> import deepkit as dk
        >>> figure = dk.visualize.curves({"loss": [1.0, 0.5], "val_loss": [1.1, 0.7]})
        >>> len(figure.axes)
        1
    """
    values = history if isinstance(history, Mapping) else history.history
    names = [name for name in values if not name.startswith("val_") and len(values[name])]
    if not names:
        problem = "curves: expected a history of at least one epoch, received an empty one"
        raise ValueError(message(problem, hint="train first, then pass run.history"))
    names.sort(key=lambda name: name != "loss")
    figure, axes = subplots(1, len(names), 5.0, 3.4)
    for ax, name in zip(axes[0], names, strict=True):
        _draw_metric(ax, values[name], values.get(f"val_{name}"))
        ax.set_title(metric_name(name).heading, parse_math=False)
    return figure


def metric_curve(
    training: Sequence[float | Any],
    validation: Sequence[float | Any] | None,
    title: str,
    *,
    scale: float = 1.0,
    stored_epoch: int | None = None,
) -> Figure:
    """Draw one metric over the epochs.

    Args:
        training: The value of each epoch on the training data.
        validation: The same on the validation data, or None.
        title: Name and unit of the metric, for the vertical axis.
        scale: Factor on the values: 100 for percent.
        stored_epoch: The epoch whose weights are stored, counted from 1; it is marked.
    """
    figure, axes = subplots(1, 1, 4.6, 3.2)
    ax = axes[0, 0]
    if stored_epoch is not None:
        ax.axvline(
            stored_epoch, color=GRAY, linestyle="--", linewidth=1.2, label=f"Stored weights: epoch {stored_epoch}"
        )
    _draw_metric(ax, training, validation, scale)
    ax.set_ylabel(title, parse_math=False)
    return figure


def _draw_metric(
    ax: Axes, training: Sequence[float | Any], validation: Sequence[float | Any] | None, scale: float = 1.0
) -> None:
    _draw_curve(ax, training, BLUE, "Training", scale)
    if validation is not None and len(validation):
        _draw_curve(ax, validation, ORANGE, "Validation", scale)
    ax.set(xlabel="Epoch")
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _draw_curve(ax: Axes, values: Sequence[float | Any], color: str, label: str, scale: float) -> None:
    columns = scale * np.asarray(values, "float64").reshape(len(values), -1)
    epochs = range(1, len(values) + 1)
    marker = "o" if len(values) < 3 else None
    alpha = 1.0 if columns.shape[1] == 1 else 0.6
    for i, column in enumerate(columns.T):
        ax.plot(epochs, column, color=color, label=None if i else label, marker=marker, linewidth=1.8, alpha=alpha)
