"""Examples with their labels as arrays, from the forms of data that the figures of points accept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_integer
from deepkit.visualize.model_inputs import iterate_batches

if TYPE_CHECKING:
    from deepkit.visualize.model_inputs import Batch

_MAX_CLASSES = 100_000
_SUBSET_SEED = 0  # of the examples that are drawn if there are more than `num_points`


@dataclass(frozen=True, eq=False)
class LabeledPoints:
    """Examples and their labels.

    Args:
        x: The inputs as the model takes them, batch axis first.
        y: The labels, one array, batch axis first.
        class_names: Names of the classes in the data, by label; empty if unknown.
    """

    x: Any
    y: np.ndarray
    class_names: tuple[str, ...] = ()


def labeled_points(data: object, num_points: int | None, caller: str) -> LabeledPoints:
    """Return examples of a dataset as arrays.

    Args:
        data: `dk.data.Data`, whose training split is read; a pipeline, whose epoch does not advance; batches (x, y);
            or a pair (x, y) of arrays.
        num_points: Maximum number of examples; larger data is subsampled with a fixed seed. None for all examples.
        caller: Name of the public function, for error messages.

    Raises:
        TypeError: The data has no labels.
        ValueError: The data is empty, infinite, or has not exactly one label per example.
    """
    if num_points is not None:
        num_points = check_integer(num_points, f"{caller}: num_points")
    split = data.train if hasattr(data, "train") and hasattr(data, "test") else data
    class_names = getattr(data, "class_names", ())
    if hasattr(split, "in_order"):
        split = split.in_order()
    if isinstance(split, tuple) and len(split) == 2:
        split = check_pair(*split, caller)
    total = getattr(split, "num_examples", None)
    batches = iterate_batches(split, caller)
    if total is None:
        all_batches = list(batches)
        total, batches = sum(_num_examples(y) for _, y in all_batches), iter(all_batches)
    chosen = np.arange(total)
    if num_points is not None and total > num_points:
        chosen = np.sort(np.random.default_rng(_SUBSET_SEED).permutation(total)[:num_points])
    parts, start = [], 0
    for x, y in batches:
        stop = start + _num_examples(y)
        rows = chosen[(chosen >= start) & (chosen < stop)] - start
        parts.append(keras.tree.map_structure(lambda values, rows=rows: np.asarray(values)[rows], (x, y)))
        start = stop
    if not parts or not len(chosen):
        raise ValueError(
            message(f"{caller}: expected at least one example, received none", hint="pass data with labels")
        )
    x, y = keras.tree.map_structure(lambda *values: np.concatenate(values), *parts)
    return LabeledPoints(x, _single_label(y, caller), class_names if isinstance(class_names, tuple) else ())


def check_pair(x: Batch, y: Batch, caller: str) -> tuple[Any, Any]:
    """Return a pair of arrays after a check of their lengths."""
    if y is None:
        raise TypeError(message(f"{caller}: expected inputs and labels, received None as labels", hint="pass (x, y)"))
    inputs = x if isinstance(x, dict | tuple) else np.asarray(x)
    labels = y if isinstance(y, dict | tuple) else np.asarray(y)
    sizes = [np.shape(array)[:1] for array in keras.tree.flatten((inputs, labels))]
    if len(set(sizes)) != 1 or not sizes[0]:
        shapes = " and ".join(format_value(array) for array in keras.tree.flatten((inputs, labels)))
        problem = f"{caller}: expected a label for each example, received {shapes}"
        raise ValueError(message(problem, hint="pass arrays (x, y) with a batch axis of equal size"))
    return inputs, labels


def class_numbers_of_labels(y: np.ndarray, caller: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each label's class, from 0, and the values of the labels by that number.

    Labels are integers, such as 0 and 1 or -1 and +1, one-hot rows, or strings. One-hot rows of k classes have the
    values 0 to k - 1, and integers from 0 upward have all values up to the largest.

    Raises:
        ValueError: The labels are not classes.
    """
    labels = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if labels.ndim == 2 and np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all():
        return labels.argmax(axis=1), np.arange(labels.shape[1])
    is_text = labels.dtype.kind in "SU" or all(isinstance(label, str | bytes) for label in labels.flat)
    labels = labels if is_text or labels.dtype.kind != "O" else _as_numbers(labels)
    if labels.ndim != 1 or not (is_text or _are_integers(labels)):
        problem = f"{caller}: expected one class per example as label, received {format_value(y)}"
        hint = "pass integers, or np.digitize(y, bins) to divide numbers into classes"
        raise ValueError(message(problem, hint=hint))
    values = np.unique(labels)
    if not is_text:
        values = values.astype(int)
        if values[-1] >= _MAX_CLASSES:
            problem = f"{caller}: expected classes below {_MAX_CLASSES:,} as labels, received {values[-1]}"
            hint = "use np.unique(y, return_inverse=True)[1], which numbers the classes from 0"
            raise ValueError(message(problem, hint=hint))
        if values[0] >= 0:
            values = np.arange(values[-1] + 1)
        labels = labels.astype(int)
    return np.searchsorted(values, labels), values


def _as_numbers(labels: np.ndarray) -> np.ndarray:
    """Return an array of objects as numbers; NaN if one of them is not a number."""
    try:
        return labels.astype("float64")
    except (TypeError, ValueError):
        return np.full(labels.shape, np.nan)


def _are_integers(labels: np.ndarray) -> bool:
    """Return whether all labels are integers that fit into 64 bits."""
    if labels.dtype.kind not in "fiub" or not np.isfinite(labels).all():
        return False
    return bool((labels == np.round(labels)).all() and (np.abs(labels.astype("float64")) < 2**63).all())


def names_of_classes(values: np.ndarray, class_names: Sequence[str], default: Sequence[str], caller: str) -> list[str]:
    """Return the name of each class: those passed, or else those of the data, or else the labels.

    Raises:
        ValueError: The number of names that were passed is not the number of classes.
    """
    is_list = isinstance(class_names, Sequence | np.ndarray) and not isinstance(class_names, str | bytes)
    are_names = is_list and all(isinstance(name, str) for name in class_names)
    if not are_names or (len(class_names) and len(class_names) < len(values)):
        problem = f"{caller}: expected a name for each of {len(values)} classes, received {format_value(class_names)}"
        raise ValueError(message(problem, hint="pass class_names=[...] in the order of the classes"))
    if len(class_names):
        return list(class_names)
    if len(default) >= len(values):
        return list(default)
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _num_examples(y: Batch) -> int:
    return len(keras.tree.flatten(y)[0])


def _single_label(y: Any, caller: str) -> np.ndarray:
    arrays = keras.tree.flatten(y)
    if len(arrays) != 1:
        problem = f"{caller}: expected one label per example, received {len(arrays)}"
        raise ValueError(message(problem, hint="use data with one label"))
    return np.asarray(arrays[0])
