"""Random state of Python, NumPy and Keras that survives a block of code."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
from keras.src.backend.common import global_state

_KERAS_ATTRIBUTES = ("global_random_seed", "global_seed_generator")  # Keras has no public function that reads them


@contextlib.contextmanager
def preserve_random_state() -> Iterator[None]:
    """Restore the random state of Python, NumPy and Keras at the end of a `with` block.

    Setting a seed inside the block replaces Keras's global seed generator, so that the one from before keeps its state.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    keras_state = {name: global_state.get_global_attribute(name) for name in _KERAS_ATTRIBUTES}
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        for name, value in keras_state.items():
            global_state.set_global_attribute(name, value)
