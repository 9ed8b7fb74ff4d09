"""The kinds of `text_pairs`: functions that draw distinct pairs of a source text and its target text."""

from __future__ import annotations

import dataclasses
import datetime
import math
import string
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

FIRST_DAY = datetime.date(1969, 1, 1)
LAST_DAY = datetime.date(2068, 12, 31)  # two digits of a year are unambiguous: 69 to 99 are 19.., 00 to 68 are 20..
NUM_DAYS = (LAST_DAY - FIRST_DAY).days + 1
LETTERS = np.array(list(string.ascii_lowercase))
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ORDINALS = {1: "1st", 2: "2nd", 3: "3rd", 21: "21st", 22: "22nd", 23: "23rd", 31: "31st"}

Pair: TypeAlias = tuple[str, str]
"""A source text and its target text."""


@dataclasses.dataclass(frozen=True)
class PairDraw:
    """The arguments of a generator of pairs.

    Args:
        num_pairs: Number of distinct pairs, of all splits.
        rng: The generator of all random numbers.
        num_digits: Largest number of digits of a summand.
        max_length: Largest number of letters of a sequence.
    """

    num_pairs: int
    rng: np.random.Generator
    num_digits: int = 0
    max_length: int = 0


def dates(draw: PairDraw) -> list[Pair]:
    """Return days of a hundred years, each once and in one of the formats, and their ISO dates."""
    days = draw.rng.choice(NUM_DAYS, draw.num_pairs, replace=False)
    formats = draw.rng.integers(len(date_texts(FIRST_DAY)), size=draw.num_pairs)
    pairs = []
    for number, chosen in zip(days, formats, strict=True):
        day = FIRST_DAY + datetime.timedelta(days=int(number))
        pairs.append((date_texts(day)[chosen], day.isoformat()))
    return pairs


def date_texts(day: datetime.date) -> tuple[str, ...]:
    """Return a day in each format: the day comes first with dots, the month with slashes."""
    name, ordinal = MONTHS[day.month - 1], ORDINALS.get(day.day, f"{day.day}th")
    return (
        f"{day.day} {name} {day.year}",  # 3 May 1979
        f"{name} {day.day}, {day.year}",  # May 3, 1979
        f"{name[:3]} {ordinal}, {day.year}",  # May 3rd, 1979
        f"the {ordinal} of {name} {day.year}",  # the 3rd of May 1979
        f"{WEEKDAYS[day.weekday()]}, {day.day} {name} {day.year}",  # Thursday, 3 May 1979
        f"{day.day}-{name[:3]}-{day:%y}",  # 3-May-79
        f"{day.day}.{day.month}.{day.year}",  # 3.5.1979
        f"{day:%d.%m.%y}",  # 03.05.79
        f"{day.month}/{day.day}/{day.year}",  # 5/3/1979
        f"{day:%m/%d/%y}",  # 05/03/79
    )


def additions(draw: PairDraw) -> list[Pair]:
    """Return sums of two whole numbers; neither the same sum nor the one with its summands swapped occurs twice."""
    pairs = []
    indices = draw.rng.choice(num_additions(draw.num_digits), draw.num_pairs, replace=False)
    swapped = draw.rng.integers(2, size=draw.num_pairs)
    for index, is_swapped in zip(indices.tolist(), swapped, strict=True):
        larger = (math.isqrt(8 * index + 1) - 1) // 2  # the pairs (larger, smaller) are numbered row by row
        smaller = index - larger * (larger + 1) // 2
        first, second = (smaller, larger) if is_swapped else (larger, smaller)
        pairs.append((f"{first}+{second}", str(first + second)))
    return pairs


def num_additions(num_digits: int) -> int:
    """Return the number of sums of two numbers with at most `num_digits` digits, in either order."""
    num_summands = 10**num_digits
    return num_summands * (num_summands + 1) // 2


def reversed_letters(draw: PairDraw) -> list[Pair]:
    """Return random letters and the same letters in reverse order; each length is equally frequent."""
    lengths = sequence_lengths(draw.max_length)
    sources: list[str] = []
    for number, length in enumerate(lengths):
        count = len(range(number, draw.num_pairs, len(lengths)))
        sources += ["".join(row) for row in LETTERS[_distinct_rows(draw.rng, count, length)]]
    return [(sources[i], sources[i][::-1]) for i in draw.rng.permutation(draw.num_pairs)]


def sequence_lengths(max_length: int) -> range:
    """Return the lengths of sequences, from half of the largest one."""
    return range((max_length + 1) // 2, max_length + 1)


def num_sequences(max_length: int) -> int:
    """Return the number of sequences of which each length has equally many."""
    lengths = sequence_lengths(max_length)
    return len(lengths) * len(LETTERS) ** lengths[0]


def _distinct_rows(rng: np.random.Generator, count: int, length: int) -> np.ndarray:
    """Return distinct rows of indices of letters, `(count, length)`, in random order."""
    rows = np.empty((0, length), "int64")
    while len(rows) < count:
        candidates = rng.integers(len(LETTERS), size=(count, length))
        rows = np.unique(np.concatenate([rows, candidates]), axis=0)
    return rng.permutation(rows)[:count]


@dataclasses.dataclass(frozen=True)
class PairKind:
    """A kind of pairs.

    Args:
        draw: Draws the distinct pairs of all splits, in random order.
        num_distinct: Returns the number of distinct pairs from the argument of the kind.
        defaults: The optional argument that the kind takes, with its default value.
    """

    draw: Callable[[PairDraw], list[Pair]]
    num_distinct: Callable[..., int]
    defaults: Mapping[str, int] = dataclasses.field(default_factory=dict)


PAIR_KINDS: Mapping[str, PairKind] = {
    "dates": PairKind(dates, lambda: NUM_DAYS),
    "additions": PairKind(additions, num_additions, {"num_digits": 3}),
    "reversed": PairKind(reversed_letters, num_sequences, {"max_length": 12}),
}
