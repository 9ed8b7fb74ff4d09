"""Comparison of the classes of two datasets: a folder of test images may lack a class, so its labels differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from deepkit.data import Pipeline
from deepkit.training.errors import LabelError
from deepkit.utils.console import echo

if TYPE_CHECKING:
    from deepkit.utils.types import ClassNames, Dataset

    Batches = TypeVar("Batches", bound=Dataset)

_MAX_NAMES = 10  # names that a message lists


def with_classes_of(expected: ClassNames, batches: Batches, name: str) -> Batches:
    """Return batches whose labels are the indices of the classes of the training data.

    Args:
        expected: The class names of the training data.
        batches: The batches; those without class names, or with the same, are returned as they are.
        name: Name of the argument for messages: "validation_data".

    Raises:
        LabelError: A class is not one of the training data, or the labels are not in memory.
    """
    received = batches.class_names if isinstance(batches, Pipeline) else ()
    if not isinstance(expected, tuple) or not isinstance(received, tuple) or not expected or not received:
        return batches
    if received == expected[: len(received)] or not isinstance(batches, Pipeline):
        return batches
    unknown = [label for label in received if label not in expected]
    if unknown:
        raise LabelError(
            f"labels: expected the classes of the training data, {_join(expected)}, received {_join(tuple(unknown))}",
            path=name,
            hint="remove the examples of other classes, or add such examples to the training data",
        )
    labels = batches.labels_in_memory
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
        raise LabelError(
            f"labels: expected the classes {_join(expected)} in this order, received {_join(received)}",
            path=name,
            hint="use data with the classes of the training data",
        )
    echo(f"{name}: labels follow the classes of the training data; absent: {_join(_absent(expected, received))}")
    positions = np.array([expected.index(label) for label in received], labels.dtype)
    return batches.with_labels(positions[labels])


def _absent(expected: tuple[str, ...], received: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(label for label in expected if label not in received)


def _join(names: tuple[str, ...]) -> str:
    text = ", ".join(repr(name) for name in names[:_MAX_NAMES])
    return f"{text}, ..." if len(names) > _MAX_NAMES else text or "none"
