"""The data that a user passes to `fit`, as training data: datasets and arrays, for a definition or a compiled model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import tensorflow as tf

from deepkit.data import Data, Pipeline, from_arrays
from deepkit.data.images import check_same_scale
from deepkit.data.targets import TARGETS
from deepkit.data.user_arrays import validate_arrays
from deepkit.definition.block import Block
from deepkit.execution import strategy
from deepkit.execution.plan import Plan
from deepkit.training.data_checks import check_dense_batches, check_same_dtype, check_scaled
from deepkit.training.fit_arguments import DataArguments, check_only_x, unpack_arrays
from deepkit.training.input_rules import choose_rules, refuse_uint8_images
from deepkit.training.training_data import DatasetData, PipelineData, TrainingData, as_tuple, no_batches
from deepkit.utils.errors import make_error
from deepkit.utils.validation import check_choice

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset

    Definition: TypeAlias = Block

DEFAULT_BATCH_SIZE = 32  # as in Keras


def training_data_for(net: Definition | keras.Model, arguments: DataArguments, plan: Plan) -> TrainingData:
    """Return the data for a definition with the rules of its inputs, or unchanged for a compiled model.

    Raises:
        TypeError: The data has an unsupported type.
        ValueError: The data is endless, does not split evenly over the devices, or does not fit the definition.
    """
    training_data = make_training_data(arguments, plan).with_target(training_target(net))
    if isinstance(net, keras.Model) or not isinstance(net, Block):
        return training_data
    check_dense_batches(training_data.train, "data")
    if training_data.validation is not None:
        check_dense_batches(training_data.validation, "validation_data")
    if type(net).build is not Block.build:  # a GAN or a VAE models the data itself, in its own scale
        refuse_uint8_images(net, training_data.arrays())
        return training_data
    return training_data.with_input_rules(choose_rules(net, training_data.input_spec, training_data.arrays()))


def make_training_data(arguments: DataArguments, plan: Plan) -> TrainingData:
    """Return the adapter for the data that was passed to `fit`.

    Raises:
        TypeError: The data has an unsupported type.
        ValueError: The data is endless, or its batches do not split evenly over the devices.
    """
    data, validation = arguments.x, None
    train = _train_batches(arguments, plan)
    if arguments.validation_data is not None:
        validation = _validation_batches(arguments, train)
    elif isinstance(data, Data):
        validation = data.validation
    class_names, num_classes = (data.class_names, data.num_classes) if isinstance(data, Data) else ((), None)
    if isinstance(train, Pipeline):
        pipeline = _even_pipeline(train, plan.devices)
        description = data.describe() if isinstance(data, Data) else f"{pipeline.num_examples:,} examples"
        return PipelineData(pipeline, validation, description, class_names, num_classes)
    _check_even_batches(train, plan.devices)
    return DatasetData(train, validation, "a tf.data.Dataset")


def training_target(net: object) -> str:
    """Return the training target of a definition, or of a deepkit model: "labels", "inputs" or "none"."""
    target = getattr(net, "training_target", "labels")
    if isinstance(net, Block):
        return check_choice(target, f"{type(net).__name__}.training_target", TARGETS)
    return target if target in TARGETS else "labels"  # other models may use this attribute for anything


def _train_batches(arguments: DataArguments, plan: Plan) -> Dataset:
    x, batch_size = arguments.x, arguments.batch_size
    if isinstance(x, Data | tf.data.Dataset):
        check_only_x(arguments)
        return _rebatch(x.train, batch_size) if isinstance(x, Data) else _check_dataset(x, "data", batch_size)
    arrays = unpack_arrays(x, arguments.y, arguments.sample_weight)
    size = DEFAULT_BATCH_SIZE if batch_size is None else batch_size
    seed = (plan.seed or 0) % 2**63
    return from_arrays(arrays.x, arrays.y, sample_weight=arrays.sample_weight, batch_size=size, seed=seed).train


def _validation_batches(arguments: DataArguments, train: Dataset) -> Dataset:
    """Return the validation batches; arrays are prepared as a training pipeline prepares its examples."""
    data, name = arguments.validation_data, "validation_data"
    if isinstance(data, Data):
        problem = f"{name}: expected one split, received a Data with several splits"
        raise make_error(TypeError, problem, hint="pass data.validation or data.train")
    if isinstance(data, tf.data.Dataset):
        dataset = _check_dataset(data, name, None)
        check_same_dtype(train, dataset)
        return dataset
    arrays = unpack_arrays(tuple(data) if isinstance(data, list) else data, name=name)
    if not isinstance(train, Pipeline):
        size = DEFAULT_BATCH_SIZE if arguments.batch_size is None else arguments.batch_size
        x, y, weight = arrays
        pipeline = from_arrays(x, y, sample_weight=weight, batch_size=size, shuffle=False).train
        check_same_dtype(train, pipeline)
        return pipeline
    element: Any = validate_arrays(*arrays, prefix=f"{name} ")
    train_x, validation_x = train.unscaled_arrays(), element[0] if isinstance(element, tuple) else element
    if train_x is not None:
        check_same_scale(train_x, validation_x, name)
    if train.rescales_images:
        check_scaled(validation_x)
    return train.with_source(element)


def _check_dataset(dataset: Dataset, name: str, batch_size: int | None) -> Dataset:
    if isinstance(dataset, Pipeline):
        return _rebatch(dataset, batch_size)
    if batch_size is not None:
        raise make_error(
            ValueError,
            f"batch_size={batch_size}: a tf.data.Dataset has its own batches",
            hint=f"call dataset.rebatch({batch_size})",
        )
    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise make_error(
            ValueError, f"{name}: the dataset is endless, so its epochs have no end", hint="use dataset.take(steps)"
        )
    if int(dataset.cardinality()) == 0:
        raise no_batches(name)
    return dataset


def _rebatch(pipeline: Pipeline, batch_size: int | None) -> Pipeline:
    if batch_size is None or batch_size == pipeline.batch_size:
        return pipeline
    return pipeline.rebatch(batch_size)


def _even_pipeline(pipeline: Pipeline, devices: tuple[str, ...]) -> Pipeline:
    """Return the pipeline with batches that split evenly over the devices."""
    if len(devices) == 1:
        return pipeline
    strategy.check_strings(as_tuple(pipeline.element_spec)[0], devices)  # text labels are encoded later
    strategy.check_batch(pipeline.batch_size, devices)
    return pipeline.rebatch(drop_remainder=True)


def _check_even_batches(dataset: Dataset, devices: tuple[str, ...]) -> None:
    """Raise if the batches of a dataset do not split evenly over the devices."""
    if len(devices) == 1:
        return
    strategy.check_strings(dataset.element_spec, devices)
    batch_size = keras.tree.flatten(dataset.element_spec)[0].shape[0]
    if batch_size is None:
        raise make_error(
            ValueError,
            f"data: over {len(devices)} devices every batch of a tf.data.Dataset must have the same known size",
            hint="use dataset.batch(batch_size, drop_remainder=True)",
        )
    strategy.check_batch(batch_size, devices)
