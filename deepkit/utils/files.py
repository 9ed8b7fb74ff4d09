"""Atomic file writes: write to a temporary file in the same folder, then rename it."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

_TEMPORARY_PREFIX = ".deepkit-unfinished-"
_TEMPORARY_NAME = re.compile(rf"{re.escape(_TEMPORARY_PREFIX)}\d+-.+")  # with the number of the process


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write a file atomically: a reader sees the old content or the new content, never a part of it.

    The parent folder is created if it does not exist. The new file has the permissions of the old one.

    Raises:
        OSError: The folder or the file cannot be written; the old file is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_temporary_path(path).name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file, and rename that file to `path` if the body raises no error.

    For writers that take a path, such as `model.save`. The temporary file has the suffix of `path` and lies in the
    same folder. `remove_stale_temporaries` removes it if the process is killed.

    Raises:
        OSError: The file cannot be written; the old file is unchanged.

    Examples:
        >>> path = Path("greeting.txt")
        >>> with atomic_path(path) as temporary:
        ...     _ = temporary.write_text("hello")
        >>> path.read_text()
        'hello'
    """
    temporary = _temporary_path(path)
    try:
        yield temporary
        fsync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def fsync(path: Path) -> None:
    """Block until the content of a file is on the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def remove_stale_temporaries(folder: Path) -> None:
    """Remove the temporary files of this module that a killed process left in a folder, and no others."""
    for path in folder.glob(f"{_TEMPORARY_PREFIX}*"):
        if _TEMPORARY_NAME.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def _temporary_path(path: Path) -> Path:
    return path.with_name(f"{_TEMPORARY_PREFIX}{os.getpid()}-{path.name}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
