"""Warn about batch normalization whose moving statistics still hold their initial values after a training.

A batch normalization normalizes with the mean and the variance of the batch in training, and with moving statistics in
validation, test and prediction. These start at mean 0 and variance 1, and each step keeps the share `momentum` of their
value. After n steps `momentum ** n` of the initial values is left: 58 % with momentum 0.99 and 55 steps.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import keras

from deepkit.training import state
from deepkit.utils.errors import message

MAX_INITIAL_SHARE = 0.05


def layers_to_check(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Return the batch normalizations of a built model that train from their initial statistics.

    A frozen layer is left out, because it does not update its statistics, and so is a layer that was trained or loaded.
    """
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    return [layer for layer in norms if layer.trainable and layer.built and _has_initial_statistics(layer)]


def warn_about_momentum(
    norms: Sequence[keras.layers.BatchNormalization], steps_per_epoch: int | None, epochs: int
) -> None:
    """Warn if more than 5 % of the initial statistics of any of these layers is left after the training.

    Args:
        norms: Layers that begin the training with their initial statistics.
        steps_per_epoch: Number of batches in an epoch; None if it is unknown, and then there is no warning.
        epochs: Number of epochs, counted from the beginning of the training.
    """
    if steps_per_epoch is None:
        return
    steps = steps_per_epoch * epochs
    affected = [layer for layer in norms if layer.momentum**steps > MAX_INITIAL_SHARE]
    if not affected:
        return
    slowest = max(affected, key=lambda layer: layer.momentum)
    others = len(affected) - 1
    and_others = f" and {others} other layer{'s' * (others > 1)}" if others else ""
    problem = (
        f"batch normalization with momentum={slowest.momentum:g} keeps {100 * slowest.momentum**steps:.3g} % of its "
        f"initial moving statistics after {steps} step{'s' * (steps > 1)} (epochs={epochs}, steps per epoch: "
        f"{steps_per_epoch}), expected at most {100 * MAX_INITIAL_SHARE:g} %; validation and prediction use these "
        "statistics"
    )
    warnings.warn(
        message(problem, path=f"{slowest.path}{and_others}", hint=_hint(slowest.momentum, steps_per_epoch, steps)),
        UserWarning,
        stacklevel=2,
    )


def _has_initial_statistics(layer: keras.layers.BatchNormalization) -> bool:
    mean, variance = (state.variable_value(variable) for variable in (layer.moving_mean, layer.moving_variance))
    return bool((mean == 0).all() and (variance == 1).all())


def _hint(momentum: float, steps_per_epoch: int, steps: int) -> str:
    largest_momentum = math.floor(100 * MAX_INITIAL_SHARE ** (1 / steps)) / 100
    hint = (
        f"use a smaller momentum, in a block norm=layers.BatchNormalization(momentum={largest_momentum:g}), a smaller "
        "batch_size"
    )
    if momentum >= 1:  # such a layer never updates its statistics
        return hint
    needed_steps = math.log(MAX_INITIAL_SHARE) / math.log(momentum)
    return f"{hint}, or epochs={math.ceil(needed_steps / steps_per_epoch)}"
