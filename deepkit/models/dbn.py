"""The deep belief network: restricted Boltzmann machines, trained one on top of the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers, ops

from deepkit.blocks.autoencoder import Autoencoder
from deepkit.models import visible_data
from deepkit.models.checked_data import CheckedData
from deepkit.models.contrastive_divergence import Machine, bernoulli
from deepkit.models.rbm import VISIBLE_UNITS
from deepkit.utils.console import echo
from deepkit.utils.errors import message
from deepkit.utils.lazy_tensorflow import tf
from deepkit.utils.validation import check_choice, check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike, Dataset, Nested, OptimizerLike, Shape, Tensor

_EPOCHS = 2  # position of `epochs` among the arguments of `fit` after x


@keras.saving.register_keras_serializable(package="deepkit")
class DeepBeliefNetwork(CheckedData, keras.Model):
    """Restricted Boltzmann machines in a stack; `dk.DBN(...).build` returns it.

    `fit` trains one machine after the other by contrastive divergence with one Gibbs step, each for `epochs_per_layer`
    epochs on the probabilities of the hidden units below. The epoch decides which machine is trained, so that a stopped
    training continues with the right one; further epochs train the last. Called on data, the model returns the
    probabilities of the hidden units at the top, or the means of Gaussian ones. It needs no loss and no labels: call
    `compile("sgd")` and `fit(x)`. `fit` and `evaluate` report for the machine in training `loss`, the mean free energy
    of its data minus that of its samples, and `reconstruction`, the squared error of the mean-field reconstruction of
    its data, summed over its visible units.

    Reference:
        Hinton, Osindero & Teh 2006, "A Fast Learning Algorithm for Deep Belief Nets", section 4; Hinton & Salakhutdinov
        2006, "Reducing the Dimensionality of Data with Neural Networks", for `unfold`.

    Args:
        units: Number of hidden units of each machine, from the bottom up.
        visible_shape: Shape of an example; each of its values is a visible unit.
        visible: `"bernoulli"` or `"gaussian"`.
        top: `"bernoulli"` or `"gaussian"`, for the units at the top.
        epochs_per_layer: Number of epochs for each machine.
        name: Name of the model.
        dtype: Dtype policy of the model, the global policy by default. The units compute in float32 even if the policy
            computes in 16 bits.

    Call arguments:
        inputs: Examples.

    Input shape:
        `(batch, ...)`: examples of the shape `visible_shape`.

    Output shape:
        `(batch, units)`: probabilities or means of the units at the top.

    Raises:
        ValueError: An argument is out of range, the weights would have 16 bits, or a single machine would have
            Gaussian units on both sides.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> model = dk.DBN([6, 3], epochs_per_layer=2).build((4,))
        >>> model.compile("sgd")
        >>> x = np.eye(4, dtype="float32")
        >>> history = model.fit(x, epochs=4, verbose=0).history
        >>> sorted(history), int(model.layer_in_training)
        (['loss', 'reconstruction'], 1)
        >>> classifier = dk.Sequential([*model.encoder_layers(), dk.Classifier(2)])
        >>> classifier.build((4,)).count_params(), model.sample(5, seed=0).shape
        (59, (5, 4))
    """

    def __init__(
        self,
        units: Sequence[int],
        visible_shape: Shape,
        *,
        visible: str = "bernoulli",
        top: str = "bernoulli",
        epochs_per_layer: int = 10,
        name: str | None = None,
        dtype: str | keras.DTypePolicy | None = None,
    ) -> None:
        owner = type(self).__name__
        hint = "use dk.DBN([500, 500, 2000]).build((784,))"
        widths = tuple(check_integer(number, f"{owner}: units", hint=hint) for number in units)
        if not widths:
            raise ValueError(message(f"{owner}: units is empty, expected at least one machine", hint=hint))
        visible = check_choice(visible, f"{owner}: visible", VISIBLE_UNITS, hint='use visible="bernoulli"')
        top = check_choice(top, f"{owner}: top", VISIBLE_UNITS, hint='use top="bernoulli"')
        if len(widths) == 1 and visible == top == "gaussian":
            problem = f"{owner}: one machine with Gaussian units on both sides, whose probabilities have no finite sum"
            raise ValueError(message(problem, hint='use two machines, or top="bernoulli"'))
        epochs_per_layer = check_integer(epochs_per_layer, f"{owner}: epochs_per_layer", hint="use 10")
        policy = keras.dtype_policies.get(dtype) if dtype is not None else keras.config.dtype_policy()
        visible_data.check_energy_dtype(policy.variable_dtype, owner)
        inputs = keras.Input(visible_shape, name="visible")
        x = inputs if len(visible_shape) == 1 else layers.Flatten(name="flatten", dtype="float32")(inputs)
        visible_sizes = (int(x.shape[-1]), *widths[:-1])
        hidden_layers = [_hidden_layer(number, width) for number, width in enumerate(widths, start=1)]
        if top == "gaussian":
            hidden_layers[-1].activation = keras.activations.linear
        for layer in hidden_layers:
            x = layer(x)
        super().__init__(inputs, x, name=name)
        self.dtype_policy = policy  # not an argument of a functional model; it decides whether losses are scaled
        self.units, self.visible, self.top, self.epochs_per_layer = widths, visible, top, epochs_per_layer
        self.visible_shape = tuple(visible_shape)
        self.hidden_layers = hidden_layers
        self.visible_biases = [
            self.add_weight(shape=(size,), initializer="zeros", dtype="float32", name=f"visible_bias{number}")
            for number, size in enumerate(visible_sizes, start=1)
        ]
        self._machines = tuple(
            Machine(
                layer.kernel,
                layer.bias,
                bias,
                is_gaussian=number == 0 and visible == "gaussian",
                has_gaussian_hidden=number == len(widths) - 1 and top == "gaussian",
            )
            for number, (layer, bias) in enumerate(zip(hidden_layers, self.visible_biases, strict=True))
        )
        self.layer_in_training = self.add_weight(
            shape=(), initializer="zeros", dtype="int32", trainable=False, name="layer_in_training"
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
            ValueError: `loss` or `metrics` is passed, or the model is distributed over several devices.
        """
        visible_data.refuse_argument("loss", loss, "a DBN", "its own training step")
        visible_data.refuse_argument("metrics", metrics, "a DBN", "its own metrics")
        if self.distribute_strategy.num_replicas_in_sync > 1:
            problem = "a DBN on several devices: TensorFlow cannot sum gradients across devices in a conditional step"
            raise ValueError(message(problem, hint='use one device: dk.plan(devices="CPU:0")'))
        super().compile(optimizer=optimizer, **kwargs)
        if not self.optimizer.built:  # in a conditional step it could not create its variables
            self.optimizer.build(self.trainable_variables)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with the arguments of a saved model."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Means over the steps of an epoch."""
        return [self.loss_tracker, self.reconstruction_tracker]

    def check_values(self, values: np.ndarray) -> None:
        """Raise a `ValueError` if the visible units are Bernoulli, and a value is not from 0 to 1.

        Args:
            values: Examples `(batch, ...)`.
        """
        low, high = values.min(), values.max()
        if self.visible == "bernoulli" and (low < 0 or high > 1):
            problem = f"Bernoulli units expect values from 0 to 1, received values from {low:.4g} to {high:.4g}"
            hint = 'scale the values: x.astype("float32") / 255, or use dk.DBN(..., visible="gaussian")'
            raise ValueError(message(problem, path=f"{self.name}.visible", hint=hint))

    def fit(self, x: Nested | Dataset | None = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Train as `keras.Model.fit` does, one machine after the other, on inputs without labels.

        It prints a message if `epochs` ends before the last machine.

        Args:
            x: Inputs `(examples, ...)`, or a dataset of batches; labels in a dataset are ignored.
            args: Further arguments of `keras.Model.fit`, at most three: `y`, `batch_size` and `epochs`.
            kwargs: Further arguments of `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: The visible units are Bernoulli, and a value is not from 0 to 1.
        """
        self._announce_untrained(args[_EPOCHS] if len(args) > _EPOCHS else kwargs.get("epochs", 1))
        schedule = _LayerSchedule(self)
        callbacks = kwargs.get("callbacks")
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks.callbacks.append(schedule)
        else:
            kwargs["callbacks"] = [schedule, *keras.tree.flatten(callbacks or [])]
        return super().fit(x, *args, **kwargs)

    def train_step(self, data: Nested) -> dict[str, Tensor]:
        """Update the weights of the machine in training with its contrastive divergence gradient."""
        return self._step(data, self.training_seeds, training=True)

    def test_step(self, data: Nested) -> dict[str, Tensor]:
        """Compute loss and reconstruction error of the machine in training."""
        return self._step(data, self.evaluation_seeds, training=False)

    def encoder_layers(self) -> list[keras.layers.Layer]:
        """Return copies of the hidden layers with their weights, for another definition.

        A definition uses the layers themselves, so that a training of it continues with their weights:
        `dk.Sequential([*model.encoder_layers(), dk.Classifier(10)])`. If the examples are not vectors, a Flatten layer
        comes first.
        """
        first = [layers.Flatten()] if len(self.visible_shape) > 1 else []
        return [
            *first,
            *(_dense(layer.name, layer.kernel, layer.bias, layer.activation) for layer in self.hidden_layers),
        ]

    def unfold(self, code_activation: str | None = None) -> Autoencoder:
        """Return the definition of a deep autoencoder: the layers, and above them their mirror image.

        The decoder begins with the transposed weights of the encoder and the visible biases. A training changes the
        weights of both independently, and not those of this model. `dk.fit` trains the definition: its loss is the
        cross-entropy of Bernoulli units, or the squared error of Gaussian ones.

        Args:
            code_activation: Activation of the layer in the middle: `"sigmoid"`, or `"linear"` for a code that is
                unlimited. By default that of the units at the top: linear if they are Gaussian.

        Raises:
            ValueError: `code_activation` is another word.
        """
        choices = ("sigmoid", "linear")
        encoder = self.encoder_layers()
        if code_activation is not None:
            check_choice(code_activation, "unfold: code_activation", choices, hint='use code_activation="sigmoid"')
            encoder[-1].activation = keras.activations.get(code_activation)
        decoder = []
        for number in reversed(range(len(self.units))):
            kernel = ops.transpose(self.hidden_layers[number].kernel)
            activation = "sigmoid" if number else None
            decoder.append(_dense(f"decoder{number + 1}", kernel, self.visible_biases[number], activation))
        output = "sigmoid" if self.visible == "bernoulli" else None
        return Autoencoder(encoder, decoder=decoder, activation=output, name="unfolded")

    def sample(
        self, num_samples: int, *, num_steps: int = 1000, start: ArrayLike | None = None, seed: int | None = None
    ) -> np.ndarray:
        """Draw examples: Gibbs sampling in the machine at the top, then one pass down.

        Args:
            num_samples: Number of examples, each from its own chain.
            num_steps: Number of Gibbs steps.
            start: Examples whose codes are the first states of the chains, `(num_samples, ...)`; None for zeros.
            seed: Integer seed for reproducible examples; None for a random seed.

        Returns:
            Means of the visible units `(num_samples, ...)`, float32.

        Raises:
            ValueError: `num_samples` or `num_steps` is not a positive integer, or `start` has another shape.
        """
        num_samples = check_integer(num_samples, "sample: num_samples", hint="use sample(16, seed=0)")
        num_steps = check_integer(num_steps, "sample: num_steps", hint="use num_steps=1000")
        generator = keras.random.SeedGenerator(seed)
        if start is None:
            rows = ops.zeros((num_samples, self._machines[0].visible_bias.shape[0]))
        else:
            rows = visible_data.as_rows(ops.convert_to_tensor(np.asarray(start)), self.visible_shape, self.name)
        if len(rows) != num_samples:
            problem = f"sample: start has {len(rows)} examples, expected num_samples={num_samples}"
            raise ValueError(message(problem, hint="pass one first state for each sample"))

        def draw(rows: Tensor) -> Tensor:
            top = self._machines[-1]
            visible = self._inputs_of(len(self.units) - 1, rows)
            _, means = top.run_chains(visible, top.hidden(visible), num_steps, generator)
            for machine in reversed(self._machines):
                means = machine.visible_mean(machine.draw_hidden(means, generator))
            return means

        means = tf.function(draw, autograph=False)(rows)
        return ops.convert_to_numpy(means).reshape(num_samples, *self.visible_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            "units": self.units,
            "visible_shape": self.visible_shape,
            "visible": self.visible,
            "top": self.top,
            "epochs_per_layer": self.epochs_per_layer,
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: dict[str, Any] | None = None) -> DeepBeliefNetwork:
        """Create a model from its config."""
        return cls(**{**config, "visible_shape": tuple(config["visible_shape"])})

    def _step(self, data: Nested, seed: keras.random.SeedGenerator, *, training: bool) -> dict[str, Tensor]:
        examples = visible_data.examples_of(data, "a DBN")
        rows = visible_data.as_rows(examples, self.visible_shape, self.name)
        branches = [self._layer_step(number, seed, training) for number in range(len(self.units))]
        loss, error = ops.switch(self.layer_in_training, branches, rows)
        self.loss_tracker.update_state(loss)
        self.reconstruction_tracker.update_state(error)
        return self.get_metrics_result()

    def _layer_step(
        self, number: int, seed: keras.random.SeedGenerator, training: bool
    ) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """Return a function of a batch that trains one machine; it returns its loss and its reconstruction error."""
        machine = self._machines[number]

        def step(rows: Tensor) -> tuple[Tensor, Tensor]:
            means = self._inputs_of(number, rows)
            data = means if machine.is_gaussian else bernoulli(means, seed)
            hidden = machine.hidden(data)
            samples, sample_hidden = machine.run_chains(data, hidden, 1, seed)
            loss = ops.mean(machine.free_energy(data)) - ops.mean(machine.free_energy(samples))
            error = ops.mean(ops.sum(ops.square(means - machine.visible_mean(hidden)), axis=-1))
            if training:
                machine.apply_gradients(self.optimizer, (data, hidden), (samples, sample_hidden))
            return loss, error

        return step

    def _inputs_of(self, number: int, rows: Tensor) -> Tensor:
        """Return the data of a machine: the probabilities of the hidden units below it."""
        for machine in self._machines[:number]:
            rows = machine.hidden(rows)
        return rows

    def _announce_untrained(self, epochs: int) -> None:
        """Print which machines are trained if there are not enough epochs for all of them."""
        count, needed = -(-epochs // self.epochs_per_layer), len(self.units) * self.epochs_per_layer
        if count < len(self.units):
            echo(f"{self.name}: epochs={epochs} trains {count} of its {len(self.units)} machines; {needed} trains all")


class _LayerSchedule(keras.callbacks.Callback):
    """Chooses the machine to train at the beginning of each epoch."""

    stateless = True

    def __init__(self, network: DeepBeliefNetwork) -> None:
        super().__init__()
        self._network = network

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        number = min(epoch // self._network.epochs_per_layer, len(self._network.units) - 1)
        self._network.layer_in_training.assign(number)


def _hidden_layer(number: int, units: int) -> keras.layers.Dense:
    normal = keras.initializers.RandomNormal(stddev=0.01)  # Hinton 2010, section 8
    return layers.Dense(units, activation="sigmoid", kernel_initializer=normal, name=f"hidden{number}", dtype="float32")


def _dense(name: str, kernel: Any, bias: Any, activation: Any) -> keras.layers.Dense:
    """Return a dense layer with copies of weights."""
    layer = layers.Dense(kernel.shape[1], activation=activation, name=name)
    layer.build((None, kernel.shape[0]))
    layer.set_weights([ops.convert_to_numpy(kernel), ops.convert_to_numpy(bias)])
    return layer
