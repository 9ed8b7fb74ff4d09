"""Probabilities of layers of binary units in float64: for all states of the hidden units, or for draws of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np
from keras import ops

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepkit.utils.types import Tensor

    Array: TypeAlias = NDArray[np.float64]

_MAX_ROWS = 4096  # states or draws that are evaluated at a time


class BinaryLayers:
    """The probabilities of a generative and a recognition model of layers of binary units.

    Args:
        recognition: Dense layers of logits, from the data to the top.
        generative: Dense layers of logits in the other direction, in the same order: the first one ends in the data.
        top_bias: Logits of the top layer.
    """

    def __init__(
        self, recognition: Sequence[keras.layers.Dense], generative: Sequence[keras.layers.Dense], top_bias: Tensor
    ) -> None:
        self.recognition = [(_array(layer.kernel), _array(layer.bias)) for layer in recognition]
        self.generative = [(_array(layer.kernel), _array(layer.bias)) for layer in generative]
        self.top_bias = _array(top_bias)

    def log_joint(self, x: Array, states: Sequence[Array]) -> Array:
        """Return log p(x, h) of each example and each state of the hidden units, `(batch, states)`.

        Args:
            x: Examples `(batch, units)`.
            states: For each hidden layer the states of its units, `(states, units)`.
        """
        kernel, bias = self.generative[0]
        logits = states[0] @ kernel + bias  # (states, units of the data)
        return self._log_generative(states, 1) + x @ logits.T - np.logaddexp(0, logits).sum(axis=1)

    def log_recognition(self, x: Array, states: Sequence[Array]) -> Array:
        """Return log q(h | x) of each example and each state of the hidden units, `(batch, states)`.

        Args:
            x: Examples `(batch, units)`.
            states: For each hidden layer the states of its units, `(states, units)`.
        """
        kernel, bias = self.recognition[0]
        logits = x @ kernel + bias  # (batch, units of the first hidden layer)
        log_q = logits @ states[0].T - np.logaddexp(0, logits).sum(axis=1, keepdims=True)
        for (kernel, bias), (below, above) in zip(self.recognition[1:], pairwise(states), strict=True):
            log_q = log_q + _log_prob(above, below @ kernel + bias)
        return log_q

    def log_weights(self, x: Array, num_samples: int, seed: int | None) -> Array:
        """Return log p(x, h) - log q(h | x) for draws of h from q, `(batch, num_samples)`.

        Args:
            x: Examples `(batch, units)`.
            num_samples: Number of draws for each example.
            seed: Integer seed; None for a random seed.
        """
        generator = keras.random.SeedGenerator(seed)
        num_examples = max(1, _MAX_ROWS // num_samples)
        chunks = [np.zeros((0, num_samples))]
        for start in range(0, len(x), num_examples):
            rows = np.repeat(x[start : start + num_examples], num_samples, axis=0)
            log_q, layers = np.zeros(len(rows)), [rows]
            for kernel, bias in self.recognition:
                logits = layers[-1] @ kernel + bias
                uniform = keras.random.uniform(logits.shape, dtype="float32", seed=generator)
                layers.append((_array(uniform) < 1 / (1 + np.exp(-logits))).astype("float64"))
                log_q += _log_prob(layers[-1], logits)
            chunks.append((self._log_generative(layers, 0) - log_q).reshape(-1, num_samples))
        return np.concatenate(chunks)

    def _log_generative(self, layers: Sequence[Array], first: int) -> Array:
        """Return log p of layers; `layers[0]` is the output of the generative layer `first`, if that is above 0."""
        log_p = _log_prob(layers[-1], self.top_bias)
        for (kernel, bias), (below, above) in zip(self.generative[first:], pairwise(layers), strict=True):
            log_p = log_p + _log_prob(below, above @ kernel + bias)
        return log_p


def all_states(units: Sequence[int]) -> Iterator[list[Array]]:
    """Yield all states of layers of binary units in chunks: for each layer an array `(states, units)`.

    Args:
        units: Number of units of each layer.
    """
    total = sum(units)
    for start in range(0, 2**total, _MAX_ROWS):
        numbers = np.arange(start, min(start + _MAX_ROWS, 2**total))
        bits = (numbers[:, None] >> np.arange(total) & 1).astype("float64")
        yield np.split(bits, np.cumsum(units)[:-1], axis=1)


def log_sum(values: Array) -> Array:
    """Return the logarithm of the sum of exponentials over the last axis.

    Args:
        values: An array `(..., n)`.
    """
    result: Array = np.logaddexp.reduce(values, axis=-1)
    return result


def _log_prob(units: Array, logits: Array) -> Array:
    """Return the log-probability of binary units, summed over the last axis."""
    result: Array = np.sum(units * logits - np.logaddexp(0, logits), axis=-1)
    return result


def _array(tensor: Any) -> Array:
    return np.asarray(ops.convert_to_numpy(tensor), "float64")
