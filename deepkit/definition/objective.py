"""The loss and metrics that the head of a definition determines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import keras

Losses: TypeAlias = keras.losses.Loss | Mapping[str, keras.losses.Loss]
Metrics: TypeAlias = Sequence[keras.metrics.Metric] | Mapping[str, Sequence[keras.metrics.Metric]]


@dataclass(frozen=True)
class Objective:
    """The loss and metrics of a training.

    Args:
        loss: A Keras loss; a mapping of losses by output name if there are several outputs.
        metrics: Keras metrics; a mapping of sequences of metrics by output name if there are several outputs.
    """

    loss: Losses
    metrics: Metrics = ()
