"""How much memory there is, and how much some examples take."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

_UNKNOWN = 4 * 2**30  # assumed where the system does not say


def available() -> int:
    """Return how many bytes this process can still use, as far as the system says.

    Examples:
        >>> available() >= 0
        True

    """
    found = [*_system(), *_container()]
    return max(0, min(found)) if found else _UNKNOWN


def words(count: float) -> str:
    """Write a number of bytes for a person.

    Examples:
        >>> words(3 * 2**20)
        '3.0 MiB'

    """
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"


def size(element: Any) -> int:
    """Return how many bytes a structure of tensors holds, text and ragged rows included."""
    return sum(_leaf(leaf) for leaf in tf.nest.flatten(element, expand_composites=True))


def _leaf(leaf: Any) -> int:
    array = leaf.numpy()
    if leaf.dtype != tf.string:
        return int(np.asarray(array).nbytes)
    return sum(24 + len(text) for text in np.asarray(array, dtype=object).flat)  # 24: TensorFlow's string header


def _system() -> list[int]:
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return []  # not Linux
    return [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]


def _container() -> list[int]:
    folder = pathlib.Path("/sys/fs/cgroup")
    try:
        return [int((folder / "memory.max").read_text()) - int((folder / "memory.current").read_text())]
    except (OSError, ValueError):
        return []  # no such group, or its limit is "max"
