"""Write the record files of a split, and a folder of them atomically."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from deepkit.data.errors import DataError
from deepkit.data.nested_arrays import inputs_of
from deepkit.data.record_format import RecordFormat
from deepkit.data.record_index import ENTRY, Shard, SplitIndex, ValueRange, entries_file, labels_file
from deepkit.data.user_arrays import count_classes
from deepkit.utils import files

if TYPE_CHECKING:
    from deepkit.utils.types import Nested

MAX_LABEL_BYTES = 2**26
"""Labels of a split that need more memory are not kept in memory."""
_HEADER_BYTES, _FOOTER_BYTES = 12, 4  # of a record in a TFRecord file: size and checksums


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`, and rename it to `folder` if the body raises no error.

    Raises:
        DataError: `folder` exists already; it is not changed.
    """
    if os.path.lexists(folder):
        raise _exists_error(folder)
    files.make_folder(folder.parent)
    temporary = folder.with_name(f"{folder.name}.unfinished-{uuid.uuid4().hex[:8]}")
    temporary.mkdir()
    try:
        yield temporary
        for path in temporary.iterdir():
            files.fsync(path)
        files.fsync_folder(temporary)
        if os.path.lexists(folder):  # another process was faster
            raise _exists_error(folder)
        os.rename(temporary, folder)
        files.fsync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _exists_error(folder: Path) -> DataError:
    problem = f"{folder} exists already. Nothing was changed."
    return DataError(problem, hint="pass the path of a new folder, or remove this one")


class SplitWriter:
    """Writes the record files of a split.

    Args:
        folder: The folder.
        split: Name of the split.
        record_format: The format of the examples.
        max_shard_bytes: Largest size of a file, except that a file has at least one example.
    """

    def __init__(self, folder: Path, split: str, record_format: RecordFormat, max_shard_bytes: int) -> None:
        self._folder, self._split, self._format, self._max_bytes = folder, split, record_format, max_shard_bytes
        self._shards: list[Shard] = []
        self._entries: list[np.ndarray] = []
        self._ranges = [ValueRange() for _ in tf.nest.flatten(record_format.inputs)]
        self._labels: list[list[np.ndarray]] | None = [] if isinstance(record_format.structure, tuple) else None
        self._label_bytes = 0
        self._content = hashlib.blake2b(repr(record_format.to_json()).encode(), digest_size=8)
        self._file: Any = None
        self._num_bytes = self._num_in_shard = self.num_examples = 0

    def write(self, batch: Nested) -> None:
        """Write the examples of a batch, which has the format of the split."""
        self._update_ranges(inputs_of(batch))
        self._collect_labels(batch)
        entries = []
        for record in self._format.encode(batch):
            size = _HEADER_BYTES + len(record) + _FOOTER_BYTES
            if self._file is not None and self._num_bytes + size > self._max_bytes:
                self._end_shard()
            if self._file is None:
                self._file = tf.io.TFRecordWriter(str(self._folder / self._shard_name()))
            self._file.write(record)
            entries.append((self._num_bytes + _HEADER_BYTES, len(record), zlib.crc32(record)))
            self._content.update(record)
            self._num_bytes += size
            self._num_in_shard += 1
        self._entries.append(np.array(entries, ENTRY))
        self.num_examples += len(entries)

    def close(self) -> SplitIndex:
        """Complete the files and return their index."""
        self._end_shard()
        np.save(self._folder / entries_file(self._split), np.concatenate(self._entries))
        num_classes = None
        if self._labels:
            columns = [np.concatenate(leaves) for leaves in zip(*self._labels, strict=True)]
            np.savez(self._folder / labels_file(self._split), *columns)
            num_classes = count_classes(columns[0]) if len(columns) == 1 else None
        hashed, shards = self._content.hexdigest(), tuple(self._shards)
        return SplitIndex(self.num_examples, hashed, shards, tuple(self._ranges), bool(self._labels), num_classes)

    def _shard_name(self) -> str:
        return f"{self._split}-{len(self._shards):05d}.tfrecord"

    def _end_shard(self) -> None:
        if self._file is None:
            return
        self._file.close()
        self._shards.append(Shard(self._shard_name(), self._num_in_shard, self._num_bytes))
        self._file, self._num_bytes, self._num_in_shard = None, 0, 0

    def _update_ranges(self, x: Nested) -> None:
        leaves = tf.nest.flatten(x)
        self._ranges = [
            _extend(value_range, leaf, self.num_examples)
            for value_range, leaf in zip(self._ranges, leaves, strict=True)
        ]

    def _collect_labels(self, batch: Nested) -> None:
        """Keep the labels of a batch, unless those of the split need too much memory."""
        if self._labels is None or not isinstance(batch, tuple) or len(batch) < 2:
            self._labels = None
            return
        leaves = [_label_array(leaf) for leaf in tf.nest.flatten(batch[1])]
        self._label_bytes += sum(leaf.nbytes for leaf in leaves if leaf is not None)
        if any(leaf is None for leaf in leaves) or self._label_bytes > MAX_LABEL_BYTES:
            self._labels = None
            return
        self._labels.append([leaf for leaf in leaves if leaf is not None])


def _label_array(leaf: Any) -> np.ndarray | None:
    """Return labels as an array that `np.save` can store; None if there is none."""
    if isinstance(leaf, tf.RaggedTensor):
        return None
    array = np.asarray(leaf)
    if array.dtype.kind in "OU":
        texts: Sequence[bytes] = [text.encode() if isinstance(text, str) else text for text in array.flat]
        if any(text.endswith(b"\0") for text in texts):  # NumPy would remove the zero bytes
            return None
        return np.array(texts, "S").reshape(array.shape)
    return None if array.dtype.kind == "V" else array


def _extend(value_range: ValueRange, leaf: Any, start: int) -> ValueRange:
    """Return the range with the values of a batch, whose first example has the index `start`."""
    array = np.asarray(leaf.flat_values if isinstance(leaf, tf.RaggedTensor) else leaf)
    if array.dtype.kind not in "biuf" or not array.size:
        return value_range
    num_invalid, first, finite = value_range.num_invalid, value_range.first_invalid, array
    if array.dtype.kind == "f" and not np.isfinite(np.sum(array)) and not np.isfinite(array).all():
        finite = array[np.isfinite(array)]
        if not isinstance(leaf, tf.RaggedTensor):
            examples = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(1))
            num_invalid += len(examples)
            first = start + int(examples[0]) if first < 0 else first
    limits = [limit for limit in (value_range.minimum, value_range.maximum) if limit is not None]
    if finite.size:
        limits += [finite.min().item(), finite.max().item()]
    return ValueRange(min(limits, default=None), max(limits, default=None), num_invalid, first)
