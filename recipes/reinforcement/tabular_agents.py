"""Agents with a table: one learns a policy, one values, and one a model of the environment.

Each agent has three methods: `act` chooses an action, `learn` uses one step of experience, and `policy` returns the
best action of each state, without exploration.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from deepkit.teaching import value_iteration

EPSILON = 0.2  # probability of a random action
Q_RATE = 0.1
ACTOR_RATE, CRITIC_RATE = 0.1, 0.05
PLANNING_INTERVAL = 25


class Step(NamedTuple):
    """One step of experience."""

    state: int
    action: int
    reward: float
    next_state: int
    terminated: bool


class Agent(Protocol):
    """What the three agents have in common."""

    def act(self, state: int) -> int:
        """Return an action."""

    def learn(self, step: Step) -> None:
        """Learn from one step of experience."""

    def policy(self) -> np.ndarray:
        """Return the best action of each state, `(states,)`."""


class PolicyBased:
    """Actor-critic: a softmax policy that follows the gradient of the expected return.

    The critic estimates the value of each state. If a step was better than the critic expected, the actor makes its
    action more probable, and otherwise less (Sutton & Barto 2018, section 13.5).
    """

    def __init__(self, shape: tuple[int, int], discount: float, rng: np.random.Generator) -> None:
        self.logits, self.V = np.zeros(shape), np.zeros(shape[0])
        self.discount, self.rng = discount, rng

    def act(self, state: int) -> int:
        """Draw an action from the softmax of the logits."""
        probabilities = softmax(self.logits[state])
        return int(self.rng.choice(len(probabilities), p=probabilities))

    def learn(self, step: Step) -> None:
        """Change the value of the state, and the probability of the action."""
        state, action, reward, next_state, terminated = step
        target = reward if terminated else reward + self.discount * self.V[next_state]
        advantage = target - self.V[state]
        self.V[state] += CRITIC_RATE * advantage
        gradient = np.eye(len(self.logits[state]))[action] - softmax(self.logits[state])
        self.logits[state] += ACTOR_RATE * advantage * gradient  # the gradient is that of log pi(action | state)

    def policy(self) -> np.ndarray:
        """Return the most probable action of each state."""
        return self.logits.argmax(axis=1)


class ValueBased:
    """Q-learning: the value of an action approaches the reward plus the best value of the next state.

    It is off-policy: it learns the values of the best actions while it explores with others (Sutton & Barto 2018,
    section 6.5).
    """

    def __init__(self, shape: tuple[int, int], discount: float, rng: np.random.Generator) -> None:
        self.Q = np.zeros(shape)
        self.discount, self.rng = discount, rng

    def act(self, state: int) -> int:
        """Return the best action, or any with probability epsilon."""
        return epsilon_greedy(self.Q[state], self.rng)

    def learn(self, step: Step) -> None:
        """Move one value toward its target; a terminal state has the value 0."""
        state, action, reward, next_state, terminated = step
        target = reward if terminated else reward + self.discount * self.Q[next_state].max()
        self.Q[state, action] += Q_RATE * (target - self.Q[state, action])

    def policy(self) -> np.ndarray:
        """Return the action with the largest value of each state."""
        return self.Q.argmax(axis=1)


class ModelBased:
    """Value iteration on an estimated model: the frequency of each next state, and the mean reward.

    As Dyna (Sutton & Barto 2018, section 8.2), it learns a model from experience and plans with it; it solves the model
    every few steps, in place of replaying a few transitions after each step.
    """

    def __init__(self, shape: tuple[int, int], discount: float, rng: np.random.Generator) -> None:
        self.Q, self.num_steps = np.zeros(shape), 0
        self.counts, self.rewards = np.zeros((*shape, shape[0])), np.zeros(shape)
        self.discount, self.rng = discount, rng

    def act(self, state: int) -> int:
        """Return the best action, or any with probability epsilon."""
        return epsilon_greedy(self.Q[state], self.rng)

    def learn(self, step: Step) -> None:
        """Count the step, and plan every few steps."""
        self.counts[step.state, step.action, step.next_state] += 1
        self.rewards[step.state, step.action] += step.reward
        self.num_steps += 1
        if self.num_steps % PLANNING_INTERVAL == 0:
            self.Q = value_iteration(*self.model(), self.discount, tolerance=1e-3)

    def model(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the estimated P and R: an action that was never tried is assumed to change nothing, for reward 0."""
        num_tries = self.counts.sum(axis=-1)
        P = self.counts / np.maximum(num_tries, 1)[..., np.newaxis]
        P += (num_tries == 0)[..., np.newaxis] * np.eye(len(P))[:, np.newaxis]
        return P, self.rewards / np.maximum(num_tries, 1)

    def policy(self) -> np.ndarray:
        """Return the action with the largest value of each state."""
        return self.Q.argmax(axis=1)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities of logits."""
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def epsilon_greedy(values: np.ndarray, rng: np.random.Generator) -> int:
    """Return the action with the largest value, or a random one with probability epsilon."""
    return int(rng.integers(len(values)) if rng.random() < EPSILON else values.argmax())
