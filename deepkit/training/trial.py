"""One candidate of a measurement: the real model, built and compiled under its plan, that takes a few real steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from deepkit.data import Pipeline
from deepkit.execution.plan import Plan
from deepkit.training import state
from deepkit.training import token_id_check as token_ids
from deepkit.training.compile import compile_definition
from deepkit.training.training_data import TrainingData

clock: Callable[[], float] = time.perf_counter  # seconds; tests put another in its place
BATCHES = 4  # batches that are looked at, again and again


def first_batches(feed: TrainingData) -> Any:
    """Return the first batches of the training data, kept in memory; the order of the training is not touched.

    A `dk.data` pipeline or a pair of arrays remembers nothing of it. To a `tf.data.Dataset` it is one look, as if it
    had been iterated once before. A smaller last batch is left out where there are others.
    """
    source = feed.train.epochs() if isinstance(feed.train, Pipeline) else feed.train
    count = BATCHES if feed.steps is None else max(1, min(BATCHES, feed.steps - 1))
    kept = source.take(count).cache()
    for _ in kept:  # fills the cache, which every later iteration reads
        pass
    return kept


class Trial:
    """A model that is trained for a few steps from the same initial weights, as often as one likes.

    After every run all is put back, because a layer that had weights before is held by the definition as it is, and
    belongs to the training that follows, too.

    Args:
        net: The definition, or a compiled model.
        feed: The data of the run.
        plan: What is tried; it has a seed, so that every trial starts from the same weights.
        compiled: What `fit` got of `optimizer`, `loss`, `loss_weights` and `metrics`.
        batches: Of `first_batches`.

    Raises:
        ValueError: It cannot be built or compiled so.
    """

    def __init__(self, net: Any, feed: TrainingData, plan: Plan, compiled: Mapping[str, Any], batches: Any) -> None:
        self._batches = batches
        with plan:
            parts = compile_definition(net, feed, plan, **compiled)
            self.plan, self.model = parts.plan, parts.model
            self._around = plan if parts.precompiled else parts.plan  # what a compiled model came with is not entered
            state.build_variables(self.model, lambda: _input(batches))
            self._initial = state.capture(self.model)

    @property
    def draws(self) -> bool:
        """Whether the model draws random numbers while it trains, as dropout does."""
        return bool(self._streams())

    def loss(self, steps: int, *, draw: int = 0) -> float:
        """Train from the initial weights; return the mean loss of the steps.

        Args:
            steps: How many, a multiple of the plan's steps per execution.
            draw: Which random numbers: 0 for those of the run, another number for others.

        Raises:
            ValueError: The training step reports no loss.
        """
        for stream in self._streams() if draw else []:
            stream.assign(stream + draw)
        return reported_loss(self._train(steps).logs)

    def seconds(self, steps: int) -> float:
        """Train from the initial weights; return the seconds that each of so many steps took.

        One call is made before the clock starts: TensorFlow prepares a function anew for each new iterator, which
        takes longer than a step and comes once in a whole training.
        """
        return self._train(steps + self.plan.steps_per_execution).seconds / steps

    def train(self, batches: Any, steps: int, callback: keras.callbacks.Callback, verbose: int = 0) -> None:
        """Train from the initial weights, and put everything back.

        Raises:
            TokenIdError: An embedding has no row for a token id.
        """
        batches = token_ids.check_batches(batches, self.model)
        with self._around:
            try:
                self.model.fit(batches, steps_per_epoch=steps, shuffle=False, callbacks=[callback], verbose=verbose)
            except tf.errors.InvalidArgumentError as error:
                explained = token_ids.explain_error(error, self.model, 1, None)
                if explained is None:
                    raise
                raise explained from error
            finally:  # what the definition shares with other models is as it was, too
                state.restore(self.model, self._initial, "the trial")

    def _train(self, steps: int) -> _Watch:
        watch = _Watch()
        self.train(self._batches.repeat(), steps, watch)
        return watch

    def _streams(self) -> list[Any]:
        return [variable for variable in self.model.non_trainable_variables if "seed_generator" in variable.path]


class _Watch(keras.callbacks.Callback):
    """Takes the time from the second call of the training function to the results of the last one."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Forget what was before."""
        self._calls, self._began = 0, 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Start at the second call, when the devices are done with the first."""
        self._calls += 1
        if self._calls == 2:
            state.variable_value(min(self.model.trainable_variables, key=lambda variable: math.prod(variable.shape)))
            self._began = clock()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stop when the numbers are there: the devices have nothing left to do."""
        self.logs = dict(logs or {})
        self.seconds = clock() - self._began


def _input(batches: Any) -> Any:
    batch = next(iter(batches))
    return batch[0] if isinstance(batch, tuple) else batch


def reported_loss(logs: Mapping[str, float]) -> float:
    """Return the loss, or the sum of the losses that a model with its own training step reports.

    Raises:
        ValueError: It reports none.
    """
    found = [logs["loss"]] if "loss" in logs else [value for name, value in logs.items() if name.endswith("loss")]
    if not found:
        raise ValueError(f"the training step reports no loss to compare, only {', '.join(logs) or 'nothing'}")
    return float(sum(found))
