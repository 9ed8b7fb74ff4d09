"""The deep Q-network: a network that gives the value of each action, and a copy of it that computes the targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.models.action_scores import gather_scores, mask_scores
from deepkit.models.agent import AgentModel, Experience
from deepkit.utils.action_choice import best_actions
from deepkit.utils.lazy_tensorflow import tf

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor

LOSSES = ("huber", "mse")


@keras.saving.register_keras_serializable(package="deepkit")
class DeepQNetwork(AgentModel):
    """A deep Q-network with experience replay and a target network; `dk.DQN(...).build` returns it.

    Called on observations, it returns the value of each action: the expected sum of discounted rewards.

    Reference:
        Mnih et al. 2015, "Human-level control through deep reinforcement learning", algorithm 1.

    Args:
        network: Model from observations to the value of each action.
        target_network: A copy of it, whose weights are updated every `target_update_every` updates.
        discount: Factor of the reward of each further step, gamma in the paper.
        loss: `"huber"`, whose gradient is the error clipped to [-1, 1] as in the paper, or `"mse"`.
        clip_rewards: Whether rewards are clipped to [-1, 1] in training.
        replay_size: Number of transitions in the replay memory.
        batch_size: Transitions per update.
        learning_starts: Number of steps before the first update.
        update_every: Number of steps for each update.
        target_update_every: Number of updates after which the target network becomes equal to the network.
        initial_epsilon: Probability of a random action at the beginning.
        final_epsilon: Probability of a random action from step `exploration_steps` on.
        exploration_steps: Number of steps over which the probability decreases linearly.

    Call arguments:
        inputs: Observations.
        training: Whether the network runs in training mode.

    Input shape:
        `(batch, ...)`: observations.

    Output shape:
        `(batch, actions)`: values.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> model = dk.DQN([dk.MLP([16]), dk.Regressor(2)]).build((4,))
        >>> model.act(np.zeros((3, 4))).shape
        (3,)
    """

    experience = "transitions"
    network_names = ("network", "target_network")
    loss_names = ("loss", "mean_value")

    network: keras.Model
    target_network: keras.Model

    def __init__(
        self,
        network: keras.Model,
        target_network: keras.Model,
        *,
        discount: float = 0.99,
        loss: str = "huber",
        clip_rewards: bool = False,
        replay_size: int = 100_000,
        batch_size: int = 32,
        learning_starts: int = 1_000,
        update_every: int = 4,
        target_update_every: int = 1_000,
        initial_epsilon: float = 1.0,
        final_epsilon: float = 0.1,
        exploration_steps: int = 10_000,
        **kwargs: Any,
    ) -> None:
        settings = {
            "discount": discount,
            "loss": loss,
            "clip_rewards": clip_rewards,
            "replay_size": replay_size,
            "batch_size": batch_size,
            "learning_starts": learning_starts,
            "update_every": update_every,
            "target_update_every": target_update_every,
            "initial_epsilon": initial_epsilon,
            "final_epsilon": final_epsilon,
            "exploration_steps": exploration_steps,
        }
        super().__init__({"network": network, "target_network": target_network}, settings, **kwargs)
        target_network.trainable = False
        self.discount, self.error_loss, self.clip_rewards = discount, loss, clip_rewards
        self.replay_size, self.batch_size, self.learning_starts = replay_size, batch_size, learning_starts
        self.update_every, self.target_update_every = update_every, target_update_every
        self.initial_epsilon, self.final_epsilon = initial_epsilon, final_epsilon
        self.exploration_steps = exploration_steps
        self.num_updates = self.add_weight(
            name="num_updates", shape=(), dtype="int32", initializer="zeros", trainable=False
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Return the value of each action."""
        values: Tensor = self.network(inputs, training=training)
        return values

    def epsilon(self, step: int) -> float:
        """Return the probability of a random action at a step of the training.

        Args:
            step: Number of steps since the beginning of the training.
        """
        progress = min(step / self.exploration_steps, 1.0)
        return self.initial_epsilon + progress * (self.final_epsilon - self.initial_epsilon)

    def choose(
        self, scores: np.ndarray, action_mask: np.ndarray | None, rng: np.random.Generator, step: int
    ) -> np.ndarray:
        """Return the best action of each row, or with probability `epsilon(step)` a random legal one."""
        is_random = rng.random(len(scores)) < self.epsilon(step)
        random_actions = best_actions(rng.random(scores.shape), action_mask)
        return np.where(is_random, random_actions, best_actions(scores, action_mask))

    def compute_losses(self, experience: Experience) -> dict[str, Tensor]:
        """Return the loss of a batch of transitions, and the mean value of the best actions.

        Args:
            experience: `observations`, `actions`, `rewards`, `next_observations`, and `terminated`: whether an episode
                ended in the next observation, so that no value follows; `next_action_mask` if some actions are illegal.
        """
        next_values = self.target_network(experience["next_observations"], training=False)
        next_values = mask_scores(next_values, experience.get("next_action_mask"))
        continues = 1.0 - ops.cast(experience["terminated"], "float32")
        targets = experience["rewards"] + self.discount * continues * ops.max(next_values, axis=-1)
        values = ops.cast(self.network(experience["observations"], training=True), "float32")
        errors = ops.stop_gradient(targets) - gather_scores(values, experience["actions"])
        if self.error_loss == "mse":
            losses = ops.square(errors)
        else:
            sizes = ops.abs(errors)
            losses = ops.where(sizes < 1.0, 0.5 * ops.square(errors), sizes - 0.5)
        return {"loss": ops.mean(losses), "mean_value": ops.mean(ops.max(values, axis=-1))}

    def end_update(self) -> None:
        """Make the target network equal to the network if it is due."""
        self.num_updates.assign_add(1)
        if self.target_update_every == 1:
            self.update_target()
            return
        is_due = ops.equal(self.num_updates % self.target_update_every, 0)
        tf.cond(is_due, self.update_target, lambda: False)

    def update_target(self) -> bool:
        """Make the weights of the target network equal to those of the network; return True, as `tf.cond` requires."""
        for target, source in zip(self.target_network.variables, self.network.variables, strict=True):
            target.assign(source)
        return True
