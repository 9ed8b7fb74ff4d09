"""Large files written whole or not at all: made aside, by whoever knows how, then put in place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_MARK = ".unfinished-"


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Give a name to write to in the same folder, with the same suffix, and put it in place when all went well.

    Raises:
        OSError: Writing failed; what was at `path` before still is.
    """
    unfinished = path.with_name(f"{_MARK}{os.getpid()}-{path.name}")
    try:
        yield unfinished
        settle(unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def settle(path: Path) -> None:
    """Wait until the bytes of a file are on the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def sweep(folder: Path) -> None:
    """Remove what a killed process had begun to write."""
    for unfinished in folder.glob(f"{_MARK}*"):
        unfinished.unlink(missing_ok=True)
