"""The evaluation of an agent: complete episodes, with the sum of rewards of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepkit.models.agent import AgentModel
from deepkit.training.agent_model import check_spaces
from deepkit.training.env_calls import action_mask, reset_env, step_env
from deepkit.training.interaction import reset_seed

if TYPE_CHECKING:
    import gymnasium

_LAST_STEP = np.iinfo(np.int64).max  # the exploration of the end of every training


@dataclass(frozen=True, eq=False)
class AgentEvaluation:
    """The results of complete episodes.

    Args:
        returns: Sum of the rewards of each episode, without a discount.
        lengths: Number of steps of each episode.

    Examples:
        >>> import numpy as np
        >>> AgentEvaluation(np.array([1.0, -1.0]), np.array([9, 9]))
        <AgentEvaluation: mean return 0.000 ± 1.000 over 2 episodes of 9.0 steps>
    """

    returns: np.ndarray
    lengths: np.ndarray

    @property
    def mean(self) -> float:
        """Mean of the returns."""
        return float(self.returns.mean())

    @property
    def stddev(self) -> float:
        """Standard deviation of the returns over the episodes."""
        return float(self.returns.std())

    def __repr__(self) -> str:
        return (
            f"<AgentEvaluation: mean return {self.mean:.3f} ± {self.stddev:.3f} over {len(self.returns)} episodes of "
            f"{self.lengths.mean():.1f} steps>"
        )


def play_episodes(
    model: AgentModel, env: gymnasium.vector.VectorEnv, num_episodes: int, *, explore: bool, seed: int
) -> AgentEvaluation:
    """Return the results of complete episodes, an equal share in each environment.

    Args:
        model: The agent.
        env: A vector environment that is not reset automatically.
        num_episodes: Number of episodes.
        explore: Whether the agent explores as at the end of its training.
        seed: Seed of the environments and of the exploration.

    Raises:
        ValueError: The spaces of the environment do not fit the agent.
    """
    check_spaces(model, env)
    num_envs: int = env.num_envs
    shares = np.full(num_envs, num_episodes // num_envs)
    shares[: num_episodes % num_envs] += 1
    results: list[list[tuple[float, int]]] = [[] for _ in range(num_envs)]
    returns, lengths = np.zeros(num_envs), np.zeros(num_envs, np.int64)
    observations, info = reset_env(env, seed=reset_seed(seed, 0))
    mask = action_mask(info, None, model.num_actions)
    index = 0  # of the step of all environments, for the seed
    while any(len(result) < share for result, share in zip(results, shares, strict=True)):
        actions = model.act(observations, action_mask=mask, explore=explore, seed=(seed, 0, index), step=_LAST_STEP)
        index += 1
        observations, rewards, terminated, truncated, info = step_env(env, actions, index)
        returns += rewards
        lengths += 1
        ended = terminated | truncated
        mask = action_mask(info, mask, model.num_actions, ~ended)
        if ended.any():
            for i in np.flatnonzero(ended):
                results[i].append((float(returns[i]), int(lengths[i])))
            returns[ended], lengths[ended] = 0, 0
            observations, info = reset_env(env, options={"reset_mask": ended})
            mask = action_mask(info, mask, model.num_actions, ended)
    episodes = [episode for result, share in zip(results, shares, strict=True) for episode in result[:share]]
    return AgentEvaluation(np.array([item[0] for item in episodes]), np.array([item[1] for item in episodes]))
