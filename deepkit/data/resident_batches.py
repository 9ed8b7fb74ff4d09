"""The batches of a pipeline in memory as a function of epoch and step, for a loop inside a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from deepkit.data.epoch_batches import EpochBatches
from deepkit.data.sources import MemorySource, shuffled_indices

if TYPE_CHECKING:
    from deepkit.utils.types import Nested, Tensor


class ResidentBatches:
    """The batches that `EpochBatches` yields, gathered from tensors in memory by the order of the epoch.

    Args:
        batches: The batches of the epochs; their source is in memory.
        functions: Functions of a batch to apply, first to last.
    """

    def __init__(self, batches: EpochBatches, functions: Sequence[Callable[..., Nested]] = ()) -> None:
        self._batches, self._functions = batches, tuple(functions)
        self._num_examples, self._batch_size = batches.source.num_examples, batches.settings.batch_size
        with tf.init_scope(), tf.device("CPU:0"):
            self._order = tf.Variable(tf.range(self._num_examples, dtype=tf.int64), trainable=False)

    @property
    def steps(self) -> int:
        """Number of batches in an epoch."""
        full, rest = divmod(self._num_examples, self._batch_size)
        return full + bool(rest and not self._batches.settings.drop_remainder)

    @classmethod
    def supports(cls, batches: EpochBatches) -> bool:
        """Return whether the examples are dense tensors in memory, and no function of the user maps them."""
        source = batches.source
        if not isinstance(source, MemorySource) or batches.settings.map:
            return False
        return all(isinstance(tensor, tf.Tensor) for tensor in tf.nest.flatten(source.tensors))

    def begin_epoch(self, epoch: int) -> None:
        """Draw the order of an epoch."""
        settings = self._batches.settings
        if settings.shuffle:
            self._order.assign(shuffled_indices(self._num_examples, settings.seed, tf.constant(epoch, tf.int64)))

    def batch(self, epoch: Tensor, step: Tensor) -> Nested:
        """Return a batch of the epoch that has begun.

        Args:
            epoch: int64 scalar.
            step: int64 scalar, from 0.
        """
        start = step * self._batch_size
        indices = self._order[start : start + self._batch_size]
        batch = self._batches.prepare_batch(epoch, (indices,))
        for function in self._functions:
            batch = function(*batch) if isinstance(batch, tuple) else function(batch)
        return batch
