"""The lock of a run directory: one process trains there at a time.

The operating system releases the lock when the process ends, also if it is killed. A lock of `flock` belongs to the
open file, which a forked child shares:

- A child that `os.fork` or `multiprocessing` creates closes its copy at once, so it does not hold the lock after its
  parent was killed, and cannot release it.
- A child that a library creates in another way keeps its copy. `release` unlocks the file for all copies, so such a
  child does not block the directory, unless its parent was killed. The error then names the child.

Locks of `fcntl.lockf` are not inherited, but a process loses them as soon as it closes any copy of the file, for
instance after reading it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from deepkit.training.errors import RunDirError
from deepkit.utils.console import echo
from deepkit.utils.processes import is_running, processes_with_open_file

try:
    import fcntl
except ImportError:  # Windows has no such lock: two processes in one run directory are not detected there
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"
_MAX_CONTENT = 64
_IN_USE = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)


class DirectoryLock:
    """A lock of a run directory, with the number of the process that holds it as the content of its file.

    Args:
        folder: The run directory, which exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / NAME
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            RunDirError: Another process, or another call in this process, holds the lock.
            OSError: The file of the lock cannot be written.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._lock(descriptor)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        _acquired.add(self)

    def check_free(self) -> None:
        """Raise if a process, or a call in this process, holds the lock; nothing is written.

        Raises:
            RunDirError: The lock is held.
        """
        if fcntl is None or not self._path.is_file():
            return
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _IN_USE:
                raise self._in_use(os.pread(descriptor, _MAX_CONTENT, 0)) from error
        finally:
            os.close(descriptor)

    def release(self) -> None:
        """Release the lock for all processes that share it; no effect in a forked child."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        _acquired.discard(self)
        if fcntl is not None:
            with contextlib.suppress(OSError):  # of a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)

    def close_in_child(self) -> None:
        """Close a forked child's copy of the file, which leaves the lock to the parent."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _IN_USE:
                raise self._in_use(os.pread(descriptor, _MAX_CONTENT, 0)) from error
            if error.errno not in _UNSUPPORTED:
                raise
            echo(
                f"run_dir: the file system of {self._folder} has no locks ({error.strerror}); "
                "do not train there in two processes at a time"
            )

    def _in_use(self, content: bytes) -> RunDirError:
        problem = f"run_dir: {self._folder} is in use by"
        hint = "wait for that process, end it, or use another run_dir"
        number = content.strip()
        if not number.isdigit():
            return RunDirError(f"{problem} another process", hint=hint)
        process = int(number)
        if process == os.getpid():
            return RunDirError(
                f"{problem} another call in this process, {process}, which trains there",
                hint="wait for that call, or use another run_dir",
            )
        if is_running(process):
            return RunDirError(f"{problem} process {process}, which trains there", hint=hint)
        children = ", ".join(map(str, processes_with_open_file(self._path)))
        if not children:  # the number is that of a process on another machine, or this system has no /proc
            return RunDirError(
                f"{problem} process {process} of another machine, or by a process that it started", hint=hint
            )
        return RunDirError(
            f"run_dir: process {process}, which trained in {self._folder}, has ended, but a process that it started "
            "still holds its lock",
            hint=f"end that process ({children}), or use another run_dir",
        )


_acquired: set[DirectoryLock] = set()


def _close_in_child() -> None:
    for lock in _acquired:
        lock.close_in_child()
    _acquired.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


def is_foreign(folder: Path) -> bool:
    """Return whether the lock of a folder is a file of another program: deepkit's holds the number of a process."""
    try:
        content = (folder / NAME).read_bytes().strip()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # a folder, or a file that may not be read
        return True
    return bool(content) and not content.isdigit()
