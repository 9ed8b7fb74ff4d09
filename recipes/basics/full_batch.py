"""Training of small networks with all examples in every step: data for `dk.fit`, and a loop of TensorFlow.

In a single compiled loop, a network of a few hundred weights trains for thousands of steps in about a second; `dk.fit`
would spend more time between the steps than in them.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

import deepkit as dk


def full_batches(x: np.ndarray, y: np.ndarray, num_steps: int, **kwargs: Any) -> dk.data.Data:
    """Return training data with `num_steps` batches in an epoch, each of which holds all examples.

    Args:
        x: Inputs `(examples, ...)`.
        y: Labels `(examples, ...)`.
        num_steps: Number of batches in an epoch.
        kwargs: Further arguments of `dk.data.from_arrays`, such as `seed`.
    """
    repeated = [np.concatenate([values] * num_steps) for values in (x, y)]
    return dk.data.from_arrays(*repeated, batch_size=len(x), shuffle=False, **kwargs)


def minimize(
    model: keras.Model, loss: keras.losses.Loss, x: np.ndarray, y: np.ndarray, *, steps: int, learning_rate: float
) -> float:
    """Train a model by Adam, with all examples in every step and a learning rate that falls to 0 along a cosine.

    Args:
        model: A model that is built; it is changed.
        loss: Loss of the outputs.
        x: Inputs `(examples, ...)`.
        y: Targets `(examples, ...)`.
        steps: Number of steps.
        learning_rate: Learning rate of the first step.

    Returns:
        The loss of the trained model.
    """
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps))
    optimizer.build(model.trainable_variables)
    inputs, targets = tf.constant(x, "float32"), tf.constant(y)

    @tf.function
    def train() -> None:
        for _ in tf.range(steps):
            with tf.GradientTape() as tape:
                value = loss(targets, model(inputs, training=True))
            gradients = tape.gradient(value, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    train()
    return float(loss(targets, model(inputs)))
