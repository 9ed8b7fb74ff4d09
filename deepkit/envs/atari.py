"""Atari 2600 games, preprocessed as in the DQN papers, with exact states."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gymnasium
import numpy as np

from deepkit.envs import atari_games
from deepkit.envs.area_resize import AreaResize
from deepkit.envs.batched import BatchedEnv, State
from deepkit.envs.single import SingleEnv, single_metadata
from deepkit.utils.validation import check_choice, check_flag, check_integer, check_number

IMAGE_SIZE = (84, 84)
NUM_FRAMES = 4


class BatchedAtari(BatchedEnv):
    """Several emulators with the same Atari game; `Atari` is a single one and describes the preprocessing.

    The state does not contain the screen: after `set_state`, `render` is right from the next step on.

    Args:
        game: Name of the game: `"Pong"` or `"ALE/Pong-v5"`.
        num_envs: Number of environments: one emulator each.
        frame_skip: Number of frames for which an action is repeated.
        max_noops: Largest number of frames without an action at the start of a game; 0 for none.
        end_on_life_loss: Whether the loss of a life terminates the episode; the next one continues the game.
        action_set: `"minimal"`, the actions that the game uses, or `"full"`, all 18.
        repeat_action_probability: Probability that a frame repeats the previous action.
        max_episode_steps: Truncate an episode after this many steps; None for no limit.
        render_mode: `"rgb_array"` or None.

    Examples:
        >>> env = BatchedAtari("Pong", num_envs=2)
        >>> observations, info = env.reset(seed=0)
        >>> observations.shape, env.single_action_space
        ((2, 84, 84, 4), Discrete(6))
    """

    num_stacked_frames = NUM_FRAMES

    _STATE_KEYS = BatchedEnv._STATE_KEYS | {"emulators"}

    metadata: dict[str, Any] = {**BatchedEnv.metadata, "render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012

    def __init__(
        self,
        game: str,
        num_envs: int = 1,
        *,
        frame_skip: int = 4,
        max_noops: int = 30,
        end_on_life_loss: bool = False,
        action_set: str = "minimal",
        repeat_action_probability: float = 0.0,
        max_episode_steps: int | None = 27_000,
        render_mode: str | None = None,
    ) -> None:
        self.game = atari_games.check_game(game)
        self.frame_skip = check_integer(frame_skip, "Atari: frame_skip")
        self.max_noops = check_integer(max_noops, "Atari: max_noops", minimum=0)
        self.end_on_life_loss = check_flag(end_on_life_loss, "Atari: end_on_life_loss")
        self.action_set = check_choice(action_set, "Atari: action_set", ("minimal", "full"))
        self.repeat_action_probability = check_number(
            repeat_action_probability, "Atari: repeat_action_probability", minimum=0, below=1
        )
        num_emulators = check_integer(num_envs, "Atari: num_envs")
        self._emulators: list[Any] = []  # made by the first reset
        self._actions = self._find_actions()
        screen_size = atari_games.game_properties(self.game).screen_size
        self._screens = np.zeros((num_emulators, 2, *screen_size), dtype=np.uint8)  # the last two frames of a step
        self._resize = AreaResize(screen_size, IMAGE_SIZE)
        self._threads = _make_threads(num_emulators)
        super().__init__(
            num_envs,
            gymnasium.spaces.Box(0, 255, (*IMAGE_SIZE, NUM_FRAMES), np.uint8),
            num_actions=len(self._actions),
            max_episode_steps=max_episode_steps,
            render_mode=render_mode,
        )

    def action_meanings(self) -> list[str]:
        """Return the name of each action, such as `"NOOP"` or `"FIRE"`."""
        return [action.name for action in self._actions]

    def seed_random_sources(self) -> None:
        """Load the game into each emulator with a seed of `self.np_random`."""
        if self._state:
            self._state["life_lost"][:] = False  # the new emulators have no game to continue
        seeds = self.np_random.integers(2**31, size=self.num_envs)
        self._emulators = [atari_games.make_emulator(self.game, seed=int(seed)) for seed in seeds]

    def start_episodes(self, num: int) -> State:
        """Start games with no-op actions; after the loss of a life, continue the game."""
        indices = np.flatnonzero(self._starting)
        continues = np.array([self._continues(int(index)) for index in indices])
        for index in indices[~continues]:
            self._start_game(index)
        frames = self._resize(self._screens[indices, 1])[..., np.newaxis].repeat(NUM_FRAMES, axis=-1)
        scores = np.zeros(num)
        previous_actions = np.full(num, atari_games.NOOP)
        if continues.any():
            frames[continues] = self._state["frames"][indices[continues]][..., -1:]
            scores[continues] = self._state["score"][indices[continues]]
            previous_actions[continues] = self._state["previous_action"][indices[continues]]
        emulators = [self._emulators[index] for index in indices]
        return {
            "frames": frames,
            "score": scores,
            "previous_action": previous_actions,
            "lives": np.array([emulator.lives() for emulator in emulators], dtype=np.int64),
            "game_over": np.zeros(num, dtype=bool),
            "life_lost": np.zeros(num, dtype=bool),
        }

    def advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Repeat each action for `frame_skip` frames, and append the maximum of the last two frames."""
        state = self._state
        apply = map if self._threads is None else self._threads.map
        rewards = np.array(list(apply(self._act, range(self.num_envs), self._actions_of_frames(actions))))
        lives = np.array([emulator.lives() for emulator in self._emulators], dtype=np.int64)
        images = self._resize(self._screens.max(axis=1))
        state["frames"] = np.concatenate([state["frames"][..., 1:], images[..., np.newaxis]], axis=-1)
        state["score"] = state["score"] + rewards
        state["game_over"] = np.array([emulator.game_over() for emulator in self._emulators])
        state["life_lost"] = (lives < state["lives"]) & self.end_on_life_loss
        state["lives"] = lives
        return rewards, state["game_over"] | state["life_lost"]

    def observe(self) -> np.ndarray:
        """Return the last four images, oldest first, uint8 `(num_envs, 84, 84, 4)`."""
        return self._state["frames"]

    def info(self) -> dict[str, np.ndarray]:
        """Return the lives, the score since the start of the game, and whether the game is over."""
        return {key: self._state[key] for key in ("lives", "score", "game_over")}

    def describe(self) -> dict[str, Any]:
        """Return the arguments."""
        names = ("game", "frame_skip", "max_noops", "end_on_life_loss", "action_set", "repeat_action_probability")
        return {name: getattr(self, name) for name in names}

    def draw_frame(self, index: int) -> np.ndarray:
        """Return the screen in color."""
        return self._emulators[index].getScreenRGB()

    def get_state(self) -> dict[str, Any]:
        """Return a copy of everything that the next steps and resets depend on, with the states of the emulators."""
        states = [emulator.cloneState(include_rng=True).serialize() for emulator in self._emulators]
        return {**super().get_state(), "emulators": [np.frombuffer(state, np.uint8).copy() for state in states]}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state of an equal environment.

        Args:
            state: The result of `get_state`.
        """
        contents = atari_games.read_emulator_states(state.get("emulators", ()) if isinstance(state, Mapping) else ())
        super().set_state(state)
        if len(contents) != len(self._emulators):  # before the first reset, there are none
            self._emulators = [atari_games.make_emulator(self.game, seed=0) for _ in contents]
        for emulator, content in zip(self._emulators, contents, strict=True):
            atari_games.restore_emulator(emulator, content)

    def close_extras(self, **kwargs: Any) -> None:
        """End the threads of the emulators."""
        if self._threads is not None:
            self._threads.shutdown()

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes for a pickle or a copy, with the states of the emulators instead of the emulators."""
        attributes = {
            key: value for key, value in vars(self).items() if key not in ("_emulators", "_threads", "_actions")
        }
        return {"attributes": attributes, "state": self.get_state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state["attributes"])
        self._emulators = []
        self._threads = _make_threads(self.num_envs)
        self._actions = self._find_actions()
        self.set_state(state["state"])

    def _find_actions(self) -> Sequence[Any]:
        properties = atari_games.game_properties(self.game)
        return properties.minimal_actions if self.action_set == "minimal" else properties.all_actions

    def _continues(self, index: int) -> bool:
        return bool(self._state) and bool(self._state["life_lost"][index] & ~self._state["game_over"][index])

    def _start_game(self, index: int) -> None:
        emulator = self._emulators[index]
        atari_games.start_game(emulator, int(self.np_random.integers(1, self.max_noops + 1)) if self.max_noops else 0)
        emulator.getScreenGrayscale(self._screens[index, 1])

    def _actions_of_frames(self, actions: np.ndarray) -> np.ndarray:
        """Return the action of each frame, `(num_envs, frame_skip)`.

        Each frame repeats the previous action with a probability. The emulator can do that, but the state that it
        saves lacks the previous action.
        """
        if self.repeat_action_probability == 0:
            return np.repeat(actions[:, np.newaxis], self.frame_skip, axis=1)
        repeats = self.np_random.random((self.num_envs, self.frame_skip)) < self.repeat_action_probability
        frames = np.empty((self.num_envs, self.frame_skip), dtype=np.int64)
        previous = self._state["previous_action"]
        for frame in range(self.frame_skip):
            previous = np.where(repeats[:, frame], previous, actions)
            frames[:, frame] = previous
        self._state["previous_action"] = previous
        return frames

    def _act(self, index: int, actions: np.ndarray) -> float:
        """Take an action in each frame until the game is over, read the last two frames, and return the reward."""
        emulator = self._emulators[index]
        screens = self._screens[index]
        screens[0] = 0
        reward = 0.0
        for frame, action in enumerate(actions, start=1):
            reward += emulator.act(self._actions[action])
            is_last = frame == self.frame_skip or emulator.game_over()
            if is_last or frame == self.frame_skip - 1:
                emulator.getScreenGrayscale(screens[int(is_last)])
            if is_last:
                break
        return reward


def _make_threads(num_envs: int) -> ThreadPoolExecutor | None:
    """Return threads for several emulators: they compute frames without Python's global lock."""
    return ThreadPoolExecutor(min(num_envs, os.cpu_count() or 1)) if num_envs > 1 else None


class Atari(SingleEnv):
    """An Atari 2600 game, preprocessed as for a deep Q-network.

    An action is repeated for `frame_skip` frames. The last two frames are turned to gray, and their pixelwise maximum
    is averaged down to 84 x 84 pixels; the observation is the last four such images, oldest first, uint8 `(84, 84, 4)`.
    A game starts with 1 to `max_noops` frames without an action; at its start, the four images are equal. The reward is
    the change of the score, not clipped.

    `info` has `lives`, `score` (since the start of the game) and `game_over`.

    Reference:
        Mnih et al. 2015, "Human-level control through deep reinforcement learning", Methods.

    Args:
        game: Name of the game: `"Pong"` or `"ALE/Pong-v5"`.
        frame_skip: Number of frames for which an action is repeated.
        max_noops: Largest number of frames without an action at the start of a game; 0 for none.
        end_on_life_loss: Whether the loss of a life terminates the episode; the next one continues the game.
        action_set: `"minimal"`, the actions that the game uses, or `"full"`, all 18.
        repeat_action_probability: Probability that a frame repeats the previous action: 0 as in Mnih et
            al. (2015), 0.25 as Machado et al. (2018) recommend.
        max_episode_steps: Truncate an episode after this many steps, 30 minutes of play by default; None for no limit.
        render_mode: `"rgb_array"` or None.

    Raises:
        ImportError: The package ale-py is not installed; `pip install 'deepkit-keras[atari]'` installs it.
        ValueError: There is no game of this name, or a number is out of range.

    Examples:
        >>> env = Atari("Breakout", end_on_life_loss=True)
        >>> observation, info = env.reset(seed=0)
        >>> observation.shape, info["lives"], env.batch.action_meanings()
        ((84, 84, 4), 5, ['NOOP', 'FIRE', 'RIGHT', 'LEFT'])
    """

    metadata = single_metadata(BatchedAtari)

    def __init__(
        self,
        game: str,
        *,
        frame_skip: int = 4,
        max_noops: int = 30,
        end_on_life_loss: bool = False,
        action_set: str = "minimal",
        repeat_action_probability: float = 0.0,
        max_episode_steps: int | None = 27_000,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(
            BatchedAtari(
                game,
                frame_skip=frame_skip,
                max_noops=max_noops,
                end_on_life_loss=end_on_life_loss,
                action_set=action_set,
                repeat_action_probability=repeat_action_probability,
                max_episode_steps=max_episode_steps,
                render_mode=render_mode,
            )
        )
