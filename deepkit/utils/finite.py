"""Checks that a tensor holds finite numbers, eagerly and in a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras import ops

from deepkit.utils.errors import message
from deepkit.utils.lazy_tensorflow import tf

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


def check_finite(tensor: Tensor, problem: str, hint: str) -> Tensor:
    """Return a tensor of finite numbers, or raise an error.

    In a graph, TensorFlow raises an `InvalidArgumentError` with the message when the graph runs; XLA ignores the check.

    Args:
        tensor: A tensor of floats.
        problem: The received value and the expected one.
        hint: How to fix it.

    Raises:
        ValueError: A value is NaN or infinite.
    """
    text = message(problem, hint=hint)
    if not tf.is_tensor(tensor):
        return tensor  # symbolic
    if not tf.executing_eagerly():
        return tf.debugging.check_numerics(tensor, text)
    if not bool(ops.all(ops.isfinite(tensor))):
        raise ValueError(text)
    return tensor
