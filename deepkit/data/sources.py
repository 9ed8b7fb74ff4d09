"""Sources of a pipeline's examples: tensors in memory, or a stream that is read in every epoch.

`batches` is cheap and lists the batches of an epoch; `fetch` turns one of them into (indices, element) and runs in
parallel. Both depend on (seed, epoch) only.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

import numpy as np
import tensorflow as tf

from deepkit.data.nested_arrays import inputs_of
from deepkit.utils.errors import make_error

if TYPE_CHECKING:
    from deepkit.data.nested_arrays import Arrays
    from deepkit.utils.types import Dataset, Nested, Tensor

Order: TypeAlias = tuple[int, "Tensor"]
"""Seed and epoch of a shuffled order."""


class Source(Protocol):
    """A source of examples that a `Pipeline` reads."""

    @property
    def num_examples(self) -> int:
        """Number of examples."""

    @property
    def kind(self) -> str:
        """Return "memory", "stream", "images" or "records"."""

    @property
    def labels(self) -> Any:
        """The labels of all examples; None without labels, or if they are read from disk."""

    def batches(self, order: Order | None, batch_size: int, drop_remainder: bool) -> Dataset:
        """Return the batches of one epoch, in the order of the files or shuffled by `order` = (seed, epoch)."""

    def fetch(self, *batch: Any) -> tuple[Tensor, Nested]:
        """Convert an element of `batches` to (int64 indices (batch,), element)."""

    def content_hash(self) -> str:
        """Return a short hash of the contents, or an empty string if name and version identify them."""

    def head(self, num_examples: int) -> Source:
        """Return a source of the first examples."""

    def with_labels(self, labels: Any) -> Source:
        """Return a source with the same inputs and other labels; there are labels in memory."""

    def stored_inputs(self) -> Any:
        """Return the arrays of x as they are stored, or one example that represents them; None if unknown."""


class MemorySource:
    """Examples in memory, in the dtype in which they were decoded (uint8 stays uint8); a batch is one gather.

    Args:
        arrays: A structure of NumPy arrays or ragged tensors with the examples along the first axis.
    """

    kind = "memory"

    def __init__(self, arrays: Arrays | Nested) -> None:
        self.arrays = arrays
        with tf.init_scope(), tf.device("CPU:0"):
            self.tensors = tf.nest.map_structure(_as_tensor, arrays)
        self.num_examples = int(tf.nest.flatten(self.tensors)[0].shape[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return MemorySource, (self.arrays,)

    def batches(self, order: Order | None, batch_size: int, drop_remainder: bool) -> Dataset:
        """Return the epoch's batches of indices; a stateless permutation shuffles them."""
        return ordered_indices(self.num_examples, order).batch(batch_size, drop_remainder)

    def fetch(self, *batch: Any) -> tuple[Tensor, Nested]:
        """Gather the examples of the batch."""
        (indices,) = batch
        return indices, tf.nest.map_structure(lambda tensor: tf.gather(tensor, indices), self.tensors)

    def content_hash(self) -> str:
        """Return a hash of the arrays."""
        return self._content_hash

    @property
    def labels(self) -> Any:
        """The labels of all examples, or None."""
        return self.arrays[1] if isinstance(self.arrays, tuple) and len(self.arrays) > 1 else None

    def with_labels(self, labels: Nested) -> MemorySource:
        """Return a source with the same inputs, which are not copied, and other labels."""
        return MemorySource((self.tensors[0], labels, *self.tensors[2:]))

    def head(self, num_examples: int) -> MemorySource:
        """Return a source of the first examples."""
        return MemorySource(tf.nest.map_structure(lambda array: array[:num_examples], self.arrays))

    def stored_inputs(self) -> Any:
        """Return the arrays of x."""
        arrays: Any = self.arrays
        return inputs_of(arrays)

    @functools.cached_property
    def _content_hash(self) -> str:
        content = hashlib.blake2b(digest_size=8)
        for leaf in tf.nest.flatten(self.arrays, expand_composites=True):
            array = np.ascontiguousarray(leaf)
            content.update(f"{array.dtype}{array.shape}".encode())
            content.update(repr(array.tolist()).encode() if array.dtype == object else array.tobytes())
        return content.hexdigest()


@dataclasses.dataclass(frozen=True)
class DiskSource:
    """The base of sources whose examples TensorFlow reads from disk in every epoch; name and version identify the data.

    Args:
        num_examples: Number of examples, the first ones.
    """

    num_examples: int

    @property
    def labels(self) -> None:
        """None: the labels are not in memory."""

    def __reduce__(self) -> tuple[Any, ...]:
        problem = "data that is read from disk in every epoch cannot be pickled or copied: TensorFlow reads it"
        raise make_error(TypeError, problem, hint="load it again where it is needed")

    def fetch(self, *batch: Any) -> tuple[Tensor, Nested]:
        """Return the batch, which `batches` has already read."""
        indices, element = batch
        return indices, element

    def content_hash(self) -> str:
        """Return an empty string: name and version identify the data."""
        return ""

    def head(self, num_examples: int) -> Self:
        """Return a source of the first examples."""
        return dataclasses.replace(self, num_examples=min(num_examples, self.num_examples))

    def with_labels(self, labels: Any) -> Source:
        """Raise an error: the labels are not in memory."""
        raise TypeError(f"{type(self).__name__}.with_labels: the labels are not in memory")

    def stored_inputs(self) -> None:
        """Return None: the examples are not in memory."""


@dataclasses.dataclass(frozen=True)
class StreamSource(DiskSource):
    """Examples that are read in the order of the files, and shuffled in a buffer.

    Args:
        num_examples: Number of examples, the first ones.
        dataset: Single examples, always in the same order.
        buffer_size: Number of examples in the shuffle buffer. It must not depend on the memory that happens to
            be free, or another run would see another order.
    """

    dataset: Dataset
    buffer_size: int
    kind = "stream"

    def batches(self, order: Order | None, batch_size: int, drop_remainder: bool) -> Dataset:
        """Return the epoch's batches, each example with its index in the dataset."""
        numbered = self.dataset.take(self.num_examples).enumerate()
        if order is not None:
            numbered = _shuffle(numbered, self.buffer_size, *order)
        return batch_numbered(numbered, batch_size, drop_remainder)


def batch_numbered(numbered: Any, batch_size: int, drop_remainder: bool) -> Dataset:
    """Return batches of examples with their indices; ragged if the sizes of the examples differ."""
    if any(not spec.shape.is_fully_defined() for spec in tf.nest.flatten(numbered.element_spec)):
        return numbered.ragged_batch(batch_size, drop_remainder)
    return numbered.batch(batch_size, drop_remainder)


class VariantDataset(tf.data.Dataset):
    """A dataset made directly from the variant tensor of a TensorFlow op.

    Args:
        variant: The variant tensor.
        element_spec: Structure, shapes and dtypes of the elements.
        inputs: The datasets that the op reads.
    """

    def __init__(self, variant: Tensor, element_spec: object, inputs: list[Dataset]) -> None:
        self._spec, self._input_datasets = element_spec, inputs
        super().__init__(variant)

    def _inputs(self) -> list[Dataset]:
        return self._input_datasets

    @property
    def element_spec(self) -> object:
        """Structure, shapes and dtypes of the elements."""
        return self._spec


def ordered_indices(num_examples: int, order: Order | None) -> Dataset:
    """Return the indices of one epoch, in order or shuffled by a stateless permutation."""
    if order is None:
        return tf.data.Dataset.range(num_examples)
    return tf.data.Dataset.from_tensor_slices(shuffled_indices(num_examples, *order))


def shuffled_indices(num_examples: int, seed: int, epoch: Tensor) -> Tensor:
    """Return the indices of one epoch, int64 (num_examples,), shuffled by a stateless permutation."""
    stateless_seed = tf.stack([tf.constant(seed, tf.int64), tf.cast(epoch, tf.int64)])
    indices = tf.range(num_examples, dtype=tf.int64)
    return tf.random.experimental.stateless_shuffle(indices, stateless_seed, alg="philox")


def _as_tensor(array: Tensor) -> Tensor:
    return array if isinstance(array, tf.RaggedTensor) else tf.convert_to_tensor(array)


def _shuffle(dataset: Any, buffer_size: int, seed: int, epoch: Tensor) -> Dataset:
    # Dataset.shuffle mixes in the global seed of tf.random.set_seed; the op takes exactly these two numbers. If
    # both were 0, the op would choose random seeds, hence the 1.
    variant = tf.raw_ops.ShuffleDataset(
        input_dataset=dataset._variant_tensor,
        buffer_size=tf.constant(buffer_size, tf.int64),
        seed=tf.constant(seed, tf.int64),
        seed2=tf.cast(epoch, tf.int64) + 1,
        reshuffle_each_iteration=False,
        **dataset._flat_structure,
    )
    return VariantDataset(variant, dataset.element_spec, [dataset])
