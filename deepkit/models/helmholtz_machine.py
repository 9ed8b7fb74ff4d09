"""The Helmholtz machine: layers of binary units, a generative and a recognition model, and the wake-sleep algorithm."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.models.binary_layers import BinaryLayers, all_states, log_sum
from deepkit.models.checked_data import CheckedData, other_values
from deepkit.utils.errors import format_value, message
from deepkit.utils.replicas import split_across_replicas
from deepkit.utils.validation import check_integer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepkit.utils.types import ArrayLike, Nested, OptimizerLike, PathLike, Shape, Tensor

    Array = NDArray[np.float64]

MAX_EXACT_UNITS = 20


@keras.saving.register_keras_serializable(package="deepkit")
class HelmholtzMachineModel(CheckedData, keras.Model):
    """Two models of binary data, each the other's teacher; `dk.HelmholtzMachine(units).build` returns it.

    The generative model p draws the top layer from its biases, and each layer from the one above, down to the data. The
    recognition model q draws each hidden layer from the one below. Given the layer that it depends on, each unit is 1
    with the probability sigmoid(w h + b). A training step has two phases:

    - Wake: q draws hidden units for the data; the weights of p follow the gradient of log p of these layers.
    - Sleep: p draws as many dreams; the weights of q follow the gradient of log q of the hidden units of the dreams.

    For one weight, either gradient is the input times the difference of the unit from its probability: the delta rule.
    Called on data, the model returns the probabilities of the first hidden layer under q.

    It needs no loss: call `compile("adam")` and `fit(x)`; labels are ignored. `fit` and `evaluate` report, in nats per
    example, `wake`, -log p of data and hidden units; `sleep`, -log q of the hidden units of the dreams; their sum
    `loss`; and `bound`, which is log p - log q of data and hidden units, and on average at most log p(x).

    Reference:
        Dayan et al. 1995, "The Helmholtz Machine"; Hinton et al. 1995, "The Wake-Sleep Algorithm for Unsupervised
        Neural Networks".

    Args:
        shape: Shape of one example.
        units: Number of units of each hidden layer, from the data to the top.
        kwargs: Further arguments of `keras.Model`.

    Call arguments:
        inputs: Examples.
        training: Whether to draw hidden units and dreams, and to add the loss.

    Input shape:
        `(batch, *shape)`: 0 and 1.

    Output shape:
        `(batch, units[0])`: probabilities.

    Raises:
        ValueError: A size is not a positive integer, or there is no hidden layer.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> model = dk.HelmholtzMachine([3, 1]).build((4,))
        >>> model.compile("adam")
        >>> x = np.eye(4, dtype="float32")
        >>> sorted(model.fit(x, verbose=0).history)
        ['bound', 'loss', 'sleep', 'wake']
        >>> model.sample(5, seed=0).shape
        (5, 4)
        >>> bool((model.bound(x) < model.log_likelihood(x)).all())
        True
    """

    def __init__(self, shape: Sequence[int], units: Sequence[int], **kwargs: object) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.data_shape = tuple(check_integer(size, f"{owner}: shape") for size in shape)
        self.units = tuple(check_integer(size, f"{owner}: units", hint="use units=[8, 1]") for size in units)
        if not self.units:
            raise ValueError(
                message(f"{owner}: units: expected a hidden layer, received none", hint="use units=[8, 1]")
            )
        sizes = (math.prod(self.data_shape), *self.units)
        dtype = "float64" if self.compute_dtype == "float64" else "float32"
        self.recognition = [
            _dense(f"recognition{number}", below, above, dtype)
            for number, (below, above) in enumerate(pairwise(sizes), 1)
        ]
        self.generative = [
            _dense(f"generative{number}", above, below, dtype)
            for number, (below, above) in enumerate(pairwise(sizes), 1)
        ]
        self.top_bias = self.add_weight(
            name="top_bias", shape=(sizes[-1],), dtype=dtype, initializer="zeros", autocast=False
        )
        self.training_seed = keras.random.SeedGenerator()
        self.evaluation_seed = keras.random.SeedGenerator()  # separate: validation does not change the training
        self.wake_tracker = keras.metrics.Mean(name="wake")
        self.sleep_tracker = keras.metrics.Mean(name="sleep")
        self.bound_tracker = keras.metrics.Mean(name="bound")
        self.autocast = False  # the losses are computed in float32
        self.built = True  # all layers are built

    def build(self, input_shape: Shape) -> None:
        """Do nothing: all layers are built."""

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Return the probabilities of the first hidden layer; in training, add the loss."""
        x = self._as_rows(inputs)
        logits = self.recognition[0](x)
        if training:
            self._add_losses(x, logits, self.training_seed)
        return ops.sigmoid(logits)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the probabilities."""
        return (input_shape[0], self.units[0])

    def layer_graph(self) -> keras.Model:
        """Return a Functional model, from the data to the top and down again, as `visualize.diagram` draws it."""
        data = keras.Input(self.data_shape, name="data")
        x = keras.layers.Flatten(name="flatten")(data) if len(self.data_shape) > 1 else data
        for layer in (*self.recognition, *reversed(self.generative)):
            x = layer(x)
        return keras.Model(data, x, name=self.name)

    @property
    def input_shape(self) -> Shape:
        """Shape of a batch of examples."""
        return (None, *self.data_shape)

    @property
    def output_shape(self) -> Shape:
        """Shape of a batch of probabilities."""
        return (None, self.units[0])

    def compile(self, optimizer: OptimizerLike = "rmsprop", loss: None = None, **kwargs: Any) -> None:
        """Configure the training; the optimizer updates the weights of both models.

        Args:
            optimizer: An optimizer, or its name.
            loss: Not supported; both models learn log-likelihoods.
            kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            ValueError: `loss` or `metrics` is passed.
        """
        for name, value in (("loss", loss), ("metrics", kwargs.get("metrics") or None)):
            if value is not None:
                problem = f"{name}: a Helmholtz machine has its own losses and metrics, received {format_value(value)}"
                raise ValueError(message(problem, hint=f"compile without {name}"))
        super().compile(optimizer=optimizer, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with the arguments of a saved model."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor | None = None,
        y_pred: Tensor | None = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        """Return the sum of both losses; in evaluation, draw here, as the call has not drawn."""
        if sample_weight is not None:
            problem = "sample_weight: a Helmholtz machine does not support weights of examples"
            raise ValueError(message(problem, hint="leave sample_weight out"))
        if not training:
            rows = self._as_rows(x)
            self._add_losses(rows, self.recognition[0](rows), self.evaluation_seed)
        return super().compute_loss(x, y, y_pred, sample_weight, training=training)

    def sample(self, num_samples: int, seed: int | None = None) -> np.ndarray:
        """Return dreams: examples that the generative model draws.

        Args:
            num_samples: Number of examples.
            seed: Integer seed for reproducible examples; None for a random seed.

        Returns:
            Examples `(num_samples, *shape)`, 0 and 1 in float32.

        Raises:
            ValueError: `num_samples` is not a positive integer.
        """
        num_samples = check_integer(num_samples, "sample: num_samples", hint="use sample(16, seed=0)")
        generator = keras.random.SeedGenerator(seed)
        dreams = self._dream(num_samples, lambda logits: _draw(logits, generator))[0]
        return ops.convert_to_numpy(ops.cast(dreams, "float32")).reshape(-1, *self.data_shape)

    def log_likelihood(self, x: ArrayLike, num_samples: int | None = None, *, seed: int | None = None) -> np.ndarray:
        """Return log p(x) of each example: exact by default, or estimated by importance sampling.

        The exact value is the sum over all states of the hidden units, in float64. The estimate draws hidden units from
        q; its expectation is a lower bound of log p(x), which is tighter with more samples.

        Args:
            x: Examples `(batch, *shape)` of 0 and 1.
            num_samples: Number of draws for each example; None for the exact value, for at most 20 hidden units.
            seed: Integer seed for reproducible draws; None for a random seed.

        Returns:
            Nats `(batch,)`.

        Raises:
            ValueError: A value is neither 0 nor 1, the shape differs from that of the model, `num_samples` is not a
                positive integer, or there are more than 20 hidden units for an exact value.
        """
        rows = self._checked(x)
        if num_samples is not None:
            return log_sum(self._log_weights(rows, num_samples, seed, "log_likelihood")) - math.log(num_samples)
        total, layers = np.full(len(rows), -np.inf), self._probabilities()
        for states in self._all_states("log_likelihood"):
            total = np.logaddexp(total, log_sum(layers.log_joint(rows, states)))
        return total

    def bound(self, x: ArrayLike, num_samples: int | None = None, *, seed: int | None = None) -> np.ndarray:
        """Return the lower bound E_q[log p(x, h) - log q(h | x)] of log p(x): exact by default, or estimated.

        The distance of the exact bound from log p(x) is the KL divergence of q(h | x) from p(h | x).

        Args:
            x: Examples `(batch, *shape)` of 0 and 1.
            num_samples: Number of draws for each example; None for the exact value, for at most 20 hidden units.
            seed: Integer seed for reproducible draws; None for a random seed.

        Returns:
            Nats `(batch,)`.

        Raises:
            ValueError: As for `log_likelihood`.
        """
        rows = self._checked(x)
        if num_samples is not None:
            return self._log_weights(rows, num_samples, seed, "bound").mean(axis=1)
        total, layers = np.zeros(len(rows)), self._probabilities()
        for states in self._all_states("bound"):
            log_q = layers.log_recognition(rows, states)
            total += np.sum(np.exp(log_q) * (layers.log_joint(rows, states) - log_q), axis=1)
        return total

    def check_values(self, values: np.ndarray) -> None:
        """Raise a `ValueError` if values are not 0 and 1.

        Args:
            values: Examples `(batch, ...)`.
        """
        if np.all((values == 0) | (values == 1)):
            return
        received = other_values(values, (0, 1))
        problem = f"a Helmholtz machine has binary units and expects the values 0 and 1, received {received}"
        raise ValueError(message(problem, path=self.name, hint='binarize gray values: (x > 0.5).astype("float32")'))

    def export(
        self,
        filepath: PathLike,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Nested | None = None,
        **kwargs: object,
    ) -> None:
        """Export the model as `keras.Model.export` does; the default `input_signature` is a batch of examples."""
        default: Any = [keras.InputSpec(shape=self.input_shape, dtype="float32")]
        signature = default if input_signature is None else input_signature
        super().export(filepath, format, verbose, signature, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "shape": list(self.data_shape), "units": list(self.units)}

    def _add_losses(self, x: Tensor, first_logits: Tensor, seed: keras.random.SeedGenerator) -> None:
        """Add the losses of both phases for a batch of rows, and update the metrics."""

        def draw(logits: Tensor) -> Tensor:
            width = logits.shape[-1]
            noise = split_across_replicas(
                lambda num_rows: keras.random.uniform((num_rows, width), dtype=logits.dtype, seed=seed),
                ops.shape(logits)[0],
            )
            return ops.cast(noise < ops.sigmoid(logits), logits.dtype)

        awake, log_q = [x], 0.0
        for number, layer in enumerate(self.recognition):
            logits = layer(awake[-1]) if number else first_logits
            awake.append(draw(logits))
            log_q = log_q + _log_prob(awake[-1], ops.stop_gradient(logits))
        log_p = self._log_generative(awake)
        dreams = self._dream(ops.shape(x)[0], draw)
        log_q_dreams = sum(
            _log_prob(above, layer(below))
            for layer, below, above in zip(self.recognition, dreams[:-1], dreams[1:], strict=True)
        )
        self.wake_tracker.update_state(-log_p)
        self.sleep_tracker.update_state(-log_q_dreams)
        self.bound_tracker.update_state(log_p - log_q)
        self.add_loss(-ops.mean(log_p) - ops.mean(log_q_dreams))

    def _log_generative(self, drawn: Sequence[Tensor]) -> Tensor:
        """Return log p of the units of all layers, from the data to the top."""
        log_p = _log_prob(drawn[-1], self.top_bias)
        for layer, below, above in zip(self.generative, drawn[:-1], drawn[1:], strict=True):
            log_p = log_p + _log_prob(below, layer(above))
        return log_p

    def _dream(self, num_rows: Tensor | int, draw: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """Draw all layers from the generative model; return them from the data to the top."""
        drawn = [draw(ops.broadcast_to(self.top_bias, (num_rows, self.units[-1])))]
        for layer in reversed(self.generative):
            drawn.append(draw(layer(drawn[-1])))
        return drawn[::-1]

    def _as_rows(self, x: Tensor) -> Tensor:
        return ops.reshape(ops.cast(x, self.top_bias.dtype), (-1, math.prod(self.data_shape)))

    def _checked(self, x: ArrayLike) -> Array:
        """Return examples as rows in float64, after a check of shape and values."""
        values = np.asarray(x)
        if values.shape[1:] != self.data_shape:
            expected = ", ".join(map(str, ("batch", *self.data_shape)))
            problem = f"{self.name}: expected examples of shape ({expected}), received {values.shape}"
            raise ValueError(message(problem, hint="pass a batch: x[None] for one example"))
        self.check_values(values)
        return values.reshape(len(values), -1).astype("float64")

    def _probabilities(self) -> BinaryLayers:
        return BinaryLayers(self.recognition, self.generative, self.top_bias)

    def _log_weights(self, rows: Array, num_samples: object, seed: int | None, method: str) -> Array:
        """Return log p(x, h) - log q(h | x) for draws of h from q, `(batch, draws)`."""
        num_draws = check_integer(num_samples, f"{method}: num_samples", hint="use num_samples=1000")
        return self._probabilities().log_weights(rows, num_draws, seed)

    def _all_states(self, method: str) -> Iterator[list[Array]]:
        """Return all states of the hidden units in chunks, if they are few."""
        total = sum(self.units)
        if total > MAX_EXACT_UNITS:
            problem = (
                f"{method}: an exact value sums over all states of at most {MAX_EXACT_UNITS} hidden units; {total} "
                f"units have 2^{total} = {2**total:,} states for each example"
            )
            raise ValueError(message(problem, hint="use num_samples=1000, which evaluates 1000 states of each example"))
        return all_states(self.units)


def _dense(name: str, num_inputs: int, units: int, dtype: str) -> keras.layers.Dense:
    """Return a dense layer of logits with weights."""
    layer = keras.layers.Dense(units, name=name, dtype=dtype)
    layer.build((None, num_inputs))
    return layer


def _log_prob(units: Tensor, logits: Tensor) -> Tensor:
    """Return the log-probability of binary units, summed over the last axis."""
    return ops.sum(units * logits - ops.softplus(logits), axis=-1)


def _draw(logits: Any, seed: keras.random.SeedGenerator) -> Tensor:
    """Return binary units that are 1 with the probability sigmoid(logits)."""
    uniform = keras.random.uniform(ops.shape(logits), dtype="float32", seed=seed)
    return ops.cast(uniform < ops.cast(ops.sigmoid(logits), "float32"), "float32")
