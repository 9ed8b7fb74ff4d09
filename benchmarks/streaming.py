"""Record files: training on them compared with training in memory, and the memory that reading them needs."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import deepkit as dk
from benchmarks.epochs import UNLIMITED_EPOCHS, Epochs
from benchmarks.nets import NETS
from benchmarks.training import BATCH_SIZE
from benchmarks.worker import Side, Unavailable

NUM_EXAMPLES = 10 * BATCH_SIZE
NUM_BYTES = 3 * 10**9
CHUNK_SIZE = 10_000
IMAGE_SHAPE = (32, 32, 3)
STATUS = Path("/proc/self/status")


def images(num_examples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 images and labels."""
    rng = np.random.default_rng(0)
    x = rng.integers(256, size=(num_examples, *IMAGE_SHAPE), dtype="uint8")
    return x, rng.integers(10, size=num_examples, dtype="int32")


def resnet20_epochs(data: Any) -> Side:
    """Return the images per second of training ResNet-20 with `dk.fit`."""
    definition = NETS["resnet20"].definition()
    epochs = Epochs(lambda callback: dk.fit(definition, data, epochs=UNLIMITED_EPOCHS, callbacks=[callback], verbose=0))
    return Side(lambda: NUM_EXAMPLES / epochs.measure())


def resnet20_records() -> Side:
    """Return the images per second of training on record files."""
    folder = _temporary_folder() / "images"
    dk.data.write_records(images(NUM_EXAMPLES), folder, verbose=False)
    return resnet20_epochs(dk.data.from_records(folder, batch_size=BATCH_SIZE, verbose=False))


def resnet20_memory() -> Side:
    """Return the images per second of training on the same images in memory."""
    x, y = images(NUM_EXAMPLES)
    return resnet20_epochs(dk.data.from_arrays(x, y, batch_size=BATCH_SIZE))


def chunks(num_bytes: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield chunks of images and labels of a size in all."""
    x, y = images(CHUNK_SIZE)
    for number in range(round(num_bytes / x.nbytes)):
        yield np.roll(x, number, axis=1), y


def write_and_measure(folder: str, num_bytes: int) -> int:
    """Write images chunk by chunk, and return by how many bytes the process grew at most."""
    chunk = sum(array.nbytes for array in images(CHUNK_SIZE))
    before = resident_bytes("VmRSS")
    dk.data.write_records(chunks(num_bytes), folder, verbose=False)
    return max(0, resident_bytes("VmHWM") - before - chunk)


def read_and_measure(folder: str) -> int:
    """Read an epoch of shuffled batches, and return by how many bytes the process grew at most."""
    before = resident_bytes("VmRSS")
    train = dk.data.from_records(folder, batch_size=BATCH_SIZE, verbose=False).train
    for batch in train:
        del batch
    return resident_bytes("VmHWM") - before


def resident_bytes(key: str) -> int:
    """Return the memory of this process: now with the key "VmRSS", at most so far with "VmHWM"."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
    return int(lines[key].split()[0]) * 1024


def in_new_process(name: str, folder: Path, num_bytes: int = NUM_BYTES) -> float:
    """Return the result of `write_and_measure` or `read_and_measure` in a new process, in GB."""
    command = [sys.executable, "-m", "benchmarks.streaming", name, str(folder), str(num_bytes)]
    process = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(process.stdout) / 1e9


def reading_memory() -> Side:
    """Return the growth in GB of a new process that reads an epoch of a dataset of 3 GB."""
    if not STATUS.is_file():
        raise Unavailable("this system does not report the memory of a process in /proc")
    folder = _temporary_folder() / "images"
    growth = in_new_process("write", folder)
    return Side(lambda: in_new_process("read", folder), {"growth while it was written": f"{growth:.2f} GB"})


def dataset_size() -> Side:
    """Return the size in GB of the dataset."""
    return Side(lambda: NUM_BYTES / 1e9)


@functools.cache
def _temporary_folder() -> Path:
    """Return a folder that is removed when the process ends."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


if __name__ == "__main__":
    _, function, path, size = sys.argv
    dk.data.from_arrays(np.zeros(1))  # loads TensorFlow before the measurement
    print(write_and_measure(path, int(size)) if function == "write" else read_and_measure(path))
