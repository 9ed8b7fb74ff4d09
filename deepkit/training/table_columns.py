"""The columns of a definition's `TableEncoder`, completed by those of the training data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from deepkit.blocks.table_encoder import complete_columns, has_open_columns
from deepkit.utils.errors import format_value, make_error

if TYPE_CHECKING:
    from deepkit.training.training_data import TrainingData


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


def _kind(dtype: Any) -> str:
    if dtype == tf.string:
        return "categorical"
    return "boolean" if dtype == tf.bool else "numeric"


def _has_nan(values: object) -> bool:
    return isinstance(values, np.ndarray) and values.dtype.kind == "f" and bool(np.isnan(values).any())
