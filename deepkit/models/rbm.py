"""The restricted Boltzmann machine, trained by contrastive divergence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers, ops

from deepkit.models import visible_data
from deepkit.models.annealed_importance import annealed_log_partition
from deepkit.models.checked_data import CheckedData
from deepkit.models.contrastive_divergence import Machine, bernoulli
from deepkit.models.partition import MAX_EXACT_UNITS, LogPartition, Parameters, exact_log_partition
from deepkit.utils.errors import message
from deepkit.utils.lazy_tensorflow import tf
from deepkit.utils.replicas import batch_weight
from deepkit.utils.validation import check_choice, check_flag, check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike, Dataset, Nested, OptimizerLike, Shape, Tensor

VISIBLE_UNITS = ("bernoulli", "gaussian")
METHODS = ("auto", "exact", "annealed")
NUM_CHAINS = 100  # persistent chains
_GAUSSIAN_HINT = ', or use dk.RBM(..., visible="gaussian")'
_BATCH = 1024  # examples whose free energy is computed at a time


@keras.saving.register_keras_serializable(package="deepkit")
class RestrictedBoltzmannMachine(CheckedData, keras.Model):
    """Visible and hidden units with weights between them; `dk.RBM(...).build` returns it.

    Called on data, the model returns the probability of each hidden unit. It needs no loss and no labels: call
    `compile("sgd")` and `fit(x)`. A training step computes the contrastive divergence gradient, the difference of two
    means of v p(h | v): over samples from the chains, and over the data. `fit` and `evaluate` report `loss`, the mean
    free energy of the data minus that of the samples, whose gradient this is; and `reconstruction`, the squared
    difference of the data and its mean-field reconstruction, summed over the units. The loss is not the
    log-likelihood, and may rise while that improves.

    Reference:
        Hinton 2002, "Training Products of Experts by Minimizing Contrastive Divergence"; Tieleman 2008, "Training
        Restricted Boltzmann Machines using Approximations to the Likelihood Gradient", for persistent chains.

    Args:
        units: Number of hidden units.
        visible_shape: Shape of an example; each of its values is a visible unit.
        visible: `"bernoulli"` or `"gaussian"`.
        num_gibbs_steps: Steps of Gibbs sampling in a training step.
        persistent: Whether the chains continue from one training step to the next.
        name: Name of the model.
        dtype: Dtype policy of the model, the global policy by default. The units compute in float32 even if the policy
            computes in 16 bits.

    Call arguments:
        inputs: Examples.

    Input shape:
        `(batch, ...)`: examples of the shape `visible_shape`.

    Output shape:
        `(batch, units)`: probabilities.

    Raises:
        ValueError: An argument is out of range, or the weights would have 16 bits.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> model = dk.RBM(3).build((4,))
        >>> model.compile("sgd")
        >>> x = np.eye(4, dtype="float32")
        >>> sorted(model.fit(x, verbose=0).history)
        ['loss', 'reconstruction']
        >>> model(x).shape, model.sample(5, num_steps=10, seed=0).shape
        (TensorShape([4, 3]), (5, 4))
        >>> every_example = np.array(list(np.ndindex(2, 2, 2, 2)))
        >>> float(np.exp(model.log_likelihood(every_example)).sum().round(6))
        1.0
    """

    def __init__(
        self,
        units: int,
        visible_shape: Shape,
        *,
        visible: str = "bernoulli",
        num_gibbs_steps: int = 1,
        persistent: bool = False,
        name: str | None = None,
        dtype: str | keras.DTypePolicy | None = None,
    ) -> None:
        owner = type(self).__name__
        hint = "use dk.RBM(500).build((784,))"
        units = check_integer(units, f"{owner}: units", hint=hint)
        num_gibbs_steps = check_integer(num_gibbs_steps, f"{owner}: num_gibbs_steps", hint="use num_gibbs_steps=1")
        visible = check_choice(visible, f"{owner}: visible", VISIBLE_UNITS, hint='use visible="bernoulli"')
        persistent = check_flag(persistent, f"{owner}: persistent", hint="use persistent=True")
        policy = keras.dtype_policies.get(dtype) if dtype is not None else keras.config.dtype_policy()
        visible_data.check_energy_dtype(policy.variable_dtype, owner)
        inputs = keras.Input(visible_shape, name="visible")
        flat = inputs if len(visible_shape) == 1 else layers.Flatten(name="flatten", dtype="float32")(inputs)
        normal = keras.initializers.RandomNormal(stddev=0.01)  # Hinton 2010, section 8
        hidden = layers.Dense(units, activation="sigmoid", kernel_initializer=normal, name="hidden", dtype="float32")
        super().__init__(inputs, hidden(flat), name=name)
        self.dtype_policy = policy  # not an argument of a functional model; it decides whether losses are scaled
        self.units, self.visible, self.num_gibbs_steps, self.persistent = units, visible, num_gibbs_steps, persistent
        self.visible_shape, self.num_visible = tuple(visible_shape), int(flat.shape[-1])
        self.hidden = hidden
        self.visible_bias = self.add_weight(
            shape=(self.num_visible,), initializer="zeros", dtype="float32", name="visible_bias"
        )
        self._machine = Machine(hidden.kernel, hidden.bias, self.visible_bias, visible == "gaussian")
        if persistent:
            self.chains = self.add_weight(
                shape=(NUM_CHAINS, self.num_visible),
                initializer="zeros",
                dtype="float32",
                trainable=False,
                name="chains",
            )
        self.training_seeds = keras.random.SeedGenerator()
        self.evaluation_seeds = keras.random.SeedGenerator()  # separate: validation does not change the training
        self.loss_tracker = keras.metrics.Mean("loss")
        self.reconstruction_tracker = keras.metrics.Mean("reconstruction")
        self.autocast = False  # energies compare with the data in float32

    def compile(
        self, optimizer: OptimizerLike = "rmsprop", loss: None = None, metrics: None = None, **kwargs: object
    ) -> None:
        """Configure the training, as `keras.Model.compile` does.

        Args:
            optimizer: The optimizer, or its name.
            loss: Not supported; the model has its own training step.
            metrics: Not supported; there are no labels to compare with.
            kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            ValueError: `loss` or `metrics` is passed, or persistent chains are distributed over several devices.
        """
        visible_data.refuse_argument("loss", loss, "an RBM", "its own training step")
        visible_data.refuse_argument("metrics", metrics, "an RBM", "its own metrics")
        if self.persistent and self.distribute_strategy.num_replicas_in_sync > 1:
            problem = "persistent=True over several devices: the chains are one state, which devices cannot share"
            raise ValueError(message(problem, hint='use one device: dk.plan(devices="CPU:0"), or persistent=False'))
        super().compile(optimizer=optimizer, **kwargs)
        if not self.optimizer.built:  # so that a checkpoint before the first step holds its variables
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with the arguments of a saved model."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Means over the steps of an epoch."""
        return [self.loss_tracker, self.reconstruction_tracker]

    def check_values(self, values: np.ndarray) -> None:
        """Raise a `ValueError` if the visible units are Bernoulli, and the values are not 0 and 1.

        Args:
            values: Examples `(batch, ...)`.
        """
        if self.visible == "bernoulli":
            visible_data.check_binary(values, f"{self.name}.visible", _GAUSSIAN_HINT)

    def train_step(self, data: Nested) -> dict[str, Tensor]:
        """Update the weights with the contrastive divergence gradient of a batch."""
        x = self._rows(visible_data.examples_of(data, "an RBM"))
        machine, hidden = self._machine, self._machine.hidden(x)
        start, start_hidden = (self.chains, machine.hidden(self.chains)) if self.persistent else (x, hidden)
        samples, sample_hidden = machine.run_chains(start, start_hidden, self.num_gibbs_steps, self.training_seeds)
        self._update_metrics(x, hidden, samples)
        num_devices = tf.distribute.get_strategy().num_replicas_in_sync
        factor = batch_weight(ops.shape(x)[0]) / num_devices  # this device's part of the mean over the batch
        machine.apply_gradients(self.optimizer, (x, hidden), (samples, sample_hidden), factor)
        if self.persistent:
            self.chains.assign(samples)
        return self.get_metrics_result()

    def test_step(self, data: Nested) -> dict[str, Tensor]:
        """Compute loss and reconstruction error of a batch, with chains that begin at its examples."""
        x = self._rows(visible_data.examples_of(data, "an RBM"))
        hidden = self._machine.hidden(x)
        samples, _ = self._machine.run_chains(x, hidden, self.num_gibbs_steps, self.evaluation_seeds)
        self._update_metrics(x, hidden, samples)
        return self.get_metrics_result()

    def free_energy(self, x: ArrayLike | Dataset) -> np.ndarray:
        """Return the free energy F of each example, in float64: p(x) = exp(-F(x)) / Z.

        Args:
            x: Examples `(examples, ...)`, or a dataset of batches.

        Returns:
            `(examples,)`.

        Raises:
            ValueError: The visible units are Bernoulli, and the values are not 0 and 1.
        """
        parameters = self._parameters()
        return np.concatenate([parameters.free_energy(rows) for rows in self._row_batches(x)])

    def log_partition(
        self,
        x: ArrayLike | Dataset | None = None,
        *,
        method: str = "auto",
        num_chains: int = 100,
        num_temperatures: int = 10_000,
        seed: int | None = None,
    ) -> LogPartition:
        """Return log Z in float64: a sum over all states, or an estimate by annealed importance sampling.

        Reference:
            Salakhutdinov & Murray 2008, "On the Quantitative Analysis of Deep Belief Networks", section 4.1.

        Args:
            x: Examples whose means define the base distribution of the estimate; None for the visible biases.
            method: `"exact"` sums over all states of the smaller side, which must have at most 20 units, or of the
                hidden units if the visible ones are Gaussian. `"annealed"` estimates. `"auto"` sums if possible.
            num_chains: Number of independent chains of the estimate.
            num_temperatures: Number of steps from the base distribution to the model.
            seed: Integer seed for a reproducible estimate; None for a random seed.

        Returns:
            A `LogPartition` with `value`, `standard_error` and `method`.

        Raises:
            ValueError: The sum has too many terms, or an argument is out of range.
        """
        method = check_choice(method, "log_partition: method", METHODS, hint='use method="auto"')
        num_chains = check_integer(num_chains, "log_partition: num_chains", hint="use num_chains=100")
        num_temperatures = check_integer(
            num_temperatures, "log_partition: num_temperatures", hint="use num_temperatures=10_000"
        )
        parameters = self._parameters()
        num_units = parameters.num_summed_units
        if method == "exact" and num_units > MAX_EXACT_UNITS:
            cost = 4 * num_chains * num_temperatures * self.num_visible * self.units
            problem = f"log_partition: an exact sum over the states of {num_units} units, expected at most 20"
            hint = f'use method="annealed", here about {cost:.0e} floating-point operations'
            raise ValueError(message(problem, path=self.name, hint=hint))
        if method == "exact" or (method == "auto" and num_units <= MAX_EXACT_UNITS):
            return exact_log_partition(parameters)
        return annealed_log_partition(
            parameters,
            parameters.visible_bias if x is None else self._base_bias(x),
            num_chains=num_chains,
            num_temperatures=num_temperatures,
            rng=np.random.default_rng(np.asarray(keras.random.SeedGenerator(seed).next())),
        )

    def log_likelihood(
        self, x: ArrayLike | Dataset, log_partition: LogPartition | None = None, *, seed: int | None = None
    ) -> np.ndarray:
        """Return log p(x) of each example, in float64.

        It is exact if the smaller side has at most 20 units. Otherwise log Z is estimated with the means of `x` as the
        base distribution; all values then share the error of log Z, which `log_partition` returns.

        Args:
            x: Examples `(examples, ...)`, or a dataset of batches.
            log_partition: A result of the method `log_partition` for the current weights; None computes it.
            seed: Integer seed for a reproducible estimate; None for a random seed.

        Returns:
            Nats of each example, `(examples,)`: log-probabilities, or log-densities of Gaussian units.

        Raises:
            ValueError: The visible units are Bernoulli, and the values are not 0 and 1.
        """
        energies = self.free_energy(x)
        return -energies - (log_partition or self.log_partition(x, seed=seed)).value

    def sample(
        self,
        num_samples: int,
        *,
        num_steps: int = 1000,
        start: ArrayLike | None = None,
        seed: int | None = None,
        noise: bool = False,
    ) -> np.ndarray:
        """Draw examples by Gibbs sampling; return the means of the visible units in the last step, as papers show them.

        Args:
            num_samples: Number of examples, each from its own chain.
            num_steps: Number of Gibbs steps.
            start: First states of the chains, `(num_samples, ...)`. None for the persistent chains of the model, or
                for visible units that are independent of each other, with the visible biases.
            seed: Integer seed for reproducible examples; None for a random seed.
            noise: Whether to draw the visible units in the last step instead of returning their means.

        Returns:
            Examples of shape `(num_samples, ...)`, float32.

        Raises:
            ValueError: `num_samples` or `num_steps` is not a positive integer, or `start` has another shape.
        """
        num_samples = check_integer(num_samples, "sample: num_samples", hint="use sample(16, seed=0)")
        num_steps = check_integer(num_steps, "sample: num_steps", hint="use num_steps=1000")
        generator = keras.random.SeedGenerator(seed)
        first, machine = self._first_states(num_samples, start, generator), self._machine

        def draw(visible: Tensor) -> tuple[Tensor, Tensor]:
            hidden = machine.hidden(visible)
            if num_steps > 1:
                _, hidden = machine.run_chains(visible, hidden, num_steps - 1, generator)
            means = machine.visible_mean(bernoulli(hidden, generator))
            return means, machine.draw_visible(means, generator)

        means, states = tf.function(draw, autograph=False)(first)
        examples = ops.convert_to_numpy(states if noise else means)
        return examples.reshape(num_samples, *self.visible_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            "units": self.units,
            "visible_shape": self.visible_shape,
            "visible": self.visible,
            "num_gibbs_steps": self.num_gibbs_steps,
            "persistent": self.persistent,
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> RestrictedBoltzmannMachine:
        """Create a model from its config."""
        return cls(**{**config, "visible_shape": tuple(config["visible_shape"])})

    def _update_metrics(self, x: Tensor, hidden: Tensor, samples: Tensor) -> None:
        machine = self._machine
        loss = ops.mean(machine.free_energy(x)) - ops.mean(machine.free_energy(samples))
        if self.visible == "bernoulli":  # other values have no probability: `fit` then checks all data
            loss = ops.where(ops.all(ops.equal(x * (1 - x), 0)), loss, math.inf)
        self.loss_tracker.update_state(loss, batch_weight(ops.shape(x)[0]))
        error = ops.sum(ops.square(x - machine.visible_mean(hidden)), axis=-1)
        self.reconstruction_tracker.update_state(error)

    def _parameters(self) -> Parameters:
        """Return the current weights in float64."""
        weights = (self.hidden.kernel, self.visible_bias, self.hidden.bias)
        kernel, visible_bias, hidden_bias = (ops.convert_to_numpy(weight).astype("float64") for weight in weights)
        return Parameters(kernel, visible_bias, hidden_bias, is_gaussian=self.visible == "gaussian")

    def _base_bias(self, x: ArrayLike | Dataset) -> np.ndarray:
        """Return visible biases of independent units with the means of the data, which are never exactly 0 or 1."""
        total, count = np.zeros(self.num_visible), 0
        for rows in self._row_batches(x):
            total, count = total + rows.sum(axis=0), count + len(rows)
        if self.visible == "gaussian":
            return total / count
        return np.log((total + 0.5) / (count - total + 0.5))

    def _first_states(self, num_samples: int, start: ArrayLike | None, generator: keras.random.SeedGenerator) -> Tensor:
        if start is not None:
            rows = self._rows(ops.convert_to_tensor(np.asarray(start)))
            if len(rows) == num_samples:
                return rows
            problem = f"sample: start has {len(rows)} examples, expected num_samples={num_samples}"
            raise ValueError(message(problem, hint="pass one first state for each sample"))
        if self.persistent:
            return ops.take(self.chains, np.arange(num_samples) % NUM_CHAINS, axis=0)
        means = self._machine.visible_mean(ops.zeros((num_samples, self.units)))
        return self._machine.draw_visible(means, generator)

    def _rows(self, x: Tensor) -> Tensor:
        return visible_data.as_rows(x, self.visible_shape, self.name)

    def _row_batches(self, x: ArrayLike | Dataset) -> Any:
        """Yield the examples as rows in float64, after checking them."""
        for batch in visible_data.example_batches(x, _BATCH):
            self.check_values(batch)
            yield ops.convert_to_numpy(self._rows(ops.convert_to_tensor(batch))).astype("float64")
