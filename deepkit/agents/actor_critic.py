"""The advantage actor-critic as a definition."""

from __future__ import annotations

from dataclasses import KW_ONLY

from deepkit.agents.agent import Agent, Observations, build_network, check_scores, check_value
from deepkit.definition import fields
from deepkit.models.actor_critic import ActorCriticModel


class ActorCritic(Agent):
    """An advantage actor-critic: a policy and a value function that learn from a few steps of several environments.

    `build` returns a `deepkit.models.ActorCriticModel`, which `dk.learn` trains. Its actions are drawn from the policy
    in training; otherwise it takes the most probable one.

    Reference:
        Mnih et al. 2016, "Asynchronous methods for deep reinforcement learning", in its synchronous form, with the
        advantage estimates of Schulman et al. 2016, "High-dimensional continuous control using generalized advantage
        estimation".

    Args:
        policy: A block, Keras layer or list of them to the logit of each action. It ends in
            `dk.Classifier(num_actions)`.
        value: A block, Keras layer or list of them to the value of an observation. It ends in `dk.Regressor(1)`.
        shared: A block, Keras layer or list of them from an observation to the input of both; None if they share no
            layers, and both read the observation.
        discount: Factor of the reward of each further step.
        rollout_length: Number of steps of each environment for each update.
        gae_lambda: Decay of the advantage estimate: 0 for one-step errors, 1 for the sum of all rewards of the rollout.
        value_weight: Weight of the critic's squared error.
        entropy_weight: Weight of the policy's entropy in nats, which is added to the objective.

    Input shape:
        `(batch, ...)`: observations. Pixels of uint8 are divided by 255, unless the first layer preprocesses them.

    Output shape:
        `(batch, actions)`: the logit of each action.

    Raises:
        DefinitionError: A network does not fit the observation, or does not end in its head.

    Examples:
        >>> import deepkit as dk
        >>> agent = dk.ActorCritic(
        ...     dk.Classifier(2), dk.Regressor(1), shared=dk.MLP([16])
        ... )
        >>> run = dk.learn(agent, "CartPole-v1", num_steps=200, num_envs=4, verbose=0)
        >>> sorted(run.history)[:3]
        ['entropy', 'loss', 'mean_length']
    """

    policy: fields.Body = fields.body()
    value: fields.Body = fields.body()
    _: KW_ONLY
    shared: fields.OptionalBody = fields.body(default=None)
    discount: float = fields.number(default=0.99, minimum=0, maximum=1)
    rollout_length: int = fields.integer(default=5)
    gae_lambda: float = fields.number(default=1.0, minimum=0, maximum=1)
    value_weight: float = fields.number(default=0.5, minimum=0)
    entropy_weight: float = fields.number(default=0.01, minimum=0)

    def make_agent(self, observations: Observations) -> ActorCriticModel:
        """Return the model of this agent.

        Args:
            observations: Shape and type of an observation.

        Raises:
            DefinitionError: A network does not fit the observation, or does not end in its head.
        """
        shared = None if self.shared is None else build_network("shared", self.shared, observations)
        features = observations if shared is None else Observations(tuple(shared.output_shape[1:]))
        policy = build_network("policy", self.policy, features)
        value = build_network("value", self.value, features)
        check_scores(policy, "policy", self, "logit", "dk.Classifier(num_actions)")
        check_value(value, "value", self)
        return ActorCriticModel(
            policy,
            value,
            shared,
            discount=self.discount,
            rollout_length=self.rollout_length,
            gae_lambda=self.gae_lambda,
            value_weight=self.value_weight,
            entropy_weight=self.entropy_weight,
            name=self.name or self.default_name,
        )
