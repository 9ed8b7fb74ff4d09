"""Board games recorded as arrays: positions, moves and outcomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deepkit.envs.board_game import BoardGame, take_games
from deepkit.envs.players import Player, as_player


@dataclass(frozen=True, eq=False)
class Positions:
    """Positions of many games, in the order of their moves.

    Args:
        observations: The observations of the side to move, (positions, rows, columns, planes).
        actions: The action that it chose, (positions,).
        outcomes: The outcome of the game for this side: 1, 0 or -1, (positions,).
        games: Index of the game, (positions,).
        moves: Number of moves before, (positions,).
    """

    observations: np.ndarray
    actions: np.ndarray
    outcomes: np.ndarray
    games: np.ndarray
    moves: np.ndarray

    def __len__(self) -> int:
        return len(self.games)

    def take(self, index: np.ndarray) -> Positions:
        """Return some of the positions."""
        return Positions(
            self.observations[index], self.actions[index], self.outcomes[index], self.games[index], self.moves[index]
        )

    def mirrored(self) -> Positions:
        """Return these positions, followed by their mirror images; Connect Four is symmetric."""
        columns = self.observations.shape[2]
        return Positions(
            np.concatenate([self.observations, self.observations[:, :, ::-1]]),
            np.concatenate([self.actions, columns - 1 - self.actions]),
            np.tile(self.outcomes, 2),
            np.tile(self.games, 2),
            np.tile(self.moves, 2),
        )

    def first_games(self, num_positions: int, rng: np.random.Generator) -> Positions:
        """Return all positions of random games, with about this number of positions in all."""
        games, counts = np.unique(self.games, return_counts=True)
        order = rng.permutation(len(games))
        num_games = 1 + int(np.searchsorted(np.cumsum(counts[order]), num_positions))
        return self.take(np.isin(self.games, games[order[:num_games]]))

    def one_of_each_game(self, rng: np.random.Generator) -> Positions:
        """Return one random position of each game."""
        order = rng.permutation(len(self))
        _, first = np.unique(self.games[order], return_index=True)
        return self.take(order[first])


def record_games(game: BoardGame, num_games: int, player: object, rng: np.random.Generator) -> Positions:
    """Play games to their end, and return every position.

    Args:
        game: The rules.
        num_games: Number of games.
        player: The player of both sides, as for `dk.play`.
        rng: Source of randomness of the player.
    """
    function = as_player(player, game, "player")
    return _record(game, num_games, lambda move: function, rng)


def _record(
    game: BoardGame, num_games: int, choose_player: Callable[[int], Player], rng: np.random.Generator
) -> Positions:
    """Record games whose player depends on the number of moves before."""
    state, running, move = game.start(num_games), np.arange(num_games), 0
    outcomes, steps = np.zeros(num_games, np.float32), []  # for the first side
    while len(running):
        actions, sides = choose_player(move)(game, state, rng), game.to_play(state)
        steps.append((game.observe(state), actions, sides, running, np.full(len(running), move)))
        state, rewards, finished = game.play(state, actions)
        outcomes[running[finished]] = np.where(sides == 0, rewards, -rewards)[finished]
        state, running, move = take_games(state, ~finished), running[~finished], move + 1
    observations, actions, sides, games, moves = (np.concatenate(arrays) for arrays in zip(*steps, strict=True))
    return Positions(observations, actions, np.where(sides == 0, 1, -1) * outcomes[games], games, moves)


def record_branches(
    game: BoardGame, num_games: int, players: tuple[object, object, object], max_moves: int, rng: np.random.Generator
) -> Positions:
    """Play games that differ from each other by a random move, and return the positions after it.

    The first player makes U moves, the second one move, and the third player finishes the game. U is between 0 and
    `max_moves` - 1, each value for the same number of games; a game that ends before is left out.

    Args:
        game: The rules.
        num_games: Number of games, about.
        players: The three players, as for `dk.play`; each plays both sides.
        max_moves: Number of values of U.
        rng: Source of randomness.
    """
    parts, num_each = [], max(1, num_games // max_moves)
    first, second, third = (as_player(player, game, f"player {number}") for number, player in enumerate(players))
    for length in range(max_moves):

        def choose_player(move: int, length: int = length) -> Player:
            if move < length:
                return first
            return second if move == length else third

        positions = _record(game, num_each, choose_player, rng)
        later = positions.take(positions.moves > length)
        parts.append(Positions(
            later.observations, later.actions, later.outcomes, later.games + num_each * length, later.moves
        ))  # fmt: skip
    names = ("observations", "actions", "outcomes", "games", "moves")
    return Positions(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
