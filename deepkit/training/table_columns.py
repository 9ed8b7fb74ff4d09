"""The columns of the training table: they complete a `TableEncoder`, and those of the validation table equal them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from deepkit.blocks.table_encoder import complete_columns, has_open_columns
from deepkit.data import Pipeline
from deepkit.data.table_schema import listed
from deepkit.utils.errors import format_value, make_error

if TYPE_CHECKING:
    from deepkit.data.table_schema import TableSchema
    from deepkit.training.training_data import TrainingData
    from deepkit.utils.types import Dataset


def with_columns(net: Any, data: TrainingData) -> Any:
    """Return a definition whose `TableEncoder` has the columns of the data; others are returned as they are.

    The kinds are those of `dk.data.from_table`; of other data, floats and integers are numeric, strings categorical.

    Raises:
        ValueError: The inputs of the data are not a mapping of columns.
    """
    if not has_open_columns(net):
        return net
    schema = data.columns
    if schema is not None:
        return complete_columns(net, schema.kinds, schema.with_missing_values)
    spec = data.input_spec
    if not isinstance(spec, Mapping) or not all(isinstance(leaf, tf.TensorSpec) for leaf in spec.values()):
        received = format_value(spec) if not isinstance(spec, tf.TensorSpec) else f"examples of shape {spec.shape[1:]}"
        raise make_error(
            ValueError,
            f"data: expected a mapping of columns by name for dk.TableEncoder, received {received}",
            hint='use dk.data.from_table("houses.csv", target="price"), or pass x as {"area": array, ...}',
        )
    arrays = data.arrays()
    columns = arrays if isinstance(arrays, Mapping) else {}
    missing = [name for name, values in columns.items() if _has_nan(values)]
    return complete_columns(net, {name: _kind(leaf.dtype) for name, leaf in spec.items()}, missing)


def check_same_columns(expected: TableSchema | None, batches: Dataset, name: str) -> None:
    """Raise if a table has columns of other kinds than the training table, or targets with other classes.

    Args:
        expected: The schema of the training table; None if the training data is not a table.
        batches: The batches of the other table; other data is not compared.
        name: Name of the argument for messages: "validation_data".

    Raises:
        ValueError: They differ; the message names the column.
    """
    received = batches.columns if isinstance(batches, Pipeline) else None
    if expected is None or received is None:
        return
    problem = _difference(expected, received)
    if problem:
        hint = "pass the schema of the training table to dk.data.from_table: columns=data.columns"
        raise make_error(ValueError, f"{name}: {problem}", hint=hint)


def _difference(expected: TableSchema, received: TableSchema) -> str:
    """Return the first difference between the columns of two tables; empty if there is none."""
    for name, kind in expected.kinds.items():
        other = received.kinds.get(name)
        if other != kind:
            here = "absent or ignored" if other is None else repr(other)
            return f"the column {name!r} is of the kind {kind!r} in the training data, {here} here"
    for name in received.kinds:
        if name not in expected.kinds:
            return f"the column {name!r} is absent or ignored in the training data"
    classes = dict(zip(received.target, received.class_names, strict=False))
    for name, names in zip(expected.target, expected.class_names, strict=False):
        if name in classes and classes[name] != names:
            return (
                f"the classes of the target {name!r} are {_class_list(names)} in the training data, "
                f"{_class_list(classes[name])} here"
            )
    return ""


def _class_list(names: Sequence[str]) -> str:
    return listed([repr(name) for name in names]) or "numbers"


def _kind(dtype: Any) -> str:
    if dtype == tf.string:
        return "categorical"
    return "boolean" if dtype == tf.bool else "numeric"


def _has_nan(values: object) -> bool:
    return isinstance(values, np.ndarray) and values.dtype.kind == "f" and bool(np.isnan(values).any())
