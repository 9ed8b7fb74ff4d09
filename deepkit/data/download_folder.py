"""The temporary folders of downloads: locked while a process uses them, and removed if their process was killed."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import IO

from deepkit.data.catalog import CatalogEntry

try:
    import fcntl
except ImportError:  # Windows has no such lock: folders of killed processes stay there
    fcntl = None  # type: ignore[assignment]

MAX_AGE = 24 * 3600
"""Seconds without a change after which a folder without a lock counts as stale."""
_PREFIX = ".deepkit-download-"
_UNLOCKED_PREFIX = ".deepkit-new-"
_RANDOM_PART = "[a-z0-9_]{8}"  # of the names that `tempfile` makes
_LOCK = ".lock"


@contextlib.contextmanager
def temporary_download_folder(entry: CatalogEntry, data_dir: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield a temporary folder for the download of a dataset, which is removed afterwards.

    The folder holds a lock until then. The operating system releases it if the process is killed, so that
    `remove_stale_folders` recognizes the folder.

    Raises:
        OSError: The folder cannot be created.
    """
    folder = pathlib.Path(tempfile.mkdtemp(prefix=_UNLOCKED_PREFIX, dir=data_dir))
    try:
        with open(folder / _LOCK, "w", encoding="utf-8") as lock_file:
            _try_lock(lock_file)
            random_part = folder.name.removeprefix(_UNLOCKED_PREFIX)
            folder = folder.rename(data_dir / f"{_prefix(entry)}{random_part}")  # locked before others recognize it
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_stale_folders(entry: CatalogEntry, data_dir: pathlib.Path) -> list[pathlib.Path]:
    """Remove the folders that interrupted downloads of a dataset left in a data folder.

    These are deepkit's temporary folders whose lock is free. Folders without a lock must not have changed for a day,
    and no process may have a file of them open: the folders `incomplete.ABC123_1.0.0` of TFDS, and those of a process
    that was killed before it locked its folder. All other files stay.

    Returns:
        The removed folders.
    """
    removed = []
    for folder in _folders(data_dir, rf"{re.escape(_prefix(entry))}{_RANDOM_PART}"):
        with _free_lock(folder) as is_free:
            if is_free:
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder)
    for folder in _folders_without_lock(entry, data_dir):
        if _is_unchanged(folder) and not _is_open(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return [folder for folder in removed if not folder.exists()]


def _prefix(entry: CatalogEntry) -> str:
    return f"{_PREFIX}{entry.name.replace('/', '-')}-{entry.version}-"


def _folders_without_lock(entry: CatalogEntry, data_dir: pathlib.Path) -> list[pathlib.Path]:
    tfds_name = rf"incomplete\.[A-Z0-9]{{6}}_{re.escape(entry.version)}"
    return [
        *_folders(entry.folder(data_dir).parent, tfds_name),
        *_folders(data_dir, rf"{re.escape(_UNLOCKED_PREFIX)}{_RANDOM_PART}"),
    ]


def _folders(parent: pathlib.Path, pattern: str) -> list[pathlib.Path]:
    """Return the folders in `parent` whose name matches, and that the user of this process owns; no links."""
    if fcntl is None:
        return []
    try:
        with os.scandir(parent) as entries:
            names = [
                item.name
                for item in entries
                if re.fullmatch(pattern, item.name)
                and item.is_dir(follow_symlinks=False)
                and item.stat(follow_symlinks=False).st_uid == os.getuid()
            ]
    except OSError:  # it does not exist or cannot be listed, or another process removes a folder at the same time
        return []
    return [parent / name for name in names]


@contextlib.contextmanager
def _free_lock(folder: pathlib.Path) -> Iterator[bool]:
    """Yield whether the lock of a folder is free, and hold it."""
    try:
        lock_file = open(folder / _LOCK, "a", encoding="utf-8")  # noqa: SIM115
    except OSError:  # another process removes the folder at the same time
        yield False
        return
    with lock_file:
        yield _try_lock(lock_file)


def _try_lock(lock_file: IO[str]) -> bool:
    """Lock a file if its lock is free, and return whether it was."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_unchanged(folder: pathlib.Path) -> bool:
    """Return whether a folder and all files in it are older than `MAX_AGE`."""
    try:
        newest = max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
    except OSError:  # a process changes it
        return False
    return time.time() - newest > MAX_AGE


def _is_open(folder: pathlib.Path) -> bool:
    """Return whether a process of this machine has a file in a folder open, or whether that is unknown."""
    processes = pathlib.Path("/proc")
    if not (processes / "self" / "fd").is_dir():
        return True
    start = f"{folder.resolve()}{os.sep}"
    for link in processes.glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):  # the process has ended, or belongs to another user
            if os.readlink(link).startswith(start):
                return True
    return False
