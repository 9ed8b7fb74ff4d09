"""Where a pipeline's examples come from: tensors in memory, or a stream that is read as it goes.

Both answer the same two calls. `batches` is cheap and says what the batches of an epoch are; `fetch` turns one
of them into (index, element) and runs in parallel. Both depend on (seed, epoch) alone.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from typing import Any, Protocol

import numpy as np
import tensorflow as tf


class Source(Protocol):
    """What a `Pipeline` reads from."""

    @property
    def num_examples(self) -> int:
        """How many examples there are."""

    @property
    def kind(self) -> str:
        """Return "memory" or "stream"."""

    def batches(self, order: tuple[int, Any] | None, batch_size: int, drop_remainder: bool) -> Any:
        """Return the batches of one epoch, in file order, or shuffled by `order` = (seed, epoch)."""

    def fetch(self, *batch: Any) -> tuple[Any, Any]:
        """Turn what `batches` gave into (int64 index (batch,), element)."""

    def digest(self) -> str:
        """Return a short hash of the contents where there is no name and version to know them by."""

    def head(self, count: int) -> Source:
        """Return a source of the first examples alone."""


class MemorySource:
    """Examples held in memory as they were decoded (uint8 stays uint8); a batch is one gather.

    Args:
        arrays: a structure of NumPy arrays or ragged tensors with the examples along the first axis.

    """

    kind = "memory"

    def __init__(self, arrays: Any) -> None:
        self.arrays = arrays
        with tf.init_scope(), tf.device("CPU:0"):
            self.tensors = tf.nest.map_structure(_tensor, arrays)
        self.num_examples = int(tf.nest.flatten(self.tensors)[0].shape[0])

    def batches(self, order: tuple[int, Any] | None, batch_size: int, drop_remainder: bool) -> Any:
        """Return the epoch's batches of indices: all of a stateless permutation."""
        if order is None:
            indices = tf.data.Dataset.range(self.num_examples)
        else:
            seed = tf.stack([tf.constant(order[0], tf.int64), tf.cast(order[1], tf.int64)])
            every = tf.range(self.num_examples, dtype=tf.int64)
            shuffled = tf.random.experimental.stateless_shuffle(every, seed, alg="philox")
            indices = tf.data.Dataset.from_tensor_slices(shuffled)
        return indices.batch(batch_size, drop_remainder)

    def fetch(self, *batch: Any) -> tuple[Any, Any]:
        """Gather the examples of the batch."""
        (index,) = batch
        return index, tf.nest.map_structure(lambda tensor: tf.gather(tensor, index), self.tensors)

    def digest(self) -> str:
        """Hash the contents."""
        return self._digest

    def head(self, count: int) -> MemorySource:
        """Return a source of the first examples alone."""
        return MemorySource(tf.nest.map_structure(lambda array: array[:count], self.arrays))

    @functools.cached_property
    def _digest(self) -> str:
        total = hashlib.blake2b(digest_size=8)
        for leaf in tf.nest.flatten(self.arrays, expand_composites=True):
            array = np.ascontiguousarray(leaf)
            total.update(f"{array.dtype}{array.shape}".encode())
            total.update(repr(array.tolist()).encode() if array.dtype == object else array.tobytes())
        return total.hexdigest()


@dataclasses.dataclass(frozen=True)
class StreamSource:
    """Examples read from disk as training goes, for data that does not fit in memory.

    Args:
        dataset: single examples, always in the same order.
        num_examples: how many there are.
        buffer: how many examples the shuffle buffer holds. It must not depend on the memory that happens to
            be free, or another run would see another order.

    """

    dataset: Any
    num_examples: int
    buffer: int
    kind: str = "stream"

    def batches(self, order: tuple[int, Any] | None, batch_size: int, drop_remainder: bool) -> Any:
        """Return the epoch's batches, each example with its place in the data set."""
        numbered = self.dataset.enumerate()
        if order is not None:
            numbered = _shuffle(numbered, self.buffer, *order)
        if any(not spec.shape.is_fully_defined() for spec in tf.nest.flatten(numbered.element_spec)):
            return numbered.ragged_batch(batch_size, drop_remainder)
        return numbered.batch(batch_size, drop_remainder)

    def fetch(self, *batch: Any) -> tuple[Any, Any]:
        """Return the batch, which is already there."""
        index, element = batch
        return index, element

    def digest(self) -> str:
        """Return nothing: a stream is known by its name and version."""
        return ""

    def head(self, count: int) -> StreamSource:
        """Return a source of the first examples alone."""
        return dataclasses.replace(self, dataset=self.dataset.take(count), num_examples=min(count, self.num_examples))


class Wrapped(tf.data.Dataset):
    """A dataset made straight from a TensorFlow op's variant tensor."""

    def __init__(self, variant: Any, element_spec: Any, inputs: list[Any]) -> None:
        self._spec, self._from = element_spec, inputs
        super().__init__(variant)

    def _inputs(self) -> list[Any]:
        return self._from

    @property
    def element_spec(self) -> Any:
        """The structure, shapes and dtypes of the elements."""
        return self._spec


def _tensor(array: Any) -> Any:
    return array if isinstance(array, tf.RaggedTensor) else tf.convert_to_tensor(array)


def _shuffle(dataset: Any, buffer: int, seed: int, epoch: Any) -> Any:
    # Dataset.shuffle mixes in tf.random.set_seed's global seed; the op takes exactly these two numbers. Both
    # being 0 would mean "any", hence the 1.
    variant = tf.raw_ops.ShuffleDataset(
        input_dataset=dataset._variant_tensor,
        buffer_size=tf.constant(buffer, tf.int64),
        seed=tf.constant(seed, tf.int64),
        seed2=tf.cast(epoch, tf.int64) + 1,
        reshuffle_each_iteration=False,
        **dataset._flat_structure,
    )
    return Wrapped(variant, dataset.element_spec, [dataset])
