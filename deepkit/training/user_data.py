"""The data that a user passes to `fit`, as training data: datasets and arrays, for a definition or a compiled model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import keras
import tensorflow as tf

from deepkit.data import Data, Pipeline
from deepkit.data.batch_iterables import IterableBatches, as_dataset, is_batch_iterable
from deepkit.data.images import check_same_scale
from deepkit.data.pipeline_settings import PipelineSettings, check_batch_size
from deepkit.data.splits import split_validation
from deepkit.data.targets import TARGETS
from deepkit.data.user_arrays import build_array_data, check_sorted_labels, validate_arrays
from deepkit.definition.block import Block
from deepkit.execution import strategy
from deepkit.execution.plan import Plan
from deepkit.training.class_names import with_classes_of
from deepkit.training.data_checks import check_dense_batches, check_same_dtype, check_scaled
from deepkit.training.fit_arguments import DataArguments, check_only_x, check_unlabeled
from deepkit.training.input_rules import choose_rules, refuse_uint8_images
from deepkit.training.table_columns import check_same_columns, with_columns
from deepkit.training.training_data import PipelineData, TrainingData, as_tuple, make_dataset_data, no_batches
from deepkit.utils.errors import format_value, make_error
from deepkit.utils.validation import check_choice

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset

    Definition: TypeAlias = Block

DEFAULT_BATCH_SIZE = 32  # as in Keras


def training_data_for(net: Definition | keras.Model, arguments: DataArguments, plan: Plan) -> TrainingData:
    """Return the data for a definition with the rules of its inputs, or unchanged for a compiled model.

    Raises:
        TypeError: The data has an unsupported type.
        LabelError: Labels are passed to a model that is trained on its inputs alone.
        ValueError: The data is infinite, does not split evenly over the devices, or does not fit the definition.
    """
    target = training_target(net)
    check_unlabeled(arguments, target, f"the {type(net).__name__}")
    training_data = make_training_data(arguments.for_definition(net), plan).with_target(target)
    if isinstance(net, keras.Model) or not isinstance(net, Block):
        return training_data
    net = with_columns(net, training_data)
    check_dense_batches(training_data.train, "data")
    if training_data.validation is not None:
        check_dense_batches(training_data.validation, "validation_data")
    if type(net).build is not Block.build:  # a GAN or a VAE models the data itself, in its own scale
        refuse_uint8_images(net, training_data.arrays())
        return training_data
    rules = choose_rules(net, training_data.input_spec, training_data.arrays())
    rules.check_finite(training_data.arrays(), "data")
    if isinstance(training_data.validation, Pipeline):
        rules.check_finite(training_data.validation.unscaled_arrays(), "validation_data")
    return training_data.with_input_rules(rules)


def make_training_data(arguments: DataArguments, plan: Plan) -> TrainingData:
    """Return the adapter for the data that was passed to `fit`.

    Raises:
        TypeError: The data has an unsupported type.
        ValueError: The data is infinite without a number of steps, or its batches do not split evenly over the devices.
    """
    x, steps = arguments.x, arguments.steps_per_epoch
    if isinstance(x, Data) or _is_dataset(x):
        check_only_x(arguments)
    validation: Dataset | None = None
    if _is_dataset(x):
        train = _open_dataset(x, "data", arguments.batch_size, steps)
    else:
        data = x if isinstance(x, Data) else _split_arrays(arguments, plan)
        train, validation = _rebatch(data.train, arguments.batch_size), data.validation
    if arguments.validation_data is not None:
        validation = _validation_batches(arguments, train)
    elif arguments.validation_steps is not None:
        validation = _first_steps(validation, arguments.validation_steps)
    _check_shardable(validation, "validation_data", plan)
    if not isinstance(train, Pipeline):
        _check_shardable(train, "data", plan)
        _check_known_batches(train, plan.replicas)
        return make_dataset_data(train, validation, steps)
    pipeline = _check_pipeline(train, plan.replicas)
    num_classes = x.num_classes if isinstance(x, Data) else None
    description = x.describe() if isinstance(x, Data) else f"{pipeline.num_examples:,} examples"
    summary = x.summary() if isinstance(x, Data) else description
    return PipelineData(
        pipeline,
        validation,
        description,
        pipeline.class_names,
        num_classes,
        columns=pipeline.columns,
        steps_per_epoch=steps,
        summary=summary,
    )


def training_target(net: object) -> str:
    """Return the training target of a definition, or of a deepkit model: "labels", "inputs" or "none"."""
    target = getattr(net, "training_target", "labels")
    if isinstance(net, Block):
        return check_choice(target, f"{type(net).__name__}.training_target", TARGETS)
    return target if target in TARGETS else "labels"  # other models may use this attribute for anything


def _is_dataset(value: object) -> TypeGuard[Dataset]:
    """Return whether a value yields batches: a `tf.data.Dataset`, a `keras.utils.PyDataset`, a generator and so on."""
    return isinstance(value, tf.data.Dataset) or is_batch_iterable(value)


def _split_arrays(arguments: DataArguments, plan: Plan) -> Data:
    """Return the arrays that were passed, as pipelines."""
    size = DEFAULT_BATCH_SIZE if arguments.batch_size is None else arguments.batch_size
    settings = PipelineSettings(check_batch_size(size), (plan.seed or 0) % 2**63)
    element, fraction = validate_arrays(*arguments.arrays()), arguments.validation_split
    num_examples = len(tf.nest.flatten(element)[0])
    num_validation = num_examples - int(num_examples * (1 - fraction)) if fraction else 0
    if num_validation == num_examples:
        problem = f"validation_split={fraction} leaves no training example of {num_examples:,}"
        hint = "pass a smaller fraction" if num_examples > 1 else "pass more examples, or leave validation_split out"
        raise make_error(ValueError, problem, hint=hint)
    splits = split_validation(element, num_validation)
    check_sorted_labels(element, splits, f"validation_split={fraction}")
    return build_array_data(splits, settings, None, shuffle=arguments.shuffle)


def _validation_batches(arguments: DataArguments, train: Dataset) -> Dataset:
    """Return the validation batches; arrays are prepared as a training pipeline prepares its examples."""
    data, steps, name = arguments.validation_data, arguments.validation_steps, "validation_data"
    if isinstance(data, Data):
        problem = f"{name}: expected one split, received a Data with several splits"
        raise make_error(TypeError, problem, hint="pass data.validation or data.train")
    if _is_dataset(data):
        dataset = _open_dataset(data, name, None, steps)
        check_same_columns(train.columns if isinstance(train, Pipeline) else None, dataset, name)
        check_same_dtype(train, dataset)
        dataset = with_classes_of(train.class_names if isinstance(train, Pipeline) else (), dataset, name)
    else:
        dataset = _validation_pipeline(arguments, train)
    return dataset if steps is None or isinstance(dataset, IterableBatches) else _first_steps(dataset, steps)


def _validation_pipeline(arguments: DataArguments, train: Dataset) -> Pipeline:
    name = "validation_data"
    element: Any = validate_arrays(*arguments.validation_arrays(), prefix=f"{name} ")
    if not isinstance(train, Pipeline):
        size = DEFAULT_BATCH_SIZE if arguments.batch_size is None else arguments.batch_size
        pipeline = build_array_data({"train": element}, PipelineSettings(size), None, shuffle=False).train
        check_same_dtype(train, pipeline)
        return pipeline
    train_x, validation_x = train.unscaled_arrays(), element[0] if isinstance(element, tuple) else element
    if train_x is not None:
        check_same_scale(train_x, validation_x, name)
    if train.rescales_images:
        check_scaled(validation_x)
    return train.with_source(element)


def _first_steps(batches: Dataset | None, steps: int) -> Dataset:
    """Return the first validation batches."""
    if batches is None:
        problem = f"validation_steps={steps}: there is no validation data"
        raise make_error(ValueError, problem, hint="pass validation_data= or validation_split= too")
    available = int(batches.cardinality())
    if 0 <= available < steps:
        problem = f"validation_steps={steps}: the validation data has {available} batches"
        raise make_error(ValueError, problem, hint="leave validation_steps out to use all of them")
    return batches.head(steps * batches.batch_size) if isinstance(batches, Pipeline) else batches.take(steps)


def _open_dataset(dataset: Dataset, name: str, batch_size: int | None, steps: int | None) -> Dataset:
    """Return a dataset that was passed, or the batches of a Python object as a dataset."""
    if isinstance(dataset, Pipeline):
        return _rebatch(dataset, batch_size)
    is_iterable = not isinstance(dataset, tf.data.Dataset)
    if batch_size is not None:
        kind = type(dataset).__name__ if is_iterable else "tf.data.Dataset"
        hint = "leave batch_size out" if is_iterable else f"call dataset.rebatch({batch_size})"
        problem = f"batch_size={format_value(batch_size)}: the data, a {kind}, has its own batches"
        raise make_error(ValueError, problem, hint=hint)
    if is_iterable:
        return as_dataset(dataset, name, steps)
    cardinality = int(dataset.cardinality())
    if cardinality == tf.data.INFINITE_CARDINALITY and steps is None:
        argument = "steps_per_epoch" if name == "data" else "validation_steps"
        problem = f"{name}: the dataset is infinite, so its epochs have no end"
        raise make_error(ValueError, problem, hint=f"pass {argument}=, or use dataset.take(steps)")
    if cardinality == 0:
        raise no_batches(name)
    return dataset


def _rebatch(pipeline: Pipeline, batch_size: int | None) -> Pipeline:
    if batch_size is None or batch_size == pipeline.batch_size:
        return pipeline
    return pipeline.rebatch(batch_size)


def _check_pipeline(pipeline: Pipeline, devices: tuple[str, ...]) -> Pipeline:
    """Return the pipeline if each of its batches has an example for each device."""
    if len(devices) == 1:
        return pipeline
    strategy.check_strings(as_tuple(pipeline.element_spec)[0], devices)  # text labels are encoded later
    last_batch = pipeline.num_examples - (pipeline.steps - 1) * pipeline.batch_size
    strategy.check_batches(pipeline.batch_size, min(last_batch, pipeline.batch_size), devices)
    return pipeline


def _check_shardable(batches: Dataset | None, name: str, plan: Plan) -> None:
    """Raise if workers cannot divide batches among them: the batches of a Python object may differ on each."""
    if plan.num_workers > 1 and isinstance(batches, IterableBatches):
        raise make_error(
            TypeError,
            f"{name}: {plan.num_workers} workers cannot divide the batches of {batches.description} among them, as "
            "each worker reads its own",
            hint="pass arrays, a dk.data dataset, or a tf.data.Dataset with a fixed order",
        )


def _check_known_batches(dataset: Dataset, devices: tuple[str, ...]) -> None:
    """Raise if the batches of a dataset differ in size, or have no example for one of the devices."""
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
    strategy.check_batches(batch_size, batch_size, devices)
