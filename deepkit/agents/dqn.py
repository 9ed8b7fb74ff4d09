"""The deep Q-network as a definition."""

from __future__ import annotations

from dataclasses import KW_ONLY

import keras

from deepkit.agents.agent import Agent, Observations, build_network, check_scores
from deepkit.definition import fields
from deepkit.definition.errors import DefinitionError, first_line
from deepkit.models.dqn import LOSSES, DeepQNetwork
from deepkit.models.network_copy import copy_network


class DQN(Agent):
    """A deep Q-network: value-based learning from a replay memory, with a target network.

    `build` returns a `deepkit.models.DeepQNetwork`, which `dk.learn` trains. Its action is the one with the largest
    value; in training it is random with probability epsilon.

    Reference:
        Mnih et al. 2015, "Human-level control through deep reinforcement learning", algorithm 1.

    Args:
        network: A block, Keras layer or list of them from an observation to the value of each action. It ends in
            `dk.Regressor(num_actions)`.
        discount: Factor of the reward of each further step, gamma in the paper.
        loss: `"huber"`, whose gradient is the error clipped to [-1, 1] as in the paper, or `"mse"`.
        clip_rewards: Whether rewards are clipped to [-1, 1] in training. The returns that are reported are not.
        replay_size: Number of transitions in the replay memory. With `update_every` or `batch_size` transitions, the
            agent learns from its latest steps only.
        batch_size: Transitions per update, drawn uniformly from the replay memory.
        learning_starts: Number of steps before the first update.
        update_every: Number of steps for each update.
        target_update_every: Number of updates after which the target network becomes equal to the network; 1 for no
            target network.
        initial_epsilon: Probability of a random action at the beginning.
        final_epsilon: Probability of a random action from step `exploration_steps` on.
        exploration_steps: Number of steps over which the probability decreases linearly.

    Input shape:
        `(batch, ...)`: observations. Pixels of uint8 are divided by 255, unless the first layer preprocesses them.

    Output shape:
        `(batch, actions)`: the value of each action.

    Raises:
        DefinitionError: The network does not fit the observation, or does not end in one number per action.

    Examples:
        >>> import deepkit as dk
        >>> agent = dk.DQN([dk.MLP([64]), dk.Regressor(2)], learning_starts=100)
        >>> run = dk.learn(agent, "CartPole-v1", num_steps=200, verbose=0)
        >>> run.model.act([[0.0, 0.0, 0.1, 0.0]]).shape
        (1,)
    """

    network: fields.Body = fields.body()
    _: KW_ONLY
    discount: float = fields.number(default=0.99, minimum=0, maximum=1)
    loss: str = fields.choice(LOSSES, default="huber")
    clip_rewards: bool = fields.flag(default=False)
    replay_size: int = fields.integer(default=100_000)
    batch_size: int = fields.integer(default=32)
    learning_starts: int = fields.integer(default=1_000)
    update_every: int = fields.integer(default=4)
    target_update_every: int = fields.integer(default=1_000)
    initial_epsilon: float = fields.number(default=1.0, minimum=0, maximum=1)
    final_epsilon: float = fields.number(default=0.1, minimum=0, maximum=1)
    exploration_steps: int = fields.integer(default=10_000)

    def check(self) -> None:
        """Refuse an exploration that increases."""
        if self.final_epsilon > self.initial_epsilon:
            raise DefinitionError(
                f"DQN: final_epsilon={self.final_epsilon} is larger than initial_epsilon={self.initial_epsilon}",
                hint="swap them: the probability of a random action decreases",
            )

    def make_agent(self, observations: Observations) -> DeepQNetwork:
        """Return the model of this agent.

        Args:
            observations: Shape and type of an observation.

        Raises:
            DefinitionError: The network does not fit the observation, or does not end in one number per action.
        """
        network = build_network("network", self.network, observations)
        check_scores(network, "network", self, "value", "dk.Regressor(num_actions)")
        return DeepQNetwork(
            network,
            self._copy(network),
            discount=self.discount,
            loss=self.loss,
            clip_rewards=self.clip_rewards,
            replay_size=self.replay_size,
            batch_size=self.batch_size,
            learning_starts=self.learning_starts,
            update_every=self.update_every,
            target_update_every=self.target_update_every,
            initial_epsilon=self.initial_epsilon,
            final_epsilon=self.final_epsilon,
            exploration_steps=self.exploration_steps,
            name=self.name or self.default_name,
        )

    def _copy(self, network: keras.Model) -> keras.Model:
        """Return the target network; raise if Keras cannot copy a layer."""
        try:
            return copy_network(network, "target_network")
        except (NotImplementedError, TypeError, ValueError) as error:
            raise DefinitionError(
                f"the target network cannot be a copy of the network: {first_line(error)}",
                path="network",
                code=self,
                hint="return all arguments from get_config of your own layers, and use a layer in place of a Lambda",
            ) from error
