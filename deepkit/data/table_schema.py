"""`TableSchema`: the columns of a table and their kinds, which convert raw rows to the inputs of a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deepkit.data.column_kinds import format_name, mixed_error
from deepkit.data.column_values import MISSING_DATE, Converted, to_booleans, to_dates, to_numbers, to_strings
from deepkit.data.raw_table import RawColumn, RawTable
from deepkit.data.table_source import read_table
from deepkit.utils import console as _console
from deepkit.utils.errors import did_you_mean, format_value, make_error, message

MISSING_VALUES = ("", "NA", "N/A", "n/a", "na", "NaN", "nan", "NULL", "null", "None", "<NA>", "?")
_MAX_CATEGORIES = 10_000  # distinct values that a schema holds
_MAX_LISTED = 5
_EXPECTED = {"numeric": "numbers", "boolean": "booleans", "date": "dates"}
_CONVERTED_TYPES = {"numeric": "f4", "boolean": "f4", "date": "i8"}  # other kinds are strings
_ROW_HINT = "correct the value, or pass None if it is missing"


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

    `Data.columns` of `dk.data.from_table` is one. `convert` prepares raw rows for `model.predict`; `from_table` reads
    another table with the same kinds and classes if it is passed as `columns`.

    Args:
        columns: The columns, ignored ones included, without the target.
        target: The names of the target columns.
        missing_values: The strings that mark a missing value.
        class_names: For each target the names of its classes; empty for a target of numbers.

    Examples:
        >>> import deepkit as dk
        >>> houses = {
        ...     "area": [50.0, 80.0, 120.0],
        ...     "city": ["Oslo", "Rome", "Oslo"],
        ...     "price": [210.5, 250.0, 400.5],
        ... }
        >>> schema = dk.data.from_table(houses, target="price", verbose=False).columns
        >>> schema.kinds
        {'area': 'numeric', 'city': 'categorical'}
        >>> schema.convert({"area": 70, "city": "Lima"}, verbose=False)["area"]
        array([70.], dtype=float32)
    """

    columns: tuple[Column, ...]
    target: tuple[str, ...] = ()
    missing_values: tuple[str, ...] = MISSING_VALUES
    class_names: tuple[tuple[str, ...], ...] = ()

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
        """Convert raw rows to the inputs of a model.

        Numeric and boolean columns become float32 with NaN for a missing value, categorical and text columns strings
        with an empty one for a missing value, dates seconds since 1970 in int64. Other columns are left out.

        Args:
            rows: The path of a CSV file, a data frame, a mapping of columns, a list of mappings, or one mapping of
                values. It is not changed.
            delimiter: Delimiter of a file; None to detect it.
            encoding: Encoding of a file; None for UTF-8 or that of a byte order mark.
            verbose: Whether to print the columns that are left out, and the categories that are new.

        Returns:
            An array `(rows,)` for each column of the training data, by name.

        Raises:
            DataError: A file cannot be read.
            TypeError: `rows` has an unsupported type.
            ValueError: A column is absent, there are no rows, or a value does not have the kind of its column.
        """
        table = read_table(rows, delimiter, encoding).with_missing(frozenset(self.missing_values))
        self.check_columns(table)
        if not table.num_rows:
            raise ValueError(
                message(f"{table.title}: expected rows, received columns without values", hint="pass a row")
            )
        inputs = self.convert_table(table, _ROW_HINT)
        if verbose:
            for text in self.notes(table, inputs):
                _console.echo(text)
        return inputs

    def readable(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return converted rows as text: dates, "True" and "False", and an empty string for a missing value.

        Args:
            inputs: Converted rows by name, as `convert` returns them.
        """
        kinds = self.kinds
        return {
            name: np.array([_readable(value, kinds.get(name, "")) for value in values], object)
            for name, values in inputs.items()
        }

    def check_columns(self, table: RawTable) -> None:
        """Raise if a column of the schema is absent."""
        absent = [column.name for column in self.used if column.name not in table.columns]
        if not absent:
            return
        close = did_you_mean(absent[0], table.columns)
        names = listed([repr(name) for name in absent])
        problem = f"{table.title}: the column{'s' if len(absent) > 1 else ''} {names} of the training data "
        problem += f"{'are' if len(absent) > 1 else 'is'} absent{close}"
        if not close:
            problem += f"; the table has {listed(list(table.columns), 20) or 'no columns'}"
        raise ValueError(message(problem, hint="add the column; its values may be missing (an empty string or None)"))

    def convert_table(self, table: RawTable, hint: str = "") -> dict[str, np.ndarray]:
        """Return the inputs of a model from a table whose missing values are marked.

        Args:
            table: The table.
            hint: The hint of an error about a value; by default one about the arguments of `from_table`.
        """
        return {column.input_name: convert_column(column, table, hint) for column in self.used}

    def is_converted(self, rows: object) -> bool:
        """Return whether rows are a mapping of arrays as `convert` returns it."""
        if not isinstance(rows, Mapping) or rows.keys() != self.kinds.keys():
            return False
        return all(_is_converted(rows[name], kind) for name, kind in self.kinds.items())

    def to_json(self) -> dict[str, Any]:
        """Return the schema as JSON values: strings, booleans, lists and mappings."""
        return {
            "columns": [
                dataclasses.asdict(column) | {"categories": list(column.categories)} for column in self.columns
            ],
            "target": list(self.target),
            "missing_values": list(self.missing_values),
            "class_names": [list(names) for names in self.class_names],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TableSchema:
        """Return the schema whose JSON values `to_json` returned.

        Args:
            data: The JSON values.

        Raises:
            ValueError: The values are not those of a schema.
        """
        try:
            columns = tuple(
                Column(**{**column, "categories": tuple(column["categories"])}) for column in data["columns"]
            )
            class_names = tuple(map(tuple, data["class_names"]))
            return cls(columns, tuple(data["target"]), tuple(data["missing_values"]), class_names)
        except (KeyError, TypeError) as error:
            problem = f"TableSchema.from_json: expected the JSON values of a schema, received {format_value(data)}"
            raise make_error(ValueError, problem, hint="pass the result of schema.to_json()") from error

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

    def notes(self, table: RawTable, inputs: Mapping[str, np.ndarray]) -> list[str]:
        """Return messages about additional columns and new categories."""
        notes = []
        names = {column.name for column in self.columns} | set(self.target)
        extra = [name for name in table.columns if name not in names]
        if extra:
            notes.append(f"{table.title}: ignored columns that the training data lacks: {listed(extra)}")
        for column in self.used:
            if column.kind == "categorical" and column.categories:
                unseen = sorted(set(inputs[column.input_name].tolist()) - set(column.categories) - {""})
                if unseen:
                    values = listed([repr(value) for value in unseen])
                    notes.append(f"{column.name}: not in the training data, so encoded as unknown: {values}")
        return notes


def _readable(value: Any, kind: str) -> str:
    """Return a value of a converted column as text."""
    item = np.asarray(value).item()
    if isinstance(item, bytes):
        return item.decode("utf-8", "replace")
    if isinstance(item, str):
        return item
    if item == MISSING_DATE or item != item:
        return ""
    if kind == "date":
        return str(np.datetime64(int(item), "s")).removesuffix("T00:00:00").replace("T", " ")
    return str(bool(item)) if kind == "boolean" else f"{item:.4g}"


def convert_column(column: Column, table: RawTable, hint: str = "") -> np.ndarray:
    """Return the values of a column in the form of its kind.

    Args:
        column: The column.
        table: The table that contains it, whose missing values are marked.
        hint: The hint of an error about a value; by default one about the arguments of `from_table`.

    Raises:
        ValueError: A value does not have this kind.
    """
    raw = table.columns[column.name]
    converted = _convert(column, raw, table.allows_decimal_comma)
    if len(converted.failures):
        expected = _EXPECTED[column.kind]
        if column.date_format:
            expected += f" in the format {format_name(column.date_format)}"
        raise mixed_error(column.name, table, converted.failures, expected, hint)
    return converted.values.astype("float32") if converted.values.dtype == np.float64 else converted.values


def _convert(column: Column, raw: RawColumn, allows_decimal_comma: bool) -> Converted:
    if column.kind == "numeric":
        return to_numbers(raw, allows_decimal_comma)
    if column.kind == "boolean":
        return to_booleans(raw)
    return to_dates(raw, column.date_format) if column.kind == "date" else to_strings(raw)


def _is_converted(values: object, kind: str) -> bool:
    if not isinstance(values, np.ndarray) or values.shape[1:] not in ((), (1,)):
        return False
    return values.dtype == _CONVERTED_TYPES[kind] if kind in _CONVERTED_TYPES else values.dtype.kind in "OSU"


def _is_missing(values: np.ndarray) -> np.ndarray:
    """Return which values of a converted column are missing."""
    if values.dtype == object:
        return values == ""
    return np.isnan(values) if values.dtype.kind == "f" else values == np.iinfo(np.int64).min


def listed(names: Sequence[str], limit: int = _MAX_LISTED) -> str:
    """Return the first names of a sequence and the number of the others."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
