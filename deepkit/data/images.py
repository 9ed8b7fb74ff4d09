"""Images: their scales, their sizes, and checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from deepkit.data.nested_arrays import inputs_of
from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import is_integer

if TYPE_CHECKING:
    from deepkit.data.nested_arrays import Arrays, Scales
    from deepkit.utils.types import Dataset, Nested, Tensor

SAMPLE_SIZE = 64  # number of examples to inspect for their size
DIFFERENT_SIZES = "images differ in size"
_MIN_UNSCALED = 10  # images with larger values are not scaled to [0, 1]
IMAGE_SIZE_HINT = "pass image_size=, for example image_size=224, to resize them"


def image_scales(element: Nested) -> Scales:
    """Return, in the structure of x, the factor that scales uint8 images to [0, 1], or None for other arrays."""
    return tf.nest.map_structure(
        lambda array: 1 / 255 if array.dtype == np.uint8 and array.ndim >= 3 else None, inputs_of(element)
    )


def check_image_size(image_size: object) -> tuple[int, int]:
    """Return an `image_size` argument as (height, width), or raise a ValueError."""
    sides = tuple(image_size) if isinstance(image_size, tuple | list) else (image_size, image_size)
    if len(sides) == 2 and all(is_integer(side) and side > 0 for side in sides):
        height, width = sides
        return int(height), int(width)
    problem = f"image_size must be a positive number of pixels, or (height, width), received {format_value(image_size)}"
    raise ValueError(message(problem, hint="pass image_size=224"))


def check_same_scale(x: Arrays, other: Arrays, name: str) -> None:
    """Raise a ValueError if the images of one of two arrays are scaled to [0, 1], and those of the other are not.

    Args:
        x: Training inputs, validated by `from_arrays`.
        other: Validation or test inputs.
        name: Name of `other` for the message: "validation".
    """
    for train, separate in zip(tf.nest.flatten(x), tf.nest.flatten(other), strict=False):
        if min(train.ndim, separate.ndim) < 3 or {train.dtype.kind, separate.dtype.kind} - set("iuf"):
            continue
        if not train.size or not separate.size or min(train.min(), separate.min()) < 0:
            continue
        low, high = sorted((float(train.max()), float(separate.max())))
        if 0 < low <= 1 and high > _MIN_UNSCALED:
            problem = (
                f"{name} x has the dtype {separate.dtype} and values up to {separate.max():g}, the training x "
                f"{train.dtype} and values up to {train.max():g}"
            )
            raise ValueError(message(problem, hint="pass images of one dtype and scale for all splits"))


def cast_images(x: Nested, scales: Scales) -> Nested:
    """Cast the images of x to float32 in the scale in which they are stored."""
    if scales is None:
        return x
    return tf.nest.map_structure(lambda leaf, scale: leaf if scale is None else tf.cast(leaf, tf.float32), x, scales)


def scale_images(x: Nested, scales: Scales) -> Nested:
    """Scale the images of x to [0, 1]."""
    if scales is None:
        return x
    return tf.nest.map_structure(lambda leaf, scale: leaf if scale is None else leaf * scale, x, scales)


def check_images(x: Any) -> Tensor:
    """Return x, or raise a ValueError unless it is a batch of images of one size that can be augmented."""
    if tf.is_tensor(x) and x.dtype == tf.float32 and x.shape.rank == 4 and None not in x.shape[1:]:
        return x
    received = tf.nest.map_structure(lambda leaf: f"{leaf.dtype.name} {tuple(leaf.shape)}", x)
    problem = (
        f"augment: augmentations need images, float32 (batch, height, width, channels) of one size, received {received}"
    )
    raise ValueError(message(problem, hint="remove augment=, or add a missing channel axis with x[..., None]"))


def resize_images(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize images (..., height, width, channels) with antialiasing; images of the right size stay unchanged.

    Args:
        images: Images of any integer or float dtype, which they keep.
        size: (height, width).
    """
    if tuple(images.shape[-3:-1]) == size:
        return images
    resized = tf.image.resize(images, size, antialias=True)
    return tf.cast(resized if images.dtype.is_floating else tf.round(resized), images.dtype)


def make_size_fixer(dataset: Dataset, scales: Scales, name: str) -> Callable[[Nested], Nested] | None:
    """Return a function of an example that sets the static shape of images whose size TFDS does not know.

    Args:
        dataset: Single examples; the first images determine the size.
        scales: In the structure of an example: None for a tensor that is not an image.
        name: Name of the dataset for the error message.

    Returns:
        None if all sizes are known. An image of another size raises an error of TensorFlow with the text
        `DIFFERENT_SIZES`.

    Raises:
        ValueError: The first images differ in size.
    """
    specs = tf.nest.flatten(dataset.element_spec)
    unknown = []
    for position, scale in enumerate(tf.nest.flatten(scales)):
        if scale is not None and None in tuple(specs[position].shape):
            unknown.append(position)
    if not unknown:
        return None
    sample = [tf.nest.flatten(element) for element in dataset.take(SAMPLE_SIZE)]
    shapes = {}
    for position in unknown:
        shapes[position] = _common_shape([tuple(leaves[position].shape) for leaves in sample], name)

    def set_shapes(element: Nested) -> Nested:
        leaves = [_set_shape(leaf, shapes.get(position)) for position, leaf in enumerate(tf.nest.flatten(element))]
        return tf.nest.pack_sequence_as(element, leaves)

    return set_shapes


def _set_shape(leaf: Tensor, shape: tuple[int, ...] | None) -> Tensor:
    if shape is None:
        return leaf
    assertion = tf.debugging.assert_equal(tf.shape(leaf), shape, message=DIFFERENT_SIZES)
    with tf.control_dependencies([assertion]):
        return tf.ensure_shape(tf.identity(leaf), shape)


def _common_shape(shapes: list[tuple[int, ...]], name: str) -> tuple[int, ...]:
    if len(set(shapes)) > 1:
        examples = " and ".join(f"{height}x{width}" for height, width, *_ in sorted(set(shapes))[:2])
        raise ValueError(message(f"{name}: {DIFFERENT_SIZES}, for example {examples}", hint=IMAGE_SIZE_HINT))
    return shapes[0]
