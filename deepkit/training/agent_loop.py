"""The training loop of an agent: act, collect experience, and update the weights when a batch is due."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from deepkit.models.agent import AgentModel
from deepkit.training import state
from deepkit.training.agent_callbacks import AgentCallbacks
from deepkit.training.callback_state import CallbackStates
from deepkit.training.errors import DivergedError
from deepkit.training.experience import Batch
from deepkit.training.interaction import Interaction
from deepkit.training.loop import CheckpointCallback
from deepkit.training.run_dir import RunDir
from deepkit.training.state import PartialEpoch, TrainingState
from deepkit.training.termination import StopOnSigterm
from deepkit.utils.console import echo

_EXPERIENCE = "experience"  # the last entry of `TrainingState.callbacks`
Validate = Callable[[], dict[str, float]]


def train_agent(
    interaction: Interaction,
    update: Callable[[Batch], float],
    num_steps: int,
    steps_per_epoch: int,
    run_dir: RunDir | None,
    callbacks: Sequence[keras.callbacks.Callback],
    verbose: int | str,
    stop: StopOnSigterm,
    validate: Validate | None,
) -> TrainingState:
    """Train up to a number of steps, from the newest checkpoint if there is one; return the final state.

    Args:
        interaction: The agent in its environment.
        update: Updates the weights with a batch, and returns the loss.
        num_steps: Steps of all environments since the beginning of the training.
        steps_per_epoch: Steps between two checkpoints; the last epoch may be shorter.
        run_dir: The directory for checkpoints, or None.
        callbacks: The user's callbacks.
        verbose: 0 for silence, 1 for a progress bar, 2 for a line per epoch.
        stop: Ends the training after SIGTERM.
        validate: Returns the metrics of an evaluation, which are logged with the prefix `val_`; or None.
    """
    model = interaction.model
    initial_state = _restore(interaction, run_dir)
    epoch = initial_state.epoch
    stored = initial_state.callbacks[:-1]
    states = _AgentStates(callbacks, stored, epoch, interaction)
    checkpoints = _AgentCheckpoints(interaction, run_dir, states, initial_state, validate is not None, stop, None)
    if verbose and run_dir is not None and interaction.num_steps and interaction.num_steps < num_steps:
        echo(f"resuming {run_dir.path} after step {interaction.num_steps:,}")
    progress = _Progress(interaction, num_steps, steps_per_epoch, verbose)
    everything = AgentCallbacks(
        [stop, *callbacks, checkpoints, progress], model=model, verbose=0, epochs=epoch, steps=None
    )
    try:
        with states.continued_logs():
            everything.on_train_begin()
            model.stop_training = False
            logs: dict[str, float] = {}
            while interaction.num_steps < num_steps and not (initial_state.stopped or model.stop_training):
                model.reset_metrics()
                everything.on_epoch_begin(epoch)
                last_step = min(num_steps, (interaction.num_steps // steps_per_epoch + 1) * steps_per_epoch)
                _train_epoch(interaction, update, last_step, everything, stop, epoch, progress)
                logs = _epoch_logs(model, interaction)
                if validate is not None:
                    everything.on_test_begin()
                    logs |= {f"val_{name}": value for name, value in validate().items()}
                    everything.on_test_end(logs)
                everything.on_epoch_end(epoch, logs)
                epoch += 1
            everything.on_train_end(logs)
    except DivergedError:
        state.restore(model, checkpoints.state.variables, "the last good state")
        raise
    return checkpoints.state


class StopBetweenSteps(StopOnSigterm):
    """Ends the training of an agent after the step during which SIGTERM came; updates do not count."""

    def end_step(self, batch: int) -> None:
        """Do nothing: the loop stops after a step in the environment."""


def compiled_update(model: AgentModel, jit_compile: bool) -> Callable[[Batch], float]:
    """Return a function that updates the weights with a batch, and returns the loss."""
    names: list[str] = []
    concrete: Callable[..., Any] | None = None

    def step(*arrays: Any) -> Any:
        return model.train_step(dict(zip(names, arrays, strict=True)))["loss"]

    def update(batch: Batch) -> float:
        nonlocal concrete
        tensors = [tf.convert_to_tensor(value) for value in batch.values()]
        if concrete is None:  # a concrete function has less overhead for each call than a `tf.function`
            names.extend(batch)
            specs = [_batch_spec(tensor, is_fixed=model.experience != "episodes") for tensor in tensors]
            function = tf.function(step, jit_compile=jit_compile, autograph=False)
            concrete = function.get_concrete_function(*specs)
        return float(concrete(*tensors))

    return update


def _batch_spec(tensor: Any, *, is_fixed: bool) -> tf.TensorSpec:
    """Return the spec of an array of a batch; the number of steps in complete episodes varies."""
    shape = tensor.shape if is_fixed else (None, *tensor.shape[1:])
    return tf.TensorSpec(shape, tensor.dtype)


def _train_epoch(
    interaction: Interaction,
    update: Callable[[Batch], float],
    last_step: int,
    callbacks: keras.callbacks.CallbackList,
    stop: StopOnSigterm,
    epoch: int,
    progress: _Progress,
) -> None:
    while interaction.num_steps < last_step:
        for batch in interaction.step():
            index = interaction.num_updates - 1
            callbacks.on_train_batch_begin(index)
            callbacks.on_train_batch_end(index, {"loss": update(batch)})
        progress.show()
        if interaction.model.stop_training:
            return
        if stop.received and interaction.num_steps < last_step:
            stop.stops = True
            stop.on_epoch_end(epoch)  # saves the state, and raises Terminated


def _epoch_logs(model: AgentModel, interaction: Interaction) -> dict[str, float]:
    """Return the losses and the statistics of an epoch; losses are NaN before the first update."""
    has_updates = interaction.num_updates > 0
    losses = {tracker.name: float(tracker.result()) if has_updates else math.nan for tracker in model.trackers}
    return losses | interaction.end_epoch()


def _restore(interaction: Interaction, run_dir: RunDir | None) -> TrainingState:
    """Restore the newest checkpoint, or start the episodes; return the state of the training."""
    newest = None if run_dir is None else run_dir.load_checkpoint()
    if run_dir is None or newest is None:
        interaction.begin()
        return TrainingState(0, state.capture(interaction.model), callbacks=[{_EXPERIENCE: {}}])
    state.restore(interaction.model, newest.variables, str(run_dir.path), with_metrics=True)
    interaction.restore(newest.callbacks[-1][_EXPERIENCE])
    return newest


class _AgentStates(CallbackStates):
    """The states of the user's callbacks, and that of the interaction as the last one."""

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        states: Sequence[Mapping[str, Any]],
        epoch: int,
        interaction: Interaction,
    ) -> None:
        super().__init__(callbacks, states, epoch)
        self._interaction = interaction

    def capture(self) -> list[dict[str, Any]]:
        return [*super().capture(), {_EXPERIENCE: self._interaction.capture()}]


class _AgentCheckpoints(CheckpointCallback):
    """Captures the training state after every epoch, and inside an epoch after SIGTERM."""

    def __init__(self, interaction: Interaction, *args: Any) -> None:
        super().__init__(*args)
        self._interaction = interaction

    def _save_partial_epoch(self) -> bool:
        self._check_loss()
        partial = PartialEpoch(self._interaction.num_steps, time.perf_counter() - self._epoch_start)
        self.state = dataclasses.replace(
            self.state,
            variables=state.capture(self.model),
            callbacks=self.callback_states.capture(),
            partial_epoch=partial,
        )
        if self.run_dir is not None:
            self.run_dir.save_checkpoint(self.state)
        return True


class _Progress(keras.callbacks.Callback):
    """Shows the steps of an epoch as a bar, or one line per epoch."""

    def __init__(self, interaction: Interaction, num_steps: int, steps_per_epoch: int, verbose: int | str) -> None:
        super().__init__()
        self._interaction, self._verbose = interaction, verbose
        self._num_steps, self._steps_per_epoch = num_steps, steps_per_epoch
        self._bar: keras.utils.Progbar | None = None
        self._first = 0
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Print the number of the epoch."""
        self._start, self._first = time.perf_counter(), self._interaction.num_steps
        length = min(self._steps_per_epoch, self._num_steps - self._first)
        if self._verbose == 1:
            echo(f"steps {self._first:,} to {self._first + length:,} of {self._num_steps:,}")
            self._bar = keras.utils.Progbar(length, unit_name="step", stateful_metrics=["mean_return"])

    def show(self) -> None:
        """Update the bar."""
        if self._bar is not None:
            done = self._interaction.num_steps - self._first
            if done < self._bar.target:
                self._bar.update(done)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Show the results of the epoch."""
        values = [(name, value) for name, value in (logs or {}).items() if name != "num_steps"]
        if self._bar is not None:
            self._bar.update(self._interaction.num_steps - self._first, values, finalize=True)
        elif self._verbose:
            seconds = time.perf_counter() - self._start
            text = ", ".join(f"{name} {value:.4g}" for name, value in values)
            echo(f"{self._interaction.num_steps:,} of {self._num_steps:,} steps, {seconds:.0f} s: {text}")
