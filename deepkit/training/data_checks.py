"""Checks of the data that `fit` receives: dense batches with a batch axis, and splits of the same scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from deepkit.data import Pipeline
from deepkit.data.images import check_same_scale
from deepkit.training.training_data import DatasetData, TrainingData, as_tuple
from deepkit.utils.errors import make_error

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset


def check_dense_batches(dataset: Dataset, name: str) -> None:
    """Raise if an element of the batches is ragged or sparse, or has no batch axis."""
    batch = as_tuple(dataset.element_spec)
    check_weights(batch, name)
    for title, structure in zip(("x", "y", "sample_weight"), batch, strict=False):
        for spec in keras.tree.flatten(structure):
            kind = type(spec).__name__.removesuffix("Spec")
            if isinstance(spec, tf.RaggedTensorSpec):
                hint = "use dataset.padded_batch(...), or map x to x.to_tensor()"
                raise make_error(ValueError, f"{name}: {title} is a {kind}, expected a dense tensor", hint=hint)
            if isinstance(spec, tf.SparseTensorSpec):
                hint = "map x to tf.sparse.to_dense(x)"
                raise make_error(ValueError, f"{name}: {title} is a {kind}, expected a dense tensor", hint=hint)
            if spec.shape.rank == 0:
                raise make_error(
                    ValueError, f"{name}: {title} has no batch axis, its shape is ()", hint="use dataset.batch(32)"
                )
    sizes = {spec.shape[0] for spec in keras.tree.flatten(batch) if spec.shape.rank} - {None}
    if len(sizes) > 1:
        shapes = ", ".join(str(tuple(spec.shape)) for spec in keras.tree.flatten(batch))
        raise make_error(
            ValueError,
            f"{name}: x and y have no common batch axis, their shapes are {shapes}",
            hint="use dataset.batch(32)",
        )


def check_scaled(x: object) -> None:
    """Raise if images of floats are outside [0, 1], to which the training pipeline scales its images."""
    for array in tf.nest.flatten(x):
        if array.ndim >= 3 and array.dtype.kind == "f" and array.max() > 1:
            raise make_error(
                ValueError,
                f"validation_data: x has values up to {array.max():g}, the training images are scaled to [0, 1]",
                hint="pass x / 255, or the stored uint8 images",
            )


def check_same_dtype(train: Dataset, validation: Dataset) -> None:
    """Raise if uint8 images meet images of floats in another scale; the first batches are read if the dtypes differ."""
    train_specs, specs = (tf.nest.flatten(as_tuple(batches.element_spec)[0]) for batches in (train, validation))
    for train_spec, spec in zip(train_specs, specs, strict=False):
        dtypes = {train_spec.dtype, spec.dtype}
        if tf.uint8 in dtypes and len(dtypes) > 1 and len(spec.shape or ()) >= 3:
            train_x, x = _first_input(train), _first_input(validation)
            if train_x is not None and x is not None:
                check_same_scale(train_x, x, "validation_data")
            return


def check_finite_batches(data: TrainingData) -> None:
    """Raise if a batch of inputs contains NaN or infinity, and NaN is not a missing value.

    Data that can be read only once is not checked.

    Raises:
        ValueError: There is such a batch.
    """
    if isinstance(data, DatasetData) and data.first_batch is not None:
        return
    for number, batch in enumerate(data.single_epoch(), start=1):
        inputs = as_tuple(batch)[0]
        rules = data.input_rules
        for x in tf.nest.flatten(inputs) if rules is None else rules.without_missing_values(inputs):
            if x.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(x))):
                problem = f"data: expected finite numbers in x, received NaN or infinity in batch {number}"
                raise make_error(ValueError, problem, hint="fill the missing values or remove these examples")


def _first_input(batches: Dataset) -> Any:
    """Return x of the first batch as arrays, of a pipeline without moving its epoch; None if there is no batch."""
    source = batches.epochs() if isinstance(batches, Pipeline) else batches
    for batch in source.take(1):
        return tf.nest.map_structure(np.asarray, as_tuple(batch)[0])
    return None


def check_weights(batch: tuple[Any, ...], name: str) -> None:
    """Raise if batches have more than three elements, or sample weights whose shape does not fit the labels."""
    if len(batch) > 3:
        problem = f"{name}: expected batches x, (x, y) or (x, y, sample_weight), received {len(batch)} elements"
        raise make_error(ValueError, problem, hint="pass several inputs as a mapping by name")
    if len(batch) < 3 or not isinstance(batch[1], tf.TensorSpec) or not isinstance(batch[2], tf.TensorSpec):
        return
    labels, weights = batch[1].shape, batch[2].shape
    if weights.rank in (None, 1) or labels.rank is None:
        return
    if weights.rank > labels.rank or not weights.is_compatible_with(labels[: weights.rank]):
        problem = (
            f"{name}: expected sample weights of shape (batch,), received {tuple(weights)} for labels {tuple(labels)}"
        )
        raise make_error(ValueError, problem, hint="pass one weight for each example")
