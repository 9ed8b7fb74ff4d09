"""Moving the pixels of a whole batch: read each output pixel from a place of its own in the input."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import tensorflow as tf

from deepkit.data import random


def translate(images: Any, offsets: Any, fill: float) -> Any:
    """Shift each image by whole pixels.

    Args:
        images: float32 (batch, height, width, channels).
        offsets: float32 (batch, 2), whole numbers: how far right and down the picture moves, in pixels.
        fill: the value of pixels that come into view.

    Returns:
        float32, the shape of `images`.

    """
    one, zero = tf.ones_like(offsets[:, 0]), tf.zeros_like(offsets[:, 0])
    columns = [one, zero, -offsets[:, 0], zero, one, -offsets[:, 1], zero, zero]
    return project(images, tf.stack(columns, -1)[:, :6], fill, "NEAREST")


def project(images: Any, maps: Any, fill: float, interpolation: str = "BILINEAR") -> Any:
    """Sample images through affine maps, in TensorFlow's own kernel.

    Args:
        images: float32 (batch, height, width, channels).
        maps: float32 (batch, 6): output pixel (x, y) reads x' = m0 x + m1 y + m2, y' = m3 x + m4 y + m5.
        fill: the value outside the input.
        interpolation: "BILINEAR" or "NEAREST".

    Returns:
        float32, the shape of `images`.

    """
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.concat([maps, tf.zeros_like(maps[:, :2])], -1),
        output_shape=tf.shape(images)[1:3],
        fill_value=tf.constant(fill, tf.float32),
        interpolation=interpolation,
        fill_mode="CONSTANT",
    )
    return tf.ensure_shape(moved, images.shape)


def grid(images: Any) -> tuple[Any, Any]:
    """Return the coordinates x (1, 1, width) and y (1, height, 1) of the pixels of a batch of images."""
    x = tf.range(images.shape[2], dtype=tf.float32)[None, None, :]
    y = tf.range(images.shape[1], dtype=tf.float32)[None, :, None]
    return x, y


def follow(maps: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Send coordinates (batch, height, width) through the affine maps (batch, 6) of `project`."""
    m = maps[:, :, None, None]
    return m[:, 0] * x + m[:, 1] * y + m[:, 2], m[:, 3] * x + m[:, 4] * y + m[:, 5]


def sample(images: Any, x: Any, y: Any, fill: float) -> Any:
    """Read images at any coordinates, interpolating between the four neighbours.

    Args:
        images: float32 (batch, height, width, channels).
        x: float32 (batch, height, width), where to read, in pixels from the left.
        y: float32 (batch, height, width), where to read, in pixels from the top.
        fill: the value outside the input.

    Returns:
        float32, the shape of `images`.

    """
    height, width, channels = images.shape[1:]
    x = tf.clip_by_value(x, -1.0, float(width)) + 1.0
    y = tf.clip_by_value(y, -1.0, float(height)) + 1.0
    left, top = tf.cast(x, tf.int32), tf.cast(y, tf.int32)  # x, y >= 0: truncation rounds down
    across = (x - tf.cast(left, tf.float32))[..., None]
    down = (y - tf.cast(top, tf.float32))[..., None]
    first = tf.range(tf.shape(images)[0])[:, None, None] * ((height + 2) * (width + 2))
    at = first + top * (width + 2) + left
    neighbours = tf.gather(_neighbours(images, fill), at)  # one gather instead of four
    a, b, c, d = tf.split(neighbours, [channels] * 4, axis=-1)
    upper, lower = a + across * (b - a), c + across * (d - c)
    return upper + down * (lower - upper)


def elastic_field(key: Any, height: int, width: int, alpha: float, sigma: float) -> tuple[Any, Any]:
    """Draw smooth displacements: noise uniform in (-1, 1), smoothed with a Gaussian, times alpha.

    Args:
        key: uint32 keys (batch,).
        height: of the images, in pixels.
        width: of the images, in pixels.
        alpha: strength.
        sigma: standard deviation of the Gaussian, in pixels.

    Returns:
        Two float32 tensors (batch, height, width): how far right and down of itself each pixel reads.

    """
    rows, columns = _noise_points(height, sigma), _noise_points(width, sigma)
    # A Gaussian of unit sum in two dimensions leaves white noise 1 / (2 sigma sqrt(pi)) of its spread. The rows
    # of _smoothing keep the spread, so the factor is put in here, half of it on each axis.
    strength = math.sqrt(alpha / (2 * sigma * math.sqrt(math.pi)))
    noise = tf.reshape(random.uniform_pairs(key, rows * columns), [-1, rows, columns * 2])
    field = tf.einsum("yr,brc->byc", _smoothing(height, rows, sigma) * strength, noise)
    field = tf.reshape(field, [-1, height, columns, 2])
    field = tf.einsum("xc,bycd->dbyx", _smoothing(width, columns, sigma) * strength, field)
    return field[0], field[1]


def _noise_points(size: int, sigma: float) -> int:
    """How many noise points an axis needs: two per sigma are as smooth as one per pixel, and far fewer."""
    return min(size, max(2, math.ceil(size * 2 / sigma)))


@functools.lru_cache(maxsize=32)
def _smoothing(size: int, points: int, sigma: float) -> np.ndarray:
    """Gaussian weights (size, points) with rows of length 1, which keep the variance up to the border."""
    places = (np.arange(points) + 0.5) * (size / points) - 0.5
    weights = np.exp(-0.5 * ((np.arange(size)[:, None] - places[None]) / sigma) ** 2)
    return (weights / np.sqrt((weights**2).sum(1, keepdims=True))).astype("float32")


def _neighbours(images: Any, fill: float) -> Any:
    """For each pixel of the padded images, it and the ones right, below, and right below: (pixels, 4 c)."""
    padded = tf.pad(images, [[0, 0], [1, 2], [1, 2], [0, 0]], constant_values=fill)
    corners = [padded[:, :-1, :-1], padded[:, :-1, 1:], padded[:, 1:, :-1], padded[:, 1:, 1:]]
    return tf.reshape(tf.concat(corners, -1), [-1, 4 * images.shape[3]])
