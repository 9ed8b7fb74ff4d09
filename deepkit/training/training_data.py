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
from deepkit.data.targets import TARGETS, check_target, with_target
from deepkit.definition.block import Block
from deepkit.execution import strategy
from deepkit.execution.plan import Plan
from deepkit.utils.errors import make_error
from deepkit.utils.validation import check_choice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepkit.utils.types import ArrayLike, Dataset, Nested

    Arrays: TypeAlias = ArrayLike | Mapping[str, ArrayLike]
    ValidationLike: TypeAlias = Dataset | Arrays | Sequence[Arrays]
    DataLike: TypeAlias = Data | ValidationLike

DEFAULT_BATCH_SIZE = 128


@dataclasses.dataclass(frozen=True)
class TrainingData(abc.ABC):
    """The training and validation batches of a run.

    Args:
        train: Training batches.
        validation: Validation batches, or None.
        description: A text that names the data and its source.
        class_names: Names of the classes by label; empty if unknown.
    """

    train: Dataset
    validation: Dataset | None
    description: str
    class_names: tuple[str, ...] = ()

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
        """A text that distinguishes this data from other data."""

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
        validation = None if self.validation is None else _with_target(self.validation, target)
        return dataclasses.replace(self, train=_with_target(self.train, target), validation=validation)

    def sample_input(self) -> Nested:
        """Return the input of one batch."""
        batch = next(iter(self.single_epoch().take(1)))
        return _as_tuple(batch)[0]


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
        """The fingerprint of the pipeline."""
        return self.train.fingerprint

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
        return f"{keras.tree.map_structure(repr, self.train.element_spec)} x {self.steps}"

    def single_epoch(self) -> Dataset:
        """Return the dataset."""
        return self.train

    def fit_arguments(self, first_epoch: int) -> dict[str, Any]:
        """Return the arguments of `model.fit`, which are the same for every epoch."""
        return {"x": self.train, "validation_data": self.validation, "shuffle": False}


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
        validation = _validation_batches(validation_data, batch_size)
    elif isinstance(data, Data):
        validation = data.validation
    class_names = getattr(data, "class_names", ())
    if isinstance(train, Pipeline):
        pipeline = _even_pipeline(train, plan.devices)
        description = data.describe() if isinstance(data, Data) else f"{pipeline.num_examples:,} examples"
        return PipelineData(pipeline, validation, description, class_names)
    _check_even_batches(train, plan.devices)
    return DatasetData(train, validation, "a tf.data.Dataset", class_names)


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


def _validation_batches(data: ValidationLike, batch_size: int | None) -> Dataset:
    if isinstance(data, tf.data.Dataset):
        return _check_dataset(data, "validation_data", None)
    arrays = _check_arrays(data, "validation_data")
    size = DEFAULT_BATCH_SIZE if batch_size is None else batch_size
    return from_arrays(*arrays, batch_size=size, shuffle=False).train


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
    return dataset


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
    strategy.check_strings(pipeline.element_spec, devices)
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


def _as_tuple(batch: object) -> tuple[Any, ...]:
    return batch if isinstance(batch, tuple) else (batch,)
