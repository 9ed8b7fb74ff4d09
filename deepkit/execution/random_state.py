"""Seed Python, NumPy, TensorFlow and Keras for a block of code, and restore their random state after it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state
from tensorflow.python.eager import context

from deepkit.execution import devices

# Keras has no public functions that read these two, and TensorFlow none for its seed
_KERAS_ATTRIBUTES = ("global_random_seed", "global_seed_generator")
_TENSORFLOW_ATTRIBUTES = ("_seed", "_rng")
_MAX_SEED = 2**32 - 1


@contextlib.contextmanager
def temporary_seed(seed: int | None) -> Iterator[None]:
    """Seed Python, NumPy, TensorFlow and Keras for a `with` block, and restore their random state after it.

    Inside the block all random numbers equal those after `keras.utils.set_random_seed(seed)`.

    Args:
        seed: An integer, or None for a different one in every block.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    keras_state = {name: global_state.get_global_attribute(name) for name in _KERAS_ATTRIBUTES}
    tensorflow_state = _get_tensorflow_state()
    try:
        _set_seed(_random_seed() if seed is None else seed)
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        _set_keras_state(keras_state)
        if tensorflow_state["_seed"] is None and devices.is_deterministic():
            # TensorFlow stays deterministic, and its random operations would raise an error without a seed
            tensorflow_state = _deferred_state(_random_seed())
        _set_tensorflow_state(tensorflow_state)


def global_seed() -> int | None:
    """Return the seed that `keras.utils.set_random_seed` has set, or the seed of the current plan; None without one."""
    seed = global_state.get_global_attribute("global_random_seed")
    return None if seed is None else int(seed)


class _DeferredSeed:
    """Calls `tf.random.set_seed` at the first random operation that needs it.

    `tf.random.set_seed` also restarts the operations and functions that the user has seeded, and that cannot be
    restored. Keras uses stateless random operations, so that most trainings never need it.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def randint(self, minimum: int, maximum: int) -> int:
        """Return the seed of a random operation, like `random.Random.randint`."""
        tf.random.set_seed(self._seed)  # replaces this object
        seeds: random.Random = _get_tensorflow_state()["_rng"]
        return seeds.randint(minimum, maximum)


def _set_seed(seed: int) -> None:
    """Seed as `keras.utils.set_random_seed` does, without a restart of TensorFlow's stateful operations."""
    random.seed(seed)
    np.random.seed(seed)
    _set_keras_state({"global_random_seed": seed, "global_seed_generator": None})
    _set_tensorflow_state(_deferred_state(seed))


def _random_seed() -> int:
    """Return a seed from the operating system: drawing one from `random` would change its state."""
    return random.SystemRandom().randint(0, _MAX_SEED)


def _set_keras_state(state: dict[str, Any]) -> None:
    for name, value in state.items():
        global_state.set_global_attribute(name, value)


def _deferred_state(seed: int) -> dict[str, Any]:
    return {"_seed": seed, "_rng": _DeferredSeed(seed)}


def _get_tensorflow_state() -> dict[str, Any]:
    """Return the global seed, and the generator of the seeds of operations, which does not exist without a seed."""
    return {name: getattr(context.context(), name, None) for name in _TENSORFLOW_ATTRIBUTES}


def _set_tensorflow_state(state: dict[str, Any]) -> None:
    for name, value in state.items():
        setattr(context.context(), name, value)
