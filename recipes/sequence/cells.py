"""The recurrent cells step by step in NumPy, with the weights in Keras's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

Weights = Sequence[np.ndarray]


def simple_rnn(x: np.ndarray, weights: Weights) -> np.ndarray:
    """Return the last state `(batch, units)` of the simple cell: s_t = tanh(U x_t + W s_{t-1} + b).

    Args:
        x: Sequences `(batch, steps, features)`.
        weights: U, W and b, each transposed, as Keras stores them.
    """
    input_weights, state_weights, bias = weights
    state = np.zeros((len(x), len(state_weights)))
    for step in x.swapaxes(0, 1):
        state = np.tanh(step @ input_weights + state @ state_weights + bias)
    return state


def gru(x: np.ndarray, weights: Weights) -> np.ndarray:
    """Return the last state of a GRU: an update gate z mixes the old state with a candidate.

    The reset gate r is applied after the multiplication with U, as in Keras's default (`reset_after=True`).
    """
    input_weights, state_weights, (input_bias, state_bias) = weights
    state = np.zeros((len(x), len(state_weights)))
    for step in x.swapaxes(0, 1):
        from_input = np.split(step @ input_weights + input_bias, 3, axis=1)
        from_state = np.split(state @ state_weights + state_bias, 3, axis=1)
        z, r = (sigmoid(from_input[i] + from_state[i]) for i in range(2))
        candidate = np.tanh(from_input[2] + r * from_state[2])
        state = z * state + (1 - z) * candidate
    return state


def lstm(x: np.ndarray, weights: Weights) -> np.ndarray:
    """Return the last state h of an LSTM, whose memory c is kept by the forget gate f: c_t = f_t c_{t-1} + i_t c~_t."""
    input_weights, state_weights, bias = weights
    state = memory = np.zeros((len(x), len(state_weights)))
    for step in x.swapaxes(0, 1):
        sums = np.split(step @ input_weights + state @ state_weights + bias, 4, axis=1)
        i, f, o = sigmoid(sums[0]), sigmoid(sums[1]), sigmoid(sums[3])
        memory = f * memory + i * np.tanh(sums[2])
        state = o * np.tanh(memory)
    return state


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return np.asarray((1 + np.tanh(x / 2)) / 2)


EQUATIONS: Mapping[str, Callable[[np.ndarray, Weights], np.ndarray]] = {
    "tanh RNN": simple_rnn,
    "GRU": gru,
    "LSTM": lstm,
}
