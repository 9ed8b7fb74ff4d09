"""`text_pairs`: generated pairs of texts, for sequence-to-sequence models that are trained in minutes."""

from __future__ import annotations

import numpy as np

from deepkit.data.dataset import Data
from deepkit.data.generated import generated_data, resolve_arguments
from deepkit.data.pair_generators import PAIR_KINDS, PairDraw
from deepkit.data.pipeline_settings import PipelineSettings, check_batch_size, check_seed
from deepkit.data.splits import split_validation
from deepkit.utils.validation import check_choice, check_integer

_MAX_VALUES = {"num_digits": 9, "max_length": 1_000}  # the numbers of sums fit into 64 bits
_MAX_PAIRS = 10_000_000  # of a split; more do not fit into the memory of most machines


def text_pairs(
    kind: str,
    num_pairs: int = 10_000,
    *,
    seed: int = 0,
    num_digits: int | None = None,
    max_length: int | None = None,
    validation: float = 0.0,
    batch_size: int = 32,
) -> Data:
    """Generate pairs of a source text and its target text: `num_pairs` for training, and as many for a test.

    The kinds:

    - `"dates"`: a day in one of ten formats, and its ISO date: `"3 May 1979"`, `"May 3rd, 1979"` or `"03.05.79"`, and
      `"1979-05-03"`. With dots the day comes first, with slashes the month. The days are those from 1969 to 2068, so
      that two digits of a year are unambiguous: 69 to 99 are 1969 to 1999, and 00 to 68 are 2000 to 2068, as in POSIX.
    - `"additions"`: two whole numbers with at most `num_digits` digits and their sum, `"123+456"` and `"579"`.
    - `"reversed"`: random letters and the same letters in reverse order, `"keras"` and `"sarek"`. The lengths from half
      of `max_length` to `max_length` are equally frequent.

    Training, validation and test pairs are disjoint: no pair is drawn twice, no day occurs in two formats, and of
    `"12+3"` and `"3+12"` at most one occurs. So the number of pairs is limited: 36,525 days; 10^d (10^d + 1) / 2 sums
    of numbers with at most d digits, which are 500,500 for d = 3; and 26^k sequences of each length of `"reversed"`,
    with the smallest length k.

    The pairs are a function of the arguments, so that a run on them resumes exactly. NumPy's global random state does
    not change.

    Args:
        kind: One of the kinds above.
        num_pairs: Number of training pairs, and of test pairs; at most half of the distinct pairs of the kind,
            and at most ten million.
        seed: Seed of the pairs, and of the order of the training.
        num_digits: Largest number of digits of a summand of `"additions"`, 3 by default.
        max_length: Largest number of letters of `"reversed"`, 12 by default.
        validation: Number or fraction of the training pairs to take for validation, as in `from_arrays`.
        batch_size: Number of pairs in a batch.

    Returns:
        A `Data` of strings: x and y `(batch,)`, which `dk.fit` takes for a `dk.Seq2Seq`.

    Raises:
        ValueError: The kind is unknown, it does not use an argument, or an argument is out of range.
        TypeError: `validation` is not a number.

    Examples:
        >>> import deepkit as dk
        >>> data = dk.data.text_pairs("dates", 1000)
        >>> data.summary()
        'dates (seed 0, numpy.random.default_rng): 1,000 train, 1,000 test'
        >>> sources, targets = data.train.arrays(2)
        >>> [text.decode() for text in (sources[0], targets[0])]
        ['03.12.04', '2004-12-03']
    """
    seed, batch_size = check_seed(seed), check_batch_size(batch_size)
    name = check_choice(kind, "text_pairs: kind", tuple(PAIR_KINDS), hint='use dk.data.text_pairs("dates")')
    chosen = PAIR_KINDS[name]
    values = resolve_arguments(
        "text_pairs",
        name,
        defaults={other: item.defaults for other, item in PAIR_KINDS.items()},
        arguments={"num_digits": num_digits, "max_length": max_length},
        check=_check_argument,
    )
    maximum = min(chosen.num_distinct(*values.values()) // 2, _MAX_PAIRS)
    hint = f"use at most {maximum:,}: no pair is drawn twice, and as many are drawn for the test"
    num_pairs = check_integer(num_pairs, "text_pairs: num_pairs", maximum=maximum, hint=hint)
    pairs = chosen.draw(PairDraw(2 * num_pairs, np.random.default_rng(seed), **values))
    texts = tuple(np.array(column, object) for column in zip(*pairs, strict=True))  # sources and targets
    train, test = (tuple(column[rows] for column in texts) for rows in (slice(num_pairs), slice(num_pairs, None)))
    splits = {**split_validation(train, validation), "test": test}
    arguments = [f"seed {seed}", *(f"{key} {value}" for key, value in values.items()), "numpy.random.default_rng"]
    return generated_data(name, ", ".join(arguments), splits, PipelineSettings(batch_size, seed))


def _check_argument(argument: str, value: object) -> int:
    default = next(kind.defaults[argument] for kind in PAIR_KINDS.values() if argument in kind.defaults)
    return check_integer(
        value, f"text_pairs: {argument}", maximum=_MAX_VALUES[argument], hint=f"use {argument}={default}"
    )
