"""The error of the data package."""

from __future__ import annotations

import pathlib

from deepkit.utils.errors import StructuredError


class DataError(StructuredError, OSError):
    """A dataset that is not available: not prepared and not downloadable, or damaged.

    Wrong arguments raise `ValueError` or `TypeError`; this error concerns files and networks.

    Args:
        problem: The dataset, and the reason why it is not available.
        hint: How to solve the problem.

    Examples:
        >>> issubclass(DataError, OSError)
        True
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
