"""The interaction of an agent with an environment: act, and collect the experience."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from deepkit.envs.env_state import EnvState, capture_state, restore_state
from deepkit.models.agent import AgentModel
from deepkit.training.env_calls import action_mask, reset_env, step_env
from deepkit.training.experience import Batch, Collector, Step

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
        self._observations, info = reset_env(self.env, seed=reset_seed(self._seed, self.num_steps))
        self._mask = action_mask(info, None, self.model.num_actions)
        self.collector.begin(self._observations, self._mask)

    def step(self) -> Iterator[Batch]:
        """Take a step in all environments, and yield the batches that are due."""
        observations, mask = self._observations, self._mask
        actions = self.model.act(
            observations, action_mask=mask, explore=True, seed=(self._seed, 0, self.num_steps), step=self.num_steps
        )
        number = self.num_steps // self.num_envs + 1
        next_observations, rewards, terminated, truncated, info = step_env(self.env, actions, number)
        self.num_steps += self.num_envs
        ended = terminated | truncated
        next_mask = action_mask(info, mask, self.model.num_actions, ~ended)
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
            "global_random": _global_random_states(),  # of environments that use no generator of their own
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
            _restore_global_random_states(stored["global_random"])
        else:
            self.collector.cut_off()
            self.begin()

    def _restart(self, ended: np.ndarray) -> None:
        """Start new episodes in the environments whose episode has ended."""
        self.returns += self._running_returns[ended].tolist()
        self.lengths += self._running_lengths[ended].tolist()
        self._running_returns[ended] = 0
        self._running_lengths[ended] = 0
        self._observations, info = reset_env(self.env, options={"reset_mask": ended})
        self._mask = action_mask(info, self._mask, self.model.num_actions, ended)
        self.collector.restart(ended, self._observations, self._mask)


def reset_seed(seed: int, num_steps: int) -> int:
    """Return the seed of the episodes that begin after a number of steps."""
    return int(np.random.SeedSequence((seed, 2, num_steps)).generate_state(1)[0] >> 1)


def _global_random_states() -> dict[str, Any]:
    """Return the states of the global generators of NumPy and Python, as arrays and JSON values."""
    name, keys, *others = np.random.get_state()
    version, integers, gauss = random.getstate()
    return {
        "numpy": [name, np.asarray(keys), *others],
        "python": [version, np.asarray(integers, np.uint32), gauss],
    }


def _restore_global_random_states(states: Mapping[str, Any]) -> None:
    np.random.set_state(tuple(states["numpy"]))
    version, integers, gauss = states["python"]
    random.setstate((version, tuple(int(value) for value in integers), gauss))
