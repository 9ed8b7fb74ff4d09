"""Checkpoints: a `TrainingState` in one file, written atomically and checked when it is read.

The newest checkpoint replaces the one before it, which becomes the previous one. A process that is killed between
these two renames leaves only the previous checkpoint, which `load` then returns. A newest checkpoint that cannot be
read is an error, whose hint names the previous one.
"""

from __future__ import annotations

import errno
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from deepkit.training.checkpoint_archive import CheckpointSummary, read_archive, read_summary, write_archive
from deepkit.training.errors import CheckpointError
from deepkit.training.state import TrainingState
from deepkit.utils import files

NAME, PREVIOUS = "checkpoint.zip", "checkpoint.previous.zip"
START_AGAIN = "use another run_dir, to start again from the first epoch"
# of damaged archives and of files of other programs; a lack of memory is not one of them
_READ_ERRORS = (
    OSError, EOFError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError,
    zipfile.BadZipFile, struct.error,
)  # fmt: skip
_Content = TypeVar("_Content")


def save(directory: Path, state: TrainingState) -> None:
    """Write the state as the newest checkpoint of a directory, and keep the one before it.

    Raises:
        OSError: The checkpoint could not be written; earlier checkpoints are intact.
    """
    newest = directory / NAME
    with files.atomic_path(newest) as path:
        write_archive(path, state)
        files.fsync(path)
        if newest.exists():
            newest.replace(directory / PREVIOUS)


def replace_newest(directory: Path, state: TrainingState) -> None:
    """Replace the newest checkpoint by a state, and leave the previous checkpoint unchanged.

    Raises:
        OSError: The checkpoint could not be written; the newest checkpoint is intact.
    """
    with files.atomic_path(directory / NAME) as path:
        write_archive(path, state)


def load(directory: Path) -> TrainingState | None:
    """Return the newest state of a directory, or None if there is no checkpoint.

    Raises:
        CheckpointError: The file cannot be read, or is damaged; the hint says how to continue.
    """
    return _load(directory, read_archive)


def load_summary(directory: Path) -> CheckpointSummary | None:
    """Return the summary of the newest checkpoint of a directory, or None if there is no checkpoint.

    Raises:
        CheckpointError: The file cannot be read, or is damaged; the hint says how to continue.
    """
    return _load(directory, read_summary)


def read(path: Path) -> TrainingState:
    """Return the state in one file.

    Raises:
        CheckpointError: The file cannot be read, or is damaged.
    """
    return _read(path, read_archive)


def recovery_hint(directory: Path, problem_path: Path) -> str:
    """Return how to continue if a checkpoint cannot be used: with the previous one, if that is intact."""
    newest, previous = directory / NAME, directory / PREVIOUS
    if problem_path == previous or not _exists(previous):
        return START_AGAIN
    try:
        epoch = read(previous).epoch
    except CheckpointError:
        return f"{START_AGAIN}; the previous checkpoint is damaged too"
    if newest.is_dir():
        return f"move {newest} away, to resume from epoch {epoch}: the previous checkpoint is intact"
    return f"run `mv {previous} {newest}`, to resume from epoch {epoch}: the previous checkpoint is intact"


def _load(directory: Path, read_content: Callable[[Path], _Content]) -> _Content | None:
    path = directory / NAME
    if not _exists(path):  # a kill between the two renames of `save` leaves only the previous one
        path = directory / PREVIOUS
    if not _exists(path):
        return None
    try:
        return _read(path, read_content)
    except CheckpointError as error:
        if error.hint:
            raise
        raise CheckpointError(error.problem, hint=recovery_hint(directory, path)) from error


def _read(path: Path, read_content: Callable[[Path], _Content]) -> _Content:
    try:
        return read_content(path)
    except PermissionError as error:
        raise _not_readable(path, error) from error
    except IsADirectoryError as error:
        raise CheckpointError(f"{path} is a directory, expected a checkpoint") from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # EINVAL: a damaged archive leads to an offset before its start
            raise _not_readable(path, error) from error
        raise _damaged(path, error) from error
    except _READ_ERRORS as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CheckpointError:
    try:
        size = f"{path.stat().st_size:,} bytes"
    except OSError:
        size = "unknown size"
    return CheckpointError(f"{path} is not a complete checkpoint ({size}): {error or type(error).__name__}")


def _not_readable(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"{path} cannot be read: {error.strerror or error}",
        hint="fix the permissions of the file or its disk, and repeat the call: it resumes from there",
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists() or path.is_symlink()
    except OSError as error:
        raise _not_readable(path, error) from error
