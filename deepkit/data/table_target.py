"""The targets of a table: classes or numbers, decided by their values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from deepkit.data.column_values import to_numbers, to_strings
from deepkit.data.raw_table import RawColumn, RawTable
from deepkit.data.schema_inference import absent_error
from deepkit.data.table_schema import TableSchema
from deepkit.utils.errors import format_value, make_error, message
from deepkit.utils.validation import check_choice

TASKS = ("classification", "regression")
_MAX_INTEGER_CLASSES = 20
_ROWS_PER_INTEGER_CLASS = 5
_MAX_NAMES = 10  # class names that a message lists


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """A target column as labels.

    Args:
        name: Name of the column.
        labels: Class indices in int32, or numbers in float32.
        class_names: Names of the classes in the order of the labels; empty for regression.
        reason: Why the target is classified or predicted as a number.
    """

    name: str
    labels: np.ndarray
    class_names: tuple[str, ...]
    reason: str

    @property
    def task(self) -> str:
        """The task: "classification" or "regression"."""
        return TASKS[0] if self.class_names else TASKS[1]

    def describe(self) -> str:
        """Return one line about the target, for the user."""
        text = f"target {self.name}: {self.task}, {self.reason}"
        if not self.class_names:
            return text
        names = ", ".join(repr(name) for name in self.class_names[:_MAX_NAMES])
        more = ", ..." if len(self.class_names) > _MAX_NAMES else ""
        return (
            f"{text}; {len(self.class_names):,} classes with the labels 0 to {len(self.class_names) - 1}: {names}{more}"
        )


def target_names(target: object) -> dict[str, str]:
    """Return the columns of a `target` argument by name of the output.

    Raises:
        TypeError: The target is not a name, a list of names, a mapping of names, or None.
        ValueError: A name occurs twice, or there is none.
    """
    if target is None:
        return {}
    names: dict[Any, Any]
    if isinstance(target, str):
        names = {target: target}
    elif isinstance(target, Mapping):
        names = dict(target)
    elif isinstance(target, list | tuple):
        names = {name if isinstance(name, str) else i: name for i, name in enumerate(target)}
        if len(names) < len(target):
            raise make_error(ValueError, f"target: a column occurs twice in {format_value(target)}", hint="use it once")
    else:
        names = {0: target}
    if not all(isinstance(name, str) for pair in names.items() for name in pair):
        problem = (
            "target must be the name of a column, a list of names, or a mapping of outputs to names, received "
            f"{format_value(target)}"
        )
        raise make_error(TypeError, problem, hint='pass target="price", or target=None if there is no target')
    if not names:
        problem = f"target must have at least one column, received {format_value(target)}"
        raise make_error(ValueError, problem, hint="pass target=None if there is no target")
    return names


def read_targets(
    table: RawTable,
    names: Mapping[str, str],
    task: str | Mapping[str, str] | None,
    schema: TableSchema | None = None,
) -> dict[str, Target]:
    """Return the targets by name of the output.

    Args:
        table: The table, whose missing values are marked.
        names: The columns by name of the output.
        task: "classification" or "regression", for all or by name of the output; None to decide by the values.
        schema: The schema with the classes of the targets; None to read them from the table.

    Raises:
        ValueError: A column is absent, or its values are missing or do not fit the task or the schema.
    """
    class_names = {} if schema is None else dict(zip(schema.target, schema.class_names, strict=False))
    tasks = dict(task) if isinstance(task, Mapping) else dict.fromkeys(names, task)
    for output, value in tasks.items():
        if output not in names:
            problem = f"task: there is no target {format_value(output)}; the targets are {', '.join(names)}"
            raise make_error(ValueError, problem, hint="name the targets like target=")
        if value is not None:
            check_choice(value, "task", TASKS)
    targets = {}
    for output, name in names.items():
        if name not in table.columns:
            raise absent_error(name, table, "target")
        if schema is None:
            targets[output] = _read_target(name, table, tasks.get(output))
        else:
            targets[output] = _read_target_of_schema(name, table, class_names)
    return targets


def join_labels(targets: Mapping[str, Target], is_mapping: bool) -> Any:
    """Return the labels: an array `(n,)`, numbers `(n, targets)`, or a mapping by name of the output."""
    if not is_mapping and len(targets) == 1:
        return next(iter(targets.values())).labels
    if not is_mapping and all(target.task == "regression" for target in targets.values()):
        return np.stack([target.labels for target in targets.values()], axis=1)
    return {output: target.labels for output, target in targets.items()}


def _read_target(name: str, table: RawTable, task: str | None) -> Target:
    column = table.columns[name]
    _check_present(name, table)
    if task is None:
        task, reason = _infer_task(name, table, column)
    else:
        reason = "chosen by task="
    return (
        _regression(name, table, column, reason)
        if task == "regression"
        else _classification(name, table, column, reason)
    )


def _read_target_of_schema(name: str, table: RawTable, class_names: Mapping[str, tuple[str, ...]]) -> Target:
    """Return a target whose classes are those of another table."""
    if name not in class_names:
        problem = f"target: the schema has {_target_list(class_names)}, received {name!r}"
        raise make_error(ValueError, problem, hint="pass the target of the table from which the schema is")
    _check_present(name, table)
    column, names, reason = table.columns[name], class_names[name], "as in the schema"
    if not names:
        return _regression(name, table, column, reason)
    index = {value: i for i, value in enumerate(names)}
    values = to_strings(column).values
    for row, value in enumerate(values):
        if value not in index:
            expected = ", ".join(map(repr, names[:_MAX_NAMES])) + (", ..." if len(names) > _MAX_NAMES else "")
            problem = (
                f"{table.title}: {table.position(row)} of the target {name!r} has the class {value!r}, expected a "
                f"class of the schema: {expected}"
            )
            raise make_error(ValueError, problem, hint="remove the row, or add such rows to the training table")
    return Target(name, np.fromiter((index[value] for value in values), "int32", len(values)), names, reason)


def _target_list(names: Mapping[str, object]) -> str:
    return f"the target {', '.join(map(repr, names))}" if names else "no target"


def _check_present(name: str, table: RawTable) -> None:
    """Raise if a target is missing in a row."""
    column = table.columns[name]
    if column.num_missing:
        row = int(np.flatnonzero(column.is_missing)[0])
        problem = (
            f"{table.title}: the target {name!r} is missing in {column.num_missing:,} of {table.num_rows:,} rows, "
            f"first in {table.position(row)}"
        )
        raise make_error(ValueError, problem, hint="remove these rows, or predict them later with the trained model")


def _infer_task(name: str, table: RawTable, column: RawColumn) -> tuple[str, str]:
    if column.is_categorical or column.values.dtype.kind == "b" or column.types() == {bool}:
        return TASKS[0], "its values are categories" if column.is_categorical else "its values are booleans"
    converted = to_numbers(column, table.allows_decimal_comma)
    if len(converted.failures) == len(converted.values):
        if column.values.dtype.kind == "M":
            problem = f"{table.title}: the target {name!r} holds dates, expected classes or numbers"
            raise make_error(ValueError, problem, hint="convert the dates to numbers, such as days")
        return TASKS[0], "its values are text"
    if len(converted.failures):
        row = int(converted.failures[0])
        problem = (
            f"{table.title}: the target {name!r} holds numbers, but {table.position(row)} has "
            f"{format_value(column.values[row])}"
        )
        raise make_error(ValueError, problem, hint='correct the value, or pass task="classification"')
    if not _are_integers(column):
        return TASKS[1], "its values are numbers with a fraction"
    num_distinct = len(np.unique(converted.values))
    are_classes = num_distinct <= 2 or (
        num_distinct <= _MAX_INTEGER_CLASSES and num_distinct * _ROWS_PER_INTEGER_CLASS <= table.num_rows
    )
    reason = f"it has {num_distinct:,} distinct integers in {table.num_rows:,} rows"
    other = TASKS[1] if are_classes else TASKS[0]
    return (TASKS[0] if are_classes else TASKS[1]), f'{reason} (task="{other}" for the other)'


def _regression(name: str, table: RawTable, column: RawColumn, reason: str) -> Target:
    converted = to_numbers(column, table.allows_decimal_comma)
    if len(converted.failures):
        row = int(converted.failures[0])
        value = format_value(column.values[row])
        problem = (
            f"{table.title}: regression needs numbers, and {table.position(row)} of the target {name!r} has {value}"
        )
        raise make_error(ValueError, problem, hint='correct the value, or pass task="classification"')
    return Target(name, converted.values.astype("float32"), (), reason)


def _classification(name: str, table: RawTable, column: RawColumn, reason: str) -> Target:
    values = to_strings(column).values
    numbers = to_numbers(column)
    distinct: list[str] = sorted(set(values.tolist()))
    if not len(numbers.failures):  # 10 comes after 9
        order = dict(zip(values.tolist(), numbers.values.tolist(), strict=True))
        distinct.sort(key=lambda value: order[value])
    if len(distinct) == 1:
        problem = f"{table.title}: every value of the target {name!r} is {distinct[0]!r}, expected two classes or more"
        raise ValueError(message(problem, hint="use a table with examples of other classes"))
    if len(distinct) > max(2, table.num_rows // 2):
        problem = (
            f"{table.title}: the target {name!r} has {len(distinct):,} distinct values in {table.num_rows:,} rows, "
            f"such as {distinct[0]!r}; most classes would have one example"
        )
        hint = "use a column with few distinct values" + ("" if len(numbers.failures) else ', or task="regression"')
        raise ValueError(message(problem, hint=hint))
    index = {value: i for i, value in enumerate(distinct)}
    labels = np.fromiter((index[value] for value in values), "int32", len(values))
    return Target(name, labels, tuple(distinct), reason)


def _are_integers(column: RawColumn) -> bool:
    if column.values.dtype.kind in "iu":
        return True
    if column.values.dtype.kind == "f":
        return False
    return all(str(value).lstrip("+-").isdigit() for value in column.values)
