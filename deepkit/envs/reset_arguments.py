"""Checks of the arguments of `reset`: the seed and the mask of environments to restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deepkit.utils.errors import did_you_mean, format_value, message
from deepkit.utils.validation import check_integer


def check_reset_mask(options: Mapping[str, Any] | None, num_envs: int, *, name: str) -> np.ndarray:
    """Return the mask of environments to restart, bool `(num_envs,)`; all of them without one.

    Args:
        options: The options of `reset`.
        num_envs: Number of environments.
        name: The method, for the message.
    """
    options = {} if options is None else options
    unknown = set(options) - {"reset_mask"}
    if unknown:
        key = sorted(map(str, unknown))[0]
        hint = 'the only option is "reset_mask"'
        raise ValueError(message(f"{name}: unknown option {key!r}{did_you_mean(key, ['reset_mask'])}", hint=hint))
    if "reset_mask" not in options:
        return np.ones(num_envs, dtype=bool)
    mask = options["reset_mask"]
    hint = 'pass options={"reset_mask": terminated | truncated}'
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (num_envs,):
        received = format_value(mask)
        raise ValueError(
            message(f"{name}: reset_mask must be a bool array of shape ({num_envs},), received {received}", hint=hint)
        )
    if not mask.any():
        raise ValueError(
            message(f"{name}: reset_mask is False for all environments", hint="call reset only if one has finished")
        )
    return mask.copy()


def check_seed(seed: object, *, name: str, is_partial: bool) -> int | None:
    """Return a seed of the generator that all environments share, or None.

    Args:
        seed: The argument of `reset`.
        name: The method, for the message.
        is_partial: Whether the call restarts only some environments.
    """
    if seed is None:
        return None
    hint = "all environments share one random generator: pass one integer"
    number = check_integer(seed, f"{name}: seed", minimum=0, hint=hint)
    if is_partial:
        hint = "pass the seed to the first reset, which restarts all of them"
        problem = f"{name}: seed={number} with a reset_mask would seed the environments that are not restarted, too"
        raise ValueError(message(problem, hint=hint))
    return number
