"""`make`: a vector environment from a name, an environment, or a function that makes one."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

import gymnasium
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from deepkit.envs.atari_games import find_game, game_names, has_emulator, require_emulator
from deepkit.envs.batched import BatchedEnv
from deepkit.envs.env_registration import ARGUMENTS, ENVIRONMENTS, register_environments
from deepkit.envs.single import SingleEnv
from deepkit.utils.errors import did_you_mean, did_you_mean_or_list, format_value, message
from deepkit.utils.validation import check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import EnvLike

_ARRAY_SPACES = (
    gymnasium.spaces.Box,
    gymnasium.spaces.Discrete,
    gymnasium.spaces.MultiDiscrete,
    gymnasium.spaces.MultiBinary,
)


def make(env: EnvLike, num_envs: int = 1, **kwargs: Any) -> VectorEnv:
    """Return a vector environment whose `step` never resets: `AutoresetMode.DISABLED`.

    After a step, restart the finished environments: `env.reset(options={"reset_mask": terminated | truncated})`.

    Args:
        env: A name: of deepkit (`"Catch"`), of an Atari game (`"ALE/Pong-v5"` or `"Pong"`, preprocessed as `Atari`
            describes), or of gymnasium (`"CartPole-v1"`). Or a `gymnasium.Env`, a function or class that makes one, or
            a vector environment, which is returned unchanged.
        num_envs: Number of environments; 1 for an environment that exists already.
        **kwargs: Arguments of the environment, if `env` is a name or a function.

    Returns:
        The vector environment.

    Raises:
        ValueError: There is no environment of this name, its observations are not arrays, its mode is another one, or
            `num_envs` does not fit an environment that exists.
        TypeError: `env` or an argument has an unsupported type or name.
        ImportError: An Atari game needs the package ale-py.

    Examples:
        >>> make("Catch", num_envs=8, rows=20, columns=12)
        BatchedCatch(num_envs=8)
        >>> make("CartPole-v1", num_envs=2).reset(seed=0)[0].shape
        (2, 4)
    """
    check_integer(num_envs, "dk.envs.make: num_envs")
    if isinstance(env, str):
        vector = _from_name(env, num_envs, kwargs)
    elif isinstance(env, VectorEnv):
        _check_existing(num_envs in (1, env.num_envs), kwargs, f"a vector of {env.num_envs}", num_envs)
        vector = env
    elif isinstance(env, gymnasium.Env):
        _check_existing(num_envs == 1, kwargs, "a single environment", num_envs)
        vector = env.batch if isinstance(env, SingleEnv) else _sync([env])
    elif isinstance(env, type) and issubclass(env, BatchedEnv):
        vector = _call_batched(env, num_envs, kwargs)
    elif callable(env):
        vector = _sync([_check_env(env(**kwargs)) for _ in range(num_envs)])
    else:
        raise TypeError(
            message(
                f"dk.envs.make: env must be a name, an environment or a function, received {format_value(env)}",
                hint='pass a name such as "CartPole-v1", or a gymnasium.Env',
            )
        )
    _check_mode(vector)
    _check_space(vector.single_observation_space)
    return vector


def makes_environments(env: EnvLike) -> bool:
    """Return whether `make` returns a new environment in each call: for a name, a function or a class.

    Args:
        env: An argument of `make`.
    """
    return isinstance(env, str) or (callable(env) and not isinstance(env, gymnasium.Env | VectorEnv))


def _from_name(name: str, num_envs: int, kwargs: dict[str, Any]) -> VectorEnv:
    register_environments()
    short = name.removeprefix("deepkit/").removesuffix("-v0")
    if short in ENVIRONMENTS and name in (short, f"deepkit/{short}-v0"):
        module, _, batched = ENVIRONMENTS[short]
        cls = getattr(importlib.import_module(f"deepkit.envs.{module}"), batched)
        return _call_batched(cls, num_envs, {**ARGUMENTS.get(short, {}), **kwargs})
    if name.startswith("ALE/"):
        require_emulator()
    game = find_game(name) if name.startswith("ALE/") or name not in gymnasium.registry else None
    if game is not None:
        from deepkit.envs.atari import BatchedAtari

        return _call_batched(BatchedAtari, num_envs, {"game": game, **kwargs})
    if name not in gymnasium.registry and ":" not in name:  # "module:Name-v0" is imported by gymnasium
        raise ValueError(_unknown_name(name))
    return _sync([gymnasium.make(name, **kwargs) for _ in range(num_envs)])


def _unknown_name(name: str) -> str:
    choices = [*ENVIRONMENTS, *game_names(), *gymnasium.registry]
    suggestion = did_you_mean(name, choices)
    if not suggestion:  # "cartpole" is close to "CartPole-v1" without its case
        by_lower = {choice.lower(): choice for choice in choices}
        close = did_you_mean(name.lower(), by_lower)
        suggestion = next((f"; did you mean {c!r}?" for low, c in by_lower.items() if repr(low) in close), "")
    hint = "gymnasium.pprint_registry() lists the names; import the package that registers yours first"
    if not has_emulator():
        hint += "; Atari games need pip install 'deepkit-keras[atari]'"
    return message(f"dk.envs.make: unknown environment {name!r}{suggestion}", hint=hint)


def _call_batched(batched: type[BatchedEnv], num_envs: int, kwargs: dict[str, Any]) -> BatchedEnv:
    parameters = [name for name in inspect.signature(batched).parameters if name != "num_envs"]
    for key in kwargs:
        if key not in parameters:
            suggestion = did_you_mean_or_list(key, parameters)
            raise TypeError(message(f"dk.envs.make: {batched.__name__} has no argument {key!r}{suggestion}"))
    return batched(num_envs=num_envs, **kwargs)


def _check_env(env: object) -> gymnasium.Env:
    if not isinstance(env, gymnasium.Env):
        raise TypeError(
            message(
                f"dk.envs.make: the function returned {format_value(env)}, expected a gymnasium.Env",
                hint="return one environment; pass a vector environment itself instead of a function",
            )
        )
    return env


def _sync(envs: list[gymnasium.Env]) -> SyncVectorEnv:
    if len({id(env.unwrapped) for env in envs}) < len(envs):
        raise ValueError(
            message(
                "dk.envs.make: the function returned the same environment twice",
                hint="make a new environment in each call",
            )
        )
    _check_space(envs[0].observation_space)
    return SyncVectorEnv([lambda env=env: env for env in envs], autoreset_mode=AutoresetMode.DISABLED)  # type: ignore[misc]


def _check_existing(fits: bool, kwargs: dict[str, Any], kind: str, num_envs: int) -> None:
    """Raise an error if an environment that exists is asked for another number or with arguments."""
    if not fits:
        hint = "pass a name, or a function that makes an environment"
        raise ValueError(message(f"dk.envs.make: num_envs={num_envs}, but the environment is {kind}", hint=hint))
    if kwargs:
        problem = f"dk.envs.make: the environment exists already, so {format_value(next(iter(kwargs)))} has no effect"
        raise TypeError(message(problem, hint="pass the arguments where the environment is made"))


def _check_mode(env: VectorEnv) -> None:
    mode = env.metadata.get("autoreset_mode")
    if mode != AutoresetMode.DISABLED:
        hint = "make it with autoreset_mode=gymnasium.vector.AutoresetMode.DISABLED, or pass its name to dk.envs.make"
        raise ValueError(
            message(
                f"dk.envs.make: expected AutoresetMode.DISABLED, received {mode} of {type(env).__name__}", hint=hint
            )
        )


def _check_space(space: gymnasium.Space) -> None:
    if not isinstance(space, _ARRAY_SPACES):
        raise ValueError(
            message(
                f"dk.envs.make: observations must be arrays, received the space {format_value(space)}",
                hint="wrap the environment: gymnasium.wrappers.FlattenObservation(env)",
            )
        )
