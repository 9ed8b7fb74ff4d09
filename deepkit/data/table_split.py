"""Split the rows of a table at random, stratified by class, or by time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepkit.data.stratified_split import check_amount, hashed_order, split_by_class
from deepkit.utils.errors import message

SPLITS = ("train", "validation", "test")


def split_at_random(
    num_rows: int, classes: np.ndarray | None, class_names: Sequence[str], validation: float, test: float, seed: int
) -> dict[str, np.ndarray]:
    """Return the rows of each split in the order of the table; classes have equal fractions in all splits.

    Args:
        num_rows: Number of rows.
        classes: The class index of each row; None to split without classes.
        class_names: The names of the classes, for messages.
        validation: Number of rows, or fraction.
        test: Number of rows, or fraction.
        seed: Seed of the split.

    Raises:
        TypeError: An amount is not a number.
        ValueError: An amount is out of range, or leaves no training row.
    """
    if classes is not None:
        names = {name: [str(row) for row in np.flatnonzero(classes == i)] for i, name in enumerate(class_names)}
        names = {name: rows for name, rows in names.items() if rows}  # a table may lack classes of its schema
        splits = split_by_class(names, validation, test, seed)
        return {split: np.sort(np.array(rows, "int64")) for split, rows in splits.items()}
    num_validation, num_test = _counts(num_rows, validation, test)
    order = np.array(hashed_order(map(str, range(num_rows)), seed), "int64")
    rows = {
        "train": order[num_test : num_rows - num_validation],
        "validation": order[num_rows - num_validation :],
        "test": order[:num_test],
    }
    return {split: np.sort(rows[split]) for split in SPLITS if len(rows[split])}


def split_by_time(times: np.ndarray, validation: float, test: float) -> dict[str, np.ndarray]:
    """Return the rows of each split in the order of time: the last ones are for test, those before for validation.

    Raises:
        TypeError: An amount is not a number.
        ValueError: An amount is out of range, or leaves no training row.
    """
    num_validation, num_test = _counts(len(times), validation, test)
    order = np.argsort(times, kind="stable")
    end = len(order) - num_test
    rows = {
        "train": order[: end - num_validation],
        "validation": order[end - num_validation : end],
        "test": order[end:],
    }
    return {split: rows[split] for split in SPLITS if len(rows[split])}


def _counts(num_rows: int, validation: float, test: float) -> tuple[int, int]:
    counts = []
    for name, value in (("validation", validation), ("test", test)):
        amount = check_amount(value, name)
        count = int(amount * num_rows + 0.5) if isinstance(amount, float) else amount
        if amount and not count:
            problem = f"{name}={value!r} of {num_rows:,} rows is less than one row"
            raise ValueError(message(problem, hint=f"pass a larger fraction, or {name}=0"))
        counts.append(count)
    if sum(counts) >= num_rows:
        problem = f"validation={validation!r} and test={test!r} leave no training row of {num_rows:,}"
        raise ValueError(message(problem, hint="pass smaller amounts, such as validation=0.2"))
    return counts[0], counts[1]
