"""The tasks of `sequences`: functions that draw sequences and their labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from deepkit.data.point_generators import Points


@dataclasses.dataclass(frozen=True)
class SequenceDraw:
    """The arguments of a generator.

    Args:
        num_examples: Number of sequences.
        rng: The generator of this split.
        length: Number of steps of the adding problem.
        lag: Number of steps between the last symbol and the first recalled one.
        num_symbols: Number of symbols to recall.
        num_classes: Number of different symbols.
    """

    num_examples: int
    rng: np.random.Generator
    length: int = 0
    lag: int = 0
    num_symbols: int = 0
    num_classes: int = 0


def adding(draw: SequenceDraw) -> Points:
    """Return values with two markers `(examples, length, 2)`, and the sum of the marked values `(examples, 1)`."""
    rows, half = np.arange(draw.num_examples), draw.length // 2
    values = draw.rng.random((draw.num_examples, draw.length), dtype="float32")
    markers = np.zeros_like(values)
    first = draw.rng.integers(0, half, draw.num_examples)
    second = draw.rng.integers(half, draw.length, draw.num_examples)
    markers[rows, first] = markers[rows, second] = 1
    total = values[rows, first] + values[rows, second]
    return np.stack([values, markers], axis=-1), total[:, None]


def copying(draw: SequenceDraw) -> Points:
    """Return token ids `(examples, num_symbols + lag + num_symbols)`, and the symbols `(examples, num_symbols)`.

    The ids from 0 are the symbols, `num_classes` is a blank step, and `num_classes + 1` the signal to recall.
    """
    symbols = draw.rng.integers(0, draw.num_classes, (draw.num_examples, draw.num_symbols))
    tokens = np.full((draw.num_examples, 2 * draw.num_symbols + draw.lag), draw.num_classes, "int32")
    tokens[:, : draw.num_symbols] = symbols
    tokens[:, draw.num_symbols + draw.lag - 1] = draw.num_classes + 1
    return tokens, symbols


@dataclasses.dataclass(frozen=True)
class SequenceKind:
    """A kind of sequences.

    Args:
        draw: Draws the sequences of one split.
        defaults: The optional arguments that the kind takes, with their default values.
        has_classes: Whether the labels are classes; if not, they are numbers.
    """

    draw: Callable[[SequenceDraw], Points]
    defaults: Mapping[str, int]
    has_classes: bool = False


KINDS: Mapping[str, SequenceKind] = {
    "adding": SequenceKind(adding, {"length": 100}),
    "copying": SequenceKind(copying, {"lag": 100, "num_symbols": 10, "num_classes": 8}, has_classes=True),
}
