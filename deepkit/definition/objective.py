"""What a definition's head asks to be trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import keras

Losses: TypeAlias = keras.losses.Loss | Mapping[str, keras.losses.Loss]
Metrics: TypeAlias = Sequence[keras.metrics.Metric] | Mapping[str, Sequence[keras.metrics.Metric]]


@dataclass(frozen=True)
class Objective:
    """A loss and metrics.

    Args:
        loss: A Keras loss; a mapping of losses by output name if there are several outputs.
        metrics: Keras metrics, or a mapping of them.
    """

    loss: Losses
    metrics: Metrics = ()
