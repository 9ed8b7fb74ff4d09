"""REINFORCE as a definition."""

from __future__ import annotations

from dataclasses import KW_ONLY

from deepkit.agents.agent import Agent, Observations, build_network, check_scores, check_value
from deepkit.definition import fields
from deepkit.models.reinforce import ReinforceModel


class Reinforce(Agent):
    """REINFORCE: a policy that makes the actions of its good episodes more probable.

    `build` returns a `deepkit.models.ReinforceModel`, which `dk.learn` trains. Its actions are drawn from the policy in
    training; otherwise it takes the most probable one.

    Reference:
        Williams 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement learning".

    Args:
        policy: A block, Keras layer or list of them from an observation to the logit of each action. It ends in
            `dk.Classifier(num_actions)`.
        baseline: A block, Keras layer or list of them from an observation to its value, which is subtracted from the
            returns; it ends in `dk.Regressor(1)`. It also estimates the rest of an episode that a time limit
            truncates. None for no baseline.
        discount: Factor of the reward of each further step.
        episodes_per_update: Number of complete episodes for each update.
        normalize: Whether returns, less the baseline, are scaled to mean 0 and standard deviation 1 in each update.
        entropy_weight: Weight of the policy's entropy in nats, which is added to the objective.

    Input shape:
        `(batch, ...)`: observations. Pixels of uint8 are divided by 255, unless the first layer preprocesses them.

    Output shape:
        `(batch, actions)`: the logit of each action.

    Raises:
        DefinitionError: A network does not fit the observation, or does not end in its head.

    Examples:
        >>> import deepkit as dk
        >>> agent = dk.Reinforce([dk.MLP([16]), dk.Classifier(2)])
        >>> run = dk.learn(agent, "CartPole-v1", num_steps=200, verbose=0)
        >>> run.epochs, "mean_return" in run.history
        (1, True)
    """

    policy: fields.Body = fields.body()
    _: KW_ONLY
    baseline: fields.OptionalBody = fields.body(default=None)
    discount: float = fields.number(default=0.99, minimum=0, maximum=1)
    episodes_per_update: int = fields.integer(default=1)
    normalize: bool = fields.flag(default=True)
    entropy_weight: float = fields.number(default=0.0, minimum=0)

    def make_agent(self, observations: Observations) -> ReinforceModel:
        """Return the model of this agent.

        Args:
            observations: Shape and type of an observation.

        Raises:
            DefinitionError: A network does not fit the observation, or does not end in its head.
        """
        policy = build_network("policy", self.policy, observations)
        check_scores(policy, "policy", self, "logit", "dk.Classifier(num_actions)")
        baseline = None
        if self.baseline is not None:
            baseline = build_network("baseline", self.baseline, observations)
            check_value(baseline, "baseline", self)
        return ReinforceModel(
            policy,
            baseline,
            discount=self.discount,
            episodes_per_update=self.episodes_per_update,
            normalize=self.normalize,
            entropy_weight=self.entropy_weight,
            name=self.name or self.default_name,
        )
