"""The arguments of `fit` that define its data, with Keras's names and meaning, and their checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import tensorflow as tf

from deepkit.data import Data
from deepkit.utils.errors import format_value, make_error

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike, Dataset

    ArraysLike: TypeAlias = ArrayLike | Mapping[str, ArrayLike] | Sequence[ArrayLike]
    ValidationLike: TypeAlias = Dataset | ArraysLike | Sequence[ArraysLike | None]
    DataLike: TypeAlias = Data | ValidationLike

_DATA_HINT = "pass x and y as arrays, dk.data.load('mnist'), or a tf.data.Dataset of (x, y)"


@dataclass(frozen=True)
class DataArguments:
    """The arguments of `fit` that define its training and validation data.

    Args:
        x: Inputs, a tuple (x, y) or (x, y, sample_weight), or a dataset.
        y: Labels of the arrays x, or None.
        sample_weight: Weights of the arrays x, or None.
        batch_size: Examples per batch; None for that of the data.
        validation_data: Validation batches or arrays, or None.
    """

    x: DataLike
    y: ArraysLike | None = None
    sample_weight: ArraysLike | None = None
    batch_size: int | None = None
    validation_data: ValidationLike | None = None


class LabeledArrays(NamedTuple):
    """Arrays of examples."""

    x: Any
    y: Any = None
    sample_weight: Any = None


def check_only_x(arguments: DataArguments) -> None:
    """Raise if labels or weights were passed beside a dataset, which contains its own."""
    is_data = isinstance(arguments.x, Data)
    received = "a dk.data Data" if is_data else f"a {type(arguments.x).__name__}"
    for name in ("y", "sample_weight"):
        if getattr(arguments, name) is None:
            continue
        hint = f"leave {name} out, and let the dataset yield (x, y, sample_weight)"
        if is_data:
            hint = "leave y out" if name == "y" else "pass sample_weight to dk.data.from_arrays"
        raise make_error(ValueError, f"{name}: {received} as x contains its labels and weights", hint=hint)


def unpack_arrays(x: object, y: object = None, sample_weight: object = None, *, name: str = "x") -> LabeledArrays:
    """Return the arrays that were passed as x, y and sample_weight, or as a tuple x.

    Args:
        x: Inputs; a tuple is (x,), (x, y) or (x, y, sample_weight) if y is None, else several inputs.
        y: Labels, or None.
        sample_weight: Weights, or None.
        name: Name of the argument in error messages.
    """
    arrays = LabeledArrays(x, y, sample_weight)
    if isinstance(x, tuple) and y is None:
        if not 1 <= len(x) <= 3:
            problem = f"{name}: expected (x, y) or (x, y, sample_weight), received a tuple of {len(x)}"
            raise make_error(TypeError, problem, hint="pass several inputs as a list or a mapping by name")
        arrays = LabeledArrays(*x)
        if sample_weight is not None:
            if arrays.sample_weight is not None:
                problem = f"sample_weight: {name} contains sample weights too"
                raise make_error(ValueError, problem, hint="pass the weights once")
            arrays = arrays._replace(sample_weight=sample_weight)
    _check_array_like(arrays.x, name)
    if arrays.y is not None:
        _check_array_like(arrays.y, "y" if name == "x" else f"{name} y")
    return arrays


def _check_array_like(value: object, name: str) -> None:
    is_text, is_dataset = isinstance(value, str | bytes), isinstance(value, tf.data.Dataset | Data)
    is_structure = isinstance(value, Sequence | Mapping) and not is_text
    if (is_structure or hasattr(value, "shape") or hasattr(value, "__array__")) and not is_dataset:
        return
    received = format_value(value) if is_text or isinstance(value, int | float) else type(value).__name__
    expected = "arrays" if name.endswith("y") else "a dk.data Data, a tf.data.Dataset or arrays"
    raise make_error(TypeError, f"{name}: expected {expected}, received {received}", hint=_DATA_HINT)
