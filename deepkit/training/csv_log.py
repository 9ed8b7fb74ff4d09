"""Continue the file of a `CSVLogger`: no row is lost, and no row or header is written twice."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from deepkit.utils import files


def capture(logger: keras.callbacks.CSVLogger) -> dict[str, Any]:
    """Write all rows, and return the size of the file and a hash of its content."""
    if logger.csv_file is not None and not logger.csv_file.closed:
        logger.csv_file.flush()
    content = _read(Path(logger.filename))
    return {"size": len(content), "hash": _hash(content)}


@contextlib.contextmanager
def continued(logger: keras.callbacks.CSVLogger, state: Mapping[str, Any] | None, epoch: int) -> Iterator[None]:
    """Let a logger append to its file if the run resumes, and close the file if the training raises an error.

    Args:
        logger: The logger.
        state: The state of the file in the checkpoint, or None.
        epoch: The first epoch of the training; rows of this epoch and later ones are removed.
    """
    settings = logger.append, logger.append_header
    path = Path(logger.filename)
    if epoch or logger.append:
        _remove_rows(path, state, epoch, logger.sep)
    if epoch and path.exists():
        logger.append = True
    try:
        yield
    finally:
        if logger.csv_file is not None and not logger.csv_file.closed:
            logger.csv_file.close()
        logger.append, logger.append_header = settings


def _remove_rows(path: Path, state: Mapping[str, Any] | None, epoch: int, separator: str) -> None:
    """Remove the rows that were written after the checkpoint: those of `epoch` and later, and an incomplete one."""
    content = _read(path)
    if not state or not content:
        return
    size = int(state["size"])
    if _hash(content[:size]) == state["hash"]:
        lines = content[size:].splitlines(keepends=True)
        remaining = [line for line in lines if not _is_row(line, epoch, separator)]
        remaining = [line for line in remaining if line.endswith((b"\n", b"\r")) or not line[:1].isdigit()]
        content = content[:size] + b"".join(remaining)
    elif epoch:  # an edited or unrelated file: only its last rows can belong to this run
        lines = content.splitlines(keepends=True)
        while lines and _is_row(lines[-1], epoch, separator):
            lines.pop()
        content = b"".join(lines)
    if content != _read(path):
        files.atomic_write(path.resolve(), content)


def _is_row(line: bytes, epoch: int, separator: str) -> bool:
    """Return whether a line is the row of `epoch` or of a later epoch."""
    first = line.split(separator.encode())[0].strip()
    return first.isdigit() and int(first) >= epoch


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
