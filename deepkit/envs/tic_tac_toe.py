"""Tic-tac-toe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from deepkit.envs.board_game import BoolArray, IntArray, State
from deepkit.envs.row_game import RowGame


@dataclass(frozen=True)
class TicTacToe(RowGame):
    """Tic-tac-toe: three stones in a row win on a board of 3x3 cells.

    The action is the cell, from 0 at the top left to 8 at the bottom right. `dk.envs.make("TicTacToe")` makes an
    environment of these rules.

    Examples:
        >>> import deepkit as dk
        >>> game = dk.envs.TicTacToe()
        >>> state, rewards, finished = game.play(game.start(1), [4])
        >>> print(game.draw(state))
        . . .
        . X .
        . . .
        O to move
    """

    name: ClassVar[str] = "TicTacToe"
    rows: ClassVar[int] = 3
    columns: ClassVar[int] = 3
    length: ClassVar[int] = 3

    @property
    def num_actions(self) -> int:
        """Number of cells."""
        return self.rows * self.columns

    def legal_actions(self, state: State) -> BoolArray:
        """Return the empty cells, (games, 9)."""
        is_empty: BoolArray = state["board"].reshape(-1, self.num_actions) == 0
        return is_empty & ~state["finished"][:, None]

    def cells(self, state: State) -> IntArray:
        """Return the actions: an action is a cell."""
        return np.broadcast_to(np.arange(self.num_actions), (len(state["board"]), self.num_actions))
