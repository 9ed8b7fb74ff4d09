"""The source of examples in record files: the records of a batch are read by their positions, in any order."""

from __future__ import annotations

import functools
import hashlib
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from deepkit.data.errors import DataError
from deepkit.data.record_format import RecordField, RecordFormat
from deepkit.data.record_index import ENTRY, SplitIndex, ValueRange, entries_file, labels_file, record_error
from deepkit.data.source_errors import SourceError
from deepkit.data.sources import Order, ordered_indices
from deepkit.data.value_extremes import ValueExtremes, value_extremes

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset, Nested, Tensor


class RecordReader:
    """Reads the records of a split by their index.

    Files are opened for each batch, so that a split may have more files than a process may open.

    Args:
        folder: The folder.
        split: Name of the split.
        index: The index of the split.

    Raises:
        DataError: The positions of the records cannot be read.
    """

    def __init__(self, folder: Path, split: str, index: SplitIndex) -> None:
        self._paths = [folder / shard.file for shard in index.shards]
        self._ends = np.cumsum([shard.num_examples for shard in index.shards])
        path = folder / entries_file(split)
        try:
            self._entries = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise record_error(path, "it is not an array of positions") from error
        if self._entries.dtype != ENTRY or self._entries.shape != (index.num_examples,):
            raise record_error(path, f"expected the positions of {index.num_examples:,} records")

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Return the records of some indices as an array of bytes, in their order.

        Raises:
            DataError: A file is missing, truncated or changed.
        """
        records = np.empty(len(indices), object)
        shards = np.searchsorted(self._ends, indices, side="right")
        entries = self._entries[indices]
        for shard in np.unique(shards).tolist():
            positions = np.flatnonzero(shards == shard)
            self._read_shard(self._paths[shard], positions.tolist(), entries[positions].tolist(), records)
        return records

    def _read_shard(
        self, path: Path, positions: list[int], entries: list[tuple[int, int, int]], records: np.ndarray
    ) -> None:
        try:
            with open(path, "rb", buffering=0) as file:
                for position, (offset, num_bytes, checksum) in zip(positions, entries, strict=True):
                    file.seek(offset)
                    record = file.read(num_bytes)
                    if len(record) != num_bytes or zlib.crc32(record) != checksum:
                        raise record_error(path, _record_problem(offset, num_bytes, len(record)))
                    records[position] = record
        except DataError:
            raise
        except OSError as error:
            raise record_error(path, (error.strerror or str(error)).lower()) from error


def _record_problem(offset: int, num_bytes: int, num_read: int) -> str:
    if num_read != num_bytes:
        return f"the record at byte {offset:,} has {num_read:,} bytes, expected {num_bytes:,}"
    return f"the record at byte {offset:,} does not have the checksum that was written"


class RecordSource:
    """Examples in record files, of which each epoch reads a permutation of the indices.

    Args:
        folder: The folder.
        split: Name of the split.
        index: The index of the split.
        record_format: The format of the examples.
        start: Index of the first example.
        num_examples: Number of examples; None for those from `start` on.
        labels: The labels of these examples in place of the stored ones; None for the stored ones.
    """

    kind = "records"

    def __init__(
        self,
        folder: Path,
        split: str,
        index: SplitIndex,
        record_format: RecordFormat,
        start: int = 0,
        num_examples: int | None = None,
        labels: Any = None,
    ) -> None:
        self.num_examples = index.num_examples - start if num_examples is None else num_examples
        self._folder, self._split, self._index, self._format = folder, split, index, record_format
        self._start, self._labels = start, labels
        self._reader = RecordReader(folder, split, index)
        with tf.init_scope(), tf.device("CPU:0"):
            self._label_tensors = None if labels is None else tf.nest.map_structure(tf.convert_to_tensor, labels)

    def __reduce__(self) -> tuple[Any, ...]:
        position = (self._start, self.num_examples, self._labels)
        return RecordSource, (self._folder, self._split, self._index, self._format, *position)

    def batches(self, order: Order | None, batch_size: int, drop_remainder: bool) -> Dataset:
        """Return the epoch's batches of indices; a stateless permutation shuffles them."""
        return ordered_indices(self.num_examples, order).batch(batch_size, drop_remainder)

    def fetch(self, *batch: Any) -> tuple[Tensor, Nested]:
        """Read and decode the records of the batch."""
        (indices,) = batch
        records = tf.numpy_function(self._read, [indices], tf.string, stateful=False)
        element = self._format.parse(tf.ensure_shape(records, indices.shape))
        if self._label_tensors is not None:
            labels = tf.nest.map_structure(lambda tensor: tf.gather(tensor, indices), self._label_tensors)
            element = (element[0], labels, *element[2:])
        return indices, element

    def _read(self, indices: np.ndarray) -> np.ndarray:
        try:
            return self._reader.read(indices + self._start)
        except DataError as error:
            raise SourceError(error) from error

    def content_hash(self) -> str:
        """Return the hash of all records with the range of the examples, and of labels that replace those stored."""
        hashed = f"{self._index.content_hash} {self._start}"
        if self._labels is not None:
            values = repr([np.asarray(leaf).tolist() for leaf in tf.nest.flatten(self._labels)])
            hashed += hashlib.blake2b(values.encode(), digest_size=8).hexdigest()
        return hashed

    @functools.cached_property
    def labels(self) -> Any:
        """The labels of the examples; None without labels, and if they need much memory.

        Raises:
            DataError: Their file is damaged.
        """
        if self._labels is not None or not self._index.has_labels:
            return self._labels
        path = self._folder / labels_file(self._split)
        try:
            with np.load(path) as stored:
                leaves = [stored[f"arr_{number}"] for number in range(len(stored.files))]
            labels = tf.nest.pack_sequence_as(self._format.structure[1], leaves)
        except Exception as error:  # NumPy raises many kinds of errors for damaged files
            raise record_error(path, "it is not a file of labels") from error
        return tf.nest.map_structure(lambda leaf: leaf[self._start : self._start + self.num_examples], labels)

    def with_labels(self, labels: Any) -> RecordSource:
        """Return a source with the same inputs and other labels."""
        return self._replace(labels=labels)

    def head(self, num_examples: int) -> RecordSource:
        """Return a source of the first examples."""
        return self.part(0, min(num_examples, self.num_examples))

    def part(self, start: int, num_examples: int) -> RecordSource:
        """Return a source of consecutive examples.

        Args:
            start: Index of the first one.
            num_examples: Number of examples.
        """
        labels = self._labels
        if labels is not None:
            labels = tf.nest.map_structure(lambda leaf: leaf[start : start + num_examples], labels)
        return self._replace(start=self._start + start, num_examples=num_examples, labels=labels)

    def _replace(self, **changes: Any) -> RecordSource:
        arguments = {"start": self._start, "num_examples": self.num_examples, "labels": self._labels, **changes}
        return RecordSource(self._folder, self._split, self._index, self._format, **arguments)

    def stored_inputs(self) -> Any:
        """Return examples of the smallest and the largest values of x; None if a tensor is ragged."""
        fields: list[RecordField] = tf.nest.flatten(self._format.inputs)
        if any(field.ragged_rank for field in fields):
            return None
        extremes = [self._extremes(*pair) for pair in zip(fields, self._index.ranges, strict=True)]
        return tf.nest.pack_sequence_as(self._format.inputs, extremes)

    def _extremes(self, field: RecordField, value_range: ValueRange) -> ValueExtremes:
        num_examples = self._index.num_examples
        if field.dtype == "string":
            return value_extremes(field.shape, "S1", (b"",), num_examples)
        limits = [limit for limit in (value_range.minimum, value_range.maximum) if limit is not None]
        dtype = tf.as_dtype(field.dtype).as_numpy_dtype
        invalid = (value_range.num_invalid, value_range.first_invalid)
        return value_extremes(field.shape, dtype, limits, num_examples, *invalid)
