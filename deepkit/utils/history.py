"""Values in the history of a training: a float for each epoch, or a list for a metric with several values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

_MAX_VALUES = 6


def history_value(value: object) -> float | Any:
    """Return the value of a metric as a float, or as a list if there are several, such as one for each class.

    >>> history_value(np.float32(0.5)), history_value(np.array([0.25, 1.0]))
    (0.5, [0.25, 1.0])
    """
    if isinstance(value, float):
        return value
    array = np.asarray(value)
    return float(array.item()) if array.size == 1 else array.astype("float64").tolist()


def format_metric(value: object) -> str:
    """Return a value of a history as short text.

    >>> format_metric(0.123456), format_metric([0.5, 0.25])
    ('0.1235', '[0.5, 0.25]')
    """
    if not isinstance(value, list):
        return f"{value:.4g}"
    shown = [format_metric(item) for item in value[:_MAX_VALUES]]
    return f"[{', '.join(shown)}{', ...' if len(value) > _MAX_VALUES else ''}]"


def history_rows(history: Mapping[str, Sequence[float | Any]]) -> list[dict[str, float]]:
    """Return the values of each epoch by column; a metric with several values has a column for each of them.

    >>> history_rows({"loss": [0.5], "f1_score": [[0.25, 1.0]]})
    [{'loss': 0.5, 'f1_score[0]': 0.25, 'f1_score[1]': 1.0}]
    """
    num_epochs = max(map(len, history.values()), default=0)
    rows: list[dict[str, float]] = [{} for _ in range(num_epochs)]
    for name, values in history.items():
        for row, value in zip(rows, values, strict=False):
            row.update(_columns(name, value))
    return rows


def _columns(name: str, value: float | Any) -> Iterator[tuple[str, float]]:
    """Yield the column and the number of each number in a value."""
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from _columns(f"{name}[{i}]", item)
    else:
        yield name, value
