"""Hand-written Keras models with the same training step as deepkit's: the reference of the timings."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops


class VAE(keras.Model):
    """A variational autoencoder 784-500-20-500-784 with a training step as in the Keras examples."""

    def __init__(self) -> None:
        super().__init__()
        inputs = keras.Input((784,))
        hidden = layers.Dense(500, activation="tanh")(inputs)
        self.encoder = keras.Model(inputs, [layers.Dense(20)(hidden), layers.Dense(20)(hidden)])
        codes = keras.Input((20,))
        self.decoder = keras.Model(codes, layers.Dense(784)(layers.Dense(500, activation="tanh")(codes)))
        self.seed = keras.random.SeedGenerator(0)
        self.trackers = [keras.metrics.Mean(name) for name in ("loss", "reconstruction", "kl")]
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Mean losses over an epoch."""
        return self.trackers

    def train_step(self, data: Any) -> dict[str, Any]:
        """Take one step on the negative lower bound."""
        x = data[0] if isinstance(data, tuple) else data
        with tf.GradientTape() as tape:
            mean, log_variance = self.encoder(x, training=True)
            noise = keras.random.normal(ops.shape(mean), seed=self.seed)
            logits = self.decoder(mean + ops.exp(0.5 * log_variance) * noise, training=True)
            crossentropy = ops.relu(logits) - logits * x + ops.softplus(-ops.abs(logits))
            reconstruction = ops.mean(ops.sum(crossentropy, axis=1))
            terms = 1 + log_variance - ops.square(mean) - ops.exp(log_variance)
            kl = ops.mean(-0.5 * ops.sum(terms, axis=1))
            loss = reconstruction + kl
        gradients = tape.gradient(loss, [weight.value for weight in self.trainable_weights])
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        for tracker, value in zip(self.trackers, (loss, reconstruction, kl), strict=True):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.trackers}


class GAN(keras.Model):
    """A generator 100-256-256-784 and a discriminator 784-256-256-1, trained as in the Keras examples."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = _mlp(100, 784, "sigmoid")
        self.discriminator = _mlp(784, 1, None)
        self.seed = keras.random.SeedGenerator(0)
        self.trackers = [keras.metrics.Mean(name) for name in ("discriminator_loss", "generator_loss")]
        self.accuracies = [keras.metrics.Mean(name) for name in ("real_accuracy", "fake_accuracy")]
        self.built = True

    def compile(self, optimizer: Any, **kwargs: Any) -> None:
        """Compile with one optimizer for each network."""
        super().compile(optimizer=optimizer, **kwargs)
        self.discriminator_optimizer = type(self.optimizer).from_config(self.optimizer.get_config())

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Mean losses and accuracies over an epoch."""
        return [*self.trackers, *self.accuracies]

    def train_step(self, data: Any) -> dict[str, Any]:
        """Take one step of the discriminator and one of the generator."""
        x = data[0] if isinstance(data, tuple) else data
        batch_size = ops.shape(x)[0]
        fake = self.generator(keras.random.normal((batch_size, 100), seed=self.seed), training=True)
        with tf.GradientTape() as tape:
            real_logits, fake_logits = self.discriminator(x, training=True), self.discriminator(fake, training=True)
            loss = ops.mean(ops.softplus(-real_logits)) + ops.mean(ops.softplus(fake_logits))
        self._apply(tape, loss, self.discriminator, self.discriminator_optimizer)
        self.trackers[0].update_state(loss)
        self.accuracies[0].update_state(real_logits > 0)
        self.accuracies[1].update_state(fake_logits < 0)
        noise = keras.random.normal((batch_size, 100), seed=self.seed)
        with tf.GradientTape() as tape:
            logits = self.discriminator(self.generator(noise, training=True), training=True)
            loss = ops.mean(ops.softplus(-logits))
        self._apply(tape, loss, self.generator, self.optimizer)
        self.trackers[1].update_state(loss)
        return {metric.name: metric.result() for metric in self.metrics}

    def _apply(self, tape: tf.GradientTape, loss: Any, network: keras.Model, optimizer: Any) -> None:
        weights = network.trainable_weights
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        optimizer.apply_gradients(zip(gradients, weights, strict=True))


def _mlp(inputs: int, outputs: int, activation: str | None) -> keras.Model:
    x = input_tensor = keras.Input((inputs,))
    for units in (256, 256):
        x = layers.Dense(units, activation="relu")(x)
    return keras.Model(input_tensor, layers.Dense(outputs, activation=activation)(x))


class Masking(layers.Layer):
    """A layer that sets a share of the values to 0 in training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.seed = keras.random.SeedGenerator(0)

    def call(self, x: Any, training: bool = False) -> Any:
        """Mask the values in training."""
        if not training:
            return x
        mask = keras.random.uniform(ops.shape(x), seed=self.seed) >= self.rate
        return x * ops.cast(mask, x.dtype)


def autoencoder() -> keras.Model:
    """Return a denoising autoencoder 784-1000-784 with a quarter of its inputs set to 0."""
    inputs = keras.Input((784,))
    code = layers.Dense(1000, activation="sigmoid")(Masking(0.25)(inputs))
    return keras.Model(inputs, layers.Dense(784, activation="sigmoid")(code))


def transformer() -> keras.Model:
    """Return a Transformer encoder of two layers over embeddings of 20,000 words with learned positions."""
    ids = keras.Input((200,), dtype="int32")
    x = LearnedPositions()(layers.Embedding(20_000, 128)(ids))
    for _ in range(2):
        x = layers.LayerNormalization(epsilon=1e-5)(layers.Add()([x, layers.MultiHeadAttention(4, 32)(x, x)]))
        y = layers.Dense(128)(layers.Activation("relu")(layers.Dense(512)(x)))
        x = layers.LayerNormalization(epsilon=1e-5)(layers.Add()([x, y]))
    return keras.Model(ids, layers.Dense(1)(layers.GlobalAveragePooling1D()(x)))


class LearnedPositions(layers.Layer):
    """A layer that adds a trained vector for each position."""

    def build(self, input_shape: Any) -> None:
        """Create the vectors."""
        self.embeddings = self.add_weight(shape=input_shape[1:], initializer="uniform")

    def call(self, x: Any) -> Any:
        """Add the vectors."""
        return x + self.embeddings


class Translator(keras.Model):
    """A Transformer of two layers in encoder and decoder over 5,000 words, with the masked loss of teacher forcing."""

    def __init__(self) -> None:
        super().__init__()
        source, target = keras.Input((None,), dtype="int64"), keras.Input((None,), dtype="int64")
        memory = _embedded(source)
        for _ in range(2):
            memory = _transformer_layer(memory, [])
        x = _embedded(target)
        for _ in range(2):
            x = _transformer_layer(x, [memory], use_causal_mask=True)
        self.network = keras.Model([source, target], layers.Dense(5_000)(x))
        self.trackers = [keras.metrics.Mean(name) for name in ("accuracy", "perplexity")]
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the logits of each target token, and of the end."""
        source, target = inputs
        return self.network([source, ops.pad(target, [[0, 0], [1, 0]])], training=training)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Take one step on the cross-entropy of all tokens."""
        source, target = data
        labels = ops.pad(target, [[0, 0], [0, 1]])
        with tf.GradientTape() as tape:
            logits = self((source, target), training=True)
            losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
            loss = ops.mean(losses)
        weights = self.trainable_weights
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        self.trackers[0].update_state(ops.equal(ops.argmax(logits, -1), labels))
        self.trackers[1].update_state(losses)
        return {"loss": loss, **{tracker.name: tracker.result() for tracker in self.trackers}}


class Positions(layers.Layer):
    """A layer that adds sinusoids of the positions."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        angles = np.arange(length)[:, None] / 10_000 ** (np.arange(0, width, 2) / width)
        self.table = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, width).astype("float32")

    def call(self, x: Any) -> Any:
        """Add the sinusoids."""
        return x + ops.convert_to_tensor(self.table)[: ops.shape(x)[1]]


def _embedded(ids: Any) -> Any:
    return Positions(64, 128)(layers.Embedding(5_000, 128)(ids))


def _transformer_layer(x: Any, memories: list[Any], **kwargs: Any) -> Any:
    x = layers.LayerNormalization(epsilon=1e-5)(layers.Add()([x, layers.MultiHeadAttention(4, 32)(x, x, **kwargs)]))
    for memory in memories:
        x = layers.LayerNormalization(epsilon=1e-5)(layers.Add()([x, layers.MultiHeadAttention(4, 32)(x, memory)]))
    y = layers.Dense(128)(layers.Activation("relu")(layers.Dense(512)(x)))
    return layers.LayerNormalization(epsilon=1e-5)(layers.Add()([x, y]))


def bilstm() -> keras.Model:
    """Return two bidirectional LSTMs over embeddings of 20,000 words, with one logit."""
    ids = keras.Input((None,), dtype="int32")
    x = layers.Embedding(20_000, 128)(ids)
    x = layers.Bidirectional(layers.LSTM(64, return_sequences=True))(x)
    x = layers.Bidirectional(layers.LSTM(64))(x)
    return keras.Model(ids, layers.Dense(1)(x))
