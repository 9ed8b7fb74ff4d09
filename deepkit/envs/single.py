"""One environment as `gymnasium.Env`, made from a batch of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from deepkit.envs.batched import BatchedEnv
from deepkit.utils.errors import format_value, message


class SingleEnv(gymnasium.Env[np.ndarray, int]):
    """A single environment, made from a batch of one.

    Args:
        batch: The batch, with `num_envs=1`. The environment uses it, and its random generator, as its own.

    Examples:
        >>> from deepkit.envs.catch import BatchedCatch
        >>> env = SingleEnv(BatchedCatch(num_envs=1))
        >>> observation, info = env.reset(seed=0)
        >>> observation, reward, terminated, truncated, info = env.step(1)
        >>> observation.shape, reward, terminated
        ((10, 10, 1), 0.0, False)
    """

    def __init__(self, batch: BatchedEnv) -> None:
        if not isinstance(batch, BatchedEnv) or batch.num_envs != 1:
            received = f"num_envs={batch.num_envs}" if isinstance(batch, BatchedEnv) else format_value(batch)
            raise ValueError(
                message(f"SingleEnv: batch must be a BatchedEnv of one environment, received {received}",
                        hint="make it with num_envs=1")
            )  # fmt: skip
        self.batch = batch
        self.metadata = single_metadata(type(batch))
        self.render_mode = batch.render_mode
        self.observation_space = batch.single_observation_space
        self.action_space = batch.single_action_space

    @property
    def _np_random(self) -> np.random.Generator | None:
        """The generator of the batch: gymnasium reads and sets this attribute."""
        return self.batch._np_random

    @_np_random.setter
    def _np_random(self, generator: np.random.Generator | None) -> None:
        self.batch._np_random = generator

    @property
    def _np_random_seed(self) -> int | None:
        return self.batch._np_random_seed

    @_np_random_seed.setter
    def _np_random_seed(self, seed: int | None) -> None:
        self.batch._np_random_seed = seed

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode, and return the observation and the info.

        Args:
            seed: Seed of the random generator; None continues it.
            options: No options are known: None or an empty dictionary.
        """
        observations, infos = self.batch.reset(seed=seed, options=options)
        return observations[0], _first(infos)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take an action.

        Args:
            action: An integer.

        Returns:
            Observation, reward, terminated, truncated, and the info.
        """
        actions = np.asarray(action)[np.newaxis]
        observations, rewards, terminated, truncated, infos = self.batch.step(actions)
        return observations[0], float(rewards[0]), bool(terminated[0]), bool(truncated[0]), _first(infos)

    def render(self) -> Any:
        """Return the frame of the environment, or None without a `render_mode`."""
        frames = self.batch.render()
        return None if frames is None else frames[0]

    def get_state(self) -> dict[str, Any]:
        """Return a copy of everything that the next steps and resets depend on, as arrays and JSON values."""
        return self.batch.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state of an equal environment.

        Args:
            state: The result of `get_state`.
        """
        self.batch.set_state(state)


def single_metadata(batched: type[BatchedEnv]) -> dict[str, Any]:
    """Return the metadata of one environment; gymnasium reads them from a class before it makes an instance.

    Args:
        batched: The class of the batch.
    """
    return {key: value for key, value in batched.metadata.items() if key != "autoreset_mode"}


def _first(infos: dict[str, Any]) -> dict[str, Any]:
    """Return the info of the only environment: scalars as Python values, arrays as copies."""
    return {key: np.array(values[0]) if np.ndim(values) > 1 else values[0].item()
            for key, values in infos.items() if not key.startswith("_")}  # fmt: skip
