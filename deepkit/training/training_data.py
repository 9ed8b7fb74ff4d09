"""What `fit` was given as data, as Keras wants it: batches, how many, and what is known about their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deepkit.data import Data, Pipeline, from_arrays
from deepkit.data.targets import check_target, with_target
from deepkit.execution import strategy
from deepkit.execution.plan import Plan

BATCH_SIZE = 128


@dataclass(frozen=True)
class Feed:
    """The training and validation batches of a run.

    Args:
        train: A deepkit pipeline, or any finite `tf.data.Dataset`.
        validation: Batches to validate on, or None.
        origin: In words, what the data is and where it came from.
        class_names: Names by label, where they are known.
    """

    train: Any
    validation: Any
    origin: str
    class_names: tuple[str, ...] = ()

    @property
    def inputs(self) -> Any:
        """Return the structure of the model's input: a `tf.TensorSpec` or several."""
        return _unpacked(self.train.element_spec)[0]

    @property
    def labels(self) -> Any:
        """Return the structure of the labels, or None."""
        parts = _unpacked(self.train.element_spec)
        return parts[1] if len(parts) > 1 else None

    @property
    def steps(self) -> int | None:
        """Return the batches in an epoch, where this is known beforehand."""
        if isinstance(self.train, Pipeline):
            return self.train.steps
        known = int(self.train.cardinality())
        return known if known >= 0 else None

    @property
    def inexact(self) -> str | None:
        """Return why the order of the batches would not be the same after a restart, or None."""
        if isinstance(self.train, Pipeline):
            return None if self.train.is_reproducible else "the data pipeline is not a function of seed and epoch"
        return "deepkit cannot know the order of a tf.data.Dataset; dk.data pipelines and arrays can go on exactly"

    @property
    def fingerprint(self) -> str:
        """Return what tells this data from other data, as far as can be known."""
        if isinstance(self.train, Pipeline):
            return self.train.fingerprint
        return f"{keras.tree.map_structure(repr, self.train.element_spec)} x {self.steps}"

    def towards(self, target: str) -> Feed:
        """Return the feed with what a model is to answer in place of the labels: see `Pipeline.with_target`."""
        if target == "labels":
            return self
        return replace(self, train=_towards(self.train, target), validation=_towards(self.validation, target))

    def once(self) -> Any:
        """Return the batches of one epoch, without moving on to the next."""
        return self.train.epochs().take(self.train.steps) if isinstance(self.train, Pipeline) else self.train

    def one_input(self) -> Any:
        """Return the input of one batch."""
        batches = self.train.epochs() if isinstance(self.train, Pipeline) else self.train
        return _unpacked(next(iter(batches.take(1))))[0]

    def arguments(self, start: int) -> dict[str, Any]:
        """Return what `model.fit` is called with to train from epoch `start` (from 0) on."""
        if isinstance(self.train, Pipeline):
            endless = self.train.epochs(start=start)
            return {
                "x": endless,
                "steps_per_epoch": self.steps,
                "validation_data": self.validation,
                "shuffle": False,
            }
        return {"x": self.train, "validation_data": self.validation, "shuffle": False}


def feed(data: Any, validation_data: Any, batch_size: int | None, plan: Plan) -> Feed:
    """Make a `Feed` of whatever `fit` was given.

    Raises:
        TypeError: The data is of no kind that is known.
        ValueError: It has no end, or does not split evenly over the devices.
    """
    seed = (plan.seed or 0) % 2**63
    train, validation = _train(data, batch_size, seed)
    if validation_data is not None:
        validation = _validation(validation_data, batch_size)
    train = _even(train, plan.devices)
    origin = data.describe() if isinstance(data, Data) else _origin(train)
    return Feed(train, validation, origin, getattr(data, "class_names", ()))


def _train(data: Any, batch_size: int | None, seed: int) -> tuple[Any, Any]:
    if isinstance(data, Data):
        return _rebatch(data.train, batch_size), data.validation
    if isinstance(data, tf.data.Dataset):
        return _dataset(data, "data", batch_size), None
    arrays = _arrays(data, "data")
    return from_arrays(*arrays, batch_size=BATCH_SIZE if batch_size is None else batch_size, seed=seed).train, None


def _validation(data: Any, batch_size: int | None) -> Any:
    if isinstance(data, tf.data.Dataset):
        return _dataset(data, "validation_data", None)
    arrays = _arrays(data, "validation_data")
    return from_arrays(*arrays, batch_size=BATCH_SIZE if batch_size is None else batch_size, shuffle=False).train


def _dataset(data: Any, name: str, batch_size: int | None) -> Any:
    if isinstance(data, Pipeline):
        return _rebatch(data, batch_size)
    if batch_size is not None:
        raise ValueError(
            f"batch_size={batch_size}: a tf.data.Dataset has its batches already\n  hint: dataset.rebatch({batch_size})"
        )
    if int(data.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError(f"{name}: the dataset has no end, so an epoch would have none\n  hint: dataset.take(steps)")
    return data


def _towards(batches: Any, target: str) -> Any:
    if batches is None:
        return None
    if isinstance(batches, Pipeline):
        return batches.with_target(target)
    check_target(target)
    return batches.map(lambda *parts: with_target(parts if len(parts) > 1 else parts[0], target))


def _rebatch(pipeline: Any, batch_size: int | None) -> Any:
    if batch_size is None or batch_size == pipeline.batch_size:
        return pipeline
    return pipeline.rebatch(batch_size)


def _arrays(data: Any, name: str) -> tuple[Any, ...]:
    if isinstance(data, tuple | list) and len(data) in (1, 2) and not isinstance(data[0], int | float | str):
        return tuple(data)
    if isinstance(data, np.ndarray):
        return (data,)
    what = f"a {type(data).__name__} of {len(data)}" if isinstance(data, Sequence) else f"{type(data).__name__}"
    raise TypeError(
        f"{name}: expected a dk.data Data, a tf.data.Dataset or a pair of arrays (x, y), received {what}\n"
        "  hint: dk.data.load('mnist'), (x_train, y_train), or batches of (x, y, sample_weight) in a tf.data.Dataset"
    )


def _even(train: Any, devices: tuple[str, ...]) -> Any:
    """Return batches that split evenly over the devices."""
    if len(devices) == 1:
        return train
    strategy.check_strings(train.element_spec, devices)
    if isinstance(train, Pipeline):
        strategy.check_batch(train.batch_size, devices)
        return train.rebatch(drop_remainder=True)
    size = keras.tree.flatten(train.element_spec)[0].shape[0]
    if size is None:
        raise ValueError(
            f"data: over {len(devices)} devices every batch of a tf.data.Dataset must have the same known size\n"
            "  hint: dataset.batch(batch_size, drop_remainder=True)"
        )
    strategy.check_batch(size, devices)
    return train


def _unpacked(spec: Any) -> tuple[Any, ...]:
    return spec if isinstance(spec, tuple) else (spec,)


def _origin(train: Any) -> str:
    if isinstance(train, Pipeline):
        return f"{train.num_examples:,} examples"
    return "a tf.data.Dataset"
