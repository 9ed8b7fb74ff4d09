"""Conversion of pandas, polars and PyTorch objects to arrays, without an import of these libraries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from deepkit.utils.errors import format_value, make_error

_TABLE_HINT = "dk.data.from_table(frame, target=...)"
_MAX_NAMES = 5  # columns that a message lists
_MAX_INPUTS = 8  # items of a list that are inspected: it may hold a million numbers


def as_arrays(value: Any, name: str) -> Any:
    """Return a value with the pandas, polars and PyTorch objects in it as NumPy arrays, and all else unchanged.

    A DataFrame of numbers becomes an array `(rows, columns)`, as in Keras, also if it has one column. A Series, an
    Index or a Categorical becomes an array `(rows,)`, and categories become their values. Text is allowed in a Series
    and in a DataFrame with one column.

    Args:
        value: An array, or a dictionary, tuple or list of arrays.
        name: Name of the argument for error messages: "x", "y" or "sample_weight".

    Raises:
        TypeError: A column holds dates or other objects, or a DataFrame holds text beside other columns.
        ValueError: A value is missing, or a DataFrame has no columns.

    Examples:
        >>> import numpy as np
        >>> as_arrays({"a": np.zeros(3), "b": [1, 2]}, "x")
        {'a': array([0., 0., 0.]), 'b': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {key: as_arrays(item, f"{name}[{key!r}]") for key, item in value.items()}
    if type(value) is tuple or (type(value) is list and any(_library(item) for item in value[:_MAX_INPUTS])):
        return type(value)(as_arrays(item, f"{name}[{position}]") for position, item in enumerate(value))
    library = _library(value)
    if library in ("pandas", "polars"):
        return _table_array(value, name)
    return _tensor_array(value, name) if library == "torch" and hasattr(value, "detach") else value


def refuse_masked_values(value: object, name: str) -> None:
    """Raise if a value is a masked array of NumPy with masked values, which a conversion would unmask."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        count = np.count_nonzero(np.ma.getmaskarray(value))
        problem = f"{name} is a masked array with {count:,} masked values, expected a value for each"
        raise make_error(TypeError, problem, hint=f"fill them with {name}.filled(...), or remove these examples")


def _library(value: object) -> str:
    """Return "pandas", "polars" or "torch" if the class of a value, or one of its bases, is from that library."""
    modules = (cls.__module__.partition(".")[0] for cls in type(value).__mro__)
    return next((module for module in modules if module in ("pandas", "polars", "torch")), "")


def _table_array(value: Any, name: str) -> np.ndarray:
    if not hasattr(value, "to_numpy") or hasattr(value, "levels"):  # a LazyFrame, or a MultiIndex
        problem = f"{name}: expected an array, a DataFrame or a Series, received a {type(value).__name__}"
        raise make_error(TypeError, problem, hint="pass a DataFrame or a Series, such as frame.collect()")
    if hasattr(value, "columns"):
        return _frame_array(value, name)
    label = getattr(value, "name", None)
    return _column_array(value, name if label in (None, "") else f"{name}: the column {label!r}", value)


def _frame_array(frame: Any, name: str) -> np.ndarray:
    """Return a DataFrame as an array `(rows, columns)` in the common dtype of its columns."""
    if not len(frame.columns):
        problem = f"{name}: the DataFrame of {len(frame):,} rows has no columns"
        raise make_error(ValueError, problem, hint="select the columns to train on, such as frame[['age', 'height']]")
    if len({str(dtype) for dtype in frame.dtypes}) == 1:
        array: np.ndarray = frame.to_numpy()
        if array.dtype.kind in "iub" or (array.dtype.kind == "f" and not np.isnan(array).any()):
            return array
    columns = {}
    for position, (label, column) in enumerate(_columns(frame)):
        columns[position] = label, _column_array(column, f"{name}: the column {label!r}", frame)
    text = [label for label, values in columns.values() if values.dtype.kind in "OSU"]
    if text and len(columns) > 1:
        raise _text_error(text, name, len(columns))
    for label, column in _columns(frame):
        if len(columns) > 1 and _is_categorical(column):
            raise _text_error([label], name, len(columns))
    arrays = [values for _, values in columns.values()]
    return np.stack(arrays, axis=1, dtype=None if text else np.result_type(*arrays))


def _columns(frame: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the label and the values of each column; labels may occur twice."""
    for position, label in enumerate(frame.columns):
        yield label, frame.iloc[:, position] if hasattr(frame, "iloc") else frame[label]


def _column_array(column: Any, title: str, table: Any) -> np.ndarray:
    """Return the values of a column of numbers, booleans or text; `table` is the object that holds it."""
    _check_missing(column, title, table)
    array = np.asarray(column.to_numpy())
    is_duration = array.dtype.kind == "m"
    if is_duration or array.dtype.kind == "M" or "datetime" in str(column.dtype):  # of a time zone: objects
        convert = "dt.total_seconds()" if is_duration else "dt.dayofyear"
        problem = f"{title} has the dtype {column.dtype}, expected numbers or text"
        table_hint = "" if is_duration else f"use {_TABLE_HINT}, which encodes dates, or "
        raise make_error(TypeError, problem, hint=f"{table_hint}pass numbers, such as column.{convert}")
    if array.dtype.kind != "O":
        return array
    for position, item in enumerate(array):
        if not isinstance(item, str | bytes):
            problem = (
                f"{title} has the dtype {column.dtype}, expected numbers or text, received {format_value(item)} in "
                f"{_row(column, position)}"
            )
            raise make_error(TypeError, problem, hint=_object_hint(item))
    return array


def _object_hint(item: object) -> str:
    if hasattr(item, "shape") or isinstance(item, list | tuple):
        return "pass one array of all rows, such as np.stack(column.to_list())"
    return "convert the column, for example with astype('float64') or astype('str')"


def _check_missing(column: Any, title: str, table: Any) -> None:
    missing = np.asarray(column.isna() if hasattr(column, "isna") else _is_missing_in_polars(column))
    if not missing.any():
        return
    count, first = int(missing.sum()), int(np.argmax(missing))
    values = "a missing value" if count == 1 else f"{count:,} missing values, the first"
    fill, drop = ("fillna(...)", "dropna()") if hasattr(column, "isna") else ("fill_null(...)", "drop_nulls()")
    hint = f"fill them with {fill}, or remove these rows with {drop}"
    if hasattr(table, "columns"):
        hint += f"; {_TABLE_HINT} accepts missing values"
    raise make_error(ValueError, f"{title} has {values} in {_row(column, first)}", hint=hint)


def _is_missing_in_polars(column: Any) -> Any:
    missing = column.is_null().to_numpy()
    return missing | column.is_nan().fill_null(True).to_numpy() if column.dtype.is_float() else missing


def _row(column: Any, position: int) -> str:
    """Return the position of a row, and its label in the index if that differs."""
    labels = getattr(column, "index", None)
    if labels is None or callable(labels) or labels[position] == position:
        return f"row {position}"
    return f"row {position} (index {format_value(labels[position])})"


def _is_categorical(column: Any) -> bool:
    return type(column.dtype).__name__ in ("CategoricalDtype", "Categorical", "Enum")


def _text_error(labels: list[Any], name: str, num_columns: int) -> Exception:
    names = ", ".join(map(repr, labels[:_MAX_NAMES])) + (", ..." if len(labels) > _MAX_NAMES else "")
    columns = f"column {names}" if len(labels) == 1 else f"columns {names}"
    problem = f"{name}: expected a DataFrame of numbers, received text or categories in the {columns} of {num_columns}"
    hint = (
        f"use {_TABLE_HINT}, which encodes text and categories, or pass each column as an input by name: "
        f"{{{labels[0]!r}: frame[{labels[0]!r}], ...}}"
    )
    return make_error(TypeError, problem, hint=hint)


def _tensor_array(tensor: Any, name: str) -> np.ndarray:
    """Return a PyTorch tensor as an array: without its gradient, from any device, and bfloat16 as float32."""
    if "sparse" in str(getattr(tensor, "layout", "")):
        problem = f"{name} is a sparse tensor, expected a dense array"
        raise make_error(TypeError, problem, hint=f"use {name}.to_dense()")
    tensor = tensor.detach().cpu()
    array: np.ndarray = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    return array
