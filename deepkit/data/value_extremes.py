"""`ValueExtremes`: a few examples that represent an array that is not in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class ValueExtremes(np.ndarray):
    """Examples of the smallest and the largest value of an array, and of NaN if it has such examples.

    Checks of dtype, shape and range have the same result for it as for the array. `value_extremes` makes it.

    Args:
        num_examples: Number of examples of the array.
        num_invalid: Number of its examples with NaN or infinity.
        first_invalid: Index of the first of them.
    """

    num_examples: int
    num_invalid: int
    first_invalid: int


def value_extremes(
    shape: tuple[int, ...],
    dtype: Any,
    limits: Sequence[float | bytes],
    num_examples: int,
    num_invalid: int = 0,
    first_invalid: int = -1,
) -> ValueExtremes:
    """Return examples that represent an array.

    Args:
        shape: Shape of an example.
        dtype: Dtype.
        limits: The smallest and the largest finite value; empty if there is none.
        num_examples: Number of examples of the array.
        num_invalid: Number of its examples with NaN or infinity.
        first_invalid: Index of the first of them.

    Examples:
        >>> extremes = value_extremes((2,), "uint8", (0, 255), num_examples=1000)
        >>> extremes.shape, int(extremes.max()), extremes.num_examples
        ((2, 2), 255, 1000)
    """
    values = [*limits, *([np.nan] if num_invalid else [])]
    array = np.empty((len(values), *shape), dtype).view(ValueExtremes)
    for index, value in enumerate(values):
        array[index] = value
    array.num_examples, array.num_invalid, array.first_invalid = num_examples, num_invalid, first_invalid
    return array
