"""The source of TFDS data that does not fit into memory: the records are read by their positions, in any order."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from deepkit.data.errors import DataError
from deepkit.data.sources import DiskSource, Order, VariantDataset, batch_numbered, ordered_indices
from deepkit.data.tfds_reader import TFDSReader

if TYPE_CHECKING:
    from deepkit.data.tfds_types import FileInstruction
    from deepkit.utils.types import Dataset, Nested, Tensor

_HEADER, _FOOTER_BYTES = struct.Struct("<QI"), 4  # of a record in a TFRecord file: its size and checksums
_MAX_BUFFER_BYTES = 2**18  # of a file that is read
_MAX_THREADS = 16  # they wait for the disk
_CYCLE_LENGTH, _BLOCK_LENGTH = 16, 16  # files, and examples of each, that TFDS interleaves by default


@dataclasses.dataclass(frozen=True)
class TFDSSource(DiskSource):
    """Examples in TFRecord files of TFDS, in the order in which TFDS reads them.

    Args:
        num_examples: Number of examples, the first ones.
        paths: The files.
        files: The index of the file of each example.
        offsets: The position of each example in its file.
        decode: Function that returns an example from its record.
    """

    paths: Tensor
    files: Tensor
    offsets: Tensor
    decode: Callable[[Tensor], Nested]
    kind = "tfds"

    def batches(self, order: Order | None, batch_size: int, drop_remainder: bool) -> Dataset:
        """Return the epoch's batches, each example with its index; a stateless permutation shuffles them."""
        numbered = ordered_indices(self.num_examples, order).map(self._read, num_parallel_calls=tf.data.AUTOTUNE)
        return batch_numbered(numbered, batch_size, drop_remainder)

    @tf.autograph.experimental.do_not_convert
    def _read(self, index: Tensor) -> tuple[Tensor, Nested]:
        """Return an example with its index; TensorFlow verifies the checksum of its record."""
        variant = tf.raw_ops.TFRecordDatasetV2(
            filenames=self.paths[self.files[index]][None],
            compression_type="",
            buffer_size=tf.constant(_MAX_BUFFER_BYTES, tf.int64),
            byte_offsets=self.offsets[index][None],
        )
        records: Any = VariantDataset(variant, tf.TensorSpec((), tf.string), [])
        return index, self.decode(records.take(1).get_single_element())


def make_source(reader: TFDSReader, tfds_slice: str, fix_sizes: Callable[[Nested], Nested] | None) -> TFDSSource:
    """Return the source of a TFDS slice; the headers of its records are read.

    Args:
        reader: The reader of the dataset.
        tfds_slice: The slice: "train[:90%]".
        fix_sizes: Function of an example that sets the static shape of its images, or None.

    Raises:
        DataError: A file is truncated.
    """
    info = reader.builder.info
    instructions = info.splits[tfds_slice].file_instructions
    with ThreadPoolExecutor(_MAX_THREADS) as executor:
        offsets = list(executor.map(_record_offsets, instructions))
    files = np.repeat(np.arange(len(offsets)), [len(item) for item in offsets])
    order = _interleaved([len(item) for item in offsets], 1 if info.disable_shuffling else _CYCLE_LENGTH)
    with tf.init_scope(), tf.device("CPU:0"):
        return TFDSSource(
            paths=tf.constant([str(instruction.filename) for instruction in instructions]),
            files=tf.constant(files[order], tf.int32),
            offsets=tf.constant(np.concatenate(offsets)[order], tf.int64),
            num_examples=len(order),
            decode=reader.decode if fix_sizes is None else lambda record: fix_sizes(reader.decode(record)),
        )


def _record_offsets(instruction: FileInstruction) -> np.ndarray:
    """Return the positions of some records of a TFRecord file."""
    offsets, position = [], 0
    with open(instruction.filename, "rb", buffering=0) as file:
        for number in range(instruction.skip + instruction.take):
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                expected = instruction.skip + instruction.take
                raise DataError(f"{instruction.filename} ends after {number:,} examples, expected {expected:,}")
            offsets.append(position)
            position = file.seek(_HEADER.unpack(header)[0] + _FOOTER_BYTES, 1)
    return np.array(offsets[instruction.skip :], "int64")


def _interleaved(counts: Sequence[int], cycle_length: int) -> np.ndarray:
    """Return the order in which TFDS reads the examples of files, as positions in the concatenated files."""
    stops = np.cumsum(counts)
    ranges = tf.data.Dataset.from_tensor_slices((stops - counts, stops))
    positions = ranges.interleave(tf.data.Dataset.range, cycle_length=cycle_length, block_length=_BLOCK_LENGTH)
    return np.concatenate([batch.numpy() for batch in positions.batch(2**16)])
