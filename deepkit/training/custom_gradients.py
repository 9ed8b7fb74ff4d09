"""The custom gradients of `keras.remat`: TensorFlow keeps those of a graph for the life of the process.

With them it keeps the graph: each training would leave some megabytes in memory. Only the graphs of models with
rematerialized blocks are released, as another model may call a function of the user whose gradient is computed later.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
from tensorflow.python.framework.ops import gradient_registry

from deepkit.definition.rematerialization import Rematerialized

_PREFIX = "CustomGradient-"


@contextlib.contextmanager
def released(model: keras.Model) -> Iterator[None]:
    """Remove the custom gradients that TensorFlow registers in a `with` block, after all gradients are computed.

    Args:
        model: The model that is trained in the block.
    """
    if not any(isinstance(layer, Rematerialized) for layer in model._flatten_layers()):
        yield
        return
    before = set(gradient_registry.list())
    try:
        yield
    finally:
        for name in set(gradient_registry.list()) - before:
            if name.startswith(_PREFIX):
                del gradient_registry._registry[name]
