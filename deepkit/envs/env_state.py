"""States of environments: captured, restored, and written to one file."""

from __future__ import annotations

import dataclasses
import io
import json
import pathlib
import pickle
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from deepkit.envs.batched import BatchedEnv
from deepkit.envs.pickled_envs import describe_envs, pickle_envs, unpickle_envs
from deepkit.envs.single import SingleEnv
from deepkit.utils.errors import format_value, message
from deepkit.utils.files import atomic_write

if TYPE_CHECKING:
    from deepkit.utils.types import PathLike

_ARRAY = "__array__"  # in JSON, the number of an array that is stored beside it
_NOT_AN_ENV = "pass an environment of dk.envs.make, which accepts a single gymnasium.Env, too"


@dataclasses.dataclass(frozen=True, eq=False)
class EnvState:
    """The state of a vector environment; `restore_state` continues from it bit for bit if it is exact.

    The state of an environment of deepkit consists of arrays and JSON values. The state of other environments is a
    pickle: restore it only if you trust its source. Reading a file never executes code, restoring a pickle may.

    Args:
        exact: Whether the state can be restored.
        reason: Why it cannot, as the end of a sentence that begins with "approximate because"; None if it can.
        content: The result of `get_state` of the environment, or None.
        pickled: The pickle of the environments, for those that are not deepkit's, or None.

    Examples:
        >>> import deepkit as dk
        >>> env = dk.envs.make("Catch", num_envs=2)
        >>> observations, info = env.reset(seed=0)
        >>> state = dk.envs.capture_state(env)
        >>> state
        EnvState(exact=True, reason=None)
        >>> EnvState.from_bytes(state.to_bytes()).content["num_steps"]
        array([0, 0])
    """

    exact: bool
    reason: str | None = None
    content: dict[str, Any] | None = dataclasses.field(default=None, repr=False)
    pickled: bytes | None = dataclasses.field(default=None, repr=False)

    def to_bytes(self) -> bytes:
        """Return the state as the content of an `.npz` file."""
        arrays: list[np.ndarray] = []
        values = {"exact": self.exact, "reason": self.reason, "content": _without_arrays(self.content, arrays)}
        if self.pickled is not None:
            values["pickled"] = _without_arrays(np.frombuffer(self.pickled, np.uint8), arrays)
        header = np.frombuffer(json.dumps(values).encode(), np.uint8)
        buffer = io.BytesIO()
        members = {"header": header, **{f"array{number}": array for number, array in enumerate(arrays)}}
        np.savez_compressed(buffer, allow_pickle=False, **members)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> EnvState:
        """Return the state that `to_bytes` wrote; executes no code.

        Args:
            data: The bytes.

        Raises:
            ValueError: The bytes are damaged, or not a state.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as members:
                values = json.loads(members["header"].tobytes())
                arrays = [members[f"array{number}"] for number in range(len(members.files) - 1)]
            content = _with_arrays(values["content"], arrays)
            pickled = _with_arrays(values.get("pickled"), arrays)
            return cls(values["exact"], values["reason"], content, None if pickled is None else pickled.tobytes())
        except Exception as error:  # NumPy, zip and JSON raise errors of many classes for damaged bytes
            hint = "pass the result of EnvState.to_bytes, or the content of a file of EnvState.save"
            raise ValueError(message(f"the bytes are not the state of an environment: {error}", hint=hint)) from error

    def save(self, path: PathLike) -> None:
        """Write the state to a file.

        Args:
            path: The file, usually with the suffix `.npz`.
        """
        atomic_write(pathlib.Path(path), self.to_bytes())

    @classmethod
    def load(cls, path: PathLike) -> EnvState:
        """Return the state of a file; executes no code.

        Args:
            path: The file.

        Raises:
            OSError: The file cannot be read.
            ValueError: The file is damaged, or does not hold a state.
        """
        return cls.from_bytes(pathlib.Path(path).read_bytes())


def capture_state(env: gymnasium.vector.VectorEnv | SingleEnv) -> EnvState:
    """Return the state of an environment: its episodes, counters of wrappers, and random generators.

    The state is exact for environments of deepkit, including Atari, and for a `SyncVectorEnv` of environments that can
    be pickled. For others it is empty, with a reason. The random generators of the spaces, which `sample` uses, are
    not part of it.

    Args:
        env: A vector environment, such as `dk.envs.make` returns.

    Returns:
        The state.

    Raises:
        TypeError: The value is not a vector environment.

    Examples:
        >>> import deepkit as dk
        >>> env = dk.envs.make("CartPole-v1")
        >>> observations, info = env.reset(seed=0)
        >>> state = capture_state(env)
        >>> first = env.step([1])[0]
        >>> restore_state(env, state)
        >>> bool((env.step([1])[0] == first).all())
        True
    """
    if isinstance(env, BatchedEnv | SingleEnv):
        return EnvState(exact=True, content=env.get_state())
    if type(env) is gymnasium.vector.SyncVectorEnv:
        try:
            return EnvState(exact=True, content=describe_envs(env), pickled=pickle_envs(env))
        except pickle.PicklingError as error:
            return EnvState(exact=False, reason=str(error))
    if isinstance(env, gymnasium.vector.VectorEnv):
        return EnvState(exact=False, reason=f"the state of a {type(env).__name__} cannot be read")
    raise TypeError(
        message(f"capture_state: expected a vector environment, received {format_value(env)}", hint=_NOT_AN_ENV)
    )


def restore_state(env: gymnasium.vector.VectorEnv | SingleEnv, state: EnvState) -> None:
    """Restore a state, so that the next steps and resets are those that followed its capture.

    The environments of a `SyncVectorEnv` are replaced: `env.envs` holds new objects. Their state is a pickle, which can
    execute code: restore it only if you trust its source.

    Args:
        env: An environment with the same arguments as the one that the state is of.
        state: The state.

    Raises:
        ValueError: The state is empty, or of an environment with other arguments, or its pickle cannot be read.
        TypeError: An argument has another type.

    Examples:
        >>> import deepkit as dk
        >>> env, twin = dk.envs.make("Catch"), dk.envs.make("Catch")
        >>> observations, info = env.reset(seed=0)
        >>> restore_state(twin, capture_state(env))
        >>> bool((twin.observe() == observations).all())
        True
    """
    if not isinstance(state, EnvState):
        hint = "pass the result of dk.envs.capture_state"
        raise TypeError(message(f"restore_state: expected an EnvState, received {format_value(state)}", hint=hint))
    if not state.exact or state.content is None:
        hint = "start new episodes: env.reset(seed=...)"
        raise ValueError(message(f"restore_state: the state is empty because {state.reason}", hint=hint))
    if isinstance(env, BatchedEnv | SingleEnv):
        env.set_state(state.content)
    elif type(env) is gymnasium.vector.SyncVectorEnv:
        unpickle_envs(env, state.content, state.pickled)
    elif isinstance(env, gymnasium.vector.VectorEnv):
        problem = f"restore_state: the state of a {type(env).__name__} cannot be set"
        raise ValueError(message(problem, hint="start new episodes: env.reset(seed=...)"))
    else:
        raise TypeError(
            message(f"restore_state: expected a vector environment, received {format_value(env)}", hint=_NOT_AN_ENV)
        )


def _without_arrays(value: Any, arrays: list[np.ndarray]) -> Any:
    """Return JSON values in which each array is replaced by its number in `arrays`, to which it is appended."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {_ARRAY: len(arrays) - 1}
    if isinstance(value, dict):
        return {key: _without_arrays(item, arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_arrays(item, arrays) for item in value]
    return value


def _with_arrays(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, dict) and set(value) == {_ARRAY}:
        return arrays[value[_ARRAY]]
    if isinstance(value, dict):
        return {key: _with_arrays(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_arrays(item, arrays) for item in value]
    return value
