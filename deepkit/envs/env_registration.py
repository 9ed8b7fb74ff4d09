"""The environments of deepkit in the registry of gymnasium."""

from __future__ import annotations

import gymnasium

ENVIRONMENTS = {  # name -> module, class of one environment, class of a batch
    "Catch": ("catch", "Catch", "BatchedCatch"),
    "Gridworld": ("gridworld", "Gridworld", "BatchedGridworld"),
    "TicTacToe": ("board_game_env", "SingleBoardGame", "BatchedBoardGame"),
    "ConnectFour": ("board_game_env", "SingleBoardGame", "BatchedBoardGame"),
}
ARGUMENTS = {"TicTacToe": {"game": "TicTacToe"}, "ConnectFour": {"game": "ConnectFour"}}
"""Arguments of the classes, for the environments that share one class."""


def register_environments() -> None:
    """Register each environment as `deepkit/NAME-v0`; an environment that is registered already stays."""
    for name, (module, single, batched) in ENVIRONMENTS.items():
        identifier = f"deepkit/{name}-v0"
        if identifier not in gymnasium.registry:
            gymnasium.register(
                identifier,
                entry_point=f"deepkit.envs.{module}:{single}",
                vector_entry_point=f"deepkit.envs.{module}:{batched}",
                kwargs=ARGUMENTS.get(name, {}),
            )
