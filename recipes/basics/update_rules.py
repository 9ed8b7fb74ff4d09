r"""Update rules of gradient descent, each in a few lines of NumPy, and their paths on Rosenbrock's valley.

A rule holds the memory of past gradients that it needs, such as a velocity, and returns the next weights from the
present weights and their gradient. The formulas and the constants are those of Keras's optimizers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import keras
import numpy as np

EPSILON = 1e-7  # avoids a division by zero, as in Keras


class Rule(Protocol):
    """An update rule."""

    def step(self, w: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Return the next weights."""
        ...


@dataclass
class GradientDescent:
    """A step against the gradient; without memory."""

    learning_rate: float

    def step(self, w: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Return the next weights."""
        return w - self.learning_rate * gradient


@dataclass
class Momentum:
    """A velocity, which forgets a tenth of itself per step; Nesterov's rule looks one step ahead."""

    learning_rate: float
    momentum: float = 0.9
    nesterov: bool = False
    velocity: np.ndarray | float = 0.0

    def step(self, w: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Return the next weights."""
        self.velocity = self.momentum * self.velocity - self.learning_rate * gradient
        if self.nesterov:
            return w + self.momentum * self.velocity - self.learning_rate * gradient
        return w + self.velocity


@dataclass
class Adagrad:
    """The learning rate of each weight, divided by the root of the sum of its squared gradients; it only decreases."""

    learning_rate: float
    squares: np.ndarray | float = 0.1

    def step(self, w: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Return the next weights."""
        self.squares = self.squares + gradient**2
        return w - self.learning_rate * gradient / np.sqrt(self.squares + EPSILON)


@dataclass
class RMSprop:
    """Steps divided by the root of a moving average of the squared gradients of a weight."""

    learning_rate: float
    rho: float = 0.9
    squares: np.ndarray | float = 0.0

    def step(self, w: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Return the next weights."""
        self.squares = self.rho * self.squares + (1 - self.rho) * gradient**2
        return w - self.learning_rate * gradient / np.sqrt(self.squares + EPSILON)


@dataclass
class Adam:
    """Moving averages of the gradient and of its square, corrected because both begin at zero."""

    learning_rate: float
    beta_1: float = 0.9
    beta_2: float = 0.999
    mean: np.ndarray | float = 0.0
    squares: np.ndarray | float = 0.0
    iterations: int = 0

    def step(self, w: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Return the next weights."""
        self.iterations += 1
        self.mean = self.beta_1 * self.mean + (1 - self.beta_1) * gradient
        self.squares = self.beta_2 * self.squares + (1 - self.beta_2) * gradient**2
        correction = np.sqrt(1 - self.beta_2**self.iterations) / (1 - self.beta_1**self.iterations)
        return w - self.learning_rate * correction * self.mean / (np.sqrt(self.squares) + EPSILON)


@dataclass(frozen=True)
class Method:
    """An update rule with a learning rate, here and in Keras.

    Args:
        learning_rate: The learning rate of both.
        rule: Function that returns the rule for a learning rate.
        optimizer: Function that returns Keras's optimizer for a learning rate.
    """

    learning_rate: float
    rule: Callable[[float], Rule]
    optimizer: Callable[[float], keras.optimizers.Optimizer]

    def make_rule(self) -> Rule:
        """Return the rule, without memory of any gradient."""
        return self.rule(self.learning_rate)

    def make_optimizer(self) -> keras.optimizers.Optimizer:
        """Return Keras's optimizer."""
        return self.optimizer(self.learning_rate)


SGD = keras.optimizers.SGD
# Of 3 to 5 learning rates each, the one with the fewest steps that is not at the limit of stability.
METHODS = {
    "gradient descent": Method(0.0015, GradientDescent, SGD),
    "momentum": Method(0.001, Momentum, partial(SGD, momentum=0.9)),
    "Nesterov": Method(0.001, partial(Momentum, nesterov=True), partial(SGD, momentum=0.9, nesterov=True)),
    "Adagrad": Method(0.5, Adagrad, keras.optimizers.Adagrad),
    "RMSprop": Method(0.001, RMSprop, keras.optimizers.RMSprop),
    "Adam": Method(0.1, Adam, keras.optimizers.Adam),
}


def rosenbrock(w: np.ndarray) -> np.ndarray:
    """Return Rosenbrock's function of points (..., 2): a curved valley with its minimum of 0 at (1, 1)."""
    return np.asarray((1 - w[..., 0]) ** 2 + 100 * (w[..., 1] - w[..., 0] ** 2) ** 2)


def rosenbrock_gradient(w: np.ndarray) -> np.ndarray:
    """Return the gradient of Rosenbrock's function at a point (2,)."""
    height = w[1] - w[0] ** 2  # above the bottom of the valley
    return np.array([-2 * (1 - w[0]) - 400 * w[0] * height, 200 * height])


def descend(rule: Rule, start: np.ndarray, *, tolerance: float, max_steps: int) -> np.ndarray:
    """Return the path (steps + 1, 2) of a rule in the valley, until the function is below a tolerance."""
    path = [start]
    while rosenbrock(path[-1]) > tolerance and len(path) <= max_steps:
        path.append(rule.step(path[-1], rosenbrock_gradient(path[-1])))
    return np.array(path)


def difference_from_keras(name: str, start: np.ndarray, num_steps: int) -> float:
    """Return the largest difference between the weights of a rule and of Keras's optimizer, for the same gradients."""
    rule, optimizer = METHODS[name].make_rule(), METHODS[name].make_optimizer()
    w, variable = start, keras.Variable(start, dtype="float64")
    differences = []
    for _ in range(num_steps):
        gradient = rosenbrock_gradient(np.asarray(variable))
        w = rule.step(w, gradient)
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        differences.append(np.abs(w - np.asarray(variable)).max())
    return float(max(differences))
