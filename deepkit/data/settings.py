"""What a pipeline does with its source, and the checks of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from deepkit.data import augment

TARGETS = ("labels", "inputs", "none")


@dataclasses.dataclass(frozen=True)
class Settings:
    """All that a pipeline does with its source; `Pipeline`'s methods make changed copies of it.

    Args:
        batch_size: examples in a batch.
        seed: of the order and the augmentations.
        shuffled: whether each epoch has an order of its own.
        drop_remainder: whether a smaller last batch is left out.
        augmentations: applied to x in training, in its own scale.
        map: from a whole batch of x to what the model gets, instead of scaling images to [0, 1].
        scales: like x: what each image is multiplied by, None for what is no image.
        identity: name, version and split.
        target: what a model is to answer: "labels", "inputs" (x itself) or "none" (x alone is given).

    """

    batch_size: int = 128
    seed: int = 0
    shuffled: bool = False
    drop_remainder: bool = False
    augmentations: tuple[augment.Augmentation, ...] = ()
    map: Callable[[Any], Any] | None = None
    scales: Any = None
    identity: tuple[str, ...] = ()
    target: str = "labels"


def aim(target: str, element: Any) -> Any:
    """Return a batch with what is to be learned from it in place of its labels."""
    x = element[0] if isinstance(element, tuple) else element
    if target == "inputs":
        return (x, x)
    if target == "none":
        return (x,) if isinstance(x, tuple) else x  # Keras would split a bare tuple into x and y
    return element


def check_target(value: Any) -> str:
    """Return a target, or raise a ValueError."""
    if value not in TARGETS:
        raise ValueError(f"target must be one of {', '.join(TARGETS)}, received {value!r}")
    return value


def check_batch_size(value: Any) -> int:
    """Return a batch size as an int, or raise a ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"batch_size must be a whole number above 0, received {value!r}")
    return int(value)


def check_seed(value: Any) -> int:
    """Return a seed as an int, or raise a ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < 2**63:
        raise ValueError(f"seed must be a whole number from 0 to 2**63 - 1, received {value!r}")
    return int(value)
