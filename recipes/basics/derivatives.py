"""Derivatives by hand: of six activations, and of five losses with respect to the outputs of a network."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

SLOPE = 0.1  # of the leaky ReLU in the notes
MAXOUT = np.array([[1.0, 0.0], [-0.5, 0.5]])  # weight and bias of its two linear functions


def sigmoid(s: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-s)), without overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(s / 2))


def softmax(s: np.ndarray) -> np.ndarray:
    """Return the probabilities of each row of scores."""
    powers = np.exp(s - s.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


# For each activation its derivative, a function of s and of x = g(s): often x is enough.
DERIVATIVES: dict[str, tuple[Callable, Callable]] = {
    "sigmoid": (keras.activations.sigmoid, lambda s, x: x * (1 - x)),
    "tanh": (keras.activations.tanh, lambda s, x: 1 - x**2),
    "ReLU": (keras.activations.relu, lambda s, x: np.where(s > 0, 1.0, 0.0)),
    "leaky ReLU": (lambda s: ops.maximum(SLOPE * s, s), lambda s, x: np.where(s > 0, 1.0, SLOPE)),
    "ELU": (keras.activations.elu, lambda s, x: np.where(s > 0, 1.0, x + 1)),
    "maxout": (
        lambda s: ops.maximum(MAXOUT[0, 0] * s + MAXOUT[0, 1], MAXOUT[1, 0] * s + MAXOUT[1, 1]),
        lambda s, x: MAXOUT[np.argmax([a * s + b for a, b in MAXOUT], axis=0), 0],
    ),
}

# For each loss of one example its derivative with respect to the k outputs, from which backpropagation starts.
LOSSES: dict[str, tuple[Callable, Callable]] = {
    "squared error": (keras.losses.mean_squared_error, lambda s, y: 2 * (s - y) / y.shape[1]),
    "absolute error": (keras.losses.mean_absolute_error, lambda s, y: np.sign(s - y) / y.shape[1]),
    "logistic loss": (
        lambda y, s: keras.losses.binary_crossentropy(y, s, from_logits=True),
        lambda s, y: (sigmoid(s) - y) / y.shape[1],
    ),
    "cross-entropy": (
        lambda y, s: keras.losses.categorical_crossentropy(y, s, from_logits=True),
        lambda s, y: softmax(s) - y,
    ),
    "hinge loss": (
        lambda y, s: ops.mean(ops.maximum(0.0, 1 - (2 * y - 1) * s), axis=-1),
        lambda s, y: np.where((2 * y - 1) * s < 1, 1 - 2 * y, 0.0) / y.shape[1],
    ),
}
