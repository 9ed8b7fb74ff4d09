"""The points of the data in the space of each layer as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from deepkit.utils.errors import message
from deepkit.visualize.class_markers import scatter_by_class
from deepkit.visualize.figures import subplots
from deepkit.visualize.labeled_points import class_numbers_of_labels, labeled_points, names_of_classes
from deepkit.visualize.layer_outputs import COMPONENTS
from deepkit.visualize.layer_spaces import LayerSpace, spaces_of
from deepkit.visualize.model_inputs import accepts_run, check_built

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CALLER = "hidden_space"
_MAX_PANELS = 10
_JITTER_SEED = 0


@accepts_run
def hidden_space(
    model: keras.Model,
    data: object,
    *,
    layers: Sequence[str] | None = None,
    num_points: int = 500,
    grid: bool = False,
    probes: bool = False,
    class_names: Sequence[str] = (),
) -> Figure:
    """Draw the points of the data layer by layer: how a network transforms its input space.

    A layer stretches, rotates and shifts the space of the layer before it, and its activation bends or folds it, until
    a hyperplane separates the classes (Goodfellow, Bengio and Courville, "Deep Learning", 2016, sections 6.1 and
    6.4.1).

    Args:
        model: A built model, such as a classifier or an autoencoder.
            A `Run` stands for its model.
        data: `dk.data.Data`, whose training split is drawn; a pipeline or another dataset of batches (x, y); or a pair
            (x, y) of arrays. Labels are classes: integers, one-hot rows or strings.
        layers: Names or paths of layers; `"input"` is the input of the model, and `"pca"` the first two principal
            components of the input, to compare with a code of two units: `["pca", "code"]`. By default the input and
            every layer of the model after its activation and normalization, up to the output.
        num_points: Maximum number of points; larger data is subsampled with a fixed seed.
        grid: Whether to draw a regular grid of the input plane as each layer of two units deforms it. Needs two input
            features.
        probes: Whether to print below each name the accuracy of a linear classifier on the layer, as `linear_probes`
            computes it for these points.
        class_names: Names in the order of the classes. By default those of the data, else the labels.

    Returns:
        A row of axes, one for each layer. One unit: its output along the horizontal axis, with points of equal output
        spread vertically. Two units: both outputs. More units, or outputs with more axes, which are flattened: the
        first two principal components, whose labels contain their share of the variance.
        `dk.visualize.arrays.hidden_space` returns the numbers.

    Raises:
        TypeError: `model` is not a Keras model, or the data has no labels.
        ValueError: The labels are not classes, a layer does not exist, there are more than 10 layers, or a grid is
            requested for a model of more features than two.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> x = np.random.default_rng(0).normal(size=(100, 2)).astype("float32")
        >>> model = dk.Sequential(
        ...     [dk.MLP([3, 2], activation="tanh"), dk.Classifier(1)]
        ... ).build((2,))
        >>> figure = dk.visualize.hidden_space(
        ...     model, (x, x[:, 0] > 0), grid=True, probes=True
        ... )
        >>> spaces = dk.visualize.arrays.hidden_space(model, (x, x[:, 0] > 0))
        >>> [(space.layer, space.num_units) for space in spaces]
        [('input', 2), ('mlp.activation1', 3), ('mlp.activation2', 2), ('classifier.dense', 1)]
    """
    check_built(model, _CALLER)
    points = labeled_points(data, num_points, _CALLER)
    numbers, values = class_numbers_of_labels(points.y, _CALLER)
    names = names_of_classes(values, class_names, points.class_names, _CALLER)
    spaces = spaces_of(model, points, layers, grid, probes)
    if len(spaces) > _MAX_PANELS:
        problem = f"{_CALLER}: expected at most {_MAX_PANELS} layers in one row, {model.name} has {len(spaces)}"
        paths = ", ".join(repr(space.layer) for space in (spaces[0], spaces[len(spaces) // 2], spaces[-1]))
        raise ValueError(message(problem, hint=f"select some of them, such as layers=[{paths}]"))
    figure, axes = subplots(1, len(spaces), 2.9, 3.1)
    for ax, space in zip(axes[0], spaces, strict=True):
        _draw_space(ax, space, names)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=8)
    figure.alt_text = _alt_text(model, spaces, len(numbers))
    return figure


def _draw_space(ax: Axes, space: LayerSpace, names: Sequence[str]) -> None:
    positions = space.positions
    if space.num_units == 1:
        heights = np.random.default_rng(_JITTER_SEED).uniform(-1, 1, (len(positions), 1))
        positions = np.concatenate([positions, heights], axis=1)
        ax.set(xlabel="Unit 1", ylim=(-4, 4), yticks=[])
    elif space.explained_variance is None:
        kind = "Component" if space.layer == COMPONENTS else "Unit"
        ax.set(xlabel=f"{kind} 1", ylabel=f"{kind} 2")
        ax.set_aspect("equal", adjustable="datalim")
    else:
        first, second = (f"Component {i + 1} ({share:.0%})" for i, share in enumerate(space.explained_variance))
        ax.set(xlabel=first, ylabel=second)
    if space.grid is not None:
        ax.add_collection(LineCollection(list(space.grid), colors="#ced4da", linewidths=0.6, zorder=1))
    scatter_by_class(ax, positions, space.labels, names, size=11)
    ax.tick_params(labelsize=7)
    title = f"{space.layer}\n{_num_units(space)}"
    if space.probe_accuracy is not None:
        title = f"{title}, linear probe {space.probe_accuracy:.1%}"
    ax.set_title(title, fontsize=8)


def _alt_text(model: keras.Model, spaces: Sequence[LayerSpace], num_points: int) -> str:
    descriptions = []
    for space in spaces:
        probe = "" if space.probe_accuracy is None else f", linear probe {space.probe_accuracy:.1%}"
        descriptions.append(f"{space.layer} ({_num_units(space)}{probe})")
    return (
        f"{num_points:,} points in the color of their class in each layer of {model.name}: {', '.join(descriptions)}."
    )


def _num_units(space: LayerSpace) -> str:
    if space.layer == COMPONENTS:
        return f"{space.num_units} components"
    return "1 unit" if space.num_units == 1 else f"{space.num_units:,} units"
