"""Catch: move a paddle below a falling ball."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from deepkit.envs.batched import BatchedEnv, State
from deepkit.envs.single import SingleEnv, single_metadata
from deepkit.utils.errors import format_value, make_error
from deepkit.utils.validation import check_integer

LEFT, STAY, RIGHT = range(3)
LIT = 255


class BatchedCatch(BatchedEnv):
    """Several games of Catch at once, vectorized in NumPy; `Catch` is a single one and describes the rules.

    Args:
        num_envs: Number of environments.
        rows: Number of rows.
        columns: Number of columns.
        num_balls: Number of balls in an episode.
        image_size: Height and width of the observation, or one integer for both; None for the size of the grid.
        max_episode_steps: Truncate an episode after this many steps; None for no limit.
        render_mode: `"rgb_array"` or None.

    Raises:
        ValueError: A number is out of range, or the paddle cannot reach every ball.

    Examples:
        >>> env = BatchedCatch(num_envs=3, image_size=84)
        >>> observations, info = env.reset(seed=0)
        >>> observations.shape, observations.dtype
        ((3, 84, 84, 1), dtype('uint8'))
    """

    metadata: dict[str, Any] = {**BatchedEnv.metadata, "render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        *,
        rows: int = 10,
        columns: int = 10,
        num_balls: int = 1,
        image_size: int | tuple[int, int] | None = None,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.rows = check_integer(rows, "Catch: rows", minimum=2)
        self.columns = check_integer(columns, "Catch: columns", minimum=2)
        self.num_balls = check_integer(num_balls, "Catch: num_balls")
        _check_reachable(self.rows, self.columns, self.num_balls)
        self.image_size = _check_image_size(image_size, self.rows, self.columns)
        # the cell of the grid that each row and each column of the image shows
        self._row_of_pixel = np.arange(self.image_size[0]) * self.rows // self.image_size[0]
        self._column_of_pixel = np.arange(self.image_size[1]) * self.columns // self.image_size[1]
        space = gymnasium.spaces.Box(0, 255, (*self.image_size, 1), np.uint8)
        super().__init__(num_envs, space, num_actions=3, max_episode_steps=max_episode_steps, render_mode=render_mode)

    def start_episodes(self, num: int) -> State:
        """Return new episodes: the ball in a random column of the top row, the paddle in the middle."""
        return {
            "ball_row": np.zeros(num, dtype=np.int64),
            "ball_column": self.np_random.integers(self.columns, size=num),
            "paddle": np.full(num, self.columns // 2, dtype=np.int64),
            "num_fallen": np.zeros(num, dtype=np.int64),
        }

    def advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Move the paddles, let the balls fall by one row, and drop the next ball where one has arrived."""
        state = self._state
        state["paddle"] = np.clip(state["paddle"] + actions - STAY, 0, self.columns - 1)
        state["ball_row"] += 1
        arrived = state["ball_row"] == self.rows - 1
        caught = state["ball_column"] == state["paddle"]
        rewards = np.where(arrived, np.where(caught, 1.0, -1.0), 0.0)
        state["num_fallen"] += arrived
        terminated = state["num_fallen"] == self.num_balls
        next_ball = arrived & ~terminated
        state["ball_row"][next_ball] = 0
        state["ball_column"][next_ball] = self.np_random.integers(self.columns, size=int(next_ball.sum()))
        return rewards, terminated

    def observe(self) -> np.ndarray:
        """Return images with a lit ball and a lit paddle, uint8 `(num_envs, height, width, 1)`."""
        games = np.arange(self.num_envs)
        grids = np.zeros((self.num_envs, self.rows, self.columns), dtype=np.uint8)
        grids[games, self._state["ball_row"], self._state["ball_column"]] = LIT
        grids[games, self.rows - 1, self._state["paddle"]] = LIT
        return grids[:, self._row_of_pixel][:, :, self._column_of_pixel, np.newaxis]

    def describe(self) -> dict[str, Any]:
        """Return the arguments."""
        sizes = {"rows": self.rows, "columns": self.columns, "num_balls": self.num_balls}
        return {**sizes, "image_size": list(self.image_size)}

    def draw_frame(self, index: int) -> np.ndarray:
        """Return the observation as an RGB image, at least 80 pixels high."""
        frame = self.observe()[index]
        scale = max(1, -(-80 // frame.shape[0]))
        return np.repeat(frame, 3, axis=2).repeat(scale, axis=0).repeat(scale, axis=1)


class Catch(SingleEnv):
    """Catch: a ball falls from a random column of the top row, and the paddle in the bottom row has to be below it.

    The ball falls straight down by one row in each step, and a missed ball costs a reward, as the game is commonly
    used.

    Actions: 0 moves the paddle to the left, 1 leaves it, 2 moves it to the right. Reward: 1 for a caught ball and -1
    for a missed one, when it arrives; 0 in all other steps. An episode lasts `num_balls * (rows - 1)` steps.
    Observation: uint8 `(rows, columns, 1)`, 255 at ball and paddle, 0 elsewhere; `image_size` enlarges it.

    Reference:
        Mnih et al. 2014, "Recurrent models of visual attention".

    Args:
        rows: Number of rows.
        columns: Number of columns, at most so many that each ball can be caught.
        num_balls: Number of balls in an episode, one after the other.
        image_size: Height and width of the observation, or one integer for both; None for the size of the grid.
        max_episode_steps: Truncate an episode after this many steps; None for no limit.
        render_mode: `"rgb_array"` or None.

    Raises:
        ValueError: A number is out of range, or the paddle cannot reach every ball.

    Examples:
        >>> env = Catch(rows=5, columns=5)
        >>> observation, info = env.reset(seed=0)
        >>> observation[..., 0]
        array([[  0,   0,   0,   0, 255],
               [  0,   0,   0,   0,   0],
               [  0,   0,   0,   0,   0],
               [  0,   0,   0,   0,   0],
               [  0,   0, 255,   0,   0]], dtype=uint8)
    """

    metadata = single_metadata(BatchedCatch)

    def __init__(
        self,
        *,
        rows: int = 10,
        columns: int = 10,
        num_balls: int = 1,
        image_size: int | tuple[int, int] | None = None,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(
            BatchedCatch(
                1,
                rows=rows,
                columns=columns,
                num_balls=num_balls,
                image_size=image_size,
                max_episode_steps=max_episode_steps,
                render_mode=render_mode,
            )
        )


def _check_reachable(rows: int, columns: int, num_balls: int) -> None:
    """Raise an error if a ball may fall out of the reach of the paddle, which starts in the middle."""
    distance = columns // 2 if num_balls == 1 else columns - 1
    if distance > rows - 1:
        balls = "one ball" if num_balls == 1 else f"{num_balls} balls"
        raise make_error(
            ValueError,
            f"Catch: columns={columns} with rows={rows} and {balls} leaves balls out of reach: the paddle needs "
            f"{distance} steps and has {rows - 1}",
            hint=f"use at least {distance + 1} rows, or fewer columns",
        )


def _check_image_size(image_size: object, rows: int, columns: int) -> tuple[int, int]:
    if image_size is None:
        return rows, columns
    sizes = image_size if isinstance(image_size, tuple | list) else (image_size, image_size)
    if len(sizes) != 2:
        raise make_error(
            ValueError,
            f"Catch: image_size must be an integer or two, received {format_value(image_size)}",
            hint="pass image_size=84 or image_size=(84, 84)",
        )
    hint = "the image must be at least as large as the grid"
    height = check_integer(sizes[0], "Catch: image_size", minimum=rows, hint=hint)
    return height, check_integer(sizes[1], "Catch: image_size", minimum=columns, hint=hint)
