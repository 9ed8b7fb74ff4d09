"""Keras's `fit` over several devices or machines, with the results of one device.

Two parts of Keras's `fit` fail over several machines, and this module replaces them while a model is trained:

- Keras builds the model from the mean of the devices' batches, and cannot take the mean of a nested batch. Here the
  model is built before.
- Keras takes the mean of the logs of a step over an axis, and the logs are scalars. Here each device computes the logs
  of the whole batch.

Keras's loss is the mean of the devices' means. Here each device's mean is weighted by its number of examples, or of
unmasked positions, so that an uneven batch has the same gradient as on one device.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf
from keras import ops

from deepkit.data.replica_rows import ReplicaRows
from deepkit.training.replica_seeds import different_seeds
from deepkit.training.termination import StopOnSigterm
from deepkit.utils.errors import make_error
from deepkit.utils.replicas import batch_weight, current_replica, shared_batch

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset, Nested, Tensor

BatchSize = Callable[[int], int | None]
"""Returns the number of examples in a batch, counted from 0, or None if it is not known in advance."""

_BUILD = "_maybe_symbolic_build"
_COMPUTE_LOSS = "compute_loss"


def replica_rows(model: keras.Model) -> ReplicaRows | None:
    """Return the rows of each batch for the devices of this process; None if the model is on one device."""
    strategy = model.distribute_strategy
    total = strategy.num_replicas_in_sync
    if total == 1:
        return None
    count = len(strategy.extended.worker_devices)
    first = 0 if count == total else strategy.cluster_resolver.task_id * count
    return ReplicaRows(first, count, total)


class ReplicatedSteps:
    """A training or test function for Keras that takes one step at a time on every device.

    Args:
        model: The compiled model.
        step: `model.train_step` or `model.test_step`.
        batch_size: The number of examples in each batch.
        stop: Ends the training after SIGTERM, on all workers after the same step; None for a test function.
    """

    def __init__(
        self,
        model: keras.Model,
        step: Callable[[Nested], Mapping[str, Tensor]],
        batch_size: BatchSize,
        stop: StopOnSigterm | None = None,
    ) -> None:
        self.model, self._step, self._batch_size = model, step, batch_size
        self._stop = stop if isinstance(model.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy) else None
        self._position: int | None = None  # None while another call of Keras has other data
        self._num_calls = self.num_skipped = 0
        self._run = self._run_step if model.run_eagerly else tf.function(self._run_step, reduce_retracing=True)

    def begin(self, position: int | None, num_skipped: int = 0) -> None:
        """Go to a step of the data of the training, counted from 0; None for other data.

        Args:
            position: The step.
            num_skipped: Number of steps from there that a resumed run has taken before.
        """
        self._position = position if position is None else position + num_skipped
        self._num_calls, self.num_skipped = 0, num_skipped

    @property
    def step(self) -> int:
        """Number of finished steps of this epoch."""
        return self._num_calls

    def __call__(self, iterator: Any) -> Mapping[str, Tensor]:
        """Take the next step, and return its logs."""
        self._num_calls += 1
        if self._num_calls <= self.num_skipped:
            return {}
        received = None if self._stop is None else tf.constant(float(self._stop.received))
        num_examples = None if self._position is None else self._batch_size(self._position)
        logs, num_stops = self._run(iterator, None if num_examples is None else tf.constant(num_examples), received)
        if self._position is not None:
            self._position += 1
        if self._stop is not None:
            self._stop.stops = bool(num_stops > 0)
        return logs

    @tf.autograph.experimental.do_not_convert
    def _run_step(self, iterator: Any, num_examples: Tensor | None, received: Tensor | None) -> Nested:
        strategy = self.model.distribute_strategy
        results = strategy.run(self._replica_step, args=(next(iterator), num_examples, received))
        return tf.nest.map_structure(lambda result: strategy.experimental_local_results(result)[0], results)

    @tf.autograph.experimental.do_not_convert
    def _replica_step(
        self, batch: Nested, num_examples: Tensor | None, received: Tensor | None
    ) -> tuple[Mapping[str, Tensor], Tensor]:
        if num_examples is None:
            num_examples = _sum_over_replicas(_num_examples(batch))
        num_stops = tf.constant(0.0) if received is None else _sum_over_replicas(tf.identity(received))
        with shared_batch(num_examples):
            return self._step(batch), num_stops


class ReplicatedCallbacks(keras.callbacks.CallbackList):
    """The callbacks of a training with `ReplicatedSteps`.

    Args:
        callbacks: The callbacks.
        train: The training function.
        test: The test function.
        steps: Number of steps in an epoch; None if it is unknown.
        epochs: Number of epochs.
        first_step: The step at which the first epoch begins.
        verbose: `verbose` of Keras's `fit`.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        train: ReplicatedSteps,
        test: ReplicatedSteps,
        *,
        steps: int | None,
        epochs: int,
        first_step: int,
        verbose: int | str,
    ) -> None:
        super().__init__(
            list(callbacks), add_history=True, add_progbar=verbose != 0, model=train.model,
            verbose=verbose, epochs=epochs, steps=steps,
        )  # fmt: skip
        self._train, self._test, self._steps, self._first_step = train, test, steps or 0, first_step

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Go to the first step of the epoch."""
        self._train.begin(epoch * self._steps, self._first_step)
        self._first_step = 0
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Report a step, unless a resumed run had taken it before."""
        if batch >= self._train.num_skipped:
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Report a step, unless a resumed run had taken it before."""
        if batch >= self._train.num_skipped:
            super().on_train_batch_end(batch, logs)

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Go to the first batch of the validation data."""
        self._test.begin(0)
        super().on_test_begin(logs)

    def on_test_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Leave the validation data: a callback may evaluate the model on other data."""
        self._test.begin(None)
        super().on_test_end(logs)


def fit(
    model: keras.Model,
    callbacks: Sequence[keras.callbacks.Callback],
    verbose: int | str,
    *,
    x: Dataset,
    validation_data: Dataset | None,
    steps: int | None,
    epochs: int,
    sample_batch: Nested,
    batch_sizes: tuple[BatchSize, BatchSize],
    stop: StopOnSigterm,
    first_step: int = 0,
    **arguments: Any,
) -> None:
    """Call Keras's `fit` over the devices of the model's strategy.

    Args:
        model: The compiled model, whose variables exist.
        callbacks: The callbacks.
        verbose: `verbose` of Keras's `fit`.
        x: The rows of each training batch for the devices of this process (see `ReplicaRows`).
        validation_data: The rows of each validation batch, or None.
        steps: Number of steps in an epoch; None if it is unknown.
        epochs: Number of epochs.
        sample_batch: A batch in the structure of the training data.
        batch_sizes: The number of examples in each training batch, and in each validation batch.
        stop: Ends the training after SIGTERM.
        first_step: The step at which the first epoch begins, with the first batch of `x`.
        arguments: Further arguments of Keras's `fit`.

    Raises:
        ValueError: The losses of the devices cannot be weighted so that they equal that of one device.
    """
    _check_weighting(model, batch_sizes[0], steps)
    train = ReplicatedSteps(model, model.train_step, batch_sizes[0], stop)
    test = ReplicatedSteps(model, model.test_step, batch_sizes[1])
    all_callbacks = ReplicatedCallbacks(
        callbacks, train, test, steps=steps, epochs=epochs, first_step=first_step, verbose=verbose
    )
    distribute = model.distribute_strategy.distribute_datasets_from_function
    if validation_data is not None:
        arguments["validation_data"] = distribute(lambda context: validation_data)
    with model.distribute_strategy.scope():
        model._symbolic_build(data_batch=sample_batch)
    with _replaced_functions(model, train, test), different_seeds(model):
        model.fit(distribute(lambda context: x), callbacks=all_callbacks, epochs=epochs, verbose=verbose, **arguments)


def _check_weighting(model: keras.Model, batch_size: BatchSize, steps: int | None) -> None:
    """Raise if the devices' parts of the loss cannot be weighted by their number of examples."""
    total = model.distribute_strategy.num_replicas_in_sync
    one_device = 'use one device: dk.plan(devices="CPU:0")'
    for loss in keras.tree.flatten(model.loss):
        reduction = getattr(loss, "reduction", None)
        if reduction in ("sum", "mean_with_sample_weight"):
            raise make_error(
                ValueError,
                f'loss: {type(loss).__name__} has reduction="{reduction}", which over {total} devices is not the mean '
                "of the devices' means",
                hint=f'use reduction="sum_over_batch_size", or {one_device}',
            )
    step = type(model).train_step
    if step is keras.Model.train_step or step.__module__.startswith("deepkit."):
        return
    sizes = [batch_size(0), batch_size((steps or 1) - 1)]
    uneven = [size for size in sizes if size is not None and size % total]
    if uneven:
        raise make_error(
            ValueError,
            f"{model.name}: a batch of {uneven[0]} examples over {total} devices, and the model has its own "
            "train_step, which deepkit cannot weight",
            hint=f"use a batch_size that {total} divides and data.train.rebatch(drop_remainder=True), or {one_device}",
        )


@contextlib.contextmanager
def _replaced_functions(model: keras.Model, train: ReplicatedSteps, test: ReplicatedSteps) -> Iterator[None]:
    """Replace the functions of a model that do not train over several devices as on one."""
    model.train_function, model.test_function = train, test
    compute_loss = model.compute_loss
    model.__dict__[_COMPUTE_LOSS] = _whole_batch_loss(model, compute_loss)
    model.__dict__[_BUILD] = lambda *args, **kwargs: None
    try:
        yield
    finally:
        del model.__dict__[_BUILD], model.__dict__[_COMPUTE_LOSS]
        model.train_function = model.test_function = None  # later calls have other data


def _whole_batch_loss(model: keras.Model, compute_loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return `compute_loss` of a model with the value of the whole batch, and the gradient of this device's part.

    Keras divides a loss by the number of devices, and multiplies it again where it is a metric.
    """

    def whole_batch_loss(
        x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, **kwargs: Any
    ) -> Tensor:
        loss = compute_loss(x, y, y_pred, sample_weight, **kwargs)
        replica = current_replica()
        if replica is None:
            return loss
        part = loss * ops.cast(_weight(model, x, y_pred, replica.total), loss.dtype)
        whole = _sum_over_replicas(ops.stop_gradient(part))
        return part + ops.stop_gradient(whole / replica.total - part)

    return whole_batch_loss


def _weight(model: keras.Model, x: Nested, y_pred: Nested, num_replicas: int) -> Tensor | float:
    """Return the weight of this device's mean: its share of the examples, or of the unmasked positions."""
    masks = [getattr(output, "_keras_mask", None) for output in tf.nest.flatten(y_pred)]
    if all(mask is None for mask in masks):
        return batch_weight(_num_examples(x))
    if len(masks) > 1:
        raise make_error(
            ValueError,
            f"{model.name}: one of its {len(masks)} outputs is masked, and over several devices the losses would be "
            "means over different numbers of positions",
            hint='use one device: dk.plan(devices="CPU:0"), or a model with one output',
        )
    num_positions = ops.sum(ops.cast(masks[0], "float32"))
    return tf.math.divide_no_nan(num_positions * num_replicas, _sum_over_replicas(num_positions))


def _num_examples(batch: Nested) -> Tensor:
    tensor = tf.nest.flatten(batch)[0]
    return ops.cast(tensor.nrows(), "int32") if isinstance(tensor, tf.RaggedTensor) else tf.shape(tensor)[0]


def _sum_over_replicas(value: Tensor) -> Tensor:
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)
