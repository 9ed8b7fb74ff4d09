"""Gridworld: a Markov decision process on a small map, whose transition probabilities are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import gymnasium
import numpy as np

from deepkit.envs.batched import BatchedEnv, State
from deepkit.envs.grid_map import GOAL, PIT, START, WALL, parse_grid
from deepkit.envs.single import SingleEnv
from deepkit.utils.validation import check_choice, check_discount, check_number

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from deepkit.visualize.figures import PngFigure

OBSERVATIONS = ("state", "one_hot", "image")
DETOUR = ("......", ".####.", "......", "S.PP.G")  # a short path beside pits, and a long path around a wall
_COLORS = {START: (241, 243, 245), GOAL: (43, 138, 62), PIT: (232, 89, 12), WALL: (52, 58, 64)}
_AGENT_COLOR = (59, 91, 219)
_PIXELS_PER_CELL = 24  # of a rendered frame


class BatchedGridworld(BatchedEnv):
    """Several gridworlds at once, vectorized in NumPy; `Gridworld` is a single one and describes the rules.

    Args:
        num_envs: Number of environments.
        grid: The map, as text or as a list of its rows.
        slip: Probability that the agent moves to the side.
        discount: Factor of the reward of each further step, for algorithms that solve the gridworld.
        step_reward: Reward of every step.
        observation: `"state"`, `"one_hot"` or `"image"`.
        max_episode_steps: Truncate an episode after this many steps; None for no limit.
        render_mode: `"ansi"`, `"rgb_array"` or None.

    Raises:
        TypeError: The map is not text.
        ValueError: The map or a number is wrong.

    Examples:
        >>> import numpy as np
        >>> env = BatchedGridworld(num_envs=3, slip=0)
        >>> observations, info = env.reset(seed=0)
        >>> env.step(np.array([0, 1, 2]))[0]  # up, right, down
        array([ 8, 15, 14])
    """

    metadata: dict[str, Any] = {**BatchedEnv.metadata, "render_modes": ["ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        *,
        grid: str | Sequence[str] = DETOUR,
        slip: float = 0.2,
        discount: float = 0.95,
        step_reward: float = -0.02,
        observation: Literal["state", "one_hot", "image"] = "state",
        max_episode_steps: int | None = 100,
        render_mode: str | None = None,
    ) -> None:
        self.grid_map = parse_grid(grid)
        self.slip = check_number(slip, "Gridworld: slip", minimum=0, maximum=1)
        self.discount = check_discount(discount, "Gridworld: discount")
        self.step_reward = check_number(step_reward, "Gridworld: step_reward")
        self.observation = check_choice(observation, "Gridworld: observation", OBSERVATIONS)
        self.num_states = len(self.grid_map.cells)
        bonus = np.where(self.grid_map.kinds == GOAL, 1.0, 0.0) - np.where(self.grid_map.kinds == PIT, 1.0, 0.0)
        self._entry_rewards = self.step_reward + bonus  # of the state that a step leads to
        self._one_hot = np.eye(self.num_states, dtype=np.float32)
        self._background = np.array([[_COLORS.get(kind, _COLORS[START]) for kind in row] for row in self.grid_map.rows])
        super().__init__(
            num_envs,
            self._make_space(),
            num_actions=4,
            max_episode_steps=max_episode_steps,
            render_mode=render_mode,
        )

    def _make_space(self) -> gymnasium.Space[Any]:
        if self.observation == "state":
            return gymnasium.spaces.Discrete(self.num_states)
        if self.observation == "one_hot":
            return gymnasium.spaces.Box(0, 1, (self.num_states,), np.float32)
        return gymnasium.spaces.Box(0, 255, (*self.grid_map.shape, 3), np.uint8)

    def start_episodes(self, num: int) -> State:
        """Return new episodes, each of which begins in one of the starts."""
        return {"position": self.np_random.choice(self.grid_map.starts, size=num)}

    def advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Move the agents, some of them to the side."""
        luck = self.np_random.random(self.num_envs)
        turns = np.where(luck < self.slip / 2, 1, np.where(luck < self.slip, 3, 0))  # right or left of the action
        positions = self.grid_map.successors[self._state["position"], (actions + turns) % 4]
        self._state["position"] = positions
        return self._entry_rewards[positions], self.grid_map.is_terminal[positions]

    def observe(self) -> np.ndarray:
        """Return states `(num_envs,)`, vectors `(num_envs, states)` or images `(num_envs, rows, columns, 3)`."""
        positions = self._state["position"]
        if self.observation == "state":
            return positions
        if self.observation == "one_hot":
            return self._one_hot[positions]
        images = np.repeat(self._background[np.newaxis], self.num_envs, axis=0)
        rows, columns = self.grid_map.cells[positions].T
        images[np.arange(self.num_envs), rows, columns] = _AGENT_COLOR
        return images

    def describe(self) -> dict[str, Any]:
        """Return the arguments."""
        numbers = {"slip": self.slip, "discount": self.discount, "step_reward": self.step_reward}
        return {"grid": list(self.grid_map.rows), **numbers, "observation": self.observation}

    def draw_frame(self, index: int) -> str | np.ndarray:
        """Return the map with an A for the agent, or an RGB image."""
        row, column = self.grid_map.cells[self._state["position"][index]]
        if self.render_mode == "ansi":
            rows = [list(line) for line in self.grid_map.rows]
            rows[row][column] = "A"
            return "\n".join("".join(line) for line in rows)
        image = self._background.astype(np.uint8)
        image[row, column] = _AGENT_COLOR
        return image.repeat(_PIXELS_PER_CELL, axis=0).repeat(_PIXELS_PER_CELL, axis=1)

    def transitions(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the transition probabilities P `(states, actions, states)` and the rewards R `(states, actions)`."""
        states = np.arange(self.num_states)
        P = np.zeros((self.num_states, 4, self.num_states))
        for action in range(4):
            for turn, probability in ((0, 1 - self.slip), (1, self.slip / 2), (3, self.slip / 2)):
                P[states, action, self.grid_map.successors[:, (action + turn) % 4]] += probability
        R = P @ self._entry_rewards
        terminal = self.grid_map.is_terminal  # a terminal state returns to itself with reward 0
        P[terminal] = np.eye(self.num_states)[terminal][:, np.newaxis]
        R[terminal] = 0
        return P, R

    def draw(self, *, policy: ArrayLike | None = None, values: ArrayLike | None = None) -> PngFigure:
        """Return a figure of the map with a policy and values.

        Args:
            policy: An action of each state, `(states,)`, or the probabilities of actions, `(states, actions)`.
            values: A value of each state, `(states,)`.
        """
        from deepkit.envs.gridworld_figure import draw_gridworld

        return draw_gridworld(self.grid_map, policy=policy, values=values)


class Gridworld(SingleEnv):
    """Gridworld: the agent walks on a map from a start to a goal, and must not fall into a pit.

    The map is text: `S` is a start, `G` a goal, `P` a pit, `#` a wall, and `.` floor. The states are the cells that are
    not walls, numbered from left to right and from top to bottom. An episode begins in one of the starts, each with
    equal probability.

    Actions: 0 up, 1 right, 2 down, 3 left. With probability `slip`, the agent moves to the right or to the left of the
    direction of the action, each with half of that probability. A wall or the border leaves it where it is. Reward:
    `step_reward` in each step, and 1 more for entering a goal or 1 less for entering a pit, both of which end the
    episode. Observation: the number of the state; `"one_hot"`: a vector float32 `(states,)`; `"image"`: a color image
    uint8 `(rows, columns, 3)` with a pixel for each cell.

    The default map has a short path beside two pits, and a long path around a wall, which is better if the floor is
    slippery.

    Reference:
        Sutton & Barto 2018, "Reinforcement Learning: An Introduction", chapter 3; Russell & Norvig, "Artificial
        Intelligence: A Modern Approach", for the slips.

    Args:
        grid: The map, as text or as a list of its rows.
        slip: Probability that the agent moves to the side, from 0 to 1.
        discount: Factor of the reward of each further step, at least 0 and below 1. It does not change the rewards of
            `step`; algorithms that solve the gridworld read it.
        step_reward: Reward of every step, negative for a short path.
        observation: `"state"`, `"one_hot"` or `"image"`.
        max_episode_steps: Truncate an episode after this many steps; None for no limit.
        render_mode: `"ansi"` for text, `"rgb_array"` for an image, or None.

    Raises:
        TypeError: The map is not text.
        ValueError: The rows of the map have different lengths, a character is unknown, there is no start, a start does
            not reach a goal, or a number is out of range.

    Examples:
        >>> import deepkit as dk
        >>> env = dk.envs.Gridworld(["S.#", ".PG", "..."], slip=0, render_mode="ansi")
        >>> observation, info = env.reset(seed=0)
        >>> observation, reward, terminated, truncated, info = env.step(2)  # down
        >>> print(env.render())
        S.#
        APG
        ...

        The transitions are known, so the optimal policy can be computed:

        >>> P, R = env.transitions()
        >>> Q = dk.teaching.value_iteration(P, R, env.discount)
        >>> Q.argmax(axis=1)[:3]  # down, left, down
        array([2, 3, 2])
        >>> figure = env.draw(policy=Q.argmax(axis=1), values=Q.max(axis=1))
    """

    batch: BatchedGridworld

    def __init__(
        self,
        grid: str | Sequence[str] = DETOUR,
        *,
        slip: float = 0.2,
        discount: float = 0.95,
        step_reward: float = -0.02,
        observation: Literal["state", "one_hot", "image"] = "state",
        max_episode_steps: int | None = 100,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(
            BatchedGridworld(
                1,
                grid=grid,
                slip=slip,
                discount=discount,
                step_reward=step_reward,
                observation=observation,
                max_episode_steps=max_episode_steps,
                render_mode=render_mode,
            )
        )

    @property
    def discount(self) -> float:
        """Factor of the reward of each further step."""
        return self.batch.discount

    @property
    def cells(self) -> np.ndarray:
        """Row and column of each state, `(states, 2)`."""
        return self.batch.grid_map.cells.copy()

    def transitions(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the exact transition probabilities and expected rewards.

        A goal and a pit return to themselves with reward 0, so that their value is 0.

        Returns:
            P `(states, actions, states)`, the probability of each next state, and R `(states, actions)`, the expected
            reward.

        Examples:
            >>> import deepkit as dk
            >>> P, R = dk.envs.Gridworld("SG", slip=0.2, step_reward=0).transitions()
            >>> P[0, 1], R[0, 1]  # to the right
            (array([0.2, 0.8]), np.float64(0.8))
        """
        return self.batch.transitions()

    def draw(self, *, policy: ArrayLike | None = None, values: ArrayLike | None = None) -> PngFigure:
        """Return a figure of the map: the values as numbers and colors, the policy as arrows.

        Args:
            policy: An action of each state, `(states,)`, or the probabilities of the actions, `(states, actions)`; the
                more probable, the longer the arrow.
            values: A value of each state, `(states,)`.

        Returns:
            The figure, which a notebook displays.

        Raises:
            ValueError: The shape of `policy` or `values` does not fit the map, or an action is out of range.

        Examples:
            >>> import deepkit as dk
            >>> env = dk.envs.Gridworld("S.G")
            >>> figure = env.draw(policy=[1, 1, 1], values=[0.9, 1, 0])
        """
        return self.batch.draw(policy=policy, values=values)
