"""Workarounds for four gaps in Keras's ONNX export.

- Random layers are exported as in training: `_InferenceModel` calls the model with `training=False`.
- Grouped convolutions are compiled with XLA, which tf2onnx cannot convert: `_without_xla` runs them eagerly.
- tf2onnx has no handler for `Erfc`, which the exact GELU uses: `_register_erfc` adds one.
- Constants outside the weights become inputs of the ONNX graph: `remove_constant_inputs` makes them initializers.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    import onnx

    from deepkit.utils.types import Nested

FLOAT16 = 10  # code of the dtype in ONNX


def write(model: keras.Model, path: Path, input_signature: list[object]) -> dict[str, np.ndarray]:
    """Export a model with Keras, and return the constants in its graph by the name of their node."""
    _register_erfc()
    constants: dict[str, np.ndarray] = {}
    with _without_xla():
        _InferenceModel(model, constants).export(path, format="onnx", verbose=False, input_signature=input_signature)
    return constants


class _InferenceModel(keras.Model):
    """A model that is called with `training=False`, which Keras's export does not do: random layers would augment.

    Args:
        model: The model.
        constants: Receives the tensors that layers hold outside their weights, as `Normalization` does.
    """

    def __init__(self, model: keras.Model, constants: dict[str, np.ndarray]) -> None:
        super().__init__(name="serve", autocast=False)
        self.model = model
        self.add_constants = constants.update  # Keras would track and copy a dict that is an attribute
        self.built = True

    def call(self, inputs: Nested) -> Nested:
        outputs = self.model(inputs, training=False)
        captures = tf.compat.v1.get_default_graph().captures
        self.add_constants({inner.name: outer.numpy() for outer, inner in captures if outer.dtype != tf.resource})
        return outputs


def remove_constant_inputs(
    graph: onnx.GraphProto, input_names: Collection[str], constants: Mapping[str, np.ndarray]
) -> None:
    """Replace the inputs of a graph that are constants by initializers.

    Args:
        graph: An ONNX graph, changed in place.
        input_names: Names of the model's inputs.
        constants: Values of the constants by name.
    """
    from onnx import numpy_helper

    used = {name for node in graph.node for name in node.input}
    for value in [value for value in graph.input if value.name not in input_names and value.name in constants]:
        graph.input.remove(value)
        if value.name in used:
            graph.initializer.append(numpy_helper.from_array(constants[value.name], value.name))


@contextlib.contextmanager
def _without_xla() -> Iterator[None]:
    """Trace functions that Keras compiles with XLA as plain operations: tf2onnx cannot convert a compiled function.

    Keras compiles grouped convolutions, which TensorFlow cannot otherwise train on a CPU.
    """
    was_eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(was_eager)


@functools.cache
def _register_erfc() -> None:
    """Register a tf2onnx handler for the complementary error function, 1 - erf, which the exact GELU uses."""
    from tf2onnx.handler import tf_op

    @tf_op("Erfc")
    class Erfc:
        @classmethod
        def version_9(cls, ctx: Any, node: Any, **kwargs: object) -> None:  # tf2onnx has no types
            dtypes, shapes = node.output_dtypes, node.output_shapes
            dtype = np.float16 if dtypes[0] == FLOAT16 else np.float32
            one = ctx.make_const(f"{node.name}_one", np.array(1.0, dtype)).output[0]
            erf = ctx.make_node("Erf", [node.input[0]], name=f"{node.name}_erf").output[0]
            ctx.remove_node(node.name)
            ctx.make_node("Sub", [one, erf], outputs=[node.output[0]], name=node.name, dtypes=dtypes, shapes=shapes)
