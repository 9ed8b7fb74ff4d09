"""Check of the actions that an environment receives."""

from __future__ import annotations

import numpy as np

from deepkit.utils.errors import format_value, message


def check_actions(
    actions: object, num_envs: int, num_actions: int, legal: np.ndarray | None = None, *, name: str = "step"
) -> np.ndarray:
    """Return actions as int64 `(num_envs,)`, or raise an error with the received action and the expected ones.

    Args:
        actions: The actions of all environments, an integer for each.
        num_envs: Number of environments.
        num_actions: Number of actions; the first is 0.
        legal: Whether each action is legal in each environment, `(num_envs, num_actions)`; None if all are.
        name: The method, for the message.

    Raises:
        ValueError: The actions have another shape, or one is out of range or illegal.
        TypeError: The actions are not integers.
    """
    try:
        array = np.asarray(actions)
    except (ValueError, TypeError):  # ragged lists
        array = np.empty((0,), dtype=object)
    expected = f"expected {num_envs} {'integer' if num_envs == 1 else 'integers'} from 0 to {num_actions - 1}"
    if array.dtype.kind not in "iu" or array.shape != (num_envs,):
        received = f"actions of shape {array.shape} and dtype {array.dtype}"
        if array.dtype.kind == "O":
            received = format_value(actions)
        error = ValueError if array.dtype.kind in "iu" else TypeError
        hint = f"pass a NumPy array of integers with shape ({num_envs},), one action for each environment"
        raise error(message(f"{name}: {expected}, received {received}", hint=hint))
    outside = (array < 0) | (array >= num_actions)
    if outside.any():
        index = int(np.argmax(outside))
        raise ValueError(
            message(
                f"{name}: {expected}, received action {int(array[index])} for environment {index}",
                hint="use actions of env.single_action_space",
            )
        )
    checked = array.astype(np.int64)
    if legal is not None:
        _check_legal(checked, legal, name)
    return checked


def _check_legal(actions: np.ndarray, legal: np.ndarray, name: str) -> None:
    illegal = ~legal[np.arange(len(actions)), actions]
    if illegal.any():
        index = int(np.argmax(illegal))
        choices = ", ".join(map(str, np.flatnonzero(legal[index]).tolist()))
        raise ValueError(
            message(
                f"{name}: action {int(actions[index])} is illegal in environment {index}; legal are {choices}",
                hint='choose among the actions that info["action_mask"] allows',
            )
        )
