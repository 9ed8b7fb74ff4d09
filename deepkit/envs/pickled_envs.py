"""The state of environments of other packages: a pickle of a `SyncVectorEnv`."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import EzPickle

from deepkit.utils.errors import message

# the attributes of a SyncVectorEnv that change, besides its environments
_ATTRIBUTES = ("_env_obs", "_observations", "_rewards", "_terminations", "_truncations", "_autoreset_envs")


def describe_envs(env: gymnasium.vector.SyncVectorEnv) -> dict[str, Any]:
    """Return the settings that a state must agree with, as JSON values: spaces, time limit, classes of the first one.

    Args:
        env: The vector environment.
    """
    first = env.envs[0]
    return {
        "environment": {
            "num_envs": env.num_envs,
            "name": None if first.spec is None else first.spec.id,
            "max_episode_steps": None if first.spec is None else first.spec.max_episode_steps,
            "classes": [type(item).__name__ for item in _with_wrappers(first)],
            "spaces": [str(first.observation_space), str(first.action_space)],
        }
    }


def pickle_envs(env: gymnasium.vector.SyncVectorEnv) -> bytes:
    """Return the pickle of the environments, or raise `pickle.PicklingError` with the reason why it is not exact.

    Args:
        env: The vector environment.
    """
    if any(observation is None for observation in env._env_obs):
        raise pickle.PicklingError("an environment that has not been reset has no seed yet")
    for single in env.envs:
        for item in _with_wrappers(single):
            if isinstance(item, EzPickle):
                name = type(item).__name__
                raise pickle.PicklingError(f"{name} pickles the arguments that made it, not its state")
    try:
        data = pickle.dumps((env.envs, {name: getattr(env, name) for name in _ATTRIBUTES}))
        copies, _ = pickle.loads(data)
    except Exception as error:  # `__getstate__` and `__setstate__` of any class
        name = type(env.envs[0].unwrapped).__name__
        raise pickle.PicklingError(f"an environment ({name}) cannot be pickled: {error}") from error
    for single, twin in zip(env.envs, copies, strict=True):
        if _generator_state(single) != _generator_state(twin):
            name = type(single.unwrapped).__name__
            raise pickle.PicklingError(f"{name} pickles without the state of its random generator")
    return data


def unpickle_envs(env: gymnasium.vector.SyncVectorEnv, content: dict[str, Any], data: bytes | None) -> None:
    """Replace the environments by those of a pickle.

    Args:
        env: The vector environment.
        content: The result of `describe_envs` for the pickled ones.
        data: The pickle.
    """
    expected = describe_envs(env)
    if data is None or content != expected:
        raise ValueError(
            message(
                f"restore_state: the state is of {content.get('environment')}, this environment is "
                f"{expected['environment']}",
                hint="make the environment with the same arguments as the one that the state is of",
            )
        )
    try:
        envs, attributes = pickle.loads(data)
    except Exception as error:  # `__setstate__` of any class
        hint = "define the environment in a module that this process can import"
        raise ValueError(message(f"restore_state: the pickle cannot be read: {error}", hint=hint)) from error
    env.envs = envs
    for name, value in attributes.items():
        setattr(env, name, value)


def _with_wrappers(env: gymnasium.Env) -> Iterator[gymnasium.Env]:
    """Yield an environment with its wrappers, from the outermost to the innermost."""
    yield env
    while isinstance(env, gymnasium.Wrapper):
        env = env.env
        yield env


def _generator_state(env: gymnasium.Env) -> object:
    generator: np.random.Generator | None = getattr(env.unwrapped, "_np_random", None)
    return None if generator is None else _comparable(generator.bit_generator.state)


def _comparable(state: Any) -> object:
    """Return the state of a generator without arrays, which do not compare as a whole."""
    if isinstance(state, dict):
        return {key: _comparable(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state
