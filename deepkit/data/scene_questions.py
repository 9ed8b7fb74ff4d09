"""The kind `"questions"` of `scenes`: six objects, and a question with its answer for each scene."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from deepkit.data.scene_generators import COLORS, SceneObjects, draw_centers, make_objects, radius_of

NUM_OBJECTS = len(COLORS)
ANSWERS = ("circle", "square", "left", "right", "top", "bottom", "1", "2", "3", "4", "5")
_LEFT, _TOP, _ONE = (ANSWERS.index(name) for name in ("left", "top", "1"))


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """The answers to all questions of one type about scenes.

    Args:
        answers: Indices into `ANSWERS`, `(scenes, questions)`, in the order of the templates and then of the colors.
        is_clear: Whether the answer is clear from the image, in the same form: no two distances are about equal.
    """

    answers: np.ndarray
    is_clear: np.ndarray


@dataclasses.dataclass(frozen=True)
class QuestionType:
    """A type of questions.

    Args:
        templates: Texts with a place for the color of an object.
        chance: Accuracy of the best constant answer.
        answer: Receives shapes `(scenes, objects)`, centers `(scenes, objects, 2)` and the width of an image, and
            returns the answers.
    """

    templates: tuple[str, ...]
    chance: float
    answer: Callable[[np.ndarray, np.ndarray, int], Table]

    def questions(self) -> np.ndarray:
        """Return all questions, in the order of the templates and then of the colors."""
        return np.array([template.format(color) for template in self.templates for color in COLORS])


def _shape(shapes: np.ndarray, centers: np.ndarray, image_size: int) -> Table:
    return _always_clear(shapes)


def _horizontal(shapes: np.ndarray, centers: np.ndarray, image_size: int) -> Table:
    return _always_clear(_LEFT + (2 * centers[..., 0] > image_size - 1))


def _vertical(shapes: np.ndarray, centers: np.ndarray, image_size: int) -> Table:
    return _always_clear(_TOP + (2 * centers[..., 1] > image_size - 1))


def _distance(shapes: np.ndarray, centers: np.ndarray, image_size: int) -> Table:
    """Return the shapes of the closest and of the furthest objects; clear if no other has about the same distance."""
    difference = (centers[:, :, None] - centers[:, None]).astype("float64")
    distances = np.sqrt((difference**2).sum(-1))
    itself = np.eye(NUM_OBJECTS, dtype=bool)
    answers, is_clear = [], []
    for values in (np.where(itself, np.inf, distances), np.where(itself, np.inf, -distances)):
        ranked = np.sort(values, axis=-1)
        answers.append(np.take_along_axis(shapes, values.argmin(-1), axis=1))
        is_clear.append(ranked[..., 1] - ranked[..., 0] >= radius_of(image_size))
    return Table(np.concatenate(answers, axis=1), np.concatenate(is_clear, axis=1))


def _count(shapes: np.ndarray, centers: np.ndarray, image_size: int) -> Table:
    return _always_clear(_ONE - 1 + (shapes[:, :, None] == shapes[:, None]).sum(-1))


def _always_clear(answers: np.ndarray) -> Table:
    return Table(answers, np.ones(answers.shape, bool))


TYPES: Mapping[str, QuestionType] = {
    "shape": QuestionType(("what shape is the {} object?",), 1 / 2, _shape),
    "horizontal": QuestionType(("is the {} object on the left or on the right?",), 1 / 2, _horizontal),
    "vertical": QuestionType(("is the {} object at the top or at the bottom?",), 1 / 2, _vertical),
    "distance": QuestionType(
        ("what shape is the object closest to the {} object?", "what shape is the object furthest from the {} object?"),
        1 / 2,
        _distance,
    ),
    "count": QuestionType(("how many objects have the shape of the {} object?",), 1 / 5, _count),
}
_BALANCED = ("shape", "horizontal", "vertical", "distance")  # both answers occur in each scene


def draw_questioned(num_scenes: int, image_size: int, rng: np.random.Generator) -> SceneObjects:
    """Return the objects of scenes in the order of their colors: one to five circles, the others squares."""
    num_circles = rng.integers(1, NUM_OBJECTS, size=(num_scenes, 1))
    shapes = rng.permuted((np.arange(NUM_OBJECTS) >= num_circles).astype("int64"), axis=1)
    radius = radius_of(image_size)

    def is_accepted(scenes: np.ndarray, centers: np.ndarray) -> np.ndarray:
        accepted = np.ones(len(scenes), bool)
        for name in _BALANCED:
            table = TYPES[name].answer(shapes[scenes], centers, image_size)
            low = np.where(table.is_clear, table.answers, len(ANSWERS)).min(1)
            high = np.where(table.is_clear, table.answers, -1).max(1)
            accepted &= low < high
        return accepted

    centers = draw_centers(num_scenes, NUM_OBJECTS, image_size, rng, is_accepted=is_accepted, middle=radius)
    colors = np.tile(np.arange(NUM_OBJECTS), (num_scenes, 1))
    return make_objects(shapes, colors, centers, radius)


def ask(
    objects: SceneObjects, image_size: int, names: Sequence[str], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a question, its answer and the name of its type for each scene; each type has the same number.

    The answer is drawn first, with equal probabilities of the answers to questions of the type about the scene, then a
    question with this answer. So the image alone contains no information about the answers to questions about shapes,
    halves and distances; of the answers to `"count"`, it leaves two.

    Args:
        objects: The objects of the scenes.
        image_size: Width and height of an image in pixels.
        names: Names of the types.
        rng: The generator of the split.
    """
    num_scenes = len(objects.shapes)
    types = rng.permutation(np.arange(num_scenes) % len(names))
    questions, answers = np.empty(num_scenes, object), np.empty(num_scenes, "int64")
    centers = (objects.boxes[..., [1, 0]] + objects.boxes[..., [3, 2]] - 1) // 2
    for index, name in enumerate(names):
        scenes = np.flatnonzero(types == index)
        table = TYPES[name].answer(objects.shapes[scenes], centers[scenes], image_size)
        choices = np.arange(len(ANSWERS))[:, None, None]
        occurs = (table.is_clear & (table.answers == choices)).any(-1).T
        answers[scenes] = _draw_one(occurs, rng)
        is_candidate = table.is_clear & (table.answers == answers[scenes, None])
        questions[scenes] = TYPES[name].questions()[_draw_one(is_candidate, rng)]
    return questions.astype("U"), answers, np.array(names)[types]


def _draw_one(is_candidate: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the index of a random candidate of each row."""
    return np.asarray(np.where(is_candidate, rng.random(is_candidate.shape), -1).argmax(-1))
