"""Whole-batch augmentation of `deepkit.data` beside Keras's random layers, both inside a `tf.data` map.

    python benchmarks/augmentation.py

Prints images per second of both and their ratio: the median over interleaved pairs, with the quartiles.
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from deepkit.data import Affine, Elastic, Flip, Shift, augment, random

PAIRS, BATCH, BATCHES, SIDE = 11, 128, 60, 28
CONSTANT = {"fill_mode": "constant", "fill_value": 0.0}
LAYERS = keras.layers
CASES = {
    "flip": ([Flip()], [LAYERS.RandomFlip("horizontal")]),
    "shift by whole pixels": ([Shift(2)], [LAYERS.RandomTranslation(2 / SIDE, 2 / SIDE, **CONSTANT)]),
    "rotation": ([Affine(rotation=10)], [LAYERS.RandomRotation(10 / 360, **CONSTANT)]),
    "rotation, zoom, shear, shift": (
        [Affine(rotation=10, scale=0.1, shear=0.1, shift=2)],
        [
            LAYERS.RandomRotation(10 / 360, **CONSTANT),
            LAYERS.RandomZoom(0.1, 0.1, **CONSTANT),
            LAYERS.RandomShear(0.1, 0.0, **CONSTANT),
            LAYERS.RandomTranslation(2 / SIDE, 2 / SIDE, **CONSTANT),
        ],
    ),
    "elastic": ([Elastic()], [LAYERS.RandomElasticTransform(factor=1.0, scale=1.0, **CONSTANT)]),
}


def ours(chain):
    return lambda images, index: augment.apply(tuple(chain), images, random.keys(0, 0, index))


def theirs(chain):
    def call(images, index):
        for layer in chain:
            images = layer(images, training=True)
        return images

    return call


def iterator(function):
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (BATCH, SIDE, SIDE, 1)).astype("float32"))
    indices = tf.data.Dataset.range(BATCH).batch(BATCH).repeat()
    batches = indices.map(lambda index: function(images, index), num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)
    endless = iter(batches)
    speed(endless)  # warm
    return endless


def speed(endless):
    start = time.perf_counter()
    for _ in range(BATCHES):
        next(endless)
    return BATCHES * BATCH / (time.perf_counter() - start)


def main():
    print(f"{'':30s} {'deepkit':>12s} {'Keras':>12s}  ratio (quartiles), images/s of {SIDE}x{SIDE}")
    for name, (own, keras_layers) in CASES.items():
        left, right = iterator(ours(own)), iterator(theirs(keras_layers))
        pairs = np.array([(speed(left), speed(right)) for _ in range(PAIRS)])
        low, middle, high = np.percentile(pairs[:, 0] / pairs[:, 1], [25, 50, 75])
        fast, slow = np.median(pairs, 0)
        print(f"{name:30s} {fast:12,.0f} {slow:12,.0f}  {middle:.1f} ({low:.1f} to {high:.1f})", flush=True)


if __name__ == "__main__":
    main()
