"""`scenes`: generated images of colored shapes with captions, or with questions and answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepkit.data import scene_captions, scene_questions
from deepkit.data.dataset import Data, RawData, build_data
from deepkit.data.images import image_scales
from deepkit.data.pipeline_settings import PipelineSettings, check_batch_size, check_seed
from deepkit.data.scene_generators import MAX_IMAGE_SIZE, MIN_IMAGE_SIZE, SceneObjects, draw_images
from deepkit.data.sources import MemorySource
from deepkit.data.splits import split_validation
from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_choice, check_integer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ("captions", "questions")
_EXAMPLE = 'dk.data.scenes("captions")'
_TYPES_EXAMPLE = 'question_types=("shape", "count")'


@dataclasses.dataclass(frozen=True, eq=False)
class SceneSplit:
    """The objects of the scenes of a split, and the types of their questions.

    Args:
        objects: The objects of the scenes.
        question_types: The type of the question about each scene, strings `(scenes,)`; None for captions.
    """

    objects: SceneObjects
    question_types: np.ndarray | None = None

    def __getitem__(self, index: slice) -> SceneSplit:
        return SceneSplit(self.objects[index], None if self.question_types is None else self.question_types[index])


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SceneData(Data):
    """Generated images with captions or questions, as `deepkit.data.scenes` returns them.

    Further fields are those of `Data`. The methods return the objects, the boxes of the words and the types of the
    questions of a split, in the order of `data.test.arrays()`.

    Args:
        details: The objects and the types of the questions of each split.
        chance: Accuracy of the best constant answer to each type of question; empty for captions.

    Examples:
        >>> import deepkit as dk
        >>> data = dk.data.scenes("questions", 20, question_types=("shape", "count"))
        >>> data.chance
        {'shape': 0.5, 'count': 0.2}
    """

    details: Mapping[str, SceneSplit] = dataclasses.field(default_factory=dict)
    chance: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def objects(self, split: str = "test") -> SceneObjects:
        """Return the shapes, the colors and the boxes of the objects of a split.

        Captions name the objects in this order; the objects of questions are in the order of their colors.

        Args:
            split: "train", "validation" or "test".

        Raises:
            ValueError: There is no such split.

        Examples:
            >>> import deepkit as dk
            >>> data = dk.data.scenes("captions", 4, image_size=48)
            >>> top, left, bottom, right = data.objects("test").boxes[0, 0].tolist()
            >>> bottom - top, right - left
            (9, 9)
        """
        return self._split(split, "objects").objects

    def word_boxes(self, split: str = "test") -> np.ndarray:
        """Return the box of the object that each word of a caption names by its color or its shape.

        Args:
            split: "train", "validation" or "test".

        Returns:
            Top, left, bottom and right in pixels, the last two exclusive, int64 `(scenes, words, 4)`, for the words
            that a space separates. Zeros for other words, such as "a" or "above", and after the end of a caption.

        Raises:
            ValueError: There is no such split, or the data has no captions.

        Examples:
            >>> import deepkit as dk
            >>> data = dk.data.scenes("captions", 4)
            >>> boxes = data.word_boxes("test")[0]
            >>> boxes[:3].any(axis=-1)
            array([False,  True,  True])
        """
        if self.name != "captions":
            problem = f"word_boxes: the data has no captions, only {self.name}"
            raise ValueError(message(problem, hint=f"use {_EXAMPLE}"))
        return scene_captions.word_boxes(self._split(split, "word_boxes").objects)

    def question_types(self, split: str = "test") -> np.ndarray:
        """Return the type of the question of each example, strings `(scenes,)`.

        Args:
            split: "train", "validation" or "test".

        Raises:
            ValueError: There is no such split, or the data has no questions.

        Examples:
            >>> import deepkit as dk
            >>> data = dk.data.scenes("questions", 5)
            >>> sorted(data.question_types("test").tolist())
            ['count', 'distance', 'horizontal', 'shape', 'vertical']
        """
        types = self._split(split, "question_types").question_types
        if types is None:
            problem = f"question_types: the data has no questions, only {self.name}"
            raise ValueError(message(problem, hint='use dk.data.scenes("questions")'))
        return types

    def show(self, num_examples: int = 8, *, split: str = "train") -> Figure:
        """Draw the first scenes of a split with their captions, or with their questions and answers.

        Args:
            num_examples: Maximum number of scenes.
            split: "train", "validation" or "test".

        Returns:
            A Matplotlib figure.

        Raises:
            ValueError: There is no such split, or `num_examples` is not a positive integer.

        Examples:
            >>> import deepkit as dk
            >>> figure = dk.data.scenes("captions", 8).show(4)
            >>> figure.axes[0].get_title().split()[0]
            'a'
        """
        from deepkit.visualize.scene_figures import scenes_figure  # imports Matplotlib

        pipeline = getattr(self, self._check_split(split, "show"))
        x, y = pipeline.arrays(check_integer(num_examples, "show: num_examples"))
        if self.name == "captions":
            return scenes_figure(x, [text.decode() for text in y])
        pairs = zip(x["question"], y, strict=True)
        return scenes_figure(x["image"], [f"{text.decode()} {self.class_names[label]}" for text, label in pairs])

    def _split(self, split: str, method: str) -> SceneSplit:
        """Return the details of a split, of which `head` may have left the first examples only."""
        name = self._check_split(split, method)
        return self.details[name][: getattr(self, name).num_examples]

    def _check_split(self, split: str, method: str) -> str:
        names = tuple(name for name in ("train", "validation", "test") if getattr(self, name) is not None)
        return check_choice(split, f"{method}: split", names)


def scenes(
    kind: str,
    num_scenes: int = 1000,
    *,
    seed: int = 0,
    image_size: int = 48,
    question_types: Sequence[str] | None = None,
    validation: float = 0.0,
    batch_size: int = 32,
) -> SceneData:
    """Generate images of colored shapes with captions or questions: `num_scenes` for training, and as many for a test.

    The objects of a scene do not touch, and no two have the same color: red, green, blue, yellow, purple or gray.

    - `"captions"`: two or three circles, squares and triangles, and a caption such as "a red circle left of a blue
      square above a green triangle". The caption is a function of the image. It names the objects from left to right,
      each by its color and shape. "left of", "above" or "below" is the position of an object relative to the next one:
      "left of" if the horizontal distance of their centers is larger than the vertical one. The two distances are never
      about equal.
    - `"questions"`: six circles and squares, a question, and its answer as a class. The types of questions are
      `"shape"` ("what shape is the red object?"), `"horizontal"` ("is the red object on the left or on the right?"),
      `"vertical"` ("is the red object at the top or at the bottom?"), `"distance"` ("what shape is the object closest
      to the red object?", or "furthest from"), and `"count"` ("how many objects have the shape of the red object?",
      including the red object). Each type has the same number of questions.

    The questions are balanced: the answer is drawn first, with equal probabilities of the answers that occur in the
    scene, then a question with this answer. So no answer to the question alone is better than `data.chance`, the
    accuracy of the best constant answer to each type of question. The same holds for the image alone, except for
    `"count"`: if the number of circles is known, only two answers are possible.

    The scenes are a function of the arguments, so that a run on them resumes exactly. The test scenes are drawn
    independently. NumPy's global random state does not change.

    Reference:
        Santoro et al. 2017, "A simple neural network module for relational reasoning", section 3.2 (Sort-of-CLEVR).

    Args:
        kind: `"captions"` or `"questions"`.
        num_scenes: Number of training scenes, and of test scenes.
        seed: Seed of the scenes, and of the order of the training.
        image_size: Width and height of an image in pixels, from 36 to 256. An object is about a sixth of it wide.
        question_types: Types of questions, all types by default.
        validation: Number or fraction of the training scenes to take for validation, as in `from_arrays`.
        batch_size: Number of scenes in a batch.

    Returns:
        A `Data`, which also has the objects of each scene. Images are uint8 in memory and float32 in [0, 1] in a batch
        `(batch, image_size, image_size, 3)`. Captions: x is the images, y the captions, strings `(batch,)`. Questions:
        x is `{"image": images, "question": strings (batch,)}`, y the answers as int64 `(batch,)`, indices into
        `data.class_names`.

    Raises:
        ValueError: The kind or a type of questions is unknown, or an argument is out of range.
        TypeError: `validation` is not a number.

    Examples:
        >>> import deepkit as dk
        >>> data = dk.data.scenes("questions", 100, seed=1)
        >>> data.summary()
        'questions (seed 1, 48x48 pixels, numpy.random.default_rng): 100 train, 100 test'
        >>> data.input_shape
        {'image': (48, 48, 3), 'question': ()}
        >>> data.class_names[:4]
        ('circle', 'square', 'left', 'right')
    """
    seed, batch_size = check_seed(seed), check_batch_size(batch_size)
    name = check_choice(kind, "scenes: kind", KINDS, hint=f"use {_EXAMPLE}")
    num_scenes = check_integer(num_scenes, "scenes: num_scenes", hint="use num_scenes=1000")
    image_size = _check_image_size(image_size)
    types = _check_types(name, question_types)
    train, test = (_draw(types, num_scenes, image_size, (seed, split)) for split in range(2))
    arrays = {**split_validation(train[0], validation), "test": test[0]}
    num_training = num_scenes - len(arrays.get("validation", ((), ()))[1])
    details = {"train": train[1][:num_training], "validation": train[1][num_training:], "test": test[1]}
    arguments = [f"seed {seed}", f"{image_size}x{image_size} pixels", "numpy.random.default_rng"]
    if types and types != tuple(scene_questions.TYPES):
        arguments.insert(2, " and ".join(types))
    raw = RawData(
        name=name,
        version=f"({', '.join(arguments)})",
        source="generated",
        origin="generated",
        sources={split: MemorySource(element) for split, element in arrays.items()},
        scales=image_scales(train[0]),
        num_classes=len(scene_questions.ANSWERS) if types else None,
        class_names=scene_questions.ANSWERS if types else (),
    )
    data = build_data(raw, PipelineSettings(batch_size, seed))
    fields = {field.name: getattr(data, field.name) for field in dataclasses.fields(data)}
    return SceneData(**fields, details=details, chance={name: scene_questions.TYPES[name].chance for name in types})


def _check_image_size(image_size: object) -> int:
    name, hint = "scenes: image_size", "use image_size=48"
    return check_integer(image_size, name, minimum=MIN_IMAGE_SIZE, maximum=MAX_IMAGE_SIZE, hint=hint)


def _check_types(kind: str, question_types: object) -> tuple[str, ...]:
    """Return the types of questions in their order; none for captions."""
    choices = tuple(scene_questions.TYPES)
    if kind == "captions":
        if question_types is not None:
            received = format_value(question_types)
            problem = f"scenes: 'captions' takes no question_types, received question_types={received}"
            raise ValueError(message(problem, hint="leave question_types out; it is an argument of 'questions'"))
        return ()
    if question_types is None:
        return choices
    if isinstance(question_types, str) or not isinstance(question_types, Sequence) or not question_types:
        problem = f"scenes: question_types must be a sequence of names, received {format_value(question_types)}"
        raise ValueError(message(problem, hint=f"use {_TYPES_EXAMPLE}"))
    hint = f"use {_TYPES_EXAMPLE}"
    chosen = {check_choice(item, "scenes: question_types", choices, hint=hint) for item in question_types}
    return tuple(item for item in choices if item in chosen)


def _draw(types: tuple[str, ...], num_scenes: int, image_size: int, seed: tuple[int, int]) -> tuple[Any, SceneSplit]:
    """Return the arrays (x, y) of a split and its details; captions if there are no types of questions."""
    rng = np.random.default_rng(seed)
    if not types:
        objects = scene_captions.draw_captioned(num_scenes, image_size, rng)
        return (draw_images(objects, image_size), scene_captions.make_captions(objects)), SceneSplit(objects)
    objects = scene_questions.draw_questioned(num_scenes, image_size, rng)
    questions, answers, names = scene_questions.ask(objects, image_size, types, rng)
    x = {"image": draw_images(objects, image_size), "question": questions}
    return (x, answers), SceneSplit(objects, names)
