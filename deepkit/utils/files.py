"""Atomic file writes: write to a temporary file in the same folder, then rename it.

A write returns after the file, its name and new parent folders are on the disk.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from deepkit.utils.processes import is_running

_TEMPORARY_PREFIX = ".deepkit-unfinished-"
_TEMPORARY_NAME = re.compile(rf"{re.escape(_TEMPORARY_PREFIX)}(\d+)-.+")  # with the number of the process
_CANNOT_FSYNC_FOLDERS = (errno.EINVAL, errno.ENOTSUP)  # of file systems without this operation

_counter = itertools.count(1)
_active: set[Path] = set()  # the temporary files that this process is writing


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write a file atomically: a reader sees the old content or the new content, never a part of it.

    The parent folder is created if it does not exist. The new file has the permissions of the old one.

    Raises:
        OSError: The folder or the file cannot be written; the old file is unchanged.
    """
    make_folder(path.parent)
    with atomic_path(path) as temporary:
        temporary.touch(mode=0o600 if path.exists() else 0o666)  # not readable for others before it is renamed
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file, and rename that file to `path` if the body raises no error.

    For writers that take a path, such as `model.save`. The temporary file has the suffix of `path` and lies in the
    same folder. `remove_stale_temporaries` removes it if the process is killed. The new file has the permissions of
    the old one.

    Raises:
        OSError: The file cannot be written; the old file is unchanged.

    Examples:
        >>> path = Path("greeting.txt")
        >>> with atomic_path(path) as temporary:
        ...     _ = temporary.write_text("hello")
        >>> path.read_text()
        'hello'
    """
    temporary = path.with_name(f"{_TEMPORARY_PREFIX}{os.getpid()}-{next(_counter)}-{path.name}")
    _active.add(temporary.absolute())
    try:
        yield temporary
        if path.exists():
            os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
        fsync(temporary)
        os.replace(temporary, path)
        fsync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
        _active.discard(temporary.absolute())


def make_folder(folder: Path) -> None:
    """Create a folder and its parents if they do not exist.

    Raises:
        OSError: A folder cannot be created.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        fsync_folder(path.parent)


def fsync(path: Path) -> None:
    """Block until the content of a file is on the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def fsync_folder(folder: Path) -> None:
    """Block until the names of the files in a folder are on the disk, if its file system supports this.

    Raises:
        OSError: The disk reports an error.
    """
    if os.name == "nt":  # Windows does not open folders
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # the user may write files there, but not list them
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FSYNC_FOLDERS:
            raise
    finally:
        os.close(descriptor)


def remove_stale_temporaries(folder: Path) -> None:
    """Remove the temporary files of this module that an ended process left in a folder, and no others."""
    for path in folder.glob(f"{_TEMPORARY_PREFIX}*"):
        match = _TEMPORARY_NAME.fullmatch(path.name)
        if match and _is_stale(path, int(match[1])):
            path.unlink(missing_ok=True)


def _is_stale(path: Path, process: int) -> bool:
    """Return whether no process writes to a temporary file; an earlier process may have had the number of this one."""
    if process == os.getpid() and path.absolute() in _active:
        return False
    if process != os.getpid() and is_running(process):
        return False
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def expand_user(path: str | os.PathLike[str]) -> Path:
    """Return a path with the home folder in place of "~"; unchanged if there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)
