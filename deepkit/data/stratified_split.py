"""Split examples class by class; the split depends on their names and a seed only."""

from __future__ import annotations

import hashlib
import numbers
from collections.abc import Iterable, Mapping, Sequence

from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_fraction, check_integer, is_flag


def hashed_order(names: Iterable[str], seed: int, *, salt: str = "") -> list[str]:
    """Sort names by a hash of the seed and the name: a random order that does not depend on the other names.

    Args:
        names: The names.
        seed: Seed of the order.
        salt: A text for another order with the same seed.
    """
    return sorted(names, key=lambda name: (_hash(salt + name, seed), name))


def split_by_class(
    names: Mapping[str, Sequence[str]], validation: float, test: float, seed: int
) -> dict[str, list[str]]:
    """Split the examples of each class.

    In the hashed order of a class, the test split takes the first examples and the validation split the last ones:
    the amount of one split does not change the other.

    Args:
        names: Names of the examples of each class.
        validation: Fraction of each class, or number of examples, which is distributed in proportion to the classes.
        test: Fraction or number of test examples.
        seed: Seed of the order.

    Returns:
        The names of each split, "train", "validation" and "test"; a split of no examples is missing.

    Raises:
        TypeError: An amount is not a number.
        ValueError: An amount is out of range, or a class would have no training example.
    """
    sizes = [len(examples) for examples in names.values()]
    num_validation = _amounts(validation, "validation", sizes)
    num_test = _amounts(test, "test", sizes)
    splits: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for (class_name, examples), first, last in zip(names.items(), num_test, num_validation, strict=True):
        end = len(examples) - last
        if end <= first:
            problem = (
                f"validation={validation!r} and test={test!r} leave no training example of the class {class_name!r}, "
                f"which has {len(examples):,}"
            )
            raise ValueError(message(problem, hint="pass smaller amounts, or add examples to that class"))
        ordered = hashed_order(examples, seed)
        splits["test"] += ordered[:first]
        splits["train"] += ordered[first:end]
        splits["validation"] += ordered[end:]
    return {split: examples for split, examples in splits.items() if examples}


def check_amount(value: object, name: str) -> int | float:
    """Return a number of examples (int) or a fraction below 1 (float)."""
    if is_flag(value) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number of examples or a fraction below 1, received {format_value(value)}")
    if isinstance(value, numbers.Integral):
        return check_integer(value, name, minimum=0)
    return check_fraction(value, name, hint="pass an integer for a number of examples")


def _amounts(value: float, name: str, sizes: Sequence[int]) -> list[int]:
    """Return the number of examples of each class."""
    amount, total = check_amount(value, name), sum(sizes)
    if isinstance(amount, float):
        counts = [int(amount * size + 0.5) for size in sizes]
        if amount and not any(counts):
            problem = f"{name}={value!r} is less than one example of every class; the largest has {max(sizes):,}"
            raise ValueError(message(problem, hint=f"pass a larger fraction, or {name}=0"))
        return counts
    if amount >= total:
        problem = f"{name}={value!r} does not fit {total:,} examples: at least one of each class must remain"
        raise ValueError(message(problem, hint="pass a smaller number, or a fraction such as 0.1"))
    counts = [amount * size // total for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda index: (-(amount * sizes[index] % total), index))
    for index in by_remainder[: amount - sum(counts)]:
        counts[index] += 1
    return counts


def _hash(name: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest()
