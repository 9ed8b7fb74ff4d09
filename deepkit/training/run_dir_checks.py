"""Checks of a run directory before a training: its path, and whether it holds files of another program."""

from __future__ import annotations

import os
from pathlib import Path

from deepkit.training import directory_lock, run_files, run_verification, stored_config
from deepkit.training.errors import RunDirError
from deepkit.utils.errors import format_value, make_error


def check_files(folder: Path) -> None:
    """Raise if the directory holds no run, but files or folders with the names that a run writes.

    Raises:
        RunDirError: There are such files, they belong to a run whose config is missing, or the path is that of a
            file.
    """
    if _is_file(folder):
        raise RunDirError(
            f"run_dir: {folder} cannot be written: it is a file, not a directory; nothing was trained",
            hint="pass the path of a directory, which is created if it does not exist",
        )
    # before the check of the config, because another process may write its first files meanwhile
    names = [name for name in run_files.FILES if run_files.exists(folder / name)]
    if stored_config.is_run(folder):
        return
    if names and run_files.CONFIG not in names:
        error = run_verification.missing_config(folder)
        if error is not None:
            raise error
    if directory_lock.is_foreign(folder):
        names.append(directory_lock.NAME)
    if names:
        raise RunDirError(
            f"run_dir: {folder} is not the directory of a run, and the run would overwrite {', '.join(names)}; "
            "nothing was written",
            hint="use another run_dir, such as a new folder in it, or move these files away",
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise run_files.not_writable(path, error) from error


def check_path(path: object) -> Path:
    """Return the path of a run directory, with the home directory of the user for `~`.

    Raises:
        TypeError: `path` is neither a string nor a `pathlib.Path`.
        ValueError: The path is empty.
    """
    if not isinstance(path, str | os.PathLike):
        raise make_error(
            TypeError,
            f"run_dir must be a string or a pathlib.Path, received {format_value(path)}",
            hint="use run_dir='runs/first'",
        )
    text = os.fspath(path)
    if not isinstance(text, str):
        raise make_error(
            TypeError, f"run_dir must be a string, received {format_value(text)}", hint="use run_dir='runs/first'"
        )
    if not text.strip() or "\0" in text:
        raise make_error(
            ValueError,
            f"run_dir must be the path of a directory, received {format_value(text)}",
            hint="use run_dir='runs/first', or run_dir=None to save nothing",
        )
    return Path(text).expanduser()
