"""Warp batches of images: translation, affine maps, and sampling at arbitrary coordinates."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from deepkit.data import stateless_random

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


def translate(images: Tensor, offsets: Tensor, fill: float) -> Tensor:
    """Shift each image by whole pixels.

    Args:
        images: float32 (batch, height, width, channels).
        offsets: float32 (batch, 2), whole numbers: the shifts to the right and down, in pixels.
        fill: Value of the pixels that become visible.

    Returns:
        float32, the shape of `images`.
    """
    one, zero = tf.ones_like(offsets[:, 0]), tf.zeros_like(offsets[:, 0])
    columns = [one, zero, -offsets[:, 0], zero, one, -offsets[:, 1], zero, zero]
    return affine_transform(images, tf.stack(columns, -1)[:, :6], fill, "NEAREST")


def affine_transform(images: Tensor, transforms: Tensor, fill: float, interpolation: str = "BILINEAR") -> Tensor:
    """Sample images through affine maps with TensorFlow's own kernel.

    Args:
        images: float32 (batch, height, width, channels).
        transforms: float32 (batch, 6): output pixel (x, y) reads x' = m0 x + m1 y + m2, y' = m3 x + m4 y + m5.
        fill: Value outside the input.
        interpolation: "BILINEAR" or "NEAREST".

    Returns:
        float32, the shape of `images`.
    """
    output = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.concat([transforms, tf.zeros_like(transforms[:, :2])], -1),
        output_shape=tf.shape(images)[1:3],
        fill_value=tf.constant(fill, tf.float32),
        interpolation=interpolation,
        fill_mode="CONSTANT",
    )
    return tf.ensure_shape(output, images.shape)


def pixel_grid(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the coordinates x (1, 1, width) and y (1, height, 1) of the pixels of a batch of images."""
    x = tf.range(images.shape[2], dtype=tf.float32)[None, None, :]
    y = tf.range(images.shape[1], dtype=tf.float32)[None, :, None]
    return x, y


def transform_coordinates(transforms: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Apply affine maps (batch, 6), as `affine_transform` takes them, to coordinates (batch, height, width)."""
    m = transforms[:, :, None, None]
    return m[:, 0] * x + m[:, 1] * y + m[:, 2], m[:, 3] * x + m[:, 4] * y + m[:, 5]


def sample_bilinear(images: Tensor, x: Tensor, y: Tensor, fill: float) -> Tensor:
    """Sample images at arbitrary coordinates with bilinear interpolation.

    Args:
        images: float32 (batch, height, width, channels).
        x: float32 (batch, height, width), the coordinate to read at, in pixels from the left.
        y: float32 (batch, height, width), the coordinate to read at, in pixels from the top.
        fill: Value outside the input.

    Returns:
        float32, the shape of `images`.
    """
    height, width, channels = images.shape[1:]
    x = tf.clip_by_value(x, -1.0, float(width)) + 1.0
    y = tf.clip_by_value(y, -1.0, float(height)) + 1.0
    left, top = tf.cast(x, tf.int32), tf.cast(y, tf.int32)  # x, y >= 0: truncation rounds down
    weight_right = (x - tf.cast(left, tf.float32))[..., None]
    weight_down = (y - tf.cast(top, tf.float32))[..., None]
    image_starts = tf.range(tf.shape(images)[0])[:, None, None] * ((height + 2) * (width + 2))
    positions = image_starts + top * (width + 2) + left
    neighbors = tf.gather(_pixel_neighbors(images, fill), positions)  # one gather instead of four
    a, b, c, d = tf.split(neighbors, [channels] * 4, axis=-1)
    upper, lower = a + weight_right * (b - a), c + weight_right * (d - c)
    return upper + weight_down * (lower - upper)


def elastic_field(keys: Tensor, height: int, width: int, alpha: float, sigma: float) -> tuple[Tensor, Tensor]:
    """Draw smooth displacements: uniform noise in (-1, 1), smoothed with a Gaussian and multiplied by alpha.

    Args:
        keys: uint32 keys (batch,).
        height: Height of the images, in pixels.
        width: Width of the images, in pixels.
        alpha: Strength.
        sigma: Standard deviation of the Gaussian, in pixels.

    Returns:
        Two float32 tensors (batch, height, width): the displacements to the right and down at which each output
        pixel reads the input.
    """
    rows, columns = _num_noise_points(height, sigma), _num_noise_points(width, sigma)
    # A Gaussian of unit sum in two dimensions reduces the spread of white noise by 1 / (2 sigma sqrt(pi)). The
    # rows of _smoothing_weights keep the spread, so this factor is applied here, its square root on each axis.
    strength = math.sqrt(alpha / (2 * sigma * math.sqrt(math.pi)))
    noise = tf.reshape(stateless_random.uniform_pairs(keys, rows * columns), [-1, rows, columns * 2])
    field = tf.einsum("yr,brc->byc", _smoothing_weights(height, rows, sigma) * strength, noise)
    field = tf.reshape(field, [-1, height, columns, 2])
    field = tf.einsum("xc,bycd->dbyx", _smoothing_weights(width, columns, sigma) * strength, field)
    return field[0], field[1]


def _num_noise_points(size: int, sigma: float) -> int:
    """Return the noise points that an axis needs: two per sigma are as smooth as one per pixel, and far fewer."""
    return min(size, max(2, math.ceil(size * 2 / sigma)))


@functools.lru_cache(maxsize=32)
def _smoothing_weights(size: int, num_points: int, sigma: float) -> np.ndarray:
    """Return Gaussian weights (size, num_points) whose rows have norm 1, which keeps the variance at the border."""
    positions = (np.arange(num_points) + 0.5) * (size / num_points) - 0.5
    weights = np.exp(-0.5 * ((np.arange(size)[:, None] - positions[None]) / sigma) ** 2)
    return (weights / np.sqrt((weights**2).sum(1, keepdims=True))).astype("float32")


def _pixel_neighbors(images: Tensor, fill: float) -> Tensor:
    """Return each pixel of the padded images with its neighbors right, below, and right below: (pixels, 4 c)."""
    padded = tf.pad(images, [[0, 0], [1, 2], [1, 2], [0, 0]], constant_values=fill)
    corners = [padded[:, :-1, :-1], padded[:, :-1, 1:], padded[:, 1:, :-1], padded[:, 1:, 1:]]
    return tf.reshape(tf.concat(corners, -1), [-1, 4 * images.shape[3]])
