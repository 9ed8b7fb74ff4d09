"""The sum of the gradients over the devices, which is the gradient itself on one device.

Keras sums with a TensorFlow function that has a custom gradient. TensorFlow registers such a gradient for the life of
the process, and with it the graph of the training step: each training would leave some megabytes in memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

_SUM = "_all_reduce_sum_gradients"


@contextlib.contextmanager
def omitted(model: keras.Model) -> Iterator[None]:
    """Omit the sum over the devices in the optimizers of a model that is trained on one device.

    Args:
        model: The compiled model.
    """
    optimizers = _optimizers(model)
    for optimizer in optimizers:
        optimizer.__dict__[_SUM] = list  # of pairs of gradient and variable
    try:
        yield
    finally:
        for optimizer in optimizers:
            optimizer.__dict__.pop(_SUM, None)


def _optimizers(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Return the optimizers of a model, and those inside an optimizer that scales the loss."""
    outer = [value for value in vars(model).values() if isinstance(value, keras.optimizers.Optimizer)]
    inner = [optimizer.inner_optimizer for optimizer in outer if hasattr(optimizer, "inner_optimizer")]
    return [*outer, *inner]
