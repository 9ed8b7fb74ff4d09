"""A checkpoint: one file with everything of a `State`, written whole or not at all, and checked when read.

It is a zip archive without compression: `state.json`, and the bytes of each variable. The archive carries a checksum
of every part, so a truncated or damaged file is noticed.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from deepkit.training.errors import CheckpointError
from deepkit.training.state import State
from deepkit.utils import large_files as files

NAME, PREVIOUS = "checkpoint.zip", "checkpoint.previous.zip"
_FORMAT = 1


def save(folder: Path, state: State) -> None:
    """Write the state as the newest checkpoint of a folder; the one before it is kept beside.

    Raises:
        OSError: It could not be written; the checkpoints that were there still are.
    """
    newest = folder / NAME
    with files.aside(newest) as path:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            _write(archive, state)
        files.settle(path)
        if newest.exists():
            newest.replace(folder / PREVIOUS)


def load(folder: Path) -> State | None:
    """Return the newest state of a folder, or None where there is none.

    Raises:
        CheckpointError: The file is truncated or damaged; the message says what can be done.
    """
    newest, previous = folder / NAME, folder / PREVIOUS
    if not newest.exists():  # killed between putting the old one aside and the new one in place
        newest = previous
    if not newest.exists():
        return None
    try:
        return read(newest)
    except CheckpointError as error:
        raise CheckpointError(f"{error}\n  hint: {_mend(newest, previous)}") from error


def read(path: Path) -> State:
    """Return the state in one file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive)
    except (zipfile.BadZipFile, EOFError, KeyError, ValueError, TypeError, AttributeError) as error:
        size = path.stat().st_size
        raise CheckpointError(f"{path} is no whole checkpoint ({size:,} bytes): {error}") from error


def _mend(newest: Path, previous: Path) -> str:
    if newest == previous or not previous.exists():
        return "moving it away, to start again from the first epoch"
    try:
        epoch = read(previous).epoch
    except CheckpointError:
        return "moving both checkpoints away, to start again from the first epoch; the one before is damaged too"
    return f"`mv {previous} {newest}`, to go on from epoch {epoch}: the checkpoint before it is whole"


def _write(archive: zipfile.ZipFile, state: State) -> None:
    arrays: list[np.ndarray] = []

    def keep(array: np.ndarray) -> dict[str, Any]:
        arrays.append(array)
        return {"array": len(arrays) - 1, "shape": list(array.shape), "dtype": array.dtype.name}

    head = {
        "format": _FORMAT,
        "epoch": state.epoch,
        "history": state.history,
        "seconds": state.seconds,
        "stopped": state.stopped,
        "variables": {
            group: [[path, keep(value)] for path, value in pairs] for group, pairs in state.variables.items()
        },
        "callbacks": [_packed(item, keep) for item in state.callbacks],
    }
    for i, array in enumerate(arrays):
        with archive.open(f"{i:06}", "w", force_zip64=True) as part:
            part.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    archive.writestr("state.json", json.dumps(head))


def _packed(value: Any, keep: Callable[[np.ndarray], dict[str, Any]]) -> Any:
    """Return a callback's value as JSON, its arrays put away."""
    if isinstance(value, dict):
        return {key: _packed(item, keep) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_packed(item, keep) for item in value]
    if isinstance(value, np.generic) and value.ndim == 0:
        return value.item()
    if hasattr(value, "__array__"):
        return keep(np.asarray(value))
    return value


def _read(archive: zipfile.ZipFile) -> State:
    head = json.loads(archive.read("state.json"))
    if head.get("format") != _FORMAT:
        raise ValueError(f"its format is {head.get('format')!r}, this deepkit reads {_FORMAT}")
    variables = {
        group: [(path, _array(archive, entry)) for path, entry in pairs] for group, pairs in head["variables"].items()
    }
    callbacks = [_unpacked(item, archive) for item in head["callbacks"]]
    return State(head["epoch"], variables, head["history"], head["seconds"], callbacks, head["stopped"])


def _array(archive: zipfile.ZipFile, entry: dict[str, Any]) -> np.ndarray:
    dtype = np.dtype(getattr(ml_dtypes, entry["dtype"], entry["dtype"]))
    raw = archive.read(f"{entry['array']:06}")
    return np.frombuffer(raw, np.uint8).view(dtype).reshape(entry["shape"])


def _unpacked(value: Any, archive: zipfile.ZipFile) -> Any:
    if isinstance(value, dict) and set(value) == {"array", "shape", "dtype"}:
        return _array(archive, value)
    if isinstance(value, dict):
        return {key: _unpacked(item, archive) for key, item in value.items()}
    if isinstance(value, list):
        return [_unpacked(item, archive) for item in value]
    return value
