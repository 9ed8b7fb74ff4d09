"""Matches: many games between two players, with a confidence interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deepkit.envs.board_game import BoardGame, State
from deepkit.envs.board_game_names import find_game
from deepkit.envs.players import as_player, player_name, random_player
from deepkit.search.play_out import play_out
from deepkit.utils.display import Displayable
from deepkit.utils.errors import message
from deepkit.utils.validation import check_integer

NORMAL_QUANTILE = 1.959963984540054  # 97.5 % of the standard normal distribution
NAMES = ("first player", "second player")
"""The players in errors."""


@dataclass(frozen=True)
class Match(Displayable):
    """The result of many games between two players, as `dk.play` returns it.

    Args:
        game: Name of the game.
        players: Names of the two players.
        moving_first: Wins, draws and losses of the first player in the games in which it moved first.
        moving_second: The same in the games in which it moved second.
        mean_length: Mean number of moves of a game.

    Examples:
        >>> from deepkit.search import Match
        >>> Match("ConnectFour", ("a", "b"), (30, 2, 18), (25, 1, 24), 21.5)
        a against b, 100 games of ConnectFour: 55 wins, 3 draws, 42 losses; score 0.565 (95 % interval 0.467 to 0.658)
    """

    game: str
    players: tuple[str, str]
    moving_first: tuple[int, int, int]
    moving_second: tuple[int, int, int]
    mean_length: float

    @property
    def wins(self) -> int:
        """Games that the first player has won."""
        return self.moving_first[0] + self.moving_second[0]

    @property
    def draws(self) -> int:
        """Games without a winner."""
        return self.moving_first[1] + self.moving_second[1]

    @property
    def losses(self) -> int:
        """Games that the first player has lost."""
        return self.moving_first[2] + self.moving_second[2]

    @property
    def num_games(self) -> int:
        """Number of games."""
        return self.wins + self.draws + self.losses

    @property
    def score(self) -> float:
        """Score of the first player per game: 1 for a win, 1/2 for a draw."""
        return (self.wins + self.draws / 2) / self.num_games

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson interval of the score at 95 %; with draws, which vary less than wins and losses, it is too wide."""
        return wilson_interval(self.score, self.num_games)

    def __repr__(self) -> str:
        first, second = self.players
        low, high = self.interval
        return (
            f"{first} against {second}, {self.num_games} games of {self.game}: {self.wins} wins, {self.draws} draws, "
            f"{self.losses} losses; score {self.score:.3f} (95 % interval {low:.3f} to {high:.3f})"
        )


def play(
    first: object,
    second: object,
    game: str | BoardGame,
    *,
    num_games: int = 400,
    num_random_moves: int = 0,
    seed: int = 0,
) -> Match:
    """Play games between two players, each of whom moves first in half of them.

    All games are played at the same time: a player is called once per move for all its games. Two players without
    randomness always play the same game; random first moves give them different ones.

    Args:
        first: The player whose wins are counted: a callable `player(game, state)` or `player(game, state, rng)`, which
            returns an action for each game, such as `dk.search.PUCT(...)`; a trained agent; or a Keras model that
            returns a logit for each action, from whose softmax over the legal actions a move is drawn.
        second: The other player.
        game: The rules, such as `dk.envs.ConnectFour()`, or their name.
        num_games: Number of games, even.
        num_random_moves: Number of random moves at the beginning of each game. Each beginning is played twice, with the
            sides swapped. The game must not end within these moves.
        seed: Seed of the random moves and of the players that have a parameter `rng`.

    Returns:
        A `Match`.

    Raises:
        ValueError: A player plays an illegal move, a policy has another number of outputs, or `num_games` is odd.
        TypeError: A player or the game has another type.

    Examples:
        >>> import deepkit as dk
        >>> match = dk.play(
        ...     dk.search.RulePlayer(), dk.search.random_player, "ConnectFour"
        ... )
        >>> match.num_games, match.score > 0.9
        (400, True)
    """
    rules = find_game(game)
    num_games = check_integer(num_games, "play: num_games", minimum=2)
    if num_games % 2:
        problem = f"play: num_games must be even, so that each player moves first in half of them, received {num_games}"
        raise ValueError(message(problem, hint=f"use num_games={num_games + 1}"))
    num_random_moves = check_integer(num_random_moves, "play: num_random_moves", minimum=0)
    seed = check_integer(seed, "play: seed", minimum=0)
    players = (as_player(first, rules, NAMES[0]), as_player(second, rules, NAMES[1]))
    rng = np.random.default_rng(seed)
    half = _random_beginnings(rules, num_games // 2, num_random_moves, rng)
    state = {key: np.concatenate([values, values]) for key, values in half.items()}
    sides = np.repeat([0, 1], num_games // 2)  # of the first player
    outcomes, lengths = play_out(rules, state, players, sides, rng, NAMES)
    counts = [
        (int(np.sum(results == 1)), int(np.sum(results == 0)), int(np.sum(results == -1)))
        for results in np.split(outcomes, 2)
    ]
    names = (player_name(first), player_name(second))
    return Match(rules.name, names, counts[0], counts[1], float(lengths.mean()) + num_random_moves)


def wilson_interval(share: float, num_games: int) -> tuple[float, float]:
    """Return the Wilson interval of a share at 95 % (Wilson 1927).

    Args:
        share: Share of successes.
        num_games: Number of trials.
    """
    spread = NORMAL_QUANTILE**2 / num_games
    middle = (share + spread / 2) / (1 + spread)
    width = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return max(0.0, middle - width), min(1.0, middle + width)


def _random_beginnings(game: BoardGame, num_games: int, num_moves: int, rng: np.random.Generator) -> State:
    state = game.start(num_games)
    for _ in range(num_moves):
        state, _, finished = game.apply(state, random_player(game, state, rng))
        if finished.any():
            problem = f"play: a game of {game.name} is finished within {num_moves} random moves"
            raise ValueError(message(problem, hint="use fewer num_random_moves"))
    return state
