"""Environments of reinforcement learning: a vector of episodes, stepped in one call and restored exactly.

Importing this package registers its environments with gymnasium, so that `gymnasium.make("deepkit/Catch-v0")` works.

Example:
    >>> import deepkit as dk
    >>> env = dk.envs.make("Catch", num_envs=2)
    >>> observations, info = env.reset(seed=0)
    >>> observations.shape, env.single_action_space
    ((2, 10, 10, 1), Discrete(3))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from deepkit.envs.env_registration import register_environments

if TYPE_CHECKING:
    from deepkit.envs.atari import Atari, BatchedAtari
    from deepkit.envs.batched import BatchedEnv
    from deepkit.envs.board_game import BoardGame
    from deepkit.envs.board_game_env import BatchedBoardGame, SingleBoardGame
    from deepkit.envs.catch import BatchedCatch, Catch
    from deepkit.envs.connect_four import ConnectFour
    from deepkit.envs.env_state import EnvState, capture_state, restore_state
    from deepkit.envs.gridworld import BatchedGridworld, Gridworld
    from deepkit.envs.make_env import make
    from deepkit.envs.opponent_pool import against
    from deepkit.envs.single import SingleEnv
    from deepkit.envs.tic_tac_toe import TicTacToe

_MODULES = {  # the module of each public name
    "make": "make_env",
    "capture_state": "env_state",
    "restore_state": "env_state",
    "EnvState": "env_state",
    "BatchedEnv": "batched",
    "SingleEnv": "single",
    "BatchedCatch": "catch",
    "Catch": "catch",
    "Atari": "atari",
    "BatchedAtari": "atari",
    "Gridworld": "gridworld",
    "BatchedGridworld": "gridworld",
    "BoardGame": "board_game",
    "TicTacToe": "tic_tac_toe",
    "ConnectFour": "connect_four",
    "BatchedBoardGame": "board_game_env",
    "SingleBoardGame": "board_game_env",
    "against": "opponent_pool",
}

__all__ = [
    "make", "capture_state", "restore_state", "EnvState",
    "Catch", "BatchedCatch", "Gridworld", "BatchedGridworld", "Atari", "BatchedAtari",
    "TicTacToe", "ConnectFour", "BoardGame", "SingleBoardGame", "BatchedBoardGame", "against",
    "BatchedEnv", "SingleEnv",
]  # fmt: skip

register_environments()


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'deepkit.envs' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"deepkit.envs.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
