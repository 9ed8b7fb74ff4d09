"""Verification of a run directory: its files are complete, undamaged, and of one run.

The functions write nothing. `run_dir` describes which file certifies which.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from deepkit.training import checkpoint, history_files, run_files, stored_config, stored_result
from deepkit.training.checkpoint_archive import CheckpointSummary
from deepkit.training.errors import CheckpointError, RunDirError
from deepkit.training.stored_config import StoredConfig
from deepkit.training.stored_result import StoredResult
from deepkit.utils.checksums import file_checksum

_REWRITE_MODEL = "move it away: the same call writes it again from the checkpoint"


@dataclass(frozen=True)
class RunContent:
    """The verified content of a run directory.

    Args:
        checkpoint: The summary of the newest checkpoint, or None if the training has not begun.
        result: The result, or None if the run is not finished.
    """

    checkpoint: CheckpointSummary | None
    result: StoredResult | None


def verify(folder: Path) -> RunContent | None:
    """Verify the files of a run, and return their content, or None if the directory holds no config.

    Raises:
        RunDirError: A file is missing, damaged, or of another run.
        CheckpointError: The checkpoint cannot be read, is damaged, or of another run.
    """
    config = stored_config.read(folder)
    if config is None:
        return None
    result = stored_result.read(folder)
    summary = checkpoint.load_summary(folder)
    _check_ids(folder, config, summary, result)
    check_preprocessing(folder, config)
    if summary is None:
        _check_nothing_is_trained(folder, result)
    else:
        _check_history(folder, summary)
    if result is not None and run_files.exists(folder / run_files.MODEL):
        check_model(folder / run_files.MODEL, result.model_checksum)
    return RunContent(summary, result)


def missing_config(folder: Path) -> RunDirError | None:
    """Return the error about a run without `config.json`, or None if no file of the directory belongs to a run."""
    evidence = []
    try:
        result = stored_result.read(folder)
        if result is not None:
            evidence.append(f"{run_files.RESULT} is that of a finished run of {result.result.epochs} epochs")
    except RunDirError:
        pass  # damaged, or of another program
    try:
        summary = checkpoint.load_summary(folder)
        if summary is not None:
            evidence.append(f"{summary.name} is that of a run after {summary.epoch} epochs")
    except CheckpointError:
        pass
    if not evidence:
        return None
    return run_files.missing(folder / run_files.CONFIG, f"although {' and '.join(evidence)}")


def check_preprocessing(folder: Path, config: StoredConfig) -> None:
    """Raise if `preprocessing.json` is missing, or is not the file that the config certifies."""
    checksum = config.checksums.get(run_files.PREPROCESSING)
    path = folder / run_files.PREPROCESSING
    if checksum is None:
        return
    if not run_files.exists(path):
        raise run_files.missing(path, f"although {run_files.CONFIG} lists its checksum")
    if _checksum(path, run_files.RESTORE) != checksum:
        raise run_files.damaged(path, f"its checksum is not the one in {run_files.CONFIG}")


def check_model(path: Path, checksum: str) -> None:
    """Raise if a model is not the one that the result certifies."""
    if _checksum(path, _REWRITE_MODEL) == checksum:
        return
    if _is_intact_archive(path):
        raise RunDirError(
            f"run_dir: {path} is not the model that the run saved: its checksum is not the one in {run_files.RESULT}, "
            "so it was replaced, for instance by the model of another run",
            hint=_REWRITE_MODEL,
        )
    raise run_files.damaged(path, f"its checksum is not the one in {run_files.RESULT}", _REWRITE_MODEL)


def _checksum(path: Path, hint: str) -> str:
    try:
        return file_checksum(path)
    except IsADirectoryError as error:
        raise run_files.damaged(path, "it is a directory", hint) from error
    except OSError as error:
        raise run_files.not_readable(path, error) from error


def _is_intact_archive(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, LookupError):
        return False


def _check_ids(
    folder: Path, config: StoredConfig, summary: CheckpointSummary | None, result: StoredResult | None
) -> None:
    """Raise if the files belong to different runs, and name the one that differs if the others agree."""
    ids = {run_files.CONFIG: config.run_id}
    if summary is not None:
        ids[summary.name] = summary.run_id
    if result is not None:
        ids[run_files.RESULT] = result.run_id
    if len(set(ids.values())) == 1:
        return
    if summary is not None and summary.name == checkpoint.NAME:
        ids |= _previous_id(folder)
    values = list(ids.values())
    single = [name for name, run_id in ids.items() if values.count(run_id) == 1]
    if len(single) != 1:
        raise RunDirError(
            f"run_dir: {' and '.join(ids)} in {folder} belong to different runs; nothing was changed",
            hint="restore the files of one run from a backup, or use another run_dir",
        )
    name = single[0]
    *others, last = [other for other in ids if other != name]
    problem = f"{folder / name} belongs to another run than {', '.join(others)} and {last}"
    if summary is not None and name == summary.name:
        is_previous_usable = ids.get(checkpoint.PREVIOUS) == config.run_id
        hint = checkpoint.recovery_hint(folder, folder / name) if is_previous_usable else run_files.RESTORE
        raise CheckpointError(problem, hint=hint)
    raise RunDirError(f"run_dir: {problem}; nothing was changed", hint=run_files.RESTORE)


def _previous_id(folder: Path) -> dict[str, str]:
    """Return the id in the previous checkpoint by its name; empty if there is none that can be read."""
    try:
        return {checkpoint.PREVIOUS: checkpoint.read(folder / checkpoint.PREVIOUS).run_id}
    except CheckpointError:
        return {}


def _check_nothing_is_trained(folder: Path, result: StoredResult | None) -> None:
    """Raise if there is no checkpoint, although epochs are finished."""
    path = folder / history_files.JSON_NAME
    evidence = ""
    if result is not None:
        evidence = f"although {run_files.RESULT} is that of a finished run of {result.result.epochs} epochs"
    elif run_files.exists(path) and run_files.read_json(path):
        evidence = f"although {path.name} lists finished epochs"
    if evidence:
        raise CheckpointError(f"{folder / checkpoint.NAME} is missing, {evidence}", hint=run_files.RESTORE)


def _check_history(folder: Path, summary: CheckpointSummary) -> None:
    path = folder / history_files.JSON_NAME
    if not run_files.exists(path):
        return
    hint = f"move it away: the same call writes it again from {summary.name}"
    stored = run_files.read_json(path, hint)
    if not history_files.is_same_or_one_epoch_apart(stored, json.loads(json.dumps(summary.history))):
        raise run_files.damaged(path, f"it does not hold the history in {summary.name}", hint)
