"""`TableSchema`: the columns of a table and their kinds, which convert raw rows to the inputs of a model."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from deepkit.data.column_kinds import KINDS, ColumnKind, infer_kind, mixed_error
from deepkit.data.column_values import Converted, to_booleans, to_dates, to_numbers, to_strings
from deepkit.data.raw_table import RawColumn, RawTable
from deepkit.data.table_source import read_table
from deepkit.utils import console as _console
from deepkit.utils.errors import did_you_mean, format_value, make_error, message

MISSING_VALUES = ("", "NA", "N/A", "n/a", "na", "NaN", "nan", "NULL", "null", "None", "<NA>", "?")
_MAX_CATEGORIES = 10_000  # distinct values that a schema holds
_MAX_LISTED = 5
_EXPECTED = {"numeric": "numbers", "boolean": "booleans", "date": "dates"}


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        name: Its name in the table.
        kind: "numeric", "categorical", "boolean", "text", "date" or "ignore".
        date_format: Format of its dates; empty for another kind.
        has_missing: Whether values of the training rows are missing.
        categories: The distinct values of the training rows of a categorical column; empty if there are too many.
    """

    name: str
    kind: str
    date_format: str = ""
    has_missing: bool = False
    categories: tuple[str, ...] = ()

    @property
    def input_name(self) -> str:
        """The name of the model's input: Keras allows no slash in it."""
        return self.name.replace("/", "_")


@dataclasses.dataclass(frozen=True)
class TableSchema:
    """The columns of a table and their kinds.

    `Data.columns` of `dk.data.from_table` is one. `convert` prepares raw rows for `model.predict`.

    Args:
        columns: The columns, ignored ones included, without the target.
        target: The names of the target columns.
        missing_values: The strings that mark a missing value.

    Examples:
        >>> import deepkit as dk
        >>> houses = {"area": [50.0, 80.0, 120.0], "city": ["Oslo", "Rome", "Oslo"], "price": [210.5, 250.0, 400.5]}
        >>> schema = dk.data.from_table(houses, target="price", verbose=False).columns
        >>> schema.kinds
        {'area': 'numeric', 'city': 'categorical'}
        >>> schema.convert({"area": 70, "city": "Lima"}, verbose=False)["area"]
        array([70.], dtype=float32)
    """

    columns: tuple[Column, ...]
    target: tuple[str, ...] = ()
    missing_values: tuple[str, ...] = MISSING_VALUES

    @property
    def used(self) -> tuple[Column, ...]:
        """The columns that are inputs of a model."""
        return tuple(column for column in self.columns if column.kind != "ignore")

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of each input of a model, by its name."""
        return {column.input_name: column.kind for column in self.used}

    @property
    def with_missing_values(self) -> tuple[str, ...]:
        """The inputs with missing values in the training rows."""
        return tuple(column.input_name for column in self.used if column.has_missing)

    def convert(
        self, rows: Any, *, delimiter: str | None = None, encoding: str | None = None, verbose: bool = True
    ) -> dict[str, np.ndarray]:
        """Convert raw rows to the inputs of a model, by name.

        Numeric and boolean columns become float32 with NaN for a missing value, categorical and text columns strings
        with an empty one for a missing value, dates seconds since 1970 in int64. Other columns are left out.

        Args:
            rows: The path of a CSV file, a data frame, a mapping of columns, a list of mappings, or one mapping of
                values. It is not changed.
            delimiter: Delimiter of a file; None to detect it.
            encoding: Encoding of a file; None for UTF-8 or that of a byte order mark.
            verbose: Whether to print the columns that are left out, and the categories that are new.

        Raises:
            DataError: A file cannot be read.
            TypeError: `rows` has an unsupported type.
            ValueError: A column is absent, or a value does not have the kind of its column.
        """
        table = read_table(rows, delimiter, encoding).with_missing(frozenset(self.missing_values))
        self.check_columns(table)
        inputs = self.convert_table(table)
        if verbose:
            for text in self._notes(table, inputs):
                _console.echo(text)
        return inputs

    def check_columns(self, table: RawTable) -> None:
        """Raise if a column of the schema is absent."""
        absent = [column.name for column in self.used if column.name not in table.columns]
        if not absent:
            return
        close = did_you_mean(absent[0], table.columns)
        names = _listed([repr(name) for name in absent])
        problem = f"{table.title}: the column{'s' if len(absent) > 1 else ''} {names} of the training data "
        problem += f"{'are' if len(absent) > 1 else 'is'} absent{close}"
        if not close:
            problem += f"; the table has {_listed(list(table.columns), 20) or 'no columns'}"
        raise ValueError(message(problem, hint="add the column; its values may be missing (an empty string or None)"))

    def convert_table(self, table: RawTable) -> dict[str, np.ndarray]:
        """Return the inputs of a model from a table whose missing values are marked."""
        return {column.input_name: convert_column(column, table) for column in self.used}

    def to_json(self) -> dict[str, Any]:
        """Return the schema as JSON values."""
        return {
            "columns": [
                dataclasses.asdict(column) | {"categories": list(column.categories)} for column in self.columns
            ],
            "target": list(self.target),
            "missing_values": list(self.missing_values),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TableSchema:
        """Return the schema that `to_json` wrote."""
        columns = tuple(Column(**(column | {"categories": tuple(column["categories"])})) for column in data["columns"])
        return cls(columns, tuple(data["target"]), tuple(data["missing_values"]))

    def for_training_rows(self, inputs: Mapping[str, np.ndarray]) -> TableSchema:
        """Return the schema with the missing values and the categories of the training rows."""
        columns = []
        for column in self.columns:
            if column.kind != "ignore":
                values = inputs[column.input_name]
                column = dataclasses.replace(column, has_missing=bool(_is_missing(values).any()))
                if column.kind == "categorical":
                    distinct = sorted(set(values.tolist()) - {""})
                    categories = tuple(distinct) if len(distinct) <= _MAX_CATEGORIES else ()
                    column = dataclasses.replace(column, categories=categories)
            columns.append(column)
        return dataclasses.replace(self, columns=tuple(columns))

    def _notes(self, table: RawTable, inputs: Mapping[str, np.ndarray]) -> list[str]:
        """Return messages about additional columns and new categories."""
        notes = []
        names = {column.name for column in self.columns} | set(self.target)
        extra = [name for name in table.columns if name not in names]
        if extra:
            notes.append(f"{table.title}: ignored columns that the training data lacks: {_listed(extra)}")
        for column in self.used:
            if column.kind == "categorical" and column.categories:
                unseen = sorted(set(inputs[column.input_name].tolist()) - set(column.categories) - {""})
                if unseen:
                    listed = _listed([repr(value) for value in unseen])
                    notes.append(f"{column.name}: not in the training data, so encoded as unknown: {listed}")
        return notes


def convert_column(column: Column, table: RawTable) -> np.ndarray:
    """Return the values of a column in the form of its kind.

    Raises:
        ValueError: A value does not have this kind.
    """
    raw = table.columns[column.name]
    converted = _convert(column, raw, table.allows_decimal_comma)
    if len(converted.failures):
        raise mixed_error(column.name, table, converted.failures, _EXPECTED[column.kind])
    return converted.values.astype("float32") if converted.values.dtype == np.float64 else converted.values


def _convert(column: Column, raw: RawColumn, allows_decimal_comma: bool) -> Converted:
    if column.kind == "numeric":
        return to_numbers(raw, allows_decimal_comma)
    if column.kind == "boolean":
        return to_booleans(raw)
    return to_dates(raw, column.date_format) if column.kind == "date" else to_strings(raw)


def infer_schema(
    table: RawTable, requested: Mapping[str, str], target: Sequence[str], missing_values: Sequence[str]
) -> tuple[TableSchema, dict[str, str]]:
    """Return the schema of a table, and the reason for each kind by name of the column.

    Args:
        table: The table, whose missing values are marked.
        requested: The kinds that the user chose, by name of the column; a format of dates means "date".
        target: The names of the target columns.
        missing_values: The strings that mark a missing value.

    Raises:
        ValueError: A kind is unknown, a chosen column is absent, no column is left, or values are mixed.
    """
    _check_requested(table, requested, target)
    columns, reasons = [], {}
    for name in table.columns:
        if name in target:
            continue
        inferred = _requested_kind(name, table, requested[name]) if name in requested else infer_kind(name, table)
        columns.append(Column(name, inferred.kind, inferred.date_format))
        reasons[name] = inferred.reason
    schema = TableSchema(tuple(columns), tuple(target), tuple(missing_values))
    _check_inputs(schema, table, reasons)
    return schema, reasons


def describe_schema(schema: TableSchema, reasons: Mapping[str, str], table: RawTable) -> Table:
    """Return a table of the columns with their kinds, the reasons, and the numbers of missing values."""
    rendered = Table("column", "kind", "missing", "reason", box=None, pad_edge=False, header_style="")
    for column in schema.columns:
        missing = table.columns[column.name].num_missing
        rendered.add_row(
            _plain(column.name), column.kind, f"{missing:,}" if missing else "", _plain(reasons[column.name])
        )
    return rendered


def _plain(text: str) -> str:
    """Return a text without markup of rich."""
    return text.replace("[", r"\[")


def _requested_kind(name: str, table: RawTable, kind: str) -> ColumnKind:
    """Return the kind that the user chose; the format of dates is detected if it was not passed."""
    if "%" in kind:
        return ColumnKind("date", f"chosen, in the format {kind}", kind)
    if kind != "date":
        return ColumnKind(kind, "chosen")
    inferred = infer_kind(name, table)  # raises the error about ambiguous dates
    return ColumnKind("date", "chosen", inferred.date_format)


def _check_requested(table: RawTable, requested: Mapping[str, str], target: Sequence[str]) -> None:
    for name, kind in requested.items():
        if name not in table.columns:
            raise absent_error(name, table, "columns")
        if name in target:
            problem = f"columns: {name!r} is the target, whose kind is decided by task="
            raise ValueError(message(problem, hint='pass task="classification" or task="regression"'))
        if not isinstance(kind, str) or (kind not in KINDS and "%" not in kind):
            close = did_you_mean(kind, KINDS)
            problem = f"columns[{name!r}] must be one of {', '.join(map(repr, KINDS))}, received {format_value(kind)}"
            raise ValueError(message(f"{problem}{close}", hint='a format such as "%d/%m/%Y" stands for dates'))


def _check_inputs(schema: TableSchema, table: RawTable, reasons: Mapping[str, str]) -> None:
    """Raise if no column is left, or if the inputs of two columns have the same name."""
    if not schema.used:
        listed = ", ".join(f"{name} ({reason})" for name, reason in reasons.items()) or "there is none"
        problem = f"{table.title}: no column is left as an input of a model: {listed}"
        raise ValueError(message(problem, hint='choose the kind of a column, such as columns={"zip": "categorical"}'))
    inputs: dict[str, str] = {}
    for column in schema.used:
        other = inputs.setdefault(column.input_name, column.name)
        if other != column.name:
            problem = (
                f"{table.title}: the columns {other!r} and {column.name!r} have the same input {column.input_name!r}"
            )
            raise ValueError(message(problem, hint="rename one of them"))


def absent_error(name: object, table: RawTable, argument: str) -> Exception:
    """Return the error about a name that is not the name of a column; it lists the closest names."""
    names = list(table.columns)
    close = difflib.get_close_matches(str(name), names, n=3) or [
        other for other in names if other.lower() == str(name).lower()
    ]
    listing = f"did you mean {' or '.join(map(repr, close))}?" if close else f"its columns are {_listed(names, 20)}"
    problem = f"{argument}: {table.title} has no column {format_value(name)}; {listing}"
    return make_error(
        ValueError, problem, hint="use the name of a column in the first row of the file, or of the frame"
    )


def _is_missing(values: np.ndarray) -> np.ndarray:
    """Return which values of a converted column are missing."""
    if values.dtype == object:
        return values == ""
    return np.isnan(values) if values.dtype.kind == "f" else values == np.iinfo(np.int64).min


def _listed(names: Sequence[str], limit: int = _MAX_LISTED) -> str:
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
