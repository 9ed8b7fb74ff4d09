"""Split training data into "train" and "validation"."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING

import tensorflow as tf

from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_fraction, is_flag

if TYPE_CHECKING:
    from deepkit.data.nested_arrays import Arrays


def num_validation_examples(validation: object, num_examples: int) -> int:
    """Return how many examples a `validation` argument takes from the end of the training data.

    Args:
        validation: A number of examples (int) or a fraction of them (float).
        num_examples: Number of training examples.

    Returns:
        From 0 to `num_examples` - 1.

    Raises:
        TypeError: `validation` is not a number.
        ValueError: It is negative, or leaves no training example.
    """
    if is_flag(validation) or not isinstance(validation, numbers.Real):
        raise TypeError(
            f"validation must be a number of examples or a fraction below 1, received {format_value(validation)}"
        )
    if isinstance(validation, numbers.Integral):
        count = int(validation)
    else:
        hint = "pass an integer for a number of examples"
        count = round(num_examples * check_fraction(validation, "validation", hint=hint))
    if not 0 <= count < num_examples:
        problem = (
            f"validation={validation!r} does not fit {num_examples:,} training examples: "
            "at least one must remain for training"
        )
        hint = f"pass at most validation={num_examples - 1}, or a fraction such as 0.1"
        raise ValueError(message(problem, hint=hint))
    if validation and not count:
        problem = f"validation={validation!r} of {num_examples:,} training examples is less than one example"
        raise ValueError(message(problem, hint="pass a larger fraction, or validation=0 for no validation data"))
    return count


def split_validation(element: Arrays, validation: object) -> dict[str, Arrays]:
    """Split a structure of arrays into "train" and, unless `validation` is 0, "validation" from its end."""
    num_examples = len(tf.nest.flatten(element)[0])
    num_training = num_examples - num_validation_examples(validation, num_examples)
    splits = {"train": tf.nest.map_structure(lambda array: array[:num_training], element)}
    if num_training < num_examples:
        splits["validation"] = tf.nest.map_structure(lambda array: array[num_training:], element)
    return splits
