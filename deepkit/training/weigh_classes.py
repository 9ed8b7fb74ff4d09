"""The argument `class_weight` of `fit`: check it against the labels, and add the weights to the training data."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from deepkit.data import Pipeline
from deepkit.models.autoregressive import AutoregressiveModel
from deepkit.training.class_weights import ClassWeights, balanced_weights, class_indices, weights_by_class
from deepkit.training.label_rules import label_kind
from deepkit.training.training_data import DatasetData
from deepkit.utils.console import echo
from deepkit.utils.errors import make_error

if TYPE_CHECKING:
    import keras

    from deepkit.training.class_weights import ClassWeight
    from deepkit.training.label_rules import LabelKind
    from deepkit.training.training_data import TrainingData
    from deepkit.utils.types import Shape

_SAMPLE_WEIGHT_HINT = "leave class_weight out, and pass sample_weight, a weight for each example"


def weigh_classes(
    model: keras.Model, data: TrainingData, class_weight: ClassWeight | None, verbose: int | str
) -> TrainingData:
    """Return training data with weights of classes, as Keras's `class_weight` has them.

    Args:
        model: The compiled model, whose loss determines the kind of the labels.
        data: The training data; text labels are encoded already.
        class_weight: Weights by class index or class name, "balanced", or None.
        verbose: 0 for silence; else the weights are printed.

    Raises:
        TypeError: `class_weight` is neither a mapping nor "balanced".
        ValueError: The labels are not classes, or a class does not exist.
    """
    if class_weight is None:
        return data
    spec = data.label_spec
    if not isinstance(spec, tf.TensorSpec):
        problem = "expected labels of one output, received " + ("inputs only" if spec is None else "several")
        raise make_error(ValueError, f"class_weight: {problem}", hint=_SAMPLE_WEIGHT_HINT)
    if isinstance(model, AutoregressiveModel):
        problem = "class_weight: expected labels that are classes, received texts"
        raise make_error(ValueError, problem, hint=_SAMPLE_WEIGHT_HINT)
    outputs: Any = getattr(model, "outputs", None) or ()
    output_shape: Shape = tuple(outputs[0].shape) if len(outputs) == 1 else ()
    kind = _label_kind(model.loss, spec, output_shape)
    has_rows = kind == "class_probabilities"
    in_memory = data.train.labels_in_memory if isinstance(data.train, Pipeline) else None
    counts = np.zeros(0, "int64") if in_memory is None else _count(tf.convert_to_tensor(in_memory), has_rows)
    is_balanced = isinstance(class_weight, str) and class_weight == "balanced"
    if is_balanced and in_memory is None:
        counts = _count_on_disk(data, has_rows)
    num_classes = 2 if kind == "probabilities" else _num_classes(output_shape, spec, has_rows)
    counts = np.pad(counts, (0, max(0, num_classes - len(counts))))
    names = data.class_names if isinstance(data.class_names, tuple) else ()
    values = balanced_weights(counts) if is_balanced else weights_by_class(class_weight, num_classes, names)
    weights = ClassWeights(values, has_rows)
    if verbose:
        echo(weights.describe(names, counts if counts.any() else None))
    return dataclasses.replace(data, class_weights=weights)


def _num_classes(output_shape: Shape, labels: Any, has_rows: bool) -> int:
    num_classes = labels.shape[-1] if has_rows else (output_shape[-1] if output_shape else None)
    if num_classes is None:
        problem = "class_weight: the model does not know its number of classes"
        raise make_error(ValueError, problem, hint=_SAMPLE_WEIGHT_HINT)
    return int(num_classes)


def _label_kind(loss: object, labels: Any, output_shape: Shape) -> LabelKind:
    """Return the kind of labels that are classes, "probabilities" for a binary task; raise if they are not classes."""
    kind = label_kind(loss)
    width = output_shape[-1] if output_shape else None
    if kind is None and width is not None and width > 1:  # a custom loss
        is_row = labels.shape.rank == len(output_shape) and labels.shape[-1] == width
        kind = "class_probabilities" if is_row else "class_indices"
    elif kind is None:
        kind = "probabilities"
    if kind == "numbers" or (kind == "probabilities" and width not in (1, None)):
        received = "numbers" if kind == "numbers" else "several classes for an example"
        problem = f"class_weight: expected one class for each label, received {received}"
        raise make_error(ValueError, problem, hint=_SAMPLE_WEIGHT_HINT)
    return kind


def _count_on_disk(data: TrainingData, has_rows: bool) -> np.ndarray:
    """Return the number of labels of each class; the data is read once."""
    if isinstance(data, DatasetData) and data.first_batch is not None:
        problem = f'class_weight="balanced" must read all labels before the training, received {data.description}'
        raise make_error(ValueError, problem, hint="pass a mapping such as class_weight={0: 1.0, 1: 5.0}")
    counts = np.zeros(0, "int64")
    for labels in data.single_epoch().map(lambda x, y, *weights: y):
        batch = _count(labels, has_rows)
        size = max(len(counts), len(batch))
        counts = np.pad(counts, (0, size - len(counts))) + np.pad(batch, (0, size - len(batch)))
    return counts


def _count(labels: Any, has_rows: bool) -> np.ndarray:
    """Return the number of labels of each class in a tensor."""
    indices = np.asarray(class_indices(labels, has_rows=has_rows)).reshape(-1)
    if not has_rows and labels.dtype.is_floating and (np.asarray(labels).reshape(-1) != indices).any():
        problem = "class_weight: expected class indices as labels, received fractions"
        raise make_error(ValueError, problem, hint=_SAMPLE_WEIGHT_HINT)
    return np.bincount(indices[indices >= 0])  # the check of the labels refuses negative ones
