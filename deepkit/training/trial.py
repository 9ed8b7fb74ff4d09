"""A compiled model that trains for a few steps, as often as needed, and is restored afterwards."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from deepkit.data import Pipeline
from deepkit.execution.plan import Plan
from deepkit.training import batch_checks, graph_loop, state
from deepkit.training.compile import compile_definition
from deepkit.training.training_data import TrainingData, no_batches

if TYPE_CHECKING:
    from deepkit.training.compile import Definition
    from deepkit.utils.types import Dataset, Nested

clock: Callable[[], float] = time.perf_counter  # returns seconds; tests replace it
NUM_BATCHES = 4  # different batches, which a trial repeats


def first_batches(data: TrainingData) -> Dataset:
    """Return the first batches of the training data, cached in memory, without changing the order of the training.

    A `dk.data` pipeline and arrays have no position that iterating could move. A `tf.data.Dataset` is iterated once,
    which counts as one epoch if its order depends on the number of epochs. A smaller last batch is left out if there
    are others.

    Raises:
        ValueError: There is no batch.
    """
    source = data.repeated() if isinstance(data.train, Pipeline) else data.single_epoch()
    count = NUM_BATCHES if data.steps is None else max(1, min(NUM_BATCHES, data.steps - 1))
    batches = source.take(count).cache()
    num_batches = sum(1 for _ in batches)  # fills the cache, which every later iteration reads
    if not num_batches:
        raise no_batches("data")
    return batches


class TrialModel:
    """A model that trains for a few steps from the same initial weights, as often as needed.

    All variables are restored after every training, because a definition does not copy a layer that has weights: the
    trial trains the user's own layer.

    Args:
        net: The definition, or a compiled model.
        data: The data of the run.
        plan: The plan to try. With a seed, every trial starts from the same weights.
        compile_args: The arguments of `fit` for compiling: `optimizer`, `loss`, `loss_weights` and `metrics`.
        batches: The batches to train on; see `first_batches`.

    Raises:
        ValueError: The model cannot be built or compiled.
    """

    def __init__(
        self,
        net: Definition | keras.Model,
        data: TrainingData,
        plan: Plan,
        compile_args: Mapping[str, Any],
        batches: Dataset,
    ) -> None:
        self._batches = batches
        with plan:
            compiled = compile_definition(net, data, plan, **compile_args)
            self.plan, self.model, self.notes = compiled.plan, compiled.model, compiled.notes
            self._label_checks = compiled.label_checks
            # the plan of a precompiled model only reports the model's settings and must not be entered
            self._training_plan = plan if compiled.precompiled else compiled.plan
            state.build_variables(self.model, lambda: _sample_input(batches))
            self._initial = state.capture(self.model)

    @property
    def is_random(self) -> bool:
        """Whether the model draws random numbers during training, as dropout does."""
        return bool(self._seed_variables())

    def loss(self, steps: int, *, draw: int = 0) -> float:
        """Train from the initial weights and return the mean loss of the steps.

        Args:
            steps: Number of steps.
            draw: Which random numbers to draw: 0 for those of the run, another number for different ones.

        Raises:
            ValueError: The training step reports no loss.
        """
        if draw:
            for seed in self._seed_variables():
                seed.assign(seed + draw)
        return reported_loss(self._train(steps).logs)

    def seconds_per_step(self, steps: int) -> float:
        """Train from the initial weights and return the duration of a step, averaged over the steps.

        One call runs before the clock starts: TensorFlow prepares a function anew for each new iterator, which takes
        longer than a step and happens once in a whole training.
        """
        return self._train(steps + self.plan.steps_per_execution).seconds / steps

    def train(self, batches: Dataset, steps: int, callback: keras.callbacks.Callback, verbose: int = 0) -> None:
        """Train from the initial weights, and restore all variables.

        Raises:
            TokenIdError: An embedding has no row for a token id.
            LabelError: A batch has labels that do not fit.
        """
        batches = batch_checks.check_batches(batches, self.model, self._label_checks.train)
        with self._training_plan:
            try:
                graph_loop.fit(
                    self.model, [callback], verbose, x=batches, steps=steps, steps_per_epoch=steps, shuffle=False
                )
            except tf.errors.InvalidArgumentError as error:
                explained = batch_checks.explain_error(error, self.model, self._label_checks, 1, None)
                if explained is None:
                    raise
                raise explained from error
            finally:  # also restores layers that the definition shares with other models
                state.restore(self.model, self._initial, "the trial")

    def _train(self, steps: int) -> _StepTimer:
        timer = _StepTimer()
        self.train(self._batches.repeat(), steps, timer)
        return timer

    def _seed_variables(self) -> list[keras.Variable]:
        return [variable for variable in self.model.non_trainable_variables if "seed_generator" in variable.path]


class _StepTimer(keras.callbacks.Callback):
    """Measures the time from the second call of the training function to the results of the last one."""

    def on_train_begin(self, logs: object = None) -> None:
        """Reset the count of calls."""
        self._calls, self._start = 0, 0.0

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        """Start the clock at the second call, after the devices have finished the first."""
        self._calls += 1
        if self._calls == 2:
            smallest = min(self.model.trainable_variables, key=lambda variable: math.prod(variable.shape))
            state.variable_value(smallest)  # waits for the devices
            self._start = clock()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Stop the clock: the devices have finished, as their results are available."""
        self.logs = dict(logs or {})
        self.seconds = clock() - self._start


def _sample_input(batches: Dataset) -> Nested:
    batch = next(iter(batches))
    return batch[0] if isinstance(batch, tuple) else batch


def reported_loss(logs: Mapping[str, float]) -> float:
    """Return the loss, or the sum of the losses that a model with its own training step reports.

    Raises:
        ValueError: The logs contain no loss.
    """
    if "loss" in logs:
        return float(logs["loss"])
    losses = [value for name, value in logs.items() if name.endswith("loss")]
    if not losses:
        raise ValueError(f"the training step reports no loss to compare, only {', '.join(logs) or 'nothing'}")
    return float(sum(losses))
