"""`RawTable`: the columns of a table as they were read, before their kinds are known."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import decimal
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deepkit.utils.errors import format_value, message

_TYPES = (str, bool, int, float, decimal.Decimal, datetime.date, np.datetime64)
_TYPE_HINT = "use numbers, strings, booleans or dates, or leave the column out"


@dataclasses.dataclass(frozen=True, eq=False)
class RawColumn:
    """The values of a column.

    Args:
        values: An array `(rows,)` of numbers, booleans, dates, or Python objects such as strings.
        is_missing: A boolean array `(rows,)`: True for a missing value.
        is_categorical: Whether the source declares the values as categories, as pandas does.
    """

    values: np.ndarray
    is_missing: np.ndarray
    is_categorical: bool = False

    @property
    def num_missing(self) -> int:
        """Number of missing values."""
        return int(self.is_missing.sum())

    def present(self) -> np.ndarray:
        """Return the values that are not missing."""
        return self.values[~self.is_missing] if self.is_missing.any() else self.values

    def types(self) -> set[type]:
        """Return the Python types of values that are not missing."""
        return set(map(type, self.present()))

    def with_missing(self, markers: frozenset[str]) -> RawColumn:
        """Return the column with strings that mark a missing value, such as "NA", as missing."""
        if self.values.dtype != object:
            return self
        marked = np.fromiter((isinstance(v, str) and v in markers for v in self.values), bool, len(self.values))
        return dataclasses.replace(self, is_missing=self.is_missing | marked)


@dataclasses.dataclass(frozen=True, eq=False)
class RawTable:
    """The columns of a table by name.

    Args:
        title: The source in messages: the name of a file, or "the table".
        columns: The columns by name, in their order.
        num_rows: Number of rows.
        lines: For each row of a file the line in which it begins, counted from 1; None for other sources.
        details: Facts about the source for the user: "delimiter ';'".
        allows_decimal_comma: Whether "7,5" may be a number, as in a file whose delimiter is not a comma.
    """

    title: str
    columns: Mapping[str, RawColumn]
    num_rows: int
    lines: Sequence[int] | None = None
    details: tuple[str, ...] = ()
    allows_decimal_comma: bool = False

    def __post_init__(self) -> None:
        for name, column in self.columns.items():
            if column.values.dtype != object and column.values.dtype.kind not in "biufM":
                problem = f"{self.title}: the column {name!r} has the dtype {column.values.dtype}"
                raise TypeError(message(problem, hint=_TYPE_HINT))
            if column.values.dtype == object and not all(issubclass(kind, _TYPES) for kind in column.types()):
                row = next(
                    i
                    for i, value in enumerate(column.values)
                    if not column.is_missing[i] and not isinstance(value, _TYPES)
                )
                value = format_value(column.values[row])
                problem = f"{self.title}: the column {name!r} holds Python objects: {self.position(row)} has {value}"
                raise TypeError(message(problem, hint=_TYPE_HINT))

    def position(self, row: int) -> str:
        """Return the position of a row in messages: "line 3" of a file, or "row 1" counted from 0."""
        return f"row {row}" if self.lines is None else f"line {self.lines[row]}"

    def with_missing(self, markers: frozenset[str]) -> RawTable:
        """Return the table with strings that mark a missing value as missing."""
        columns = {name: column.with_missing(markers) for name, column in self.columns.items()}
        return dataclasses.replace(self, columns=columns)


def check_names(names: Sequence[str], title: str) -> None:
    """Raise if two columns have the same name."""
    duplicates = [name for name, count in Counter(names).items() if count > 1]
    if duplicates:
        positions = [i + 1 for i, name in enumerate(names) if name == duplicates[0]]
        problem = (
            f"{title}: {len(positions)} columns have the name {duplicates[0]!r}: columns "
            f"{', '.join(map(str, positions))}"
        )
        raise ValueError(message(problem, hint="rename one of them, or remove it"))


def is_frame(value: object) -> bool:
    """Return whether a value is a data frame: it has names of columns, and returns a column by its name."""
    return hasattr(value, "columns") and hasattr(value, "__getitem__") and not isinstance(value, Mapping)


def from_frame(frame: Any, title: str = "the table") -> RawTable:
    """Return the columns of a data frame of pandas, or of a library with the same methods; it is not changed."""
    labels = list(frame.columns)
    if any(isinstance(label, tuple) for label in labels):
        problem = f"{title}: the columns have several levels of names, such as {format_value(labels[0])}"
        hint = "join them first: frame.columns = ['_'.join(map(str, names)) for names in frame.columns]"
        raise ValueError(message(problem, hint=hint))
    names = [str(label) for label in labels]
    check_names(names, title)
    columns = {name: _frame_column(frame[label]) for name, label in zip(names, labels, strict=True)}
    return RawTable(title, columns, len(frame))


def from_mapping(table: Mapping[str, Any], title: str = "the table") -> RawTable:
    """Return the columns of a mapping of names to lists or arrays, or one row from a mapping of names to values.

    Raises:
        TypeError: A name is not a string, or a column has several values per row.
        ValueError: The columns differ in length.
    """
    for name in table:
        if not isinstance(name, str):
            raise TypeError(message(f"{title}: names of columns must be strings, received {format_value(name)}"))
    is_single = bool(table) and not any(_is_sequence(value) for value in table.values())
    columns = {
        name: _frame_column(value) if hasattr(value, "isna") else object_column([value] if is_single else value)
        for name, value in table.items()
    }
    for name, column in columns.items():
        if column.values.ndim != 1:
            problem = f"{title}: the column {name!r} must have one value per row, received {format_value(table[name])}"
            raise TypeError(message(problem, hint="pass a list or an array of shape (rows,)"))
    lengths = {name: len(column.values) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        (first, count), *others = lengths.items()
        other, length = next(item for item in others if item[1] != count)
        problem = f"{title}: the columns differ in length: {first!r} has {count:,} values, {other!r} has {length:,}"
        raise ValueError(message(problem, hint="pass columns with one value for every row"))
    return RawTable(title, columns, next(iter(lengths.values()), 0))


def from_records(rows: Sequence[Mapping[str, Any]], title: str = "the table") -> RawTable:
    """Return the columns of a list of rows, each a mapping of names to values; a value that a row lacks is missing."""
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            problem = f"{title}: row {i} must be a mapping of names to values, received {format_value(row)}"
            raise TypeError(message(problem, hint="pass a list such as [{'rooms': 3, 'city': 'Oslo'}]"))
    names = dict.fromkeys(name for row in rows for name in row)
    return from_mapping({name: [row.get(name) for row in rows] for name in names}, title)


def object_column(values: Any) -> RawColumn:
    """Return a list or an array as a column, in which None, NaN, NaT and masked values are missing.

    Strings lose surrounding spaces.
    """
    if not isinstance(values, np.ndarray):
        values = list(values) if _is_sequence(values) else [values]
        array = np.empty(len(values), object)
        array[:] = values
    else:
        array = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    is_masked = np.ma.getmaskarray(array)  # tolist() returns None for the masked values of objects
    if array.dtype.kind in "biufM" or array.ndim != 1:
        array = np.asarray(array)
        is_missing = np.isnat(array) if array.dtype.kind == "M" else np.zeros(array.shape, bool)
        return RawColumn(array, (np.isnan(array) if array.dtype.kind == "f" else is_missing) | is_masked)
    items = [_plain(item) for item in array.tolist()]
    return _column_of_objects(items, np.fromiter((_is_missing(item) for item in items), bool, len(items)))


def _frame_column(series: Any) -> RawColumn:
    """Return a column of a data frame."""
    dtype = getattr(series, "dtype", None)
    if not hasattr(series, "isna") or isinstance(series, np.ndarray):
        return object_column(series.to_numpy() if hasattr(series, "to_numpy") else np.asarray(series))
    is_missing = np.asarray(series.isna(), bool)
    is_categorical = str(dtype) == "category"
    if isinstance(dtype, np.dtype) and dtype.kind in "biufM":
        return RawColumn(np.asarray(series), is_missing)
    if getattr(dtype, "tz", None) is not None:  # converts to UTC
        return RawColumn(np.asarray(series.to_numpy(dtype="datetime64[s]")), is_missing)
    items = [_plain(item) for item in np.asarray(series, object).tolist()]
    column = _column_of_objects(items, is_missing)
    return dataclasses.replace(column, is_categorical=is_categorical)


def _column_of_objects(items: Sequence[Any], is_missing: np.ndarray) -> RawColumn:
    """Return Python objects as a column of the dtype that they share, or of objects."""
    present = [item for item, missing in zip(items, is_missing, strict=True) if not missing]
    types = {type(item) for item in present}
    array: np.ndarray
    if types == {bool}:
        if not is_missing.any():
            return RawColumn(np.array(items, bool), is_missing)
    elif types and types <= {int, float} and not (types == {int} and is_missing.any()):
        array = np.array([np.nan if missing else item for item, missing in zip(items, is_missing, strict=True)])
        if array.dtype.kind in "iuf":
            return RawColumn(array, is_missing)
    array = np.empty(len(items), object)
    array[:] = items
    return RawColumn(array, is_missing)


def _plain(item: Any) -> Any:
    """Return a NumPy scalar or bytes of UTF-8 as a Python value, and a string without surrounding spaces."""
    if isinstance(item, np.generic) and not isinstance(item, np.datetime64):
        item = item.item()
    if isinstance(item, bytes):
        with contextlib.suppress(UnicodeDecodeError):  # `RawTable` raises the error about other bytes
            item = item.decode("utf-8")
    return str(item).strip() if isinstance(item, str) else item


def _is_missing(item: object) -> bool:
    """Return whether a value is None, NaN, NaT or the `NA` of pandas."""
    if item is None or type(item).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(item, np.datetime64):
        return bool(np.isnat(item))
    return isinstance(item, float) and item != item


def _is_sequence(value: object) -> bool:
    if isinstance(value, str | bytes | Mapping):
        return False
    return isinstance(value, Sequence) or (hasattr(value, "__len__") and getattr(value, "ndim", 1) > 0)
