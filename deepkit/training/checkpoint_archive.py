"""The format of a checkpoint: an uncompressed zip archive of `state.json` and the bytes of each array.

The archive has a checksum for each member. A reader accepts exactly the members that `state.json` lists, with their
shapes and types of numbers, and executes nothing.
"""

from __future__ import annotations

import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import ml_dtypes
import numpy as np

from deepkit.training.state import GROUPS, PartialEpoch, TrainingState, Variables

if TYPE_CHECKING:
    from deepkit.utils.types import History

_FORMAT, _PARTIAL_FORMAT = 2, 3  # the second one has a part of an epoch, which earlier versions do not read
_STATE, _PARTIAL = "state.json", "partial_epoch"
_FIELDS: dict[str, type] = {
    "run_id": str,
    "epoch": int,
    "history": dict,
    "seconds": list,
    "stopped": bool,
    "variables": dict,
    "callbacks": list,
}


class ArrayEntry(TypedDict):
    """The description of an array in `state.json`; its bytes are the member with this number."""

    array: int
    shape: list[int]
    dtype: str


@dataclass(frozen=True)
class CheckpointSummary:
    """The parts of a checkpoint that are read without its arrays.

    Args:
        name: Name of the file.
        run_id: The run that wrote it.
        epoch: Number of finished epochs.
        history: Loss and metrics of the finished epochs.
        partial_epoch: The part of the next epoch that is finished, or None.
    """

    name: str
    run_id: str
    epoch: int
    history: History
    partial_epoch: PartialEpoch | None


def write_archive(path: Path, state: TrainingState) -> None:
    """Write a state to a file.

    Raises:
        OSError: The file cannot be written.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        _write_members(archive, state)


def read_archive(path: Path) -> TrainingState:
    """Return the state in a file; raises various errors if it is not a complete checkpoint."""
    with zipfile.ZipFile(path) as archive:
        content = _read_state(archive, path.stat().st_size)
        reader = _ArrayReader(archive)
        variables: Variables = {}
        for group, pairs in content["variables"].items():
            variables[group] = [(str(name), reader.read(entry)) for name, entry in pairs]
        callbacks = [
            {name: _from_json(value, reader) for name, value in callback.items()} for callback in content["callbacks"]
        ]
        reader.check_complete()
    return TrainingState(
        epoch=content["epoch"],
        variables=variables,
        history=content["history"],
        seconds=content["seconds"],
        callbacks=callbacks,
        stopped=content["stopped"],
        run_id=content["run_id"],
        partial_epoch=_partial_epoch(content),
    )


def read_summary(path: Path) -> CheckpointSummary:
    """Return the summary of a file; raises various errors if it is not a checkpoint."""
    with zipfile.ZipFile(path) as archive:
        content = _read_state(archive, path.stat().st_size)
    return CheckpointSummary(
        path.name, content["run_id"], content["epoch"], content["history"], _partial_epoch(content)
    )


def _write_members(archive: zipfile.ZipFile, state: TrainingState) -> None:
    arrays: list[np.ndarray] = []
    variables: dict[str, list[tuple[str, ArrayEntry]]] = {}
    for group, pairs in state.variables.items():
        variables[group] = [(path, _add_array(value, arrays)) for path, value in pairs]
    partial = state.partial_epoch
    content = {
        "format": _FORMAT if partial is None else _PARTIAL_FORMAT,
        "run_id": state.run_id,
        "epoch": state.epoch,
        "history": state.history,
        "seconds": state.seconds,
        "stopped": state.stopped,
        "variables": variables,
        "callbacks": [_to_json(callback, arrays) for callback in state.callbacks],
        **({} if partial is None else {_PARTIAL: {"step": partial.step, "seconds": partial.seconds}}),
    }
    for number, array in enumerate(arrays):
        with archive.open(_member(number), "w", force_zip64=True) as member:
            member.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    archive.writestr(_STATE, json.dumps(content))


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


def _read_state(archive: zipfile.ZipFile, size: int) -> dict[str, Any]:
    """Return the content of `state.json`, with the fields and types that `write_archive` writes."""
    if sum(member.file_size for member in archive.infolist()) > size:  # otherwise, `read` would allocate that much
        raise ValueError("its members are larger than the file")
    for member in archive.infolist():
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise ValueError(f"its member {member.filename} is compressed or encrypted")
    content = json.loads(archive.read(_STATE))
    if not isinstance(content, dict):
        raise ValueError(f"{_STATE} holds a {type(content).__name__}, expected an object")
    if content.get("format") not in (_FORMAT, _PARTIAL_FORMAT):
        raise ValueError(
            f"its format is {content.get('format')!r}, this version of deepkit reads {_FORMAT} and {_PARTIAL_FORMAT}"
        )
    for name, kind in _FIELDS.items():
        if type(content.get(name)) is not kind:
            raise ValueError(f"{name} is {content.get(name)!r:.100}, expected a {kind.__name__}")
    if set(content["variables"]) != set(GROUPS):
        raise ValueError(f"its groups of variables are {sorted(content['variables'])}, expected {sorted(GROUPS)}")
    _check_epochs(content)
    _partial_epoch(content)
    return content


def _partial_epoch(content: dict[str, Any]) -> PartialEpoch | None:
    partial = content.get(_PARTIAL)
    if (partial is None) != (content["format"] == _FORMAT):
        raise ValueError(f"its format is {content['format']}, and its {_PARTIAL} is {partial!r:.100}")
    if partial is None:
        return None
    kinds = {name: type(value) for name, value in partial.items()} if isinstance(partial, dict) else {}
    if kinds != {"step": int, "seconds": float} or partial["step"] < 1:
        raise ValueError(f"{_PARTIAL} is {partial!r:.100}, expected a step from 1 on and the seconds until then")
    return PartialEpoch(**partial)


def _check_epochs(content: dict[str, Any]) -> None:
    """Raise if the lists with a value for each epoch do not have the length of the training."""
    epoch = content["epoch"]
    if epoch < 0 or len(content["seconds"]) != epoch:
        raise ValueError(f"it holds the durations of {len(content['seconds'])} epochs, expected {epoch}")
    for name, values in content["history"].items():
        if not isinstance(values, list) or len(values) > epoch:
            raise ValueError(f"the history of {name} does not have a value for each of {epoch} epochs")


class _ArrayReader:
    """Reads the arrays of an archive, each exactly once.

    Args:
        archive: The archive.
    """

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._unread = sorted(info.filename for info in archive.infolist())
        self._unread.remove(_STATE)

    def read(self, entry: ArrayEntry) -> np.ndarray:
        """Return the array of an entry."""
        member, shape = _member(entry["array"]), entry["shape"]
        if member not in self._unread:
            raise ValueError(f"the array {member} is missing, or listed twice")
        self._unread.remove(member)
        dtype = _numeric_dtype(entry["dtype"])
        size = self._archive.getinfo(member).file_size
        if any(length < 0 for length in shape) or math.prod(shape) * dtype.itemsize != size:
            raise ValueError(f"the array {member} has {size:,} bytes, which is not the shape {shape} of {dtype.name}")
        return np.frombuffer(self._archive.read(member), np.uint8).view(dtype).reshape(shape)

    def check_complete(self) -> None:
        """Raise if the archive has a member that no entry names."""
        if self._unread:
            raise ValueError(f"{_STATE} does not list its members {', '.join(self._unread[:5])}")


def _numeric_dtype(name: str) -> np.dtype:
    """Return the type of numbers or of fixed-length strings with a name; an object would be a pointer or a pickle."""
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    if dtype.hasobject or dtype.itemsize == 0:
        raise ValueError(f"the type of an array is {name}, expected numbers")
    return dtype


def _from_json(value: object, reader: _ArrayReader) -> object:
    if isinstance(value, dict) and set(value) == {"array", "shape", "dtype"}:
        return reader.read(ArrayEntry(array=value["array"], shape=value["shape"], dtype=value["dtype"]))
    if isinstance(value, dict):
        return {key: _from_json(item, reader) for key, item in value.items()}
    if isinstance(value, list):
        return [_from_json(item, reader) for item in value]
    return value
