"""The distributions of `scenes`: objects on a plain background, drawn as RGB images with NumPy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

SHAPES = ("circle", "square", "triangle")
PALETTE = {
    "red": (214, 39, 40),
    "green": (30, 150, 60),
    "blue": (30, 90, 220),
    "yellow": (250, 200, 20),
    "purple": (140, 60, 190),
    "gray": (120, 120, 120),
}
COLORS = tuple(PALETTE)
BACKGROUND = 250
ABSENT = -1  # the shape and the color of an object that a scene does not have
MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 36, 256

_ATTEMPTS = 20  # to place an object before the scene is drawn again
_SAMPLES = 8  # samples of a pixel along each axis, for smooth edges
_UNITS = 2 * _SAMPLES  # integer units of a pixel, so that images are equal on all machines


@dataclasses.dataclass(frozen=True, eq=False)
class SceneObjects:
    """The objects of scenes, at most one of each color.

    Args:
        shapes: Indices into `("circle", "square", "triangle")`, int64 `(scenes, objects)`; -1 for no object.
        colors: Indices into `("red", "green", "blue", "yellow", "purple", "gray")`, in the same form.
        boxes: Top, left, bottom and right of each object in pixels, the last two exclusive, int64
            `(scenes, objects, 4)`: `image[top:bottom, left:right]` is the object. Zeros for no object.

    Examples:
        >>> import deepkit as dk
        >>> objects = dk.data.scenes("questions", 10).objects("train")
        >>> objects.shapes.shape, objects.boxes.shape
        ((10, 6), (10, 6, 4))
    """

    shapes: np.ndarray
    colors: np.ndarray
    boxes: np.ndarray

    def __getitem__(self, index: slice) -> SceneObjects:
        return SceneObjects(self.shapes[index], self.colors[index], self.boxes[index])


def radius_of(image_size: int) -> int:
    """Return half the width of an object, without its center, in pixels."""
    return image_size // 12


def make_objects(shapes: np.ndarray, colors: np.ndarray, centers: np.ndarray, radius: int) -> SceneObjects:
    """Return objects of one size.

    Args:
        shapes: Indices `(scenes, objects)`; -1 for no object.
        colors: Indices in the same form.
        centers: Columns and rows of the centers in pixels, `(scenes, objects, 2)`.
        radius: Half the width of an object, without its center, in pixels.
    """
    x, y = centers[..., 0], centers[..., 1]
    boxes = np.stack([y - radius, x - radius, y + radius + 1, x + radius + 1], axis=-1)
    boxes[shapes == ABSENT] = 0
    return SceneObjects(shapes, np.where(shapes == ABSENT, ABSENT, colors), boxes)


def draw_centers(
    num_scenes: int,
    num_objects: int,
    image_size: int,
    rng: np.random.Generator,
    *,
    is_accepted: Callable[[np.ndarray, np.ndarray], np.ndarray],
    middle: int = 0,
) -> np.ndarray:
    """Return columns and rows of the centers of objects that do not touch, int64 `(scenes, objects, 2)`.

    Args:
        num_scenes: Number of scenes.
        num_objects: Number of objects in a scene.
        image_size: Width and height of an image in pixels.
        rng: The generator of the split.
        is_accepted: Receives the indices of scenes `(batch,)` and their centers, and returns whether each scene is
            accepted, `(batch,)`; the others are drawn again.
        middle: Twice the smallest distance of a center from the vertical and the horizontal line through the middle.
    """
    radius = radius_of(image_size)
    coordinates = np.arange(radius + 1, image_size - radius - 1)
    coordinates = coordinates[np.abs(2 * coordinates - (image_size - 1)) >= middle]
    centers = np.empty((num_scenes, num_objects, 2), "int64")
    missing = np.arange(num_scenes)
    while len(missing):
        candidates, is_valid = _place(len(missing), num_objects, coordinates, 2 * radius + 2, rng)
        is_valid &= is_accepted(missing, candidates)
        centers[missing[is_valid]] = candidates[is_valid]
        missing = missing[~is_valid]
    return centers


def _place(
    num_scenes: int, num_objects: int, coordinates: np.ndarray, spacing: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Place one object after the other; return the centers, and whether all objects of a scene have a place."""
    centers = coordinates[rng.integers(len(coordinates), size=(num_scenes, num_objects, 2))]
    is_valid = np.ones(num_scenes, bool)
    for position in range(1, num_objects):
        for attempt in range(_ATTEMPTS):
            distances = np.abs(centers[:, :position] - centers[:, position : position + 1]).max(-1)
            is_overlapping = (distances < spacing).any(1)
            if attempt == _ATTEMPTS - 1 or not is_overlapping.any():
                break
            size = (int(is_overlapping.sum()), 2)
            centers[is_overlapping, position] = coordinates[rng.integers(len(coordinates), size=size)]
        is_valid &= ~is_overlapping
    return centers, is_valid


def draw_images(objects: SceneObjects, image_size: int) -> np.ndarray:
    """Draw scenes, uint8 `(scenes, rows, columns, 3)`.

    Args:
        objects: The objects of the scenes, all of the size that belongs to `image_size`.
        image_size: Width and height of an image in pixels.
    """
    images = np.full((len(objects.shapes), image_size, image_size, 3), BACKGROUND, "uint8")
    colors, shapes = np.array(list(PALETTE.values())), _shape_coverage(radius_of(image_size))
    offsets = np.arange(shapes.shape[1])
    for position in range(objects.shapes.shape[1]):
        present = np.flatnonzero(objects.shapes[:, position] != ABSENT)
        top, left = objects.boxes[present, position, :2].T[:, :, None, None]
        coverage = shapes[objects.shapes[present, position]][..., None]
        color = colors[objects.colors[present, position]][:, None, None]
        pixels = (coverage * color + (255 - coverage) * BACKGROUND + 127) // 255
        images[present[:, None, None], top + offsets[:, None], left + offsets] = pixels
    return images


def _shape_coverage(radius: int) -> np.ndarray:
    """Return how much of each pixel a shape covers, from 0 to 255, int64 `(shapes, rows, columns)`."""
    width = 2 * radius + 1
    half = width * _UNITS // 2
    samples = 2 * np.arange(width * _SAMPLES) + 1 - half  # integers from one edge of the box to the other
    x, y = samples[None, :], samples[:, None]
    inside = np.stack(
        [
            x**2 + y**2 <= half**2,
            np.ones((len(samples), len(samples)), bool),
            2 * np.abs(x) <= y + half,  # the apex of the triangle is at the top
        ]
    )
    counts = inside.reshape(len(SHAPES), width, _SAMPLES, width, _SAMPLES).sum((2, 4))
    return np.asarray(counts * 255 // _SAMPLES**2)
