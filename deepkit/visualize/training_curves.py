"""Pictures of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deepkit.visualize.figures import BLUE, ORANGE, panels


def curves(history: Mapping[str, Sequence[float]] | Any) -> Figure:
    """Draw the loss and every metric over the epochs, training beside validation.

    Args:
        history: Values by name, as `Run.history` or the `History` that `model.fit` returns has them.

    Returns:
        One panel a metric.

    Raises:
        ValueError: There is no epoch in it.

    Examples:
        >>> import deepkit as dk
        >>> figure = dk.visualize.curves({"loss": [1.0, 0.5], "val_loss": [1.1, 0.7]})
        >>> len(figure.axes)
        1
    """
    values = getattr(history, "history", history)
    names = [name for name in values if not name.startswith("val_") and len(values[name])]
    if not names:
        raise ValueError("curves: the history has no epoch\n  hint: it after a training, with run.history")
    names.sort(key=lambda name: name != "loss")
    figure, axes = panels(1, len(names), 5.0, 3.4)
    for ax, name in zip(axes[0], names, strict=True):
        _line(ax, values[name], BLUE, "training")
        if f"val_{name}" in values:
            _line(ax, values[f"val_{name}"], ORANGE, "validation")
        ax.set(xlabel="epoch", title=name.replace("_", " "))
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return figure


def _line(ax: Any, values: Sequence[float], colour: str, label: str) -> None:
    epochs = range(1, len(values) + 1)
    ax.plot(epochs, values, color=colour, label=label, marker="o" if len(values) < 3 else None, linewidth=1.8)
