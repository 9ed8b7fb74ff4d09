"""The loss of a batch, outside of training, and the state that a run of a model changes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import ops

from deepkit.utils.errors import message

if TYPE_CHECKING:
    from deepkit.utils.types import LossLike, Nested, Tensor
    from deepkit.visualize.model_inputs import Batch


def compute_loss(model: keras.Model, x: Batch, y: Batch, output: Nested, loss: LossLike | None) -> Tensor:
    """Return the mean loss of a batch plus the weight penalties, with the loss of the model if `loss` is None."""
    if loss is None:
        return model.compute_loss(x=x, y=y, y_pred=output)
    function = keras.losses.get(loss)
    return ops.sum([ops.mean(function(y, output)), *model.losses])


def check_loss(model: keras.Model, y: Batch | None, loss: LossLike | None, caller: str) -> None:
    """Raise if there is a loss without labels, or labels without a loss."""
    if loss is not None and y is None:
        raise ValueError(message(f"{caller}: expected labels for the loss, received inputs only", hint="pass (x, y)"))
    if loss is not None or y is None:
        return
    overrides_loss = type(model).compute_loss is not keras.Model.compute_loss
    if not overrides_loss and (not model.compiled or model.loss is None):
        problem = f"{caller}: {model.name} does not have a loss to compute"
        hint = "pass loss='mse' or another loss, or call model.compile(...)"
        raise ValueError(message(problem, hint=hint))


@contextlib.contextmanager
def restored_state(model: keras.Model, *, weights: bool = False) -> Iterator[None]:
    """Restore the state that a call of a model changes: moving averages, seed generators and metrics.

    Args:
        model: The model.
        weights: Whether to restore the trainable weights too.
    """
    variables = list(model.variables if weights else model.non_trainable_variables)
    if model.compiled:
        for metric in model.metrics:
            variables += metric.variables
    values = [np.array(ops.convert_to_numpy(variable)) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
