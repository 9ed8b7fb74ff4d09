"""Custom gradients, as `keras.remat` has them: TensorFlow keeps those of a graph for the life of the process.

With them it keeps the graph: each training would leave some megabytes in memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tensorflow.python.framework.ops import gradient_registry

_PREFIX = "CustomGradient-"


@contextlib.contextmanager
def released() -> Iterator[None]:
    """Remove the custom gradients that TensorFlow registers in a `with` block, after all gradients are computed."""
    before = set(gradient_registry.list())
    try:
        yield
    finally:
        for name in set(gradient_registry.list()) - before:
            if name.startswith(_PREFIX):
                del gradient_registry._registry[name]
