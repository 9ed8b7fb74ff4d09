"""Throughput of `deepkit.data`'s augmentation, compared with Keras's random layers and with training.

Both augment whole batches in a parallel `tf.data` map; every number is a rate in images per second.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from keras import layers

import deepkit as dk
from benchmarks.worker import Side
from deepkit.data import Affine, Elastic, Flip, PadCrop, Shift
from deepkit.data.augmentation import augment_images
from deepkit.data.stateless_random import example_keys
from recipes.vision.lenet import DISTORTIONS

BATCH_SIZE, IMAGE_SIZE = 128, 28
NUM_EXAMPLES = 78 * BATCH_SIZE
MIN_SECONDS = 0.4  # per measurement
CONSTANT = {"fill_mode": "constant", "fill_value": 0.0}
CHAINS: dict[str, tuple[Sequence[Any], Callable[[], Sequence[Any]]]] = {
    "flip": ([Flip()], lambda: [layers.RandomFlip("horizontal")]),
    "shift": ([Shift(2)], lambda: [layers.RandomTranslation(2 / IMAGE_SIZE, 2 / IMAGE_SIZE, **CONSTANT)]),
    "rotation": ([Affine(rotation=10)], lambda: [layers.RandomRotation(10 / 360, **CONSTANT)]),
    "affine": (
        [Affine(rotation=10, scale=0.1, shear=0.1, shift=2)],
        lambda: [
            layers.RandomRotation(10 / 360, **CONSTANT),
            layers.RandomZoom(0.1, 0.1, **CONSTANT),
            layers.RandomShear(0.1, 0.0, **CONSTANT),
            layers.RandomTranslation(2 / IMAGE_SIZE, 2 / IMAGE_SIZE, **CONSTANT),
        ],
    ),
    "elastic": ([Elastic()], lambda: [layers.RandomElasticTransform(factor=1.0, scale=1.0, **CONSTANT)]),
}


def deepkit_augmentation(name: str) -> Side:
    """Return the throughput of a chain of deepkit's augmentations."""
    chain = tuple(CHAINS[name][0])
    return Side(rate(_mapped(lambda images, index: augment_images(chain, images, example_keys(0, 0, index)))))


def keras_augmentation(name: str) -> Side:
    """Return the throughput of the equivalent Keras layers."""
    chain = CHAINS[name][1]()

    def call(images: Any, index: Any) -> Any:
        for layer in chain:
            images = layer(images, training=True)
        return images

    return Side(rate(_mapped(call)))


def _mapped(function: Callable[[Any, Any], Any]) -> Iterator[Any]:
    images = tf.constant(
        np.random.default_rng(0).uniform(0, 255, (BATCH_SIZE, IMAGE_SIZE, IMAGE_SIZE, 1)).astype("float32")
    )
    indices = tf.data.Dataset.range(BATCH_SIZE).batch(BATCH_SIZE).repeat()
    return iter(indices.map(lambda index: function(images, index), num_parallel_calls=tf.data.AUTOTUNE).prefetch(2))


def rate(batches: Iterator[Any], min_seconds: float = MIN_SECONDS) -> Callable[[], float]:
    """Return a function that measures the images per second of an infinite iterator."""

    def measure() -> float:
        start, num_images = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - start) < min_seconds:
            next(batches)
            num_images += BATCH_SIZE
        return num_images / elapsed

    return measure


def pipeline(shape: tuple[int, int, int], chain: Sequence[Any]) -> Side:
    """Return the throughput of a whole training pipeline: shuffling, reading, augmentation and scaling."""
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(NUM_EXAMPLES, *shape), dtype="uint8")
    data = dk.data.from_arrays(images, rng.integers(10, size=NUM_EXAMPLES), batch_size=BATCH_SIZE, augment=chain)
    return Side(rate(iter(data.train.epochs())))


flip, flip_keras = functools.partial(deepkit_augmentation, "flip"), functools.partial(keras_augmentation, "flip")
shift, shift_keras = functools.partial(deepkit_augmentation, "shift"), functools.partial(keras_augmentation, "shift")
rotation, rotation_keras = (
    functools.partial(deepkit_augmentation, "rotation"),
    functools.partial(keras_augmentation, "rotation"),
)
affine, affine_keras = (
    functools.partial(deepkit_augmentation, "affine"),
    functools.partial(keras_augmentation, "affine"),
)
elastic, elastic_keras = (
    functools.partial(deepkit_augmentation, "elastic"),
    functools.partial(keras_augmentation, "elastic"),
)
lenet_pipeline = functools.partial(pipeline, (28, 28, 1), DISTORTIONS)
cifar_pipeline = functools.partial(pipeline, (32, 32, 3), (PadCrop(4), Flip()))
