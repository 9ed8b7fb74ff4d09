"""Generative adversarial networks: a generator and a discriminator with alternating training steps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.models.keras_schedules import with_per_step_schedule
from deepkit.models.quantization import reset_functions
from deepkit.utils.errors import format_value, message
from deepkit.utils.lazy_tensorflow import tf
from deepkit.utils.replicas import batch_weight, split_across_replicas
from deepkit.utils.validation import check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import Nested, OptimizerLike, PathLike, Shape, Tensor

LOSSES = ("non_saturating", "minimax")
PRIORS = ("normal", "uniform")
_UNIFORM_LIMIT = math.sqrt(3)  # gives the uniform prior variance 1, as the normal prior has


@keras.saving.register_keras_serializable(package="deepkit")
class GenerativeAdversarialNetwork(keras.Model):
    """A generator and a discriminator with an adversarial training step; `dk.GAN(...).build` returns it.

    Each batch of `fit` is one discriminator step of algorithm 1 of the paper, with new noise. Every
    `discriminator_steps`-th batch, counted over all epochs, is followed by a generator step with new noise. Both
    networks run in training mode in both steps. The losses are computed from logits in float32. Called on data, the
    model returns the discriminator's logits.

    Reference:
        Goodfellow et al. 2014, "Generative Adversarial Nets".

    Args:
        generator: Model from noise `(batch, latent_dim)` to examples.
        discriminator: Model from examples to logits `(batch, 1)`.
        latent_dim: Width of the noise.
        discriminator_steps: Number of discriminator steps for each generator step.
        loss: The generator's loss, `"non_saturating"` or `"minimax"`.
        prior: Distribution of the noise, `"normal"` or `"uniform"`, with variance 1.

    Call arguments:
        inputs: Examples.
        training: Whether the discriminator runs in training mode.

    Input shape:
        `(batch, ...)`: examples.

    Output shape:
        `(batch, 1)`: logits.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> model = dk.GAN(
        ...     [dk.MLP([8]), dk.Regressor(2)], dk.MLP([8]), latent_dim=3
        ... ).build((2,))
        >>> model.compile("adam")
        >>> history = model.fit(np.zeros((64, 2), "float32"), verbose=0).history
        >>> sorted(history)
        ['discriminator_loss', 'fake_accuracy', 'generator_loss', 'loss', 'real_accuracy']
        >>> model.sample(5, seed=0).shape
        (5, 2)
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
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.generator, self.discriminator = generator, discriminator
        self.latent_dim, self.discriminator_steps = latent_dim, discriminator_steps
        self.generator_objective, self.prior = loss, prior
        self.training_seeds = keras.random.SeedGenerator()
        self.test_seeds = keras.random.SeedGenerator()  # separate, so that validation does not change the training
        if discriminator_steps > 1:
            self.batches_seen = self.add_weight(
                name="batches_seen", shape=(), dtype="int32", initializer="zeros", trainable=False
            )
        self.discriminator_loss_tracker = keras.metrics.Mean(name="discriminator_loss")
        self.generator_loss_tracker = keras.metrics.Mean(name="generator_loss")
        self.real_accuracy_tracker = keras.metrics.Mean(name="real_accuracy")
        self.fake_accuracy_tracker = keras.metrics.Mean(name="fake_accuracy")
        self.built = True  # both networks are built

    def build(self, input_shape: Shape) -> None:
        """Do nothing: both networks are built."""

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Return the discriminator's logits."""
        return self.discriminator(inputs, training=training)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the logits."""
        return (input_shape[0], 1)

    def layer_graph(self) -> keras.Model:
        """Return a Functional model of the two networks, from noise to logits, as `visualize.diagram` draws it."""
        noise = keras.Input((self.latent_dim,), name="noise")
        return keras.Model(noise, self.discriminator(self.generator(noise)), name=self.name)

    @property
    def input_shape(self) -> Shape:
        """Shape of a batch of examples."""
        return self.discriminator.input_shape

    @property
    def output_shape(self) -> Shape:
        """Shape of a batch of logits."""
        return self.discriminator.output_shape

    def compile(
        self,
        optimizer: OptimizerLike = "rmsprop",
        *,
        discriminator_optimizer: OptimizerLike | None = None,
        loss: None = None,
        metrics: None = None,
        **kwargs: object,
    ) -> None:
        """Configure the training.

        Args:
            optimizer: The generator's optimizer, or its name.
            discriminator_optimizer: The discriminator's optimizer. By default both networks have copies of
                `optimizer`, and a learning-rate schedule in it counts batches; with two optimizers, each schedule
                counts the steps of its own network.
            loss: Not supported; `dk.GAN(loss=...)` selects the loss.
            metrics: Not supported; there are no labels to compare with.
            kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            ValueError: `loss` or `metrics` is passed, both networks share one optimizer object, or
                `discriminator_steps` is above 1 on several devices.
        """
        if loss is not None:
            raise _unsupported("loss", loss)
        if metrics:
            raise _unsupported("metrics", metrics)
        if self.discriminator_steps > 1 and self.distribute_strategy.num_replicas_in_sync > 1:
            problem = (
                f"discriminator_steps={self.discriminator_steps} over several devices: TensorFlow cannot sum gradients "
                "across devices in a conditional step"
            )
            raise ValueError(message(problem, hint="use one device, or discriminator_steps=1"))
        generator_optimizer: keras.optimizers.Optimizer = keras.optimizers.get(optimizer)
        if discriminator_optimizer is not None:
            other_optimizer: keras.optimizers.Optimizer = keras.optimizers.get(discriminator_optimizer)
        else:
            other_optimizer = type(generator_optimizer).from_config(generator_optimizer.get_config())
            if self.discriminator_steps > 1:
                generator_optimizer = with_per_step_schedule(generator_optimizer, self.discriminator_steps)
        if other_optimizer is generator_optimizer:
            problem = "discriminator_optimizer: one optimizer cannot hold the state of two networks"
            raise ValueError(message(problem, hint="leave it out for a copy of the generator's optimizer"))
        super().compile(optimizer=generator_optimizer, **kwargs)
        scaled = keras.optimizers.LossScaleOptimizer
        if isinstance(self.optimizer, scaled) and not isinstance(other_optimizer, scaled):
            other_optimizer = scaled(other_optimizer)
        self.discriminator_optimizer = other_optimizer
        self._build_optimizers()

    def _build_optimizers(self) -> None:
        """Create the optimizers' variables, so that a checkpoint before the first step holds them."""
        pairs = ((self.optimizer, self.generator), (self.discriminator_optimizer, self.discriminator))
        with self.distribute_strategy.scope():
            for optimizer, network in pairs:
                if not optimizer.built:
                    optimizer.build(network.trainable_variables)

    def get_compile_config(self) -> dict[str, Any] | None:
        """Return the arguments of `compile`."""
        if not self.compiled:
            return None
        config = super().get_compile_config()
        return {**config, "discriminator_optimizer": keras.optimizers.serialize(self.discriminator_optimizer)}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with the arguments of a saved model."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Means over the steps of an epoch."""
        return [
            self.discriminator_loss_tracker,
            self.generator_loss_tracker,
            self.real_accuracy_tracker,
            self.fake_accuracy_tracker,
        ]

    def get_metrics_result(self) -> dict[str, Tensor]:
        """Return the current means, and the sum of both losses as `loss`."""
        results = {metric.name: metric.result() for metric in self.metrics}
        return {"loss": results["discriminator_loss"] + results["generator_loss"], **results}

    def train_step(self, data: Nested) -> dict[str, Tensor]:
        """Take a discriminator step, followed by a generator step if one is due; labels are ignored."""
        x = _examples(data)
        fake_logits = self._step_discriminator(x)
        if self.discriminator_steps == 1:
            self._step_generator(ops.shape(x)[0])
        else:
            self.batches_seen.assign_add(1)
            ops.cond(
                ops.equal(self.batches_seen % self.discriminator_steps, 0),
                lambda: self._step_generator(ops.shape(x)[0]),
                lambda: self._update_generator_metric(fake_logits),
            )
        return self.get_metrics_result()

    def test_step(self, data: Nested) -> dict[str, Tensor]:
        """Evaluate both losses in inference mode, with one generated example for each real one."""
        x = _examples(data)
        fake = self.generator(self._noise(ops.shape(x)[0], self.test_seeds), training=False)
        real_logits, fake_logits = self._logits(x, training=False), self._logits(fake, training=False)
        self._update_discriminator_metrics(_discriminator_loss(real_logits, fake_logits), real_logits, fake_logits)
        self._update_generator_metric(fake_logits)
        return self.get_metrics_result()

    def _step_discriminator(self, x: Tensor) -> Tensor:
        """Update the discriminator; return its logits of the generated examples."""
        fake = self.generator(self._noise(ops.shape(x)[0], self.training_seeds), training=True)
        with tf.GradientTape() as tape:
            real_logits, fake_logits = self._logits(x, training=True), self._logits(fake, training=True)
            loss = _discriminator_loss(real_logits, fake_logits)
            objective = self._objective(loss, x, self.discriminator, self.discriminator_optimizer)
        _apply_gradients(tape, objective, self.discriminator, self.discriminator_optimizer)
        self._update_discriminator_metrics(loss, real_logits, fake_logits)
        return fake_logits

    def _step_generator(self, num_examples: Tensor) -> Tensor:
        """Update the generator; return its loss."""
        noise = self._noise(num_examples, self.training_seeds)
        with tf.GradientTape() as tape:
            logits = self._logits(self.generator(noise, training=True), training=True)
            loss = _generator_loss(logits, self.generator_objective)
            objective = self._objective(loss, logits, self.generator, self.optimizer)
        _apply_gradients(tape, objective, self.generator, self.optimizer)
        self.generator_loss_tracker.update_state(loss, _weight(logits))
        return loss

    def _logits(self, x: Tensor, training: bool) -> Tensor:
        return ops.cast(self.discriminator(x, training=training), "float32")

    def _objective(
        self, loss: Tensor, examples: Tensor, network: keras.Model, optimizer: keras.optimizers.Optimizer
    ) -> Tensor:
        """Return the value to differentiate: this device's part of loss and penalties, with loss scaling."""
        total = loss + sum(ops.cast(ops.sum(penalty), "float32") for penalty in network.losses)
        num_devices = tf.distribute.get_strategy().num_replicas_in_sync
        return optimizer.scale_loss(total * _weight(examples) / num_devices)

    def _update_discriminator_metrics(self, loss: Tensor, real_logits: Tensor, fake_logits: Tensor) -> None:
        self.discriminator_loss_tracker.update_state(loss, _weight(real_logits))
        self.real_accuracy_tracker.update_state(real_logits > 0)
        self.fake_accuracy_tracker.update_state(fake_logits < 0)

    def _update_generator_metric(self, fake_logits: Tensor) -> Tensor:
        loss = _generator_loss(fake_logits, self.generator_objective)
        self.generator_loss_tracker.update_state(loss, _weight(fake_logits))
        return loss

    def _noise(self, num_examples: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
        """Return noise for this device; several devices split the draws of one."""
        return split_across_replicas(lambda num_rows: self._draw_noise(num_rows, seed), num_examples)

    def _draw_noise(self, num_examples: Tensor | int, seed: int | keras.random.SeedGenerator | None) -> Tensor:
        shape = (num_examples, self.latent_dim)
        if self.prior == "uniform":
            return keras.random.uniform(shape, -_UNIFORM_LIMIT, _UNIFORM_LIMIT, dtype="float32", seed=seed)
        return keras.random.normal(shape, dtype="float32", seed=seed)

    def sample(self, num_samples: int, seed: int | None = None) -> np.ndarray:
        """Return generated examples, without changing the random state of the training.

        Args:
            num_samples: Number of examples.
            seed: Integer seed for reproducible examples; None for a random seed.

        Returns:
            Examples `(num_samples, ...)` in float32.

        Raises:
            ValueError: `num_samples` is not a positive integer.
        """
        num_samples = check_integer(num_samples, "sample: num_samples", hint="use sample(16, seed=0)")
        noise = ops.convert_to_numpy(self._draw_noise(num_samples, seed))
        examples = self.generator.predict(noise, batch_size=256, verbose=0)
        return np.asarray(examples).astype("float32")

    def quantize(self, *args: object, **kwargs: object) -> None:
        """Quantize the layers as `keras.Model.quantize` does."""
        super().quantize(*args, **kwargs)
        reset_functions(self.generator, self.discriminator)

    def export(
        self,
        filepath: PathLike,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Nested | None = None,
        **kwargs: object,
    ) -> None:
        """Export the model as `keras.Model.export` does; the default `input_signature` is a batch of examples."""
        if input_signature is None:
            input_signature = [self.discriminator.inputs[0]]
        super().export(filepath, format, verbose, input_signature, **kwargs)

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
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> GenerativeAdversarialNetwork:
        """Create a model from its config."""
        networks = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("generator", "discriminator")
        }
        return cls(**{**config, **networks})


def _unsupported(argument: str, value: object) -> ValueError:
    problem = f"{argument}: a GAN has its own losses and metrics, received {format_value(value)}"
    return ValueError(
        message(problem, hint=f"compile without {argument}; dk.GAN(loss='minimax') selects the generator's loss")
    )


def _examples(data: Nested) -> Tensor:
    """Return the examples of a batch without its labels."""
    x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        problem = "sample_weight: a GAN does not support weights of examples"
        raise ValueError(message(problem, hint="leave sample_weight out"))
    return x


def _apply_gradients(
    tape: tf.GradientTape, objective: Tensor, network: keras.Model, optimizer: keras.optimizers.Optimizer
) -> None:
    """Update the weights of a network with the gradients of its objective."""
    weights = network.trainable_weights
    gradients = tape.gradient(objective, [weight.value for weight in weights])
    optimizer.apply_gradients(zip(gradients, weights, strict=True))


def _weight(examples: Tensor) -> Tensor | float:
    """Return the weight of this device's examples in means over a batch (see `batch_weight`)."""
    return batch_weight(ops.shape(examples)[0])


def _discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return -log D(x) - log(1 - D(G(z))), in nats: 2 log 2 if D cannot distinguish generated from real data."""
    return ops.mean(ops.softplus(-real_logits)) + ops.mean(ops.softplus(fake_logits))


def _generator_loss(fake_logits: Tensor, objective: str) -> Tensor:
    """Return -log D(G(z)), or log(1 - D(G(z))) for the minimax game."""
    if objective == "minimax":
        return -ops.mean(ops.softplus(fake_logits))
    return ops.mean(ops.softplus(-fake_logits))
