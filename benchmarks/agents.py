"""The time of a step of DQN on Catch: `dk.learn`, and the same loop written by hand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import deepkit as dk
from benchmarks.epochs import UNLIMITED_EPOCHS, Epochs
from benchmarks.worker import Side

NUM_STEPS = 1_000  # per measurement
BATCH_SIZE, UPDATE_EVERY, TARGET_UPDATE_EVERY = 32, 4, 250
REPLAY_SIZE, LEARNING_STARTS, EXPLORATION_STEPS = 10_000, 500, 5_000
LEARNING_RATE, DISCOUNT, FINAL_EPSILON = 5e-4, 0.99, 0.1


def deepkit_side() -> Side:
    """Return the milliseconds of a step in `dk.learn`."""
    agent = dk.DQN(
        [dk.ConvBlock(16), dk.MLP([64]), dk.Regressor(3)],
        batch_size=BATCH_SIZE,
        update_every=UPDATE_EVERY,
        target_update_every=TARGET_UPDATE_EVERY,
        replay_size=REPLAY_SIZE,
        learning_starts=LEARNING_STARTS,
        exploration_steps=EXPLORATION_STEPS,
    )
    epochs = Epochs(
        lambda callback: dk.learn(
            agent,
            "Catch",
            num_steps=UNLIMITED_EPOCHS * NUM_STEPS,
            steps_per_epoch=NUM_STEPS,
            learning_rate=LEARNING_RATE,
            callbacks=[callback],
            plan=dk.plan(jit_compile=False),
            verbose=0,
        )
    )
    return Side(lambda: 1e3 * epochs.measure() / NUM_STEPS)


def handwritten_side() -> Side:
    """Return the milliseconds of a step in the loop written by hand."""
    tf.config.experimental.enable_op_determinism()  # as in a plan of deepkit
    keras.utils.set_random_seed(0)
    epochs = handwritten_epochs()
    return Side(lambda: 1e3 * next(epochs) / NUM_STEPS)


def _network() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((10, 10, 1), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(3),
        ]
    )


def handwritten_epochs() -> Iterator[float]:
    """Yield the seconds of each epoch of `NUM_STEPS` steps, without end."""
    network, target_network = _network(), _network()
    target_network.set_weights(network.get_weights())
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    optimizer.build(network.trainable_variables)

    @tf.function(autograph=False)
    def best_action(observations: Any) -> Any:
        return tf.argmax(network(observations, training=False), axis=-1)

    @tf.function(autograph=False)
    def update(observations: Any, actions: Any, rewards: Any, following: Any, terminated: Any) -> Any:
        values = tf.reduce_max(target_network(following, training=False), axis=-1)
        targets = rewards + DISCOUNT * (1.0 - terminated) * values
        with tf.GradientTape() as tape:
            predictions = tf.gather(network(observations, training=True), actions, batch_dims=1)
            errors = tf.stop_gradient(targets) - predictions
            sizes = tf.abs(errors)
            loss = tf.reduce_mean(tf.where(sizes < 1.0, 0.5 * tf.square(errors), sizes - 0.5))
        weights = network.trainable_variables
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return loss

    memory = {
        "observations": np.zeros((REPLAY_SIZE, 10, 10, 1), np.uint8),
        "actions": np.zeros(REPLAY_SIZE, np.int32),
        "rewards": np.zeros(REPLAY_SIZE, np.float32),
        "following": np.zeros((REPLAY_SIZE, 10, 10, 1), np.uint8),
        "terminated": np.zeros(REPLAY_SIZE, np.float32),
    }
    env, random = dk.envs.make("Catch"), np.random.default_rng(0)
    observations, _ = env.reset(seed=0)
    step = num_updates = 0
    start = time.perf_counter()
    while True:
        epsilon = 1.0 - min(step / EXPLORATION_STEPS, 1.0) * (1.0 - FINAL_EPSILON)
        actions = np.asarray(best_action(observations))
        if random.random() < epsilon:
            actions = random.integers(3, size=1)
        following, rewards, terminated, truncated, _ = env.step(actions)
        row = step % REPLAY_SIZE
        memory["observations"][row], memory["following"][row] = observations[0], following[0]
        memory["actions"][row], memory["rewards"][row] = actions[0], rewards[0]
        memory["terminated"][row] = terminated[0]
        observations, step = following, step + 1
        if terminated[0] or truncated[0]:
            observations, _ = env.reset()
        if step >= LEARNING_STARTS and step % UPDATE_EVERY == 0:
            rows = random.integers(min(step, REPLAY_SIZE), size=BATCH_SIZE)
            loss = float(update(*(tf.convert_to_tensor(values[rows]) for values in memory.values())))
            num_updates += 1
            if not np.isfinite(loss):
                raise ValueError(f"the loss is {loss}")
            if num_updates % TARGET_UPDATE_EVERY == 0:
                target_network.set_weights(network.get_weights())
        if step % NUM_STEPS == 0:
            yield time.perf_counter() - start
            start = time.perf_counter()
