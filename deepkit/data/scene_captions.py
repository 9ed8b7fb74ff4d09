"""The kind `"captions"` of `scenes`: two or three objects, and a caption that is a function of the image."""

from __future__ import annotations

import numpy as np

from deepkit.data.scene_generators import (
    ABSENT,
    COLORS,
    SHAPES,
    SceneObjects,
    draw_centers,
    make_objects,
    radius_of,
)

NUM_OBJECTS = (2, 3)
RELATIONS = ("left of", "above", "below")


def draw_captioned(num_scenes: int, image_size: int, rng: np.random.Generator) -> SceneObjects:
    """Return the objects of scenes in the order of the captions: from left to right, absent ones last."""
    most, radius = max(NUM_OBJECTS), radius_of(image_size)
    is_present = np.arange(most) < rng.permutation(np.resize(NUM_OBJECTS, num_scenes))[:, None]
    shapes = rng.integers(len(SHAPES), size=(num_scenes, most))
    colors = rng.permuted(np.tile(np.arange(len(COLORS)), (num_scenes, 1)), axis=1)[:, :most]

    def is_accepted(scenes: np.ndarray, centers: np.ndarray) -> np.ndarray:
        dx, dy = np.moveaxis(np.diff(_from_left_to_right(centers, is_present[scenes]), axis=1), -1, 0)
        is_clear = (dx >= radius) & (np.abs(dx - np.abs(dy)) >= radius)
        return np.asarray((is_clear | ~is_present[scenes, 1:]).all(1))

    centers = draw_centers(num_scenes, most, image_size, rng, is_accepted=is_accepted)
    centers = _from_left_to_right(centers, is_present)
    return make_objects(np.where(is_present, shapes, ABSENT), colors, centers, radius)


def _from_left_to_right(centers: np.ndarray, is_present: np.ndarray) -> np.ndarray:
    """Return the centers of the present objects in the order of their columns, then those of the others."""
    columns = np.where(is_present, centers[..., 0], np.iinfo("int64").max)
    return np.take_along_axis(centers, np.argsort(columns, axis=1, kind="stable")[..., None], axis=1)


def make_captions(objects: SceneObjects) -> np.ndarray:
    """Return the caption of each scene, strings `(scenes,)`."""
    return np.array([" ".join(word for word, _ in _caption(objects, scene)) for scene in range(len(objects.shapes))])


def word_boxes(objects: SceneObjects) -> np.ndarray:
    """Return the box of the object that each word of a caption names, int64 `(scenes, words, 4)`; zeros for none."""
    captions = [_caption(objects, scene) for scene in range(len(objects.shapes))]
    boxes = np.zeros((len(captions), max(map(len, captions), default=0), 4), "int64")
    for scene, caption in enumerate(captions):
        for word, (_, position) in enumerate(caption):
            if position is not None:
                boxes[scene, word] = objects.boxes[scene, position]
    return boxes


def _caption(objects: SceneObjects, scene: int) -> list[tuple[str, int | None]]:
    """Return the words of a caption, each with the position of the object whose color or shape it is."""
    words: list[tuple[str, int | None]] = []
    for position, (shape, color) in enumerate(zip(objects.shapes[scene], objects.colors[scene], strict=True)):
        if shape == ABSENT:
            break
        if position:
            relation = _relation(objects.boxes[scene, position - 1], objects.boxes[scene, position])
            words += [(word, None) for word in relation.split()]
        words += [("a", None), (COLORS[color], position), (SHAPES[shape], position)]
    return words


def _relation(first: np.ndarray, second: np.ndarray) -> str:
    """Return where an object is from the next one to its right: the larger of the two distances decides."""
    (top, left), (next_top, next_left) = first[:2], second[:2]
    if next_left - left > abs(next_top - top):
        return "left of"
    return "above" if top < next_top else "below"
