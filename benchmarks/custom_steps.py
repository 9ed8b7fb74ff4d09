"""Training steps of models with their own loss or training step, and of recurrent models: deepkit and plain Keras.

The data are random numbers with a fixed seed, in memory; a measurement is the mean of about a second of steps on one
batch.
"""

from __future__ import annotations

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
        definition: Function that returns deepkit's definition.
        handwritten: Function that returns the hand-written model.
        data: Function that returns the arrays of a number of batches.
        input_shape: Input shape of the definition; None if it has its own.
        loss: A Keras loss; None for a model that has its own.
        num_steps: Steps per measurement, for about a second.
    """

    definition: Callable[[], Any]
    handwritten: Callable[[], keras.Model]
    data: Callable[[int], tuple[Any, ...]]
    input_shape: tuple[int, ...] | None = (784,)
    loss: str | None = None
    num_steps: int = 50


def _bits(num_batches: int) -> tuple[Any]:
    return ((np.random.default_rng(0).random((128 * num_batches, 784)) < 0.2).astype("float32"),)


def _images(num_batches: int) -> tuple[Any, Any]:
    x = np.random.default_rng(0).random((128 * num_batches, 784), dtype="float32")
    return x, x


def _tokens(num_batches: int) -> tuple[Any, Any]:
    rng, num_texts = np.random.default_rng(0), 32 * num_batches
    return rng.integers(1, 20_000, (num_texts, 200), dtype="int32"), rng.integers(2, size=(num_texts, 1)).astype(
        "int32"
    )


def _id_pairs(num_batches: int) -> tuple[Any, Any]:
    rng, num_pairs = np.random.default_rng(0), 64 * num_batches
    source = rng.integers(2, 5_000, (num_pairs, 16), dtype="int64")
    return source, rng.integers(2, 5_000, (num_pairs, 16), dtype="int64")


def _gan() -> dk.GAN:
    body = dk.MLP([256, 256])
    return dk.GAN([body, dk.Regressor(784, activation="sigmoid")], body, latent_dim=100)


def _vae() -> dk.VAE:
    body = dk.MLP([500], activation="tanh")
    return dk.VAE(body, latent_dim=20, decoder=body)


def _autoencoder() -> dk.Autoencoder:
    encoder = dk.MLP([1000], activation="sigmoid")
    return dk.Autoencoder(encoder, corruption=dk.MaskingNoise(0.25), activation="sigmoid")


def _bilstm() -> dk.Sequential:
    token_ids = dk.Input((None,), dtype="int32")
    embedding = layers.Embedding(20_000, 128)
    return dk.Sequential([token_ids, embedding, dk.BiLSTM(64, num_layers=2), dk.Classifier(1)])


def _transformer() -> dk.Sequential:
    elements: list[Any] = [dk.Input((200,), dtype="int32"), layers.Embedding(20_000, 128)]
    elements += [dk.layers.PositionEmbedding("learned", max_length=200), dk.TransformerEncoder(4, num_layers=2)]
    return dk.Sequential([*elements, dk.Classifier(1, pool="avg")])


def _translator() -> dk.Seq2Seq:
    text = dk.Text(5_000, vocabulary=("a", "b"))
    encoder, decoder = dk.TransformerEncoder(4, num_layers=2), dk.TransformerDecoder(4, num_layers=2)
    return dk.Seq2Seq(text, embedding_dim=128, encoder=encoder, decoder=decoder)


MODELS = {
    "vae": ModelPair(_vae, handwritten.VAE, _bits, num_steps=100),
    "gan": ModelPair(_gan, handwritten.GAN, _bits, num_steps=60),
    "autoencoder": ModelPair(_autoencoder, handwritten.autoencoder, _images, loss="binary_crossentropy", num_steps=40),
    "bilstm": ModelPair(_bilstm, handwritten.bilstm, _tokens, None, "binary_crossentropy", num_steps=8),
    "transformer": ModelPair(_transformer, handwritten.transformer, _tokens, None, "binary_crossentropy", num_steps=6),
    "translator": ModelPair(_translator, handwritten.Translator, _id_pairs, None, num_steps=10),
}


def build(name: str) -> keras.Model:
    """Return deepkit's model."""
    pair = MODELS[name]
    definition = pair.definition()
    return definition.build() if pair.input_shape is None else definition.build(pair.input_shape)


def step_time(name: str, model: keras.Model) -> Side:
    """Return the time of one training step of a model, in milliseconds."""
    pair = MODELS[name]
    loss = {} if pair.loss is None else {"loss": pair.loss}
    model.compile("adam", jit_compile=False, **loss)
    batch = pair.data(1)

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(pair.num_steps):
            model.train_on_batch(*batch)
        return 1e3 * (time.perf_counter() - start) / pair.num_steps

    return Side(measure)


def deepkit_side(name: str) -> Side:
    """Return the time of a training step of deepkit's model."""
    return step_time(name, build(name))


def handwritten_side(name: str) -> Side:
    """Return the time of a training step of the hand-written model."""
    return step_time(name, MODELS[name].handwritten())
