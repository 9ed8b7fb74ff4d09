"""Check the patterns of a `keras.optimizers.OptimizerMap`: one that matches no variable has no effect."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from deepkit.utils.errors import make_error

if TYPE_CHECKING:
    import keras

_NUM_PATHS = 2  # paths that a message shows, from the beginning and from the end of the model


def check_patterns(optimizer: keras.optimizers.Optimizer, model: keras.Model) -> None:
    """Raise if a pattern of a MultiOptimizer matches no trainable variable of the model.

    Args:
        optimizer: The optimizer; one without patterns is accepted.
        model: The built model.

    Raises:
        ValueError: There is such a pattern.
    """
    patterns = getattr(optimizer, "_optimizer_map", None)
    if not isinstance(patterns, Mapping):
        return
    paths = [variable.path for variable in model.trainable_variables]
    for pattern in patterns:
        if not any(path == pattern or re.fullmatch(pattern, path) for path in paths):
            examples = paths if len(paths) <= 2 * _NUM_PATHS else [*paths[:_NUM_PATHS], "...", *paths[-_NUM_PATHS:]]
            problem = f"optimizer: the pattern {pattern!r} of the OptimizerMap matches no trainable variable"
            hint = f"use a pattern that matches the whole path of a variable; the paths are {', '.join(examples)}"
            raise make_error(ValueError, problem, hint=hint)
