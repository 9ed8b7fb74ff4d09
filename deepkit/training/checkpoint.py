"""Checkpoints: a `TrainingState` in one file, written atomically and checked when it is read.

A checkpoint is an uncompressed zip archive of `state.json` and the bytes of each variable. The archive has a checksum
for each member, so a truncated or damaged file is detected.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TypedDict

import ml_dtypes
import numpy as np

from deepkit.training.errors import CheckpointError
from deepkit.training.state import TrainingState, Variables
from deepkit.utils import files

NAME, PREVIOUS = "checkpoint.zip", "checkpoint.previous.zip"
_FORMAT = 1
_READ_ERRORS = (zipfile.BadZipFile, EOFError, KeyError, ValueError, TypeError, AttributeError)


class ArrayEntry(TypedDict):
    """The description of an array in `state.json`; its bytes are the member with this number."""

    array: int
    shape: list[int]
    dtype: str


def save(directory: Path, state: TrainingState) -> None:
    """Write the state as the newest checkpoint of a directory, and keep the one before it.

    Raises:
        OSError: The checkpoint could not be written; earlier checkpoints are intact.
    """
    newest = directory / NAME
    with files.atomic_path(newest) as path:
        _write_file(path, state)
        files.fsync(path)
        if newest.exists():
            newest.replace(directory / PREVIOUS)


def replace_newest(directory: Path, state: TrainingState) -> None:
    """Replace the newest checkpoint by a state, and leave the previous checkpoint unchanged.

    Raises:
        OSError: The checkpoint could not be written; the newest checkpoint is intact.
    """
    with files.atomic_path(directory / NAME) as path:
        _write_file(path, state)


def load(directory: Path) -> TrainingState | None:
    """Return the newest state of a directory, or None if there is no checkpoint.

    Raises:
        CheckpointError: The file is truncated or damaged; the hint says how to continue.
    """
    newest, previous = directory / NAME, directory / PREVIOUS
    if not newest.exists():  # a kill between the two renames of `save` leaves only the previous one
        newest = previous
    if not newest.exists():
        return None
    try:
        return read(newest)
    except CheckpointError as error:
        raise CheckpointError(error.problem, hint=_recovery_hint(newest, previous)) from error


def read(path: Path) -> TrainingState:
    """Return the state in one file.

    Raises:
        CheckpointError: The file is truncated or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_archive(archive)
    except _READ_ERRORS as error:
        size = path.stat().st_size
        raise CheckpointError(f"{path} is not a complete checkpoint ({size:,} bytes): {error}") from error


def _recovery_hint(newest: Path, previous: Path) -> str:
    if newest == previous or not previous.exists():
        return "move it away, to start again from the first epoch"
    try:
        epoch = read(previous).epoch
    except CheckpointError:
        return "move both checkpoints away, to start again from the first epoch; the previous one is damaged too"
    return f"run `mv {previous} {newest}`, to resume from epoch {epoch}: the previous checkpoint is intact"


def _write_file(path: Path, state: TrainingState) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        _write_archive(archive, state)


def _write_archive(archive: zipfile.ZipFile, state: TrainingState) -> None:
    arrays: list[np.ndarray] = []
    variables: dict[str, list[tuple[str, ArrayEntry]]] = {}
    for group, pairs in state.variables.items():
        variables[group] = [(path, _add_array(value, arrays)) for path, value in pairs]
    content = {
        "format": _FORMAT,
        "epoch": state.epoch,
        "history": state.history,
        "seconds": state.seconds,
        "stopped": state.stopped,
        "variables": variables,
        "callbacks": [_to_json(callback, arrays) for callback in state.callbacks],
    }
    for number, array in enumerate(arrays):
        with archive.open(_member(number), "w", force_zip64=True) as member:
            member.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    archive.writestr("state.json", json.dumps(content))


def _add_array(array: np.ndarray, arrays: list[np.ndarray]) -> ArrayEntry:
    arrays.append(array)
    return {"array": len(arrays) - 1, "shape": list(array.shape), "dtype": array.dtype.name}


def _member(number: int) -> str:
    return f"{number:06}"


def _to_json(value: object, arrays: list[np.ndarray]) -> object:
    """Return a callback's state as JSON values; its arrays are appended to `arrays`."""
    if isinstance(value, dict):
        return {key: _to_json(item, arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item, arrays) for item in value]
    if isinstance(value, np.generic) and value.ndim == 0:
        return value.item()
    if hasattr(value, "__array__"):
        return _add_array(np.asarray(value), arrays)
    return value


def _read_archive(archive: zipfile.ZipFile) -> TrainingState:
    content = json.loads(archive.read("state.json"))
    if content.get("format") != _FORMAT:
        raise ValueError(f"its format is {content.get('format')!r}, this version of deepkit reads {_FORMAT}")
    variables: Variables = {}
    for group, pairs in content["variables"].items():
        variables[group] = [(path, _read_array(archive, entry)) for path, entry in pairs]
    callbacks = []
    for callback in content["callbacks"]:
        callbacks.append({name: _from_json(value, archive) for name, value in callback.items()})
    return TrainingState(
        content["epoch"], variables, content["history"], content["seconds"], callbacks, content["stopped"]
    )


def _read_array(archive: zipfile.ZipFile, entry: ArrayEntry) -> np.ndarray:
    dtype = np.dtype(getattr(ml_dtypes, entry["dtype"], entry["dtype"]))
    content = archive.read(_member(entry["array"]))
    return np.frombuffer(content, np.uint8).view(dtype).reshape(entry["shape"])


def _from_json(value: object, archive: zipfile.ZipFile) -> object:
    if isinstance(value, dict) and set(value) == {"array", "shape", "dtype"}:
        return _read_array(archive, ArrayEntry(array=value["array"], shape=value["shape"], dtype=value["dtype"]))
    if isinstance(value, dict):
        return {key: _from_json(item, archive) for key, item in value.items()}
    if isinstance(value, list):
        return [_from_json(item, archive) for item in value]
    return value
