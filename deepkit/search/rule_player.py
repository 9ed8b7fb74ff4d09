"""A player of games of rows that follows three rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepkit.envs.board_game import BoardGame, BoolArray, IntArray, State
from deepkit.envs.row_game import RowGame, row_matrix
from deepkit.utils.action_choice import sample_actions
from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_number


@dataclass(frozen=True)
class RulePlayer:
    """A player of tic-tac-toe and Connect Four: it wins if it can, blocks if it must, and prefers the center.

    Among the moves that these rules leave, it draws one from the softmax of the number of possible rows through the
    cell, which is largest in the center.

    Args:
        temperature: Divides these numbers: a small temperature plays the most central move, 0 always does.

    Raises:
        ValueError: The temperature is negative.
        TypeError: The player is called for another game.

    Examples:
        >>> import deepkit as dk
        >>> game = dk.envs.ConnectFour()
        >>> state = game.start(1)
        >>> for column in (0, 6, 1, 6, 2):  # X can win in column 3
        ...     state, rewards, finished = game.play(state, [column])
        >>> dk.search.RulePlayer()(game, state)
        array([3])
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_number(self.temperature, "RulePlayer: temperature", minimum=0)

    def __call__(self, game: BoardGame, state: State, rng: np.random.Generator | None = None) -> IntArray:
        """Choose an action for each game.

        Args:
            game: The rules.
            state: Positions that are not finished.
            rng: Source of randomness; by default a new generator with seed 0.
        """
        rows, choices = self._weigh(game, state)
        return sample_actions(rows, choices, rng or np.random.default_rng(0), self.temperature)

    def probabilities(self, game: BoardGame, state: State) -> NDArray[np.float64]:
        """Return the probability of each action, (games, actions).

        Args:
            game: The rules.
            state: Positions that are not finished.
        """
        rows, choices = self._weigh(game, state)
        if self.temperature == 0:
            choices = np.where(choices, rows, -1).argmax(1)[:, None] == np.arange(choices.shape[1])
        weights = np.where(choices, np.exp((rows - rows.max(1, keepdims=True)) / (self.temperature or 1)), 0)
        return weights / weights.sum(1, keepdims=True)

    def _weigh(self, game: BoardGame, state: State) -> tuple[NDArray[np.float64], BoolArray]:
        """Return the number of possible rows through the cell of each action, and the actions that the rules leave."""
        if not isinstance(game, RowGame):
            problem = (
                f"RulePlayer: expected dk.envs.TicTacToe() or dk.envs.ConnectFour(), received {format_value(game)}"
            )
            raise TypeError(message(problem, hint="use dk.search.random_player, which plays every game"))
        side = game.to_play(state)
        choices = game.legal_actions(state)
        for player in (1 - side, side):  # a win comes before a block
            wins = game.winning_actions(state, player)
            choices = np.where(wins.any(1, keepdims=True), wins, choices)
        rows_of_cells = row_matrix(game.rows, game.columns, game.length).sum(1)
        return rows_of_cells[game.cells(state)].astype(np.float64), choices
