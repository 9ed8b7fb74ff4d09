"""Infer the schema of a table: the kind of each column, with the reason for it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from rich.table import Table

from deepkit.data.column_kinds import KINDS, ColumnKind, infer_kind
from deepkit.data.raw_table import RawTable
from deepkit.data.table_schema import Column, TableSchema, listed
from deepkit.utils.errors import did_you_mean, format_value, make_error, message


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
        if column.name not in table.columns:  # the ignored column of another table
            continue
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
        columns = ", ".join(f"{name} ({reason})" for name, reason in reasons.items()) or "there is none"
        problem = f"{table.title}: no column is left as an input of a model: {columns}"
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
    listing = f"did you mean {' or '.join(map(repr, close))}?" if close else f"its columns are {listed(names, 20)}"
    problem = f"{argument}: {table.title} has no column {format_value(name)}; {listing}"
    return make_error(
        ValueError, problem, hint="use the name of a column in the first row of the file, or of the frame"
    )
