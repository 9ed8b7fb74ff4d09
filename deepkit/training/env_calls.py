"""Calls of an environment that validate what it returns."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from deepkit.utils.errors import format_value, make_error

if TYPE_CHECKING:
    import gymnasium

_Result = TypeVar("_Result")
_LIBRARIES = ("gymnasium", "numpy", "functools", "collections", "contextlib")
_CHECK = "gymnasium.utils.env_checker.check_env(env) finds such faults"


def reset_env(env: gymnasium.vector.VectorEnv, **arguments: Any) -> tuple[np.ndarray, Mapping[str, Any]]:
    """Return a copy of the observations after a reset, and the info.

    Args:
        env: The vector environment.
        arguments: The arguments of its `reset`.

    Raises:
        ValueError: The environment does not follow the interface of gymnasium, or an observation is NaN.
    """
    observations, info = _call(env.reset, "reset", **arguments)
    return _check_observations(env, observations, "reset"), info


def step_env(
    env: gymnasium.vector.VectorEnv, actions: np.ndarray, number: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Mapping[str, Any]]:
    """Take a step in all environments, and return copies of the results in their types.

    Args:
        env: The vector environment.
        actions: Actions `(num_envs,)`.
        number: Number of the step, for the message.

    Returns:
        Observations, rewards (float64), terminated, truncated (bool), and the info.

    Raises:
        ValueError: The environment does not follow the interface of gymnasium, or an observation or a reward is NaN.
    """
    where = f"step {number}"
    observations, rewards, terminated, truncated, info = _call(env.step, "step", actions)
    rewards = _per_env(env, "rewards", rewards, np.float64, "biuf", where)
    if not np.isfinite(rewards).all():
        index = int(np.flatnonzero(~np.isfinite(rewards))[0])
        raise make_error(
            ValueError,
            f"env: in {where}, environment {index} returned the reward {rewards[index]} for action {actions[index]}",
            hint="return a finite number as the reward",
        )
    ends = [
        _per_env(env, name, values, np.bool_, "biu", where)
        for name, values in (("terminated", terminated), ("truncated", truncated))
    ]
    return _check_observations(env, observations, where), rewards, ends[0], ends[1], info


def action_mask(
    info: Mapping[str, Any], previous: np.ndarray | None, num_actions: int, is_due: np.ndarray | None = None
) -> np.ndarray | None:
    """Return the legal actions of all environments `(num_envs, num_actions)`; None if all are legal.

    Args:
        info: The info of a vector environment; `_action_mask` marks the environments whose mask is new.
        previous: The masks before.
        num_actions: Number of actions.
        is_due: The environments that return a mask now, if they ever do; None after the first reset.

    Raises:
        ValueError: A mask has another shape or other values, is missing, or the first reset returned none.
    """
    received = info.get("action_mask")
    if received is None and previous is None:
        return None
    if previous is None and is_due is not None:
        raise _mask_error("step returned an action_mask, and reset did not")
    num_envs = len(previous) if previous is not None else len(received)  # type: ignore[arg-type]
    is_new = np.zeros(num_envs, bool) if received is None else np.asarray(info.get("_action_mask", np.ones(num_envs)))
    missing = np.ones(num_envs, bool) if is_due is None else is_due
    missing = missing & ~is_new.astype(bool)
    if missing.any():
        raise _mask_error(f"environment {int(np.argmax(missing))} returned no action_mask, and others did, or earlier")
    mask = np.ones((num_envs, num_actions), bool) if previous is None else previous.copy()
    if isinstance(received, np.ndarray) and received.dtype == bool and received.shape == mask.shape:
        return np.where(is_new.astype(bool)[:, np.newaxis], received, mask)
    for row in np.flatnonzero(is_new):
        mask[row] = _check_mask(received[row], num_actions, int(row))  # type: ignore[index]
    return mask


def _check_mask(mask: Any, num_actions: int, index: int) -> np.ndarray:
    legal = np.asarray(mask)
    if legal.shape != (num_actions,) or legal.dtype.kind not in "buif" or not np.isin(legal, (0, 1)).all():
        raise make_error(
            ValueError,
            f"env: environment {index} returned the action_mask {format_value(mask)}, expected {num_actions} values: "
            "1 for each legal action, 0 for the others",
            hint="return np.array([1, 0, ...], dtype=np.int8), not the numbers of the legal actions",
        )
    return legal.astype(bool)


def _mask_error(problem: str) -> Exception:
    hint = 'return {"action_mask": mask} as the info of reset and of every step; 1 for each action if all are legal'
    return make_error(ValueError, f"env: {problem}", hint=hint)


def _call(function: Callable[..., _Result], name: str, *args: Any, **kwargs: Any) -> _Result:
    """Call a method of an environment; add a hint to an error that gymnasium raises, not the environment's code."""
    try:
        return function(*args, **kwargs)
    except (AttributeError, TypeError, ValueError) as error:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][1:]
        modules = [frame.f_globals.get("__name__", "") for frame in frames]
        if not all(module.partition(".")[0] in _LIBRARIES for module in modules):
            raise
        problem = f"env: {name} does not follow the interface of gymnasium: {error}"
        raise make_error(ValueError, problem, hint=_CHECK) from error


def _check_observations(env: gymnasium.vector.VectorEnv, observations: Any, where: str) -> np.ndarray:
    array: np.ndarray = np.array(observations)
    if array.dtype.kind == "f" and np.isnan(array).any():
        index = int(np.flatnonzero(np.isnan(array.reshape(env.num_envs, -1)).any(axis=1))[0])
        raise make_error(
            ValueError,
            f"env: in {where}, environment {index} returned an observation that contains NaN",
            hint="replace missing values by a number, such as 0",
        )
    return array


def _per_env(
    env: gymnasium.vector.VectorEnv, name: str, values: Any, dtype: type, kinds: str, where: str
) -> np.ndarray:
    """Return a copy of one value for each environment."""
    array = np.asarray(values)
    if array.shape != (env.num_envs,) or array.dtype.kind not in kinds:
        kind = "True or False" if dtype is np.bool_ else "a number"
        raise make_error(
            ValueError,
            f"env: in {where}, {name}: expected {kind} for each environment, an array of shape ({env.num_envs},), "
            f"received {format_value(values)}",
            hint=_CHECK,
        )
    return array.astype(dtype)
