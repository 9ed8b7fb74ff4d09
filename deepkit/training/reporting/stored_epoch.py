"""The epoch whose weights a finished run stores: the last one, or the best one that `EarlyStopping` has restored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from deepkit.training import state
from deepkit.training.state import TrainingState


def stored_epoch(model: keras.Model, final_state: TrainingState) -> int | None:
    """Return the epoch whose weights a model has, counted from 1; None if they are those of no single epoch.

    Args:
        model: The trained model.
        final_state: The state after the last epoch.
    """
    if final_state.epoch == 0:
        return None
    last = [value for _, value in final_state.variables["model"]]
    current = [state.variable_value(variable) for variable in model.variables]
    if _are_equal(last, current):
        return final_state.epoch
    weights = [state.variable_value(variable) for variable in model.weights]
    for callback in final_state.callbacks:
        best = callback.get("best_weights")
        if best is not None and _are_equal([np.asarray(value) for value in best], weights):
            return _best_epoch(callback)
    return None


def _best_epoch(callback: Mapping[str, Any]) -> int | None:
    epoch = callback.get("best_epoch")
    return None if epoch is None else int(epoch) + 1


def _are_equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    """Return whether the arrays are equal."""
    if len(first) != len(second):
        return False
    return all(a.shape == b.shape and np.array_equal(a, b) for a, b in zip(first, second, strict=True))
