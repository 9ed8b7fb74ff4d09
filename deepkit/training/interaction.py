"""The interaction of an agent with an environment: act, and collect the experience."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from deepkit.envs.env_state import EnvState, capture_state, restore_state
from deepkit.models.agent import AgentModel
from deepkit.training.experience import Batch, Collector, Step
from deepkit.utils.errors import make_error

if TYPE_CHECKING:
    import gymnasium


class Interaction:
    """The steps of an agent in an environment, with everything that continuing them requires.

    All random draws depend on the seed and the number of the step, so that they have no state.

    Args:
        model: The agent.
        env: A vector environment that is not reset automatically.
        collector: Turns steps into batches.
        seed: Seed of the environment and of the exploration.
    """

    def __init__(self, model: AgentModel, env: gymnasium.vector.VectorEnv, collector: Collector, seed: int) -> None:
        self.model, self.env, self.collector, self._seed = model, env, collector, seed
        self.num_envs: int = env.num_envs
        self.num_steps = 0
        self.returns: list[float] = []  # of the episodes that ended in this epoch
        self.lengths: list[int] = []
        self.num_updates = 0  # in this epoch
        self._running_returns = np.zeros(self.num_envs)
        self._running_lengths = np.zeros(self.num_envs, np.int64)
        self._observations: np.ndarray = np.empty(0)
        self._mask: np.ndarray | None = None

    def begin(self) -> None:
        """Start the episodes of all environments."""
        observations, info = self.env.reset(seed=reset_seed(self._seed, self.num_steps))
        self._observations = np.array(observations)
        self._mask = action_mask(info, None, self.model.num_actions)
        self.collector.begin(self._observations, self._mask)

    def step(self) -> Iterator[Batch]:
        """Take a step in all environments, and yield the batches that are due."""
        observations, mask = self._observations, self._mask
        actions = self.model.act(
            observations, action_mask=mask, explore=True, seed=(self._seed, 0, self.num_steps), step=self.num_steps
        )
        next_observations, rewards, terminated, truncated, info = self.env.step(actions)
        rewards = np.asarray(rewards, np.float64)
        self._check_rewards(rewards, actions)
        self.num_steps += self.num_envs
        next_observations = np.array(next_observations)
        next_mask = action_mask(info, mask, self.model.num_actions)
        ended = terminated | truncated
        self._running_returns += rewards
        self._running_lengths += 1
        step = Step(observations, mask, actions, rewards, terminated, truncated, next_observations, next_mask)
        batches = self.collector.add(step, self.num_steps)
        self._observations, self._mask = next_observations, next_mask
        if ended.any():
            batches = iter(list(batches))  # before the collector sees the next episodes
            self._restart(ended)
        for batch in batches:
            self.num_updates += 1
            yield batch

    def end_epoch(self) -> dict[str, float]:
        """Return the statistics of the episodes that ended in this epoch, and begin the next epoch.

        The means are NaN if no episode ended.
        """
        statistics = {
            "mean_return": float(np.mean(self.returns)) if self.returns else math.nan,
            "mean_length": float(np.mean(self.lengths)) if self.lengths else math.nan,
            "num_episodes": float(len(self.returns)),
            "num_steps": float(self.num_steps),
        }
        self.returns, self.lengths, self.num_updates = [], [], 0
        return statistics

    def capture(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {
            "num_steps": self.num_steps,
            "returns": list(self.returns),
            "lengths": list(self.lengths),
            "num_updates": self.num_updates,
            "running_returns": self._running_returns.copy(),
            "running_lengths": self._running_lengths.copy(),
            "observations": self._observations,
            "mask": self._mask,
            "environment": np.frombuffer(capture_state(self.env).to_bytes(), np.uint8),
            "collector": self.collector.capture(),
        }

    def restore(self, stored: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint; start new episodes if that of the environment is not in it."""
        self.num_steps, self.num_updates = stored["num_steps"], stored["num_updates"]
        self.returns, self.lengths = list(stored["returns"]), list(stored["lengths"])
        self.collector.restore(stored["collector"])
        environment = EnvState.from_bytes(stored["environment"].tobytes())
        if environment.exact:
            self._running_returns = np.array(stored["running_returns"])
            self._running_lengths = np.array(stored["running_lengths"])
            self._observations, self._mask = stored["observations"], stored["mask"]
            self.env.reset(seed=reset_seed(self._seed, self.num_steps))
            restore_state(self.env, environment)
        else:
            self.collector.cut_off()
            self.begin()

    def _restart(self, ended: np.ndarray) -> None:
        """Start new episodes in the environments whose episode has ended."""
        self.returns += self._running_returns[ended].tolist()
        self.lengths += self._running_lengths[ended].tolist()
        self._running_returns[ended] = 0
        self._running_lengths[ended] = 0
        observations, info = self.env.reset(options={"reset_mask": ended})
        self._observations = np.array(observations)
        self._mask = action_mask(info, self._mask, self.model.num_actions)
        self.collector.restart(ended, self._observations, self._mask)

    def _check_rewards(self, rewards: np.ndarray, actions: np.ndarray) -> None:
        if np.isfinite(rewards).all():
            return
        index = int(np.flatnonzero(~np.isfinite(rewards))[0])
        raise make_error(
            ValueError,
            f"env: in step {self.num_steps // self.num_envs + 1}, environment {index} returned the reward "
            f"{rewards[index]} for action {actions[index]}",
            hint="return a finite number as the reward",
        )


def reset_seed(seed: int, num_steps: int) -> int:
    """Return the seed of the episodes that begin after a number of steps."""
    return int(np.random.SeedSequence((seed, 2, num_steps)).generate_state(1)[0] >> 1)


def action_mask(info: Mapping[str, Any], previous: np.ndarray | None, num_actions: int) -> np.ndarray | None:
    """Return the legal actions of all environments `(num_envs, num_actions)`; None if all are legal.

    Args:
        info: The info of a vector environment; `_action_mask` marks the environments whose mask is new.
        previous: The masks before.
        num_actions: Number of actions.
    """
    if "action_mask" not in info:
        return previous
    received = info["action_mask"]
    is_new = info.get("_action_mask")
    rows = range(len(received)) if is_new is None else np.flatnonzero(is_new)
    mask = np.ones((len(received), num_actions), bool) if previous is None else previous.copy()
    for row in rows:
        mask[row] = np.asarray(received[row]).astype(bool)
    return mask
