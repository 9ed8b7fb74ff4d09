"""What the GPU benchmark asks of Keras's backend: the GPUs, and outputs and gradients of a model without its state.

TensorFlow computes them operation by operation, JAX in one compiled function. Both run on the default device of the
process: the first GPU, or the CPU in a process that sees no GPU.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

BACKENDS = ("tensorflow", "jax")
HIDDEN_GPUS = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}  # the environment of a process without GPUs

Arrays = list[np.ndarray]
Gradients = Callable[[Callable[..., Any], list[Any]], Callable[[], tuple[Any, Any]]]


@dataclass(frozen=True)
class Evaluation:
    """The outputs and gradients of a model for one batch, and the variables that they depend on.

    Args:
        trainable: Values of the trainable variables.
        others: Values of the other variables, such as moving averages and the state of random numbers.
        outputs: Outputs in inference mode.
        gradients: Gradients of a weighted sum of the outputs in training mode, with respect to the trainable variables
            and, for numbers as inputs, to the inputs.
    """

    trainable: Arrays
    others: Arrays
    outputs: Arrays
    gradients: Arrays


def gpu_names() -> list[str]:
    """Return the name of every GPU that the backend offers."""
    if keras.backend.backend() == "jax":
        import jax

        return [device.device_kind for device in jax.devices() if device.platform == "gpu"]
    from deepkit.utils import machine

    return machine.gpus()


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """Compute products of float32 numbers in float32: a GPU may otherwise round the factors to 10 bits, its TF32."""
    if keras.backend.backend() == "jax":
        import jax

        with jax.default_matmul_precision("highest"):
            yield
        return
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def prepare_evaluation(
    model: keras.Model, inputs: Any, variables: tuple[Arrays, Arrays] | None, *, with_gradients: bool, for_inputs: bool
) -> Callable[[], Evaluation]:
    """Return a function that evaluates a model on a batch; for JAX the compilation starts now, in another thread.

    Args:
        model: A built model; its variables are not changed.
        inputs: A batch.
        variables: Values to use instead of those of the model: the trainable variables and the others.
        with_gradients: Whether to compute gradients.
        for_inputs: Whether to compute the gradients with respect to the inputs too.
    """
    if variables is None:
        variables = _values(model.trainable_variables), _values(model.non_trainable_variables)
    trainable, others = variables
    names = ("trainable", "inputs") if with_gradients and for_inputs else ("trainable",) * with_gradients
    prepare = _prepare_jax if keras.backend.backend() == "jax" else _prepare_tensorflow
    run = prepare(model, trainable, others, inputs, names)

    def evaluate() -> Evaluation:
        outputs, gradients = run()
        return Evaluation(trainable, others, _arrays(outputs), _arrays(gradients))

    return evaluate


def _outputs(model: keras.Model, trainable: Any, others: Any, inputs: Any) -> Any:
    return model.stateless_call(trainable, others, inputs, training=False)[0]


def _loss(model: keras.Model, trainable: Any, others: Any, inputs: Any) -> Any:
    """Return the sum over the outputs in training mode of their mean, weighted with random numbers."""
    outputs = keras.tree.flatten(model.stateless_call(trainable, others, inputs, training=True)[0])
    total: Any = 0.0
    for number, output in enumerate(outputs, start=1):
        weights = np.random.default_rng(number).normal(size=output.shape).astype("float32")
        total = total + keras.ops.mean(keras.ops.cast(output, "float32") * weights)
    return total


def _prepare_tensorflow(
    model: keras.Model, trainable: Arrays, others: Arrays, inputs: Any, names: Sequence[str]
) -> Callable[[], tuple[Any, Any]]:
    import tensorflow as tf

    def run() -> tuple[Any, Any]:
        tensors, rest = [tf.constant(value) for value in trainable], [tf.constant(value) for value in others]
        x = tf.convert_to_tensor(inputs)
        sources = {"trainable": tensors, "inputs": [x]}
        watched = [tensor for name in names for tensor in sources[name]]
        if not watched:
            return _outputs(model, tensors, rest, x), []
        with tf.GradientTape() as tape:
            tape.watch(watched)
            loss = _loss(model, tensors, rest, x)
        gradients = tape.gradient(loss, watched, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return _outputs(model, tensors, rest, x), [tf.convert_to_tensor(gradient) for gradient in gradients]

    return run


def _prepare_jax(
    model: keras.Model, trainable: Arrays, others: Arrays, inputs: Any, names: Sequence[str]
) -> Callable[[], tuple[Any, Any]]:
    import jax

    positions = tuple(("trainable", "others", "inputs").index(name) for name in names)

    def function(trainable: Any, others: Any, x: Any) -> tuple[Any, Any]:
        outputs = _outputs(model, trainable, others, x)
        if not positions:
            return outputs, []
        return outputs, jax.grad(functools.partial(_loss, model), argnums=positions)(trainable, others, x)

    arguments = (trainable, others, np.asarray(inputs))
    lowered = jax.jit(function).lower(*arguments)
    compiled = _compile_pool().submit(lowered.compile)
    return lambda: compiled.result()(*arguments)


@functools.cache
def _compile_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count())


def _values(variables: Sequence[Any]) -> Arrays:
    return [np.asarray(keras.ops.convert_to_numpy(variable.value)) for variable in variables]


def _arrays(values: Any) -> Arrays:
    """Return all tensors of a nested structure in their order, floating-point numbers as float32."""
    arrays = [keras.ops.convert_to_numpy(value) for value in keras.tree.flatten(values)]
    return [array if array.dtype.kind in "iub" else np.asarray(array, "float32") for array in arrays]
