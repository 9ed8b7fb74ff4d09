"""Messages about targets of a regression that are far from 0, where a new head begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from deepkit.data import Pipeline
from deepkit.definition.objective import Head

if TYPE_CHECKING:
    from deepkit.definition.objective import Objective
    from deepkit.training.training_data import TrainingData

_LARGEST = 10.0  # of the mean and the standard deviation; Adam moves an output by about its rate in each step


def target_scale_notes(objective: Objective | None, data: TrainingData) -> tuple[str, ...]:
    """Return a message for each output of a regression whose labels in memory are far from 0 or spread widely.

    Args:
        objective: The objective of the definition's head, or None.
        data: The training data.
    """
    labels = data.train.labels_in_memory if isinstance(data.train, Pipeline) else None
    if objective is None or labels is None:
        return ()
    heads = objective.head if isinstance(objective.head, Mapping) else {"": objective.head}
    notes = []
    for name, head in heads.items():
        array = labels.get(name) if isinstance(labels, Mapping) else labels
        if isinstance(head, Head) and head.task == "regression" and isinstance(array, np.ndarray):
            notes += _notes(f"labels of {name}" if name else "labels", array)
    return tuple(notes)


def _notes(title: str, labels: np.ndarray) -> list[str]:
    values = labels.reshape(len(labels), -1).astype("float64")
    mean, stddev = values.mean(0), values.std(0)
    if max(np.abs(mean).max(), stddev.max()) <= _LARGEST:
        return []
    return [
        f"{title}: mean {_text(mean)}, standard deviation {_text(stddev)}; a regression starts near 0 and learns "
        "faster with standardized labels, (y - mean) / standard deviation"
    ]


def _text(values: np.ndarray) -> str:
    return ", ".join(f"{value:.4g}" for value in values[:3]) + (", ..." if len(values) > 3 else "")
