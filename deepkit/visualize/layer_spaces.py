"""The positions of points in the space of each layer, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_flag
from deepkit.visualize.labeled_points import LabeledPoints, class_numbers_of_labels, labeled_points
from deepkit.visualize.layer_outputs import check_finite, layer_outputs
from deepkit.visualize.layer_probes import probe_accuracies
from deepkit.visualize.model_inputs import accepts_run, check_built

_CALLER = "hidden_space"
_GRID_LINES = 15  # in each direction
_POINTS_PER_LINE = 80


@dataclass(frozen=True, eq=False)
class LayerSpace:
    """The positions of points in the space of a layer.

    Args:
        layer: Path of the layer; "input" for the input of the model, "pca" for its first two principal components.
        num_units: Number of units of the layer.
        positions: The outputs for one or two units, of shape `(points, 1)` or `(points, 2)`; for more units their
            first two principal components.
        labels: The class number of each point.
        explained_variance: Fractions of the variance along the principal components, of shape `(2,)`; None for
            one or two units.
        probe_accuracy: The accuracy of a linear classifier on all units; None without probes.
        grid: Images of the lines of a regular grid of the input plane, of shape `(lines, points of a line, 2)`; None
            without a grid, or if the layer does not have two units.

    Examples:
        >>> import deepkit as dk
        >>> model = dk.Sequential([dk.MLP([8]), dk.Classifier(2)]).build((2,))
        >>> data = dk.data.points("circle", 50)
        >>> space = dk.visualize.arrays.hidden_space(model, data, layers=["mlp.dense"])[
        ...     0
        ... ]
        >>> space.num_units, space.positions.shape, space.explained_variance.shape
        (8, (50, 2), (2,))
    """

    layer: str
    num_units: int
    positions: np.ndarray
    labels: np.ndarray
    explained_variance: np.ndarray | None
    probe_accuracy: float | None
    grid: np.ndarray | None


@accepts_run
def layer_spaces(
    model: keras.Model,
    data: object,
    *,
    layers: Sequence[str] | None = None,
    num_points: int = 500,
    grid: bool = False,
    probes: bool = False,
) -> list[LayerSpace]:
    """Return the positions of the points of the data in each layer, from the input to the output.

    Args:
        model: A built model, such as a classifier or an autoencoder.
            A `Run` stands for its model.
        data: `dk.data.Data`, whose training split is used; a pipeline or another dataset of batches (x, y); or a pair
            (x, y) of arrays. Labels are classes: integers, one-hot rows or strings.
        layers: Names or paths of layers; `"input"` is the input of the model, and `"pca"` the first two principal
            components of the input, to compare with a code of two units: `["pca", "code"]`. By default the input and
            every layer of the model after its activation and normalization, up to the output.
        num_points: Largest number of points; of more, a random subset, the same in each call.
        grid: Whether to return the images of a regular grid of the input plane in layers of two units.
        probes: Whether to return the accuracy of a linear classifier on the units of each layer.

    Returns:
        A `LayerSpace` for each layer.

    Raises:
        TypeError: `model` is not a Keras model, or the data has no labels.
        ValueError: The labels are not classes, a layer does not exist, or a grid is requested for a model of more
            features than two.

    Examples:
        >>> import deepkit as dk
        >>> model = dk.Sequential([dk.MLP([2]), dk.Classifier(2)]).build((2,))
        >>> data = dk.data.points("circle", 50)
        >>> spaces = dk.visualize.arrays.hidden_space(model, data)
        >>> [(space.layer, space.positions.shape) for space in spaces]
        [('input', (50, 2)), ('mlp.activation', (50, 2)), ('classifier.dense', (50, 2))]
    """
    check_built(model, _CALLER)
    return spaces_of(model, labeled_points(data, num_points, _CALLER), layers, grid, probes)


def spaces_of(
    model: keras.Model, points: LabeledPoints, layers: Sequence[str] | None, grid: bool, probes: bool
) -> list[LayerSpace]:
    """Return the positions of points in each layer."""
    check_flag(grid, f"{_CALLER}: grid")
    check_flag(probes, f"{_CALLER}: probes")
    labels, _ = class_numbers_of_labels(points.y, _CALLER)
    outputs = layer_outputs(model, points.x, layers, _CALLER)
    check_finite(outputs, _CALLER)  # a figure would leave out the points that are NaN
    accuracies = probe_accuracies(outputs, labels, _CALLER) if probes else {}
    grids = _deformed_grids(model, points, list(outputs)) if grid else {}
    spaces = []
    for name, values in outputs.items():
        positions, explained_variance = _positions(values)
        space = LayerSpace(
            layer=name,
            num_units=values.shape[1],
            positions=positions,
            labels=labels,
            explained_variance=explained_variance,
            probe_accuracy=accuracies.get(name),
            grid=grids.get(name),
        )
        spaces.append(space)
    return spaces


def _positions(values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return one or two units as they are, and the principal components of more with their share of the variance."""
    if values.shape[1] <= 2:
        return values, None
    from sklearn.decomposition import PCA

    if np.ptp(values, axis=0).max() == 0:  # the same output for all points
        return np.zeros((len(values), 2)), np.zeros(2)
    pca = PCA(n_components=2, random_state=0)
    return pca.fit_transform(values.astype("float64")), pca.explained_variance_ratio_


def _deformed_grids(model: keras.Model, points: LabeledPoints, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the images of the lines of a regular grid of the input plane in each layer of two units."""
    if not isinstance(points.x, np.ndarray) or points.x.ndim != 2 or points.x.shape[1] != 2:
        problem = f"{_CALLER}: a grid needs two input features, received {format_value(points.x)}"
        raise ValueError(message(problem, hint="use grid=False"))
    low, high = points.x.min(axis=0).astype("float64"), points.x.max(axis=0).astype("float64")
    margin = 0.1 * (high - low)
    axes = [np.linspace(low[i] - margin[i], high[i] + margin[i], _GRID_LINES) for i in (0, 1)]
    lines = [np.linspace(axis[0], axis[-1], _POINTS_PER_LINE) for axis in axes]
    vertical = np.stack(np.meshgrid(axes[0], lines[1], indexing="ij"), axis=-1)
    horizontal = np.stack(np.meshgrid(lines[0], axes[1], indexing="ij"), axis=-1).transpose(1, 0, 2)
    grid = np.concatenate([vertical, horizontal]).astype(points.x.dtype if points.x.dtype.kind == "f" else "float32")
    outputs = layer_outputs(model, grid.reshape(-1, 2), names, _CALLER, components_of=points.x)
    shape = grid.shape
    return {name: values.reshape(shape) for name, values in outputs.items() if values.shape[1] == 2}
