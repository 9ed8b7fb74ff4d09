"""Images from folders: `dk.data.from_folder` compared with `keras.utils.image_dataset_from_directory`.

The folder holds JPEG photos of common sizes. Both sides shuffle, crop to the aspect ratio and resize to 224x224; every
number is a rate in images per second.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

import keras
import numpy as np
from PIL import Image

import deepkit as dk
from benchmarks.augmentation import BATCH_SIZE, rate
from benchmarks.worker import Side
from deepkit.data import memory

IMAGE_SIZE = 224
NUM_IMAGES = 512
MIN_SECONDS = 3.0  # per measurement: several batches are decoded at a time
SIZES = ((375, 500), (500, 375), (333, 500), (480, 640))  # (height, width)


def write_photos(folder: Path) -> None:
    """Write smooth random images with some noise: of the size of a photo also in bytes."""
    rng = np.random.default_rng(0)
    for number in range(NUM_IMAGES):
        height, width = SIZES[number % len(SIZES)]
        coarse = Image.fromarray(rng.integers(256, size=(12, 16, 3), dtype="uint8"))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
        pixels = np.clip(smooth + rng.normal(0, 12, smooth.shape), 0, 255).astype("uint8")
        path = folder / f"class{number % 4}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=90)


def photo_folder() -> str:
    """Return a temporary folder with the photos, which is removed when the process ends."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_photos(Path(folder))
    return folder


def deepkit_folder(is_streamed: bool) -> Side:
    """Return the throughput of the training pipeline of `from_folder`."""
    if is_streamed:
        memory.MEMORY_SHARE = 0.0  # the images do not fit into memory
    data = dk.data.from_folder(photo_folder(), image_size=IMAGE_SIZE, batch_size=BATCH_SIZE, verbose=False)
    return Side(rate(iter(data.train.epochs()), MIN_SECONDS))


def keras_folder() -> Side:
    """Return the throughput of Keras's function for an equal folder."""
    size = (IMAGE_SIZE, IMAGE_SIZE)
    dataset = keras.utils.image_dataset_from_directory(
        photo_folder(), image_size=size, batch_size=BATCH_SIZE, crop_to_aspect_ratio=True, verbose=False
    )
    return Side(rate(iter(dataset.repeat()), MIN_SECONDS))


streamed = functools.partial(deepkit_folder, True)
cached = functools.partial(deepkit_folder, False)
