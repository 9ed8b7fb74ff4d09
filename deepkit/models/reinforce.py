"""REINFORCE: a policy that learns from the returns of complete episodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.models.action_scores import gather_scores, mask_scores, policy_entropy
from deepkit.models.agent import AgentModel, Experience
from deepkit.utils.action_choice import sample_actions

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class ReinforceModel(AgentModel):
    """A policy with the score-function gradient of complete episodes; `dk.Reinforce(...).build` returns it.

    Called on observations, it returns the logit of each action.

    Reference:
        Williams 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement learning".

    Args:
        policy: Model from observations to the logit of each action.
        baseline: Model from observations to their value, `(batch, 1)`, which is subtracted from the returns; or None.
        discount: Factor of the reward of each further step.
        episodes_per_update: Number of complete episodes for each update.
        normalize: Whether returns, less the baseline, are scaled to mean 0 and standard deviation 1 in each update.
        entropy_weight: Weight of the policy's entropy, which is added to the objective.

    Call arguments:
        inputs: Observations.
        training: Whether the policy runs in training mode.

    Input shape:
        `(batch, ...)`: observations.

    Output shape:
        `(batch, actions)`: logits.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> model = dk.Reinforce([dk.MLP([16]), dk.Classifier(2)]).build((4,))
        >>> model.act(np.zeros((3, 4)), explore=True, seed=0).shape
        (3,)
    """

    experience = "episodes"
    network_names = ("policy", "baseline")
    loss_names = ("loss", "entropy")

    policy: keras.Model
    baseline: keras.Model | None

    def __init__(
        self,
        policy: keras.Model,
        baseline: keras.Model | None = None,
        *,
        discount: float = 0.99,
        episodes_per_update: int = 1,
        normalize: bool = True,
        entropy_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        settings = {
            "discount": discount,
            "episodes_per_update": episodes_per_update,
            "normalize": normalize,
            "entropy_weight": entropy_weight,
        }
        super().__init__({"policy": policy, "baseline": baseline}, settings, **kwargs)
        self.discount, self.episodes_per_update = discount, episodes_per_update
        self.normalize, self.entropy_weight = normalize, entropy_weight

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Return the logit of each action."""
        logits: Tensor = self.policy(inputs, training=training)
        return logits

    def choose(
        self, scores: np.ndarray, action_mask: np.ndarray | None, rng: np.random.Generator, step: int
    ) -> np.ndarray:
        """Return an action of each row, drawn from the policy."""
        return sample_actions(scores, action_mask, rng)

    def future_returns(self, observations: np.ndarray) -> np.ndarray:
        """Return the baseline of the observations after which episodes were truncated, 0 without a baseline.

        Args:
            observations: Observations `(batch, ...)`.

        Returns:
            The estimated returns of the steps that were cut off, `(batch,)`.
        """
        if self.baseline is None:
            return np.zeros(len(observations), "float32")
        values = ops.convert_to_numpy(self.baseline(observations, training=False))
        return np.asarray(values)[:, 0].astype("float32")

    def compute_losses(self, experience: Experience) -> dict[str, Tensor]:
        """Return the loss of the steps of complete episodes, and the entropy of the policy in nats.

        Args:
            experience: `observations`, `actions`, and `returns`: the sum of discounted rewards from each step on;
                `action_mask` if some actions are illegal.
        """
        advantages = returns = experience["returns"]
        baseline_loss: Tensor | float = 0.0
        if self.baseline is not None:
            values = ops.squeeze(ops.cast(self.baseline(experience["observations"], training=True), "float32"), -1)
            baseline_loss = ops.mean(ops.square(returns - values))
            advantages = returns - ops.stop_gradient(values)
        if self.normalize:
            advantages = (advantages - ops.mean(advantages)) / (ops.std(advantages) + 1e-6)
        logits = mask_scores(self.policy(experience["observations"], training=True), experience.get("action_mask"))
        entropy = ops.mean(policy_entropy(logits))
        policy_loss = -ops.mean(gather_scores(ops.log_softmax(logits), experience["actions"]) * advantages)
        return {"loss": policy_loss + baseline_loss - self.entropy_weight * entropy, "entropy": entropy}
