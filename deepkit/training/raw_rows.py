"""Raw rows of a table as the inputs of a model that was trained on such a table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deepkit.data.raw_table import is_frame
from deepkit.data.table import from_table
from deepkit.data.table_source import read_table

if TYPE_CHECKING:
    from deepkit.data.table_schema import TableSchema


def rows_as_inputs(schema: TableSchema | None, x: Any) -> Any:
    """Return raw rows as inputs by name; other data, and rows that are converted already, are returned unchanged.

    Additional columns and new categories are printed.

    Args:
        schema: The columns of the training table; None if the training data is not a table.
        x: Raw rows: the path of a CSV file, a data frame, a mapping of columns, a list of rows as mappings, or one row:
            a mapping of values, or the `Series` of a row of a data frame. Other data: datasets, and inputs as
            `TableSchema.convert` returns them.

    Raises:
        DataError: A file cannot be read.
        TypeError: A column holds objects.
        ValueError: A column is absent, or a value does not have the kind of its column.

    Examples:
        >>> import deepkit as dk
        >>> houses = {
        ...     "area": [50.0, 80.0, 120.0],
        ...     "city": ["Oslo", "Rome", "Oslo"],
        ...     "price": [210.5, 250.0, 400.5],
        ... }
        >>> data = dk.data.from_table(houses, target="price", verbose=False)
        >>> rows_as_inputs(data.columns, [{"area": "70", "city": None}])["area"]
        array([70.], dtype=float32)
    """
    x = _row_as_mapping(x) if schema is not None else x
    if schema is None or not _is_table(x) or schema.is_converted(x):
        return x
    return schema.convert(x)


def labeled_rows(schema: TableSchema | None, x: Any) -> Any:
    """Return raw rows that include the target as batches (x, y) in their order; other rows as `rows_as_inputs` does.

    Args:
        schema: The columns of the training table; None if the training data is not a table.
        x: Raw rows, or other data.

    Raises:
        DataError: A file cannot be read.
        TypeError: A column holds objects.
        ValueError: A column is absent, a value does not have the kind of its column, or a target is missing.
    """
    if schema is None or not _is_table(x) or schema.is_converted(x):
        return x
    if len(schema.target) != 1 or schema.target[0] not in read_table(x).columns:
        return schema.convert(x)
    return from_table(x, target=schema.target[0], columns=schema, shuffle=False, verbose=False).train


def _row_as_mapping(x: Any) -> Any:
    """Return the row of a pandas data frame, a `Series` with the names of columns as its index, as a mapping."""
    is_series = type(x).__name__ == "Series" and hasattr(x, "to_dict")
    return x.to_dict() if is_series and all(isinstance(name, str) for name in x.index) else x


def _is_table(x: object) -> bool:
    if isinstance(x, list | tuple):
        return bool(x) and all(isinstance(row, Mapping) for row in x)
    return isinstance(x, str | os.PathLike | Mapping) or is_frame(x)
