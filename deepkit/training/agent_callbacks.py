"""The callbacks of an agent's training, in which a metric can be NaN for an epoch."""

from __future__ import annotations

import math
import warnings
from typing import Any

import keras


class AgentCallbacks(keras.callbacks.CallbackList):
    """A list of callbacks that leaves out a metric that has no value yet from those that look for its best value.

    `mean_return` is NaN if no episode ended in the epoch, and a loss before the first update. Keras would keep NaN as
    the best value, and every comparison with NaN is false.
    """

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Call each callback at the end of an epoch."""
        logs = {} if logs is None else logs
        for callback in self.callbacks:
            monitor = _monitor(callback)
            if monitor is None or not math.isnan(logs.get(monitor, 0.0)):
                callback.on_epoch_end(epoch, logs)
            elif not isinstance(callback, keras.callbacks.ModelCheckpoint):  # which formats a file name first
                others = {name: value for name, value in logs.items() if name != monitor}
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message=".*which is not available")
                    callback.on_epoch_end(epoch, others)
                logs |= others  # ReduceLROnPlateau adds the learning rate


def _monitor(callback: keras.callbacks.Callback) -> str | None:
    """Return the metric whose best value a callback looks for, or None."""
    looks_for_best = isinstance(callback, keras.callbacks.EarlyStopping | keras.callbacks.ReduceLROnPlateau)
    if isinstance(callback, keras.callbacks.ModelCheckpoint):
        looks_for_best = callback.save_best_only and callback.save_freq == "epoch"
    monitor: str | None = getattr(callback, "monitor", None)
    return monitor if looks_for_best else None
