"""Games of two players, played from their positions to the end, all at the same time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepkit.envs.board_game import BoardGame, IntArray, State, take_games
from deepkit.envs.players import Player


def play_out(
    game: BoardGame,
    state: State,
    players: tuple[Player, Player],
    sides: NDArray[np.integer],
    rng: np.random.Generator,
    names: tuple[str, str],
) -> tuple[NDArray[np.float64], IntArray]:
    """Finish each game once. A player is called once per move, for all games in which it is to move.

    Args:
        game: The rules.
        state: Positions that are not finished.
        players: The first and the second player.
        sides: The side of the first player in each game, (games,).
        rng: Source of randomness.
        names: Names of the players in errors.

    Returns:
        The outcomes for the first player, and the numbers of moves, both (games,).

    Raises:
        ValueError: A player plays an illegal move.
    """
    outcomes, lengths = np.zeros(len(sides)), np.zeros(len(sides), np.int64)
    running = np.arange(len(sides))
    while len(running):
        is_first = game.to_play(state) == sides[running]
        actions = np.zeros(len(running), np.int64)
        for player, is_moving, name in zip(players, (is_first, ~is_first), names, strict=True):
            if is_moving.any():
                positions = take_games(state, is_moving)  # a copy, which the player may change
                actions[is_moving] = game.check_actions(positions, player(game, positions, rng), name)
        state, rewards, finished = game.apply(state, actions)
        lengths[running] += 1
        outcomes[running[finished]] = np.where(is_first, rewards, -rewards)[finished]
        state, running = take_games(state, ~finished), running[~finished]
    return outcomes, lengths
