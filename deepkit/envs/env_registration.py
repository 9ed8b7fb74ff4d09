"""The environments of deepkit in the registry of gymnasium."""

from __future__ import annotations

import gymnasium

ENVIRONMENTS = {  # name -> module, class of one environment, class of a batch
    "Catch": ("catch", "Catch", "BatchedCatch"),
    "Gridworld": ("gridworld", "Gridworld", "BatchedGridworld"),
}

BOARD_GAMES = ("TicTacToe", "ConnectFour")


def register_environments() -> None:
    """Register each environment as `deepkit/NAME-v0`; an environment that is registered already stays."""
    for name, (module, single, batched) in ENVIRONMENTS.items():
        identifier = f"deepkit/{name}-v0"
        if identifier not in gymnasium.registry:
            gymnasium.register(
                identifier,
                entry_point=f"deepkit.envs.{module}:{single}",
                vector_entry_point=f"deepkit.envs.{module}:{batched}",
            )
    for name in BOARD_GAMES:
        identifier = f"deepkit/{name}-v0"
        if identifier not in gymnasium.registry:
            gymnasium.register(
                identifier,
                entry_point="deepkit.envs.board_game_env:SingleBoardGame",
                vector_entry_point="deepkit.envs.board_game_env:BatchedBoardGame",
                kwargs={"game": name},
            )
