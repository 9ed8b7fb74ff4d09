"""Board games as environments, in which the agent moves for both sides."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from deepkit.envs.batched import BatchedEnv
from deepkit.envs.board_game import BoardGame, BoolArray, FloatArray, IntArray, State
from deepkit.envs.board_game_names import find_game
from deepkit.envs.single import SingleEnv, single_metadata


class BatchedBoardGame(BatchedEnv):
    """A vector of games: each action is a move of the side to move, and the reward is that of this side.

    An observation has the planes of `game.observe`: the position as the side to move sees it. The reward is 1 if the
    move wins, -1 if it loses, and otherwise 0. `info["to_play"]` is the side to move, 0 or 1, and `info["action_mask"]`
    has the legal actions; an illegal action is an error. For an environment with an opponent see `dk.envs.against`.

    Args:
        num_envs: Number of environments.
        game: The rules, such as `dk.envs.ConnectFour()`, or their name.
        max_episode_steps: Truncate a game after this many moves; None for no limit.
        render_mode: `"ansi"` for frames of text, or None.

    Raises:
        ValueError: There is no game of this name, or a number is out of range.
        TypeError: `game` is neither a name nor a `BoardGame`.

    Examples:
        >>> import deepkit as dk
        >>> env = dk.envs.BatchedBoardGame(2, game="ConnectFour")
        >>> observations, info = env.reset()
        >>> observations.shape, info["to_play"]
        ((2, 6, 7, 2), array([0, 0], dtype=int8))
        >>> observations, rewards, terminated, truncated, info = env.step([3, 4])
        >>> info["to_play"]
        array([1, 1], dtype=int8)
    """

    metadata = {**BatchedEnv.metadata, "render_modes": ["ansi"], "render_fps": 2}  # noqa: RUF012  (of gymnasium)

    def __init__(
        self,
        num_envs: int = 1,
        *,
        game: str | BoardGame,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.game = find_game(game)
        super().__init__(
            num_envs,
            observation_space(self.game),
            num_actions=self.game.num_actions,
            max_episode_steps=max_episode_steps,
            render_mode=render_mode,
        )

    def describe(self) -> dict[str, Any]:
        """Return the code that makes the rules."""
        return {"game": repr(self.game)}

    def start_episodes(self, num: int) -> State:
        """Return the first position of games."""
        return self.game.start(num)

    def advance(self, actions: IntArray) -> tuple[np.ndarray, BoolArray]:
        """Play one move in each game."""
        self._state, rewards, finished = self.game.apply(self._state, actions)
        return rewards, finished

    def observe(self) -> FloatArray:
        """Return the positions as the sides to move see them."""
        return self.game.observe(self._state)

    def legal_actions(self) -> BoolArray:
        """Return the legal actions of each game."""
        return self.game.legal_actions(self._state)

    def info(self) -> dict[str, np.ndarray]:
        """Return the side to move and the legal actions."""
        return {"to_play": self.game.to_play(self._state).copy(), **super().info()}

    def draw_frame(self, index: int) -> str:
        """Return the position of a game as text."""
        return self.game.draw(self._state, index)


class SingleBoardGame(SingleEnv):
    """A board game as a `gymnasium.Env`, in which the agent moves for both sides.

    `gymnasium.make("deepkit/ConnectFour-v0")` and `dk.envs.make("ConnectFour")` make it, too.

    Args:
        game: The rules, such as `dk.envs.ConnectFour()`, or their name.
        max_episode_steps: Truncate a game after this many moves; None for no limit.
        render_mode: `"ansi"` for frames of text, or None.

    Raises:
        ValueError: There is no game of this name, or a number is out of range.
        TypeError: `game` is neither a name nor a `BoardGame`.

    Examples:
        >>> import deepkit as dk
        >>> env = dk.envs.SingleBoardGame(game="TicTacToe", render_mode="ansi")
        >>> observation, info = env.reset()
        >>> observation, reward, terminated, truncated, info = env.step(4)
        >>> print(env.render())
        . . .
        . X .
        . . .
        O to move
    """

    metadata = single_metadata(BatchedBoardGame)

    def __init__(
        self, *, game: str | BoardGame, max_episode_steps: int | None = None, render_mode: str | None = None
    ) -> None:
        batch = BatchedBoardGame(1, game=game, max_episode_steps=max_episode_steps, render_mode=render_mode)
        super().__init__(batch)


def observation_space(game: BoardGame) -> gymnasium.spaces.Box:
    """Return the space of the observations of one game: planes of numbers from 0 to 1."""
    return gymnasium.spaces.Box(0, 1, game.observation_shape, np.float32)
