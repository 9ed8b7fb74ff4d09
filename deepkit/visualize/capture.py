"""Looking at what goes through the layers of a model while it runs, whatever class the model is of.

A model within a model has a graph of its own, and a subclassed one has none; so no second graph is made. The model
runs as it is, and the `call` of the layers in question is listened to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from deepkit.visualize.lookup import Found


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Args:
        path: Of the layer.
        layer: The layer.
        inputs: Its first argument.
        output: What it returned.
    """

    path: str
    layer: Any
    inputs: Any
    output: Any


@contextlib.contextmanager
def listening(layers: Sequence[Found], heard: Callable[[Any], None] | None = None) -> Iterator[list[Call]]:
    """Note every eager call of the layers for a while, in the order in which they return.

    Args:
        layers: Which.
        heard: Gets every output as soon as it is there, before the next layer sees it.
    """
    calls: list[Call] = []
    with contextlib.ExitStack() as stack:
        for found in layers:
            stack.enter_context(_listened(found, calls, heard))
        yield calls


@contextlib.contextmanager
def _listened(found: Found, calls: list[Call], heard: Callable[[Any], None] | None) -> Iterator[None]:
    layer, inner = found.layer, found.layer.call
    own = vars(layer).get("call")

    def call(*args: Any, **kwargs: Any) -> Any:
        output = inner(*args, **kwargs)
        tensors = keras.tree.flatten(output)
        if all(hasattr(tensor, "numpy") for tensor in tensors):  # those inside a compiled function have no values
            if heard is not None:
                for tensor in tensors:
                    heard(tensor)
            calls.append(Call(found.path, layer, args[0] if args else next(iter(kwargs.values()), None), output))
        return output

    object.__setattr__(layer, "call", call)  # past Keras, which keeps a list of what is set on a layer
    try:
        yield
    finally:
        if own is None:
            object.__delattr__(layer, "call")
        else:
            object.__setattr__(layer, "call", own)
