"""The base class of agents: Keras models that choose actions and learn from the rewards that follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np
from keras import ops

from deepkit.models.agent_inputs import check_action_mask, check_observations
from deepkit.models.quantization import reset_functions
from deepkit.utils.action_choice import best_actions
from deepkit.utils.errors import format_value, message
from deepkit.utils.lazy_tensorflow import tf

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike, Nested, OptimizerLike, PathLike, Shape, Tensor

Experience = Mapping[str, Any]
"""A batch of experience by name: observations, actions, and the arrays that a training step needs."""

Seed = int | Sequence[int] | np.random.Generator | None
"""What `numpy.random.default_rng` accepts."""


class AgentModel(keras.Model):
    """A model that chooses actions; the base class of the models that `dk.DQN` and the other agents build.

    A subclass has one network for the scores of actions, which `call` returns, and perhaps others. It computes its
    losses in `compute_losses`; `dk.learn` calls `train_step` on batches of experience.

    Args:
        networks: The networks by name. The first one gives a score per action.
        settings: The other arguments of the subclass by name, which `get_config` returns.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> model = dk.DQN([dk.Regressor(2)]).build((4,))
        >>> isinstance(model, AgentModel), model.num_actions
        (True, 2)
        >>> model.scores(np.zeros((3, 4))).shape
        (3, 2)
    """

    experience: ClassVar[str]
    """The experience that a training step needs: `"transitions"`, `"episodes"` or `"rollouts"`."""

    network_names: ClassVar[tuple[str, ...]]
    """The arguments of the subclass that are networks."""

    loss_names: ClassVar[tuple[str, ...]]
    """The values that `compute_losses` returns; the first one is `"loss"`, whose gradient is taken."""

    def __init__(self, networks: Mapping[str, keras.Model | None], settings: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._settings = dict(settings)
        for name, network in networks.items():
            setattr(self, name, network)
        self.trackers: list[keras.metrics.Metric] = [keras.metrics.Mean(name=name) for name in self.loss_names]
        self._score_function: Callable[[Tensor], Tensor] | None = None
        self.built = True  # its networks are built

    def build(self, input_shape: Shape) -> None:
        """Do nothing: the networks are built."""

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Return a score for each action: its value, or its logit."""
        raise NotImplementedError

    def compute_losses(self, experience: Experience) -> dict[str, Tensor]:
        """Return the losses of a batch by name, those of `loss_names`; a subclass implements it.

        Args:
            experience: Arrays by name, as the kind of `experience` that the class names.
        """
        raise NotImplementedError

    def choose(
        self, scores: np.ndarray, action_mask: np.ndarray | None, rng: np.random.Generator, step: int
    ) -> np.ndarray:
        """Return an action for each row of scores, with exploration; a subclass implements it.

        Args:
            scores: Scores `(batch, actions)`.
            action_mask: True for each legal action, or None if all are legal.
            rng: Random generator.
            step: Number of steps since the beginning of the training.
        """
        raise NotImplementedError

    @property
    def num_actions(self) -> int:
        """Number of actions."""
        size = self.output_shape[-1]
        assert size is not None  # the definition has checked it
        return size

    @property
    def networks(self) -> list[keras.Model]:
        """The networks of the model."""
        return [network for name in self.network_names if (network := getattr(self, name)) is not None]

    @property
    def input_shape(self) -> Shape:
        """Shape of a batch of observations."""
        shape: Shape = self.networks[0].input_shape
        return shape

    @property
    def output_shape(self) -> Shape:
        """Shape of a batch of scores."""
        shape: Shape = self.networks[0].output_shape
        return shape

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the scores."""
        return (input_shape[0], self.num_actions)

    def layer_graph(self) -> keras.Model:
        """Return the network that gives the scores, as `visualize.diagram` draws it."""
        return self.networks[0]

    def scores(self, observations: ArrayLike) -> np.ndarray:
        """Return the score of each action as a NumPy array.

        Args:
            observations: Observations `(batch, ...)`.

        Returns:
            Scores `(batch, actions)` in float32: values or logits.

        Raises:
            ValueError: The observations do not have the shape of the model's input.
        """
        array = check_observations(observations, self.networks[0].inputs[0])
        if self._score_function is None:
            self._score_function = self._make_score_function()
        return np.asarray(ops.convert_to_numpy(self._score_function(array)))

    def act(
        self,
        observations: ArrayLike,
        *,
        action_mask: ArrayLike | None = None,
        explore: bool = False,
        seed: Seed = None,
        step: int = 0,
    ) -> np.ndarray:
        """Choose an action for each observation.

        Args:
            observations: Observations `(batch, ...)`.
            action_mask: True or 1 for each legal action, `(batch, actions)`; None if all are legal.
            explore: Whether to explore as in training; otherwise the action with the largest score is chosen.
            seed: Seed of the exploration, as for `numpy.random.default_rng`; the same seed gives the same actions.
            step: Number of steps since the beginning of the training, on which the exploration may depend.

        Returns:
            Actions `(batch,)` as int64.

        Raises:
            ValueError: The observations do not have the shape of the model's input, or no action is legal.
        """
        scores = self.scores(observations)
        mask = None if action_mask is None else check_action_mask(action_mask, (len(scores), self.num_actions))
        if explore:
            return self.choose(scores, mask, np.random.default_rng(seed), step)
        return best_actions(scores, mask)

    def compile(self, optimizer: OptimizerLike = "adam", *, loss: None = None, **kwargs: Any) -> None:
        """Configure the training.

        Args:
            optimizer: The optimizer, or its name.
            loss: Not supported: an agent computes its own loss.
            kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            ValueError: `loss` or `metrics` is passed.
        """
        for name, value in (("loss", loss), ("metrics", kwargs.get("metrics"))):
            if value:
                problem = f"{name}: an agent has its own loss and metrics, received {format_value(value)}"
                raise ValueError(message(problem, hint=f"compile without {name}"))
        super().compile(optimizer=optimizer, **kwargs)
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    def get_compile_config(self) -> dict[str, Any] | None:
        """Return the arguments of `compile`."""
        return super().get_compile_config() if self.compiled else None

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with the arguments of a saved model."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Raise an error: an agent learns from an environment.

        Args:
            args: Any arguments.
            kwargs: Any arguments.

        Returns:
            Nothing.

        Raises:
            TypeError: Always.
        """
        problem = f"fit: {type(self).__name__} learns from an environment, not from data"
        raise TypeError(message(problem, hint="use dk.learn(model, env, num_steps=...)"))

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The means of the losses over the training steps of an epoch."""
        return self.trackers

    def train_step(self, data: Nested) -> dict[str, Tensor]:
        """Update the weights for one batch of experience; return the losses of this batch.

        Args:
            data: The arguments of `compute_losses`, as tensors.
        """
        with tf.GradientTape() as tape:
            losses = self.compute_losses(data)  # type: ignore[arg-type]
            penalties = [ops.cast(ops.sum(penalty), "float32") for penalty in self.losses]
            losses["loss"] = losses["loss"] + sum(penalties)
            objective = self.optimizer.scale_loss(losses["loss"])
        weights = self.trainable_variables
        gradients = tape.gradient(objective, [weight.value for weight in weights])
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        for tracker in self.trackers:
            tracker.update_state(losses[tracker.name])
        self.end_update()
        return losses

    def end_update(self) -> None:
        """Do what follows an update of the weights; nothing by default."""

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """Quantize the layers as `keras.Model.quantize` does."""
        super().quantize(*args, **kwargs)
        reset_functions(*self.networks)
        self._score_function = None

    def export(
        self,
        filepath: PathLike,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Nested | None = None,
        **kwargs: Any,
    ) -> None:
        """Export the model as `keras.Model.export` does; the default `input_signature` is a batch of observations."""
        if input_signature is None:
            input_signature = [self.networks[0].inputs[0]]
        super().export(filepath, format, verbose, input_signature, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        networks = {name: getattr(self, name) for name in self.network_names}
        serialized = {
            name: None if network is None else keras.saving.serialize_keras_object(network)
            for name, network in networks.items()
        }
        return {**super().get_config(), **serialized, **self._settings}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> AgentModel:
        """Create a model from its config."""
        networks = {
            name: None
            if config[name] is None
            else keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in cls.network_names
        }
        return cls(**{**config, **networks})

    def _make_score_function(self) -> Callable[[Any], Any]:
        """Return a function from observations to scores, which TensorFlow compiles."""

        def score(observations: Any) -> Any:
            return ops.cast(self(observations, training=False), "float32")

        if keras.backend.backend() != "tensorflow":
            return score
        inputs = self.networks[0].inputs[0]
        signature = [tf.TensorSpec((None, *inputs.shape[1:]), inputs.dtype)]
        # a concrete function has less overhead for each call than a `tf.function`
        concrete = tf.function(score, input_signature=signature, autograph=False).get_concrete_function()
        return lambda observations: concrete(tf.convert_to_tensor(observations))
