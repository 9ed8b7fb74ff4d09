"""Rules of board games for two sides: pure functions of many games at once."""

from __future__ import annotations

import abc
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_integer

State: TypeAlias = dict[str, np.ndarray]
"""Positions of many games: arrays whose first axis is the game."""

BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float32]

SIDES = ("X", "O")
"""Letters of the first and the second side."""


class BoardGame(abc.ABC):
    """Rules of a board game for two sides: pure functions of the positions of many games.

    A position is a dictionary of arrays with the game as the first axis, such as the stones and the side to move, so
    that one call plays a move in each of a thousand games. No method changes its arguments. A finished game has no
    legal action.

    A subclass is a frozen dataclass, so that games are compared by their arguments. It defines the abstract methods and
    properties.

    Examples:
        >>> import deepkit as dk
        >>> game = dk.envs.TicTacToe()
        >>> state = game.start(2)
        >>> for actions in ([4, 0], [0, 4], [2, 1], [6, 5], [3, 2]):
        ...     state, rewards, finished = game.play(state, actions)
        >>> rewards, finished
        (array([0., 1.], dtype=float32), array([False,  True]))
        >>> print(game.draw(state, index=1))
        X X X
        . O O
        . . .
        X has won
    """

    name: ClassVar[str]
    """Name of the game, such as `"ConnectFour"`."""

    @property
    @abc.abstractmethod
    def num_actions(self) -> int:
        """Number of actions; which of them are legal depends on the position."""

    @property
    @abc.abstractmethod
    def observation_shape(self) -> tuple[int, int, int]:
        """Rows, columns and planes of an observation."""

    @abc.abstractmethod
    def start(self, num_games: int) -> State:
        """Return the first position of games.

        Args:
            num_games: Number of games.
        """

    @abc.abstractmethod
    def legal_actions(self, state: State) -> BoolArray:
        """Return whether each action is legal, (games, actions); no action of a finished game is.

        Args:
            state: Positions of the games.
        """

    @abc.abstractmethod
    def apply(self, state: State, actions: IntArray) -> tuple[State, FloatArray, BoolArray]:
        """Play legal actions without checking them; `play` checks them first, a search knows that they are legal.

        Args:
            state: Positions that are not finished.
            actions: A legal action for each game, (games,).

        Returns:
            The next positions; the rewards of the side that has moved, 1 for a win, -1 for a loss, else 0; whether each
            game is finished.
        """

    @abc.abstractmethod
    def observe(self, state: State) -> FloatArray:
        """Return the observations of the side to move, float32 (games, rows, columns, planes).

        Args:
            state: Positions of the games.
        """

    @abc.abstractmethod
    def to_play(self, state: State) -> NDArray[np.int8]:
        """Return the side to move, (games,): 0 is the side that has begun, 1 the other.

        Args:
            state: Positions of the games.
        """

    @abc.abstractmethod
    def draw(self, state: State, index: int = 0) -> str:
        """Return the position of one game as text.

        Args:
            state: Positions of the games.
            index: Index of the game.
        """

    def is_finished(self, state: State) -> BoolArray:
        """Return whether each game is finished, (games,).

        Args:
            state: Positions of the games.
        """
        return np.logical_not(self.legal_actions(state).any(1))

    def play(self, state: State, actions: object) -> tuple[State, FloatArray, BoolArray]:
        """Play one action in each game.

        Args:
            state: Positions that are not finished.
            actions: The action of the side to move for each game: integers, (games,).

        Returns:
            The next positions; the rewards of the side that has moved, 1 for a win, -1 for a loss, else 0; whether each
            game is finished.

        Raises:
            ValueError: The actions have another shape or type, or one is illegal, or a game is finished.
        """
        return self.apply(state, self.check_actions(state, actions))

    def check_actions(self, state: State, actions: object, path: str = "") -> IntArray:
        """Return actions as an array of integers.

        Args:
            state: Positions that are not finished.
            actions: An action for each game.
            path: Name of the player that has chosen the actions, for the error.

        Raises:
            ValueError: The actions have another shape or type, or one is illegal, or a game is finished.
        """
        legal = self.legal_actions(state)
        num_games = len(legal)
        array = np.asarray(actions)
        if array.shape != (num_games,) or not np.issubdtype(array.dtype, np.integer):
            problem = (
                f"{self.name}: actions must be integers of shape ({num_games},), one for each game, received "
                f"{format_value(array if array.ndim else actions)}"
            )
            raise ValueError(message(problem, path=path, hint="pass an array such as np.array([0, 3])"))
        is_legal = (array >= 0) & (array < self.num_actions)
        is_legal &= legal[np.arange(num_games), np.clip(array, 0, self.num_actions - 1)]
        if not is_legal.all():
            raise ValueError(self._illegal_action(state, legal, array, int(np.argmin(is_legal)), path))
        return array.astype(np.int64)

    def _illegal_action(self, state: State, legal: BoolArray, actions: np.ndarray, index: int, path: str) -> str:
        choices = np.flatnonzero(legal[index]).tolist()
        if not choices:
            problem = f"{self.name}: game {index} is finished, received action {actions[index]}"
            hint = "play only the games for which `game.is_finished(state)` is False, or start new ones"
        else:
            expected = ", ".join(map(str, choices))
            problem = f"{self.name}: action {actions[index]} is illegal in game {index}, expected one of {expected}"
            hint = "choose among `game.legal_actions(state)`, in environments `info['action_mask']`"
        return message(problem, path=path, code=self.draw(state, index), hint=hint)


def check_num_games(num_games: int, name: str) -> int:
    """Return a number of games as an integer of at least 0; `name` is the game in the message."""
    return check_integer(num_games, f"{name}: num_games", minimum=0)


def take_games(state: State, index: np.ndarray) -> State:
    """Return the positions of some games.

    Args:
        state: Positions of many games.
        index: Indices of games, or a boolean for each game.
    """
    return {key: values[index] for key, values in state.items()}


def put_games(state: State, index: np.ndarray, new: State) -> State:
    """Return positions in which those of some games are replaced.

    Args:
        state: Positions of many games.
        index: Indices of the games to replace, or a boolean for each game.
        new: Positions of these games.
    """
    result = {key: values.copy() for key, values in state.items()}
    for key, values in new.items():
        result[key][index] = values
    return result
