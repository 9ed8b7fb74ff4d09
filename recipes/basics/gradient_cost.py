"""The cost of a gradient in units of the cost of its function: in CPU seconds, and in counted operations."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import tensorflow as tf

from deepkit.teaching import tape

UNITS, BATCH = 256, 256  # of the network that is timed


def tensor_loss(x: tf.Tensor, weights: list[tf.Tensor]) -> tf.Tensor:
    """Return the squared error of a tanh network whose targets are 0."""
    for w in weights:
        x = tf.tanh(x @ w)
    return tf.reduce_mean(tf.square(x))


def tensor_loss_and_gradient(x: tf.Tensor, weights: list[tf.Tensor]) -> list[tf.Tensor]:
    """Return the same loss with its gradient."""
    value = tensor_loss(x, weights)
    return [value, *tf.gradients(value, weights)]


def time_ratio(depth: int, timings: int, rng: np.random.Generator) -> float:
    """Return the CPU seconds for loss and gradient over those for the loss, of `depth` layers of 256 units."""
    x = tf.constant(rng.normal(size=(BATCH, UNITS)), "float32")
    weights = [tf.constant(rng.normal(size=(UNITS, UNITS)) / np.sqrt(UNITS), "float32") for _ in range(depth)]
    functions = [tf.function(f).get_concrete_function(x, weights) for f in (tensor_loss, tensor_loss_and_gradient)]
    seconds: list[list[float]] = [[], []]
    for number in range(1 + timings):  # the first call prepares the graph
        for function, durations in zip(functions, seconds, strict=True):
            start = time.process_time()
            tf.nest.map_structure(np.asarray, function(x, weights))  # waits for the result
            if number:
                durations.append(time.process_time() - start)
    return min(seconds[1]) / min(seconds[0])


def counted_ratio(depth: int, rng: np.random.Generator) -> float:
    """Return the operations of the tape for loss and gradient over those for the loss, of `depth` layers of 4 units."""

    def loss(*weights: tape.Expression) -> Any:
        x: list[Any] = [1.0, 0.5, -0.5, 2.0]
        for layer in np.array(weights, object).reshape(depth, 4, 4):
            x = [tape.tanh(sum(w * value for w, value in zip(row, x, strict=True))) for row in layer]
        return sum(value**2 for value in x)

    trace = tape.Trace(loss, *rng.normal(size=16 * depth) / 2)
    return trace.gradient_operations / trace.function_operations
