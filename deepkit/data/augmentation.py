"""Image augmentation: stateless functions of a whole batch, keyed by (seed, epoch, index of the example).

Images enter and leave in the scale in which they are stored (0 to 255 for the images of a named dataset), before
they are scaled to [0, 1] or passed to `map`. Keras's random layers draw from a stateful generator, so that the
augmentation of an example depends on all earlier draws; here it depends on its own key only.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import tensorflow as tf

from deepkit.data import stateless_random, warp
from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_choice, check_integer, check_number

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


class Augmentation(abc.ABC):
    """A random change of a batch of images: a pure function of the images and their keys.

    Subclass it as a frozen dataclass to add an augmentation; draw numbers with `deepkit.data.stateless_random`.

    Examples:
        >>> import dataclasses, deepkit as dk
        >>> @dataclasses.dataclass(frozen=True)
        ... class Brightness(dk.data.Augmentation):
        ...     amount: float = 20.0
        ...
        ...     def __call__(self, images, keys):
        ...         return (
        ...             images
        ...             + self.amount
        ...             * dk.data.stateless_random.uniform(keys, 1)[:, :, None, None]
        ...         )
        >>> Brightness()
        Brightness(amount=20.0)
    """

    @abc.abstractmethod
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        """Augment the images.

        Args:
            images: float32 (batch, height, width, channels).
            keys: uint32 (batch,), one for each image, from `deepkit.data.stateless_random.example_keys`.

        Returns:
            float32, the shape of `images`.
        """


@dataclasses.dataclass(frozen=True)
class Shift(Augmentation):
    """Shift images by up to `max_pixels` whole pixels along each axis; compare `keras.layers.RandomTranslation`.

    Args:
        max_pixels: Largest shift, in pixels.
        fill: Value of the pixels that become visible, in the scale of the images.

    Raises:
        ValueError: `max_pixels` is not an integer of at least 0.

    Examples:
        >>> import deepkit as dk
        >>> dk.data.Shift(2)
        Shift(max_pixels=2, fill=0.0)
    """

    max_pixels: int
    fill: float = 0.0

    def __post_init__(self) -> None:
        _check_pixels(self, "max_pixels")

    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        """Shift the images; see `Augmentation.__call__`."""
        return warp.translate(images, _uniform_offsets(keys, self.max_pixels), self.fill)


@dataclasses.dataclass(frozen=True)
class PadCrop(Augmentation):
    """Pad all four sides, then crop to the original size at random (He et al. 2016, section 4.2: padding 4).

    Args:
        padding: Number of pixels to add on each side.
        fill: Value of the added pixels, in the scale of the images.

    Raises:
        ValueError: `padding` is not an integer of at least 0.

    Examples:
        >>> import deepkit as dk
        >>> dk.data.PadCrop(4)
        PadCrop(padding=4, fill=0.0)
    """

    padding: int
    fill: float = 0.0

    def __post_init__(self) -> None:
        _check_pixels(self, "padding")

    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        """Pad and crop the images; see `Augmentation.__call__`."""
        return warp.translate(images, _uniform_offsets(keys, self.padding), self.fill)


@dataclasses.dataclass(frozen=True)
class Flip(Augmentation):
    """Mirror each image with probability 1/2; compare `keras.layers.RandomFlip`.

    Args:
        direction: "horizontal" (left becomes right) or "vertical" (top becomes bottom).

    Raises:
        ValueError: `direction` is neither of the two.

    Examples:
        >>> import deepkit as dk
        >>> dk.data.Flip()
        Flip(direction='horizontal')
    """

    direction: str = "horizontal"

    def __post_init__(self) -> None:
        check_choice(self.direction, "Flip: direction", ("horizontal", "vertical"))

    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        """Mirror about half of the images; see `Augmentation.__call__`."""
        axis = 2 if self.direction == "horizontal" else 1
        is_mirrored = stateless_random.uniform(keys, 1)[:, :, None, None] < 0
        return tf.where(is_mirrored, tf.reverse(images, [axis]), images)


@dataclasses.dataclass(frozen=True)
class Affine(Augmentation):
    """Rotate, stretch, shear and shift about the center, each by a uniformly random amount in either direction.

    Compare `keras.layers.RandomRotation`, `RandomZoom`, `RandomShear` and `RandomTranslation`, each of which resamples
    the image; an `Affine` resamples it once.

    Args:
        rotation: Largest rotation, in degrees.
        scale: Each axis is stretched by a factor between 1 / (1 + scale) and 1 + scale.
        shear: Largest shear, in pixels sideways per pixel of height.
        shift: Largest shift along each axis, in pixels; fractions of pixels are drawn too.
        fill: Value outside the image, in the scale of the images.

    Raises:
        ValueError: An amount is not a number of at least 0.

    Examples:
        >>> import deepkit as dk
        >>> dk.data.Affine(rotation=10, scale=0.1)
        Affine(rotation=10, scale=0.1, shear=0.0, shift=0.0, fill=0.0)
    """

    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    fill: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rotation", "scale", "shear", "shift"):
            _check_number(self, name)

    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        """Transform the images; see `Augmentation.__call__`."""
        return warp.affine_transform(images, self.transforms(images, keys), self.fill)

    def transforms(self, images: Tensor, keys: Tensor) -> Tensor:
        """Draw the affine maps (batch, 6) from output to input pixels for `deepkit.data.warp.affine_transform`."""
        # In float64: float32 cosines differ in the last bit between TensorFlow's vectorized code and the scalar
        # code it uses for the end of a batch, and an example must not depend on its position in the batch.
        values = tf.cast(stateless_random.uniform(keys, 6), tf.float64)
        angle, shear = values[:, 0] * math.radians(self.rotation), values[:, 3] * self.shear
        stretch_x = tf.exp(values[:, 1] * math.log1p(self.scale))
        stretch_y = tf.exp(values[:, 2] * math.log1p(self.scale))
        cos, sin = tf.cos(angle), tf.sin(angle)
        m0, m1 = cos * stretch_x, (cos * shear - sin) * stretch_y  # rotation @ shear @ stretch
        m3, m4 = sin * stretch_x, (sin * shear + cos) * stretch_y
        center_x, center_y = (images.shape[2] - 1) / 2, (images.shape[1] - 1) / 2
        m2 = center_x - m0 * center_x - m1 * center_y + values[:, 4] * self.shift
        m5 = center_y - m3 * center_x - m4 * center_y + values[:, 5] * self.shift
        return tf.cast(tf.stack([m0, m1, m2, m3, m4, m5], -1), tf.float32)


@dataclasses.dataclass(frozen=True)
class Elastic(Augmentation):
    """Distort images with a smooth random displacement field (Simard, Steinkraus and Platt 2003, section 2).

    Each pixel receives a displacement uniform in (-1, 1) along each axis; both fields are smoothed with a
    Gaussian and multiplied by `alpha`. The noise has two points per sigma instead of one per pixel, with the
    same spread. An `Elastic` directly after an `Affine` is merged with it into one sampling, which is faster
    and blurs less.

    Args:
        alpha: Strength; pixels move by about 0.16 alpha / sigma (root mean square), 1.4 for the defaults.
        sigma: Smoothness: the standard deviation of the Gaussian, in pixels. The defaults are the paper's
            for MNIST.
        fill: Value outside the image, in the scale of the images.

    Raises:
        ValueError: `alpha` is not a number of at least 0, or `sigma` not above 0.

    Examples:
        >>> import deepkit as dk
        >>> dk.data.Elastic()
        Elastic(alpha=34.0, sigma=4.0, fill=0.0)
    """

    alpha: float = 34.0
    sigma: float = 4.0
    fill: float = 0.0

    def __post_init__(self) -> None:
        _check_number(self, "alpha")
        _check_number(self, "sigma", above=0)

    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        """Distort the images; see `Augmentation.__call__`."""
        return warp.sample_bilinear(images, *self.coordinates(images, keys), self.fill)

    def coordinates(self, images: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Draw the coordinates x and y (batch, height, width) that each output pixel reads."""
        x, y = warp.pixel_grid(images)
        right, down = warp.elastic_field(keys, images.shape[1], images.shape[2], self.alpha, self.sigma)
        return x + right, y + down


def check_augmentations(augmentations: object) -> tuple[Augmentation, ...]:
    """Return the augmentations as a tuple, or raise a TypeError that names the wrong element."""
    if isinstance(augmentations, Augmentation):
        return (augmentations,)
    if not isinstance(augmentations, Iterable):
        problem = f"augment must be a list of augmentations, received {format_value(augmentations)}"
        raise TypeError(message(problem, hint="pass augment=[dk.data.Shift(2)]"))
    chain = tuple(augmentations)
    for position, element in enumerate(chain):
        if not isinstance(element, Augmentation):
            problem = (
                f"augment[{position}] must be a deepkit.data.Augmentation such as Shift(2) or Affine(rotation=10), "
                f"received {format_value(element)}"
            )
            hint = "put Keras's random layers into the model: they keep state and cannot be keyed by example"
            raise TypeError(message(problem, hint=hint))
    return chain


def augment_images(augmentations: tuple[Augmentation, ...], images: Tensor, keys: Tensor) -> Tensor:
    """Apply augmentations in order, each with its own random numbers.

    Args:
        augmentations: The augmentations, first to last.
        images: float32 (batch, height, width, channels).
        keys: uint32 (batch,), one for each image.

    Returns:
        float32, the shape of `images`.
    """
    position = 0
    while position < len(augmentations):
        augmentation, step_keys = augmentations[position], stateless_random.fold_in(keys, position)
        following = augmentations[position + 1] if position + 1 < len(augmentations) else None
        if isinstance(augmentation, Affine) and isinstance(following, Elastic):
            x, y = following.coordinates(images, stateless_random.fold_in(keys, position + 1))
            x, y = warp.transform_coordinates(augmentation.transforms(images, step_keys), x, y)
            images = warp.sample_bilinear(images, x, y, augmentation.fill)
            position += 2
        else:
            images = augmentation(images, step_keys)
            position += 1
    return images


def _uniform_offsets(keys: Tensor, limit: int) -> Tensor:
    """Draw whole numbers (batch, 2), uniform from -limit to limit."""
    return tf.floor((stateless_random.uniform(keys, 2) + 1) * (0.5 * (2 * limit + 1))) - limit


def _check_pixels(augmentation: Augmentation, name: str) -> None:
    """Convert a field to an integer of at least 0, or raise a ValueError."""
    value = check_integer(getattr(augmentation, name), f"{type(augmentation).__name__}: {name}", minimum=0)
    object.__setattr__(augmentation, name, value)


def _check_number(augmentation: Augmentation, name: str, above: float | None = None) -> None:
    """Convert a field to a finite number of at least 0, or above a bound, or raise a ValueError."""
    value = getattr(augmentation, name)
    minimum = 0 if above is None else None
    value = check_number(value, f"{type(augmentation).__name__}: {name}", minimum=minimum, above=above)
    object.__setattr__(augmentation, name, value)
