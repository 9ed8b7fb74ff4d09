"""Random numbers over several devices that equal those of one device."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import keras
from keras import ops

from deepkit.utils.lazy_tensorflow import tf

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


def split_across_replicas(draw: Callable[[Tensor | int], Tensor], num_rows: Tensor | int) -> Tensor:
    """Return this device's rows of the numbers that one device would draw for the whole batch.

    Every device holds a copy of the seed, so that separate draws would be equal on all devices.

    Args:
        draw: Function that draws a number of rows.
        num_rows: Number of rows for this device.
    """
    if keras.backend.backend() != "tensorflow":  # `tf.distribute` is the only strategy of deepkit
        return draw(num_rows)
    strategy, context = tf.distribute.get_strategy(), tf.distribute.get_replica_context()
    num_replicas = strategy.num_replicas_in_sync
    if num_replicas == 1 or context is None:  # there is no replica while Keras infers shapes
        return draw(num_rows)
    rows = draw(num_rows * num_replicas)
    start = context.replica_id_in_sync_group * num_rows
    return ops.slice(rows, (start, 0), (num_rows, rows.shape[1]))
