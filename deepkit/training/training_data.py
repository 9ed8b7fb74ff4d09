"""Training data: the batches of a run, with one adapter for pipelines and one for other datasets."""

from __future__ import annotations

import abc
import dataclasses
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from deepkit.data import Pipeline
from deepkit.data.batch_iterables import IterableBatches
from deepkit.data.targets import check_target, with_target
from deepkit.training.class_weights import ClassWeights
from deepkit.training.epoch_hooks import epoch_hooks
from deepkit.training.input_rules import InputRules
from deepkit.utils.errors import make_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepkit.data.nested_arrays import Scales
    from deepkit.data.replica_rows import ReplicaRows
    from deepkit.data.resident_batches import ResidentBatches
    from deepkit.data.table_schema import TableSchema
    from deepkit.training.fitted_state import FittedState
    from deepkit.utils.types import ClassNames, Dataset, Nested


_ADAPTATION_BATCH = 4096  # examples
_ADAPTATION_VALUES = 2**20  # values of a batch


@dataclasses.dataclass(frozen=True)
class TrainingData(abc.ABC):
    """The training and validation batches of a run.

    Args:
        train: Training batches.
        validation: Validation batches, or None.
        description: A text that names the data and its source, for the report.
        class_names: Names of the classes by label, by name of the output if there are several; empty if unknown.
        num_classes: Number of classes of the labels; None if it is unknown.
        steps_per_epoch: Number of batches in an epoch, if it differs from that of the data; else None.
        class_weights: Weights of the classes in the loss, or None.
        input_rules: Conversions of x; None for a compiled model, and for a definition with its own `build`.
        columns: The columns of a table and their kinds; None for other data.
        fitted_states: Statistics, bin boundaries and vocabularies that preprocessing layers learned from this data,
            by name of the layer.
        summary: A text that names the data without the location of its files; empty if it equals the description.
    """

    train: Dataset
    validation: Dataset | None
    description: str
    class_names: ClassNames = ()
    num_classes: int | None = None
    steps_per_epoch: int | None = None
    class_weights: ClassWeights | None = None
    input_rules: InputRules | None = None
    columns: TableSchema | None = None
    fitted_states: dict[str, FittedState] = dataclasses.field(default_factory=dict, compare=False)
    summary: str = ""

    @property
    def input_spec(self) -> object:
        """The `tf.TensorSpec` of the model's input, or a structure of several."""
        return as_tuple(self.train.element_spec)[0]

    @property
    def label_spec(self) -> object:
        """The `tf.TensorSpec` of the labels, a structure of several, or None."""
        specs = as_tuple(self.train.element_spec)
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
    def notes(self) -> tuple[str, ...]:
        """Messages about the data, for the user."""
        return ()

    @property
    def callbacks(self) -> tuple[keras.callbacks.Callback, ...]:
        """Callbacks that the data needs during a training."""
        return ()

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
        """Return all batches of the data once; the next epoch of the training does not change."""

    @abc.abstractmethod
    def repeated(self) -> Dataset:
        """Return the batches of the data, epoch after epoch, without an end."""

    def adaptation_batches(self) -> Dataset:
        """Return the batches of one epoch for preprocessing layers, which adapt equally to batches of any size."""
        return self.single_epoch()

    @abc.abstractmethod
    def fit_arguments(
        self, first_epoch: int, replica_rows: ReplicaRows | None = None, first_step: int = 0
    ) -> dict[str, Any]:
        """Return the arguments of `model.fit` for a training that starts at an epoch, counted from 0.

        Args:
            first_epoch: The epoch.
            replica_rows: The rows of each batch for the devices of this process; None for whole batches.
            first_step: The first step of the epoch; another one than 0 needs data whose order is known.
        """

    def batch_size(self, step: int) -> int | None:
        """Return the number of examples in a training batch; None if it is not known in advance.

        Args:
            step: Number of the step, from 0, counted over all epochs.
        """
        return None

    def validation_batch_size(self, step: int) -> int | None:
        """Return the number of examples in a validation batch, counted from 0; None if it is not known in advance."""
        return _batch_size(self.validation, step) if isinstance(self.validation, Pipeline) else None

    def resident_batches(self, check: Callable[..., Nested] | None) -> ResidentBatches | None:
        """Return the training batches as a function of epoch and step; None unless they are in memory.

        Args:
            check: A function that checks a batch and returns it, or None.
        """
        return None

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
        return dataclasses.replace(self, **self._mapped_splits(function))

    def _mapped_splits(self, function: Callable[[Dataset], Dataset]) -> dict[str, Any]:
        validation = None if self.validation is None else function(self.validation)
        return {"train": function(self.train), "validation": validation}

    def _weigh(self, batches: Dataset) -> Dataset:
        """Return training batches with the weights of the classes in their sample weights."""
        return batches if self.class_weights is None else self.class_weights.weigh(batches)

    def sample_batch(self) -> tuple[Any, ...]:
        """Return one batch: (x,), (x, y) or (x, y, sample_weight)."""
        for batch in self.single_epoch().take(1):
            return as_tuple(batch)
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
        return self.steps_per_epoch or self.train.steps

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
        return self.repeated().take(self.train.steps)

    def repeated(self) -> Dataset:
        """Return the epochs of the pipeline, from the first one on."""
        return self._weigh(self.train.epochs())

    def resident_batches(self, check: Callable[..., Nested] | None) -> ResidentBatches | None:
        """Return the training batches as a function of epoch and step; None unless they are in memory."""
        functions = () if self.class_weights is None else (self.class_weights.weigh_batch,)
        return self.train.resident_batches((*functions, check) if check else functions)

    def adaptation_batches(self) -> Dataset:
        """Return larger batches if the examples are small: each layer reads an epoch, such as one for each column."""
        sizes = [spec.shape[1:].num_elements() for spec in keras.tree.flatten(self.input_spec)]
        if None in sizes:
            return self.single_epoch()
        batch_size = max(self.train.batch_size, min(_ADAPTATION_BATCH, _ADAPTATION_VALUES // max(1, sum(sizes))))
        pipeline = self.train.rebatch(batch_size, drop_remainder=False)
        return pipeline.epochs().take(pipeline.steps)

    def fit_arguments(
        self, first_epoch: int, replica_rows: ReplicaRows | None = None, first_step: int = 0
    ) -> dict[str, Any]:
        """Return the arguments of `model.fit`: the batches from one step of that epoch on."""
        epoch, step = divmod(first_epoch * self.steps + first_step, self.train.steps)
        batches = self.train.epochs(start=epoch, replica_rows=replica_rows)
        num_elements = step if replica_rows is None else step * replica_rows.count
        return {
            "x": self._weigh(batches.skip(num_elements) if num_elements else batches),
            "steps_per_epoch": self.steps,
            **_validation_arguments(self.validation, replica_rows),
            "shuffle": False,
        }

    def batch_size(self, step: int) -> int:
        """Return the number of examples in a training batch, counted over all epochs."""
        return _batch_size(self.train, step)


@dataclasses.dataclass(frozen=True)
class DatasetData(TrainingData):
    """Data of a `tf.data.Dataset`, whose order is unknown; `make_dataset_data` makes it.

    Args:
        first_batch: The first batch of an object that can be read only once, or None.
        notes: Messages about the data, for the user.
        callbacks: Callbacks that the data needs during a training.
    """

    first_batch: Dataset | None = None
    notes: tuple[str, ...] = ()
    callbacks: tuple[keras.callbacks.Callback, ...] = ()

    @property
    def steps(self) -> int | None:
        """Number of batches in an epoch, or None if the dataset does not know it."""
        cardinality = int(self.train.cardinality())
        return self.steps_per_epoch or (cardinality if cardinality >= 0 else None)

    @property
    def nonreproducible_reason(self) -> str:
        """Why a restart would change the order of the batches."""
        return f"deepkit cannot know the order of {self.description}; dk.data pipelines and arrays resume exactly"

    @property
    def fingerprint(self) -> str:
        """The structure of the batches and their number."""
        return _structure(self.train)

    def single_epoch(self) -> Dataset:
        """Return the dataset, or the batches of one epoch if it is infinite."""
        is_infinite = int(self.train.cardinality()) == tf.data.INFINITE_CARDINALITY
        return self._weigh(self.train.take(self.steps_per_epoch or 1) if is_infinite else self.train)

    def repeated(self) -> Dataset:
        """Return the dataset, repeated without an end."""
        return self._weigh(self.train.repeat())

    def sample_batch(self) -> tuple[Any, ...]:
        """Return one batch: (x,), (x, y) or (x, y, sample_weight)."""
        if self.first_batch is None:
            return super().sample_batch()
        return as_tuple(next(iter(self.first_batch)))

    def fit_arguments(
        self, first_epoch: int, replica_rows: ReplicaRows | None = None, first_step: int = 0
    ) -> dict[str, Any]:
        """Return the arguments of `model.fit`, which are the same for every epoch; the order of the data is unknown."""
        steps = self.steps_per_epoch
        batches = self._weigh(self.train) if steps is None else self.repeated()  # an epoch continues after the last one
        return {
            "x": batches if replica_rows is None else replica_rows.split(batches),
            **({} if steps is None else {"steps_per_epoch": steps}),
            **_validation_arguments(self.validation, replica_rows),
            "shuffle": False,
        }

    def _map_batches(self, function: Callable[[Dataset], Dataset]) -> TrainingData:
        first_batch = None if self.first_batch is None else function(self.first_batch)
        return dataclasses.replace(self, first_batch=first_batch, **self._mapped_splits(function))


def make_dataset_data(train: Dataset, validation: Dataset | None, steps_per_epoch: int | None) -> DatasetData:
    """Return the adapter for a `tf.data.Dataset`, or for the batches of a Python object."""
    data = DatasetData(train, validation, "a tf.data.Dataset", callbacks=epoch_hooks(train, validation))
    if not isinstance(train, IterableBatches):
        return dataclasses.replace(data, steps_per_epoch=steps_per_epoch)
    return dataclasses.replace(data, description=train.description, first_batch=train.first_batch, notes=train.notes)


def _batch_size(pipeline: Pipeline, step: int) -> int:
    """Return the number of examples in a batch, of which only the last one of an epoch may have fewer."""
    return min(pipeline.batch_size, pipeline.num_examples - step % pipeline.steps * pipeline.batch_size)


def _validation_arguments(validation: Dataset | None, replica_rows: ReplicaRows | None) -> dict[str, Any]:
    """Return the arguments of `model.fit` for validation."""
    if validation is None or replica_rows is None:
        return {"validation_data": validation}
    if isinstance(validation, Pipeline):
        batches = validation.epochs(replica_rows=replica_rows)
        return {"validation_data": batches, "validation_steps": validation.steps}
    steps = int(validation.cardinality())
    arguments = {"validation_steps": steps} if steps >= 0 else {}
    return {"validation_data": replica_rows.split(validation), **arguments}


def _with_target_scales(batches: Dataset, scales: Scales) -> Dataset:
    return batches.with_target_scales(scales) if isinstance(batches, Pipeline) else batches


def _with_target(batches: Dataset, target: str) -> Dataset:
    if isinstance(batches, Pipeline):
        return batches.with_target(target)
    target = check_target(target)
    return batches.map(lambda *batch: with_target(batch if len(batch) > 1 else batch[0], target))


def _structure(dataset: Dataset) -> str:
    """Return the structure of the batches of a dataset and their number, which do not determine their content."""
    cardinality = int(dataset.cardinality())
    steps = cardinality if cardinality >= 0 else None
    return f"{keras.tree.map_structure(repr, dataset.element_spec)} x {steps}"


def as_tuple(batch: object) -> tuple[Any, ...]:
    """Return a batch, or its specs, as (x,), (x, y) or (x, y, sample_weight)."""
    return batch if isinstance(batch, tuple) else (batch,)


def no_batches(name: str) -> Exception:
    """Return the error about data without a batch; `name` is the name of the argument."""
    return make_error(
        ValueError,
        f"{name}: the dataset has no batch, so there is nothing to {'train on' if name == 'data' else 'evaluate'}",
        hint="pass a dataset with at least one batch; batch(..., drop_remainder=True) and filter can leave none",
    )
