"""Elements of a dataset: x, (x,), (x, y) or (x, y, sample_weight); each may be a dictionary or tuple of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias, Union

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike, Nested, Shape

Arrays: TypeAlias = Union["ArrayLike", tuple["Arrays", ...], Mapping[str, "Arrays"]]
"""An array, or a dictionary or tuple of arrays."""

Scales: TypeAlias = float | tuple["Scales", ...] | Mapping[str, "Scales"] | None
"""In the structure of x: the factor that scales an image to [0, 1], or None for a tensor that is not an image."""

Shapes: TypeAlias = Union["Shape", tuple["Shapes", ...], Mapping[str, "Shapes"]]
"""In the structure of x: the shape of each tensor."""


def inputs_of(element: Nested) -> Nested:
    """Return the x of an element."""
    return element[0] if isinstance(element, tuple) else element
