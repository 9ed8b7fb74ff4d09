"""What stands between Keras's ONNX export and the layers of Keras: four gaps, closed here and nowhere else."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

FLOAT16 = 10  # ONNX's number of the dtype


def write(model: keras.Model, path: Path, signature: list[Any]) -> dict[str, np.ndarray]:
    """Export a model through Keras and return the constants it was traced with, by the name of their node."""
    _teach_erfc()
    constants: dict[str, np.ndarray] = {}
    with _inlined():
        _Inference(model, constants).export(path, format="onnx", verbose=False, input_signature=signature)
    return constants


class _Inference(keras.Model):
    """A model as it is when not training, which Keras's export leaves open: random layers would augment.

    Args:
        model: The model.
        constants: Gets the tensors that layers hold outside their weights, as `Normalization` does.
    """

    def __init__(self, model: keras.Model, constants: dict[str, np.ndarray]) -> None:
        super().__init__(name="serve", autocast=False)
        self.model = model
        self.remember = constants.update  # a dict as attribute would be tracked, and copied
        self.built = True

    def call(self, inputs: Any) -> Any:
        outputs = self.model(inputs, training=False)
        captures = tf.compat.v1.get_default_graph().captures
        self.remember({inner.name: outer.numpy() for outer, inner in captures if outer.dtype != tf.resource})
        return outputs


def close_inputs(graph: Any, names: Collection[str], constants: Mapping[str, np.ndarray]) -> None:
    """Make what tf2onnx takes for inputs, though it is constant, constant.

    Args:
        graph: An ONNX graph, changed in place.
        names: The real inputs.
        constants: Values by name.
    """
    from onnx import numpy_helper

    used = {name for node in graph.node for name in node.input}
    for port in [port for port in graph.input if port.name not in names and port.name in constants]:
        graph.input.remove(port)
        if port.name in used:
            graph.initializer.append(numpy_helper.from_array(constants[port.name], port.name))


@contextlib.contextmanager
def _inlined() -> Iterator[None]:
    """Trace what Keras compiles with XLA as plain operations: tf2onnx takes no compiled function.

    Keras compiles grouped convolutions, which TensorFlow cannot otherwise train on a processor.
    """
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


@functools.cache
def _teach_erfc() -> None:
    """Teach tf2onnx the complementary error function, 1 - erf, which every exact GELU is made of."""
    from tf2onnx.handler import tf_op

    @tf_op("Erfc")
    class Erfc:
        @classmethod
        def version_9(cls, ctx: Any, node: Any, **kwargs: Any) -> None:
            dtypes, shapes = node.output_dtypes, node.output_shapes
            dtype = np.float16 if dtypes[0] == FLOAT16 else np.float32
            one = ctx.make_const(f"{node.name}_one", np.array(1.0, dtype)).output[0]
            erf = ctx.make_node("Erf", [node.input[0]], name=f"{node.name}_erf").output[0]
            ctx.remove_node(node.name)
            ctx.make_node("Sub", [one, erf], outputs=[node.output[0]], name=node.name, dtypes=dtypes, shapes=shapes)
