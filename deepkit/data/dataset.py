"""`Data`: a data set split in three, and what is known about it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from deepkit.data.augment import Augmentation
from deepkit.data.pipeline import Pipeline
from deepkit.data.settings import Settings
from deepkit.data.sources import Source


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Training, validation and test pipelines that never overlap, and where they came from.

    Made by `deepkit.data.load` and `deepkit.data.from_arrays`.

    Args:
        name: of the data set, with its configuration where it has one ("glue/sst2").
        version: of the data set; empty where it has none.
        source: "prepared", "downloaded", "bundled" or "arrays".
        origin: in words, where it lies.
        train: shuffled anew in each epoch, augmented.
        validation: in order, not augmented; None where there is none.
        test: in order, not augmented; None where there is none.
        input_shape: shape of one x, without the batch axis; a structure of shapes where x is a structure.
        num_classes: how many classes the labels have, None where they are no classes.
        class_names: in order of the labels; empty where unknown.
        stand_in_for: the name that was asked for where this data set took its place, else None. Results on a
            stand-in cannot be compared with results on the other.

    Examples:
        >>> import deepkit as dk
        >>> dk.data.from_arrays([[1.0], [2.0]], [0, 1]).describe()
        'arrays: 2 train; in memory'

    """

    name: str
    version: str
    source: str
    origin: str
    train: Pipeline
    validation: Pipeline | None
    test: Pipeline | None
    input_shape: Any
    num_classes: int | None = None
    class_names: tuple[str, ...] = ()
    stand_in_for: str | None = None

    def head(self, count: int) -> Data:
        """Return the same data with at most `count` examples in each part, the first ones: to try something out.

        Raises:
            ValueError: if `count` is below 1.

        Examples:
            >>> import deepkit as dk
            >>> dk.data.load("digits", verbose=False).head(200).summary()
            'digits: 200 train, 150 validation, 200 test'

        """
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        shorter = {name: part and part.head(count) for name, part in parts.items()}
        return dataclasses.replace(self, **shorter)  # type: ignore[arg-type]

    def summary(self) -> str:
        """Say what this is and how much of it there is, in words that hold on any machine."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        counts = ", ".join(f"{part.num_examples:,} {name}" for name, part in parts.items() if part is not None)
        return f"{' '.join(filter(None, (self.name, self.version)))}: {counts}"

    def describe(self) -> str:
        """Say in one line what this is, how much of it there is and where it came from."""
        return f"{self.summary()}; {self.origin}"


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """A data set before pipelines are made of it; the fields are those of `Data`.

    Args:
        sources: by "train", "validation" and "test", where the examples come from.
        scales: like x: what brings an image to [0, 1], None for what is no image.

    """

    name: str
    version: str
    source: str
    origin: str
    sources: Mapping[str, Source]
    scales: Any = None
    num_classes: int | None = None
    class_names: tuple[str, ...] = ()


def assemble(
    found: Found,
    settings: Settings,
    augmentations: tuple[Augmentation, ...] = (),
    shuffle: bool = True,
    stand_in_for: str | None = None,
) -> Data:
    """Make the pipelines: the training one shuffled and augmented, the others in order and as they are."""
    pipelines: dict[str, Pipeline | None] = dict.fromkeys(("train", "validation", "test"))
    for part, source in found.sources.items():
        own = {"identity": (found.name, found.version, part), "scales": found.scales}
        if part == "train":
            own |= {"shuffled": shuffle, "augmentations": augmentations}
        pipelines[part] = Pipeline(source, dataclasses.replace(settings, **own))
    facts = {
        name: getattr(found, name) for name in ("name", "version", "source", "origin", "num_classes", "class_names")
    }
    shape = _shape(pipelines["train"])
    return Data(**facts, **pipelines, input_shape=shape, stand_in_for=stand_in_for)  # type: ignore[arg-type]


def held_out(validation: Any, available: int) -> int:
    """Return how many examples a `validation` argument takes from the end of the training data.

    Args:
        validation: a number of examples (int) or a fraction of them (float).
        available: how many there are.

    Returns:
        From 0 up to `available` - 1.

    Raises:
        TypeError: if it is no number.
        ValueError: if it is negative, or leaves nothing to train on.

    """
    if isinstance(validation, bool) or not isinstance(validation, int | float):
        raise TypeError(f"validation must be a number of examples or a fraction below 1, received {validation!r}")
    if isinstance(validation, float) and not (math.isfinite(validation) and 0 <= validation < 1):
        raise ValueError(f"validation={validation!r} as a fraction must be from 0 up to, but not including, 1; "
                         "for a number of examples give an int")  # fmt: skip
    count = round(available * validation) if isinstance(validation, float) else validation
    if not 0 <= count < available:
        raise ValueError(
            f"validation={validation!r} does not fit: it must leave something to train on, and there are "
            f"{available:,} training examples; take at most {available - 1:,}, or a fraction such as 0.1"
        )
    if validation and not count:
        raise ValueError(f"validation={validation!r} of {available:,} training examples is not even one example")
    return count


def _shape(train: Any) -> Any:
    """Return the shape of one x of a pipeline, without the batch axis."""
    spec = train.element_spec
    x = spec[0] if isinstance(spec, tuple) else spec
    return tf.nest.map_structure(lambda leaf: tuple(leaf.shape[1:]), x)
