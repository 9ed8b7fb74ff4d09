"""The decision boundary of a classifier of two features, or the surface of a regression, as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
from matplotlib.colors import CenteredNorm, LinearSegmentedColormap
from matplotlib.figure import Figure

from deepkit.visualize.class_markers import mix_with_white, scatter_by_class
from deepkit.visualize.decision_regions import DecisionRegions, checked_points, regions_of
from deepkit.visualize.figures import BLUE, ORANGE, PngFigure, subplots
from deepkit.visualize.labeled_points import names_of_classes
from deepkit.visualize.model_inputs import accepts_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TWO_CLASSES = LinearSegmentedColormap.from_list("two_classes", [BLUE, "#ffffff", ORANGE])
_BACKGROUND_ALPHA = 0.55
_MAX_LEGEND_ROWS = 12
_FLAT_SHARE = 0.35  # of a class's color in its region if the outputs are not probabilities
_LINE = "#212529"


@accepts_run
def decision_boundary(
    model: keras.Model,
    data: object,
    *,
    resolution: int = 200,
    num_points: int = 500,
    class_names: Sequence[str] = (),
) -> Figure:
    """Draw the predictions of a model of two features over its input plane, with the points of the data.

    A linear classifier has a straight boundary; hidden layers bend it (Hastie, Tibshirani and Friedman, "The Elements
    of Statistical Learning", 2009, sections 2.3 and 11.3).

    A model with a single output is a classifier if all labels are 0 and 1, or -1 and +1, else a regression. It predicts
    the second class above the threshold: a probability of 0.5, a logit of 0, or a score of 0 for a hinge loss or for
    labels -1 and +1. If it is compiled with a squared or absolute error, the threshold of labels 0 and 1 is 0.5. A
    model with several outputs predicts the class with the largest one.

    Args:
        model: A built model with one input of two features.
            A `Run` stands for its model.
        data: `dk.data.Data`, whose training split is drawn; a pipeline or another dataset of batches (x, y); or a pair
            (x, y) of arrays with x of shape `(points, 2)`.
        resolution: Number of values of each feature at which the model is evaluated, in batches of 10,000 points.
        num_points: Maximum number of points; larger data is subsampled with a fixed seed.
        class_names: Names in the order of the classes. By default those of the data, else the labels.

    Returns:
        A figure. Two classes: the background has the color of the predicted class, lighter near the threshold. More
        classes: the color of the predicted class, lighter where its probability is smaller. A line marks the boundary
        between classes. Regression: the predicted value as a color, with contour lines, and the points in the color of
        their label. The title has the accuracy, or the root mean squared error, for the points that are drawn.
        `dk.visualize.arrays.decision_boundary` returns the numbers.

    Raises:
        TypeError: `model` is not a Keras model, or the data has no labels.
        ValueError: The model or the data has not exactly two features, or the labels do not fit the output.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> x = np.random.default_rng(0).normal(size=(100, 2)).astype("float32")
        >>> model = dk.Classifier(1).build((2,))
        >>> figure = dk.visualize.decision_boundary(
        ...     model, (x, x[:, 0] > 0), class_names=["left", "right"]
        ... )
        >>> regions = dk.visualize.arrays.decision_boundary(
        ...     model, (x, x[:, 0] > 0), resolution=50
        ... )
        >>> regions.scores.shape, regions.threshold
        ((50, 50, 1), 0.0)
    """
    points = checked_points(model, data, num_points)
    regions = regions_of(model, points, resolution)
    figure, axes = subplots(1, 1, 5.6, 4.4)
    ax = axes[0, 0]
    ax.set(xlabel="Feature 1", ylabel="Feature 2")
    if regions.classes is None:
        _draw_surface(figure, ax, regions)
        return figure
    values = np.array(regions.class_values)
    names = names_of_classes(values, class_names, points.class_names, "decision_boundary")
    if regions.threshold is not None:
        _draw_two_classes(figure, ax, regions, names)
    else:
        _draw_classes(ax, regions)
    scatter_by_class(ax, regions.points, regions.labels, names)
    accuracy = float(np.mean(regions.predictions == regions.labels))
    ax.set_title(f"{accuracy:.1%} of {len(regions.labels):,} points are classified correctly", fontsize=9)
    columns = -(-len(np.unique(regions.labels)) // _MAX_LEGEND_ROWS)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8, ncols=columns)
    figure.alt_text = (
        f"The input plane of {model.name} in the colors of the predicted classes {', '.join(names)}, with "
        f"{len(regions.labels):,} points, of which {accuracy:.1%} are classified correctly."
    )
    return figure


def _draw_two_classes(figure: PngFigure, ax: Axes, regions: DecisionRegions, names: Sequence[str]) -> None:
    """Draw the probability of the second class or the score as background, and the boundary."""
    assert regions.threshold is not None
    scores = regions.scores[..., 0]
    if regions.probabilities is None:
        background, label, center = scores, "Score", regions.threshold
    else:
        background, label, center = regions.probabilities[..., 1], f"Probability of {names[1]}", 0.5
    limit = 0.5 if regions.probabilities is not None else float(np.abs(scores - center).max()) or 1.0
    mesh = ax.pcolormesh(
        regions.x1,
        regions.x2,
        background,
        cmap=_TWO_CLASSES,
        norm=CenteredNorm(center, limit),
        shading="nearest",
        alpha=_BACKGROUND_ALPHA,
        rasterized=True,
    )
    figure.colorbar(mesh, ax=ax, label=label, shrink=0.7, pad=0.02)
    _draw_boundary(ax, regions, scores, regions.threshold)


def _draw_classes(ax: Axes, regions: DecisionRegions) -> None:
    """Draw the predicted classes as background, and the boundary of each class."""
    assert regions.classes is not None
    num_classes = regions.scores.shape[-1]
    share = np.full(regions.classes.shape, _FLAT_SHARE)
    if regions.probabilities is not None:
        chance = 1 / num_classes
        certainty = (regions.probabilities.max(axis=-1) - chance) / (1 - chance)
        share = 0.1 + 0.4 * certainty
    colors = np.ones((*share.shape, 3))
    for number in range(num_classes):
        rows = regions.classes == number
        colors[rows] = mix_with_white(number, share[rows])
        others = np.delete(regions.scores, number, axis=-1).max(axis=-1)
        _draw_boundary(ax, regions, regions.scores[..., number] - others, 0.0)
    ax.pcolormesh(regions.x1, regions.x2, np.clip(colors, 0, 1), shading="nearest", rasterized=True)


def _draw_boundary(ax: Axes, regions: DecisionRegions, scores: np.ndarray, threshold: float) -> None:
    """Draw the line at which the scores equal the threshold, if they do anywhere."""
    if scores.min() < threshold < scores.max():
        ax.contour(regions.x1, regions.x2, scores, levels=[threshold], colors=_LINE, linewidths=1.4, zorder=2)


def _draw_surface(figure: PngFigure, ax: Axes, regions: DecisionRegions) -> None:
    """Draw the predicted values of a regression, and the points in the color of their label."""
    values = regions.scores[..., 0]
    low, high = (float(function([values.min(), values.max(), *regions.labels])) for function in (min, max))
    mesh = ax.pcolormesh(
        regions.x1, regions.x2, values, vmin=low, vmax=high, cmap="viridis", shading="nearest", rasterized=True
    )
    if values.max() > values.min():
        lines = ax.contour(regions.x1, regions.x2, values, levels=8, colors="white", linewidths=0.8, zorder=2)
        ax.clabel(lines, fontsize=7)
    ax.scatter(
        regions.points[:, 0],
        regions.points[:, 1],
        c=regions.labels,
        vmin=low,
        vmax=high,
        cmap="viridis",
        s=22,
        edgecolors="white",
        linewidths=0.7,
        zorder=3,
    )
    figure.colorbar(mesh, ax=ax, label="Predicted value", shrink=0.8, pad=0.02)
    error = float(np.sqrt(np.mean((regions.predictions - regions.labels) ** 2)))
    ax.set_title(f"Root mean squared error {error:.3g} ({len(regions.labels):,} points)", fontsize=9)
    figure.alt_text = (
        f"The values that a regression predicts over its input plane, from {values.min():.3g} to {values.max():.3g}, "
        f"with {len(regions.labels):,} points in the color of their label; root mean squared error {error:.3g}."
    )
