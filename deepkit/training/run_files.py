"""The files of a run directory: their names, and JSON files with a checksum of their content."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deepkit.training import checkpoint, history_files
from deepkit.training.errors import RunDirError
from deepkit.utils.checksums import json_checksum

CONFIG, RESULT, MODEL, REPORT = "config.json", "result.json", "model.keras", "report.html"
PREPROCESSING, FIGURES = "preprocessing.json", "figures"
FILES = (
    CONFIG, checkpoint.NAME, checkpoint.PREVIOUS, history_files.JSON_NAME, history_files.CSV_NAME, RESULT, MODEL,
    REPORT, FIGURES, PREPROCESSING,
)  # fmt: skip
"""Names of the files and folders that a run writes into its directory."""

RESTORE = "restore the file from a backup, or use another run_dir"
CHECKSUM = "checksum"
_HDF5_ERROR = re.compile(r"errno = (\d+)")


def exists(path: Path) -> bool:
    """Return whether a path exists, also if it is a link to a missing file.

    Raises:
        RunDirError: Its folder may not be read.
    """
    try:
        return path.exists() or path.is_symlink()
    except OSError as error:
        raise not_writable(path.parent, error) from error


def with_checksum(content: Mapping[str, object]) -> str:
    """Return JSON values as the text of a file, with a checksum of the values as the last entry."""
    values = json.loads(json.dumps(content))
    return json.dumps(values | {CHECKSUM: json_checksum(values)}, indent=1) + "\n"


def read_json(path: Path, hint: str = RESTORE) -> dict[str, Any]:
    """Return the object in a JSON file.

    Args:
        path: The file.
        hint: The hint of the error for a damaged file, as an imperative.

    Raises:
        RunDirError: The file cannot be read, or is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except IsADirectoryError as error:
        raise damaged(path, "it is a directory", hint) from error
    except OSError as error:
        raise not_readable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise damaged(path, error, hint) from error
    if not isinstance(content, dict):
        raise damaged(path, f"expected a JSON object, received {type(content).__name__}", hint)
    return content


def check_checksum(path: Path, content: dict[str, Any], hint: str = RESTORE) -> dict[str, Any]:
    """Return the values that `with_checksum` wrote to a file.

    Args:
        path: The file.
        content: The object in it.
        hint: The hint of the error for a damaged file, as an imperative.

    Raises:
        RunDirError: The checksum of the values is missing, or another one.
    """
    values = {name: value for name, value in content.items() if name != CHECKSUM}
    if CHECKSUM not in content:
        raise damaged(path, "it has no checksum", hint)
    if content[CHECKSUM] != json_checksum(values):
        raise damaged(path, "its content does not have the checksum in it", hint)
    return values


def damaged(path: Path, reason: object, hint: str = RESTORE) -> RunDirError:
    """Return the error about a file that has not the content that the run wrote."""
    return RunDirError(f"run_dir: {path} is damaged ({reason})", hint=hint)


def missing(path: Path, evidence: str, hint: str = RESTORE) -> RunDirError:
    """Return the error about a file that the run wrote and that does not exist."""
    return RunDirError(f"run_dir: {path} is missing, {evidence}; nothing was changed", hint=hint)


def not_writable(folder: Path, error: OSError) -> RunDirError:
    """Return the error about a folder in which the run cannot work."""
    return RunDirError(
        f"run_dir: {folder} cannot be written: {error.strerror or error}; nothing was trained",
        hint="use another directory, or fix its permissions or free space on its disk",
    )


def not_readable(path: Path, error: OSError) -> RunDirError:
    """Return the error about a file that cannot be read."""
    return RunDirError(
        f"run_dir: {path} cannot be read: {error.strerror or error}; nothing was trained",
        hint="fix its permissions, or use another run_dir",
    )


@contextlib.contextmanager
def convert_disk_errors(folder: Path, consequence: str) -> Iterator[None]:
    """Raise a `RunDirError` that names the consequence if the body cannot write a file.

    Args:
        folder: The run directory.
        consequence: Which results are saved, and which are not.
    """
    try:
        yield
    except RunDirError:
        raise
    except (OSError, RuntimeError) as error:
        number = _HDF5_ERROR.search(str(error))  # HDF5 reports a full disk as a RuntimeError
        if not isinstance(error, OSError) and number is None:
            raise
        reason = os.strerror(int(number[1])) if number else getattr(error, "strerror", None) or error
        raise RunDirError(
            f"run_dir: writing to {folder} failed: {reason}; {consequence}",
            hint="free space on the disk and repeat the call: it resumes from there",
        ) from error
