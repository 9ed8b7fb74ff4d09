"""Image augmentation as values: whole batches, no state, keyed by (seed, epoch, index of the example).

Values come in and go out in the scale the images are in (0 to 255 for images of a named data set), before
they are scaled to [0, 1] or go through `map`. Keras's random layers draw from a generator that advances, so
that what happens to an example depends on all that was drawn before it; here it depends on nothing else.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from deepkit.data import random, warp


class Augmentation(abc.ABC):
    """A random change of a batch of images that is a pure function of the images and their keys.

    Subclass it as a frozen dataclass to add one; `deepkit.data.random` has the numbers.

    Examples:
        >>> import deepkit as dk
        >>> @dataclasses.dataclass(frozen=True)
        ... class Brightness(dk.data.Augmentation):
        ...     amount: float = 20.0
        ...
        ...     def __call__(self, images, keys):
        ...         return images + self.amount * dk.data.random.uniform(keys, 1)[:, :, None, None]
        >>> Brightness()
        Brightness(amount=20.0)

    """

    @abc.abstractmethod
    def __call__(self, images: Any, keys: Any) -> Any:
        """Change the images.

        Args:
            images: float32 (batch, height, width, channels).
            keys: uint32 (batch,), one for each image, from `deepkit.data.random.keys`.

        Returns:
            float32, the shape of `images`.

        """


@dataclasses.dataclass(frozen=True)
class Shift(Augmentation):
    """Move the picture by up to `max_pixels` whole pixels along each axis.

    Args:
        max_pixels: the farthest it moves, in pixels.
        fill: the value of pixels that come into view, in the scale of the images.

    Examples:
        >>> import deepkit as dk
        >>> dk.data.Shift(2)
        Shift(max_pixels=2, fill=0.0)

    """

    max_pixels: int
    fill: float = 0.0

    def __post_init__(self) -> None:
        _check_whole(self, "max_pixels")

    def __call__(self, images: Any, keys: Any) -> Any:
        """Shift the images; see `Augmentation.__call__`."""
        return warp.translate(images, _whole(keys, self.max_pixels), self.fill)


@dataclasses.dataclass(frozen=True)
class PadCrop(Augmentation):
    """Pad all four sides, then cut the original size out anywhere (He et al. 2016, section 4.2: padding 4).

    Args:
        padding: how many pixels are added on each side.
        fill: the value of the added pixels, in the scale of the images.

    Examples:
        >>> import deepkit as dk
        >>> dk.data.PadCrop(4)
        PadCrop(padding=4, fill=0.0)

    """

    padding: int
    fill: float = 0.0

    def __post_init__(self) -> None:
        _check_whole(self, "padding")

    def __call__(self, images: Any, keys: Any) -> Any:
        """Pad and crop the images; see `Augmentation.__call__`."""
        return warp.translate(images, _whole(keys, self.padding), self.fill)


@dataclasses.dataclass(frozen=True)
class Flip(Augmentation):
    """Mirror every other image, on average.

    Args:
        direction: "horizontal" (left becomes right) or "vertical" (top becomes bottom).

    Examples:
        >>> import deepkit as dk
        >>> dk.data.Flip()
        Flip(direction='horizontal')

    """

    direction: str = "horizontal"

    def __post_init__(self) -> None:
        if self.direction not in ("horizontal", "vertical"):
            raise ValueError(f"Flip: direction must be 'horizontal' or 'vertical', received {self.direction!r}")

    def __call__(self, images: Any, keys: Any) -> Any:
        """Mirror half of the images; see `Augmentation.__call__`."""
        chosen = random.uniform(keys, 1)[:, :, None, None] < 0
        return tf.where(chosen, tf.reverse(images, [2 if self.direction == "horizontal" else 1]), images)


@dataclasses.dataclass(frozen=True)
class Affine(Augmentation):
    """Rotate, stretch, shear and shift about the centre, each by a uniform random amount either way.

    Args:
        rotation: up to this many degrees.
        scale: each axis is stretched by a factor between 1 / (1 + scale) and 1 + scale.
        shear: up to this many pixels sideways per pixel of height.
        shift: up to this many pixels (fractions too) along each axis.
        fill: the value outside the picture, in the scale of the images.

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
        _check_numbers(self, ("rotation", "scale", "shear", "shift"))

    def __call__(self, images: Any, keys: Any) -> Any:
        """Transform the images; see `Augmentation.__call__`."""
        return warp.project(images, self.maps(images, keys), self.fill)

    def maps(self, images: Any, keys: Any) -> Any:
        """Draw the maps (batch, 6) from output to input pixels that `deepkit.data.warp.project` takes."""
        # In float64: float32 cosines differ in the last bit between TensorFlow's vectorised code and the scalar
        # code it uses for the end of a batch, and an example must not depend on its place.
        drawn = tf.cast(random.uniform(keys, 6), tf.float64)
        angle, slant = drawn[:, 0] * math.radians(self.rotation), drawn[:, 3] * self.shear
        across = tf.exp(drawn[:, 1] * math.log1p(self.scale))
        down = tf.exp(drawn[:, 2] * math.log1p(self.scale))
        cos, sin = tf.cos(angle), tf.sin(angle)
        m0, m1 = cos * across, (cos * slant - sin) * down  # rotation @ shear @ stretch
        m3, m4 = sin * across, (sin * slant + cos) * down
        x, y = (images.shape[2] - 1) / 2, (images.shape[1] - 1) / 2
        m2 = x - m0 * x - m1 * y + drawn[:, 4] * self.shift
        m5 = y - m3 * x - m4 * y + drawn[:, 5] * self.shift
        return tf.cast(tf.stack([m0, m1, m2, m3, m4, m5], -1), tf.float32)


@dataclasses.dataclass(frozen=True)
class Elastic(Augmentation):
    """Bend the picture by a smooth random field (Simard, Steinkraus and Platt 2003, section 2).

    Each pixel gets a displacement uniform in (-1, 1) along each axis; the two fields are smoothed with a
    Gaussian and multiplied by `alpha`. The noise is laid down at two points per sigma instead of one per
    pixel, with the same spread. Directly after an `Affine` both are sampled at once, which is faster and
    blurs less.

    Args:
        alpha: strength; pixels move by about 0.16 alpha / sigma (root mean square), 1.4 for the defaults.
        sigma: smoothness, the standard deviation of the Gaussian in pixels. The defaults are the paper's
            for MNIST.
        fill: the value outside the picture, in the scale of the images.

    Examples:
        >>> import deepkit as dk
        >>> dk.data.Elastic()
        Elastic(alpha=34.0, sigma=4.0, fill=0.0)

    """

    alpha: float = 34.0
    sigma: float = 4.0
    fill: float = 0.0

    def __post_init__(self) -> None:
        _check_numbers(self, ("alpha", "sigma"))
        if not self.sigma:
            raise ValueError("Elastic: sigma must be above 0 pixels, received 0")

    def __call__(self, images: Any, keys: Any) -> Any:
        """Bend the images; see `Augmentation.__call__`."""
        return warp.sample(images, *self.places(images, keys), self.fill)

    def places(self, images: Any, keys: Any) -> tuple[Any, Any]:
        """Draw the coordinates x and y (batch, height, width) that each output pixel reads."""
        x, y = warp.grid(images)
        right, down = warp.elastic_field(keys, images.shape[1], images.shape[2], self.alpha, self.sigma)
        return x + right, y + down


def check(augmentations: Iterable[Any]) -> tuple[Augmentation, ...]:
    """Return the chain as a tuple, or raise a TypeError that names the element that is no augmentation."""
    if isinstance(augmentations, Augmentation):
        return (augmentations,)
    if not isinstance(augmentations, Iterable):
        raise TypeError(f"augment: expected a list of augmentations, received {augmentations!r}")
    chain = tuple(augmentations)
    for place, element in enumerate(chain):
        if not isinstance(element, Augmentation):
            raise TypeError(
                f"augment[{place}]: expected a deepkit.data.Augmentation such as Shift(2) or Affine(rotation=10), "
                f"received {element!r}; Keras's random layers keep state and cannot be keyed by example, "
                "put them into the model instead"
            )
    return chain


def apply(chain: tuple[Augmentation, ...], images: Any, keys: Any) -> Any:
    """Send images through a chain, each augmentation with numbers of its own.

    Args:
        chain: the augmentations, first to last.
        images: float32 (batch, height, width, channels).
        keys: uint32 (batch,), one for each image.

    Returns:
        float32, the shape of `images`.

    """
    place = 0
    while place < len(chain):
        step, own = chain[place], random.fork(keys, place)
        after = chain[place + 1] if place + 1 < len(chain) else None
        if isinstance(step, Affine) and isinstance(after, Elastic):
            x, y = after.places(images, random.fork(keys, place + 1))
            images = warp.sample(images, *warp.follow(step.maps(images, own), x, y), step.fill)
            place += 2
        else:
            images = step(images, own)
            place += 1
    return images


def _whole(keys: Any, limit: int) -> Any:
    """Whole numbers (batch, 2), uniform from -limit to limit."""
    return tf.floor((random.uniform(keys, 2) + 1) * (0.5 * (2 * limit + 1))) - limit


def _check_whole(augmentation: Any, name: str) -> None:
    value = getattr(augmentation, name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{type(augmentation).__name__}: {name} must be a whole number of pixels, 0 or more, "
                         f"received {value!r}")  # fmt: skip


def _check_numbers(augmentation: Any, names: tuple[str, ...]) -> None:
    for name in names:
        value = getattr(augmentation, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise ValueError(f"{type(augmentation).__name__}: {name} must be a number, 0 or more, "
                             f"received {value!r}")  # fmt: skip
