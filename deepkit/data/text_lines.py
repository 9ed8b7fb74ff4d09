"""Lines of a text file, with their numbers, for `from_tagged_file` and `from_text_pairs`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from deepkit.data.csv_reader import check_size, decode_file
from deepkit.data.errors import DataError
from deepkit.utils.errors import format_value, message
from deepkit.utils.files import expand_user
from deepkit.utils.validation import is_integer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepkit.utils.types import PathLike


def check_path(path: object, argument: str) -> None:
    """Raise a TypeError if an argument is not the path of a file."""
    if not isinstance(path, str | os.PathLike):
        problem = f"{argument} must be the path of a file, received {format_value(path)}"
        raise TypeError(message(problem, hint="pass lists of texts to dk.fit, or to dk.data.from_arrays"))


def read_lines(path: PathLike, encoding: str | None, expected: str) -> tuple[Path, list[str]]:
    """Return the path of a text file and its lines, without the ends of the lines.

    Lines end at a line feed only, as in most tools for parallel texts: other line separators of Unicode occur in texts.

    Args:
        path: The file.
        encoding: The name of an encoding; None for that of a byte order mark, else UTF-8.
        expected: The kind of the file, for messages: "a text file".

    Raises:
        DataError: The file does not exist, is empty, or is not text in this encoding.
    """
    file = expand_user(path)
    check_size(file, hint="split the file, and train on the parts one after the other")
    text, _ = decode_file(file, encoding, expected=expected)
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if lines[-1] == "":  # after the last line feed
        lines.pop()
    if not any(line.strip() for line in lines):
        raise DataError(f"{file} is empty, expected {expected}", hint="pass a file with at least one line of text")
    return file, lines


def check_columns(columns: object, num_columns: int, line: str) -> tuple[int, int]:
    """Return the positions of two columns, counted from 0.

    Args:
        columns: The argument: two positions, negative ones counted from the last column.
        num_columns: Number of columns of the file.
        line: The file and its first line, for messages.

    Raises:
        TypeError: The argument is not a pair of integers.
        ValueError: A position is out of range, or both are the same column.
    """
    hint = "pass columns=(0, 1) for the first two columns"
    is_pair = isinstance(columns, tuple | list) and len(columns) == 2 and all(is_integer(item) for item in columns)
    if not isinstance(columns, tuple | list) or not is_pair:
        raise TypeError(message(f"columns must be two positions, received {format_value(columns)}", hint=hint))
    positions = [int(item) + (num_columns if item < 0 else 0) for item in columns]
    if not all(0 <= position < num_columns for position in positions) or positions[0] == positions[1]:
        problem = f"columns={tuple(columns)!r}: expected two different columns of {num_columns}, as {line} has"
        raise ValueError(message(problem, hint=f"{hint}, and delimiter= if the columns have another separator"))
    return positions[0], positions[1]


def check_number_of_columns(values: Sequence[str], expected: int, line: str) -> None:
    """Raise if a line has another number of columns than the first one.

    Args:
        values: The values of the line.
        expected: The number of columns of the first line.
        line: The file and the line, for messages.
    """
    if len(values) != expected:
        problem = f"{line} has {len(values)} column{'s' if len(values) > 1 else ''}, and the first one has {expected}"
        raise ValueError(message(problem, hint="correct the line, or pass delimiter= if it is wrong"))
