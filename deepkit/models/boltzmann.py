"""A small, fully connected Boltzmann machine, whose gradients are sums over all its states."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.models import visible_data
from deepkit.models.checked_data import CheckedData
from deepkit.models.partition import MAX_EXACT_UNITS, binary_states, log_sum_exp
from deepkit.utils.errors import message
from deepkit.utils.validation import check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike, Dataset, Nested, OptimizerLike, PathLike, Shape, Tensor

_BATCH = 1024  # examples whose free energy is computed at a time


@keras.saving.register_keras_serializable(package="deepkit")
class FullBoltzmannMachine(CheckedData, keras.Model):
    """Binary units with a weight between each pair; `dk.BoltzmannMachine(...).build` returns it.

    Some units are visible, the others hidden. The probability of a state s is proportional to exp(-E(s)) with
    E(s) = -sum of w_ij s_i s_j over all pairs - sum of b_i s_i. Sums over all states, at most 2^20, give the
    log-likelihood and its gradient, so that the training is exact maximum likelihood, without sampling. Called on data,
    the model returns the probability of each hidden unit. `fit` and `evaluate` report `loss`, the mean negative
    log-likelihood in nats.

    Reference:
        Ackley, Hinton & Sejnowski 1985, "A Learning Algorithm for Boltzmann Machines".

    Args:
        units: Number of hidden units; 0 for none.
        visible_shape: Shape of an example; each of its values is a visible unit.
        name: Name of the model.
        dtype: Dtype policy of the model, the global policy by default; energies are computed in float32 even if the
            policy computes in 16 bits.

    Call arguments:
        inputs: Examples of 0 and 1.

    Input shape:
        `(batch, ...)`: examples of the shape `visible_shape`.

    Output shape:
        `(batch, units)`: probabilities.

    Raises:
        ValueError: There are more than 20 units, or the weights would have 16 bits.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> model = dk.BoltzmannMachine(2).build((3,))
        >>> model.compile("sgd")
        >>> x = np.eye(3, dtype="float32")
        >>> sorted(model.fit(x, verbose=0).history), model(x).shape
        (['loss'], TensorShape([3, 2]))
        >>> model.sample(4, seed=0).shape, model.count_params()
        ((4, 3), 15)
    """

    def __init__(
        self,
        units: int,
        visible_shape: Shape,
        *,
        name: str | None = None,
        dtype: str | keras.DTypePolicy | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        owner = "BoltzmannMachine"
        visible_data.check_energy_dtype(self.variable_dtype, owner)
        hint = "use dk.BoltzmannMachine(8).build((4,))"
        self.units = check_integer(units, f"{owner}: units", minimum=0, hint=hint)
        self.visible_shape = tuple(visible_shape)
        self.num_visible = math.prod(size for size in visible_shape if size is not None)
        total = self.num_visible + self.units
        if total > MAX_EXACT_UNITS:
            problem = f"{owner}: {self.num_visible} visible and {self.units} hidden units, expected at most 20 in sum"
            hint = f"its training sums over 2^{total} states; use dk.RBM({max(self.units, 1)}), which samples"
            raise ValueError(message(problem, hint=hint))
        self.autocast = False  # energies are sums over all units
        normal = keras.initializers.RandomNormal(stddev=0.01)
        num_pairs = total * (total - 1) // 2
        self.pair_weights = self.add_weight(
            shape=(num_pairs,), initializer=normal, dtype="float32", name="pair_weights"
        )
        self.bias = self.add_weight(shape=(total,), initializer="zeros", dtype="float32", name="bias")
        self.built = True

    def build(self, input_shape: Shape) -> None:
        """Do nothing: the weights exist."""

    @property
    def input_shape(self) -> Shape:
        """Shape of a batch of examples."""
        return (None, *self.visible_shape)

    @property
    def output_shape(self) -> Shape:
        """Shape of a batch of probabilities."""
        return (None, self.units)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the probabilities."""
        return (input_shape[0], self.units)

    def call(self, inputs: Tensor) -> Tensor:
        """Return p(h_j = 1 | v) of each hidden unit."""
        energies = self._joint_energies(self._rows(inputs))
        return ops.matmul(ops.softmax(-energies, axis=-1), binary_states(self.units).astype("float32"))

    def compile(
        self, optimizer: OptimizerLike = "rmsprop", loss: None = None, metrics: None = None, **kwargs: object
    ) -> None:
        """Configure the training, as `keras.Model.compile` does, on the log-likelihood.

        Args:
            optimizer: The optimizer, or its name.
            loss: Not supported; the loss is the negative log-likelihood.
            metrics: Not supported; there are no labels to compare with.
            kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            ValueError: `loss` or `metrics` is passed.
        """
        visible_data.refuse_argument("loss", loss, "a Boltzmann machine", "its own loss")
        visible_data.refuse_argument("metrics", metrics, "a Boltzmann machine", "its own metrics")
        super().compile(optimizer=optimizer, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with the arguments of a saved model."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def check_values(self, values: np.ndarray) -> None:
        """Raise a `ValueError` if the values are not 0 and 1.

        Args:
            values: Examples `(batch, ...)`.
        """
        visible_data.check_binary(values, f"{self.name}.visible")

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor | None = None,
        y_pred: Tensor | None = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        """Return the mean negative log-likelihood of a batch; infinite for values other than 0 and 1."""
        rows = self._rows(visible_data.examples_of((x, y, sample_weight), "a Boltzmann machine"))
        log_probabilities = ops.logsumexp(-self._joint_energies(rows), axis=-1)
        every_state = -self._joint_energies(binary_states(self.num_visible))
        loss = ops.logsumexp(every_state) - ops.mean(log_probabilities)
        return ops.where(ops.all(ops.equal(rows * (1 - rows), 0)), loss, math.inf)

    def free_energy(self, x: ArrayLike | Dataset) -> np.ndarray:
        """Return the free energy F of each example, in float64: p(x) = exp(-F(x)) / Z.

        Args:
            x: Examples `(examples, ...)`, or a dataset of batches.

        Returns:
            `(examples,)`.

        Raises:
            ValueError: The values are not 0 and 1.
        """
        energies = []
        for batch in visible_data.example_batches(x, _BATCH):
            self.check_values(batch)
            energies.append(self._free_energies(self._rows(ops.convert_to_tensor(batch))))
        return np.concatenate(energies)

    def log_partition(self) -> float:
        """Return log Z, a sum over all states, in float64."""
        return log_sum_exp(-self._free_energies(binary_states(self.num_visible)))

    def log_likelihood(self, x: ArrayLike | Dataset) -> np.ndarray:
        """Return log p(x) of each example in nats, in float64.

        Args:
            x: Examples `(examples, ...)`, or a dataset of batches.

        Returns:
            `(examples,)`.

        Raises:
            ValueError: The values are not 0 and 1.
        """
        return -self.free_energy(x) - self.log_partition()

    def sample(self, num_samples: int, *, seed: int | None = None) -> np.ndarray:
        """Draw independent examples from the distribution of the model, without Markov chains.

        Args:
            num_samples: Number of examples.
            seed: Integer seed for reproducible examples; None for a random seed.

        Returns:
            Examples of shape `(num_samples, ...)`, float32.

        Raises:
            ValueError: `num_samples` is not a positive integer.
        """
        num_samples = check_integer(num_samples, "sample: num_samples", hint="use sample(16, seed=0)")
        states = binary_states(self.num_visible)
        logits = -self._free_energies(states)
        probabilities = np.exp(logits - log_sum_exp(logits))
        rng = np.random.default_rng(np.asarray(keras.random.SeedGenerator(seed).next()))
        chosen = rng.choice(len(states), num_samples, p=probabilities / probabilities.sum())
        return states[chosen].astype("float32").reshape(num_samples, *self.visible_shape)

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
            input_signature = [keras.Input(self.visible_shape)]
        super().export(filepath, format, verbose, input_signature, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "visible_shape": self.visible_shape,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> FullBoltzmannMachine:
        """Create a model from its config."""
        arguments = {key: config[key] for key in ("units", "name", "dtype") if key in config}
        return cls(**arguments, visible_shape=tuple(config["visible_shape"]))

    def _rows(self, x: Tensor) -> Tensor:
        return visible_data.as_rows(x, self.visible_shape, self.name)

    def _free_energies(self, visible: Any) -> np.ndarray:
        """Return the free energies of visible states, in float64."""
        return ops.convert_to_numpy(-ops.logsumexp(-self._joint_energies(visible, "float64"), axis=1))

    def _joint_energies(self, visible: Any, dtype: str = "float32") -> Any:
        """Return the energies of visible states `(batch, visible)` with every hidden state, `(batch, 2**units)`."""
        count = self.num_visible
        visible = ops.cast(visible, dtype)
        hidden = ops.convert_to_tensor(binary_states(self.units), dtype)
        matrix, bias = ops.cast(self._matrix(), dtype), ops.cast(self.bias, dtype)
        visible_terms = _negative_energies(visible, matrix[:count, :count], bias[:count])
        hidden_terms = _negative_energies(hidden, matrix[count:, count:], bias[count:])
        interactions = ops.matmul(ops.matmul(visible, matrix[:count, count:]), ops.transpose(hidden))
        return -(visible_terms[:, None] + hidden_terms + interactions)

    def _matrix(self) -> Tensor:
        """Return the weights as a symmetric matrix with a diagonal of 0."""
        total = self.num_visible + self.units
        positions = np.full((total, total), total * (total - 1) // 2)  # the diagonal: a 0 after the weights
        rows, columns = np.triu_indices(total, 1)
        positions[rows, columns] = positions[columns, rows] = np.arange(len(rows))
        return ops.take(ops.concatenate([self.pair_weights, ops.zeros((1,))]), positions, axis=0)


def _negative_energies(states: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
    """Return -E of the states of some units, without the others."""
    pairs = 0.5 * ops.sum(ops.matmul(states, matrix) * states, axis=1)  # each pair occurs twice in the matrix
    return pairs + ops.matmul(states, bias[:, None])[:, 0]
