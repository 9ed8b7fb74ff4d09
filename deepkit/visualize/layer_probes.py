"""Linear probes: how well a linear classifier on the output of each layer predicts the classes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from deepkit.utils.errors import message
from deepkit.visualize.labeled_points import class_numbers_of_labels, labeled_points
from deepkit.visualize.layer_outputs import check_finite, layer_outputs
from deepkit.visualize.model_inputs import accepts_run, check_built

_CALLER = "linear_probes"
_INVERSE_PENALTY = 100.0  # scikit-learn's C: weak regularization
_MAX_ITERATIONS = 1000


@accepts_run
def linear_probes(
    model: keras.Model,
    data: object,
    *,
    test_data: object | None = None,
    layers: Sequence[str] | None = None,
    num_points: int = 1000,
) -> dict[str, float]:
    """Return the accuracy of a linear classifier on the output of each layer.

    Deeper layers of a trained classifier separate the classes better, until a linear classifier, the last layer of the
    model, suffices (Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2017,
    sections 3 and 4). The probes are scikit-learn's `LogisticRegression` with weak regularization (C = 100) on
    standardized outputs; the model is not trained.

    Args:
        model: A built model.
            A `Run` stands for its model.
        data: Examples that the probes are trained with: `dk.data.Data`, whose training split is read; a pipeline or
            another dataset of batches (x, y); or a pair (x, y) of arrays. Labels are classes: integers, one-hot rows or
            strings.
        test_data: Examples for the accuracy, in the same forms. By default those of the training: with more units
            than examples, every layer then reaches 100 %.
        layers: Names or paths of layers; `"input"` is the input of the model, and `"pca"` the first two principal
            components of the input, to compare with a code of two units: `["pca", "code"]`. By default the input and
            every layer of the model after its activation and normalization, up to the output.
        num_points: Maximum number of examples of each dataset; larger data is subsampled with a fixed seed.

    Returns:
        The accuracies, between 0 and 1, by the path of the layer, from the input to the output.

    Raises:
        TypeError: `model` is not a Keras model, or the data has no labels.
        ValueError: The labels are not two or more classes, a layer does not exist, or the model is not built.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> x = np.random.default_rng(0).normal(size=(100, 2)).astype("float32")
        >>> model = dk.Sequential([dk.MLP([3]), dk.Classifier(2)]).build((2,))
        >>> list(dk.visualize.linear_probes(model, (x, x[:, 0] > 0)))
        ['input', 'mlp.activation', 'classifier.dense']
    """
    check_built(model, _CALLER)
    points = labeled_points(data, num_points, _CALLER)
    numbers, values = class_numbers_of_labels(points.y, _CALLER)
    outputs = layer_outputs(model, points.x, layers, _CALLER)
    if test_data is None:
        return probe_accuracies(outputs, numbers, _CALLER)
    test_points = labeled_points(test_data, num_points, _CALLER)
    test_numbers, test_values = class_numbers_of_labels(test_points.y, _CALLER)
    if (values.dtype.kind in "SUO") != (test_values.dtype.kind in "SUO"):
        problem = (
            f"{_CALLER}: expected labels of one kind, received {values[0]!r} in data, {test_values[0]!r} in test_data"
        )
        raise ValueError(message(problem, hint="pass labels of test_data that name the classes as those of data do"))
    unseen = sorted(set(test_values.tolist()) - set(values.tolist()))
    if unseen:
        problem = f"{_CALLER}: test_data has labels that data does not have: {', '.join(map(repr, unseen[:5]))}"
        raise ValueError(message(problem, hint="pass data with examples of every class, or a larger num_points"))
    test_outputs = layer_outputs(model, test_points.x, layers, _CALLER, components_of=points.x)
    test_labels = test_values[test_numbers]
    return probe_accuracies(outputs, values[numbers], _CALLER, test_outputs, test_labels)


def probe_accuracies(
    outputs: Mapping[str, np.ndarray],
    labels: np.ndarray,
    caller: str,
    test_outputs: Mapping[str, np.ndarray] | None = None,
    test_labels: np.ndarray | None = None,
) -> dict[str, float]:
    """Return the accuracy of a linear classifier for each layer, trained with `outputs`, by the path of the layer."""
    if len(np.unique(labels)) < 2:
        problem = f"{caller}: expected examples of two or more classes, all labels are {labels[0]}"
        raise ValueError(message(problem, hint="pass examples of several classes"))
    if test_outputs is None or test_labels is None:
        test_outputs, test_labels = outputs, labels
    check_finite(outputs, caller)
    check_finite(test_outputs, caller)
    return {name: _probe(values, labels, test_outputs[name], test_labels) for name, values in outputs.items()}


def _probe(x: np.ndarray, y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray) -> float:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=_INVERSE_PENALTY, max_iter=_MAX_ITERATIONS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # further iterations hardly change the predictions
        probe.fit(x.astype("float64"), y)
    return float(probe.score(test_x.astype("float64"), test_y))
