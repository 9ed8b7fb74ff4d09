"""The error of the data package."""

from __future__ import annotations

import pathlib

from deepkit.utils.errors import StructuredError


class DataError(StructuredError, OSError):
    """A dataset that is not available: not prepared and not downloadable, or damaged.

    Wrong arguments raise `ValueError` or `TypeError`; this error concerns files and networks.

    Args:
        problem: The dataset, and the reason why it is not available.
        path: The part of the data concerned; empty if it is the whole.
        code: The code concerned; empty if there is none.
        hint: How to solve the problem.

    Examples:
        >>> import deepkit as dk
        >>> dk.data.from_table("flats.csv", target="price")
        Traceback (most recent call last):
            ...
        deepkit.data.errors.DataError: flats.csv cannot be read: no such file or directory
          hint: the current folder is ...; pass the path of a CSV file, or a pandas DataFrame
    """


def summarize_error(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its class if the message is empty."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def damage_error(folder: pathlib.Path, reason: str) -> DataError:
    """Return the error for a prepared folder that exists but cannot be read."""
    return DataError(
        f"the prepared data in {folder} is damaged or incomplete: {reason}. Nothing was changed.",
        hint="move that folder away and load again to prepare it anew, or set data_dir= or TFDS_DATA_DIR to a "
        "complete copy",
    )
