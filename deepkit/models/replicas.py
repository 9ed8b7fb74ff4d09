"""Random numbers over several devices, the same as on one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras import ops


def shared_out(draw: Callable[[Any], Any], count: Any) -> Any:
    """Return this device's share of what one device would draw for the whole batch.

    Every device holds a copy of the seed: left alone, all of them would draw the same numbers.

    Args:
        draw: Returns so many rows.
        count: Rows wanted on this device.
    """
    replicas, device = tf.distribute.get_strategy().num_replicas_in_sync, tf.distribute.get_replica_context()
    if replicas == 1 or device is None:  # on no device where Keras only works out shapes
        return draw(count)
    rows, first = draw(count * replicas), device.replica_id_in_sync_group * count
    return ops.slice(rows, (first, 0), (count, rows.shape[1]))
