"""`curves`: generated images of a curve through three random points, whose labels are the points."""

from __future__ import annotations

import numpy as np

from deepkit.data.dataset import Data, RawData, build_data
from deepkit.data.images import image_scales
from deepkit.data.pipeline_settings import PipelineSettings, check_batch_size, check_seed
from deepkit.data.sources import MemorySource
from deepkit.data.splits import split_validation
from deepkit.utils.validation import check_integer

IMAGE_SIZE = 28
MARGIN = 2  # smallest distance of a curve from the outer pixels
LINE_WIDTH = 0.75  # standard deviation of the intensity across a line, in pixels

_WHITE = 255
_MAX_EXAMPLES = 1_000_000
_CHUNK = 2_000  # images drawn at a time
_TIMES = (np.arange(64) + 0.5) / 64  # of the points at which a curve is evaluated


def curves(
    num_examples: int = 20_000,
    *,
    num_test: int | None = None,
    seed: int = 0,
    validation: float = 0.0,
    batch_size: int = 32,
) -> Data:
    """Generate images of a white curve through three random points on black, 28x28 pixels.

    The three points are drawn uniformly, at least 2 pixels from the outer pixels, and drawn again if the curve comes
    closer. The curve is the parabola that is at the first point at time 0, at the second at time 1/2, and at the third
    at time 1. Six numbers determine an image, so that a code of six units can suffice.

    The images are a function of the arguments, so that a run on them resumes exactly. NumPy's global random state does
    not change.

    Reference:
        Hinton & Salakhutdinov 2006, "Reducing the Dimensionality of Data with Neural Networks", figure 2A. The curves,
        the width of their lines and the numbers of images are those of this function.

    Args:
        num_examples: Number of training images.
        num_test: Number of test images; half as many as for training by default, at least one.
        seed: Seed of the images, and of the order of the training.
        validation: Number or fraction of the training images to take for validation, as in `from_arrays`.
        batch_size: Number of images in a batch.

    Returns:
        A `Data`. Images are uint8 in memory and float32 in [0, 1] in a batch `(batch, 28, 28, 1)`. Labels are float32
        `(batch, 6)`: row and column of the three points in pixels, from 0 for the center of the outer ones.

    Raises:
        ValueError: An argument is out of range.
        TypeError: `validation` is not a number.

    Examples:
        >>> import deepkit as dk
        >>> data = dk.data.curves(200, num_test=50, validation=20)
        >>> data.summary()
        'curves (seed 0, 28x28 pixels): 180 train, 20 validation, 50 test'
        >>> x, y = data.test.arrays()
        >>> x.shape, y.shape
        ((50, 28, 28, 1), (50, 6))
    """
    seed, batch_size = check_seed(seed), check_batch_size(batch_size)
    num_examples = _check_count(num_examples, "num_examples")
    num_test = max(1, num_examples // 2) if num_test is None else _check_count(num_test, "num_test")
    train, test = (
        _draw(count, np.random.default_rng((seed, split))) for split, count in enumerate((num_examples, num_test))
    )
    arrays = {**split_validation(train, validation), "test": test}
    raw = RawData(
        name="curves",
        version=f"(seed {seed}, {IMAGE_SIZE}x{IMAGE_SIZE} pixels)",
        source="generated",
        origin="generated",
        sources={split: MemorySource(element) for split, element in arrays.items()},
        scales=image_scales(train),
    )
    return build_data(raw, PipelineSettings(batch_size, seed))


def _check_count(count: object, name: str) -> int:
    return check_integer(count, f"curves: {name}", maximum=_MAX_EXAMPLES, hint=f"use {name}=1000")


def _draw(num_examples: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return images `(examples, 28, 28, 1)` in uint8, and their points `(examples, 6)` in float32."""
    points = _draw_points(num_examples, rng)
    images = np.empty((num_examples, IMAGE_SIZE, IMAGE_SIZE, 1), "uint8")
    for start in range(0, num_examples, _CHUNK):
        images[start : start + _CHUNK, :, :, 0] = _render(points[start : start + _CHUNK])
    return images, points.reshape(num_examples, 6).astype("float32")


def _draw_points(num_examples: int, rng: np.random.Generator) -> np.ndarray:
    """Return three points `(examples, 3, 2)` for each curve, which stays within the margin."""
    low, high = MARGIN, IMAGE_SIZE - 1 - MARGIN
    points = np.empty((num_examples, 3, 2))
    missing = np.arange(num_examples)
    while len(missing):
        points[missing] = rng.uniform(low, high, (len(missing), 3, 2))
        path = _positions(points[missing])
        missing = missing[((path < low) | (path > high)).any(axis=(1, 2))]
    return points


def _positions(points: np.ndarray) -> np.ndarray:
    """Return the points of a curve at all times, `(examples, times, 2)`: Lagrange's polynomial of degree 2."""
    t = _TIMES
    weights = np.stack([(2 * t - 1) * (t - 1), 4 * t * (1 - t), t * (2 * t - 1)])
    return np.einsum("kt,nkc->ntc", weights, points)


def _render(points: np.ndarray) -> np.ndarray:
    """Return the gray values of curves: the integral of a Gaussian along each, which is 1 in the middle of a line."""
    t = _TIMES
    slopes = np.stack([4 * t - 3, 4 - 8 * t, 4 * t - 1])
    speeds = np.linalg.norm(np.einsum("kt,nkc->ntc", slopes, points), axis=-1)
    pixels = np.arange(IMAGE_SIZE)
    distances = _positions(points)[..., None] - pixels  # (examples, times, 2, pixels)
    profiles = np.exp(-0.5 * np.square(distances / LINE_WIDTH))
    lengths = speeds / len(t) / (LINE_WIDTH * np.sqrt(2 * np.pi))
    values = np.swapaxes(profiles[:, :, 0] * lengths[..., None], 1, 2) @ profiles[:, :, 1]
    return np.round(_WHITE * np.minimum(values, 1)).astype("uint8")
