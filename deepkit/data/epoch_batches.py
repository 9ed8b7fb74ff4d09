"""The batches of the epochs of a pipeline: read from its source, augmented, mapped or scaled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from deepkit.data import stateless_random
from deepkit.data.augmentation import augment_images
from deepkit.data.epoch_counter import make_epoch_counter
from deepkit.data.images import cast_images, check_images, scale_images
from deepkit.data.pipeline_settings import PipelineSettings
from deepkit.data.sources import Source
from deepkit.data.targets import with_target
from deepkit.utils.errors import format_value, make_error

if TYPE_CHECKING:
    from deepkit.data.replica_rows import ReplicaRows
    from deepkit.utils.types import Dataset, Nested, Tensor


@dataclass(frozen=True)
class EpochBatches:
    """The batches of the epochs of a source, each epoch a pure function of (seed, epoch).

    Args:
        source: Source of the examples.
        settings: Batch size, order, augmentation and the other settings.
    """

    source: Source
    settings: PipelineSettings

    def next_epoch(self, num_batches: int) -> Dataset:
        """Return the batches of one epoch; each iteration of a shuffled dataset yields the next epoch."""
        single = tf.data.Dataset.from_tensors(tf.constant(0, tf.int64))
        epoch = single.map(make_epoch_counter()) if self.settings.shuffle else single
        return _with_cardinality(self._of_epochs(epoch), num_batches)

    def all_epochs(self, start: int, replica_rows: ReplicaRows | None = None) -> Dataset:
        """Return an infinite dataset of the epochs from `start` on.

        Args:
            start: First epoch, from 0.
            replica_rows: The rows of each batch to read, as one element for each device; None for whole batches.
        """
        epochs = self._of_epochs(tf.data.Dataset.counter(start, dtype=tf.int64), replica_rows)
        return _with_cardinality(epochs, tf.data.INFINITE_CARDINALITY)

    def _of_epochs(self, epochs: Dataset, replica_rows: ReplicaRows | None = None) -> Dataset:
        """Convert a dataset of epoch numbers to the batches of those epochs, or to rows of them."""
        # Planning is cheap and sequential over the epochs; preparing is costly and runs in parallel across them.
        planned = epochs.flat_map(self._plan_epoch)
        if replica_rows is not None:
            planned = planned.flat_map(_plan_rows(replica_rows))
        return planned.map(self.prepare_batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    @tf.autograph.experimental.do_not_convert
    def _plan_epoch(self, epoch: Tensor) -> Dataset:
        """Return the batches of an epoch as (epoch, batch of the source)."""
        settings = self.settings
        order = (settings.seed, epoch) if settings.shuffle else None
        batches = self.source.batches(order, settings.batch_size, settings.drop_remainder)
        return batches.map(tf.autograph.experimental.do_not_convert(lambda *batch: (epoch, batch)))

    @tf.autograph.experimental.do_not_convert
    def prepare_batch(self, epoch: Tensor, batch: Sequence[Nested]) -> Nested:
        """Fetch a batch, augment it, map or scale x, and set the target."""
        settings = self.settings
        indices, element = self.source.fetch(*batch)
        x, *labels = element if isinstance(element, tuple) else (element,)
        if settings.rescale or settings.augmentations or settings.map:
            x = cast_images(x, settings.scales)
        if settings.augmentations:
            keys = stateless_random.example_keys(settings.seed, epoch, indices)
            x = augment_images(settings.augmentations, check_images(x), keys)
        if settings.map:  # tf.function converts `if` and `for` over tensors, as every map of tf.data does
            x = _check_mapped(tf.function(settings.map)(x))
        elif settings.rescale:
            x = scale_images(x, settings.scales)
        if settings.target == "inputs" and settings.target_scales is not None:
            return x, scale_images(cast_images(x, settings.target_scales), settings.target_scales), *labels[1:]
        return with_target((x, *labels) if isinstance(element, tuple) else x, settings.target)


def _plan_rows(replica_rows: ReplicaRows) -> Callable[[Tensor, Nested], Dataset]:
    """Return the function that splits a planned batch (epoch, batch of the source) into the rows for each device."""

    @tf.autograph.experimental.do_not_convert
    def split(epoch: Tensor, batch: Nested) -> Dataset:
        add_epoch = tf.autograph.experimental.do_not_convert(lambda *rows: (epoch, rows))
        return replica_rows.of_batch(batch).map(add_epoch)

    return split


def _check_mapped(x: Nested) -> Nested:
    """Raise if a map function returned None in place of a batch."""
    if any(leaf is None for leaf in tf.nest.flatten(x)):
        problem = f"map: expected a function that returns a batch of x, received {format_value(x)} from it"
        raise make_error(TypeError, problem, hint="return the converted batch")
    return x


def _with_cardinality(dataset: Dataset, num_batches: int) -> Dataset:
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.apply(tf.data.experimental.assert_cardinality(num_batches)).with_options(options)
