"""Training data: one adapter for each kind of data that `fit` accepts."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from deepkit.data import Data, Pipeline, from_arrays
from deepkit.data.images import check_same_scale
from deepkit.data.targets import TARGETS, check_target, with_target
from deepkit.data.user_arrays import validate_arrays
from deepkit.definition.block import Block
from deepkit.execution import strategy
from deepkit.execution.plan import Plan
from deepkit.training.input_rules import InputRules, choose_rules, refuse_uint8_images
from deepkit.utils.errors import make_error
from deepkit.utils.validation import check_choice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deepkit.data.nested_arrays import Scales
    from deepkit.training.fitted_state import FittedState
    from deepkit.utils.types import ArrayLike, Dataset, Nested

    Definition: TypeAlias = Block
    Arrays: TypeAlias = ArrayLike | Mapping[str, ArrayLike]
    ValidationLike: TypeAlias = Dataset | Arrays | Sequence[Arrays]
    DataLike: TypeAlias = Data | ValidationLike
    ClassNames: TypeAlias = tuple[str, ...] | Mapping[str, tuple[str, ...]]

DEFAULT_BATCH_SIZE = 32  # as in Keras


@dataclasses.dataclass(frozen=True)
class TrainingData(abc.ABC):
    """The training and validation batches of a run.

    Args:
        train: Training batches.
        validation: Validation batches, or None.
        description: A text that names the data and its source.
        class_names: Names of the classes by label, by name of the output if there are several; empty if unknown.
        num_classes: Number of classes of the labels; None if it is unknown.
        input_rules: Conversions of x; None for a compiled model, and for a definition with its own `build`.
        fitted_states: Statistics, bin boundaries and vocabularies that preprocessing layers learned from this data,
            by name of the layer.
    """

    train: Dataset
    validation: Dataset | None
    description: str
    class_names: ClassNames = ()
    num_classes: int | None = None
    input_rules: InputRules | None = None
    fitted_states: dict[str, FittedState] = dataclasses.field(default_factory=dict, compare=False)

    @property
    def input_spec(self) -> object:
        """The `tf.TensorSpec` of the model's input, or a structure of several."""
        return _as_tuple(self.train.element_spec)[0]

    @property
    def label_spec(self) -> object:
        """The `tf.TensorSpec` of the labels, a structure of several, or None."""
        specs = _as_tuple(self.train.element_spec)
        return specs[1] if len(specs) > 1 else None

    @property
    @abc.abstractmethod
    def steps(self) -> int | None:
        """Number of batches in an epoch, or None if it is not known in advance."""

    @property
    @abc.abstractmethod
    def nonreproducible_reason(self) -> str | None:
        """Why a restart would change the order of the batches, or None if it would not."""

    @property
    @abc.abstractmethod
    def fingerprint(self) -> str:
        """A text that identifies the data, independent of its `seed`."""

    @property
    def seed(self) -> int | None:
        """The seed of the order and the augmentations, or None if they have none."""
        return None

    @property
    def validation_fingerprint(self) -> str | None:
        """A text that identifies the validation data, or None if there is none."""
        if isinstance(self.validation, Pipeline):
            return self.validation.reseed(0).fingerprint
        return None if self.validation is None else _structure(self.validation)

    @abc.abstractmethod
    def single_epoch(self) -> Dataset:
        """Return the batches of one epoch; the next epoch of the training does not change."""

    @abc.abstractmethod
    def fit_arguments(self, first_epoch: int) -> dict[str, Any]:
        """Return the arguments of `model.fit` for a training that starts at an epoch, counted from 0."""

    def with_target(self, target: str) -> TrainingData:
        """Return the data with another training target: "labels", "inputs" or "none" (see `Pipeline.with_target`)."""
        if target == "labels":
            return self
        return self._map_batches(lambda batches: _with_target(batches, target))

    def with_input_rules(self, rules: InputRules) -> TrainingData:
        """Return the data with the rules of its inputs; images that are training targets are rescaled like inputs."""
        data: TrainingData = dataclasses.replace(self, input_rules=rules)
        if not rules.rescales:
            return data
        return data._map_batches(lambda batches: _with_target_scales(batches, rules.scales))

    def arrays(self) -> object:
        """Return the training inputs in memory if the pipeline yields their values unchanged, else None."""
        return None

    def _map_batches(self, function: Callable[[Dataset], Dataset]) -> TrainingData:
        """Return the data with a function applied to the training and the validation batches."""
        validation = None if self.validation is None else function(self.validation)
        return dataclasses.replace(self, train=function(self.train), validation=validation)

    def sample_batch(self) -> tuple[Any, ...]:
        """Return one batch: (x,), (x, y) or (x, y, sample_weight)."""
        for batch in self.single_epoch().take(1):
            return _as_tuple(batch)
        raise no_batches("data")

    def sample_input(self) -> Nested:
        """Return the input of one batch."""
        inputs: Nested = self.sample_batch()[0]
        return inputs


@dataclasses.dataclass(frozen=True)
class PipelineData(TrainingData):
    """Data of a `dk.data` pipeline, also of arrays: each epoch is a function of seed and epoch."""

    train: Pipeline

    @property
    def steps(self) -> int:
        """Number of batches in an epoch."""
        return self.train.steps

    @property
    def nonreproducible_reason(self) -> str | None:
        """Why a restart would change the order of the batches, or None."""
        return None if self.train.is_reproducible else "the data pipeline is not a function of seed and epoch"

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the pipeline, with seed 0."""
        return self.train.reseed(0).fingerprint

    @property
    def seed(self) -> int:
        """The seed of the pipeline."""
        return self.train.seed

    def arrays(self) -> object:
        """Return the training inputs in memory if the pipeline does not change their values."""
        return self.train.unscaled_arrays()

    def single_epoch(self) -> Dataset:
        """Return the batches of the first epoch."""
        return self.train.epochs().take(self.steps)

    def fit_arguments(self, first_epoch: int) -> dict[str, Any]:
        """Return the arguments of `model.fit`: the endless epochs from the first one on."""
        return {
            "x": self.train.epochs(start=first_epoch),
            "steps_per_epoch": self.steps,
            "validation_data": self.validation,
            "shuffle": False,
        }


@dataclasses.dataclass(frozen=True)
class DatasetData(TrainingData):
    """Data of a `tf.data.Dataset`, whose order is unknown."""

    @property
    def steps(self) -> int | None:
        """Number of batches in an epoch, or None if the dataset does not know it."""
        cardinality = int(self.train.cardinality())
        return cardinality if cardinality >= 0 else None

    @property
    def nonreproducible_reason(self) -> str:
        """Why a restart would change the order of the batches."""
        return "deepkit cannot know the order of a tf.data.Dataset; dk.data pipelines and arrays resume exactly"

    @property
    def fingerprint(self) -> str:
        """The structure of the batches and their number."""
        return _structure(self.train)

    def single_epoch(self) -> Dataset:
        """Return the dataset."""
        return self.train

    def fit_arguments(self, first_epoch: int) -> dict[str, Any]:
        """Return the arguments of `model.fit`, which are the same for every epoch."""
        return {"x": self.train, "validation_data": self.validation, "shuffle": False}


def training_data_for(
    net: Definition | keras.Model,
    data: DataLike,
    validation_data: ValidationLike | None,
    batch_size: int | None,
    plan: Plan,
) -> TrainingData:
    """Return the data for a definition with the rules of its inputs, or unchanged for a compiled model.

    Raises:
        TypeError: The data has an unsupported type.
        ValueError: The data is endless, does not split evenly over the devices, or does not fit the definition.
    """
    training_data = make_training_data(data, validation_data, batch_size, plan).with_target(training_target(net))
    if isinstance(net, keras.Model) or not isinstance(net, Block):
        return training_data
    _check_dense_batches(training_data.train, "data")
    if training_data.validation is not None:
        _check_dense_batches(training_data.validation, "validation_data")
    if type(net).build is not Block.build:  # a GAN or a VAE models the data itself, in its own scale
        refuse_uint8_images(net, training_data.arrays())
        return training_data
    return training_data.with_input_rules(choose_rules(net, training_data.input_spec, training_data.arrays()))


def _check_dense_batches(dataset: Dataset, name: str) -> None:
    """Raise if an element of the batches is ragged or sparse, or has no batch axis."""
    batch = _as_tuple(dataset.element_spec)
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


def make_training_data(
    data: DataLike, validation_data: ValidationLike | None, batch_size: int | None, plan: Plan
) -> TrainingData:
    """Return the adapter for the data that was passed to `fit`.

    Raises:
        TypeError: The data has an unsupported type.
        ValueError: The data is endless, or its batches do not split evenly over the devices.
    """
    train, validation = _train_batches(data, batch_size, plan), None
    if validation_data is not None:
        validation = _validation_batches(validation_data, batch_size, train)
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


def _train_batches(data: DataLike, batch_size: int | None, plan: Plan) -> Dataset:
    if isinstance(data, Data):
        return _rebatch(data.train, batch_size)
    if isinstance(data, tf.data.Dataset):
        return _check_dataset(data, "data", batch_size)
    arrays = _check_arrays(data, "data")
    size = DEFAULT_BATCH_SIZE if batch_size is None else batch_size
    return from_arrays(*arrays, batch_size=size, seed=(plan.seed or 0) % 2**63).train


def _validation_batches(data: ValidationLike, batch_size: int | None, train: Dataset) -> Dataset:
    """Return the validation batches; arrays are prepared as a training pipeline prepares its examples."""
    if isinstance(data, tf.data.Dataset):
        _check_same_dtype(train, data)
        return _check_dataset(data, "validation_data", None)
    arrays = _check_arrays(data, "validation_data")
    if not isinstance(train, Pipeline):
        size = DEFAULT_BATCH_SIZE if batch_size is None else batch_size
        return from_arrays(*arrays, batch_size=size, shuffle=False).train
    x, *labels = arrays
    element: Any = validate_arrays(x, labels[0] if labels else None, "validation_data ")
    train_x, validation_x = train.unscaled_arrays(), element[0] if isinstance(element, tuple) else element
    if train_x is not None:
        check_same_scale(train_x, validation_x, "validation_data")
    if train.rescales_images:
        _check_scaled(validation_x)
    return train.with_source(element)


def _check_scaled(x: object) -> None:
    """Raise if images of floats are outside [0, 1], to which the training pipeline scales its images."""
    for array in tf.nest.flatten(x):
        if array.ndim >= 3 and array.dtype.kind == "f" and array.max() > 1:
            raise make_error(
                ValueError,
                f"validation_data: x has values up to {array.max():g}, the training images are scaled to [0, 1]",
                hint="pass x / 255, or the stored uint8 images",
            )


def _check_same_dtype(train: Dataset, validation: Dataset) -> None:
    """Raise if one of training pipeline and validation dataset yields uint8 images, and the other yields floats."""
    if not isinstance(train, Pipeline) or isinstance(validation, Pipeline):
        return
    train_specs, specs = (tf.nest.flatten(_as_tuple(batches.element_spec)[0]) for batches in (train, validation))
    for train_spec, spec in zip(train_specs, specs, strict=False):
        dtypes = [train_spec.dtype, spec.dtype]
        if tf.uint8 in dtypes and len(set(dtypes)) > 1 and len(spec.shape or ()) >= 3:
            raise make_error(
                ValueError,
                f"validation_data: x has the dtype {dtypes[1].name}, the training x {dtypes[0].name}",
                hint="pass images of one dtype and scale, for example with dataset.map",
            )


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


def _with_target_scales(batches: Dataset, scales: Scales) -> Dataset:
    return batches.with_target_scales(scales) if isinstance(batches, Pipeline) else batches


def no_batches(name: str) -> Exception:
    """Return the error about data without a batch; `name` is the name of the argument."""
    return make_error(
        ValueError,
        f"{name}: the dataset has no batch, so there is nothing to {'train on' if name == 'data' else 'evaluate'}",
        hint="pass a dataset with at least one batch; batch(..., drop_remainder=True) and filter can leave none",
    )


def _with_target(batches: Dataset, target: str) -> Dataset:
    if isinstance(batches, Pipeline):
        return batches.with_target(target)
    target = check_target(target)
    return batches.map(lambda *batch: with_target(batch if len(batch) > 1 else batch[0], target))


def _rebatch(pipeline: Pipeline, batch_size: int | None) -> Pipeline:
    if batch_size is None or batch_size == pipeline.batch_size:
        return pipeline
    return pipeline.rebatch(batch_size)


def _check_arrays(data: object, name: str) -> tuple[Any, ...]:
    """Return (x,) or (x, y)."""
    if isinstance(data, tuple | list) and len(data) in (1, 2) and not isinstance(data[0], int | float | str):
        return tuple(data)
    if isinstance(data, np.ndarray):
        return (data,)
    received = type(data).__name__
    if isinstance(data, Sequence):
        received = f"a {received} of {len(data)}"
    raise make_error(
        TypeError,
        f"{name}: expected a dk.data Data, a tf.data.Dataset or a pair of arrays (x, y), received {received}",
        hint="pass dk.data.load('mnist'), (x_train, y_train), or a tf.data.Dataset of (x, y, sample_weight)",
    )


def _even_pipeline(pipeline: Pipeline, devices: tuple[str, ...]) -> Pipeline:
    """Return the pipeline with batches that split evenly over the devices."""
    if len(devices) == 1:
        return pipeline
    strategy.check_strings(_as_tuple(pipeline.element_spec)[0], devices)  # text labels are encoded later
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


def _structure(dataset: Dataset) -> str:
    """Return the structure of the batches of a dataset and their number, which do not determine their content."""
    cardinality = int(dataset.cardinality())
    steps = cardinality if cardinality >= 0 else None
    return f"{keras.tree.map_structure(repr, dataset.element_spec)} x {steps}"


def _as_tuple(batch: object) -> tuple[Any, ...]:
    return batch if isinstance(batch, tuple) else (batch,)
