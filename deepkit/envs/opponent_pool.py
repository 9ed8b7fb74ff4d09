"""A board game as an environment of one player, whose opponents are drawn from a pool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.utils import seeding

from deepkit.envs.batched import BatchedEnv
from deepkit.envs.board_game import BoardGame, BoolArray, FloatArray, IntArray, State, put_games, take_games
from deepkit.envs.board_game_env import observation_space
from deepkit.envs.board_game_names import find_game
from deepkit.envs.players import as_player, player_identity
from deepkit.envs.reset_arguments import check_reset_mask
from deepkit.utils.errors import message
from deepkit.utils.validation import check_integer

SIDE, OPPONENT = "agent_side", "opponent"
"""Names of the arrays of the state besides those of the game."""


def against(game: str | BoardGame, opponents: object, *, num_envs: int = 32, seed: int = 0) -> OpponentPool:
    """Make a board game an environment of one player: any agent learns to play against a pool of opponents.

    In each episode, an opponent is drawn from the pool, and the agent moves first in every second game. A step is a
    move of the agent and the reply of its opponent; the reward is 1 if the agent wins, -1 if it loses, and otherwise 0.

    Args:
        game: The rules, such as `dk.envs.ConnectFour()`, or their name.
        opponents: A player, or a list of players, such as earlier versions of the agent: functions, agents or Keras
            models, as for `dk.play`. An opponent with a parameter `rng` receives the generator of the environment.
        num_envs: Number of environments: of games that are played at the same time.
        seed: Seed of the opponents, unless `reset` receives another one.

    Returns:
        A vector environment in `AutoresetMode.DISABLED`, for `dk.learn`.

    Raises:
        ValueError: There is no opponent, or a policy has another number of outputs than the game has actions.
        TypeError: An opponent is not a player.

    Examples:
        >>> import deepkit as dk
        >>> env = dk.envs.against("TicTacToe", dk.search.random_player, num_envs=2)
        >>> observations, info = env.reset(seed=0)
        >>> observations.sum((1, 2, 3))  # the opponent has begun the second game
        array([0., 1.], dtype=float32)
    """
    return OpponentPool(num_envs, game=game, opponents=opponents, seed=seed)


class OpponentPool(BatchedEnv):
    """Games against opponents; `dk.envs.against` makes it."""

    def __init__(self, num_envs: int, *, game: str | BoardGame, opponents: object, seed: int = 0) -> None:
        self.game = find_game(game)
        pool = list(opponents) if isinstance(opponents, list | tuple) else [opponents]
        if not pool:
            raise ValueError(message("against: expected at least one opponent, received none", hint="pass a player"))
        self._players = [as_player(player, self.game, f"opponent {index}") for index, player in enumerate(pool)]
        self._identities = [player_identity(player) for player in pool]
        super().__init__(num_envs, observation_space(self.game), num_actions=self.game.num_actions)
        seed = check_integer(seed, "against: seed", minimum=0)
        self._np_random, self._np_random_seed = seeding.np_random(seed)
        self._last_sides: np.ndarray | None = None

    def describe(self) -> dict[str, Any]:
        """Return the code that makes the rules, and the identity of each opponent when the pool was made."""
        return {"game": repr(self.game), "opponents": list(self._identities)}

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start games, in which the agent has the other side than in the last ones.

        Args:
            seed: Seed of the opponents; None continues the generator.
            options: `{"reset_mask": mask}` restarts only the games whose mask is True; None restarts all.
        """
        mask = check_reset_mask(options, self.num_envs, name="OpponentPool.reset")
        self._last_sides = self._state[SIDE][mask] if self._state and seed is None else None
        return super().reset(seed=seed, options=options)

    def start_episodes(self, num: int) -> State:
        """Return games after the first move of the opponents that begin."""
        sides = np.arange(num, dtype=np.int8) % 2 if self._last_sides is None else 1 - self._last_sides
        opponents = self.np_random.integers(len(self._players), size=num)
        state = self.game.start(num)
        return {**self._reply(state, sides, opponents)[0], SIDE: sides, OPPONENT: opponents}

    def advance(self, actions: IntArray) -> tuple[np.ndarray, BoolArray]:
        """Play a move of the agent in each game, and the replies of the opponents."""
        sides, opponents = self._state[SIDE], self._state[OPPONENT]
        state, rewards, finished = self.game.apply(self._positions(), actions)
        state, losses = self._reply(state, sides, opponents)
        self._state = {**state, SIDE: sides, OPPONENT: opponents}
        return rewards - losses, finished | self.game.is_finished(state)

    def observe(self) -> FloatArray:
        """Return the positions as the sides to move see them: the agent's, unless a game is finished."""
        return self.game.observe(self._positions())

    def legal_actions(self) -> BoolArray:
        """Return the legal actions of each game."""
        return self.game.legal_actions(self._positions())

    def info(self) -> dict[str, np.ndarray]:
        """Return the side of the agent and the legal actions."""
        return {"to_play": self._state[SIDE].copy(), **super().info()}

    def _positions(self) -> State:
        return {key: values for key, values in self._state.items() if key not in (SIDE, OPPONENT)}

    def _reply(self, state: State, sides: np.ndarray, opponents: IntArray) -> tuple[State, np.ndarray]:
        """Return the positions after the opponents' moves, and the opponents' rewards."""
        rewards = np.zeros(len(sides))
        while True:
            is_waiting = ~self.game.is_finished(state) & (self.game.to_play(state) != sides)
            if not is_waiting.any():
                return state, rewards
            games = np.flatnonzero(is_waiting)
            positions = take_games(state, games)
            actions = np.zeros(len(games), np.int64)
            for index in np.unique(opponents[games]):
                chosen = opponents[games] == index
                subset = take_games(positions, chosen)
                moves = self._players[index](self.game, subset, self.np_random)
                actions[chosen] = self.game.check_actions(subset, moves, f"opponent {index}")
            positions, moved_rewards, _ = self.game.apply(positions, actions)
            rewards[games] += moved_rewards
            state = put_games(state, games, positions)
