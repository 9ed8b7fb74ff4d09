"""The files of a run's history: `history.json` and `history.csv`, which follow each checkpoint."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

from deepkit.utils.history import history_rows

if TYPE_CHECKING:
    from deepkit.utils.types import History

JSON_NAME, CSV_NAME = "history.json", "history.csv"


def history_json(history: History) -> str:
    """Return the history as JSON."""
    return json.dumps(history, indent=1) + "\n"


def history_csv(history: History) -> str:
    """Return the history as CSV, one row per epoch; a metric with several values has a column for each of them."""
    rows = history_rows(history)
    names = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, ["epoch", *names], restval="", lineterminator="\n")
    writer.writeheader()
    for epoch, row in enumerate(rows, start=1):
        writer.writerow({"epoch": epoch} | row)
    return text.getvalue()


def is_same_or_one_epoch_apart(stored: object, history: History) -> bool:
    """Return whether the content of `history.json` and the history of a checkpoint can belong to one run.

    A process that is killed after writing a checkpoint leaves a file that lacks the last epoch, and a user who
    returns to the previous checkpoint one with an additional epoch.
    """
    if not isinstance(stored, dict) or not all(isinstance(values, list) for values in stored.values()):
        return False
    return _is_prefix(stored, history) or _is_prefix(history, stored)


def _is_prefix(shorter: History, longer: History) -> bool:
    """Return whether a history lacks at most the last value of each name in another one."""
    if not shorter.keys() <= longer.keys():
        return False
    for name, values in longer.items():
        prefix = shorter.get(name, [])
        if len(values) - len(prefix) not in (0, 1):
            return False
        if json.dumps(prefix) != json.dumps(values[: len(prefix)]):  # the text, because NaN differs from itself
            return False
    return True
