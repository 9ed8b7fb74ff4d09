"""The advantage actor-critic: a policy and a value function that learn together from short rollouts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.models.action_scores import gather_scores, mask_scores, policy_entropy
from deepkit.models.agent import AgentModel, Experience
from deepkit.utils.action_choice import sample_actions

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class ActorCriticModel(AgentModel):
    """A policy (actor) and a value function (critic), trained on rollouts; `dk.ActorCritic(...).build` returns it.

    Called on observations, it returns the logit of each action.

    Reference:
        Mnih et al. 2016, "Asynchronous methods for deep reinforcement learning", in its synchronous form, with the
        advantage estimates of Schulman et al. 2016, "High-dimensional continuous control using generalized advantage
        estimation".

    Args:
        policy: Model from observations, or from the output of `shared`, to the logit of each action.
        value: Model from the same input to the value of an observation, `(batch, 1)`.
        shared: Model from observations to the input of both; None if there is no shared part.
        discount: Factor of the reward of each further step.
        rollout_length: Number of steps of each environment for each update.
        gae_lambda: Decay of the advantage estimate: 0 for one-step errors, 1 for the sum of all rewards of the rollout.
        value_weight: Weight of the critic's squared error.
        entropy_weight: Weight of the policy's entropy, which is added to the objective.

    Call arguments:
        inputs: Observations.
        training: Whether the networks run in training mode.

    Input shape:
        `(batch, ...)`: observations.

    Output shape:
        `(batch, actions)`: logits.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> agent = dk.ActorCritic(
        ...     dk.Classifier(2), dk.Regressor(1), shared=dk.MLP([16])
        ... )
        >>> agent.build((4,)).act(np.zeros((3, 4)), explore=True, seed=0).shape
        (3,)
    """

    experience = "rollouts"
    network_names = ("policy", "value", "shared")
    loss_names = ("loss", "value_loss", "entropy")

    policy: keras.Model
    value: keras.Model
    shared: keras.Model | None

    def __init__(
        self,
        policy: keras.Model,
        value: keras.Model,
        shared: keras.Model | None = None,
        *,
        discount: float = 0.99,
        rollout_length: int = 5,
        gae_lambda: float = 1.0,
        value_weight: float = 0.5,
        entropy_weight: float = 0.01,
        **kwargs: Any,
    ) -> None:
        settings = {
            "discount": discount,
            "rollout_length": rollout_length,
            "gae_lambda": gae_lambda,
            "value_weight": value_weight,
            "entropy_weight": entropy_weight,
        }
        super().__init__({"policy": policy, "value": value, "shared": shared}, settings, **kwargs)
        self.discount, self.rollout_length, self.gae_lambda = discount, rollout_length, gae_lambda
        self.value_weight, self.entropy_weight = value_weight, entropy_weight

    @property
    def networks(self) -> list[keras.Model]:
        """The networks, that of the observations first."""
        return [self.policy, self.value] if self.shared is None else [self.shared, self.policy, self.value]

    @property
    def output_shape(self) -> Shape:
        """Shape of a batch of logits."""
        shape: Shape = self.policy.output_shape
        return shape

    def layer_graph(self) -> keras.Model:
        """Return a Functional model from observations to logits and value, as `visualize.diagram` draws it."""
        inputs = keras.Input(self.input_shape[1:], dtype=self.networks[0].inputs[0].dtype, name="observations")
        features = inputs if self.shared is None else self.shared(inputs)
        return keras.Model(inputs, [self.policy(features), self.value(features)], name=self.name)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Return the logit of each action."""
        logits: Tensor = self.policy(self._features(inputs, training), training=training)
        return logits

    def choose(
        self, scores: np.ndarray, action_mask: np.ndarray | None, rng: np.random.Generator, step: int
    ) -> np.ndarray:
        """Return an action of each row, drawn from the policy."""
        return sample_actions(scores, action_mask, rng)

    def compute_losses(self, experience: Experience) -> dict[str, Tensor]:
        """Return the loss of a rollout, the critic's squared error, and the entropy of the policy in nats.

        Args:
            experience: Arrays `(time, environments, ...)`: `observations`, `actions`, `rewards`, `next_observations`
                before a reset, `terminated`, and `ended`: whether an episode was terminated or truncated;
                `action_mask` if some actions are illegal.
        """
        features = self._features(_flat(experience["observations"]), True)
        values = self._values(features, True)
        next_values = self._values(self._features(_flat(experience["next_observations"]), False), False)
        shape = ops.shape(experience["rewards"])
        advantages = self._advantages(experience, ops.reshape(values, shape), ops.reshape(next_values, shape))
        advantages = ops.stop_gradient(ops.reshape(advantages, (-1,)))
        value_loss = ops.mean(ops.square(ops.stop_gradient(values) + advantages - values))
        mask = _flat(experience["action_mask"]) if "action_mask" in experience else None
        logits = mask_scores(self.policy(features, training=True), mask)
        entropy = ops.mean(policy_entropy(logits))
        chosen = gather_scores(ops.log_softmax(logits), _flat(experience["actions"]))
        policy_loss = -ops.mean(chosen * advantages)
        loss = policy_loss + self.value_weight * value_loss - self.entropy_weight * entropy
        return {"loss": loss, "value_loss": value_loss, "entropy": entropy}

    def _advantages(self, experience: Experience, values: Tensor, next_values: Tensor) -> Tensor:
        """Return the advantage of each step `(time, environments)`; none crosses the end of an episode."""
        continues = 1.0 - ops.cast(experience["terminated"], "float32")
        same_episode = 1.0 - ops.cast(experience["ended"], "float32")
        errors = experience["rewards"] + self.discount * continues * next_values - values
        advantage = ops.zeros_like(errors[0])
        advantages = []
        for t in reversed(range(self.rollout_length)):
            advantage = errors[t] + self.discount * self.gae_lambda * same_episode[t] * advantage
            advantages.append(advantage)
        return ops.stack(advantages[::-1])

    def _features(self, inputs: Tensor, training: bool) -> Any:
        return inputs if self.shared is None else self.shared(inputs, training=training)

    def _values(self, features: Tensor, training: bool) -> Tensor:
        return ops.squeeze(ops.cast(self.value(features, training=training), "float32"), -1)


def _flat(array: Tensor) -> Any:
    """Return an array `(time, environments, ...)` as `(time * environments, ...)`."""
    return ops.reshape(array, (-1, *array.shape[2:]))
