"""Training steps of models with their own loss or training step, and of recurrent models: deepkit and plain Keras.

The data are random numbers with a fixed seed, in memory; a measurement is the mean of about a second of steps on one
batch.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

import deepkit as dk
from benchmarks import handwritten
from benchmarks.worker import Side


class ModelPair(NamedTuple):
    """A model in deepkit and in plain Keras, with its training data and loss.

    Args:
        deepkit: Function that returns deepkit's model.
        handwritten: Function that returns the hand-written model.
        data: Function that returns a batch for `train_on_batch`.
        loss: A Keras loss; None for a model that has its own.
        num_steps: Steps per measurement, for about a second.
    """

    deepkit: Callable[[], keras.Model]
    handwritten: Callable[[], keras.Model]
    data: Callable[[], tuple[Any, ...]]
    loss: str | None = None
    num_steps: int = 50


def _bits() -> tuple[Any]:
    return ((np.random.default_rng(0).random((128, 784)) < 0.2).astype("float32"),)


def _images() -> tuple[Any, Any]:
    x = np.random.default_rng(0).random((128, 784), dtype="float32")
    return x, x


def _tokens() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.integers(1, 20_000, (32, 200), dtype="int32"), rng.integers(2, size=(32, 1)).astype("float32")


def _gan() -> keras.Model:
    body = dk.MLP([256, 256])
    return dk.GAN([body, dk.Regressor(784, activation="sigmoid")], body, latent_dim=100).build((784,))


def _vae() -> keras.Model:
    body = dk.MLP([500], activation="tanh")
    return dk.VAE(body, latent_dim=20, decoder=body).build((784,))


def _autoencoder() -> keras.Model:
    encoder = dk.MLP([1000], activation="sigmoid")
    return dk.Autoencoder(encoder, corruption=dk.MaskingNoise(0.25), activation="sigmoid").build((784,))


def _bilstm() -> keras.Model:
    token_ids = dk.Input((None,), dtype="int32")
    embedding = layers.Embedding(20_000, 128)
    return dk.Sequential([token_ids, embedding, dk.BiLSTM(64, num_layers=2), dk.Classifier(1)]).build()


MODELS = {
    "vae": ModelPair(_vae, handwritten.VAE, _bits, num_steps=100),
    "gan": ModelPair(_gan, handwritten.GAN, _bits, num_steps=60),
    "autoencoder": ModelPair(_autoencoder, handwritten.autoencoder, _images, "binary_crossentropy", num_steps=40),
    "bilstm": ModelPair(_bilstm, handwritten.bilstm, _tokens, "binary_crossentropy", num_steps=8),
}


def step_time(name: str, side: str) -> Side:
    """Return the time of one training step of a model, in milliseconds."""
    pair = MODELS[name]
    model = getattr(pair, side)()
    loss = {} if pair.loss is None else {"loss": pair.loss}
    model.compile("adam", jit_compile=False, **loss)
    batch = pair.data()

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(pair.num_steps):
            model.train_on_batch(*batch)
        return 1e3 * (time.perf_counter() - start) / pair.num_steps

    return Side(measure)


autoencoder = functools.partial(step_time, "autoencoder", "deepkit")
autoencoder_handwritten = functools.partial(step_time, "autoencoder", "handwritten")
bilstm = functools.partial(step_time, "bilstm", "deepkit")
bilstm_handwritten = functools.partial(step_time, "bilstm", "handwritten")
gan = functools.partial(step_time, "gan", "deepkit")
gan_handwritten = functools.partial(step_time, "gan", "handwritten")
vae = functools.partial(step_time, "vae", "deepkit")
vae_handwritten = functools.partial(step_time, "vae", "handwritten")
