"""Sizes in memory: the free memory of the machine and the size of examples."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from deepkit.utils.types import Nested, Tensor

MEMORY_SHARE = 0.4  # of the free memory that a dataset may take; decoding needs twice the space for a moment
_DEFAULT_BYTES = 4 * 2**30  # assumed if the system does not report its free memory
_STRING_HEADER = 24  # bytes that TensorFlow needs for a string besides its characters


def available_bytes() -> int:
    """Return how many bytes this process can still allocate, as far as the system reports it.

    Examples:
        >>> available_bytes() >= 0
        True
    """
    limits = [*_system_limit(), *_container_limit()]
    return max(0, min(limits)) if limits else _DEFAULT_BYTES


def fits_in_memory(num_bytes: int) -> bool:
    """Return whether a dataset of this size may be kept in memory."""
    return num_bytes <= MEMORY_SHARE * available_bytes()


def format_bytes(num_bytes: float) -> str:
    """Format a number of bytes with a binary unit.

    Examples:
        >>> format_bytes(3 * 2**20)
        '3.0 MiB'
    """
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if num_bytes < 1024:
            return f"{num_bytes:.1f} {unit}"
        num_bytes /= 1024
    return f"{num_bytes:,.1f} TiB"


def size_in_bytes(element: Nested) -> int:
    """Return the size of a structure of tensors, including strings and ragged rows."""
    return sum(_tensor_size(tensor) for tensor in tf.nest.flatten(element, expand_composites=True))


def _tensor_size(tensor: Tensor) -> int:
    if tensor.dtype != tf.string:
        return int(np.asarray(tensor).nbytes)
    return sum(_STRING_HEADER + len(text) for text in np.asarray(tensor, dtype=object).flat)


def _system_limit() -> list[int]:
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return []  # not Linux
    return [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]


def _container_limit() -> list[int]:
    folder = pathlib.Path("/sys/fs/cgroup")
    try:
        return [int((folder / "memory.max").read_text()) - int((folder / "memory.current").read_text())]
    except (OSError, ValueError):
        return []  # no control group, or its limit is "max"
