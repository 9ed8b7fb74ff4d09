"""Processes of this machine: whether one is running, and which ones have a file open."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_PROC = Path("/proc")


def is_running(process: int) -> bool:
    """Return whether a process with this number is running; True if the operating system cannot be asked.

    >>> is_running(os.getpid())
    True
    """
    if os.name == "nt":  # there, `os.kill` ends the process
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another user
        return True
    return True


def processes_with_open_file(path: Path) -> list[int]:
    """Return the other processes that have a file open; empty if the operating system does not list them."""
    processes = []
    with contextlib.suppress(OSError):
        target = path.stat()
        for folder in _PROC.iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid() and _has_open(folder, target):
                processes.append(int(folder.name))
    return sorted(processes)


def _has_open(process: Path, target: os.stat_result) -> bool:
    with contextlib.suppress(OSError):  # the process has ended, or belongs to another user
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                if os.path.samestat(descriptor.stat(), target):
                    return True
    return False
