"""Training steps in a loop inside the graph, as the training function of Keras's `fit`.

Keras calls the training function once for `steps_per_execution` steps. Keras's own function reads each batch from an
iterator, and takes that number of steps even at the end of an epoch. `GraphLoop` takes the steps that are left, and
gathers the batches of data in memory itself, without the threads of `tf.data`, which compete with the steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from deepkit.training import custom_gradients, gradient_sum
from deepkit.training.errors import CheckpointError

if TYPE_CHECKING:
    from deepkit.data.resident_batches import ResidentBatches
    from deepkit.utils.types import Dataset, Nested, Tensor


class GraphLoop:
    """A training function for Keras that takes several steps in a loop inside the graph.

    Args:
        model: The compiled model.
        steps: Number of steps in an epoch of the training.
        resident: The batches in memory; None to read them from Keras's iterator.
        first_step: The step at which the first epoch begins: a resumed run has taken the steps before it.
    """

    def __init__(
        self, model: keras.Model, steps: int, resident: ResidentBatches | None = None, first_step: int = 0
    ) -> None:
        self.model, self.steps = model, steps
        self._resident = resident
        self._first_step = first_step
        self._position = 0  # steps since the beginning of the run
        self._end = 0  # the step, since the beginning of the run, after which Keras's last call ends
        self._num_skipped = 0  # steps of this epoch that the run had taken before
        self._resident_epoch: int | None = None  # the epoch of the data whose order is in memory
        self._run = tf.function(self._run_iterator if resident is None else self._run_resident, reduce_retracing=True)

    def begin_epoch(self, epoch: int) -> None:
        """Go to the first step of an epoch, counted from 0."""
        self._num_skipped, self._first_step = self._first_step, 0
        self._end = epoch * self.steps
        self._position = self._end + self._num_skipped

    @property
    def step(self) -> int:
        """Number of finished steps of this epoch."""
        return (self._position - 1) % self.steps + 1

    def skips(self, batch: int) -> bool:
        """Return whether a batch, counted from 0, belongs to a step that the run had taken before."""
        return min(batch, self.steps - 1) < self._num_skipped

    def __call__(self, iterator: Any) -> Mapping[str, Tensor]:
        """Take the next steps, up to the end of the epoch, and return the logs of the last one."""
        if not isinstance(iterator, tf.data.Iterator):  # of train_on_batch
            return self._keras_function()(iterator)
        self._end += min(int(self.model.steps_per_execution), self.steps - self._end % self.steps)
        count = self._end - self._position
        if count <= 0:
            return {}
        if self._resident is not None:
            return self._run_in_memory(self._resident, count)
        self._position += count
        return self._run(iterator, tf.constant(count))

    def _run_in_memory(self, resident: ResidentBatches, count: int) -> Mapping[str, Tensor]:
        """Take steps on data in memory; its epochs differ from those of the training if steps_per_epoch is set."""
        end = self._position + count
        while self._position < end:
            epoch, step = divmod(self._position, resident.steps)
            if epoch != self._resident_epoch:
                resident.begin_epoch(epoch)
                self._resident_epoch = epoch
            count = min(end - self._position, resident.steps - step)
            logs = self._run(tf.constant(epoch, tf.int64), tf.constant(step, tf.int64), tf.constant(count))
            self._position += count
        return logs

    def _keras_function(self) -> Any:
        """Return Keras's own training function."""
        self.model.train_function = None
        self.model.make_train_function()
        function, self.model.train_function = self.model.train_function, self
        return function

    @tf.autograph.experimental.do_not_convert
    def _run_resident(self, epoch: Tensor, first: Tensor, count: Tensor) -> Nested:
        assert self._resident is not None
        batch = self._resident.batch
        return self._repeat(lambda step: batch(epoch, first + tf.cast(step, tf.int64)), count)

    @tf.autograph.experimental.do_not_convert
    def _run_iterator(self, iterator: Any, count: Tensor) -> Nested:
        return self._repeat(lambda step: iterator.get_next(), count)

    def _repeat(self, next_batch: Any, count: Tensor) -> Nested:
        """Take `count` steps, at least one; return the logs of the last one."""
        step_function = _step_function(self.model)
        logs = step_function(next_batch(tf.constant(0)))
        _, logs = tf.while_loop(
            lambda step, _: step < count,
            lambda step, _: (step + 1, step_function(next_batch(step))),
            loop_vars=(tf.constant(1), logs),
            shape_invariants=(tf.TensorShape([]), tf.nest.map_structure(lambda log: log.shape, logs)),
        )
        return logs


class StepCallbacks(keras.callbacks.CallbackList):
    """The callbacks of a training with a `GraphLoop`, whose last call in an epoch may take fewer steps than the others.

    Args:
        callbacks: The callbacks.
        loop: The training function.
        epochs: Number of epochs.
        verbose: `verbose` of Keras's `fit`.
    """

    def __init__(
        self, callbacks: Sequence[keras.callbacks.Callback], loop: GraphLoop, epochs: int, verbose: int | str
    ) -> None:
        super().__init__(
            list(callbacks), add_history=True, add_progbar=verbose != 0, model=loop.model,
            verbose=verbose, epochs=epochs, steps=loop.steps,
        )  # fmt: skip
        self._loop = loop

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Go to the first step of the epoch."""
        self._loop.begin_epoch(epoch)
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Tensor] | None = None) -> None:
        """Report the first step of a call, unless the call does nothing."""
        if not self._loop.skips(batch + int(self._loop.model.steps_per_execution) - 1):
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Tensor] | None = None) -> None:
        """Report the last step that was taken; Keras counts to the next multiple of `steps_per_execution`."""
        if self._loop.skips(batch):
            return
        super().on_train_batch_end(min(batch, self._loop.steps - 1), logs)


def fit(
    model: keras.Model,
    callbacks: Sequence[keras.callbacks.Callback],
    verbose: int | str,
    *,
    x: Dataset,
    steps: int | None,
    epochs: int = 1,
    first_step: int = 0,
    resident: ResidentBatches | None = None,
    **arguments: Any,
) -> None:
    """Call Keras's `fit`, with the steps in a loop inside the graph if the model supports it.

    Args:
        model: The compiled model.
        callbacks: The callbacks.
        verbose: `verbose` of Keras's `fit`.
        x: Training batches.
        steps: Number of steps in an epoch; None if it is unknown.
        epochs: Number of epochs.
        first_step: The step at which the first epoch begins, with the first batch of `x`.
        resident: The batches of `x` in memory, or None.
        arguments: Further arguments of Keras's `fit`.

    Raises:
        CheckpointError: The first epoch begins at another step than its first one, and Keras's own loop trains.
    """
    arguments |= {"x": x, "epochs": epochs, "verbose": verbose}
    if steps is None or not is_supported(model):
        if first_step:
            raise CheckpointError(
                f"the checkpoint lies after step {first_step} of an epoch, where {model.name} cannot be continued now",
                hint="train with the same settings as before, in a graph on one device",
            )
        model.fit(callbacks=list(callbacks), **arguments)
        return
    if first_step:  # tracing a step creates the variables of the metrics, whose values a checkpoint restores
        _step_function(model).get_concrete_function(x.element_spec)
    loop = GraphLoop(model, steps, resident, first_step)
    model.train_function = loop
    try:
        with gradient_sum.omitted(model):
            model.fit(callbacks=StepCallbacks(callbacks, loop, epochs, verbose), **arguments)
    finally:
        model.train_function = None  # a later training has other data


def is_supported(model: keras.Model) -> bool:
    """Return whether a `GraphLoop` can train the model: in a graph, on one device, and with Keras's own function."""
    return (
        not model.run_eagerly
        and not tf.distribute.has_strategy()
        and model.distribute_strategy.num_replicas_in_sync == 1
        and type(model).make_train_function is keras.Model.make_train_function
        and keras.config.max_steps_per_epoch() is None
    )


def _step_function(model: keras.Model) -> Any:
    @tf.autograph.experimental.do_not_convert
    def step(data: Nested) -> Nested:
        with custom_gradients.released(model):
            return model.train_step(data)

    return tf.function(step, jit_compile=model.jit_compile)
