"""Record the eager calls of layers while a model runs, for any class of model.

A nested model has its own graph and a subclassed model has none, so no second graph is built: the model runs
unchanged, and the `call` method of each layer is wrapped for the duration.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras

from deepkit.visualize.nested_layers import NestedLayer

if TYPE_CHECKING:
    import tensorflow as tf

    from deepkit.utils.types import Nested


@dataclass(frozen=True)
class RecordedCall:
    """One call of a layer.

    Args:
        path: The path of the layer, as in `NestedLayer`.
        layer: The layer.
        inputs: Its first argument.
        output: Its output.
    """

    path: str
    layer: keras.Operation
    inputs: Nested
    output: Nested


@contextlib.contextmanager
def record_calls(
    layers: Sequence[NestedLayer], on_output: Callable[[tf.Tensor], None] | None = None
) -> Iterator[list[RecordedCall]]:
    """Record every eager call of layers within a `with` statement, in the order in which the calls return.

    Args:
        layers: The layers to record.
        on_output: Called with each output tensor before the next layer receives it.
    """
    calls: list[RecordedCall] = []
    with contextlib.ExitStack() as stack:
        for layer in layers:
            stack.enter_context(_wrapped_call(layer, calls, on_output))
        yield calls


@contextlib.contextmanager
def _wrapped_call(
    nested: NestedLayer, calls: list[RecordedCall], on_output: Callable[[tf.Tensor], None] | None
) -> Iterator[None]:
    layer, original_call = nested.layer, nested.layer.call
    instance_call = vars(layer).get("call")

    def call(*args: Any, **kwargs: Any) -> Nested:
        output = original_call(*args, **kwargs)
        tensors = keras.tree.flatten(output)
        if all(hasattr(tensor, "numpy") for tensor in tensors):  # tensors of a compiled function have no values
            if on_output is not None:
                for tensor in tensors:
                    on_output(tensor)
            inputs: Any = args[0] if args else next(iter(kwargs.values()), None)
            calls.append(RecordedCall(nested.path, layer, inputs, output))
        return output

    object.__setattr__(layer, "call", call)  # bypasses Keras, which tracks attributes set on a layer
    try:
        yield
    finally:
        if instance_call is None:
            object.__delattr__(layer, "call")
        else:
            object.__setattr__(layer, "call", instance_call)
