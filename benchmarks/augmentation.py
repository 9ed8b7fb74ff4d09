"""Whole-batch augmentation of `deepkit.data` beside Keras's random layers, and as fast as training or not.

Both augment inside a `tf.data` map, in parallel; every figure is a rate, in images per second.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import deepkit as dk
from benchmarks.worker import Side
from deepkit.data import Affine, Elastic, Flip, PadCrop, Shift
from deepkit.data.augmentation import augment_images
from deepkit.data.stateless_random import example_keys
from recipes.vision.lenet import DISTORTIONS

BATCH, SIDE = 128, 28
EXAMPLES = 78 * BATCH
LEAST_SECONDS = 0.4  # of one figure
CONSTANT = {"fill_mode": "constant", "fill_value": 0.0}
LAYERS = keras.layers
CHAINS: dict[str, tuple[Sequence[Any], Callable[[], Sequence[Any]]]] = {
    "flip": ([Flip()], lambda: [LAYERS.RandomFlip("horizontal")]),
    "shift": ([Shift(2)], lambda: [LAYERS.RandomTranslation(2 / SIDE, 2 / SIDE, **CONSTANT)]),
    "rotation": ([Affine(rotation=10)], lambda: [LAYERS.RandomRotation(10 / 360, **CONSTANT)]),
    "affine": (
        [Affine(rotation=10, scale=0.1, shear=0.1, shift=2)],
        lambda: [
            LAYERS.RandomRotation(10 / 360, **CONSTANT),
            LAYERS.RandomZoom(0.1, 0.1, **CONSTANT),
            LAYERS.RandomShear(0.1, 0.0, **CONSTANT),
            LAYERS.RandomTranslation(2 / SIDE, 2 / SIDE, **CONSTANT),
        ],
    ),
    "elastic": ([Elastic()], lambda: [LAYERS.RandomElasticTransform(factor=1.0, scale=1.0, **CONSTANT)]),
}


def ours(name: str) -> Side:
    """Return the rate of a chain of deepkit's augmentations."""
    chain = tuple(CHAINS[name][0])
    return Side(rate(_mapped(lambda images, index: augment_images(chain, images, example_keys(0, 0, index)))))


def theirs(name: str) -> Side:
    """Return the rate of the Keras layers that do the same."""
    chain = CHAINS[name][1]()

    def call(images: Any, index: Any) -> Any:
        for layer in chain:
            images = layer(images, training=True)
        return images

    return Side(rate(_mapped(call)))


def _mapped(function: Callable[[Any, Any], Any]) -> Iterator[Any]:
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (BATCH, SIDE, SIDE, 1)).astype("float32"))
    indices = tf.data.Dataset.range(BATCH).batch(BATCH).repeat()
    return iter(indices.map(lambda index: function(images, index), num_parallel_calls=tf.data.AUTOTUNE).prefetch(2))


def rate(batches: Iterator[Any]) -> Callable[[], float]:
    """Return what measures how many images a second an endless iterator gives, once it has come up to speed."""

    def measure() -> float:
        began, images = time.perf_counter(), 0
        while (passed := time.perf_counter() - began) < LEAST_SECONDS:
            next(batches)
            images += BATCH
        return images / passed

    return measure


def pipeline(shape: tuple[int, int, int], chain: Sequence[Any]) -> Side:
    """Return the rate of a whole training pipeline: order, fetch, augmentation, scaling."""
    numbers = np.random.default_rng(0)
    images = numbers.integers(256, size=(EXAMPLES, *shape), dtype="uint8")
    data = dk.data.from_arrays(images, numbers.integers(10, size=EXAMPLES), batch_size=BATCH, augment=chain)
    return Side(rate(iter(data.train.epochs())))


flip, flip_keras = functools.partial(ours, "flip"), functools.partial(theirs, "flip")
shift, shift_keras = functools.partial(ours, "shift"), functools.partial(theirs, "shift")
rotation, rotation_keras = functools.partial(ours, "rotation"), functools.partial(theirs, "rotation")
affine, affine_keras = functools.partial(ours, "affine"), functools.partial(theirs, "affine")
elastic, elastic_keras = functools.partial(ours, "elastic"), functools.partial(theirs, "elastic")
lenet_pipeline = functools.partial(pipeline, (28, 28, 1), DISTORTIONS)
cifar_pipeline = functools.partial(pipeline, (32, 32, 3), (PadCrop(4), Flip()))
