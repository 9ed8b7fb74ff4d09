"""The part of one replica in a batch that several devices share: its rows, its random numbers, its weight in the mean.

A replica is a copy of the model on a device. Replica r of R takes the rows from `r * n // R` to `(r + 1) * n // R` of a
batch of n examples, so that the replicas' rows, in order, are the batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

import keras
from keras import ops

from deepkit.utils.lazy_tensorflow import tf

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor

_batch_size: ContextVar[Tensor | None] = ContextVar("batch_size", default=None)


class Replica(NamedTuple):
    """One of the replicas that train together.

    Args:
        number: Number of the replica, from 0.
        total: Number of replicas.
    """

    number: Tensor | int
    total: int


def current_replica() -> Replica | None:
    """Return the replica whose step is traced; None on one device, and while Keras infers shapes."""
    if keras.backend.backend() != "tensorflow":  # `tf.distribute` is the only strategy of deepkit
        return None
    strategy, context = tf.distribute.get_strategy(), tf.distribute.get_replica_context()
    count = strategy.num_replicas_in_sync
    return None if count == 1 or context is None else Replica(context.replica_id_in_sync_group, count)


@contextlib.contextmanager
def shared_batch(num_examples: Tensor) -> Iterator[None]:
    """Set the number of examples of the whole batch while a `with` block traces the step of a replica.

    Args:
        num_examples: int32 scalar. Without this context, all replicas are assumed to have equally many.
    """
    token = _batch_size.set(num_examples)
    try:
        yield
    finally:
        _batch_size.reset(token)


def batch_weight(num_examples: Tensor | int) -> Tensor | float:
    """Return the factor by which a mean over this replica's examples enters the mean of the replicas' means.

    The mean of the weighted means over the replicas is the mean over the whole batch. The factor is 1 on one device,
    and if all replicas have equally many examples.

    Args:
        num_examples: Number of examples of this replica.
    """
    replica, batch_size = current_replica(), _batch_size.get()
    if replica is None or batch_size is None:
        return 1.0
    return ops.cast(num_examples * replica.total, "float32") / ops.cast(batch_size, "float32")


def split_across_replicas(draw: Callable[[Tensor | int], Tensor], num_rows: Tensor | int) -> Tensor:
    """Return this replica's rows of the numbers that one device would draw for the whole batch.

    Every replica holds a copy of the seed, so that separate draws would be equal on all of them.

    Args:
        draw: Function that draws a number of rows.
        num_rows: Number of rows for this replica; a multiple of its number of examples.
    """
    replica, batch_size = current_replica(), _batch_size.get()
    if replica is None:
        return draw(num_rows)
    if batch_size is None:
        start, num_drawn = replica.number * num_rows, num_rows * replica.total
    else:
        first, end = (number * batch_size // replica.total for number in (replica.number, replica.number + 1))
        rows_per_example = num_rows // ops.maximum(end - first, 1)
        start, num_drawn = first * rows_per_example, batch_size * rows_per_example
    rows = draw(num_drawn)
    return rows[start : start + num_rows]
