"""Checks of the observations and masks that an agent receives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np

from deepkit.utils.errors import message

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike


def check_observations(observations: ArrayLike, inputs: keras.KerasTensor) -> np.ndarray:
    """Return observations as an array of the type of the input.

    Args:
        observations: Observations `(batch, ...)`.
        inputs: The input of the network that reads them.

    Raises:
        ValueError: Their shape or their type does not fit the input.
    """
    array = np.asarray(observations)
    expected = tuple(inputs.shape[1:])
    if array.ndim != len(expected) + 1 or any(
        size is not None and size != received for size, received in zip(expected, array.shape[1:], strict=True)
    ):
        hint = "pass a batch: observations[None] for one observation"
        raise ValueError(
            message(
                f"observations: the model expects the shape (batch, {', '.join(map(str, expected))}), received "
                f"{array.shape}",
                hint=hint if array.shape == expected else "pass observations of the environment of the training",
            )
        )
    dtype = keras.backend.standardize_dtype(inputs.dtype)
    if array.dtype.kind not in "buif":
        problem = f"observations: expected numbers, received {array.dtype}"
        raise ValueError(message(problem, hint="pass observations of the environment of the training"))
    if dtype.startswith(("int", "uint")) and array.dtype.kind == "f":
        problem = f"observations: the model expects {dtype}, received {array.dtype}"
        raise ValueError(message(problem, hint="pass the observations of the environment unchanged"))
    return array.astype(dtype, copy=False)


def check_action_mask(action_mask: ArrayLike, expected: tuple[int, int]) -> np.ndarray:
    """Return a mask as booleans.

    Args:
        action_mask: True or 1 for each legal action.
        expected: Its shape, `(batch, actions)`.

    Raises:
        ValueError: It has another shape, or no action of a row is legal.
    """
    mask = np.asarray(action_mask).astype(bool)
    if mask.shape != expected:
        raise ValueError(
            message(
                f"action_mask: expected the shape {expected}, received {mask.shape}",
                hint="pass one row per observation, with 1 for each legal action",
            )
        )
    if not mask.any(axis=1).all():
        row = int(np.flatnonzero(~mask.any(axis=1))[0])
        problem = f"action_mask: no action is legal in row {row}"
        raise ValueError(message(problem, hint="reset an environment whose episode has ended"))
    return mask
