"""Checks of the data that `fit` receives: dense batches with a batch axis, and splits of the same scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from deepkit.data import Pipeline
from deepkit.training.training_data import as_tuple
from deepkit.utils.errors import make_error

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset


def check_dense_batches(dataset: Dataset, name: str) -> None:
    """Raise if an element of the batches is ragged or sparse, or has no batch axis."""
    batch = as_tuple(dataset.element_spec)
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
    """Raise if one of training pipeline and validation dataset yields uint8 images, and the other yields floats."""
    if not isinstance(train, Pipeline) or isinstance(validation, Pipeline):
        return
    train_specs, specs = (tf.nest.flatten(as_tuple(batches.element_spec)[0]) for batches in (train, validation))
    for train_spec, spec in zip(train_specs, specs, strict=False):
        dtypes = [train_spec.dtype, spec.dtype]
        if tf.uint8 in dtypes and len(set(dtypes)) > 1 and len(spec.shape or ()) >= 3:
            raise make_error(
                ValueError,
                f"validation_data: x has the dtype {dtypes[1].name}, the training x {dtypes[0].name}",
                hint="pass images of one dtype and scale, for example with dataset.map",
            )
