"""The predictions of a model of two features over a rectangle of its input plane, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from deepkit.definition.outputs import outputs_logits
from deepkit.layers.mean_and_stddev import mean_and_stddev
from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_integer
from deepkit.visualize.batch_loss import restored_state
from deepkit.visualize.classification import class_numbers, class_probabilities
from deepkit.visualize.interval_coverage import gaussian_outputs
from deepkit.visualize.labeled_points import LabeledPoints, labeled_points
from deepkit.visualize.model_inputs import accepts_run, check_built, pack_inputs

_CALLER = "decision_boundary"
_MAX_INPUT = 1e38  # of float32, with the margin around the points
_CHUNK = 10_000  # points of one call of the model
_MARGIN = 0.1  # of the range of the points, on each side
_REGRESSION_LOSSES = (
    "mse", "mae", "meansquarederror", "meanabsoluteerror", "huber", "logcosh", "meansquaredlogarithmicerror",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class DecisionRegions:
    """The predictions of a model over a grid of its two input features, and for the points of the data.

    Args:
        x1: Values of the first feature, of shape `(resolution,)`.
        x2: Values of the second feature, of shape `(resolution,)`.
        scores: The output of the model, of shape `(resolution, resolution, outputs)`: the second feature changes along
            the first axis, the first feature along the second axis.
        probabilities: Probabilities of the classes, of shape `(resolution, resolution, classes)`; None if the outputs
            are neither logits nor probabilities.
        classes: Predicted class numbers, of shape `(resolution, resolution)`; None for a regression.
        threshold: The score above which a model with a single output predicts the second class; else None.
        points: The inputs of the data, of shape `(points, 2)`.
        labels: The class number or the target of each point, of shape `(points,)`.
        predictions: The predicted class number or value of each point, of shape `(points,)`.
        class_values: The labels that the class numbers stand for: `(-1, 1)`; empty for a regression.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> data = dk.data.points("circle", 50)
        >>> regions = dk.visualize.arrays.decision_boundary(
        ...     dk.Classifier(2).build((2,)), data, resolution=20
        ... )
        >>> regions.x1.shape, regions.scores.shape, regions.points.shape
        ((20,), (20, 20, 2), (50, 2))
        >>> accuracy = np.mean(regions.predictions == regions.labels)
    """

    x1: np.ndarray
    x2: np.ndarray
    scores: np.ndarray
    probabilities: np.ndarray | None
    classes: np.ndarray | None
    threshold: float | None
    points: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    class_values: tuple[int, ...]


@dataclass(frozen=True)
class _Task:
    """How outputs become predictions: `probability` is "logits", "probabilities" or "none"."""

    class_values: tuple[int, ...]
    threshold: float | None
    probability: str


@accepts_run
def decision_regions(
    model: keras.Model, data: object, *, resolution: int = 200, num_points: int = 500
) -> DecisionRegions:
    """Return the predictions of a model of two features over its input plane, and for the points of the data.

    Args:
        model: A built model with one input of two features.
            A `Run` stands for its model.
        data: `dk.data.Data`, whose training split is used; a pipeline or another dataset of batches (x, y); or a pair
            (x, y) of arrays with x of shape `(points, 2)`.
        resolution: Number of values of each feature at which the model is evaluated, from 2 to 2,000.
        num_points: Largest number of points; of more, a random subset, the same in each call.

    Returns:
        A `DecisionRegions`: the grid, the outputs and predictions on it, and those for the points.

    Raises:
        TypeError: `model` is not a Keras model, or the data has no labels.
        ValueError: The model or the data has not exactly two features, or the labels do not fit the output.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> x = np.array([[-1.0, 0.0], [1.0, 0.0]], "float32")
        >>> model = dk.Classifier(1).build((2,))
        >>> model.set_weights([np.array([[5.0], [0.0]]), np.zeros(1)])  # the sign of x1
        >>> regions = dk.visualize.arrays.decision_boundary(
        ...     model, (x, [0, 1]), resolution=4
        ... )
        >>> regions.classes[0].tolist(), regions.predictions.tolist()
        ([0, 0, 1, 1], [0, 1])
    """
    return regions_of(model, checked_points(model, data, num_points), resolution)


def checked_points(model: keras.Model, data: object, num_points: int) -> LabeledPoints:
    """Return the points of the data after a check that the model and the data have two features."""
    check_built(model, _CALLER)
    shapes = [tuple(tensor.shape)[1:] for tensor in getattr(model, "inputs", None) or []]
    if shapes and shapes != [(2,)]:
        received = ", ".join(str(shape) for shape in shapes)
        raise ValueError(_not_two_features(f"{model.name} takes inputs of shape {received}"))
    points = labeled_points(data, num_points, _CALLER)
    if isinstance(points.x, dict | list | tuple) or points.x.ndim != 2 or points.x.shape[1] != 2:
        raise ValueError(_not_two_features(f"received {format_value(points.x)}"))
    if points.x.dtype.kind not in "fiub" or not (np.abs(points.x.astype("float64")) < _MAX_INPUT).all():
        problem = f"{_CALLER}: expected finite numbers as inputs, received {format_value(points.x)}"
        raise ValueError(message(problem, hint="remove the rows with NaN, infinite values or text"))
    return points


def regions_of(model: keras.Model, points: LabeledPoints, resolution: int) -> DecisionRegions:
    """Return the predictions over the rectangle around the points."""
    resolution = check_integer(resolution, f"{_CALLER}: resolution", minimum=2, maximum=2000)
    x1, x2 = (_axis(points.x[:, i], resolution) for i in (0, 1))
    grid = np.stack(np.meshgrid(x1, x2), axis=-1).reshape(-1, 2)
    outputs = _outputs(model, np.concatenate([points.x, grid]))
    num_points = len(points.x)
    task, labels = _task(model, points.y, outputs)
    predictions = _predictions(outputs, task)
    probabilities = None
    if task.probability != "none":
        probabilities = class_probabilities(outputs[num_points:], task.probability == "logits")
    sides = (resolution, resolution)
    return DecisionRegions(
        x1=x1,
        x2=x2,
        scores=outputs[num_points:].reshape(*sides, -1),
        probabilities=None if probabilities is None else probabilities.reshape(*sides, -1),
        classes=predictions[num_points:].reshape(sides) if task.class_values else None,
        threshold=task.threshold,
        points=points.x,
        labels=labels,
        predictions=predictions[:num_points],
        class_values=task.class_values,
    )


def _axis(values: np.ndarray, resolution: int) -> np.ndarray:
    """Return values of a feature from below the smallest to above the largest one."""
    low, high = float(values.min()), float(values.max())
    margin = _MARGIN * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, resolution)


def _outputs(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Return the output for each point, of shape `(points, outputs)`; of a Gaussian, the mean."""
    chunks = []
    with restored_state(model):
        for start in range(0, len(x), _CHUNK):
            chunk = x[start : start + _CHUNK].astype("float32")
            arrays = keras.tree.flatten(model(pack_inputs(model, chunk), training=False))
            if len(arrays) != 1:
                problem = f"{_CALLER}: expected a model with one output, {model.name} has {len(arrays)}"
                raise ValueError(message(problem, hint="use keras.Model(model.inputs, output) with one of the outputs"))
            chunks.append(np.asarray(keras.ops.cast(arrays[0], "float32"), "float64"))
    outputs = np.concatenate(chunks)
    if not np.isfinite(outputs).all():
        problem = f"{_CALLER}: the output of {model.name} is NaN or infinite for some inputs"
        raise ValueError(message(problem, hint="check the weights of the model"))
    if gaussian_outputs(model):
        outputs, _ = mean_and_stddev(outputs)
    if outputs.ndim == 1:
        outputs = outputs[:, None]
    if outputs.ndim != 2:
        problem = f"{_CALLER}: expected an output (batch, outputs), {model.name} has an output of shape {outputs.shape}"
        raise ValueError(message(problem, hint="use a model with one prediction per example"))
    return outputs


def _task(model: keras.Model, y: np.ndarray, outputs: np.ndarray) -> tuple[_Task, np.ndarray]:
    """Return how outputs become predictions, and the class number or the target of each point."""
    if outputs.shape[1] > 1:
        return _multiclass_task(model, y, outputs)
    labels = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if labels.ndim != 1 or labels.dtype.kind not in "fiub" or not np.isfinite(labels).all():
        problem = f"{_CALLER}: expected one number per example as label, received {format_value(y)}"
        hint = f"{model.name} has one output: use labels 0 and 1, or -1 and +1, or numbers for a regression"
        raise ValueError(message(problem, hint=hint))
    is_signed = np.isin(labels, (-1, 1)).all() and (labels == -1).any()
    is_binary = np.isin(labels, (0, 1)).all()
    if is_signed or is_binary:
        values = (-1, 1) if is_signed else (0, 1)
        return _binary_task(model, values, outputs), (labels > 0).astype(int)
    if _loss_kind(model) in ("hinge", "crossentropy"):
        problem = (
            f"{_CALLER}: expected two classes as labels, received values from {labels.min():g} to {labels.max():g}"
        )
        raise ValueError(message(problem, hint="use labels 0 and 1, or -1 and +1 for a hinge loss"))
    return _Task((), None, "none"), labels.astype("float64")


def _multiclass_task(model: keras.Model, y: np.ndarray, outputs: np.ndarray) -> tuple[_Task, np.ndarray]:
    if y.shape == outputs[: len(y)].shape and not np.isin(y, (0, 1)).all():
        problem = (
            f"{_CALLER}: expected classes as labels or a single output, received {outputs.shape[1]} numbers per label"
        )
        raise ValueError(message(problem, hint="draw one output at a time: keras.Model(model.inputs, output[:, :1])"))
    labels = class_numbers(y, outputs[: len(y)], _CALLER)
    class_values = tuple(range(outputs.shape[1]))
    probability = "logits"
    if _loss_kind(model) in ("hinge", "regression"):
        probability = "none"
    elif not outputs_logits(model):
        is_distribution = outputs.min() >= 0 and np.allclose(outputs.sum(axis=1), 1, atol=1e-2)
        probability = "probabilities" if is_distribution else "none"
    return _Task(class_values, None, probability), labels


def _binary_task(model: keras.Model, values: tuple[int, int], outputs: np.ndarray) -> _Task:
    """Return the threshold of a single output, which depends on its activation, the loss and the labels."""
    kind = _loss_kind(model)
    is_signed = values == (-1, 1)
    if kind == "hinge" or is_signed:
        return _Task(values, 0.0, "none")
    if kind == "regression":
        return _Task(values, 0.5, "none")
    is_logit = outputs_logits(model)
    if is_logit:
        return _Task(values, 0.0, "logits")
    is_unit_interval = outputs.min() >= 0 and outputs.max() <= 1
    if is_logit is False:
        return _Task(values, 0.5, "probabilities")
    return _Task(values, 0.5 if is_unit_interval else 0.0, "probabilities" if is_unit_interval else "none")


def _predictions(outputs: np.ndarray, task: _Task) -> np.ndarray:
    if task.threshold is not None:
        return (outputs[:, 0] > task.threshold).astype(int)
    if task.class_values:
        return outputs.argmax(axis=1)
    return outputs[:, 0]


def _loss_kind(model: keras.Model) -> str:
    """Return "hinge", "crossentropy" or "regression" for the loss of a compiled model, or an empty string."""
    loss = getattr(model, "loss", None)
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    name = name.replace("_", "").lower()
    if name in _REGRESSION_LOSSES:
        return "regression"
    return next((kind for kind in ("hinge", "crossentropy") if kind in name), "")


def _not_two_features(received: str) -> str:
    hint = "use two features, such as x[:, [0, 1]], or hidden_space, which projects inputs of any width"
    return message(f"{_CALLER}: expected two input features, {received}", hint=hint)
