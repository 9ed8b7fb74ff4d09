"""The loss over a plane through the weights of a model, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np
from keras import ops

from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_integer, check_number
from deepkit.visualize.batch_loss import check_loss, compute_loss, restored_state
from deepkit.visualize.labeled_points import check_pair
from deepkit.visualize.model_inputs import accepts_run, check_built, iterate_batches, pack_inputs
from deepkit.visualize.nested_layers import walk_layers
from deepkit.visualize.weight_path import WeightPath

if TYPE_CHECKING:
    from deepkit.utils.types import LossLike, Tensor

    Weights: TypeAlias = Sequence[np.ndarray]
    """An array for each weight of a model, in its order."""

_CALLER = "loss_landscape"
_BATCH_SIZE = 1024  # of arrays
_PATH_MARGIN = 0.25  # of the range of the path, on each side, times `extent`
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)


@dataclass(frozen=True, eq=False)
class LossPlane:
    """The loss of a model for weights in a plane: `weights + a * directions[0] + b * directions[1]`.

    Args:
        a: Coordinates along the first direction, of shape `(resolution,)`.
        b: Coordinates along the second direction, of shape `(resolution,)`.
        losses: The losses, of shape `(resolution, resolution)`: b changes along the first axis, a along the second one.
        center_loss: The loss at the weights of the model, where a and b are 0.
        directions: Two lists of arrays in the order of `model.trainable_variables`.
        path: Coordinates (a, b) of the path's projection onto the plane, of shape `(points, 2)`; None without a path.
        explained_variance: Fractions of the variance of the path along the two directions; None if these are not its
            principal components.

    Examples:
        >>> import deepkit as dk
        >>> model = dk.Classifier(2).build((2,))
        >>> plane = dk.visualize.arrays.loss_landscape(
        ...     model,
        ...     dk.data.points("circle", 50),
        ...     loss=dk.losses.MulticlassHinge(),
        ...     resolution=3,
        ... )
        >>> bool(plane.losses[1, 1] == plane.center_loss)  # the center of the plane
        True
    """

    a: np.ndarray
    b: np.ndarray
    losses: np.ndarray
    center_loss: float
    directions: tuple[list[np.ndarray], list[np.ndarray]]
    path: np.ndarray | None
    explained_variance: np.ndarray | None


@accepts_run
def loss_plane(
    model: keras.Model,
    data: object,
    *,
    loss: LossLike | None = None,
    directions: str | tuple[Weights, Weights] | None = None,
    path: WeightPath | Sequence[Weights] | None = None,
    resolution: int = 25,
    extent: float = 1.0,
    seed: int = 0,
) -> LossPlane:
    """Return the loss over a plane through the weights of a model.

    Reference:
        Li et al. 2018, "Visualizing the loss landscape of neural nets", sections 4 and 7.

    Args:
        model: A built model. Its trainable weights move, and are restored exactly, also after an error.
            A `Run` stands for its model.
        data: `dk.data.Data`, whose training split is read; a pipeline or another dataset of batches (x, y); or a pair
            (x, y) of arrays. Each point of the plane needs the loss over all of it.
        loss: A Keras loss or its name. By default the loss that the model was compiled with.
        directions: "random", "path", or two lists of arrays in the order of `model.trainable_variables`. By default
            "path" if there is a path, else "random".
        path: A `dk.visualize.WeightPath` after training, or a list of weights as `model.get_weights()` returns them.
        resolution: Number of points along each direction, from 2 to 500.
        extent: Without a path, the largest coordinate in the plane; 1 moves each filter by its norm. With a path, the
            margin around it, in quarters of its range.
        seed: Seed of the random directions.

    Returns:
        A `LossPlane`: the losses, the coordinates, the directions, and the projection of the path.

    Raises:
        TypeError: `model` is not a Keras model, or the data has no labels.
        ValueError: The model does not have a loss or trainable weights, the path or the directions do not fit the
            weights, or they do not span a plane.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.Regressor(1).build((1,))
        >>> model.set_weights([np.array([[2.0]]), np.zeros(1)])
        >>> x = np.array(
        ...     [[1.0], [-1.0]], "float32"
        ... )  # y = 2 x: the loss is 0 at the center
        >>> axes = (
        ...     [np.ones((1, 1)), np.zeros(1)],
        ...     [np.zeros((1, 1)), np.ones(1)],
        ... )  # weight, bias
        >>> plane = dk.visualize.arrays.loss_landscape(
        ...     model, (x, 2 * x), loss="mse", directions=axes, resolution=3
        ... )
        >>> plane.losses.round(2).tolist()
        [[2.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 2.0]]
    """
    check_built(model, _CALLER)
    resolution = check_integer(resolution, f"{_CALLER}: resolution", minimum=2, maximum=500)
    extent = check_number(extent, f"{_CALLER}: extent", above=0)
    seed = check_integer(seed, f"{_CALLER}: seed", minimum=0)
    center = _trainable_weights(model)
    points = None if path is None else _check_path(model, path)
    plane, explained_variance = _plane(model, center, directions, points, seed)
    projected = None if points is None else _project(center, plane, points)
    a, b = (_coordinates(None if projected is None else projected[:, i], resolution, extent) for i in (0, 1))
    with restored_state(model, weights=True):
        evaluate = _loss_function(model, data, loss)
        losses = np.array([[_loss_at(model, center, plane, (i, j), evaluate) for i in a] for j in b])
        center_loss = _loss_at(model, center, plane, (0.0, 0.0), evaluate)
    if not np.isfinite(losses).any():
        problem = f"{_CALLER}: the loss is NaN or infinite everywhere in the plane"
        raise ValueError(message(problem, hint="check the loss and the inputs, or use a smaller extent"))
    return LossPlane(a, b, losses, center_loss, plane, projected, explained_variance)


def _trainable_weights(model: keras.Model) -> list[np.ndarray]:
    values = [np.array(ops.convert_to_numpy(variable)) for variable in model.trainable_variables]
    if not values:
        problem = f"{_CALLER}: expected a model with trainable weights, {model.name} has none"
        raise ValueError(message(problem, hint="set layer.trainable = True"))
    if not all(np.isfinite(value).all() for value in values):
        problem = f"{_CALLER}: expected finite weights, {model.name} has weights that are NaN or infinite"
        raise ValueError(message(problem, hint="use the weights of an earlier epoch"))
    return values


def _check_path(model: keras.Model, path: WeightPath | Sequence[Weights]) -> list[list[np.ndarray]]:
    """Return the trainable weights at each point of a path."""
    points: Any = path.weights if isinstance(path, WeightPath) else path
    hint = "pass a dk.visualize.WeightPath that was a callback of the training, or a list of model.get_weights()"
    if not isinstance(points, list | tuple) or not len(points):
        problem = f"{_CALLER}: expected a path of at least one point, received {format_value(points)}"
        raise ValueError(message(problem, hint=hint))
    trainable = {id(variable) for variable in model.trainable_variables}
    shapes = [tuple(variable.shape) for variable in model.weights]
    selected = []
    for number, weights in enumerate(points):
        received = [np.shape(weight) for weight in weights] if isinstance(weights, list | tuple) else weights
        if received != shapes:
            problem = (
                f"{_CALLER}: expected weights of the shapes {format_value(shapes)} at point {number} of the path, "
                f"received {format_value(received)}"
            )
            raise ValueError(message(problem, hint=hint))
        pairs = zip(model.weights, weights, strict=True)
        values = {id(variable): np.asarray(value) for variable, value in pairs if id(variable) in trainable}
        if not all(np.isfinite(value).all() for value in values.values()):
            problem = (
                f"{_CALLER}: expected finite weights at point {number} of the path, received NaN or infinite values"
            )
            raise ValueError(message(problem, hint="use the points before it"))
        selected.append([values[id(variable)] for variable in model.trainable_variables])
    return selected


def _plane(
    model: keras.Model,
    center: Weights,
    directions: str | tuple[Weights, Weights] | None,
    points: Sequence[Weights] | None,
    seed: int,
) -> tuple[tuple[list[np.ndarray], list[np.ndarray]], np.ndarray | None]:
    """Return the two directions, and the fractions of the path's variance if they are its principal components."""
    if directions is None:
        directions = "random" if points is None else "path"
    if isinstance(directions, str):
        if directions == "random":
            generator = np.random.default_rng(seed)
            first, second = (_random_direction(model, generator) for _ in range(2))
            _check_rank(first, second, "pass directions=(first, second): a filter whose weights are 0 does not move")
            return (first, second), None
        if directions == "path" and points is not None:
            return _principal_components(center, points)
        if directions == "path":
            problem = f'{_CALLER}: directions="path" needs the path of an optimizer, received path=None'
            raise ValueError(message(problem, hint="pass path=dk.visualize.WeightPath() after training with it"))
    return _check_directions(center, directions), None


def _check_directions(center: Weights, directions: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return two lists of arrays with the shapes of the trainable weights, which span a plane."""
    hint = 'use "random", "path", or two lists of arrays in the order of model.trainable_variables'
    if not isinstance(directions, list | tuple) or len(directions) != 2:
        problem = f"{_CALLER}: directions must be two lists of arrays, received {format_value(directions)}"
        raise ValueError(message(problem, hint=hint))
    shapes = [weight.shape for weight in center]
    for direction in directions:
        received = [np.shape(value) for value in direction] if isinstance(direction, list | tuple) else direction
        if received != shapes:
            problem = f"{_CALLER}: expected directions of the shapes {format_value(shapes)}, received "
            raise ValueError(message(problem + format_value(received), hint=hint))
    first, second = ([np.asarray(value, "float64") for value in direction] for direction in directions)
    if not all(np.isfinite(value).all() for value in (*first, *second)):
        problem = f"{_CALLER}: expected finite directions, received NaN or infinite values"
        raise ValueError(message(problem, hint=hint))
    _check_rank(first, second, "pass two different directions")
    return first, second


def _check_rank(first: Weights, second: Weights, hint: str) -> None:
    if np.linalg.matrix_rank(np.stack([_flatten(first), _flatten(second)])) < 2:
        problem = f"{_CALLER}: the two directions are parallel or zero, so that they do not span a plane"
        raise ValueError(message(problem, hint=hint))


def _random_direction(model: keras.Model, generator: np.random.Generator) -> list[np.ndarray]:
    """Return a Gaussian direction, each filter with the norm of the model's filter; 0 for vectors such as biases."""
    special = [nested.layer for nested in walk_layers(model) if isinstance(nested.layer, _TRANSPOSED + _DEPTHWISE)]
    layers = {id(layer.kernel): layer for layer in special}
    direction = []
    for variable in model.trainable_variables:
        weight = np.asarray(ops.convert_to_numpy(variable), "float64")
        values = generator.standard_normal(weight.shape)
        if weight.ndim < 2:
            values = np.zeros_like(values)
        else:
            axes = _filter_axes(layers.get(id(variable)), weight.ndim)
            norm = np.sqrt(np.sum(weight**2, axis=axes, keepdims=True))
            values *= norm / np.sqrt(np.sum(values**2, axis=axes, keepdims=True))
        direction.append(values)
    return direction


def _filter_axes(layer: object, num_axes: int) -> tuple[int, ...]:
    """Return the axes of a kernel over which a filter extends: all but the last one, that of the output units."""
    axes = list(range(num_axes))
    if isinstance(layer, _TRANSPOSED):
        axes.remove(num_axes - 2)
    elif isinstance(layer, _DEPTHWISE):
        axes = axes[:-2]
    else:
        axes = axes[:-1]
    return tuple(axes)


def _principal_components(
    center: Weights, points: Sequence[Weights]
) -> tuple[tuple[list[np.ndarray], list[np.ndarray]], np.ndarray]:
    """Return the first two principal components of a path, and the fractions of its variance along them."""
    from sklearn.decomposition import PCA

    origin = _flatten(center)
    offsets = np.stack([_flatten(point) - origin for point in points])
    deviations = offsets - offsets.mean(axis=0)
    if np.linalg.matrix_rank(deviations) < 2:
        problem = f"{_CALLER}: the weights of all {len(points)} points of the path lie on a line"
        raise ValueError(message(problem, hint='use a path with more points, or directions="random"'))
    pca = PCA(n_components=2, svd_solver="full").fit(offsets)
    first, second = (_unflatten(component, center) for component in pca.components_)
    return (first, second), pca.explained_variance_ratio_


def _project(center: Weights, directions: tuple[Weights, Weights], points: Sequence[Weights]) -> np.ndarray:
    """Return the coordinates of the points of the plane that are closest to the points of a path."""
    basis = np.stack([_flatten(direction) for direction in directions], axis=1)
    offsets = np.stack([_flatten(point) - _flatten(center) for point in points], axis=1)
    return np.linalg.lstsq(basis, offsets, rcond=None)[0].T


def _coordinates(path: np.ndarray | None, resolution: int, extent: float) -> np.ndarray:
    """Return coordinates around 0, or around the path and 0."""
    if path is None:
        return np.linspace(-extent, extent, resolution)
    low, high = min(0.0, float(path.min())), max(0.0, float(path.max()))
    margin = _PATH_MARGIN * extent * (high - low) or extent
    return np.linspace(low - margin, high + margin, resolution)


def _loss_function(model: keras.Model, data: object, loss: LossLike | None) -> Callable[[], float]:
    """Return a function that returns the mean loss over the data for the present weights."""
    import tensorflow as tf

    split = data.train if hasattr(data, "train") and hasattr(data, "test") else data
    split = split.in_order() if hasattr(split, "in_order") else split
    if isinstance(split, tuple) and len(split) == 2:
        split = check_pair(*split, _CALLER)
    batches: list[tuple[Any, Any]] = []
    sizes: list[int] = []
    for x, y in iterate_batches(split, _CALLER, _BATCH_SIZE):
        check_loss(model, y, loss, _CALLER)
        if any(np.asarray(array).dtype.kind == "f" and not np.isfinite(array).all() for array in keras.tree.flatten(x)):
            problem = f"{_CALLER}: expected finite numbers as inputs, received NaN or infinite values"
            raise ValueError(message(problem, hint="remove the rows with NaN"))
        tensors = keras.tree.map_structure(ops.convert_to_tensor, (pack_inputs(model, x), y))
        batches.append(tensors)
        sizes.append(len(keras.tree.flatten(tensors[1])[0]))
    if not sum(sizes):
        raise ValueError(
            message(f"{_CALLER}: expected at least one example, received none", hint="pass data with labels")
        )

    def batch_loss(x: Any, y: Any) -> Tensor:
        return ops.cast(compute_loss(model, x, y, model(x, training=False), loss), "float32")

    compiled: Callable[..., Any] = batch_loss if model.run_eagerly else tf.function(batch_loss)
    try:
        compiled(*batches[0])
    except (TypeError, ValueError, tf.errors.OpError) as error:
        shapes = " and ".join(format_value(np.asarray(array)) for array in keras.tree.flatten(batches[0]))
        name = format_value(model.loss if loss is None else loss)
        problem = f"{_CALLER}: {model.name} or the loss {name} does not fit inputs and labels {shapes}"
        raise ValueError(message(problem, hint=f"use data that {model.name} is trained with, and its loss")) from error

    def mean_loss() -> float:
        values = [float(compiled(x, y)) for x, y in batches]
        return float(np.average(values, weights=sizes))

    return mean_loss


def _loss_at(
    model: keras.Model,
    center: Weights,
    directions: tuple[Weights, Weights],
    coordinates: tuple[float, float],
    evaluate: Callable[[], float],
) -> float:
    a, b = coordinates
    for variable, weight, first, second in zip(model.trainable_variables, center, *directions, strict=True):
        variable.assign(weight + a * first + b * second)
    return evaluate()


def _flatten(weights: Weights) -> np.ndarray:
    return np.concatenate([np.asarray(weight, "float64").reshape(-1) for weight in weights])


def _unflatten(vector: np.ndarray, like: Weights) -> list[np.ndarray]:
    bounds = np.cumsum([weight.size for weight in like])[:-1]
    return [part.reshape(weight.shape) for part, weight in zip(np.split(vector, bounds), like, strict=True)]
