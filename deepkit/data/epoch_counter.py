"""A counter of epochs inside a `tf.data` graph."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


def make_epoch_counter() -> Callable[[Tensor], Tensor]:
    """Return a function that returns 0, 1, 2, ... on successive calls from inside a dataset.

    The number is stored in a bare resource: a `tf.Variable` made in the scope of a strategy would be mirrored over
    its devices, and a dataset cannot read a mirrored variable.
    """
    with tf.init_scope(), tf.device("CPU:0"):
        handle = tf.raw_ops.VarHandleOp(dtype=tf.int64, shape=[], shared_name=f"deepkit_epoch_{uuid.uuid4().hex}")
        tf.raw_ops.AssignVariableOp(resource=handle, value=tf.constant(0, tf.int64))

    @tf.autograph.experimental.do_not_convert
    def next_epoch(_: Tensor) -> Tensor:
        tf.raw_ops.AssignAddVariableOp(resource=handle, value=tf.constant(1, tf.int64))
        return tf.ensure_shape(tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.int64), ()) - 1

    return next_epoch
