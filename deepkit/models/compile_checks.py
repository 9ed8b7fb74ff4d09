"""Checks of the losses and metrics of a model that predicts one class for each token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from deepkit.utils.errors import format_value, message

_BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")  # Keras chooses the metric by the shape of the labels


def check_token_loss(loss: Any, num_classes: int) -> None:
    """Raise if a loss cannot compare class indices with logits.

    Args:
        loss: The argument of `compile`.
        num_classes: Number of logits.

    Raises:
        ValueError: The loss raises an error for labels `(tokens,)` and logits `(tokens, num_classes)`.
    """
    if loss is not None and not isinstance(loss, list | tuple | dict):
        hint = "use the default loss, or keras.losses.SparseCategoricalCrossentropy(from_logits=True)"
        _try(keras.losses.get(loss), loss, num_classes, "loss", hint)


def check_token_metrics(metrics: Any, num_classes: int) -> None:
    """Raise if a metric cannot compare class indices with logits; a metric that cannot be copied is not checked.

    Args:
        metrics: The argument of `compile`, a list or None.
        num_classes: Number of logits.

    Raises:
        ValueError: A metric raises an error for labels `(tokens,)` and logits `(tokens, num_classes)`.
    """
    for metric in metrics if isinstance(metrics, list | tuple) else ():
        if metric in _BY_SHAPE:
            continue
        function = keras.metrics.get(metric)
        if isinstance(function, keras.metrics.Metric):
            try:
                function = type(function).from_config(function.get_config())
            except Exception:  # a class of the user
                continue
        _try(function, metric, num_classes, "metrics", "use keras.metrics.SparseCategoricalAccuracy()")


def _try(function: Callable[..., Any], argument: object, num_classes: int, name: str, hint: str) -> None:
    count = 2 if num_classes == 3 else 3  # differs from the number of logits, so that nothing is broadcast
    labels, logits = ops.zeros((count,), "int64"), ops.zeros((count, num_classes))
    try:
        function(labels, logits)
    except Exception as error:
        problem = (
            f"{name}: expected one that compares class indices (tokens,) with logits (tokens, {num_classes}), received "
            f"{format_value(argument)}"
        )
        raise ValueError(message(problem, hint=hint)) from error
