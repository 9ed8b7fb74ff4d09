"""The variational autoencoder as a Keras model: its loss is a bound on the likelihood of its input."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from deepkit.layers.config_checks import positive_integer
from deepkit.layers.gaussian_sampling import GaussianSampling, draw
from deepkit.losses.likelihoods import LIKELIHOODS, gaussian_log_prob
from deepkit.models.replicas import shared_out

_ROWS = 2048  # draws decoded at a time when a likelihood is estimated


@keras.saving.register_keras_serializable(package="deepkit")
class VariationalAutoencoder(keras.Model):
    """An encoder q(z | x) and a decoder p(x | z), trained on a bound of log p(x); what `dk.VAE(...).build` returns.

    Called on data, the model returns the reconstruction: the mean of p(x | z) at the mean of q(z | x), in training
    at a draw of it. It needs no loss: `compile("adam")` and `fit(x)` are enough, labels are not looked at. What
    `fit` and `evaluate` report, in nats per example: `loss`, the negative bound on log p(x) (with penalties on
    weights where there are some); `reconstruction`, -E[log p(x | z)]; and `kl`, the divergence of q(z | x) from the
    standard normal. Source: Kingma & Welling 2014, section 2 and appendix B. Everything is computed in float32,
    also where the layers have 16 bits.

    `beta` is no weight: `save` and `load_model` keep it, `save_weights` and `load_weights` do not. And
    `keras.models.clone_model` makes the reconstruction alone, without the bound;
    `type(model).from_config(model.get_config())` is a second model with weights of its own.

    Args:
        encoder: Returns `{"mean": (batch, latent_dim), "log_variance": (batch, latent_dim)}`.
        decoder: From z to `{"logits": ...}`, or `{"mean": ...}` and `"log_variance"`, of the shape of the data.
        likelihood: `"bernoulli"`, `"gaussian"` or `"unit_gaussian"`.
        beta: Weight of the divergence in the loss (Higgins et al. 2017); the loss is a bound for 1 and above. It can
            be set while the model is trained, by a callback.
        num_importance_samples: Draws in the importance-weighted bound (Burda et al. 2016); 1 for the plain bound.
        dtype: Policy of the model, the one in force if left out; the layers have their own.

    Raises:
        ValueError: The outputs of encoder and decoder are not those of a variational autoencoder, or an argument makes
            no sense.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> model = dk.VAE(dk.MLP([8]), latent_dim=2, decoder=dk.MLP([8])).build((4,))
        >>> model.compile("adam")
        >>> x = np.eye(4, dtype="float32")
        >>> sorted(model.evaluate(x, verbose=0, return_dict=True))
        ['kl', 'loss', 'reconstruction']
        >>> model.sample(3, seed=0).shape, model.log_likelihood(x, num_samples=10, seed=0).shape
        ((3, 4), (4,))
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
        dtype: Any = None,
    ) -> None:
        if likelihood not in LIKELIHOODS:
            known = ", ".join(map(repr, LIKELIHOODS))
            raise ValueError(
                f"VariationalAutoencoder: likelihood must be one of {known}, received {likelihood!r}\n"
                '  hint: likelihood="gaussian"'
            )
        positive_integer(
            num_importance_samples, "VariationalAutoencoder: num_importance_samples", "num_importance_samples=1"
        )
        _check_outputs(encoder, ("mean", "log_variance"), "encoder")
        _check_outputs(decoder, LIKELIHOODS[likelihood].outputs, "decoder")
        distribution = LIKELIHOODS[likelihood]
        sampling = GaussianSampling(name="sampling", dtype="float32")
        entered = encoder.inputs[0]
        inputs = keras.Input(entered.shape[1:], dtype=entered.dtype, name="input")
        outputs = decoder(sampling(encoder(inputs)))
        mean = layers.Activation(distribution.activation, dtype="float32", name="mean")
        super().__init__(inputs, mean(outputs[distribution.outputs[0]]), name=name)
        if dtype is not None:  # which a functional model does not take; it decides whether losses are scaled
            self.dtype_policy = dtype
        self.encoder, self.decoder, self.sampling = encoder, decoder, sampling
        self.likelihood, self.num_importance_samples = likelihood, num_importance_samples
        self._check_beta(beta)
        # a variable, which compiled steps read; hidden from Keras, which would count it among the weights
        first = keras.initializers.Constant(beta)
        self._live = SimpleNamespace(beta=keras.Variable(first, (), dtype="float32", trainable=False, name="beta"))
        self.evaluation_seed = keras.random.SeedGenerator()  # its own: validating does not change the training
        self.reconstruction_tracker = keras.metrics.Mean("reconstruction")
        self.kl_tracker = keras.metrics.Mean("kl")
        self.autocast = False  # 16 bits are for the layers; what is explained is the data as it came

    @property
    def beta(self) -> float:
        """Weight of the divergence in the loss; set anew, it holds from the next step on."""
        value = ops.convert_to_numpy(self._live.beta)
        return float(np.format_float_scientific(value[()]))  # the shortest that is this number in 32 bits: 0.1 as 0.1

    @beta.setter
    def beta(self, value: float) -> None:
        self._check_beta(value)
        self._live.beta.assign(value)

    def _check_beta(self, value: Any) -> None:
        wrong = beta_problem(np.asarray(value).item(), self.num_importance_samples)
        if wrong:
            raise ValueError(f"{self.name}: {wrong[0]}\n  hint: {wrong[1]}")

    @property
    def variables(self) -> list[keras.Variable]:
        """All state, beta included, so that a checkpoint has it."""
        live = getattr(self, "_live", None)
        return super().variables + ([live.beta] if live else [])

    def compile(self, optimizer: Any = "rmsprop", loss: None = None, **kwargs: Any) -> None:
        """Set how to train, as `keras.Model.compile` does, on the bound: another loss would be added to it.

        Raises:
            ValueError: A loss is given.
        """
        if loss is not None:
            raise ValueError(
                f"loss: a VAE brings its own, the bound on log p(x), received {loss!r}\n"
                "  hint: leaving loss out; dk.VAE(likelihood=..., beta=...) says what the bound is of"
            )
        super().compile(optimizer=optimizer, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as the model was that was saved."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        """Return the reconstruction; in training, add the loss."""
        if not training:
            return super().call(inputs, training=False)
        outputs = self._add_bound(inputs, self.sampling.seed_generator, training=True)
        drawn = LIKELIHOODS[self.likelihood].mean(outputs)
        return drawn[:: self.num_importance_samples]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the negative bound; of an evaluation too, where the call has decoded no draw."""
        if sample_weight is not None:
            raise ValueError("sample_weight: a VAE's examples all count alike\n  hint: leaving the weights out")
        if not training:
            self._add_bound(x, self.evaluation_seed, training=False)
        return super().compute_loss(x, y, y_pred, sample_weight, training=training)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Update the metrics that were given to `compile`; without labels they compare with the input."""
        return super().compute_metrics(x, self._data(x) if y is None else y, y_pred, sample_weight)

    def adapt(self, dataset: Any) -> None:
        """Look at the first batch before a training: values that the likelihood does not know are refused.

        Args:
            dataset: A `tf.data.Dataset` of inputs, or of tuples that begin with them.

        Raises:
            ValueError: The values are not 0 and 1, and the likelihood is Bernoulli's.
        """
        self.check_data(dataset.take(1))

    def check_data(self, dataset: Any) -> None:
        """Look at all batches as `adapt` looks at the first one; `dk.fit` does where the loss became infinite."""
        for batch in dataset:
            self._check(batch[0] if isinstance(batch, tuple) else batch)

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train as `keras.Model.fit` does, on inputs without labels."""
        self._look(x)
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Return the negative bound and its parts as `keras.Model.evaluate` does, each from one set of draws."""
        self._look(x)
        return super().evaluate(x, *args, **kwargs)

    def encode(self, x: Any, batch_size: int | None = None) -> dict[str, np.ndarray]:
        """Return mean and log-variance of q(z | x), each (examples, latent)."""
        return self.encoder.predict(x, batch_size=batch_size, verbose=0)

    def decode(self, z: Any, batch_size: int | None = None) -> np.ndarray:
        """Return the mean of p(x | z) for each z (examples, latent)."""
        outputs = self.decoder.predict(z, batch_size=batch_size, verbose=0)
        return ops.convert_to_numpy(LIKELIHOODS[self.likelihood].mean(outputs))

    def reconstruct(self, x: Any, batch_size: int | None = None) -> np.ndarray:
        """Return the mean of p(x | z) at the mean of q(z | x)."""
        return self.predict(x, batch_size=batch_size, verbose=0)

    def sample(self, num_samples: int, *, seed: int | None = None, noise: bool = False) -> np.ndarray:
        """Draw new examples: z from the standard normal, and the mean of p(x | z), which is what papers show.

        Args:
            num_samples: How many.
            seed: Integer for the same ones each time.
            noise: Whether to draw from p(x | z) too, rather than to return its mean.

        Returns:
            Examples (num_samples, ...) of the data's shape, float32.

        Raises:
            ValueError: `num_samples` is no positive integer.
        """
        positive_integer(num_samples, "sample: num_samples", "sample(16, seed=0)")
        generator = keras.random.SeedGenerator(seed)
        z = keras.random.normal((num_samples, *self.decoder.input_shape[1:]), seed=generator)
        outputs = self.decoder.predict(ops.convert_to_numpy(z), verbose=0)
        distribution = LIKELIHOODS[self.likelihood]
        return ops.convert_to_numpy(distribution.draw(outputs, generator) if noise else distribution.mean(outputs))

    def log_likelihood(
        self, x: Any, num_samples: int = 5000, *, batch_size: int = 100, seed: int | None = None
    ) -> np.ndarray:
        """Estimate log p(x) of each example by importance sampling, with q(z | x) as the proposal.

        The estimate is a lower bound on average, and the tighter the more samples. Source: Rezende et al. 2014,
        appendix E; Burda et al. 2016 report it with 5000 samples.

        Args:
            x: Examples, or a dataset of batches of them, with or without labels.
            num_samples: Draws for each example.
            batch_size: Examples taken at a time.
            seed: Integer for the same draws each time.

        Returns:
            Nats of each example (examples,): log-probabilities, or log-densities under a Gaussian likelihood.

        Raises:
            ValueError: Values are not 0 and 1, and the likelihood is Bernoulli's; `num_samples` or `batch_size` is not
                positive.
        """
        positive_integer(num_samples, "log_likelihood: num_samples", "num_samples=5000")
        positive_integer(batch_size, "log_likelihood: batch_size", "batch_size=100")
        generator = keras.random.SeedGenerator(seed)
        chunk = min(num_samples, max(1, _ROWS // batch_size))
        estimate = tf.function(
            lambda batch: self._estimate(batch, num_samples, chunk, generator),
            input_signature=[tf.TensorSpec((None, *self.input_shape[1:]))],
            autograph=False,
        )
        return np.concatenate([ops.convert_to_numpy(estimate(batch)) for batch in self._batches(x, batch_size)])

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
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> VariationalAutoencoder:
        """Make a model of what `get_config` returned."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("encoder", "decoder")
        }
        return cls(**{**config, **parts})

    def _add_bound(self, x: Any, seed: Any, *, training: bool) -> Mapping[str, Any]:
        """Add the loss of a batch, note its parts, and return what the decoder said of the draws."""
        x = self._data(x)
        count = self.num_importance_samples
        mean, log_variance = self._code(x, training)
        kl = -0.5 * ops.sum(1 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=-1)
        mean, log_variance, repeated = (ops.repeat(part, count, axis=0) for part in (mean, log_variance, x))
        noise = shared_out(lambda rows: keras.random.normal((rows, mean.shape[1]), seed=seed), ops.shape(mean)[0])
        z = mean + ops.exp(0.5 * log_variance) * noise
        outputs = self.decoder(z, training=training)
        log_prob = self._log_prob(repeated, outputs)  # (batch * samples,)
        if count == 1:
            loss = self._live.beta * kl - log_prob
        else:
            weights = ops.reshape(log_prob + _log_ratio(z, mean, log_variance), (-1, count))
            loss = math.log(count) - ops.logsumexp(weights, axis=1)
        self.reconstruction_tracker.update_state(-log_prob)
        self.kl_tracker.update_state(kl)
        keras.layers.Layer.add_loss(self, ops.mean(loss))  # a functional model's own takes none
        return outputs

    def _estimate(self, x: Any, num_samples: int, chunk: int, seed: Any) -> Any:
        """Return the log of the mean importance weight of each example, a chunk of the samples at a time."""
        size = ops.shape(x)[0]
        mean, log_variance, repeated = (ops.repeat(part, chunk, axis=0) for part in (*self._code(x, False), x))

        def add(step: Any, total: Any) -> Any:
            z = draw(mean, log_variance, seed)
            log_prob = self._log_prob(repeated, self.decoder(z, training=False))
            weights = ops.reshape(log_prob + _log_ratio(z, mean, log_variance), (-1, chunk))
            wanted = ops.arange(chunk) + step * chunk < num_samples  # the last chunk may be smaller
            return ops.logaddexp(total, ops.logsumexp(ops.where(wanted, weights, -math.inf), axis=1))

        total = ops.fori_loop(0, -(-num_samples // chunk), add, ops.full((size,), -math.inf))
        return total - math.log(num_samples)

    def _data(self, x: Any) -> Any:
        """Return a batch in float32; an axis of one channel may be missing or too many, as in calls of Keras models."""
        given, wanted = tf.TensorShape(x.shape[1:]), tf.TensorShape(self.input_shape[1:])
        pairs = (given, wanted), (given.concatenate(1), wanted), (given, wanted.concatenate(1))
        if not any(one.is_compatible_with(other) for one, other in pairs):
            raise ValueError(
                f"{self.name}: expected examples of the shape {tuple(wanted)}, received {tuple(given)}\n"
                f"  hint: data of that shape, or .build({tuple(given)})"
            )
        return ops.reshape(ops.cast(x, "float32"), (-1, *wanted))

    def _code(self, x: Any, training: bool) -> tuple[Any, Any]:
        code = self.encoder(x, training=training)
        return ops.cast(code["mean"], "float32"), ops.cast(code["log_variance"], "float32")

    def _log_prob(self, x: Any, outputs: Mapping[str, Any]) -> Any:
        outputs = {name: ops.cast(value, "float32") for name, value in outputs.items()}
        return ops.sum(LIKELIHOODS[self.likelihood].log_prob(x, outputs), axis=tuple(range(1, len(x.shape))))

    def _batches(self, x: Any, size: int) -> Iterator[Any]:
        """Return the examples in batches, checked."""
        given = x if isinstance(x, tf.data.Dataset) else tf.data.Dataset.from_tensor_slices(np.asarray(x)).batch(size)
        whole = given.map(lambda *batch: batch[0]).unbatch().batch(size)
        for batch in whole:
            self._check(batch)
            yield self._data(batch)

    def _look(self, x: Any) -> None:
        """Raise where values have no probability, of a dataset those of the first batch."""
        if isinstance(x, tf.data.Dataset):
            self.adapt(x.epochs() if hasattr(x, "epochs") else x)  # deepkit's own count how often they are looked at
        elif isinstance(x, np.ndarray) or tf.is_tensor(x):
            self._check(x)

    def _check(self, x: Any) -> None:
        """Raise where values have no probability."""
        if self.likelihood != "bernoulli":
            return
        values = np.asarray(x)
        if np.all((values == 0) | (values == 1)):
            return
        raise ValueError(
            f"{self.name}.decoder: a Bernoulli likelihood is of the values 0 and 1, received values from "
            f"{values.min():.4g} to {values.max():.4g}\n"
            '  hint: likelihood="gaussian" for grey values, or black and white ones: (x > 0.5).astype("float32")'
        )


def beta_problem(beta: Any, num_importance_samples: int) -> tuple[str, str] | None:
    """Return what is wrong with a weight of the divergence, and how to mend it; None where nothing is."""
    if isinstance(beta, bool) or not isinstance(beta, int | float) or not 0 <= beta < math.inf:
        return f"beta must be a number of at least 0, received {beta!r}", "beta=1.0"
    if beta != 1 and num_importance_samples > 1:
        problem = f"beta={beta!r} weights the divergence, which the bound of several draws does not have"
        return problem, "num_importance_samples=1, or beta=1.0"
    return None


def _log_ratio(z: Any, mean: Any, log_variance: Any) -> Any:
    """Return log p(z) - log q(z | x)."""
    return ops.sum(gaussian_log_prob(z, 0.0, 0.0) - gaussian_log_prob(z, mean, log_variance), axis=-1)


def _check_outputs(model: keras.Model, names: tuple[str, ...], role: str) -> None:
    output = getattr(model, "output", None)
    received = sorted(output) if isinstance(output, dict) else "one without a name"
    if received != sorted(names):
        raise ValueError(
            f"VariationalAutoencoder: the {role} must have the outputs {', '.join(names)}, received {received}\n"
            "  hint: dk.VAE(encoder, latent_dim=..., decoder=...).build(input_shape), which adds them"
        )
