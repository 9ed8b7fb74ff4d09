"""A check that a training step of the user reports its loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import keras

from deepkit.utils.errors import make_error

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike


def check_tracked_loss(model: keras.Model, logs: Mapping[str, ArrayLike]) -> None:
    """Raise if a model with its own `train_step` returned a loss that no metric tracks.

    Keras would report the mean of its loss tracker, which the step has not updated: 0.0 in every epoch.

    Args:
        model: The model after its first step.
        logs: What the step returned.

    Raises:
        ValueError: The loss is not tracked.
    """
    tracker = getattr(model, "_loss_tracker", None)
    if type(model).train_step is keras.Model.train_step or tracker is None or "loss" not in logs:
        return
    trackers = [metric for metric in model.metrics if metric.name == "loss"]
    if trackers != [tracker] or float(tracker.count) > 0:
        return
    name = type(model).__name__
    raise make_error(
        ValueError,
        f"net: the train_step of {name} {model.name!r} returns a loss that no metric tracks, so that Keras would "
        "report loss 0.0",
        hint="call self._loss_tracker.update_state(loss) in train_step, or track it with a keras.metrics.Mean that the "
        "property metrics returns",
    )
