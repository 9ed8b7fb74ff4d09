"""Partition functions: the sum over all states of a small machine, in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_EXACT_UNITS = 20  # 2^20 states
_CHUNK = 4096  # states summed at a time


@dataclass(frozen=True)
class LogPartition:
    """The logarithm of a partition function.

    Args:
        value: Its logarithm, log Z.
        standard_error: Standard error of `value`; 0 if it is a sum over all states.
        method: `"exact"` or `"annealed"`.

    Examples:
        >>> import deepkit as dk
        >>> model = dk.RBM(3).build((4,))
        >>> model.log_partition().method
        'exact'
        >>> estimate = model.log_partition(
        ...     method="annealed", num_temperatures=100, seed=0
        ... )
        >>> abs(estimate.value - model.log_partition().value) < 0.1
        True
    """

    value: float
    standard_error: float
    method: str


@dataclass(frozen=True)
class Parameters:
    """The weights of a restricted Boltzmann machine in float64.

    Args:
        kernel: Weights between visible and hidden units, `(visible, hidden)`.
        visible_bias: Biases of the visible units, `(visible,)`.
        hidden_bias: Biases of the hidden units, `(hidden,)`.
        is_gaussian: Whether the visible units are Gaussian with variance 1.
    """

    kernel: np.ndarray
    visible_bias: np.ndarray
    hidden_bias: np.ndarray
    is_gaussian: bool

    @property
    def num_summed_units(self) -> int:
        """Number of units over whose states the partition function is a sum: the smaller side."""
        num_visible, num_hidden = self.kernel.shape
        return num_hidden if self.is_gaussian else min(num_visible, num_hidden)

    def free_energy(self, visible: np.ndarray) -> np.ndarray:
        """Return F(v) of visible states `(batch, visible)`: the partition function is the sum of exp(-F)."""
        hidden_terms = softplus(visible @ self.kernel + self.hidden_bias).sum(axis=1)
        if self.is_gaussian:
            return 0.5 * np.square(visible - self.visible_bias).sum(axis=1) - hidden_terms
        return -visible @ self.visible_bias - hidden_terms

    def hidden_free_energy(self, hidden: np.ndarray) -> np.ndarray:
        """Return the free energy of hidden states `(batch, hidden)`, summed over the visible units."""
        inputs = hidden @ self.kernel.T
        linear = hidden @ self.hidden_bias
        if self.is_gaussian:
            log_integral = 0.5 * len(self.visible_bias) * math.log(2 * math.pi)
            return -linear - log_integral - inputs @ self.visible_bias - 0.5 * np.square(inputs).sum(axis=1)
        return -linear - softplus(inputs + self.visible_bias).sum(axis=1)


def exact_log_partition(parameters: Parameters) -> LogPartition:
    """Return log Z as a sum over all states of the smaller side, or of the hidden units if the others are Gaussian."""
    num_visible, num_hidden = parameters.kernel.shape
    if parameters.is_gaussian or num_hidden <= num_visible:
        return LogPartition(log_sum_over_states(parameters.hidden_free_energy, num_hidden), 0.0, "exact")
    return LogPartition(log_sum_over_states(parameters.free_energy, num_visible), 0.0, "exact")


def log_sum_over_states(free_energy: Callable[[np.ndarray], np.ndarray], num_units: int) -> float:
    """Return the logarithm of the sum of exp(-F) over all states of binary units."""
    total = -math.inf
    for start in range(0, 2**num_units, _CHUNK):
        states = binary_states(num_units, start, min(start + _CHUNK, 2**num_units))
        total = np.logaddexp(total, log_sum_exp(-free_energy(states)))
    return float(total)


def binary_states(num_units: int, start: int = 0, end: int | None = None) -> np.ndarray:
    """Return all states of binary units as rows of 0 and 1, or those from `start` to before `end`, in float64."""
    numbers = np.arange(start, 2**num_units if end is None else end)
    return ((numbers[:, None] >> np.arange(num_units)) & 1).astype("float64")


def softplus(x: np.ndarray) -> np.ndarray:
    """Return log(1 + exp(x))."""
    return np.logaddexp(0, x)


def log_sum_exp(x: np.ndarray) -> float:
    """Return the logarithm of the sum of exp(x)."""
    largest = x.max()
    return float(largest + np.log(np.exp(x - largest).sum()))
