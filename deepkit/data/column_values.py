"""Convert the values of a table's column to numbers, booleans, dates or strings."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import numbers
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from deepkit.data.raw_table import RawColumn

BOOLEAN_PAIRS = (("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f"), ("on", "off"))
MAX_NUMBER = float(np.finfo(np.float32).max)
MISSING_DATE = int(np.iinfo(np.int64).min)  # as NaT is stored
DATE_FORMATS = ("ISO 8601", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")
"""The formats that are detected; a time such as "14:30" may follow the date."""

_TRUTH = {true: 1.0 for true, _ in BOOLEAN_PAIRS} | {false: 0.0 for _, false in BOOLEAN_PAIRS} | {"1": 1.0, "0": 0.0}
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}.*)?")
_NUMERIC_DATE = re.compile(r"(\d{1,2})([./])(\d{1,2})\2(\d{4})(?:[T ]+(.+))?")
_YEAR_FIRST = re.compile(r"(\d{4})/(\d{2})/(\d{2})(.*)")
_DECIMAL_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+)?,\d+([eE][+-]?\d+)?")


@dataclasses.dataclass(frozen=True, eq=False)
class Converted:
    """The converted values of a column.

    Args:
        values: The values, with NaN, `MISSING_DATE` or an empty string for a missing one, and for each failure.
        failures: The rows whose values are present and could not be converted.
    """

    values: np.ndarray
    failures: np.ndarray


def to_numbers(column: RawColumn, allows_decimal_comma: bool = False) -> Converted:
    """Convert a column to float64; "7,5" is a number only if decimal commas are allowed."""
    if column.values.dtype.kind in "biuf":
        values = column.values.astype("float64")
        values[column.is_missing] = np.nan
        return Converted(values, np.flatnonzero(np.abs(values) > MAX_NUMBER))
    if column.values.dtype.kind == "M":
        return _all_failed(column)
    simple = _simple_numbers(column)
    if simple is not None:
        return simple
    has_commas = allows_decimal_comma and any(isinstance(v, str) and "," in v for v in column.present())
    return _convert(column, _number_with_comma if has_commas else _number, np.nan, "float64")


def to_booleans(column: RawColumn) -> Converted:
    """Convert a column to 1.0 and 0.0."""
    if column.values.dtype.kind in "biuf":
        values = column.values.astype("float64")
        values[column.is_missing] = np.nan
        return Converted(values, np.flatnonzero(~np.isnan(values) & (values != 0) & (values != 1)))
    return _all_failed(column) if column.values.dtype.kind == "M" else _convert(column, _boolean, np.nan, "float64")


def to_dates(column: RawColumn, date_format: str = "") -> Converted:
    """Convert a column to seconds since 1970 in int64; a date with a time zone is converted to UTC.

    Args:
        column: The column.
        date_format: One of `DATE_FORMATS`, or a format of `datetime.strptime`; empty for ISO 8601.
    """
    if column.values.dtype.kind == "M":
        seconds = column.values.astype("datetime64[s]").astype("int64")
        return Converted(np.where(column.is_missing, MISSING_DATE, seconds), np.array([], "int64"))
    if column.values.dtype.kind in "biuf":
        return _all_failed(column)
    return _convert(column, lambda value: _seconds(value, date_format), MISSING_DATE, "int64")


def to_strings(column: RawColumn) -> Converted:
    """Convert a column to strings; a whole number has no decimal point, whatever the type of its column is."""
    values = np.empty(len(column.values), object)
    rows = column.values.tolist() if column.values.dtype.kind != "M" else column.values.astype("datetime64[s]")
    values[:] = ["" if m else category(v) for v, m in zip(rows, column.is_missing.tolist(), strict=True)]
    return Converted(values, np.array([], "int64"))


def category(value: object) -> str:
    """Return the value of a category as a string."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def detect_date_format(values: Iterable[object]) -> str | None:
    """Return the format of `DATE_FORMATS` that all values have; None if none has.

    Raises:
        AmbiguousDateError: Day and month cannot be distinguished.
    """
    first_numbers, second_numbers, separators = set(), set(), set()
    is_iso = False
    example = ""
    for value in values:
        if isinstance(value, datetime.date):
            is_iso = True
        elif not isinstance(value, str):
            return None
        elif _ISO_DATE.fullmatch(value) or _YEAR_FIRST.fullmatch(value):
            is_iso = True
        elif match := _NUMERIC_DATE.fullmatch(value):
            example = value
            first_numbers.add(int(match[1]))
            second_numbers.add(int(match[3]))
            separators.add(match[2])
        else:
            return None
    if not separators:
        return DATE_FORMATS[0] if is_iso else None
    if is_iso or len(separators) > 1:
        return None
    if separators == {"."}:
        return "%d.%m.%Y"
    if max(first_numbers) > 12:
        return "%d/%m/%Y" if max(second_numbers) <= 12 else None
    if max(second_numbers) > 12:
        return "%m/%d/%Y"
    raise AmbiguousDateError(example)


class AmbiguousDateError(ValueError):
    """All dates of a column may have the day or the month first; the message is an example."""


def _convert(column: RawColumn, convert: Callable[[Any], Any], missing: object, dtype: str) -> Converted:
    """Convert each distinct value once."""
    cache: dict[object, Any] = {}
    converted: list[Any] = []
    failures: list[int] = []
    for row, (value, is_missing) in enumerate(zip(column.values.tolist(), column.is_missing.tolist(), strict=True)):
        if is_missing:
            converted.append(missing)
            continue
        key = (type(value), value)
        if key not in cache:
            cache[key] = convert(value)
        result = cache[key]
        if result is None:
            failures.append(row)
            result = missing
        converted.append(result)
    return Converted(np.array(converted, dtype), np.array(failures, "int64"))


def _simple_numbers(column: RawColumn) -> Converted | None:
    """Return the numbers of a column if all its values are; None if a value must be examined by itself."""
    present = column.present().tolist()
    if not present or column.types() != {str} or _number(present[0]) is None:
        return None
    try:
        numbers_present = np.array(list(map(float, present)))
    except ValueError:
        return None
    if not (np.abs(numbers_present) <= MAX_NUMBER).all() or "_" in "".join(present):
        return None
    values = np.full(len(column.values), np.nan)
    values[~column.is_missing] = numbers_present
    return Converted(values, np.array([], "int64"))


def _all_failed(column: RawColumn) -> Converted:
    rows = np.flatnonzero(~column.is_missing)
    return Converted(np.full(len(column.values), np.nan), rows)


def _number(value: object) -> float | None:
    """Return a number that float32 can hold, or None; an underscore is not a part of a number."""
    if isinstance(value, str) and "_" in value:
        return None
    if not isinstance(value, str | numbers.Real | decimal.Decimal):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) <= MAX_NUMBER else None


def _number_with_comma(value: object) -> float | None:
    if not isinstance(value, str) or ("." not in value and "," not in value):
        return _number(value)
    if not _DECIMAL_COMMA.fullmatch(value):
        return None  # "1.234" may be a fraction or thousands
    return _number(value.replace(".", "").replace(",", "."))


def _boolean(value: object) -> float | None:
    if isinstance(value, str):
        return _TRUTH.get(value.lower())
    return float(value) if isinstance(value, numbers.Real) and value in (0, 1) else None


def _seconds(value: object, date_format: str) -> int | None:
    """Return a date as seconds since 1970, or None."""
    try:
        moment = _datetime(value, date_format)
    except (ValueError, OverflowError):
        return None
    if moment is None:
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    return (moment - datetime.datetime(1970, 1, 1)) // datetime.timedelta(seconds=1)


def _datetime(value: object, date_format: str) -> datetime.datetime | None:
    if isinstance(value, datetime.datetime):
        return value
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day)
    if isinstance(value, np.datetime64):
        return datetime.datetime(1970, 1, 1) + datetime.timedelta(
            seconds=int(value.astype("datetime64[s]").astype(int))
        )
    if not isinstance(value, str):
        return None
    if match := _YEAR_FIRST.fullmatch(value):
        value = f"{match[1]}-{match[2]}-{match[3]}{match[4]}"
    if _ISO_DATE.fullmatch(value):
        return datetime.datetime.fromisoformat(value)
    if date_format not in DATE_FORMATS[1:]:
        return datetime.datetime.strptime(value, date_format) if "%" in date_format else None
    match = _NUMERIC_DATE.fullmatch(value)
    if match is None or match[2] != date_format[2]:
        return None
    day, month = (match[1], match[3]) if date_format.startswith("%d") else (match[3], match[1])
    time = f"T{match[5]}" if match[5] else ""
    return datetime.datetime.fromisoformat(f"{match[4]}-{int(month):02}-{int(day):02}{time}")
