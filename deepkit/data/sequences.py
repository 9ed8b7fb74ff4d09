"""`sequences`: generated sequences whose labels depend on steps far apart, for experiments with memory."""

from __future__ import annotations

import numpy as np

from deepkit.data.dataset import Data
from deepkit.data.generated import generated_data, resolve_arguments
from deepkit.data.pipeline_settings import PipelineSettings, check_batch_size, check_seed
from deepkit.data.point_generators import Points
from deepkit.data.sequence_generators import KINDS, SequenceDraw, SequenceKind
from deepkit.data.splits import split_validation
from deepkit.utils.validation import check_choice, check_integer

_MINIMUM = {"length": 2, "lag": 1, "num_symbols": 1, "num_classes": 2}
_MAX_EXAMPLES = 10_000_000  # as of `text_pairs`
_MAXIMUM = 1_000_000  # of each argument: a longer sequence is a mistake


def sequences(
    kind: str,
    num_examples: int = 1000,
    *,
    length: int | None = None,
    lag: int | None = None,
    num_symbols: int | None = None,
    num_classes: int | None = None,
    seed: int = 0,
    validation: float = 0.0,
    batch_size: int = 32,
) -> Data:
    """Generate sequences that require memory: `num_examples` for training, and as many for a test.

    - `"adding"`: a regression. Each of `length` steps has a number, uniform in [0, 1), and a marker, which is 1 for one
      step of each half and 0 for the others. The label is the sum of the two marked numbers. Predicting the mean, 1,
      has a mean squared error of 1/6.
    - `"copying"`: a classification. The first `num_symbols` tokens are symbols. Then follow `lag` steps, of which the
      last one is a signal and the others are blank, and `num_symbols` blank steps in which the network outputs the
      symbols in their order. Guessing has a cross-entropy of log(num_classes) per symbol. With `num_symbols=1`, a
      classifier of the last state recalls one symbol.

    The sequences are a function of the arguments, so that a run on them resumes exactly. The test sequences are drawn
    independently. NumPy's global random state does not change.

    Reference:
        Hochreiter & Schmidhuber 1997, "Long Short-Term Memory", section 5.4 for the adding problem; Le, Jaitly &
        Hinton 2015, "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units", section 4.1, for
        numbers in [0, 1]; Arjovsky, Shah & Bengio 2016, "Unitary Evolution Recurrent Neural Networks", section 4.1,
        for the copying task with 10 symbols of 8 classes. There the network also outputs blank tokens in the first
        `num_symbols + lag` steps; here they have no label.

    Args:
        kind: `"adding"` or `"copying"`.
        num_examples: Number of training sequences, and of test sequences.
        length: Number of steps of the adding problem, 100 by default.
        lag: Number of steps between the last symbol and the first recalled one, 100 by default.
        num_symbols: Number of symbols to recall, 10 by default.
        num_classes: Number of different symbols, 8 by default. Token ids from 0 are the symbols, `num_classes` is
            blank, and `num_classes + 1` the signal; no token is padding.
        seed: Seed of the sequences, and of the order of the training.
        validation: Number or fraction of the training sequences to take for validation, as in `from_arrays`.
        batch_size: Number of sequences in a batch.

    Returns:
        A `Data`. `"adding"`: x `(batch, length, 2)` and y `(batch, 1)` in float32. `"copying"`: token ids
        `(batch, num_symbols + lag + num_symbols)` in int32, and labels `(batch, num_symbols)` in int64.

    Raises:
        ValueError: The kind is unknown, it does not use an argument, or an argument is out of range.
        TypeError: `validation` is not a number.

    Examples:
        >>> import deepkit as dk
        >>> data = dk.data.sequences("adding", 200, length=50)
        >>> data.summary()
        'adding (seed 0, length 50): 200 train, 200 test'
        >>> recall = dk.data.sequences("copying", 200, lag=1000, num_symbols=1)
        >>> recall.input_shape, recall.num_classes
        ((1002,), 8)
    """
    seed, batch_size = check_seed(seed), check_batch_size(batch_size)
    name = check_choice(kind, "sequences: kind", tuple(KINDS), hint='use dk.data.sequences("adding")')
    chosen = KINDS[name]
    values = resolve_arguments(
        "sequences",
        name,
        defaults={other: item.defaults for other, item in KINDS.items()},
        arguments={"length": length, "lag": lag, "num_symbols": num_symbols, "num_classes": num_classes},
        check=_check_argument,
    )
    num_examples = check_integer(
        num_examples, "sequences: num_examples", maximum=_MAX_EXAMPLES, hint="use num_examples=1000"
    )
    train, test = (_draw(chosen, num_examples, seed, split, values) for split in range(2))
    return generated_data(
        name,
        ", ".join([f"seed {seed}", *(f"{argument} {value}" for argument, value in values.items())]),
        {**split_validation(train, validation), "test": test},
        PipelineSettings(batch_size, seed),
        num_classes=values["num_classes"] if chosen.has_classes else None,
    )


def _check_argument(argument: str, value: object) -> int:
    default = next(kind.defaults[argument] for kind in KINDS.values() if argument in kind.defaults)
    return check_integer(
        value,
        f"sequences: {argument}",
        minimum=_MINIMUM[argument],
        maximum=_MAXIMUM,
        hint=f"use {argument}={default}",
    )


def _draw(kind: SequenceKind, num_examples: int, seed: int, split: int, values: dict[str, int]) -> Points:
    """Return the sequences and the labels of a split."""
    return kind.draw(SequenceDraw(num_examples, np.random.default_rng((seed, split + 1)), **values))
