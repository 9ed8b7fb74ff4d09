"""Matches of the recipe `connect_four`, a search at tic-tac-toe, and their speed."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

import deepkit as dk
from deepkit.envs.board_game import take_games

C_PUCT = 2.0

MATCHES = {
    "value against policy alone": ("value", "policy"),
    "mixed against value": ("mixed", "value"),
    "mixed against rollouts": ("mixed", "rollouts"),
    "SL prior against RL prior": ("mixed", "mixed, RL prior"),
}
"""The players of each match."""


def make_searches(
    supervised: keras.Model, improved: keras.Model, value: keras.Model, rollout: object, num_simulations: int
) -> dict[str, Any]:
    """Return the players by name: the policy alone, and searches with the value network, rollouts, or both."""
    search = functools.partial(
        dk.search.PUCT, policy=supervised, rollout=rollout, num_simulations=num_simulations, c_puct=C_PUCT
    )
    return {
        "policy": supervised,
        "value": search(value=value, mixing=0),
        "rollouts": search(mixing=1),
        "mixed": search(value=value, mixing=0.5),
        "mixed, RL prior": search(policy=improved, value=value, mixing=0.5),
    }


def compare_searches(
    game: dk.envs.BoardGame, players: Mapping[str, Any], num_games: int, seed: int
) -> dict[str, float]:
    """Play the matches, and return the scores in percent."""
    measured = {}
    for name, (first, second) in MATCHES.items():
        match = dk.play(players[first], players[second], game, num_games=num_games, num_random_moves=2, seed=seed)
        measured[f"search, {name}"] = 100 * match.score
        low, high = match.interval
        print(f"{name}: score {match.score:.3f} ({low:.3f} to {high:.3f})", flush=True)
    return measured


def count_lost_games(game: dk.envs.BoardGame, player: dk.search.PUCT) -> float:
    """Return the games that a player loses, among those with all sequences of replies, on both sides."""
    num_lost = 0.0
    for side in (0, 1):
        state = game.start(1)
        while len(game.to_play(state)):
            is_reply = game.to_play(state)[0] != side
            if is_reply:  # every reply to every position
                games, actions = np.nonzero(game.legal_actions(state))
                state = take_games(state, games)
            else:
                actions = player(game, state)
            state, rewards, finished = game.play(state, actions)
            if is_reply:
                num_lost += float(rewards.sum())
            state = take_games(state, ~finished)
    return num_lost


def measure_speed(game: dk.envs.BoardGame, search: dk.search.PUCT, num_games: int) -> dict[str, float]:
    """Return the number of random games per second, and of simulations of a search of 200 games."""
    start = time.perf_counter()
    dk.play(dk.search.random_player, dk.search.random_player, game, num_games=num_games)
    games_per_second = num_games / (time.perf_counter() - start)
    search(game, game.start(1))  # traces the networks
    start = time.perf_counter()
    search(game, game.start(200))
    simulations_per_second = 200 * search.num_simulations / (time.perf_counter() - start)
    return {"games per second": games_per_second, "simulations per second": simulations_per_second}
