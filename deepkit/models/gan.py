"""Generative adversarial networks: a generator and a discriminator that train each other."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from deepkit.layers.config_checks import positive_integer
from deepkit.models.keras_schedules import with_per_step_schedule
from deepkit.models.replicas import shared_out

LOSSES = ("non_saturating", "minimax")
PRIORS = ("normal", "uniform")
_SPREAD = math.sqrt(3)  # of the uniform prior, so that its variance is 1 as that of the normal one


@keras.saving.register_keras_serializable(package="deepkit")
class GenerativeAdversarialNetwork(keras.Model):
    """What `dk.GAN` builds: a generator and a discriminator, and the training step of Goodfellow et al. 2014.

    Each batch that `fit` feeds is one discriminator step of algorithm 1, with noise of its own; every
    `discriminator_steps`-th batch, counted over all epochs, a generator step with fresh noise follows it. Both
    networks run in training mode in both steps. The losses are computed from logits in float32. Called on data,
    the model returns the discriminator's logit.

    Args:
        generator: Model from `(batch, latent_dim)` to examples.
        discriminator: Model from examples to `(batch, 1)` logits.
        latent_dim: Numbers in the noise vector.
        discriminator_steps: Discriminator steps for each generator step.
        loss: `"non_saturating"` or `"minimax"`: what the generator minimises.
        prior: `"normal"` or `"uniform"`, with variance 1.

    Input shape:
        `(batch, ...)`: examples.

    Output shape:
        `(batch, 1)`.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> model = dk.GAN([dk.MLP([8]), dk.Regressor(2)], dk.MLP([8]), latent_dim=3).build((2,))
        >>> model.compile("adam")
        >>> history = model.fit(np.zeros((64, 2), "float32"), verbose=0).history
        >>> sorted(history)
        ['discriminator_loss', 'fake_accuracy', 'generator_loss', 'loss', 'real_accuracy']
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        *,
        latent_dim: int,
        discriminator_steps: int = 1,
        loss: str = "non_saturating",
        prior: str = "normal",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.generator, self.discriminator = generator, discriminator
        self.latent_dim, self.discriminator_steps = latent_dim, discriminator_steps
        self.generator_objective, self.prior = loss, prior
        self.training_seeds = keras.random.SeedGenerator()
        self.test_seeds = keras.random.SeedGenerator()  # its own: validation leaves the training as it is
        if discriminator_steps > 1:
            self.batches_seen = self.add_weight(
                name="batches_seen", shape=(), dtype="int32", initializer="zeros", trainable=False
            )
        self._means = [
            keras.metrics.Mean(name=name)
            for name in ("discriminator_loss", "generator_loss", "real_accuracy", "fake_accuracy")
        ]
        self.built = True  # the two networks are

    def build(self, input_shape: Any) -> None:
        """Do nothing: both networks have their weights."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the discriminator's logit."""
        return self.discriminator(inputs, training=training)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the logits."""
        return (input_shape[0], 1)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of a batch of examples."""
        return self.discriminator.input_shape

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """Shape of a batch of logits."""
        return self.discriminator.output_shape

    def compile(
        self,
        optimizer: Any = "rmsprop",
        *,
        discriminator_optimizer: Any = None,
        loss: None = None,
        metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Set how to train.

        Args:
            optimizer: Of the generator: a Keras optimiser or its name.
            discriminator_optimizer: Of the discriminator. If left out, both networks have copies of `optimizer`, and
                a learning-rate schedule in it counts batches; of two optimisers each counts its own steps.
            loss: Must be left out: `dk.GAN(loss=...)` chooses it.
            metrics: Must be left out: there are no labels to compare with.
            kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            ValueError: A loss or metrics are given, or one optimiser for both networks; or the generator's turn
                is not every step, over several devices.
        """
        if loss is not None or metrics:
            given = "loss" if loss is not None else "metrics"
            raise ValueError(
                f"{given}: a GAN brings its own, received {loss if loss is not None else metrics!r}\n"
                f"  hint: compile without {given}; dk.GAN(loss='minimax') chooses the generator's loss"
            )
        if self.discriminator_steps > 1 and self.distribute_strategy.num_replicas_in_sync > 1:
            raise ValueError(
                f"discriminator_steps={self.discriminator_steps} over several devices: TensorFlow cannot sum gradients "
                "across them in a step that is taken only sometimes\n  hint: one device, or discriminator_steps=1"
            )
        optimizer = keras.optimizers.get(optimizer)
        if discriminator_optimizer is None:
            discriminator_optimizer = type(optimizer).from_config(optimizer.get_config())
            if self.discriminator_steps > 1:
                optimizer = with_per_step_schedule(optimizer, self.discriminator_steps)
        other = keras.optimizers.get(discriminator_optimizer)
        if other is optimizer:
            raise ValueError(
                "discriminator_optimizer: one optimiser cannot keep the state of two networks\n"
                "  hint: leaving it out for a copy of the generator's"
            )
        super().compile(optimizer=optimizer, **kwargs)
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer) and type(other) is not type(self.optimizer):
            other = keras.optimizers.LossScaleOptimizer(other)
        self.discriminator_optimizer = other
        self._build_optimizers()

    def _build_optimizers(self) -> None:
        """Make the optimisers' variables now, so that a checkpoint before the first step has them."""
        pairs = ((self.optimizer, self.generator), (self.discriminator_optimizer, self.discriminator))
        with self.distribute_strategy.scope():
            for optimizer, network in pairs:
                if not optimizer.built:
                    optimizer.build(network.trainable_variables)

    def get_compile_config(self) -> dict[str, Any] | None:
        """Return how the model was compiled."""
        if not self.compiled:
            return None
        config = super().get_compile_config()
        return {**config, "discriminator_optimizer": keras.optimizers.serialize(self.discriminator_optimizer)}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as the model was that was saved."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Means over the steps of an epoch."""
        return self._means

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the means so far, and as `loss` the sum of both networks' losses."""
        results = {metric.name: metric.result() for metric in self.metrics}
        return {"loss": results["discriminator_loss"] + results["generator_loss"], **results}

    def train_step(self, data: Any) -> dict[str, Any]:
        """Take a discriminator step, and a generator step where it is the generator's turn; labels are ignored."""
        x = _examples(data)
        fake_logits = self._step_discriminator(x)
        if self.discriminator_steps == 1:
            self._step_generator(ops.shape(x)[0])
        else:
            self.batches_seen.assign_add(1)
            turn = ops.equal(self.batches_seen % self.discriminator_steps, 0)
            ops.cond(turn, lambda: self._step_generator(ops.shape(x)[0]), lambda: self._track_generator(fake_logits))
        return self.get_metrics_result()

    def test_step(self, data: Any) -> dict[str, Any]:
        """Measure both losses in inference mode, on as many generated examples as there are real ones."""
        x = _examples(data)
        fake = self.generator(self._noise(ops.shape(x)[0], self.test_seeds), training=False)
        real_logits, fake_logits = self._logits(x, training=False), self._logits(fake, training=False)
        self._track(_discriminator_loss(real_logits, fake_logits), real_logits, fake_logits)
        self._track_generator(fake_logits)
        return self.get_metrics_result()

    def _step_discriminator(self, x: Any) -> Any:
        """Let the discriminator learn; return its logits of what was generated."""
        fake = self.generator(self._noise(ops.shape(x)[0], self.training_seeds), training=True)
        with tf.GradientTape() as tape:
            real_logits, fake_logits = self._logits(x, training=True), self._logits(fake, training=True)
            loss = _discriminator_loss(real_logits, fake_logits)
            scaled = self._scaled(loss, self.discriminator, self.discriminator_optimizer)
        _apply(tape, scaled, self.discriminator, self.discriminator_optimizer)
        self._track(loss, real_logits, fake_logits)
        return fake_logits

    def _step_generator(self, count: Any) -> Any:
        noise = self._noise(count, self.training_seeds)
        with tf.GradientTape() as tape:
            logits = self._logits(self.generator(noise, training=True), training=True)
            loss = _generator_loss(logits, self.generator_objective)
            scaled = self._scaled(loss, self.generator, self.optimizer)
        _apply(tape, scaled, self.generator, self.optimizer)
        self._means[1].update_state(loss)
        return loss

    def _logits(self, x: Any, training: bool) -> Any:
        return ops.cast(self.discriminator(x, training=training), "float32")

    def _scaled(self, loss: Any, network: keras.Model, optimizer: Any) -> Any:
        """Return what is differentiated: with the network's penalties, this device's share, scaled for 16 bits."""
        total = loss + sum(ops.cast(ops.sum(penalty), "float32") for penalty in network.losses)
        return optimizer.scale_loss(total / tf.distribute.get_strategy().num_replicas_in_sync)

    def _track(self, loss: Any, real_logits: Any, fake_logits: Any) -> None:
        self._means[0].update_state(loss)
        self._means[2].update_state(real_logits > 0)
        self._means[3].update_state(fake_logits < 0)

    def _track_generator(self, fake_logits: Any) -> Any:
        loss = _generator_loss(fake_logits, self.generator_objective)
        self._means[1].update_state(loss)
        return loss

    def _noise(self, count: Any, seeds: keras.random.SeedGenerator) -> Any:
        """Return noise for `count` examples on this device; several devices share out what one would draw."""
        return shared_out(lambda rows: self._draw(rows, seeds), count)

    def _draw(self, count: Any, seed: Any) -> Any:
        shape = (count, self.latent_dim)
        if self.prior == "uniform":
            return keras.random.uniform(shape, -_SPREAD, _SPREAD, dtype="float32", seed=seed)
        return keras.random.normal(shape, dtype="float32", seed=seed)

    def sample(self, num_samples: int, seed: int | None = None) -> np.ndarray:
        """Return generated examples in float32; training goes on as if none had been drawn.

        Args:
            num_samples: How many.
            seed: Integer for the same noise each time; None for other noise each time.

        Raises:
            ValueError: `num_samples` is no positive integer.
        """
        positive_integer(num_samples, "sample: num_samples", "sample(16, seed=0)")
        noise = ops.convert_to_numpy(self._draw(num_samples, seed))
        made = self.generator.predict(noise, batch_size=256, verbose=0)
        return np.asarray(made).astype("float32")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            **super().get_config(),
            "generator": keras.saving.serialize_keras_object(self.generator),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "latent_dim": self.latent_dim,
            "discriminator_steps": self.discriminator_steps,
            "loss": self.generator_objective,
            "prior": self.prior,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> GenerativeAdversarialNetwork:
        """Make the model of a config."""
        networks = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("generator", "discriminator")
        }
        return cls(**{**config, **networks})


def _examples(data: Any) -> Any:
    """Return the examples of a batch without its labels."""
    x, _, weights = keras.utils.unpack_x_y_sample_weight(data)
    if weights is not None:
        raise ValueError("sample_weight: a GAN's examples all count alike\n  hint: leaving the weights out")
    return x


def _apply(tape: tf.GradientTape, loss: Any, network: keras.Model, optimizer: Any) -> None:
    """Let an optimiser move the weights of its own network."""
    weights = network.trainable_weights
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    optimizer.apply_gradients(zip(gradients, weights, strict=True))


def _discriminator_loss(real_logits: Any, fake_logits: Any) -> Any:
    """Return -log D(x) - log(1 - D(G(z))), in nats: 2 log 2 where data cannot be told from what is generated."""
    return ops.mean(ops.softplus(-real_logits)) + ops.mean(ops.softplus(fake_logits))


def _generator_loss(fake_logits: Any, objective: str) -> Any:
    """Return -log D(G(z)), or log(1 - D(G(z))) for the minimax game."""
    if objective == "minimax":
        return -ops.mean(ops.softplus(fake_logits))
    return ops.mean(ops.softplus(-fake_logits))
