"""Likelihoods of a decoder: log-probabilities, means and draws of p(x | z), in float32."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
from keras import ops

from deepkit.layers import gaussian_sampling

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor

LOG_TWO_PI = math.log(2 * math.pi)
MIN_LOG_VARIANCE = math.log(1e-6)  # without a minimum, the density of noise-free data grows without limit


@dataclass(frozen=True)
class Likelihood:
    """A distribution of the data, given the outputs of the decoder.

    Args:
        outputs: Names of the decoder's outputs; the first, after `activation`, is the mean of the data.
        activation: Name of a Keras activation.
        log_prob: Function of the data and the outputs that returns the log-probability (or log-density) of each value.
        draw: Function of the outputs and a seed generator that draws data.
    """

    outputs: tuple[str, ...]
    activation: str
    log_prob: Callable[[Tensor, Mapping[str, Tensor]], Tensor]
    draw: Callable[[Mapping[str, Tensor], keras.random.SeedGenerator], Tensor]

    def mean(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Return the mean of the data."""
        return keras.activations.get(self.activation)(outputs[self.outputs[0]])


def gaussian_log_prob(x: Tensor, mean: Tensor | float, log_variance: Tensor | float) -> Tensor:
    """Return the log-density of each value under a Gaussian."""
    return -0.5 * (LOG_TWO_PI + log_variance + ops.square(x - mean) * ops.exp(-log_variance))


def _bernoulli_log_prob(x: Tensor, outputs: Mapping[str, Tensor]) -> Tensor:
    """Return x log p + (1 - x) log(1 - p), from logits; minus infinity for values other than 0 and 1."""
    logits = outputs["logits"]
    log_prob = x * logits - ops.softplus(logits)
    return ops.where(ops.equal(x * (1 - x), 0), log_prob, ops.full_like(log_prob, -math.inf))


def _bernoulli_draw(outputs: Mapping[str, Tensor], seed: keras.random.SeedGenerator) -> Tensor:
    probability = ops.sigmoid(outputs["logits"])
    return ops.cast(keras.random.uniform(ops.shape(probability), seed=seed) < probability, "float32")


def _log_variance(outputs: Mapping[str, Tensor]) -> Tensor:
    return ops.maximum(outputs["log_variance"], MIN_LOG_VARIANCE)


LIKELIHOODS = {
    "bernoulli": Likelihood(("logits",), "sigmoid", _bernoulli_log_prob, _bernoulli_draw),
    "gaussian": Likelihood(
        ("mean", "log_variance"),
        "linear",
        lambda x, outputs: gaussian_log_prob(x, outputs["mean"], _log_variance(outputs)),
        lambda outputs, seed: gaussian_sampling.draw(outputs["mean"], _log_variance(outputs), seed),
    ),
    "unit_gaussian": Likelihood(
        ("mean",),
        "linear",
        lambda x, outputs: gaussian_log_prob(x, outputs["mean"], 0.0),
        lambda outputs, seed: gaussian_sampling.draw(outputs["mean"], 0.0, seed),
    ),
}
