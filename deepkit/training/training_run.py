"""The training of a compiled definition, in a run directory or without one, from the config to the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras

from deepkit.execution.plan import Plan
from deepkit.training import checkpoint, run_report, workers
from deepkit.training.baseline_errors import baseline_errors
from deepkit.training.compiled_model import CompiledModel
from deepkit.training.errors import CheckpointError
from deepkit.training.fingerprint import Fingerprint, fingerprint
from deepkit.training.loop import restore_checkpoint, train
from deepkit.training.run_config import describe_resume, run_config
from deepkit.training.run_dir import RunDir
from deepkit.training.run_saving import save_result, store_varying_fields
from deepkit.training.state import TrainingState
from deepkit.training.termination import Terminated
from deepkit.training.trained_run import Run
from deepkit.training.training_data import TrainingData
from deepkit.utils.console import echo

if TYPE_CHECKING:
    from deepkit.training.compile import Definition


@dataclass(frozen=True)
class Training:
    """A compiled definition with everything that `fit` needs to train it.

    Args:
        net: The definition, or the compiled model of the user.
        compiled: The compiled model.
        data: The training data.
        plan: The plan, which this process has entered.
        epochs: Number of epochs, counted from the beginning of the run.
        callbacks: The user's callbacks.
        verbose: `verbose` of Keras's `fit`.
    """

    net: Definition | keras.Model
    compiled: CompiledModel
    data: TrainingData
    plan: Plan
    epochs: int
    callbacks: Sequence[keras.callbacks.Callback]
    verbose: int | str

    def run_in_memory(self) -> Run:
        """Train without a run directory."""
        compiled, data, plan = self.compiled, self.data, self.plan
        if plan.cluster is not None:
            workers.check_same_config(plan, self._config(self._fingerprint()), data)
        with workers.distributed_training(plan, compiled.model, self.callbacks) as callbacks:
            final_state = train(compiled.model, data, self.epochs, None, callbacks, self.verbose, compiled.label_checks)
        return _make_run(compiled, data, final_state, None, "not saved: no run_dir was passed")

    def run_in_directory(self, directory: RunDir) -> Run:
        """Train in a run directory, from its newest checkpoint if there is one; one of several workers writes it."""
        compiled, data, plan = self.compiled, self.data, self.plan
        with directory.lock():
            initial_fingerprint = self._fingerprint()
            config = self._config(initial_fingerprint)
            workers.check_same_config(plan, config, data)
            workers.check_shared(plan, directory)
            with workers.chief_first(plan):
                directory.check_or_write_config(config)
                directory.save_fitted_states(data.fitted_states)
            resume = describe_resume(compiled, data, self.callbacks, initial_fingerprint, directory)
            run = _load_finished_run(compiled, data, self.epochs, directory, resume)
            if run is None:
                run = self._train_and_save(directory, initial_fingerprint, resume)
            workers.barrier(plan)  # the files are complete when `fit` returns on any worker
            return run

    def _train_and_save(self, directory: RunDir, initial_fingerprint: Fingerprint, resume: str) -> Run:
        compiled, data, verbose = self.compiled, self.data, self.verbose
        with (
            store_varying_fields(directory, initial_fingerprint, self.net, compiled.model, self.callbacks),
            workers.distributed_training(self.plan, compiled.model, self.callbacks) as callbacks,
        ):
            final_state = self._train_in_directory(directory, callbacks, resume)
        with workers.chief_first(self.plan):
            if directory.is_writable:
                workers.call_locally(lambda: save_result(compiled.model, final_state, directory, resume, verbose))
                _write_report(compiled, data, final_state, directory, resume)
        if verbose:
            echo(f"report: {directory.report}")
        return _make_run(compiled, data, final_state, directory, resume)

    def _train_in_directory(
        self, directory: RunDir, callbacks: Sequence[keras.callbacks.Callback], resume: str
    ) -> TrainingState:
        """Train with checkpoints; print how to resume if the user presses Ctrl-C, or SIGTERM comes."""
        compiled, data, verbose = self.compiled, self.data, self.verbose
        if resume != "exact" and verbose:
            echo(f"resume is {resume}")
        stop = workers.stop_on_sigterm(self.plan)
        try:
            with stop.active():
                return train(
                    compiled.model, data, self.epochs, directory, callbacks, verbose, compiled.label_checks, stop
                )
        except (KeyboardInterrupt, Terminated) as error:
            by = "" if isinstance(error, KeyboardInterrupt) else " by SIGTERM"
            echo(f"\nstopped{by}; {_saved_part(directory)} in {directory.path}. Repeat the same call to resume.")
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt from None  # without the many frames of Keras and TensorFlow below this message
            raise

    def _fingerprint(self) -> Fingerprint:
        return fingerprint(self.net, self.compiled.model, self.callbacks)

    def _config(self, initial_fingerprint: Fingerprint) -> dict[str, object]:
        return run_config(self.compiled, self.data, self.plan, self.callbacks, initial_fingerprint)


def _saved_part(directory: RunDir) -> str:
    """Return how much of the training the newest checkpoint holds, as a text."""
    summary = checkpoint.load_summary(directory.path)
    if summary is not None and summary.partial_epoch is not None:
        return f"step {summary.partial_epoch.step} of epoch {summary.epoch + 1} is saved"
    return "the finished epochs are saved" if summary is not None and summary.epoch else "no epoch is finished"


def _write_report(
    compiled: CompiledModel, data: TrainingData, final_state: TrainingState, directory: RunDir, resume: str
) -> None:
    with directory.convert_disk_errors("the model is saved, its report is not"):
        workers.call_locally(lambda: run_report.write(compiled, data, final_state, directory, resume))


def _load_finished_run(
    compiled: CompiledModel, data: TrainingData, epochs: int, directory: RunDir, resume: str
) -> Run | None:
    """Return the run in the directory with its saved model, or None if there is still something to train."""
    result = directory.result()
    if result is None or not (result.stopped or epochs <= result.epochs):
        return None
    checkpoint = restore_checkpoint(compiled.model, data, directory)
    try:
        compiled.model.load_weights(directory.model)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{directory.model} cannot be read: {error}",
            hint="move it away: the same call writes it again from the checkpoint",
        ) from error
    reason = "a callback stopped it there" if result.stopped else "pass a larger epochs= to continue"
    echo(f"{directory.path} holds a finished run of {result.epochs} epochs, which is returned unchanged; {reason}")
    # the checkpoint is older if the user has returned to the previous one
    seconds = checkpoint.seconds[: result.epochs] if checkpoint.epoch >= result.epochs else [result.seconds]
    callbacks = checkpoint.callbacks if checkpoint.epoch == result.epochs else []
    final_state = TrainingState(result.epochs, checkpoint.variables, result.history, seconds, callbacks)
    if directory.is_writable and not directory.report.exists():
        _write_report(compiled, data, final_state, directory, resume)
    return _make_run(compiled, data, final_state, directory, resume)


def _make_run(
    compiled: CompiledModel, data: TrainingData, final_state: TrainingState, directory: RunDir | None, resume: str
) -> Run:
    return Run(
        model=compiled.model,
        history=final_state.history,
        plan=compiled.plan,
        run_dir=None if directory is None else directory.path,
        report=directory.report if directory is not None and directory.report.exists() else None,
        resume=resume,
        seconds=sum(final_state.seconds),
        epochs=final_state.epoch,
        class_names=data.class_names,
        prediction=compiled.prediction,
        baseline_errors=baseline_errors(data, compiled.prediction.heads),
    )
