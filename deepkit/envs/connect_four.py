"""Connect Four."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from deepkit.envs.board_game import BoolArray, IntArray, State
from deepkit.envs.row_game import RowGame


@dataclass(frozen=True)
class ConnectFour(RowGame):
    """Connect Four: four stones in a row win on a board of six rows and seven columns, in which stones fall down.

    The action is the column, from 0 at the left to 6. `dk.envs.make("ConnectFour")` makes an environment of these
    rules.

    Examples:
        >>> import deepkit as dk
        >>> game = dk.envs.ConnectFour()
        >>> state = game.start(1)
        >>> for column in (3, 3, 2):
        ...     state, rewards, finished = game.play(state, [column])
        >>> print(game.draw(state))
        . . . . . . .
        . . . . . . .
        . . . . . . .
        . . . . . . .
        . . . O . . .
        . . X X . . .
        O to move
    """

    name: ClassVar[str] = "ConnectFour"
    rows: ClassVar[int] = 6
    columns: ClassVar[int] = 7
    length: ClassVar[int] = 4

    @property
    def num_actions(self) -> int:
        """Number of columns."""
        return self.columns

    def legal_actions(self, state: State) -> BoolArray:
        """Return the columns whose top cell is empty, (games, 7)."""
        is_open: BoolArray = state["board"][:, 0] == 0
        return is_open & ~state["finished"][:, None]

    def cells(self, state: State) -> IntArray:
        """Return the lowest empty cell of each column; the top cell of a full one."""
        heights = (state["board"] != 0).sum(1)  # (games, columns)
        rows = np.maximum(self.rows - 1 - heights, 0)
        return rows * self.columns + np.arange(self.columns)
