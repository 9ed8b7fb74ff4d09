"""The replay memory of an agent: the latest transitions, in memory or in memory-mapped files."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepkit.training.errors import RunDirError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

FOLDER = "replay"
_HAS_ACTION, _TERMINATED = 1, 2  # bits of `flags`
_MAX_ATTEMPTS = 64


class ReplayMemory:
    """A ring of rows for each environment. A row holds an observation, and the action and reward that follow it.

    The next row holds the next observation, so each observation is stored once; of stacked frames, only the newest one
    is stored. The last row of an episode has no action.

    The files hold more rows than the memory: those written since the last two checkpoints. A process that is killed
    has therefore overwritten nothing that the checkpoint needs, and a checkpoint stores only the number of rows.

    Args:
        num_envs: Number of environments.
        observation_shape: Shape of an observation; of `num_frames` stacked frames along the last axis.
        dtype: Type of the observations.
        size: Number of rows to draw from, in all environments together.
        margin: Number of rows per environment that are written between two checkpoints, at most.
        num_frames: Number of stacked frames in an observation; 1 if it is not a stack.
        num_actions: Number of actions if some may be illegal, so that the memory holds masks; else 0.
        folder: Folder of the files; None for arrays in memory.
    """

    def __init__(
        self,
        num_envs: int,
        observation_shape: tuple[int, ...],
        dtype: DTypeLike,
        size: int,
        margin: int,
        *,
        num_frames: int = 1,
        num_actions: int = 0,
        folder: Path | None = None,
    ) -> None:
        self.num_envs, self.num_frames, self.folder = num_envs, num_frames, folder
        self.window = -(-size // num_envs)
        self._margin = margin
        self.num_rows = self.window + (2 * margin if folder is not None else 0) + 2
        frame_shape = observation_shape
        if num_frames > 1:
            frame_shape = (*observation_shape[:-1], observation_shape[-1] // num_frames)
        layout: dict[str, tuple[tuple[int, ...], DTypeLike]] = {
            "observations": (frame_shape, dtype),
            "actions": ((), np.int32),
            "rewards": ((), np.float32),
            "flags": ((), np.uint8),
            "ages": ((), np.int32),  # number of rows since the beginning of the episode
        }
        if num_actions:
            layout["masks"] = ((num_actions,), bool)
        self._arrays = {name: self._create(name, shape, kind) for name, (shape, kind) in layout.items()}
        self._counts = np.zeros(num_envs, np.int64)  # rows that were written
        self._envs = np.arange(num_envs)
        self._segments: list[dict[str, Any]] = []  # rows between two checkpoints, with their checksum

    def begin(self, observations: np.ndarray, masks: np.ndarray | None) -> None:
        """Add the first observation of each environment."""
        self._add(self._envs, observations, masks, np.zeros(self.num_envs, np.int32))

    def add(
        self,
        actions: np.ndarray,
        rewards: np.ndarray,
        terminated: np.ndarray,
        observations: np.ndarray,
        masks: np.ndarray | None,
    ) -> None:
        """Add a step of each environment.

        Args:
            actions: Actions `(num_envs,)`.
            rewards: Rewards `(num_envs,)`.
            terminated: Whether the episode ended in the next observation, so that no value follows.
            observations: The next observations, before any reset.
            masks: Their legal actions, or None.
        """
        rows = (self._counts - 1) % self.num_rows
        index = (self._envs, rows)
        ages = self._arrays["ages"][index]
        self._arrays["actions"][index] = actions
        self._arrays["rewards"][index] = rewards
        self._arrays["flags"][index] = _HAS_ACTION + _TERMINATED * terminated.astype(np.uint8)
        self._add(self._envs, observations, masks, ages + 1)

    def restart(self, reset_mask: np.ndarray, observations: np.ndarray, masks: np.ndarray | None) -> None:
        """Add the first observation of the environments that were reset.

        Args:
            reset_mask: Which environments were reset.
            observations: Observations of all environments.
            masks: Their legal actions, or None.
        """
        envs = np.flatnonzero(reset_mask)
        legal = None if masks is None else masks[envs]
        self._add(envs, observations[envs], legal, np.zeros(len(envs), np.int32))

    def sample(self, batch_size: int, rng: np.random.Generator) -> dict[str, np.ndarray] | None:
        """Return transitions drawn uniformly with replacement; None if there are none.

        Args:
            batch_size: Number of transitions.
            rng: Random generator.

        Returns:
            `observations`, `actions`, `rewards`, `next_observations`, `terminated`, and `next_action_mask` if some
            actions may be illegal.
        """
        lowest = np.maximum(self._counts - 1 - self.window, 0)
        num_rows = self._counts - 1 - lowest  # without the last row, whose action is not known yet
        if not num_rows.any():
            return None
        envs = np.empty(batch_size, np.int64)
        rows = np.empty(batch_size, np.int64)
        missing = np.arange(batch_size)
        for _ in range(_MAX_ATTEMPTS):
            envs[missing] = rng.integers(self.num_envs, size=len(missing))
            drawn = envs[missing]
            rows[missing] = lowest[drawn] + (rng.random(len(missing)) * num_rows[drawn]).astype(np.int64)
            has_action = self._arrays["flags"][envs[missing], rows[missing] % self.num_rows] & _HAS_ACTION
            missing = missing[(has_action == 0) | (num_rows[drawn] == 0)]
            if not len(missing):
                return self._transitions(envs, rows)
        return None

    def capture(self) -> dict[str, Any]:
        """Return the state for a checkpoint: the number of rows, and checksums; write the new rows to the disk."""
        first = self._segments[-1]["last"] if self._segments else [0] * self.num_envs
        last = np.maximum(self._counts - 1, 0).tolist()  # the last row is still incomplete
        if last != first or not self._segments:
            self._segments.append({"first": first, "last": last, "checksum": self._checksum(first, last)})
        oldest = self._counts - self.num_rows
        self._segments = [
            segment for segment in self._segments if (np.asarray(segment["first"]) >= oldest).all()
        ] or self._segments[-1:]
        if self.folder is not None:
            for array in self._arrays.values():
                array.flush()  # type: ignore[attr-defined]
        return {"counts": self._counts.copy(), "segments": [dict(segment) for segment in self._segments]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint, whose rows are in the files.

        Raises:
            RunDirError: Rows that the checkpoint needs have other checksums.
        """
        self._counts = np.array(state["counts"], np.int64)
        self._segments = [dict(segment) for segment in state["segments"]]
        intact = self._counts - self.num_rows + self._margin  # later rows may have replaced the rows before it
        for segment in self._segments:
            first, last = segment["first"], segment["last"]
            if (np.asarray(first) >= intact).all() and self._checksum(first, last) != segment["checksum"]:
                raise RunDirError(
                    f"run_dir: the files in {self.folder} are damaged: their rows do not have the checksum in the "
                    "checkpoint",
                    hint="restore the folder from a backup, or use another run_dir",
                )

    def end_episodes(self) -> None:
        """Mark the last row of each environment as the end of an episode that was cut off."""
        self._arrays["flags"][self._envs, (self._counts - 1) % self.num_rows] = 0

    def _add(self, envs: np.ndarray, observations: np.ndarray, masks: np.ndarray | None, ages: np.ndarray) -> None:
        index = (envs, self._counts[envs] % self.num_rows)
        depth = self._arrays["observations"].shape[-1]
        self._arrays["observations"][index] = observations[..., -depth:] if self.num_frames > 1 else observations
        self._arrays["flags"][index] = 0
        self._arrays["ages"][index] = ages
        if masks is not None:
            self._arrays["masks"][index] = masks
        self._counts[envs] += 1

    def _transitions(self, envs: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
        index = (envs, rows % self.num_rows)
        batch = {
            "observations": self._observations(envs, rows),
            "actions": self._arrays["actions"][index],
            "rewards": self._arrays["rewards"][index],
            "next_observations": self._observations(envs, rows + 1),
            "terminated": (self._arrays["flags"][index] & _TERMINATED) > 0,
        }
        if "masks" in self._arrays:
            batch["next_action_mask"] = self._arrays["masks"][envs, (rows + 1) % self.num_rows]
        return batch

    def _observations(self, envs: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the observations of rows; the first frame of an episode is repeated in its first stacks."""
        frames = self._arrays["observations"]
        if self.num_frames == 1:
            return frames[envs, rows % self.num_rows]
        ages = self._arrays["ages"][envs, rows % self.num_rows]
        steps_back = [np.minimum(k, ages) for k in range(self.num_frames - 1, -1, -1)]
        return np.concatenate([frames[envs, (rows - k) % self.num_rows] for k in steps_back], axis=-1)

    def _checksum(self, first: list[int], last: list[int]) -> int:
        value = 0
        for env in range(self.num_envs):
            begin = max(first[env], last[env] - self.num_rows)
            rows = np.arange(begin, last[env]) % self.num_rows
            for array in self._arrays.values():
                value = zlib.crc32(np.ascontiguousarray(array[env, rows]).view(np.uint8).data, value)
        return value

    def _create(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        full_shape = (self.num_envs, self.num_rows, *shape)
        if self.folder is None:
            return np.zeros(full_shape, dtype)
        path = self.folder / f"{name}.npy"
        if not path.exists():
            self.folder.mkdir(exist_ok=True)
            return np.lib.format.open_memmap(path, "w+", np.dtype(dtype), full_shape)
        try:
            array = np.lib.format.open_memmap(path, "r+")
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error
        if array.shape != full_shape or array.dtype != np.dtype(dtype):
            raise _damaged(path, f"it holds {array.dtype} {array.shape}, expected {np.dtype(dtype)} {full_shape}")
        return array


def _damaged(path: Path, reason: object) -> RunDirError:
    return RunDirError(
        f"run_dir: {path} is damaged ({reason})", hint="restore the file from a backup, or use another run_dir"
    )
