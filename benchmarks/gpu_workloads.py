"""The batches of the nets of the GPU benchmark and the timing of a step; without an import of any framework."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

NUM_WORDS = 20_000
WARM_UP_STEPS = 3
ROUND_SECONDS = 0.15  # of a measurement, approximately
MAX_STEPS = 200  # of a measurement


class Size(NamedTuple):
    """The size of a net and its batches.

    Args:
        batch_size: Examples in a batch.
        extent: Height and width of the images, or words of a text.
        num_repeats: Residual units in each stage.
    """

    batch_size: int
    extent: int = 28
    num_repeats: tuple[int, ...] = ()


SIZES = {
    "lenet": Size(128),
    "bilstm": Size(64, 200),
    "vae": Size(128),
    "attention": Size(64, 128),
    "transformer": Size(64, 128),
    "resnet50": Size(64, 224, (3, 4, 6, 3)),
}
DRY_SIZES = {
    "lenet": Size(4),
    "bilstm": Size(2, 6),
    "vae": Size(4),
    "attention": Size(2, 6),
    "transformer": Size(2, 6),
    "resnet50": Size(2, 32, (1, 1)),
}
NUM_CLASSES = {"lenet": 10, "bilstm": 2, "attention": 2, "transformer": 2, "resnet50": 1000}


def sizes(*, dry: bool) -> Mapping[str, Size]:
    """Return the sizes of all nets; those of a dry run are tiny."""
    return DRY_SIZES if dry else SIZES


def batch(name: str, size: Size, num_examples: int | None = None) -> tuple[np.ndarray, ...]:
    """Return random inputs for a net, and labels unless it is the variational autoencoder.

    Args:
        name: Name of the net.
        size: Its size.
        num_examples: Number of examples; a batch if left out.
    """
    rng, count = np.random.default_rng(0), num_examples or size.batch_size
    if name == "vae":
        return ((rng.random((count, 784)) < 0.2).astype("float32"),)
    labels = rng.integers(NUM_CLASSES[name], size=count, dtype="int32")
    if name in ("bilstm", "attention", "transformer"):
        return rng.integers(1, NUM_WORDS, (count, size.extent), dtype="int32"), labels
    channels = 1 if name == "lenet" else 3
    return rng.random((count, size.extent, size.extent, channels), dtype="float32"), labels


def timer(step: Callable[[], object], *, dry: bool) -> Callable[[], float]:
    """Warm up, and return a function that measures the mean milliseconds of a step over a fixed number of steps.

    Args:
        step: Function that takes one step and waits for its end.
        dry: Whether to take two steps only.
    """
    for _ in range(1 if dry else WARM_UP_STEPS):
        step()
    start = time.perf_counter()
    step()
    num_steps = 2 if dry else max(1, min(MAX_STEPS, round(ROUND_SECONDS / (time.perf_counter() - start))))

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(num_steps):
            step()
        return 1e3 * (time.perf_counter() - start) / num_steps

    return measure
