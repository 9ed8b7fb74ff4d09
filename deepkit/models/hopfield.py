"""The Hopfield network: an associative memory that recalls stored patterns by descending an energy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.models.checked_data import CheckedData, other_values
from deepkit.utils.console import echo
from deepkit.utils.errors import format_value, message
from deepkit.utils.lazy_tensorflow import tf
from deepkit.utils.validation import check_choice, check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike, Dataset, Nested, PathLike, Shape, Tensor

ORDERS = ("asynchronous", "synchronous")
_EPOCHS = 2  # position of `epochs` among the arguments of `fit` after x
_CONVERTED = "Hopfield network: the values 0 and 1 of the patterns are converted to -1 and 1"


@keras.saving.register_keras_serializable(package="deepkit")
class HopfieldNetwork(CheckedData, keras.Model):
    """Units with the values -1 and 1, whose symmetric weights store patterns; `dk.Hopfield(units).build` returns it.

    `store` adds each pattern x to the weights by Hebb's rule: W changes by x x^T, without the diagonal.
    `recall` sets each unit to the sign of its weighted sum, again and again; a unit whose sum is 0 keeps its value.
    With one unit at a time, no update increases the energy -x^T W x / 2, so the states end in a local minimum of it:
    one of the patterns, if there are few of them. Called on states, the model updates all units once, at the same time.

    `fit` stores the patterns too: one epoch is one pass of Hebb's rule. It needs neither an optimizer nor a loss, and
    reports the mean `energy` of the patterns, and `stability`, the fraction of their values that an update keeps.
    The values 0 and 1 are converted to -1 and 1, with a message. Weights and energies are float32 or float64.

    Reference:
        Hopfield 1982, "Neural Networks and Physical Systems with Emergent Collective Computational Abilities".

    Args:
        shape: Shape of one pattern; the number of units is the product of its sizes.
        kwargs: Further arguments of `keras.Model`.

    Call arguments:
        inputs: States.
        training: Not used.

    Input shape:
        `(batch, *shape)`: -1 and 1.

    Output shape:
        The input shape: -1 and 1.

    Raises:
        ValueError: A size is not a positive integer, or the dtype policy stores variables in 16 bits.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> model = dk.Hopfield(8).build()
        >>> pattern = np.array([[1, 1, 1, 1, -1, -1, -1, -1]])
        >>> model.store(pattern)
        >>> damaged = pattern * [-1, 1, 1, 1, 1, 1, 1, 1]
        >>> model.recall(damaged, seed=0)[0].astype(int).tolist()
        [1, 1, 1, 1, -1, -1, -1, -1]
        >>> model.energy(damaged).tolist(), model.energy(pattern).tolist()
        ([-14.0], [-28.0])
    """

    def __init__(self, shape: Sequence[int], **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.data_shape = tuple(check_integer(size, "HopfieldNetwork: shape") for size in shape)
        self.units = math.prod(self.data_shape)
        dtype = self.variable_dtype
        if dtype not in ("float32", "float64"):
            problem = f"HopfieldNetwork: energies are sums of many products, which {dtype} cannot hold"
            raise ValueError(message(problem, hint='use keras.config.set_dtype_policy("float32")'))
        self.autocast = False  # states and weights stay in the dtype of the variables
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.units, self.units),
            dtype=dtype,
            initializer="zeros",
            trainable=False,
            autocast=False,
        )
        self.num_patterns = self.add_weight(
            name="num_patterns", shape=(), dtype="int64", initializer="zeros", trainable=False
        )
        self.energy_tracker = keras.metrics.Mean(name="energy")
        self.stability_tracker = keras.metrics.Mean(name="stability")
        self.built = True

    def build(self, input_shape: Shape) -> None:
        """Do nothing: the weights exist."""

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Return the states after an update of all units at the same time."""
        states = self._as_states(inputs)
        return ops.reshape(_update_all(states, self.kernel), (-1, *self.data_shape))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the states."""
        return input_shape

    def layer_graph(self) -> keras.Model:
        """Return a Functional model of the weights as a dense layer, as `visualize.diagram` draws it."""
        states = keras.Input(self.data_shape, name="states")
        flat = keras.layers.Flatten(name="flatten")(states) if len(self.data_shape) > 1 else states
        weights = keras.layers.Dense(self.units, use_bias=False, trainable=False, name="weights")
        return keras.Model(states, weights(flat), name=self.name)

    @property
    def input_shape(self) -> Shape:
        """Shape of a batch of states."""
        return (None, *self.data_shape)

    @property
    def output_shape(self) -> Shape:
        """Shape of a batch of states."""
        return (None, *self.data_shape)

    def compile(self, optimizer: None = None, loss: None = None, **kwargs: Any) -> None:
        """Configure `fit`; the only arguments are those that concern the execution.

        Args:
            optimizer: Not supported; patterns are stored by Hebb's rule.
            loss: Not supported; there is no loss.
            kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            ValueError: `optimizer`, `loss` or `metrics` is passed, or the model is distributed over several devices.
        """
        for name, value in (("optimizer", optimizer), ("loss", loss), ("metrics", kwargs.get("metrics") or None)):
            if value is not None:
                problem = f"{name}: a Hopfield network stores patterns by Hebb's rule, received {format_value(value)}"
                raise ValueError(message(problem, hint=f"leave {name} out"))
        if self.distribute_strategy.num_replicas_in_sync > 1:
            problem = "a Hopfield network stores all patterns in one matrix, which several devices cannot share"
            raise ValueError(message(problem, hint='use one device: dk.plan(devices="CPU:0")'))
        super().compile(optimizer=None, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with the arguments of a saved model."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Means over the patterns of an epoch."""
        return [self.energy_tracker, self.stability_tracker]

    def adapt(self, dataset: Dataset) -> tuple[str, ...]:
        """Check all patterns before they are stored; `dk.fit` calls it on every model that has this method.

        Args:
            dataset: A `tf.data.Dataset` of patterns, or of tuples that begin with them.

        Returns:
            A message if the values are converted.

        Raises:
            ValueError: A value is neither -1 nor 1, and the values are not 0 and 1.
        """
        has_zero, has_negative = False, False
        for batch in dataset:
            values = np.asarray(batch[0] if isinstance(batch, tuple) else batch)
            self.check_values(values)
            has_zero, has_negative = has_zero or bool(np.any(values == 0)), has_negative or bool(np.any(values < 0))
            if has_zero and has_negative:
                raise _values_error("-1, 0 and 1")
        return (_CONVERTED,) if has_zero else ()

    def fit(self, x: Nested | Dataset | None = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Store patterns as `store` does, with the arguments of `keras.Model.fit`.

        Args:
            x: Patterns `(examples, ...)`, or a dataset of batches; labels in a dataset are ignored.
            args: Further arguments of `keras.Model.fit`; `epochs` is 1, as each epoch would add the patterns again.
            kwargs: Further arguments of `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: A value is neither -1 nor 1, and the values are not 0 and 1; or `epochs` is above 1.
        """
        epochs = args[_EPOCHS] if len(args) > _EPOCHS else kwargs.get("epochs", 1)
        if epochs > 1:
            problem = f"epochs: one pass of Hebb's rule stores the patterns, received {epochs} epochs"
            raise ValueError(message(problem, hint="use epochs=1, or model.store(patterns) without fit"))
        return super().fit(x, *args, **kwargs)

    def train_step(self, data: Nested) -> dict[str, Tensor]:
        """Store the patterns of a batch."""
        states = self._as_states(_patterns(data))
        self._add(states)
        return self._update_metrics(states)

    def test_step(self, data: Nested) -> dict[str, Tensor]:
        """Compute the metrics of patterns, without storing them."""
        return self._update_metrics(self._as_states(_patterns(data)))

    def store(self, patterns: ArrayLike) -> None:
        """Add patterns to the weights by Hebb's rule, and to the counter `num_patterns`.

        Args:
            patterns: Patterns `(patterns, *shape)` of -1 and 1; 0 and 1 are converted, with a message.

        Raises:
            ValueError: A value is neither -1 nor 1, or the shape differs from that of the network.
        """
        self._add(self._as_states(self._checked(patterns)))

    def recall(
        self, x: ArrayLike, num_steps: int = 100, *, order: str = "asynchronous", seed: int | None = None
    ) -> np.ndarray:
        """Return the states to which a recall from `x` leads.

        Args:
            x: States `(batch, *shape)` of -1 and 1, such as damaged patterns; 0 and 1 are converted, with a message.
            num_steps: Largest number of steps, in each of which every unit is updated once; the recall ends when a step
                changes no unit.
            order: `"asynchronous"`, one unit after the other in a random order for each step; `"synchronous"`, all
                units at the same time, which may end in two states that alternate.
            seed: Integer seed for a reproducible order; None for a random seed.

        Returns:
            States `(batch, *shape)`, -1 and 1.

        Raises:
            ValueError: A value is neither -1 nor 1, the shape differs from that of the network, or an argument is out
                of range.
        """
        states: np.ndarray = self.recall_path(x, num_steps, order=order, seed=seed)[-1]
        return states

    def recall_path(
        self, x: ArrayLike, num_steps: int = 100, *, order: str = "asynchronous", seed: int | None = None
    ) -> np.ndarray:
        """Return the states of a recall: `x`, and the states after each step.

        Args:
            x: As for `recall`.
            num_steps: As for `recall`.
            order: As for `recall`.
            seed: As for `recall`.

        Returns:
            States `(steps + 1, batch, *shape)`. The last two are equal, unless there are `num_steps` steps.

        Raises:
            ValueError: As for `recall`.
        """
        num_steps = check_integer(num_steps, "recall: num_steps", hint="use num_steps=100")
        order = check_choice(order, "recall: order", ORDERS, hint='use order="asynchronous"')
        states = self._as_states(self._checked(x))
        kernel = ops.convert_to_numpy(self.kernel)
        generator = keras.random.SeedGenerator(seed)
        path = [ops.convert_to_numpy(states)]
        for _ in range(num_steps):
            if order == "synchronous":
                path.append(ops.convert_to_numpy(_update_all(path[-1], kernel)))
            else:
                units = keras.random.shuffle(np.arange(self.units), seed=generator)
                path.append(_update_each(path[-1], kernel, ops.convert_to_numpy(units)))
            if np.array_equal(path[-1], path[-2]):
                break
        return np.stack(path).reshape(len(path), -1, *self.data_shape)

    def energy(self, x: ArrayLike) -> np.ndarray:
        """Return the energy -x^T W x / 2 of each state.

        Args:
            x: States `(batch, *shape)` of -1 and 1; 0 and 1 are converted, with a message.

        Returns:
            Energies `(batch,)`, in the dtype of the weights.

        Raises:
            ValueError: A value is neither -1 nor 1, or the shape differs from that of the network.
        """
        return ops.convert_to_numpy(_energy(self._as_states(self._checked(x)), self.kernel))

    def check_values(self, values: np.ndarray) -> None:
        """Raise a `ValueError` if values are neither all -1 and 1, nor all 0 and 1.

        Args:
            values: States `(batch, ...)`.
        """
        if values.dtype == bool or (np.isin(values, (-1, 1)).all() or np.isin(values, (0, 1)).all()):
            return
        mixed = np.isin(values, (-1, 0, 1)).all()
        raise _values_error("-1, 0 and 1" if mixed else other_values(values, (-1, 0, 1)))

    def export(
        self,
        filepath: PathLike,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Nested | None = None,
        **kwargs: object,
    ) -> None:
        """Export the model as `keras.Model.export` does; the default `input_signature` is a batch of states."""
        default: Any = [keras.InputSpec(shape=self.input_shape, dtype="float32")]
        signature = default if input_signature is None else input_signature
        super().export(filepath, format, verbose, signature, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "shape": list(self.data_shape)}

    def _check_inputs(self, x: object) -> None:
        """Check the values of arrays, tensors and datasets of finite size, and the first batch of other datasets."""
        if isinstance(x, tf.data.Dataset) and not hasattr(x, "epochs") and int(x.cardinality()) >= 0:
            self.adapt(x)
        else:
            super()._check_inputs(x)

    def _checked(self, x: ArrayLike) -> np.ndarray:
        """Return states after a check of shape and values, with a message if they are converted."""
        values = np.asarray(x)
        if values.shape[1:] not in (self.data_shape, (self.units,)) or len(values) == 0:
            expected = ", ".join(map(str, ("batch", *self.data_shape)))
            problem = f"{self.name}: expected states of shape ({expected}), received {values.shape}"
            raise ValueError(message(problem, hint="pass a batch: x[None] for one state"))
        self.check_values(values)
        if not values.all():
            echo(_CONVERTED)
        return values

    def _as_states(self, x: Tensor | np.ndarray) -> Tensor:
        """Return a batch as states `(batch, units)`; 0 becomes -1."""
        states = ops.reshape(ops.cast(x, self.kernel.dtype), (-1, self.units))
        return ops.where(ops.equal(states, 0), ops.cast(-1, states.dtype), states)

    def _add(self, states: Tensor) -> None:
        """Add patterns to the weights."""
        products = ops.matmul(ops.transpose(states), states)
        self.kernel.assign_add(products * (1 - ops.eye(self.units, dtype=products.dtype)))
        self.num_patterns.assign_add(ops.cast(ops.shape(states)[0], "int64"))

    def _update_metrics(self, states: Tensor) -> dict[str, Tensor]:
        self.energy_tracker.update_state(_energy(states, self.kernel))
        self.stability_tracker.update_state(ops.equal(_update_all(states, self.kernel), states))
        return self.get_metrics_result()


def _update_all(states: Tensor, kernel: Tensor) -> Tensor:
    """Return states after an update of all units at the same time."""
    return _signs(ops.matmul(states, kernel), states)


def _update_each(states: np.ndarray, kernel: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return states after an update of one unit after the other, in the order of `units`."""
    states = states.copy()
    fields = states @ kernel  # kept up to date in NumPy: a kernel of TensorFlow takes longer to start than one update
    for unit in units:
        changed = np.flatnonzero(fields[:, unit] * states[:, unit] < 0)
        if len(changed):
            states[changed, unit] *= -1
            fields[changed] += 2 * states[changed, unit][:, None] * kernel[unit]
    return states


def _signs(field: Tensor, states: Tensor) -> Tensor:
    """Return the signs of weighted sums; a state whose sum is 0 does not change."""
    return ops.where(ops.equal(field, 0), states, ops.sign(field))


def _energy(states: Tensor, kernel: Tensor) -> Tensor:
    return -0.5 * ops.sum(states * ops.matmul(states, kernel), axis=-1)


def _patterns(data: Nested) -> Any:
    """Return the patterns of a batch without its labels."""
    x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        problem = "sample_weight: a Hopfield network does not support weights of patterns"
        raise ValueError(message(problem, hint="leave sample_weight out"))
    return x


def _values_error(received: str) -> ValueError:
    problem = f"a Hopfield network expects patterns of -1 and 1, or of 0 and 1, received {received}"
    return ValueError(message(problem, hint="use np.where(x > threshold, 1, -1)"))
