"""Policy gradients of single episodes of CartPole, and their variance with different baselines."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from keras import ops

import deepkit as dk
from deepkit.models import ReinforceModel


@dataclass(frozen=True, eq=False)
class Episode:
    """The steps of an episode.

    Args:
        observations: Observations `(steps, 4)`.
        actions: Actions `(steps,)`.
        returns: Sum of the discounted rewards from each step on, `(steps,)`.
    """

    observations: np.ndarray
    actions: np.ndarray
    returns: np.ndarray


def play(model: ReinforceModel, name: str, num_episodes: int, seed: int) -> list[Episode]:
    """Play an episode in each of several environments, with actions drawn from the policy."""
    env = dk.envs.make(name, num_envs=num_episodes)
    observations, _ = env.reset(seed=seed)
    steps: list[list[tuple[np.ndarray, int]]] = [[] for _ in range(num_episodes)]
    future = np.zeros(num_episodes)  # return after the last step
    is_running = np.ones(num_episodes, bool)
    for time in itertools.count():
        actions = model.act(observations, explore=True, seed=(seed, time))
        for i in np.flatnonzero(is_running):
            steps[i].append((np.array(observations[i]), actions[i]))
        observations, _, terminated, truncated, _ = env.step(actions)
        is_last = is_running & truncated & ~terminated
        future[is_last] = model.future_returns(observations)[is_last]
        ended = terminated | truncated
        is_running &= ~ended
        if not is_running.any():
            break
        if ended.any():
            observations, _ = env.reset(options={"reset_mask": ended})
    env.close()
    return [make_episode(steps[i], future[i], model.discount) for i in range(num_episodes)]


def make_episode(steps: Sequence[tuple[np.ndarray, int]], future: float, discount: float) -> Episode:
    """Return an episode with a reward of 1 for each step, as in CartPole."""
    returns = np.empty(len(steps))
    for t in range(len(steps) - 1, -1, -1):
        returns[t] = future = 1 + discount * future
    observations, actions = zip(*steps, strict=True)
    return Episode(np.stack(observations), np.array(actions), returns)


def gradient_variances(model: ReinforceModel, episodes: Sequence[Episode]) -> dict[str, float]:
    """Return the variance of the gradient of one episode with each baseline, summed over the weights of the policy.

    As in the training, the learned baseline is corrected by a constant, so that the mean of the advantages is 0.
    """
    values = [model.future_returns(episode.observations) for episode in episodes]
    mean = np.mean(np.concatenate([episode.returns for episode in episodes]))
    correction = mean - np.mean(np.concatenate(values))
    gradients: dict[str, list[np.ndarray]] = {"no baseline": [], "mean return": [], "learned baseline": []}
    for episode, value in zip(episodes, values, strict=True):
        for rows, baseline in zip(gradients.values(), (0.0, mean, value + correction), strict=True):
            rows.append(policy_gradient(model, episode, episode.returns - baseline))
    return {baseline: float(np.var(rows, axis=0).sum()) for baseline, rows in gradients.items()}


def policy_gradient(model: ReinforceModel, episode: Episode, advantages: np.ndarray) -> np.ndarray:
    """Return the gradient of an episode as a vector: that of the log-probabilities, weighted with the advantages."""
    with tf.GradientTape() as tape:
        log_probabilities = ops.log_softmax(model(episode.observations))
        chosen = ops.take_along_axis(log_probabilities, ops.convert_to_tensor(episode.actions[:, None]), axis=1)[:, 0]
        objective = ops.sum(chosen * ops.cast(advantages, "float32"))
    gradients = tape.gradient(objective, [weight.value for weight in model.policy.trainable_variables])
    return np.concatenate([np.ravel(gradient) for gradient in gradients])
