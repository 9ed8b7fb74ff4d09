"""The nets of the GPU benchmark, as deepkit definitions and hand-written in Keras, on any backend of Keras.

Both are the same net: `tests/test_gpu_benchmarks.py` compares them layer by layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import layers, ops

import deepkit as dk
from benchmarks.gpu_workloads import NUM_CLASSES, NUM_WORDS, Size


class Net(NamedTuple):
    """A net for a size: the model built by deepkit and the hand-written one; it has its own loss, or it classifies."""

    deepkit: Callable[[Size], keras.Model]
    handwritten: Callable[[Size], keras.Model]
    has_loss: bool = False


def lenet_definition() -> dk.Sequential:
    """Return LeNet-5 with ReLU and max pooling: 61,706 weights."""
    return dk.Sequential(
        [
            dk.ConvBlock(6, kernel_size=5, norm=None),
            layers.MaxPooling2D(2),
            dk.ConvBlock(16, kernel_size=5, norm=None, conv={"padding": "valid"}),
            layers.MaxPooling2D(2),
            dk.MLP([120, 84]),
            dk.Classifier(10),
        ],
        name="lenet",
    )


def bilstm_definition() -> dk.Sequential:
    """Return two bidirectional LSTMs of 64 units over embeddings of 128 dimensions."""
    token_ids = dk.Input((None,), dtype="int32")
    embedding = layers.Embedding(NUM_WORDS, 128)
    return dk.Sequential([token_ids, embedding, dk.BiLSTM(64, num_layers=2), dk.Classifier(2)], name="bilstm")


def _lenet(size: Size) -> keras.Model:
    return lenet_definition().build((size.extent, size.extent, 1))


def _lenet_handwritten(size: Size) -> keras.Model:
    inputs = keras.Input((size.extent, size.extent, 1))
    x = layers.Activation("relu")(layers.Conv2D(6, 5, padding="same")(inputs))
    x = layers.MaxPooling2D(2)(x)
    x = layers.Activation("relu")(layers.Conv2D(16, 5)(x))
    x = layers.Flatten()(layers.MaxPooling2D(2)(x))
    for units in (120, 84):
        x = layers.Activation("relu")(layers.Dense(units)(x))
    return keras.Model(inputs, layers.Dense(10)(x))


def _bilstm(size: Size) -> keras.Model:
    return bilstm_definition().build()


def _bilstm_handwritten(size: Size) -> keras.Model:
    ids = keras.Input((None,), dtype="int32")
    x = layers.Embedding(NUM_WORDS, 128)(ids)
    x = layers.Bidirectional(layers.LSTM(64, return_sequences=True))(x)
    x = layers.Bidirectional(layers.LSTM(64))(x)
    return keras.Model(ids, layers.Dense(2)(x))


def _attention(size: Size) -> keras.Model:
    attention = dk.Residual(dk.MultiHeadAttention(4), strides=1, activation=None)
    dense = dk.Residual([dk.MLP([256], flatten=False), layers.Dense(128)], strides=1, activation=None)
    encoder: list[Any] = [attention, layers.LayerNormalization(), dense, layers.LayerNormalization()]
    token_ids = dk.Input((None,), dtype="int32")
    return dk.Sequential([token_ids, layers.Embedding(NUM_WORDS, 128), *encoder, dk.Classifier(2, pool="avg")]).build()


def _attention_handwritten(size: Size) -> keras.Model:
    ids = keras.Input((None,), dtype="int32")
    x = layers.Embedding(NUM_WORDS, 128)(ids)
    x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(4, 32)(x, x)]))
    y = layers.Activation("relu")(layers.Dense(256)(x))
    x = layers.LayerNormalization()(layers.Add()([x, layers.Dense(128)(y)]))
    return keras.Model(ids, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


def _transformer(size: Size) -> keras.Model:
    """Return a Transformer encoder of two layers over embeddings with learned positions."""
    positions = dk.layers.PositionEmbedding("learned", max_length=size.extent)
    stack = dk.TransformerEncoder(4, intermediate_dim=256, num_layers=2)
    token_ids = dk.Input((size.extent,), dtype="int32")
    elements: list[Any] = [token_ids, layers.Embedding(NUM_WORDS, 128), positions, stack]
    return dk.Sequential([*elements, dk.Classifier(2, pool="avg")], name="transformer").build()


class LearnedPositions(layers.Layer):
    """A layer that adds a trained vector for each position."""

    def build(self, input_shape: Any) -> None:
        """Create the vectors."""
        self.embeddings = self.add_weight(shape=input_shape[1:], initializer="uniform")

    def call(self, x: Any) -> Any:
        """Add the vectors."""
        return x + self.embeddings


def _transformer_handwritten(size: Size) -> keras.Model:
    ids = keras.Input((size.extent,), dtype="int32")
    x = LearnedPositions()(layers.Embedding(NUM_WORDS, 128)(ids))
    for _ in range(2):
        x = layers.LayerNormalization(epsilon=1e-5)(layers.Add()([x, layers.MultiHeadAttention(4, 32)(x, x)]))
        y = layers.Dense(128)(layers.Activation("relu")(layers.Dense(256)(x)))
        x = layers.LayerNormalization(epsilon=1e-5)(layers.Add()([x, y]))
    return keras.Model(ids, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


def _resnet50(size: Size) -> keras.Model:
    stages = [
        dk.Bottleneck(64 * 2**stage, strides=2 if stage and not unit else 1)
        for stage, num_repeats in enumerate(size.num_repeats)
        for unit in range(num_repeats)
    ]
    stem: list[Any] = [dk.ConvBlock(64, kernel_size=7, strides=2), layers.MaxPooling2D(3, 2, padding="same")]
    head = dk.Classifier(NUM_CLASSES["resnet50"], pool="avg")
    return dk.Sequential([*stem, *stages, head], name="resnet50").build((size.extent, size.extent, 3))


def _resnet50_handwritten(size: Size) -> keras.Model:
    inputs = keras.Input((size.extent, size.extent, 3))
    x = layers.MaxPooling2D(3, 2, padding="same")(_conv(inputs, 64, 7, 2))
    for stage, num_repeats in enumerate(size.num_repeats):
        filters = 64 * 2**stage
        for unit in range(num_repeats):
            strides = 2 if stage and not unit else 1
            y = _conv(_conv(x, filters, 1), filters, 3, strides)
            if unit == 0:
                x = layers.Conv2D(4 * filters, 1, strides, use_bias=False)(x)
                y = layers.Conv2D(4 * filters, 1, padding="same", use_bias=False)(y)
                x, y = layers.BatchNormalization(momentum=0.9)(x), layers.BatchNormalization(momentum=0.9)(y)
            else:
                y = _conv(y, 4 * filters, 1, activation=False)
            x = layers.Activation("relu")(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(NUM_CLASSES["resnet50"])(layers.GlobalAveragePooling2D()(x)))


def _conv(x: Any, filters: int, kernel_size: int, strides: int = 1, *, activation: bool = True) -> Any:
    x = layers.Conv2D(filters, kernel_size, strides, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    return layers.Activation("relu")(x) if activation else x


def _vae(size: Size) -> keras.Model:
    body = dk.MLP([500], activation="tanh")
    return dk.VAE(body, latent_dim=20, decoder=body).build((784,))


class HandwrittenVAE(keras.Model):
    """A variational autoencoder 784-500-20-500-784 that adds its loss in `call`, on any backend."""

    def __init__(self) -> None:
        super().__init__()
        inputs, codes = keras.Input((784,)), keras.Input((20,))
        hidden = layers.Dense(500, activation="tanh")(inputs)
        self.encoder = keras.Model(inputs, [layers.Dense(20)(hidden), layers.Dense(20)(hidden)])
        self.decoder = keras.Model(codes, layers.Dense(784)(layers.Dense(500, activation="tanh")(codes)))
        self.seed = keras.random.SeedGenerator(0)
        self.reconstruction, self.divergence = keras.metrics.Mean("reconstruction"), keras.metrics.Mean("kl")
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the reconstruction, and add the negative lower bound."""
        mean, log_variance = self.encoder(inputs, training=training)
        noise = keras.random.normal(ops.shape(mean), seed=self.seed)
        logits = self.decoder(mean + ops.exp(0.5 * log_variance) * noise, training=training)
        crossentropy = ops.relu(logits) - logits * inputs + ops.softplus(-ops.abs(logits))
        reconstruction = ops.sum(crossentropy, axis=1)
        kl = -0.5 * ops.sum(1 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=1)
        self.reconstruction.update_state(reconstruction)
        self.divergence.update_state(kl)
        self.add_loss(ops.mean(reconstruction + kl))
        return ops.sigmoid(logits)


NETS = {  # the largest last
    "lenet": Net(_lenet, _lenet_handwritten),
    "bilstm": Net(_bilstm, _bilstm_handwritten),
    "vae": Net(_vae, lambda size: HandwrittenVAE(), has_loss=True),
    "attention": Net(_attention, _attention_handwritten),
    "transformer": Net(_transformer, _transformer_handwritten),
    "resnet50": Net(_resnet50, _resnet50_handwritten),
}
TITLES = {
    "lenet": "LeNet-5",
    "bilstm": "BiLSTM",
    "vae": "VAE",
    "attention": "attention",
    "transformer": "Transformer",
    "resnet50": "ResNet-50",
}


def training_step(
    model: keras.Model, arrays: tuple[Any, ...], *, has_loss: bool, dry: bool = False
) -> Callable[[], object]:
    """Compile a model with Adam, and return a function that takes a training step on a batch on the device.

    Args:
        model: The model.
        arrays: Inputs and labels.
        has_loss: Whether the model has its own loss.
        dry: Whether the steps of TensorFlow run eagerly, which is slow, but needs no tracing.
    """
    loss = None if has_loss else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    is_jax = keras.backend.backend() == "jax"  # which always uses XLA; with TensorFlow it compiles for too long
    model.compile("adam", loss, jit_compile=is_jax, run_eagerly=dry and not is_jax)
    tensors = [ops.convert_to_tensor(array) for array in arrays]
    return lambda: model.train_on_batch(*tensors)
