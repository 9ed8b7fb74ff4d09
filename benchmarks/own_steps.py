"""Training steps of models with a loss or a training step of their own, and of recurrent ones: deepkit and plain Keras.

Data are random numbers from a fixed seed, in memory; a figure is the mean of about a second of steps on one batch.
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
from benchmarks import by_hand
from benchmarks.worker import Side


class Pair(NamedTuple):
    """A model both ways, and what it is trained with.

    Args:
        deepkit: Returns deepkit's model.
        by_hand: Returns the one in plain Keras.
        data: Returns a batch for `train_on_batch`.
        loss: A Keras loss, None for a model that has its own.
        steps: About a second of them.
    """

    deepkit: Callable[[], keras.Model]
    by_hand: Callable[[], keras.Model]
    data: Callable[[], tuple[Any, ...]]
    loss: str | None = None
    steps: int = 50


def _bits() -> tuple[Any]:
    return ((np.random.default_rng(0).random((128, 784)) < 0.2).astype("float32"),)


def _images() -> tuple[Any, Any]:
    x = np.random.default_rng(0).random((128, 784), dtype="float32")
    return x, x


def _tokens() -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    return random.integers(1, 20_000, (32, 200), dtype="int32"), random.integers(2, size=(32, 1)).astype("float32")


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
    words = dk.Input((None,), dtype="int32")
    return dk.Sequential([words, layers.Embedding(20_000, 128), dk.BiLSTM(64, num_layers=2), dk.Classifier(1)]).build()


PAIRS = {
    "vae": Pair(_vae, by_hand.VAE, _bits, steps=100),
    "gan": Pair(_gan, by_hand.GAN, _bits, steps=60),
    "autoencoder": Pair(_autoencoder, by_hand.autoencoder, _images, "binary_crossentropy", steps=40),
    "bilstm": Pair(_bilstm, by_hand.bilstm, _tokens, "binary_crossentropy", steps=8),
}


def steps(name: str, side: str) -> Side:
    """Return the time of one training step of a model, in milliseconds."""
    pair = PAIRS[name]
    model = getattr(pair, side)()
    loss = {} if pair.loss is None else {"loss": pair.loss}
    model.compile("adam", jit_compile=False, **loss)
    batch = pair.data()

    def measure() -> float:
        began = time.perf_counter()
        for _ in range(pair.steps):
            model.train_on_batch(*batch)
        return 1e3 * (time.perf_counter() - began) / pair.steps

    return Side(measure)


vae, vae_by_hand = functools.partial(steps, "vae", "deepkit"), functools.partial(steps, "vae", "by_hand")
gan, gan_by_hand = functools.partial(steps, "gan", "deepkit"), functools.partial(steps, "gan", "by_hand")
bilstm, bilstm_by_hand = functools.partial(steps, "bilstm", "deepkit"), functools.partial(steps, "bilstm", "by_hand")
autoencoder = functools.partial(steps, "autoencoder", "deepkit")
autoencoder_by_hand = functools.partial(steps, "autoencoder", "by_hand")
