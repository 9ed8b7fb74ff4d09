"""`load_run`: the run in a directory, finished or interrupted, without the code that trained it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from deepkit.training import checkpoint, run_files, run_verification, stored_result
from deepkit.training.directory_lock import DirectoryLock
from deepkit.training.errors import CheckpointError, RunDirError
from deepkit.training.plan_json import plan_from_json
from deepkit.training.prediction_settings import PredictionSettings
from deepkit.training.run_dir import RunDir
from deepkit.training.state import TrainingState
from deepkit.training.stored_model import load_model, rebuild
from deepkit.training.stored_result import RunResult
from deepkit.training.trained_run import Run
from deepkit.utils.console import echo

if TYPE_CHECKING:
    from deepkit.utils.types import ClassNames, PathLike


def load_run(run_dir: PathLike) -> Run:
    """Load the run that `dk.fit` wrote to a directory.

    The model of a finished run is that in `model.keras`. The model of an interrupted run has the weights of its newest
    intact checkpoint, whose epoch is printed; to resume its training, repeat the call of `dk.fit`. Nothing in the
    directory is changed.

    Args:
        run_dir: The directory of the run.

    Returns:
        The run with its model, history, plan and class names, as `dk.fit` returned it. `run.finished` tells whether
        the training finished.

    Raises:
        TypeError: `run_dir` is neither a string nor a `pathlib.Path`.
        RunDirError: The directory is missing, empty or not that of a run, a process trains in it, no epoch is
            finished, a file is damaged, or Keras cannot load the model.
        CheckpointError: Every checkpoint of an interrupted run is damaged.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> x, y = (
        ...     np.eye(3, dtype="float32").repeat(20, 0),
        ...     np.repeat(["cat", "dog", "owl"], 20),
        ... )
        >>> net = dk.Sequential([dk.Classifier(3)])
        >>> _ = dk.fit(
        ...     net,
        ...     x,
        ...     y,
        ...     epochs=60,
        ...     learning_rate=0.1,
        ...     run_dir="runs/animals",
        ...     verbose=0,
        ... )
        >>> run = dk.load_run("runs/animals")
        >>> run.predict(x[::20]).labels.tolist(), run.epochs
        (['cat', 'dog', 'owl'], 60)
    """
    directory = RunDir(run_dir)
    _check_folder(directory.path)
    DirectoryLock(directory.path).check_free()
    result = _finished_result(directory)
    if result is not None:
        return _finished_run(directory, result)
    return _interrupted_run(directory)


def _check_folder(folder: Path) -> None:
    """Raise if a folder is not that of a run."""
    hint = "pass the run_dir of a call of dk.fit"
    if not folder.is_dir():
        reason = "it is a file" if folder.exists() else "there is no such directory"
        raise RunDirError(f"run_dir: {folder} cannot be loaded: {reason}", hint=hint)
    if run_files.exists(folder / run_files.CONFIG):
        return
    error = run_verification.missing_config(folder)
    if error is not None:
        raise error
    contents = "it is empty" if not any(folder.iterdir()) else f"it holds no {run_files.CONFIG}"
    raise RunDirError(f"run_dir: {folder} is not the directory of a run: {contents}", hint=hint)


def _finished_result(directory: RunDir) -> RunResult | None:
    """Return the result if the run is finished and its model is intact; None if it is interrupted."""
    folder, run_id = directory.path, directory.stored_config().run_id
    stored = stored_result.read(folder)
    if stored is None:
        return None
    if stored.run_id != run_id:
        raise _of_another_run(folder / run_files.RESULT)
    try:
        summary = checkpoint.load_summary(folder)
    except CheckpointError as error:
        echo(f"{error.problem}; the run is loaded from {run_files.RESULT} and {run_files.MODEL}")
    else:
        if summary is not None and summary.run_id == run_id and summary.epoch > stored.result.epochs:
            return None  # continued with more epochs, and interrupted
    if not run_files.exists(directory.model):
        echo(f"{directory.model} is missing: the model is loaded from a checkpoint")
        return None
    run_verification.check_model(directory.model, stored.model_checksum)
    return stored.result


def _finished_run(directory: RunDir, result: RunResult) -> Run:
    return Run(
        model=load_model(directory.model, _architecture(directory)),
        history=result.history,
        resume=result.resume,
        seconds=result.seconds,
        epochs=result.epochs,
        **_common_fields(directory),
    )


def _interrupted_run(directory: RunDir) -> Run:
    newest = _newest_checkpoint(directory)
    if newest is None or newest.state.epoch == 0:
        raise RunDirError(
            f"run_dir: {directory.path} holds a run without a finished epoch",
            hint="repeat the call of dk.fit, which starts the run again",
        )
    path, state = newest
    model = rebuild(_architecture(directory), directory.fitted_states(), state, str(path))
    echo(f"{directory.path} holds an interrupted run: its model is that after epoch {state.epoch}, from {path.name}")
    return Run(
        model=model,
        history=state.history,
        resume="repeat the call of dk.fit to resume the run",
        seconds=sum(state.seconds),
        epochs=state.epoch,
        finished=False,
        **_common_fields(directory),
    )


class _Checkpoint(NamedTuple):
    path: Path
    state: TrainingState


def _newest_checkpoint(directory: RunDir) -> _Checkpoint | None:
    """Return the newest intact checkpoint; print each one that is damaged, or raise its error if none is intact."""
    run_id = directory.stored_config().run_id
    errors: list[CheckpointError | RunDirError] = []
    for name in (checkpoint.NAME, checkpoint.PREVIOUS):
        path = directory.path / name
        if not run_files.exists(path):
            continue
        try:
            state = checkpoint.read(path)
        except CheckpointError as error:
            errors.append(error)
            continue
        if state.run_id == run_id:
            for skipped in errors:
                echo(skipped.problem)
            return _Checkpoint(path, state)
        errors.append(_of_another_run(path))
    if errors:
        raise errors[0]
    return None


def _common_fields(directory: RunDir) -> dict[str, Any]:
    """Return the fields of a run that its config determines."""
    config = directory.config()
    loading = _section(config, "loading")
    return {
        "plan": plan_from_json(loading["plan"]),
        "run_dir": directory.path,
        "report": directory.report if directory.report.exists() else None,
        "class_names": _class_names(_section(config, "data").get("class_names", ())),
        "prediction": PredictionSettings.from_json(loading["prediction"]),
        "baseline_errors": loading.get("baseline_errors", {}),  # runs of earlier versions lack them
    }


def _architecture(directory: RunDir) -> str | None:
    architecture = _section(directory.config(), "loading").get("architecture")
    return architecture if isinstance(architecture, str) else None


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a section of the config."""
    section = config.get(name)
    return section if isinstance(section, Mapping) else {}


def _class_names(stored: Any) -> ClassNames:
    if isinstance(stored, Mapping):
        return {output: tuple(names) for output, names in stored.items()}
    return tuple(stored)


def _of_another_run(path: Path) -> RunDirError:
    return RunDirError(f"run_dir: {path} belongs to another run than {run_files.CONFIG}", hint=run_files.RESTORE)
