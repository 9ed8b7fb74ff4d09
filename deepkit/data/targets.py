"""The target of training: the labels, the inputs themselves, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepkit.data.nested_arrays import inputs_of
from deepkit.utils.validation import check_choice

if TYPE_CHECKING:
    from deepkit.utils.types import Nested

TARGETS = ("labels", "inputs", "none")


def with_target(element: Nested, target: str) -> Nested:
    """Replace the labels of an element or a batch by a target.

    Args:
        element: x, (x,), (x, y) or (x, y, sample_weight).
        target: "labels" returns the element unchanged, "inputs" returns (x, x) with the weights, "none" returns x
            alone.
    """
    if target == "labels":
        return element
    x = inputs_of(element)
    if target == "inputs":
        return (x, x, *element[2:]) if isinstance(element, tuple) else (x, x)
    return (x,) if isinstance(x, tuple) else x  # Keras would split a bare tuple into x and y


def check_target(target: object) -> str:
    """Return a target, or raise a ValueError."""
    return check_choice(target, "target", TARGETS)
