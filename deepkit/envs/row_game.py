"""Games in which a row of stones wins: the rules that tic-tac-toe and Connect Four share."""

from __future__ import annotations

import abc
import functools
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from deepkit.envs.board_game import SIDES, BoardGame, BoolArray, FloatArray, IntArray, State, check_num_games


class RowGame(BoardGame):
    """A game in which two sides place stones in turn, and the first row of `length` stones wins.

    A position has the arrays `board`, int8 (games, rows, columns), where the stones of the first side are 1, those of
    the second -1, and an empty cell is 0; `to_play`, int8 (games,); and `finished`, bool (games,). An observation has
    two planes: the stones of the side to move, and those of the other side.
    """

    rows: ClassVar[int]
    columns: ClassVar[int]
    length: ClassVar[int]
    """Stones in a row that win, in any direction."""

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """Rows, columns and planes of an observation."""
        return self.rows, self.columns, 2

    @abc.abstractmethod
    def cells(self, state: State) -> IntArray:
        """Return the cell, row * columns + column, in which each legal action places a stone, (games, actions)."""

    def start(self, num_games: int) -> State:
        """Return empty boards."""
        num_games = check_num_games(num_games, self.name)
        return {
            "board": np.zeros((num_games, self.rows, self.columns), np.int8),
            "to_play": np.zeros(num_games, np.int8),
            "finished": np.zeros(num_games, bool),
        }

    def apply(self, state: State, actions: IntArray) -> tuple[State, FloatArray, BoolArray]:
        """Place a stone in each game; a row wins, and a full board is a draw."""
        stones = 1 - 2 * state["to_play"]
        board = state["board"].copy()
        flat = board.reshape(len(board), self.rows * self.columns)  # a view
        games = np.arange(len(flat))
        flat[games, self.cells(state)[games, actions]] = stones
        has_won = self.has_row(board == stones[:, None, None])
        finished = has_won | flat.all(1)
        next_state = {"board": board, "to_play": (1 - state["to_play"]).astype(np.int8), "finished": finished}
        return next_state, has_won.astype(np.float32), finished

    def has_row(self, stones: BoolArray) -> BoolArray:
        """Return whether there is a winning row among the stones of one side.

        Args:
            stones: Whether a cell has a stone, (games, rows, columns).

        Returns:
            A boolean for each game, (games,).
        """
        flat = stones.reshape(len(stones), self.rows * self.columns).astype(np.float32)
        counts = flat @ row_matrix(self.rows, self.columns, self.length)
        return (counts == self.length).any(1)

    def winning_actions(self, state: State, side: NDArray[np.int8]) -> BoolArray:
        """Return whether each action completes a row of a side, (games, actions).

        Args:
            state: Positions that are not finished.
            side: The side of each game, 0 or 1; it need not be the one to move.
        """
        stones = (1 - 2 * side)[:, None] * state["board"].reshape(len(side), self.rows * self.columns)
        lines = row_matrix(self.rows, self.columns, self.length)
        counts = stones.astype(np.float32) @ lines  # length - 1 only if the last cell of the line is empty
        cells = (counts == self.length - 1).astype(np.float32) @ lines.T > 0
        wins: BoolArray = np.take_along_axis(cells, self.cells(state), axis=1)
        return wins & self.legal_actions(state)

    def observe(self, state: State) -> FloatArray:
        """Return two planes: the stones of the side to move, and those of the other side."""
        stones = (1 - 2 * state["to_play"])[:, None, None]
        return np.stack([state["board"] == stones, state["board"] == -stones], axis=-1).astype(np.float32)

    def to_play(self, state: State) -> NDArray[np.int8]:
        """Return the side to move; in a finished game, the side that would move next."""
        return state["to_play"]

    def draw(self, state: State, index: int = 0) -> str:
        """Return a board with X for the first side and O for the second, and who moves or has won."""
        board, side = state["board"][index], int(state["to_play"][index])
        letters = np.array([".", *SIDES])[board]  # -1 is the last
        lines = [" ".join(row) for row in letters]
        if not state["finished"][index]:
            lines.append(f"{SIDES[side]} to move")
        elif self.has_row(board[None] == 2 * side - 1)[0]:
            lines.append(f"{SIDES[1 - side]} has won")
        else:
            lines.append("draw")
        return "\n".join(lines)


@functools.cache
def row_matrix(rows: int, columns: int, length: int) -> NDArray[np.float32]:
    """Return all rows of `length` cells on a board as columns of 0 and 1, (cells, lines).

    The product with the stones of a side counts its stones on each line.
    """
    lines = []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        for row in range(rows):
            for column in range(columns):
                last_row, last_column = row + down * (length - 1), column + right * (length - 1)
                if last_row < rows and 0 <= last_column < columns:
                    line = np.zeros((rows, columns), np.float32)
                    steps = np.arange(length)
                    line[row + down * steps, column + right * steps] = 1
                    lines.append(line.ravel())
    return np.stack(lines, axis=1)
