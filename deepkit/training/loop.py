"""The training loop: `model.fit` with a checkpoint per epoch and detection of NaN and infinity."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from deepkit.data import Pipeline
from deepkit.training import batch_checks, batch_norm_check, checkpoint, graph_loop, replicated_fit, state
from deepkit.training.batch_count import BatchCount
from deepkit.training.callback_state import CallbackStates
from deepkit.training.data_checks import check_finite_batches
from deepkit.training.errors import CheckpointError, DivergedError
from deepkit.training.label_check import NO_LABEL_CHECKS, LabelChecks
from deepkit.training.loss_tracking import check_tracked_loss
from deepkit.training.run_dir import RunDir
from deepkit.training.state import PartialEpoch, TrainingState
from deepkit.training.termination import StopOnSigterm
from deepkit.training.training_data import TrainingData
from deepkit.training.value_check import ValueCheck
from deepkit.utils.console import echo
from deepkit.utils.errors import make_error
from deepkit.utils.history import history_value

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike

_MONITORS = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.ReduceLROnPlateau,
)


class CheckpointCallback(keras.callbacks.Callback):
    """Captures the training state after every epoch, and raises an error if the loss is NaN or infinite.

    It comes after the user's callbacks, which have finished an epoch when it captures their state.

    Args:
        run_dir: The directory for checkpoints; None keeps only the last state, in memory.
        callback_states: The states of the user's callbacks.
        initial_state: The state from which the training starts.
        has_validation: Whether there is validation data.
        stop: Ends the training after SIGTERM.
        steps: Number of steps in an epoch that can be continued after any of them; None if it cannot.
    """

    async_safe = True  # it reads one number per step, so Keras does not need to wait for it

    def __init__(
        self,
        run_dir: RunDir | None,
        callback_states: CallbackStates,
        initial_state: TrainingState,
        has_validation: bool,
        stop: StopOnSigterm,
        steps: int | None,
    ) -> None:
        super().__init__()
        self.run_dir, self.callback_states, self.state = run_dir, callback_states, initial_state
        self._has_validation, self._stop, self._steps = has_validation, stop, steps
        stop.save_partial_epoch = self._save_partial_epoch
        self._epoch = initial_state.epoch
        self._epoch_start = 0.0
        self._batch = 0
        self._diverged: tuple[int, float] | None = None

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Restore the callbacks' state, which their own `on_train_begin` has just cleared."""
        self.callback_states.restore()
        if self.run_dir is None:
            return
        has_event_files = self.callback_states.open_event_files(self._has_validation)
        self.state = dataclasses.replace(self.state, callbacks=self.callback_states.capture())
        if self.state.epoch == 0 and self.state.partial_epoch is None:
            self.run_dir.save_checkpoint(self.state)
        elif has_event_files:
            self.run_dir.replace_checkpoint(self.state)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Store the epoch and its start time; restore the state inside an epoch, which its begin has changed."""
        self._epoch, self._epoch_start = epoch, time.perf_counter()
        if self.state.partial_epoch is not None:
            self._epoch_start -= self.state.partial_epoch.seconds
            state.restore(self.model, self.state.variables, str(self.checkpoint), with_metrics=True)
            self.callback_states.restore()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Check the first logs, and stop the training at a loss that is NaN or infinite, or after SIGTERM."""
        logs = logs or {}
        if self._batch == 0:
            check_monitored(self.callback_states.callbacks, logs)
            check_tracked_loss(self.model, logs)
        self._batch, loss = batch + 1, logs.get("loss")
        if self._diverged is None and isinstance(loss, float) and not math.isfinite(loss):
            self._diverged = (batch + 1, loss)
            self.model.stop_training = True
        self._stop.end_step(batch)

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Skip the validation of a diverged model."""
        self._check_loss()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Capture the state after this epoch, and write a checkpoint."""
        self._check_loss()
        logs = logs or {}
        variables = state.capture(self.model)
        self._check_variables(variables, logs.get("loss", math.nan))
        history = {name: list(values) for name, values in self.state.history.items()}
        for name, value in logs.items():
            history.setdefault(name, []).append(history_value(value))
        self.state = TrainingState(
            epoch=epoch + 1,
            variables=variables,
            history=history,
            seconds=[*self.state.seconds, time.perf_counter() - self._epoch_start],
            callbacks=self.callback_states.capture(),
            stopped=bool(self.model.stop_training),
        )
        if self.run_dir is not None:
            self.run_dir.save_checkpoint(self.state)
        self._stop.end_epoch()

    def _save_partial_epoch(self) -> bool:
        """Save the state after a step; return whether the epoch is incomplete."""
        function = self.model.train_function
        if self._steps is None or not isinstance(function, graph_loop.GraphLoop | replicated_fit.ReplicatedSteps):
            return True
        step = function.step
        if step == self._steps:
            return False
        self._check_loss()
        variables = state.capture(self.model)
        self._check_variables(variables, math.nan)
        partial = PartialEpoch(step, time.perf_counter() - self._epoch_start)
        callbacks = self.callback_states.capture()
        self.state = dataclasses.replace(self.state, variables=variables, callbacks=callbacks, partial_epoch=partial)
        if self.run_dir is not None:
            self.run_dir.save_checkpoint(self.state)
        return True

    @property
    def epoch(self) -> int:
        """Number of the epoch, counted from 1."""
        return self._epoch + 1

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint that holds the last good state."""
        return None if self.run_dir is None else self.run_dir.path / checkpoint.NAME

    def _check_loss(self) -> None:
        if self._diverged is not None:
            step, loss = self._diverged
            raise DivergedError(self.epoch, step, loss, self.checkpoint)

    def _check_variables(self, variables: state.Variables, loss: float) -> None:
        """Raise if a weight is NaN or infinite although the loss is finite: such a state must not be saved."""
        for path, value in variables["model"]:
            if not state.is_finite(value):
                raise DivergedError(self.epoch, self._batch, loss, self.checkpoint, path)


def check_monitored(callbacks: Sequence[keras.callbacks.Callback], logs: Mapping[str, ArrayLike]) -> None:
    """Raise if a callback monitors a metric with several values, which it cannot compare."""
    for callback in callbacks:
        if not isinstance(callback, _MONITORS) or getattr(callback, "save_best_only", True) is False:
            continue
        monitor = callback.monitor
        num_values = np.size(logs.get(monitor.removeprefix("val_"), 0.0))
        if num_values > 1:
            raise make_error(
                ValueError,
                f"callbacks: {type(callback).__name__} monitors {monitor!r}, which has {num_values} values in each "
                "epoch",
                hint="monitor a metric with one value, such as 'val_loss' or keras.metrics.F1Score(average='macro')",
            )


def train(
    model: keras.Model,
    data: TrainingData,
    epochs: int,
    run_dir: RunDir | None,
    callbacks: Sequence[keras.callbacks.Callback],
    verbose: int | str,
    label_checks: LabelChecks = NO_LABEL_CHECKS,
    stop: StopOnSigterm | None = None,
) -> TrainingState:
    """Train up to a number of epochs, from the newest checkpoint if there is one; return the final state.

    Raises:
        ValueError: The training or validation data has no batch in an epoch.
        DivergedError: The loss became NaN or infinite; the model is at its last good state.
        TokenIdError: A token id is outside the range of an embedding; the model is at its last good state.
        LabelError: A batch has labels that do not fit; the model is at its last good state.
        ValueError: A sample weight is negative, NaN or infinite, or a validation input is NaN or infinite.
        CheckpointError: The checkpoint is damaged, or belongs to another model.
        RunDirError: A checkpoint could not be written.
    """
    state.build_variables(model, data.sample_input)
    batch_norms = batch_norm_check.layers_to_check(model)  # before the checkpoint replaces their initial statistics
    initial_state = restore_checkpoint(model, data, run_dir)
    has_validation = data.validation is not None
    callback_states = CallbackStates(callbacks, initial_state.callbacks, initial_state.epoch)
    stop = stop or StopOnSigterm()
    steps = data.steps if data.nonreproducible_reason is None else None
    checkpoints = CheckpointCallback(run_dir, callback_states, initial_state, has_validation, stop, steps)
    last_epoch = initial_state.epoch if initial_state.stopped else max(epochs, initial_state.epoch)
    first_step = _first_step(initial_state, last_epoch, checkpoints.checkpoint)
    epoch = initial_state.epoch
    if verbose and run_dir is not None and last_epoch > epoch and (epoch or first_step):
        place = f"step {first_step} of epoch {epoch + 1}" if first_step else f"epoch {epoch}"
        echo(f"resuming {run_dir.path} after {place}")
    if last_epoch > initial_state.epoch:
        batch_norm_check.warn_about_momentum(batch_norms, data.steps, last_epoch)
    rows = replicated_fit.replica_rows(model)
    arguments = data.fit_arguments(initial_state.epoch, rows, first_step)
    check = batch_checks.batch_check(arguments["x"].element_spec, model, label_checks.train)
    for name, checks in (("x", label_checks.train), ("validation_data", label_checks.validation)):
        arguments[name] = batch_checks.check_batches(arguments[name], model, checks)
    _check_values(arguments, data)
    all_callbacks = [stop, BatchCount(has_length=data.steps is not None), *callbacks, *data.callbacks, checkpoints]
    try:
        with callback_states.continued_logs(), _without_length_warnings():
            arguments |= {"steps": data.steps, "initial_epoch": initial_state.epoch, "epochs": last_epoch}
            arguments["first_step"] = first_step
            if rows is None:
                graph_loop.fit(model, all_callbacks, verbose, **arguments, resident=data.resident_batches(check))
            else:
                sizes = (data.batch_size, data.validation_batch_size)
                arguments |= {"sample_batch": data.sample_batch(), "batch_sizes": sizes, "stop": stop}
                replicated_fit.fit(model, all_callbacks, verbose, **arguments)
    except DivergedError as error:
        state.restore(model, checkpoints.state.variables, "the last good state")
        raise _with_cause(error, model, data) from None
    except tf.errors.InvalidArgumentError as error:
        epoch, path = checkpoints.epoch, checkpoints.checkpoint
        explained = batch_checks.explain_error(error, model, label_checks, epoch, path)
        if explained is None:
            raise
        state.restore(model, checkpoints.state.variables, "the last good state")
        raise explained from error
    return checkpoints.state


def _first_step(initial_state: TrainingState, last_epoch: int, path: Path | None) -> int:
    """Return the number of finished steps of the next epoch."""
    if initial_state.partial_epoch is None:
        return 0
    step, epoch = initial_state.partial_epoch.step, initial_state.epoch
    if last_epoch <= epoch:
        raise CheckpointError(
            f"{path} holds step {step} of epoch {epoch + 1}, and epochs={last_epoch} ends before it",
            hint=f"pass epochs={epoch + 1} or more",
        )
    return step


def _check_values(arguments: dict[str, Any], data: TrainingData) -> None:
    """Add checks of the weights, and of the validation inputs, to batches that are not arrays in memory.

    NaN in a training input makes a weight NaN, which `CheckpointCallback` detects.
    """
    finite_inputs = () if data.input_rules is None else data.input_rules.finite_inputs
    if not isinstance(data.train, Pipeline):
        arguments["x"] = ValueCheck("data").check(arguments["x"])
    if data.validation is not None and not isinstance(data.validation, Pipeline):
        arguments["validation_data"] = ValueCheck("validation_data", finite_inputs).check(arguments["validation_data"])


@contextlib.contextmanager
def _without_length_warnings() -> Iterator[None]:
    """Silence Keras's warning at the end of each dataset of unknown length; `BatchCount` detects empty epochs."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Your input ran out of data")
        yield


def _with_cause(error: DivergedError, model: keras.Model, data: TrainingData) -> DivergedError:
    """Return the error, with the cause if the data has one."""
    try:
        if hasattr(model, "check_data"):
            model.check_data(data.single_epoch())
        else:
            check_finite_batches(data)
    except ValueError as cause:
        return DivergedError(error.epoch, error.step, error.loss, error.checkpoint, error.weight, cause)
    return error


def restore_checkpoint(model: keras.Model, data: TrainingData, run_dir: RunDir | None) -> TrainingState:
    """Restore the newest checkpoint, if there is one; return the state of the model."""
    state.build_variables(model, data.sample_input)
    newest = None if run_dir is None else run_dir.load_checkpoint()
    if run_dir is None or newest is None:
        return TrainingState(0, state.capture(model))
    state.restore(model, newest.variables, str(run_dir.path / checkpoint.NAME))
    return newest
