"""The errors of the predictions that ignore the input: always the most frequent class, or the mean of the labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from deepkit.data import Pipeline
from deepkit.training.training_data import TrainingData

if TYPE_CHECKING:
    from deepkit.definition.objective import Head

BaselineErrors: TypeAlias = Mapping[str, float]
"""The error by measure: "error rate", or "mean squared error" and "mean absolute error"; empty if unknown."""


def baseline_errors(data: TrainingData, heads: Mapping[str, Head]) -> dict[str, float]:
    """Return the errors, on the training labels, of the best prediction that is the same for every example.

    For classes it is the most frequent class, for each number of a regression the mean of the labels. The errors are
    unknown, and the result is empty, if there are several outputs or positions, or if the labels are not in memory.

    Args:
        data: The training data, with labels as the model expects them.
        heads: The head of each output by name.
    """
    labels = data.train.labels_in_memory if isinstance(data.train, Pipeline) else None
    head = heads.get("")
    if head is None or not isinstance(labels, np.ndarray) or not labels.size or labels.dtype.kind not in "biuf":
        return {}
    values = labels.reshape(len(labels), -1)
    if head.task == "multiclass":
        return _of_classes(values, head.one_hot)
    if values.shape[1] != head.units:
        return {}
    if head.task == "regression":
        return _of_numbers(values.astype("float64"))
    rates = (values > 0.5).mean(axis=0)
    return {"error rate": float(np.minimum(rates, 1 - rates).mean())}


def _of_classes(values: np.ndarray, one_hot: bool) -> dict[str, float]:
    if one_hot:
        values = values.argmax(axis=1)[:, None]
    if values.shape[1] != 1:  # a class for each position: masked positions do not count, and are unknown here
        return {}
    counts = np.unique(values, return_counts=True)[1]
    return {"error rate": float(1 - counts.max() / counts.sum())}


def _of_numbers(values: np.ndarray) -> dict[str, float]:
    residuals = values - values.mean(axis=0)
    return {
        "mean squared error": float(np.square(residuals).mean()),
        "mean absolute error": float(np.abs(residuals).mean()),
    }
