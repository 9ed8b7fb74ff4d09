"""The variational autoencoder, trained on a lower bound of the log-likelihood of its input."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers, ops

from deepkit.layers.gaussian_sampling import GaussianSampling
from deepkit.losses.likelihoods import LIKELIHOODS
from deepkit.models.checked_data import CheckedData, other_values
from deepkit.models.importance_sampling import estimate_log_likelihood, log_prior_ratio
from deepkit.models.quantization import reset_functions
from deepkit.utils.errors import format_value, make_error, message
from deepkit.utils.lazy_tensorflow import tf
from deepkit.utils.replicas import split_across_replicas
from deepkit.utils.validation import check_choice, check_integer, check_number

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike, Dataset, OptimizerLike, Shape, Tensor

_MAX_DECODED_ROWS = 2048  # draws decoded at a time in the estimate of a likelihood


@keras.saving.register_keras_serializable(package="deepkit")
class VariationalAutoencoder(CheckedData, keras.Model):
    """An encoder q(z | x) and a decoder p(x | z), trained on a lower bound of log p(x); `dk.VAE(...).build` returns it.

    Called on data, the model returns the reconstruction: the mean of p(x | z) at the mean of q(z | x), or at a draw
    from q(z | x) in training. It needs no loss: call `compile("adam")` and `fit(x)`; labels are ignored. `fit` and
    `evaluate` report, in nats per example, `loss`, the negative bound plus penalties on weights; `reconstruction`,
    -E[log p(x | z)]; and `kl`, the divergence of q(z | x) from the standard normal. The bound is computed in float32,
    even if the layers compute in 16 bits.

    `beta` is a non-trainable weight, so that compiled steps read its current value and every checkpoint holds it.

    `keras.models.clone_model` returns a functional model of the reconstruction, without the bound;
    `type(model).from_config(model.get_config())` returns a second model with new weights.

    Reference:
        Kingma & Welling 2014, "Auto-Encoding Variational Bayes", section 2 and appendix B.

    Args:
        encoder: Model that returns `{"mean": (batch, latent_dim), "log_variance": (batch, latent_dim)}`.
        decoder: Model from z to `{"logits": ...}`, or to `{"mean": ...}` with or without `"log_variance"`, of the
            shape of the data.
        likelihood: `"bernoulli"`, `"gaussian"` or `"unit_gaussian"`.
        beta: Weight of the divergence in the loss (Higgins et al. 2017); the loss is a bound for 1 and above. It can
            be changed during the training, for example by a callback.
        num_importance_samples: Number of draws in the importance-weighted bound (Burda et al. 2016); 1 for the plain
            bound.
        name: Name of the model.
        dtype: Dtype policy of the model, the global policy by default; the layers have their own.

    Call arguments:
        inputs: Examples.
        training: Whether to draw from q(z | x) and to add the loss.

    Input shape:
        `(batch, ...)`, the input shape of the encoder.

    Output shape:
        The input shape.

    Raises:
        ValueError: The outputs of the encoder or the decoder are not those of a variational autoencoder, or an
            argument is out of range.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> model = dk.VAE(dk.MLP([8]), latent_dim=2, decoder=dk.MLP([8])).build((4,))
        >>> model.compile("adam")
        >>> x = np.eye(4, dtype="float32")
        >>> sorted(model.evaluate(x, verbose=0, return_dict=True))
        ['kl', 'loss', 'reconstruction']
        >>> (
        ...     model.sample(3, seed=0).shape,
        ...     model.log_likelihood(x, num_samples=10, seed=0).shape,
        ... )
        ((3, 4), (4,))
        >>> code = model.encode(x)
        >>> sorted(code), model.decode(code["mean"]).shape
        (['log_variance', 'mean'], (4, 4))
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        *,
        likelihood: str = "bernoulli",
        beta: float = 1.0,
        num_importance_samples: int = 1,
        name: str | None = None,
        dtype: str | keras.DTypePolicy | None = None,
    ) -> None:
        owner = type(self).__name__
        hint = 'use likelihood="gaussian"'
        likelihood = check_choice(likelihood, f"{owner}: likelihood", tuple(LIKELIHOODS), hint=hint)
        num_importance_samples = check_integer(
            num_importance_samples, f"{owner}: num_importance_samples", hint="use num_importance_samples=1"
        )
        check_beta(np.asarray(beta).item(), num_importance_samples, owner)
        distribution = LIKELIHOODS[likelihood]
        _check_outputs(encoder, ("mean", "log_variance"), "encoder")
        _check_outputs(decoder, distribution.outputs, "decoder")
        sampling = GaussianSampling(name="sampling", dtype="float32")
        inputs = keras.Input(encoder.inputs[0].shape[1:], dtype=encoder.inputs[0].dtype, name="input")
        outputs = decoder(sampling(encoder(inputs)))
        mean = layers.Activation(distribution.activation, dtype="float32", name="mean")
        super().__init__(inputs, mean(outputs[distribution.outputs[0]]), name=name)
        if dtype is not None:  # not an argument of a functional model; it decides whether losses are scaled
            self.dtype_policy = dtype
        self.encoder, self.decoder, self.sampling = encoder, decoder, sampling
        self.likelihood, self.num_importance_samples = likelihood, num_importance_samples
        self._beta = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(beta), dtype="float32", trainable=False, name="beta"
        )
        self.evaluation_seed = keras.random.SeedGenerator()  # separate: validation does not change the training
        self.reconstruction_tracker = keras.metrics.Mean("reconstruction")
        self.kl_tracker = keras.metrics.Mean("kl")
        self.autocast = False  # the bound compares with the data in float32

    @property
    def beta(self) -> float:
        """Weight of the divergence in the loss; a new value applies from the next step on."""
        value = ops.convert_to_numpy(self._beta)
        shortest = np.format_float_scientific(value[()])  # of all decimals of the float32: 0.1, not 0.10000000149
        return float(shortest)

    @beta.setter
    def beta(self, value: float) -> None:
        check_beta(np.asarray(value).item(), self.num_importance_samples, self.name)
        self._beta.assign(value)

    def compile(self, optimizer: OptimizerLike = "rmsprop", loss: None = None, **kwargs: object) -> None:
        """Configure the training, as `keras.Model.compile` does, on the bound.

        Raises:
            ValueError: `loss` is passed; it would be added to the bound.
        """
        if loss is not None:
            problem = f"loss: a VAE has its own loss, the bound on log p(x), received {format_value(loss)}"
            hint = "compile without loss; dk.VAE(likelihood=..., beta=...) selects the bound"
            raise ValueError(message(problem, hint=hint))
        super().compile(optimizer=optimizer, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with the arguments of a saved model."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def call(self, inputs: Tensor, training: bool = False, mask: Tensor | None = None) -> Tensor:
        """Return the reconstruction; in training, add the loss."""
        if not training:
            return super().call(inputs, training=False)
        outputs = self._add_bound(inputs, self.sampling.seed_generator, training=True)
        means = LIKELIHOODS[self.likelihood].mean(outputs)
        return means[:: self.num_importance_samples]  # the first draw of each example

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor | None = None,
        y_pred: Tensor | None = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        """Return the negative bound; in evaluation, compute it here, as the call has not drawn."""
        if sample_weight is not None:
            problem = "sample_weight: a VAE does not support weights of examples"
            raise ValueError(message(problem, hint="leave sample_weight out"))
        if not training:
            self._add_bound(x, self.evaluation_seed, training=False)
        return super().compute_loss(x, y, y_pred, sample_weight, training=training)

    def compute_metrics(
        self, x: Tensor, y: Tensor | None, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Update the metrics of `compile`; without labels they compare with the input."""
        return super().compute_metrics(x, self._as_examples(x) if y is None else y, y_pred, sample_weight)

    def check_values(self, values: np.ndarray) -> None:
        """Raise a `ValueError` if the likelihood is Bernoulli, and the values are not 0 and 1.

        Args:
            values: Examples `(batch, ...)`.
        """
        if self.likelihood != "bernoulli" or np.all((values == 0) | (values == 1)):
            return
        problem = f"a Bernoulli likelihood expects the values 0 and 1, received {other_values(values, (0, 1))}"
        hint = 'use likelihood="gaussian" for gray values, or binary ones: (x > 0.5).astype("float32")'
        raise ValueError(message(problem, path=f"{self.name}.decoder", hint=hint))

    def quantize(self, *args: object, **kwargs: object) -> None:
        """Quantize the layers as `keras.Model.quantize` does."""
        super().quantize(*args, **kwargs)
        reset_functions(self.encoder, self.decoder)

    def encode(self, x: Tensor | Dataset, batch_size: int | None = None) -> dict[str, np.ndarray]:
        """Return mean and log-variance of q(z | x).

        Args:
            x: Examples `(examples, ...)`, or a dataset of batches.
            batch_size: Number of examples in a batch; None for 32.

        Returns:
            A dictionary of the two arrays, each `(examples, latent)`.
        """
        return self.encoder.predict(x, batch_size=batch_size, verbose=0)

    def decode(self, z: Tensor | Dataset, batch_size: int | None = None) -> np.ndarray:
        """Return the mean of p(x | z) for each z.

        Args:
            z: Latent vectors `(examples, latent)`, or a dataset of batches.
            batch_size: Number of vectors in a batch; None for 32.

        Returns:
            Examples `(examples, ...)`.
        """
        outputs = self.decoder.predict(z, batch_size=batch_size, verbose=0)
        return ops.convert_to_numpy(LIKELIHOODS[self.likelihood].mean(outputs))

    def reconstruct(self, x: Tensor | Dataset, batch_size: int | None = None) -> np.ndarray:
        """Return the mean of p(x | z) at the mean of q(z | x).

        Args:
            x: Examples `(examples, ...)`, or a dataset of batches.
            batch_size: Number of examples in a batch; None for 32.

        Returns:
            Examples `(examples, ...)`.
        """
        return self.predict(x, batch_size=batch_size, verbose=0)

    def sample(self, num_samples: int, *, seed: int | None = None, noise: bool = False) -> np.ndarray:
        """Draw z from the standard normal prior, and return the mean of p(x | z), as papers show it.

        Args:
            num_samples: Number of examples.
            seed: Integer seed for reproducible examples; None for a random seed.
            noise: Whether to draw from p(x | z) instead of returning its mean.

        Returns:
            Examples of shape `(num_samples, ...)`, float32.

        Raises:
            ValueError: `num_samples` is not a positive integer.
        """
        num_samples = check_integer(num_samples, "sample: num_samples", hint="use sample(16, seed=0)")
        generator = keras.random.SeedGenerator(seed)
        z = keras.random.normal((num_samples, *self.decoder.input_shape[1:]), seed=generator)
        outputs = self.decoder.predict(ops.convert_to_numpy(z), verbose=0)
        distribution = LIKELIHOODS[self.likelihood]
        return ops.convert_to_numpy(distribution.draw(outputs, generator) if noise else distribution.mean(outputs))

    def log_likelihood(
        self, x: ArrayLike | Dataset, num_samples: int = 5000, *, batch_size: int = 100, seed: int | None = None
    ) -> np.ndarray:
        """Estimate log p(x) of each example by importance sampling, with q(z | x) as the proposal.

        The expectation of the estimate is a lower bound, which is tighter with more samples.

        Reference:
            Rezende et al. 2014, appendix E; Burda et al. 2016 report it with 5000 samples.

        Args:
            x: Examples, or a dataset of batches of examples, with or without labels.
            num_samples: Number of draws for each example.
            batch_size: Number of examples in a batch.
            seed: Integer seed for reproducible draws; None for a random seed.

        Returns:
            Nats of each example, `(examples,)`: log-probabilities, or log-densities under a Gaussian likelihood.

        Raises:
            ValueError: The likelihood is Bernoulli, and the values are not 0 and 1; or `num_samples` or `batch_size`
                is not a positive integer.
        """
        num_samples = check_integer(num_samples, "log_likelihood: num_samples", hint="use num_samples=5000")
        batch_size = check_integer(batch_size, "log_likelihood: batch_size", hint="use batch_size=100")
        generator = keras.random.SeedGenerator(seed)
        chunk_size = min(num_samples, max(1, _MAX_DECODED_ROWS // batch_size))

        def estimate(batch: Tensor) -> Tensor:
            mean, log_variance = self._encode(batch, training=False)
            repeated = ops.repeat(batch, chunk_size, axis=0)
            return estimate_log_likelihood(
                lambda z: self._log_prob(repeated, self.decoder(z, training=False)),
                mean,
                log_variance,
                num_samples=num_samples,
                chunk_size=chunk_size,
                seed=generator,
            )

        signature = [tf.TensorSpec((None, *self.input_shape[1:]))]
        compiled = tf.function(estimate, input_signature=signature, autograph=False)
        return np.concatenate([ops.convert_to_numpy(compiled(batch)) for batch in self._batches(x, batch_size)])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "likelihood": self.likelihood,
            "beta": self.beta,
            "num_importance_samples": self.num_importance_samples,
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> VariationalAutoencoder:
        """Create a model from its config."""
        networks = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("encoder", "decoder")
        }
        return cls(**{**config, **networks})

    def _add_bound(self, x: Tensor, seed: keras.random.SeedGenerator, *, training: bool) -> Mapping[str, Tensor]:
        """Add the loss of a batch, update the metrics, and return the decoder's outputs for the draws."""
        x = self._as_examples(x)
        num_samples = self.num_importance_samples
        mean, log_variance = self._encode(x, training)
        kl = -0.5 * ops.sum(1 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=-1)
        mean, log_variance = ops.repeat(mean, num_samples, axis=0), ops.repeat(log_variance, num_samples, axis=0)
        latent_dim = mean.shape[1]
        noise = split_across_replicas(
            lambda num_rows: keras.random.normal((num_rows, latent_dim), seed=seed), ops.shape(mean)[0]
        )
        z = mean + ops.exp(0.5 * log_variance) * noise
        outputs = self.decoder(z, training=training)
        log_prob = self._log_prob(ops.repeat(x, num_samples, axis=0), outputs)  # (batch * num_samples,)
        if num_samples == 1:
            loss = self._beta * kl - log_prob
        else:
            log_weights = ops.reshape(log_prob + log_prior_ratio(z, mean, log_variance), (-1, num_samples))
            loss = math.log(num_samples) - ops.logsumexp(log_weights, axis=1)
        self.reconstruction_tracker.update_state(-log_prob)
        self.kl_tracker.update_state(kl)
        keras.layers.Layer.add_loss(self, ops.mean(loss))  # `add_loss` of a functional model raises an error
        return outputs

    def _as_examples(self, x: Tensor) -> Tensor:
        """Return a batch in float32; as Keras models do, accept an additional or missing channel axis of size 1."""
        expected = tuple(self.input_shape[1:])
        if getattr(x.shape, "rank", len(expected)) is None:  # a TensorFlow tensor of any shape
            return ops.reshape(ops.cast(x, "float32"), (-1, *expected))
        received = tuple(x.shape[1:])
        is_compatible = (
            _are_compatible(received, expected)
            or _are_compatible((*received, 1), expected)
            or _are_compatible(received, (*expected, 1))
        )
        if not is_compatible:
            problem = f"{self.name}: expected examples of the shape {expected}, received {received}"
            hint = f"pass data of that shape, or build the model with .build({received})"
            raise ValueError(message(problem, hint=hint))
        return ops.reshape(ops.cast(x, "float32"), (-1, *expected))

    def _encode(self, x: Tensor, training: bool) -> tuple[Tensor, Tensor]:
        code = self.encoder(x, training=training)
        return ops.cast(code["mean"], "float32"), ops.cast(code["log_variance"], "float32")

    def _log_prob(self, x: Tensor, outputs: Mapping[str, Tensor]) -> Tensor:
        outputs = {name: ops.cast(value, "float32") for name, value in outputs.items()}
        return ops.sum(LIKELIHOODS[self.likelihood].log_prob(x, outputs), axis=tuple(range(1, len(x.shape))))

    def _batches(self, x: ArrayLike | Dataset, batch_size: int) -> Iterator[Tensor]:
        """Yield the examples in batches, after checking them."""
        dataset: Dataset
        if isinstance(x, tf.data.Dataset):
            dataset = x
        else:
            dataset = tf.data.Dataset.from_tensor_slices(np.asarray(x)).batch(batch_size)
        for examples in dataset.map(lambda *batch: batch[0]).unbatch().batch(batch_size):
            self.check_values(np.asarray(examples))
            yield self._as_examples(examples)


def check_beta(beta: object, num_importance_samples: int, name: str, *, error: type[Exception] = ValueError) -> None:
    """Raise an error if a weight of the divergence is negative, or not 1 in an importance-weighted bound.

    Args:
        beta: The weight.
        num_importance_samples: Number of draws in the bound.
        name: Name of the model or the definition, for the message.
        error: Class of the error.
    """
    number = check_number(beta, f"{name}: beta", minimum=0, error=error, hint="use beta=1.0")
    if number != 1 and num_importance_samples > 1:
        problem = (
            f"{name}: beta={number!r} weights the divergence, which the importance-weighted bound does not contain"
        )
        raise make_error(error, problem, hint="use num_importance_samples=1, or beta=1.0")


def _are_compatible(shape: Shape, other: Shape) -> bool:
    """Return whether two shapes may be equal; None is an unknown size."""
    return len(shape) == len(other) and all(a is None or b is None or a == b for a, b in zip(shape, other, strict=True))


def _check_outputs(model: keras.Model, names: tuple[str, ...], role: str) -> None:
    output = getattr(model, "output", None)
    received = str(sorted(output)) if isinstance(output, dict) else "one without a name"
    if received != str(sorted(names)):
        problem = f"VariationalAutoencoder: the {role} must have the outputs {', '.join(names)}, received {received}"
        hint = "use dk.VAE(encoder, latent_dim=..., decoder=...).build(input_shape), which adds them"
        raise ValueError(message(problem, hint=hint))
