"""Recipes: a paper or a lecture claim, reproduced by one command, claimed value beside measured value.

Importing this package imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

from deepkit.recipe.command import main
from deepkit.recipe.contract import Claim, Deviation, Paper, Recipe, Result, applies, error, parameters
from deepkit.recipe.curves import Curve
from deepkit.recipe.run import run
from deepkit.recipe.settings import Settings

__all__ = [
    "Paper", "Claim", "Deviation", "Settings", "Result", "Curve", "Recipe",
    "run", "main", "error", "parameters", "applies",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
