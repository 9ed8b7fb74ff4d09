"""The identity of an environment as text: two calls with the same text train in the same environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepkit.envs.batched import BatchedEnv
from deepkit.envs.make_env import makes_environments
from deepkit.utils.function_identity import function_identity

if TYPE_CHECKING:
    import gymnasium

    from deepkit.utils.types import EnvLike


def describe_env(argument: EnvLike, env: gymnasium.vector.VectorEnv) -> str:
    """Return the name of an environment with its arguments; for a function or a class, with a hash of its code.

    Args:
        argument: The environment as the user passed it.
        env: The vector environment that was made from it.
    """
    spec: Any = getattr(argument, "spec", None) or getattr(env, "spec", None)
    arguments: dict[str, Any] = dict(getattr(spec, "kwargs", {}) or {})
    if isinstance(env, BatchedEnv):
        name = type(env).__name__.removeprefix("Batched")
        arguments = {**env.describe(), "max_episode_steps": env.max_episode_steps}
    elif isinstance(argument, str):
        name = argument
    elif makes_environments(argument):
        name = function_identity(argument)
    elif spec is not None:
        name = spec.id
    else:
        name = type(getattr(argument, "unwrapped", argument)).__name__
    text = ", ".join(f"{key}={value!r}" for key, value in sorted(arguments.items()) if value is not None)
    return f"{name}({text})" if text else name
