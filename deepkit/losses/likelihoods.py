"""What a decoder says about the data: log-probabilities, means and draws of p(x | z), in float32."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from deepkit.layers import gaussian_sampling as sampling

LOG_TWO_PI = math.log(2 * math.pi)
LEAST_LOG_VARIANCE = math.log(1e-6)  # data without noise has no density: the bound would grow without end


@dataclass(frozen=True)
class Likelihood:
    """A distribution of the data given what the decoder returns.

    Args:
        outputs: Names of the decoder's outputs; the first, through `activation`, is the mean of the data.
        activation: Keras's name.
        log_prob: From data and the outputs to a log-probability (or density) for each number of the data.
        draw: From the outputs and a seed to data.
    """

    outputs: tuple[str, ...]
    activation: str
    log_prob: Callable[[Any, Mapping[str, Any]], Any]
    draw: Callable[[Mapping[str, Any], Any], Any]

    def mean(self, outputs: Mapping[str, Any]) -> Any:
        """Return the mean of the data."""
        return keras.activations.get(self.activation)(outputs[self.outputs[0]])


def gaussian_log_prob(x: Any, mean: Any, log_variance: Any) -> Any:
    """Return the log-density of each number under a Gaussian."""
    return -0.5 * (LOG_TWO_PI + log_variance + ops.square(x - mean) * ops.exp(-log_variance))


def _bernoulli_log_prob(x: Any, outputs: Mapping[str, Any]) -> Any:
    """Return x log p + (1 - x) log(1 - p), from logits; of any other value than 0 and 1, minus infinity."""
    logits = outputs["logits"]
    known = x * logits - ops.softplus(logits)
    return ops.where(ops.equal(x * (1 - x), 0), known, ops.full_like(known, -math.inf))


def _bernoulli_draw(outputs: Mapping[str, Any], seed: Any) -> Any:
    probability = ops.sigmoid(outputs["logits"])
    return ops.cast(keras.random.uniform(ops.shape(probability), seed=seed) < probability, "float32")


def _bounded(outputs: Mapping[str, Any]) -> Any:
    return ops.maximum(outputs["log_variance"], LEAST_LOG_VARIANCE)


LIKELIHOODS = {
    "bernoulli": Likelihood(("logits",), "sigmoid", _bernoulli_log_prob, _bernoulli_draw),
    "gaussian": Likelihood(
        ("mean", "log_variance"),
        "linear",
        lambda x, outputs: gaussian_log_prob(x, outputs["mean"], _bounded(outputs)),
        lambda outputs, seed: sampling.draw(outputs["mean"], _bounded(outputs), seed),
    ),
    "unit_gaussian": Likelihood(
        ("mean",),
        "linear",
        lambda x, outputs: gaussian_log_prob(x, outputs["mean"], 0.0),
        lambda outputs, seed: sampling.draw(outputs["mean"], 0.0, seed),
    ),
}
