"""Sources of tables: a CSV file, a data frame, a mapping of columns, or a list of rows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from deepkit.data.csv_reader import read_csv
from deepkit.data.raw_table import RawTable, from_frame, from_mapping, from_records, is_frame
from deepkit.utils.errors import format_value, make_error

TABLE_HINT = "pass the path of a CSV file, a pandas DataFrame, a mapping of columns, or a list of rows as mappings"


def read_table(table: Any, delimiter: str | None = None, encoding: str | None = None) -> RawTable:
    """Return the columns of a table; the source is not changed.

    Args:
        table: The path of a CSV file, a data frame, a mapping of names to columns, or a list of mappings.
        delimiter: Delimiter of a file; None to detect it.
        encoding: Encoding of a file; None for UTF-8 or that of a byte order mark.

    Raises:
        DataError: A file cannot be read.
        TypeError: The table has an unsupported type.
        ValueError: The table is malformed; the message names the line or column.
    """
    if isinstance(table, str | os.PathLike):
        return read_csv(os.fspath(table), delimiter, encoding)
    for name, value in (("delimiter", delimiter), ("encoding", encoding)):
        if value is not None:
            problem = f"{name}={value!r} is for a CSV file, received {_describe(table)}"
            raise make_error(ValueError, problem, hint=f"leave {name}= out")
    if isinstance(table, Mapping):
        return from_mapping(table)
    if is_frame(table):
        return from_frame(table)
    if isinstance(table, Sequence) and table and isinstance(table[0], Mapping):
        return from_records(table)
    raise make_error(
        TypeError, f"table: expected a table with named columns, received {_describe(table)}", hint=TABLE_HINT
    )


def _describe(table: object) -> str:
    return f"a {type(table).__name__}" if is_frame(table) else format_value(table)
