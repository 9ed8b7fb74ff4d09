"""The rows of each batch for the devices of this process, if several devices share every batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset, Nested, Tensor


@dataclass(frozen=True)
class ReplicaRows:
    """The rows of each batch for the devices of this process, as numbered in `deepkit.utils.replicas`.

    Args:
        first: Number of the first device of this process, among the devices of all processes.
        count: Number of devices of this process.
        total: Number of devices of all processes.
    """

    first: int
    count: int
    total: int

    def split(self, batches: Dataset) -> Dataset:
        """Return a dataset with `count` elements for each batch: the rows for each device of this process.

        Args:
            batches: Batches in any structure of tensors with the examples along the first axis.
        """

        @tf.autograph.experimental.do_not_convert
        def split_batch(*batch: Any) -> Dataset:
            return self.of_batch(batch if isinstance(batches.element_spec, tuple) else batch[0])

        return batches.flat_map(split_batch)

    def of_batch(self, batch: Nested) -> Dataset:
        """Return a dataset of the rows of one batch for each device of this process."""
        num_examples = _num_examples(batch)

        @tf.autograph.experimental.do_not_convert
        def rows(device: Tensor) -> Nested:
            start, end = device * num_examples // self.total, (device + 1) * num_examples // self.total
            return tf.nest.map_structure(lambda tensor: tensor[start:end], batch)

        return tf.data.Dataset.range(self.first, self.first + self.count).map(rows)


def _num_examples(batch: Nested) -> Tensor:
    """Return the number of examples in a batch, an int64 scalar."""
    tensor = tf.nest.flatten(batch)[0]
    return tensor.nrows() if isinstance(tensor, tf.RaggedTensor) else tf.shape(tensor, tf.int64)[0]
