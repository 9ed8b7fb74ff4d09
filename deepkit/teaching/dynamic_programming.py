"""Dynamic programming: the Bellman equations of a Markov decision process whose transitions are known.

The module is written to be read and imports neither Keras nor TensorFlow. Arrays have the axes
`P (states, actions, states)`, the probability of each next state, and `R (states, actions)`, the expected reward.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepkit.utils.errors import format_value, make_error
from deepkit.utils.validation import check_discount, check_number

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def value_iteration(P: ArrayLike, R: ArrayLike, discount: float, *, tolerance: float = 1e-12) -> np.ndarray:
    """Return the optimal action values by iterating the Bellman optimality equation.

        Q(s, a) <- R(s, a) + discount * sum over s' of P(s, a, s') * max over a' of Q(s', a')

    Each iteration multiplies the largest error by at most the discount, from any start; this one starts at 0. The
    optimal policy takes an action with the largest value in each state: `Q.argmax(axis=1)`.

    Reference:
        Sutton & Barto 2018, "Reinforcement Learning: An Introduction", section 4.4.

    Args:
        P: Transition probabilities, `(states, actions, states)`. A terminal state returns to itself with reward 0.
        R: Expected rewards, `(states, actions)`.
        discount: Factor of the reward of each further step, at least 0 and below 1.
        tolerance: Largest error of the returned values.

    Returns:
        The optimal values Q of states and actions, `(states, actions)`.

    Raises:
        ValueError: A shape does not fit, the probabilities of a state and an action do not sum to 1, or a number is out
            of range.

    Examples:
        >>> import deepkit as dk
        >>> P = [
        ...     [[0, 1]],
        ...     [[0, 1]],
        ... ]  # one action leads from state 0 to the terminal state 1
        >>> dk.teaching.value_iteration(P, [[1], [0]], 0.9)
        array([[1.],
               [0.]])
    """
    P, R, discount = _check_process("value_iteration", P, R, discount)
    tolerance = check_number(tolerance, "value_iteration: tolerance", above=0)
    Q = np.zeros_like(R)
    while True:
        previous, Q = Q, R + discount * P @ Q.max(axis=1)
        change = float(np.max(np.abs(Q - previous)))
        precision = np.finfo(float).eps * np.max(np.abs(Q))  # a smaller change is due to rounding
        if change * discount <= max(tolerance * (1 - discount), precision):  # the error is below change * d / (1 - d)
            return Q


def evaluate_policy(P: ArrayLike, R: ArrayLike, discount: float, policy: ArrayLike) -> np.ndarray:
    """Return the values of the states under a policy, from the Bellman equation as a system of linear equations.

        V(s) = sum over a of policy(a | s) * (R(s, a) + discount * sum over s' of P(s, a, s') * V(s'))

    The equation of a policy has no maximum, so it is linear: (I - discount * P_policy) V = R_policy.

    Reference:
        Sutton & Barto 2018, "Reinforcement Learning: An Introduction", section 4.1.

    Args:
        P: Transition probabilities, `(states, actions, states)`. A terminal state returns to itself with reward 0.
        R: Expected rewards, `(states, actions)`.
        discount: Factor of the reward of each further step, at least 0 and below 1.
        policy: The action of each state as an integer, `(states,)`, or the probabilities of the actions,
            `(states, actions)`.

    Returns:
        The values V of the states, `(states,)`.

    Raises:
        ValueError: A shape does not fit, probabilities do not sum to 1, or a number is out of range.

    Examples:
        >>> import deepkit as dk
        >>> P = [[[0, 1], [1, 0]], [[0, 1], [0, 1]]]  # in state 0: end, or stay
        >>> R = [[1, 0], [0, 0]]
        >>> dk.teaching.evaluate_policy(P, R, 0.9, [0, 0])
        array([1., 0.])
        >>> dk.teaching.evaluate_policy(P, R, 0.5, [[0.5, 0.5], [0.5, 0.5]]).round(4)
        array([0.6667, 0.    ])
    """
    P, R, discount = _check_process("evaluate_policy", P, R, discount)
    probabilities = _action_probabilities(policy, R.shape)
    P_policy = np.einsum("sa,sat->st", probabilities, P)
    R_policy = np.sum(probabilities * R, axis=1)
    return np.linalg.solve(np.eye(len(P_policy)) - discount * P_policy, R_policy)


def _check_process(name: str, P: ArrayLike, R: ArrayLike, discount: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Return transitions, rewards and discount, or raise the error of the function `name`."""
    P, R = np.asarray(P, "float64"), np.asarray(R, "float64")
    if P.ndim != 3 or P.shape[0] != P.shape[2] or R.shape != P.shape[:2] or not P.size:
        problem = (
            f"{name} expects P of shape (states, actions, states) and R of shape (states, actions), "
            f"received {format_value(P)} and {format_value(R)}"
        )
        raise make_error(ValueError, problem, hint="P, R = env.transitions() of dk.envs.Gridworld")
    _check_distributions(f"{name}: P", P)
    if not np.all(np.isfinite(R)):
        raise make_error(
            ValueError, f"{name}: R must be finite, received NaN or infinity", hint="give every pair a reward"
        )
    return P, R, check_discount(discount, f"{name}: discount")


def _check_distributions(name: str, probabilities: np.ndarray) -> None:
    """Raise an error if the last axis does not hold probabilities."""
    wrong = (np.abs(probabilities.sum(axis=-1) - 1) > 1e-6) | np.any(probabilities < 0, axis=-1)
    wrong |= ~np.all(np.isfinite(probabilities), axis=-1)
    if np.any(wrong):
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        where = ", ".join(f"{axis} {i}" for axis, i in zip(("state", "action"), index, strict=False))
        problem = f"{name} must hold probabilities that sum to 1, received {probabilities[index].tolist()} for {where}"
        raise make_error(ValueError, problem, hint="divide counts by their sum; a terminal state returns to itself")


def _action_probabilities(policy: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    """Return a policy as probabilities `(states, actions)`."""
    policy = np.asarray(policy)
    num_states, num_actions = shape
    if policy.shape == (num_states,) and policy.dtype.kind in "iu" and np.all((policy >= 0) & (policy < num_actions)):
        return np.eye(num_actions)[policy]
    if policy.shape != shape or policy.dtype.kind not in "iuf":
        problem = (
            f"evaluate_policy expects a policy of {num_states} actions from 0 to {num_actions - 1}, or probabilities "
            f"of shape {(num_states, num_actions)}, received {format_value(policy)}"
        )
        raise make_error(ValueError, problem, hint="policy = Q.argmax(axis=1) takes the best action of each state")
    _check_distributions("evaluate_policy: policy", policy)
    return policy
