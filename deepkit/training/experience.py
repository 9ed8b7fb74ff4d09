"""The experience of an agent: steps in environments, collected until they make a batch for a training step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from deepkit.models.actor_critic import ActorCriticModel
from deepkit.models.agent import AgentModel
from deepkit.models.dqn import DeepQNetwork
from deepkit.models.reinforce import ReinforceModel
from deepkit.training.replay import ReplayMemory
from deepkit.utils.errors import make_error

Batch = dict[str, np.ndarray]


@dataclass(frozen=True)
class Step:
    """A step of all environments.

    Args:
        observations: Observations `(num_envs, ...)` in which the actions were chosen.
        action_mask: Their legal actions `(num_envs, actions)`, or None.
        actions: Actions `(num_envs,)`.
        rewards: Rewards `(num_envs,)`.
        terminated: Whether each episode ended by the rules, so that no reward follows.
        truncated: Whether each episode was cut off, for instance by a time limit.
        next_observations: The next observations, before any reset.
        next_action_mask: Their legal actions, or None.
    """

    observations: np.ndarray
    action_mask: np.ndarray | None
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    next_observations: np.ndarray
    next_action_mask: np.ndarray | None

    @property
    def ended(self) -> np.ndarray:
        """Whether each episode ended."""
        ended: np.ndarray = self.terminated | self.truncated
        return ended


class Collector(Protocol):
    """Turns steps into batches for a kind of agent."""

    def begin(self, observations: np.ndarray, action_mask: np.ndarray | None) -> None:
        """Receive the first observations."""

    def add(self, step: Step, num_steps: int) -> Iterator[Batch]:
        """Add a step, and yield the batches that are due.

        Args:
            step: The step.
            num_steps: Number of steps of all environments since the beginning of the training, with this one.
        """

    def restart(self, reset_mask: np.ndarray, observations: np.ndarray, action_mask: np.ndarray | None) -> None:
        """Receive the first observations of the environments that were reset."""

    def capture(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint."""

    def cut_off(self) -> None:
        """Forget the unfinished episodes, which cannot be continued."""


class TransitionCollector:
    """Keeps transitions in a replay memory, and draws batches from it.

    Args:
        model: The agent.
        memory: Its replay memory.
        seed: Seed of the draws, which depend only on it and the number of steps.
    """

    def __init__(self, model: DeepQNetwork, memory: ReplayMemory, seed: int) -> None:
        self._model, self.memory, self._seed = model, memory, seed

    def begin(self, observations: np.ndarray, action_mask: np.ndarray | None) -> None:
        """Receive the first observations."""
        self.memory.begin(observations, action_mask)

    def add(self, step: Step, num_steps: int) -> Iterator[Batch]:
        """Add a step, and yield a batch for every `update_every` steps."""
        model = self._model
        rewards = np.clip(step.rewards, -1, 1) if model.clip_rewards else step.rewards
        legal = step.next_action_mask
        if legal is not None:  # an episode that was cut off may end without a legal action; its value counts
            legal = legal | ~legal.any(axis=1, keepdims=True)
        self.memory.add(step.actions, rewards, step.terminated, step.next_observations, legal)
        previous = num_steps - len(step.actions)
        if num_steps < model.learning_starts:
            return
        num_updates = num_steps // model.update_every - previous // model.update_every
        for i in range(num_updates):
            batch = self.memory.sample(model.batch_size, np.random.default_rng((self._seed, 1, num_steps, i)))
            if batch is not None:
                yield batch

    def restart(self, reset_mask: np.ndarray, observations: np.ndarray, action_mask: np.ndarray | None) -> None:
        """Receive the first observations of the environments that were reset."""
        self.memory.restart(reset_mask, observations, action_mask)

    def capture(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return self.memory.capture()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.memory.restore(state)

    def cut_off(self) -> None:
        """Forget the unfinished episodes, which cannot be continued."""
        self.memory.end_episodes()


class EpisodeCollector:
    """Collects complete episodes, and computes the return of each of their steps.

    Args:
        model: The agent.
    """

    def __init__(self, model: ReinforceModel) -> None:
        self._model = model
        self._running: list[list[Batch]] = []  # the steps of the current episode of each environment
        self._complete: list[Batch] = []

    def begin(self, observations: np.ndarray, action_mask: np.ndarray | None) -> None:
        """Receive the first observations."""
        self._running = [[] for _ in observations]

    def add(self, step: Step, num_steps: int) -> Iterator[Batch]:
        """Add a step, and yield a batch for every `episodes_per_update` complete episodes."""
        ended = step.ended
        for env, steps in enumerate(self._running):
            row = {
                "observations": step.observations[env],
                "actions": step.actions[env],
                "rewards": step.rewards[env],
            }
            if step.action_mask is not None:
                row["action_mask"] = step.action_mask[env]
            steps.append(row)
            if ended[env]:
                self._complete.append(self._finish(env, step))
        while len(self._complete) >= self._model.episodes_per_update:
            episodes = self._complete[: self._model.episodes_per_update]
            del self._complete[: self._model.episodes_per_update]
            yield {name: np.concatenate([episode[name] for episode in episodes]) for name in episodes[0]}

    def restart(self, reset_mask: np.ndarray, observations: np.ndarray, action_mask: np.ndarray | None) -> None:
        """Receive the first observations of the environments that were reset."""

    def capture(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        running = [_stack(steps) if steps else {} for steps in self._running]
        return {"running": running, "complete": [dict(episode) for episode in self._complete]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self._running = [_unstack(episode) for episode in state["running"]]
        self._complete = [dict(episode) for episode in state["complete"]]

    def cut_off(self) -> None:
        """Forget the unfinished episodes, which cannot be continued."""
        self._running = [[] for _ in self._running]

    def _finish(self, env: int, step: Step) -> Batch:
        """Return a complete episode with the return of each step."""
        episode = _stack(self._running[env])
        self._running[env] = []
        future = 0.0
        if not step.terminated[env]:  # cut off: the baseline estimates the rest
            future = float(self._model.future_returns(step.next_observations[env : env + 1])[0])
        rewards = episode.pop("rewards")
        returns = np.empty(len(rewards), np.float32)
        for t in range(len(rewards) - 1, -1, -1):
            future = rewards[t] + self._model.discount * future
            returns[t] = future
        return {**episode, "returns": returns}


class RolloutCollector:
    """Collects `rollout_length` steps of all environments.

    Args:
        model: The agent.
    """

    def __init__(self, model: ActorCriticModel) -> None:
        self._model = model
        self._steps: list[Batch] = []

    def begin(self, observations: np.ndarray, action_mask: np.ndarray | None) -> None:
        """Receive the first observations."""

    def add(self, step: Step, num_steps: int) -> Iterator[Batch]:
        """Add a step, and yield a batch `(time, num_envs, ...)` when the rollout is complete."""
        row = {
            "observations": step.observations,
            "actions": step.actions,
            "rewards": step.rewards.astype("float32"),
            "next_observations": step.next_observations,
            "terminated": step.terminated,
            "ended": step.ended,
        }
        if step.action_mask is not None:
            row["action_mask"] = step.action_mask
        self._steps.append(row)
        if len(self._steps) == self._model.rollout_length:
            batch = _stack(self._steps)
            self._steps = []
            yield batch

    def restart(self, reset_mask: np.ndarray, observations: np.ndarray, action_mask: np.ndarray | None) -> None:
        """Receive the first observations of the environments that were reset."""

    def capture(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"steps": _stack(self._steps) if self._steps else {}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self._steps = _unstack(state["steps"])

    def cut_off(self) -> None:
        """Forget the unfinished rollout, which cannot be continued."""
        self._steps = []


def make_collector(model: AgentModel, memory: ReplayMemory | None, seed: int) -> Collector:
    """Return the collector of the experience that a model learns from."""
    if isinstance(model, DeepQNetwork) and memory is not None:
        return TransitionCollector(model, memory, seed)
    if isinstance(model, ReinforceModel):
        return EpisodeCollector(model)
    if isinstance(model, ActorCriticModel):
        return RolloutCollector(model)
    problem = f"expected the model of dk.DQN, dk.Reinforce or dk.ActorCritic, received {type(model).__name__}"
    raise make_error(TypeError, problem, hint="derive the class from one of their models, which learn from experience")


def _stack(rows: list[Batch]) -> Batch:
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _unstack(stacked: Mapping[str, np.ndarray]) -> list[Batch]:
    length = len(next(iter(stacked.values()))) if stacked else 0
    return [{name: values[t] for name, values in stacked.items()} for t in range(length)]
