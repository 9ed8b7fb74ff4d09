"""`from_table`: build pipelines from a CSV file, a data frame, or columns in memory."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from deepkit.data.dataset import Data, RawData, build_data
from deepkit.data.pipeline_settings import PipelineSettings, check_batch_size, check_seed
from deepkit.data.raw_table import RawTable
from deepkit.data.schema_inference import absent_error, describe_schema, infer_schema
from deepkit.data.sources import MemorySource
from deepkit.data.table_schema import MISSING_VALUES, Column, TableSchema, convert_column
from deepkit.data.table_source import read_table
from deepkit.data.table_split import split_at_random, split_by_time
from deepkit.data.table_target import Target, join_labels, read_targets, target_names
from deepkit.utils import console as _console
from deepkit.utils.errors import format_value, make_error, message
from deepkit.utils.validation import check_choice, check_flag

_CORRELATED = 0.99999  # a column with this correlation determines the target


def from_table(
    table: Any,
    *,
    target: str | Sequence[str] | Mapping[str, str] | None,
    validation: float = 0.0,
    test: float = 0.0,
    split: str = "random",
    time_column: str | None = None,
    columns: Mapping[str, str] | TableSchema | None = None,
    task: str | Mapping[str, str] | None = None,
    missing_values: Sequence[str] = MISSING_VALUES,
    batch_size: int = 32,
    seed: int = 0,
    shuffle: bool = True,
    delimiter: str | None = None,
    encoding: str | None = None,
    name: str | None = None,
    verbose: bool = True,
) -> Data:
    """Build pipelines from a table: a CSV file, a pandas DataFrame, or columns in memory.

    The kind of each column is inferred and printed with the reason. The pipelines yield a mapping of columns,
    which `dk.TableEncoder` encodes as the first element of a definition, or which is the input of a `dk.Functional`.
    `data.columns.convert(rows)` converts further rows to such a mapping. The table is not changed.

    - numeric: numbers; in a file whose delimiter is not a comma, also with a decimal comma.
    - categorical: strings with few distinct values, or numbers with leading zeros such as "01234".
    - boolean: booleans, or pairs such as "yes" and "no".
    - text: strings of several words.
    - date: YYYY-MM-DD, DD.MM.YYYY, DD/MM/YYYY or MM/DD/YYYY, with or without a time.
    - ignore: one value only, missing values only, row numbers, and identifiers.

    Args:
        table: The path of a CSV file with a header, a data frame, a mapping of columns, or a list of rows as mappings.
        target: The name of the target column. A list of names: the labels are one array `(n, targets)` if all are
            numbers, else a mapping by name. A mapping of names of outputs to columns, for several heads. None for
            rows without labels.
        validation: Fraction or number of rows for validation.
        test: Fraction or number of rows for the test split.
        split: "random", with equal fractions of each class and dependent on the order of the rows and `seed` only; or
            "time", which takes the last rows for test and those before them for validation.
        time_column: The column of dates or numbers by which `split="time"` sorts; None for the only column of dates.
        columns: Kinds by name that replace the inferred ones, such as `{"zip": "categorical", "id": "ignore"}`; a
            format such as "%d/%m/%Y" stands for dates. Or the `columns` of another `Data`, whose kinds, classes and
            strings for missing values this table has too: a separate file of test rows.
        task: "classification" or "regression", or a mapping by output. By default text, booleans, categories and few
            distinct integers are classes, and other numbers are regression targets.
        missing_values: The strings that mark a missing value.
        batch_size: Number of rows in a batch.
        seed: Seed of the split and of the order.
        shuffle: Whether to shuffle the training rows anew in each epoch.
        delimiter: Delimiter of a file; None to detect one of comma, semicolon, tab and vertical bar.
        encoding: Encoding of a file; None for UTF-8 or that of a byte order mark.
        name: Name of the data; by default that of the file.
        verbose: Whether to print the kinds of the columns, the target and the splits.

    Returns:
        A `Data`, whose `columns` is a `TableSchema`. Class names are sorted, and the labels are their positions.

    Raises:
        DataError: A file cannot be read.
        TypeError: The table or an argument has an unsupported type.
        ValueError: The table is malformed, the target is absent or missing in a row, values of a column are mixed, or
            an argument is out of range; the message names the line and the column.

    Examples:
        >>> import deepkit as dk
        >>> houses = {
        ...     "area": [50.0, 80.0, 120.0, 75.0],
        ...     "city": ["Oslo", "Rome", "Oslo", None],
        ... }
        >>> houses["price"] = [210.5, 250.0, 400.5, 199.0]
        >>> data = dk.data.from_table(
        ...     houses, target="price", validation=1, verbose=False
        ... )
        >>> data.summary(), data.columns.kinds
        ('table: 3 train, 1 validation', {'area': 'numeric', 'city': 'categorical'})
    """
    settings = PipelineSettings(check_batch_size(batch_size), check_seed(seed))
    check_choice(split, "split", ("random", "time"))
    check_flag(shuffle, "shuffle")
    names = target_names(target)
    stored = columns if isinstance(columns, TableSchema) else None
    if stored is not None:
        _check_no_effect(task, missing_values)
    markers = _check_markers(missing_values if stored is None else stored.missing_values)
    source = read_table(table, delimiter, encoding).with_missing(frozenset(markers))
    targets = read_targets(source, names, task, stored)
    schema, reasons = _choose_schema(source, columns, list(names.values()), markers)
    inputs = schema.convert_table(source, "" if stored is None else "correct the value")
    rows, time_name = _split_rows(source, schema, targets, split, time_column, (validation, test), settings.seed)
    if stored is None:
        schema = schema.for_training_rows({key: values[rows["train"]] for key, values in inputs.items()})
        schema = dataclasses.replace(schema, class_names=tuple(target.class_names for target in targets.values()))
    element = (inputs, join_labels(targets, isinstance(target, Mapping))) if targets else inputs
    class_names = _class_names(targets, isinstance(target, Mapping))
    raw = RawData(
        name=name or (Path(source.title).stem if source.lines is not None else "table"),
        version="",
        source="table",
        origin=_origin(table, schema),
        sources={key: MemorySource(_take(element, index)) for key, index in rows.items()},
        rescale=False,
        num_classes=len(class_names) if isinstance(class_names, tuple) and class_names else None,
        class_names=class_names,
        columns=schema,
    )
    data = build_data(raw, settings, shuffle=bool(shuffle))
    if verbose:
        _print(data, schema, reasons, source, targets, time_name)
        for text in [*_leaks(inputs, schema, targets), *(schema.notes(source, inputs) if stored is not None else ())]:
            _console.echo(text)
    return data


def _choose_schema(
    table: RawTable, columns: object, target: Sequence[str], markers: tuple[str, ...]
) -> tuple[TableSchema, dict[str, str]]:
    """Return the schema that was passed as `columns`, or infer it; and the reason for the kind of each column."""
    if not isinstance(columns, TableSchema):
        return infer_schema(table, _check_columns(columns), target, markers)
    columns.check_columns(table)
    return columns, {column.name: "as in the schema" for column in columns.columns}


def _split_rows(
    table: RawTable,
    schema: TableSchema,
    targets: Mapping[str, Target],
    split: str,
    time_column: str | None,
    sizes: tuple[float, float],
    seed: int,
) -> tuple[dict[str, np.ndarray], str]:
    """Return the rows of each split, and the name of the column by which they are sorted; empty if they are not.

    Args:
        table: The table.
        schema: Its schema.
        targets: Its targets.
        split: "random" or "time".
        time_column: The column by which to sort, or None.
        sizes: Fractions or numbers of rows for validation and test.
        seed: Seed of a random split.
    """
    validation, test = sizes
    if split == "time":
        times, time_name = _times(table, schema, time_column)
        return split_by_time(times, validation, test), time_name
    if time_column is not None:
        raise make_error(
            ValueError, f'time_column={time_column!r} has no effect with split="random"', hint='pass split="time"'
        )
    single = next(iter(targets.values())) if len(targets) == 1 else None
    classes = single.labels if single and single.class_names else None
    return split_at_random(table.num_rows, classes, single.class_names if single else (), validation, test, seed), ""


def _check_no_effect(task: object, missing_values: object) -> None:
    """Raise if arguments were passed whose values a schema contains."""
    for name, value, default in (("task", task, None), ("missing_values", missing_values, MISSING_VALUES)):
        if value != default:
            problem = f"{name}={format_value(value)} has no effect with a TableSchema as columns, which contains it"
            raise make_error(ValueError, problem, hint=f"leave {name}= out")


def _check_columns(columns: object) -> dict[str, str]:
    if columns is None:
        return {}
    if not isinstance(columns, Mapping):
        problem = f"columns must be a mapping of names to kinds or a TableSchema, received {format_value(columns)}"
        raise make_error(TypeError, problem, hint='pass columns={"zip": "categorical"}, or columns=data.columns')
    return dict(columns)


def _check_markers(markers: object) -> tuple[str, ...]:
    if isinstance(markers, list | tuple | set | frozenset) and all(isinstance(marker, str) for marker in markers):
        return tuple(sorted(marker.strip() for marker in markers))
    problem = f"missing_values must be a list of strings, received {format_value(markers)}"
    raise make_error(TypeError, problem, hint='pass missing_values=["", "NA", "unknown"]')


def _times(table: RawTable, schema: TableSchema, time_column: object) -> tuple[np.ndarray, str]:
    """Return the values by which to sort, and the name of their column."""
    dates = [column.name for column in schema.columns if column.kind == "date"]
    if time_column is None:
        if len(dates) != 1:
            listed = f"{len(dates)} columns of dates: {', '.join(dates)}" if dates else "no column of dates"
            problem = f'split="time": {table.title} has {listed}'
            raise make_error(ValueError, problem, hint='pass time_column="..."')
        time_column = dates[0]
    if not isinstance(time_column, str) or time_column not in table.columns:
        raise absent_error(time_column, table, "time_column")
    columns = {column.name: column for column in schema.columns}
    column = columns.get(time_column, Column(time_column, "numeric"))  # a target has no column
    if column.kind not in ("date", "numeric"):
        column = Column(time_column, "numeric")  # such as row numbers, which are ignored
    values = convert_column(column, table)
    missing = table.columns[time_column].is_missing
    if missing.any():
        row = int(np.flatnonzero(missing)[0])
        problem = (
            f"{table.title}: the time {time_column!r} is missing in {int(missing.sum()):,} rows, first in "
            f"{table.position(row)}"
        )
        raise ValueError(message(problem, hint='remove these rows, or pass split="random"'))
    return values, time_column


def _take(element: Any, rows: np.ndarray) -> Any:
    return tf.nest.map_structure(lambda array: array[rows], element)


def _origin(table: object, schema: TableSchema) -> str:
    """Return a description of the source, for the report."""
    source = f"file {os.fspath(table)}" if isinstance(table, str | os.PathLike) else "in memory"
    counts: dict[str, int] = {}
    for kind in schema.kinds.values():
        counts[kind] = counts.get(kind, 0) + 1
    return f"{source}; columns: {', '.join(f'{count} {kind}' for kind, count in counts.items())}"


def _class_names(targets: Mapping[str, Target], is_mapping: bool) -> Any:
    """Return the class names of a single target, or by name of the output."""
    if len(targets) == 1 and not is_mapping:
        return next(iter(targets.values())).class_names
    names = {output: target.class_names for output, target in targets.items() if target.class_names}
    return names or ()


def _print(
    data: Data,
    schema: TableSchema,
    reasons: Mapping[str, str],
    table: RawTable,
    targets: Mapping[str, Target],
    time_name: str,
) -> None:
    details = "".join(f", {text}" for text in table.details)
    _console.echo(f"{table.title}: {table.num_rows:,} rows, {len(table.columns):,} columns{details}")
    _console.console().print(describe_schema(schema, reasons, table))
    for target in targets.values():
        _console.echo(target.describe())
    if time_name:
        _console.echo(f"split by time: the rows are sorted by {time_name}")
    _console.echo(data.describe())


def _leaks(inputs: Mapping[str, np.ndarray], schema: TableSchema, targets: Mapping[str, Target]) -> list[str]:
    """Return a message for each column that determines a target, and may not be available at prediction."""
    notes = []
    for target in targets.values():
        for column in schema.used:
            if _determines(inputs[column.input_name], column.kind, target):
                notes.append(
                    f"{column.name} determines the target {target.name} exactly: pass columns={{{column.name!r}: "
                    '"ignore"} if it is not known in advance'
                )
    return notes


def _determines(values: np.ndarray, kind: str, target: Target) -> bool:
    if kind in ("text", "date") or len(values) < 3:
        return False
    if not target.class_names:
        present = ~np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
        x, y = values[present].astype("float64"), target.labels[present].astype("float64")
        if len(x) < 3 or x.std() == 0 or y.std() == 0:
            return False
        return abs(float(np.corrcoef(x, y)[0, 1])) > _CORRELATED
    pairs = set(zip(values.tolist(), target.labels.tolist(), strict=True))
    num_values = len({value for value, _ in pairs})
    return len(pairs) == num_values == len(target.class_names)
