"""`rectangles`: generated images of a rectangle's border, whose label is whether it is wider than tall."""

from __future__ import annotations

import numpy as np

from deepkit.data.dataset import Data, RawData, build_data
from deepkit.data.images import image_scales
from deepkit.data.pipeline_settings import PipelineSettings, check_batch_size, check_seed
from deepkit.data.sources import MemorySource
from deepkit.data.splits import split_validation
from deepkit.utils.validation import check_integer

CLASS_NAMES = ("tall", "wide")
MIN_DIFFERENCE = 3  # of height and width in pixels
WHITE = 255

_MIN_IMAGE_SIZE, _MAX_IMAGE_SIZE = MIN_DIFFERENCE + 1, 256
_MAX_EXAMPLES = 10_000_000  # as of `sequences`


def rectangles(
    num_examples: int = 1200,
    *,
    num_test: int | None = None,
    image_size: int = 28,
    seed: int = 0,
    validation: float = 0.0,
    batch_size: int = 32,
) -> Data:
    """Generate images of the white border of a rectangle on black; the class is whether it is wider than tall.

    Height and width are drawn uniformly from 1 to `image_size` pixels, and drawn again if they differ by less than 3.
    The position is then drawn uniformly, so that the rectangle is inside the image. A linear classifier cannot solve
    the task: every pixel is on the borders of wide and tall rectangles.

    The images are a function of the arguments, so that a run on them resumes exactly. The test images are drawn
    independently: a few of them can be equal to training images. NumPy's global random state does not change.

    Reference:
        Larochelle et al. 2007, "An Empirical Evaluation of Deep Architectures on Problems with Many Factors of
        Variation"; the rule for the sizes is that of this function.

    Args:
        num_examples: Number of training images.
        num_test: Number of test images; as many as for training by default.
        image_size: Width and height of an image in pixels, from 4 to 256.
        seed: Seed of the images, and of the order of the training.
        validation: Number or fraction of the training images to take for validation, as in `from_arrays`.
        batch_size: Number of images in a batch.

    Returns:
        A `Data`. Images are uint8 in memory and float32 in [0, 1] in a batch `(batch, image_size, image_size, 1)`.
        Labels are int64 `(batch,)`: 0 for tall, 1 for wide.

    Raises:
        ValueError: An argument is out of range.
        TypeError: `validation` is not a number.

    Examples:
        >>> import deepkit as dk
        >>> data = dk.data.rectangles(1200, num_test=5000, validation=200)
        >>> data.summary()
        'rectangles (seed 0, 28x28 pixels): 1,000 train, 200 validation, 5,000 test'
        >>> data.input_shape, data.class_names
        ((28, 28, 1), ('tall', 'wide'))
    """
    seed, batch_size = check_seed(seed), check_batch_size(batch_size)
    num_examples = _check_count(num_examples, "num_examples")
    num_test = num_examples if num_test is None else _check_count(num_test, "num_test")
    image_size = check_integer(
        image_size,
        "rectangles: image_size",
        minimum=_MIN_IMAGE_SIZE,
        maximum=_MAX_IMAGE_SIZE,
        hint="use image_size=28",
    )
    train, test = (
        _draw(count, image_size, np.random.default_rng((seed, split)))
        for split, count in enumerate((num_examples, num_test))
    )
    arrays = {**split_validation(train, validation), "test": test}
    raw = RawData(
        name="rectangles",
        version=f"(seed {seed}, {image_size}x{image_size} pixels)",
        source="generated",
        origin="generated",
        sources={split: MemorySource(element) for split, element in arrays.items()},
        scales=image_scales(train),
        num_classes=len(CLASS_NAMES),
        class_names=CLASS_NAMES,
    )
    return build_data(raw, PipelineSettings(batch_size, seed))


def _check_count(count: object, name: str) -> int:
    return check_integer(count, f"rectangles: {name}", maximum=_MAX_EXAMPLES, hint=f"use {name}=1000")


def _draw(num_examples: int, image_size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return images `(examples, rows, columns, 1)` in uint8 and labels `(examples,)` in int64."""
    sizes = _draw_sizes(num_examples, image_size, rng)
    starts = rng.integers(0, image_size - sizes + 1)  # row and column of the upper left corner
    pixels = np.arange(image_size)
    is_inside, is_edge = [], []
    for axis in (0, 1):
        start, last = starts[:, axis, None], (starts + sizes)[:, axis, None] - 1
        is_inside.append((pixels >= start) & (pixels <= last))
        is_edge.append((pixels == start) | (pixels == last))
    in_row, in_column = is_inside[0][:, :, None], is_inside[1][:, None, :]
    on_row, on_column = is_edge[0][:, :, None], is_edge[1][:, None, :]
    images = np.where((on_row & in_column) | (in_row & on_column), np.uint8(WHITE), np.uint8(0))
    return images[..., None], (sizes[:, 1] > sizes[:, 0]).astype("int64")


def _draw_sizes(num_examples: int, image_size: int, rng: np.random.Generator) -> np.ndarray:
    """Return heights and widths that differ by at least 3 pixels, `(examples, 2)`."""
    sizes = np.empty((num_examples, 2), "int64")
    missing = np.arange(num_examples)
    while len(missing):
        sizes[missing] = rng.integers(1, image_size + 1, (len(missing), 2))
        missing = missing[np.abs(sizes[missing, 0] - sizes[missing, 1]) < MIN_DIFFERENCE]
    return sizes
