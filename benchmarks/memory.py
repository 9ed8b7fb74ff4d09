"""Large models: memory and time of a training step with and without rematerialization, in one batch or in several.

Memory is measured in a new process each time, because the peak of a process never falls. The number is the growth of
its resident memory from before a step to the peak in it: Python, TensorFlow and the weights do not count.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import keras
import numpy as np

import deepkit as dk
from benchmarks.worker import Side

DEPTH, BATCH_SIZE, ACCUMULATION_STEPS = 6, 128, 4
NUM_STEPS = 3  # per measurement of time
REMATERIALIZED, ACCUMULATED = "rematerialized", "accumulated"


def growth(mode: str) -> float:
    """Train a deep stack of convolutions for one step, and return the growth of this process's memory in MB.

    Args:
        mode: `"plain"`, `"rematerialized"`, or `"accumulated"` for a fourth of the batch at a time.
    """
    before: list[float] = []
    callback = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: before.append(resident_peak()))
    steps = ACCUMULATION_STEPS if mode == ACCUMULATED else 1
    plan = dk.plan(devices="CPU:0", gradient_accumulation_steps=steps, steps_per_execution=1)
    x, y = _arrays(BATCH_SIZE)
    dk.fit(_net(mode), x, y, batch_size=BATCH_SIZE // steps, plan=plan, callbacks=[callback], verbose=0)
    return resident_peak() - before[0]


def peak(mode: str) -> Side:
    """Return the growth of memory in a training in a new process, in MB."""

    def measure() -> float:
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.memory", mode]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
        return float(result.stdout.split()[-1])

    return Side(measure)


def step(mode: str) -> Side:
    """Return the time of a training step, in milliseconds."""
    model = _net(mode).build((32, 32, 3))
    model.compile("adam", "mse", jit_compile=False)
    x, _ = _arrays(BATCH_SIZE)
    y = x[:, 0, 0, :1].repeat(10, axis=1)

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(NUM_STEPS):
            model.train_on_batch(x, y)
        return 1e3 * (time.perf_counter() - start) / NUM_STEPS

    return Side(measure)


def resident_peak() -> float:
    """Return the peak of this process's resident memory so far, in MB."""
    maximum = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS, in KiB on Linux
    return maximum / 2**20 if sys.platform == "darwin" else maximum / 2**10


def _net(mode: str) -> dk.Sequential:
    unit = [dk.ConvBlock(32)] * DEPTH
    stack = dk.Repeat(unit, num_repeats=DEPTH, rematerialize=mode == REMATERIALIZED)
    return dk.Sequential([dk.ConvBlock(32), stack, dk.Classifier(10, pool="avg")])


def _arrays(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((count, 32, 32, 3), dtype="float32"), rng.integers(10, size=count)


if __name__ == "__main__":
    print(growth(sys.argv[1]))
