"""The kind of a table's column: numeric, categorical, boolean, text, date, or ignored."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from deepkit.data.column_values import (
    BOOLEAN_PAIRS,
    DATE_FORMATS,
    AmbiguousDateError,
    detect_date_format,
    to_numbers,
    to_strings,
)
from deepkit.data.raw_table import RawColumn, RawTable
from deepkit.utils.errors import format_value, message

KINDS = ("numeric", "categorical", "boolean", "text", "date", "ignore")

_MAX_FAILURES = 0.1  # fraction of values that look like mistakes in a column of numbers or dates
_MIN_IDENTIFIERS = 10  # rows of a table whose distinct values are taken as identifiers
_MIN_WORDS = 3  # average number of words of a text
_IDENTIFIER_NAME = re.compile(r"(.*[_ .-])?(id|index|idx|uid|uuid|guid|key|row|column 1)|.*(Id|ID)", re.DOTALL)
_LEADING_ZEROS = re.compile(r"0\d+")
_DATE_LIKE = re.compile(r"(\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d{1,2}([./])\d{1,2}\2\d{4}).*")


@dataclasses.dataclass(frozen=True)
class ColumnKind:
    """The kind of a column, and the reason for it.

    Args:
        kind: One of `KINDS`.
        reason: The reason, for the user: "3 distinct values".
        date_format: Format of the dates, see `to_dates`; empty for another kind.
    """

    kind: str
    reason: str
    date_format: str = ""


def infer_kind(name: str, table: RawTable) -> ColumnKind:
    """Infer the kind of a column from its values.

    Raises:
        ValueError: A few values are not numbers or dates as all others, or the order of day and month is ambiguous.
    """
    column = table.columns[name]
    num_present = len(column.values) - column.num_missing
    if not num_present:
        return ColumnKind("ignore", "every value is missing")
    if column.is_categorical:
        return ColumnKind("categorical", _distinct(len(np.unique(to_strings(column).values))))
    if column.values.dtype.kind == "b" or column.types() == {bool}:
        return ColumnKind("boolean", "booleans")
    if column.values.dtype.kind == "M":
        return ColumnKind("date", "dates", DATE_FORMATS[0])
    if column.values.dtype.kind in "iuf":
        return _numeric_kind(name, to_numbers(column).values, are_integers=column.values.dtype.kind in "iu")
    return _object_kind(name, table, column)


def _object_kind(name: str, table: RawTable, column: RawColumn) -> ColumnKind:
    """Infer the kind of a column of Python objects, such as the strings of a file."""
    present = column.present()
    if all(isinstance(value, str) for value in present):
        words = {value.lower() for value in set(present)}
        pair = next((pair for pair in BOOLEAN_PAIRS if words <= set(pair)), None)
        if pair and (len(words) == 2 or column.num_missing):
            return ColumnKind("boolean", f"{' and '.join(repr(word) for word in sorted(words, reverse=True))}")
    converted = to_numbers(column, table.allows_decimal_comma)
    num_numbers = len(present) - len(converted.failures)
    if num_numbers == len(present):
        codes = [value for value in present if isinstance(value, str) and _LEADING_ZEROS.fullmatch(value)]
        if codes:
            return _string_kind(column, f"codes with leading zeros, such as {codes[0]!r}")
        return _numeric_kind(name, converted.values, are_integers=_are_integers(present))
    if num_numbers:
        if len(converted.failures) <= _MAX_FAILURES * len(present):
            raise mixed_error(name, table, converted.failures, "numbers")
        first = int(converted.failures[0])
        example = f"{format_value(column.values[first])} ({table.position(first)})"
        return _string_kind(column, f"mixed: {num_numbers:,} of {len(present):,} values are numbers, not {example}")
    try:
        date_format = detect_date_format(present)
    except AmbiguousDateError as error:
        problem = (
            f"{table.title}: the column {name!r} has dates such as {str(error)!r}, whose day may be first or second"
        )
        hint = f'pass columns={{{name!r}: "%d/%m/%Y"}} or columns={{{name!r}: "%m/%d/%Y"}}'
        raise ValueError(message(problem, hint=hint)) from error
    if date_format is not None:
        return ColumnKind("date", f"dates in the format {format_name(date_format)}", date_format)
    are_dates = np.array([isinstance(v, str) and bool(_DATE_LIKE.fullmatch(v)) for v in column.values], bool)
    failures = np.flatnonzero(~are_dates & ~column.is_missing)
    if len(failures) <= _MAX_FAILURES * len(present):
        if len(failures):
            raise mixed_error(name, table, failures, "dates")
        problem = f"{table.title}: the column {name!r} has dates in several formats, such as {present[0]!r}"
        hint = f'write them as YYYY-MM-DD, or pass columns={{{name!r}: "categorical"}}'
        raise ValueError(message(problem, hint=hint))
    return _string_kind(column, "")


def mixed_error(name: str, table: RawTable, failures: np.ndarray, expected: str, hint: str = "") -> ValueError:
    """Return the error about the values of a column that are not numbers or dates as the others.

    Args:
        name: Name of the column.
        table: The table.
        failures: The rows of these values.
        expected: The expected values, such as "numbers".
        hint: The hint; by default one about the arguments of `from_table`.
    """
    values, row = table.columns[name].values, int(failures[0])
    others = f" and {len(failures) - 1:,} more" if len(failures) > 1 else ""
    problem = (
        f"{table.title}: the column {name!r} holds {expected}, but {table.position(row)} has "
        f"{format_value(values[row])}{others}"
    )
    value = format_value(str(values[row]))
    hint = hint or (
        f"correct the value, pass missing_values=[{value}, ...] if it marks a missing value, or columns="
        f'{{{name!r}: "categorical"}}'
    )
    return ValueError(message(problem, hint=hint))


def _numeric_kind(name: str, values: np.ndarray, are_integers: bool) -> ColumnKind:
    present = values[~np.isnan(values)]
    num_distinct = len(np.unique(present))
    has_missing = len(present) < len(values)
    if num_distinct == 1 and not has_missing:
        return ColumnKind("ignore", f"every value is {present[0]:g}")
    is_distinct = are_integers and not has_missing and num_distinct == len(values) >= _MIN_IDENTIFIERS
    if is_distinct:
        is_counter = present.min() in (0, 1) and present.max() - present.min() == len(present) - 1
        if is_counter or _IDENTIFIER_NAME.fullmatch(name):
            return ColumnKind("ignore", "a row number" if is_counter else "an identifier: every value is distinct")
    reason = f"{'integers' if are_integers else 'numbers'}, {_distinct(num_distinct)}"
    num_rounded = len(np.unique(present.astype("float32")))
    if num_rounded < num_distinct and are_integers:
        reason += f", {num_rounded:,} in float32"
    return ColumnKind("numeric", reason)


def _string_kind(column: RawColumn, reason: str) -> ColumnKind:
    """Return the kind of a column of strings: categories, texts, or identifiers."""
    values = [str(value) for value in column.present()]
    num_distinct, count = len(set(values)), len(values)
    if num_distinct == 1 and not column.num_missing:
        return ColumnKind("ignore", f"every value is {format_value(values[0])}")
    num_words = sum(len(value.split()) for value in values) / count
    is_long = num_words >= _MIN_WORDS or sum(map(len, values)) / count >= 50
    if is_long and num_distinct > max(10, count / 10):
        return ColumnKind("text", _join(reason, f"{_distinct(num_distinct)} of {num_words:.0f} words"))
    if num_distinct == count >= _MIN_IDENTIFIERS and num_words < 2:
        return ColumnKind("ignore", _join(reason, "an identifier: every value is distinct"))
    return ColumnKind("categorical", _join(reason, _distinct(num_distinct)))


def _are_integers(values: Sequence[object] | np.ndarray) -> bool:
    return all(str(value).lstrip("+-").isdigit() for value in values)


def _distinct(count: int) -> str:
    return f"{count:,} distinct value{'s' if count != 1 else ''}"


def _join(*parts: str) -> str:
    return "; ".join(filter(None, parts))


def format_name(date_format: str) -> str:
    """Return a format of dates for the user: "DD.MM.YYYY"."""
    names = {"%d": "DD", "%m": "MM", "%Y": "YYYY"}
    for code, text in names.items():
        date_format = date_format.replace(code, text)
    return date_format
