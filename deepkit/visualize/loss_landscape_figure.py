"""The loss over a plane through the weights of a model as a figure, with the path of an optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from deepkit.visualize.figures import ORANGE, subplots
from deepkit.visualize.loss_plane import LossPlane, loss_plane
from deepkit.visualize.model_inputs import accepts_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from deepkit.utils.types import LossLike
    from deepkit.visualize.loss_plane import Weights
    from deepkit.visualize.weight_path import WeightPath

_LEVELS = 18
_LOGARITHMIC_RATIO = 10.0  # of the largest to the smallest loss, from which the levels are logarithmic


@accepts_run
def loss_landscape(
    model: keras.Model,
    data: object,
    *,
    loss: LossLike | None = None,
    directions: str | tuple[Weights, Weights] | None = None,
    path: WeightPath | Sequence[Weights] | None = None,
    resolution: int = 25,
    extent: float = 1.0,
    seed: int = 0,
) -> Figure:
    """Draw the loss over a plane through the weights of a model, with the path of an optimizer.

    The weights of the plane are w + a d1 + b d2 with the weights w of the model. A random direction is Gaussian, and
    each filter of it has the norm of the model's filter, so that models of different scales can be compared: the
    weights of one output unit of a layer are a filter; biases and other vectors do not move (Li et al., "Visualizing
    the loss landscape of neural nets", 2018, section 4). With the path of an optimizer, d1 and d2 are its first two
    principal components (section 7), since random directions contain nearly nothing of a path.

    Args:
        model: A built model. Its trainable weights move, and are restored exactly, also after an error or Ctrl-C.
            No random state changes. Layers run in inference mode: batch normalization uses the moving averages of the
            model everywhere in the plane.
            A `Run` stands for its model.
        data: `dk.data.Data`, whose training split is read; a pipeline or another dataset of batches (x, y); or a pair
            (x, y) of arrays. Each point of the plane needs the loss over all of it: a few hundred examples are enough.
            Sample weights are ignored.
        loss: A Keras loss or its name. By default the loss that the model was compiled with. Weight penalties of the
            layers are added to it.
        directions: "random", "path", or two lists of arrays in the order of `model.trainable_variables`, such as two
            coordinate axes. By default "path" if there is a path, else "random".
        path: A `dk.visualize.WeightPath` after training, or a list of weights as `model.get_weights()` returns them.
        resolution: Number of points along each direction.
        extent: Without a path, the largest coordinate in the plane; 1 moves each filter by its norm. With a path, the
            margin around it, in quarters of its range.
        seed: Seed of the random directions.

    Returns:
        A figure with contour lines of the loss, logarithmic if it varies by a factor of 10 or more; a star marks the
        weights of the model, and a line the projection of the path. The labels of principal components contain their
        share of the path's variance. `dk.visualize.arrays.loss_landscape` returns the numbers.

    Raises:
        TypeError: `model` is not a Keras model, or the data has no labels.
        ValueError: The model does not have a loss or trainable weights, the path or the directions do not fit the
            weights, or they do not span a plane.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> x = np.random.default_rng(0).normal(size=(50, 2)).astype("float32")
        >>> path = dk.visualize.WeightPath()
        >>> run = dk.fit(
        ...     dk.Classifier(1),
        ...     (x, x[:, 0] > 0),
        ...     epochs=4,
        ...     verbose=0,
        ...     callbacks=[path],
        ... )
        >>> figure = dk.visualize.loss_landscape(
        ...     run.model, (x, x[:, 0] > 0), path=path, resolution=5
        ... )
        >>> plane = dk.visualize.arrays.loss_landscape(
        ...     run.model, (x, x[:, 0] > 0), path=path, resolution=5
        ... )
        >>> plane.losses.shape, plane.path.shape
        ((5, 5), (5, 2))
    """
    plane = loss_plane(
        model, data, loss=loss, directions=directions, path=path, resolution=resolution, extent=extent, seed=seed
    )
    figure, axes = subplots(1, 1, 5.4, 4.4)
    ax = axes[0, 0]
    losses = np.ma.masked_invalid(plane.losses)
    levels = _levels(losses)
    if len(levels) > 1:
        norm = LogNorm if _is_logarithmic(losses) else Normalize
        surface = ax.contourf(plane.a, plane.b, losses, levels=levels, cmap="viridis", norm=norm(levels[0], levels[-1]))
        ax.contour(plane.a, plane.b, losses, levels=levels, colors="white", linewidths=0.5, alpha=0.7)
        figure.colorbar(surface, ax=ax, label="Loss", format="%.3g")
    _draw_path(ax, plane)
    xlabel, ylabel = _axis_labels(plane)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_title(f"Loss of the model: {plane.center_loss:.4g}", fontsize=9)
    and_path = "" if plane.path is None else f", with {len(plane.path)} points of the path of an optimizer"
    figure.alt_text = (
        f"Contour lines of the loss of {model.name} over a plane through its weights{and_path}. The loss is "
        f"{plane.center_loss:.3g} at the weights of the model, and between {losses.min():.3g} and {losses.max():.3g} "
        "in the plane."
    )
    return figure


def _is_logarithmic(losses: np.ma.MaskedArray) -> bool:
    low, high = float(losses.min()), float(losses.max())
    return low > 0 and high / low >= _LOGARITHMIC_RATIO


def _levels(losses: np.ma.MaskedArray) -> np.ndarray:
    """Return the losses of the contour lines; none if all losses are equal."""
    if losses.min() == losses.max():
        return np.empty(0)
    spaced = np.geomspace if _is_logarithmic(losses) else np.linspace
    return spaced(float(losses.min()), float(losses.max()), _LEVELS)


def _draw_path(ax: Axes, plane: LossPlane) -> None:
    """Draw the path from its start, a circle, and the weights of the model, a star."""
    if plane.path is not None:
        size = 3 if len(plane.path) <= 100 else 0
        ax.plot(*plane.path.T, color=ORANGE, marker="o", markersize=size, linewidth=1.4, label="Path")
        ax.plot(*plane.path[0], color="white", marker="o", markersize=8, markeredgecolor=ORANGE, label="Start", ls="")
    ax.plot(0, 0, color="white", marker="*", markersize=13, markeredgecolor="black", label="Model", linestyle="")
    ax.legend(fontsize=8, loc="best", facecolor="#dee2e6", framealpha=0.9)


def _axis_labels(plane: LossPlane) -> tuple[str, str]:
    if plane.explained_variance is None:
        return "Direction 1", "Direction 2"
    first, second = (
        f"Component {i + 1} ({share:.1%} of the variance)" for i, share in enumerate(plane.explained_variance)
    )
    return first, second
