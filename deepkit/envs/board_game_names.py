"""Board games by name."""

from __future__ import annotations

from deepkit.envs.board_game import BoardGame
from deepkit.envs.connect_four import ConnectFour
from deepkit.envs.tic_tac_toe import TicTacToe
from deepkit.utils.errors import did_you_mean_or_list, format_value, message

BOARD_GAMES: dict[str, BoardGame] = {game.name: game for game in (TicTacToe(), ConnectFour())}


def find_game(game: object) -> BoardGame:
    """Return the rules of a game.

    Args:
        game: The rules, or their name.

    Raises:
        ValueError: There is no game of this name.
        TypeError: The value is neither a name nor a `BoardGame`.
    """
    if isinstance(game, BoardGame):
        return game
    if isinstance(game, str):
        name = game.removeprefix("deepkit/").removesuffix("-v0")
        if name in BOARD_GAMES:
            return BOARD_GAMES[name]
        suggestion = did_you_mean_or_list(name, BOARD_GAMES, listing="the games are")
        raise ValueError(message(f"there is no board game {game!r}{suggestion}", hint="pass the rules of another game"))
    problem = f"expected the rules of a board game, or their name, received {format_value(game)}"
    raise TypeError(message(problem, hint="pass dk.envs.ConnectFour()"))
