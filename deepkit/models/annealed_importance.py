"""Annealed importance sampling of the partition function of a restricted Boltzmann machine, in float64."""

from __future__ import annotations

import itertools
import math

import numpy as np

from deepkit.models.partition import LogPartition, Parameters, log_sum_exp, softplus


def annealed_log_partition(
    parameters: Parameters,
    base_bias: np.ndarray,
    *,
    num_chains: int,
    num_temperatures: int,
    rng: np.random.Generator,
) -> LogPartition:
    """Estimate log Z with chains that lead from a base distribution to the model in small steps.

    The base distribution has independent visible units and no weights, so that its partition function is known. At the
    inverse temperature t the weights and the hidden biases are t times those of the model, and the visible biases are
    between those of the base and those of the model. The estimate of Z is unbiased.

    Reference:
        Salakhutdinov & Murray 2008, "On the Quantitative Analysis of Deep Belief Networks", section 4.1.

    Args:
        parameters: The weights of the model.
        base_bias: Visible biases of the base distribution, `(visible,)`.
        num_chains: Number of independent chains.
        num_temperatures: Number of steps of each chain.
        rng: Generator of random numbers.
    """
    visible = _draw_visible(np.broadcast_to(base_bias, (num_chains, len(base_bias))), parameters.is_gaussian, rng)
    log_weights = np.full(num_chains, _base_log_partition(parameters, base_bias))
    difference = parameters.visible_bias - base_bias
    constant = 0.5 * (np.square(parameters.visible_bias).sum() - np.square(base_bias).sum())
    temperatures = np.linspace(0, 1, num_temperatures + 1)
    for previous, current in itertools.pairwise(temperatures):
        inputs = visible @ parameters.kernel + parameters.hidden_bias
        change = visible @ difference - (constant if parameters.is_gaussian else 0)
        log_weights += (current - previous) * change
        log_weights += (softplus(current * inputs) - softplus(previous * inputs)).sum(axis=1)
        hidden = rng.random(inputs.shape) < _sigmoid(current * inputs)
        means = current * (hidden.astype("float64") @ parameters.kernel.T) + base_bias + current * difference
        visible = _draw_visible(means, parameters.is_gaussian, rng)
    return _mean(log_weights)


def _mean(log_weights: np.ndarray) -> LogPartition:
    """Return the logarithm of the mean of the weights, and its standard error to first order."""
    count = len(log_weights)
    value = log_sum_exp(log_weights) - math.log(count)
    relative = np.exp(log_weights - value)  # of mean 1
    error = float(relative.std(ddof=1) / math.sqrt(count)) if count > 1 else math.inf
    return LogPartition(value, error, "annealed")


def _base_log_partition(parameters: Parameters, base_bias: np.ndarray) -> float:
    """Return log Z of the base distribution, whose hidden units are 0 and 1 with equal probability."""
    num_visible, num_hidden = parameters.kernel.shape
    hidden = num_hidden * math.log(2)
    if parameters.is_gaussian:
        return hidden + 0.5 * num_visible * math.log(2 * math.pi)
    return hidden + float(softplus(base_bias).sum())


def _draw_visible(inputs: np.ndarray, is_gaussian: bool, rng: np.random.Generator) -> np.ndarray:
    """Draw visible units from their total inputs `(chains, visible)`."""
    if is_gaussian:
        return inputs + rng.standard_normal(inputs.shape)
    return (rng.random(inputs.shape) < _sigmoid(inputs)).astype("float64")


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))
