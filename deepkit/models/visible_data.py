"""Examples as the visible units of a Boltzmann machine: their shape, their values, and batches of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.models.checked_data import other_values
from deepkit.utils.errors import format_value, message
from deepkit.utils.lazy_tensorflow import tf

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike, Dataset, Shape, Tensor

GRAY_HINT = 'binarize the values: (x > 0.5).astype("float32")'


def examples_of(data: Any, owner: str) -> Tensor:
    """Return the examples of a batch without its labels.

    Raises:
        ValueError: The batch has weights of examples.
    """
    x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        problem = f"sample_weight: {owner} does not support weights of examples"
        raise ValueError(message(problem, hint="leave sample_weight out"))
    return x


def as_rows(x: Tensor, shape: Shape, owner: str) -> Tensor:
    """Return a batch `(batch, ...)` in float32 as rows `(batch, units)`; an axis of size 1 may be missing or added.

    Raises:
        ValueError: The examples have another shape.
    """
    num_units = math.prod(size for size in shape if size is not None)
    received = tuple(x.shape[1:]) if getattr(x.shape, "rank", 0) is not None else shape
    if _without_ones(received) != _without_ones(shape) and None not in received:
        problem = f"{owner}: expected examples of the shape {shape}, received {received}"
        raise ValueError(message(problem, hint=f"pass data of that shape, or build the model with .build({received})"))
    return ops.reshape(ops.cast(x, "float32"), (-1, num_units))


def _without_ones(shape: Shape) -> tuple[int | None, ...]:
    return tuple(size for size in shape if size != 1)


def example_batches(x: ArrayLike | Dataset, batch_size: int) -> Iterator[np.ndarray]:
    """Yield examples in batches; labels in a dataset are ignored."""
    if isinstance(x, tf.data.Dataset):
        for batch in x:
            yield np.asarray(batch[0] if isinstance(batch, tuple) else batch)
        return
    examples = np.asarray(x)
    for start in range(0, len(examples), batch_size):
        yield examples[start : start + batch_size]


def check_binary(values: np.ndarray, path: str, hint: str = "") -> None:
    """Raise an error if values are not 0 and 1.

    Args:
        values: The values.
        path: Path in the model for the message.
        hint: Another way than to binarize.

    Raises:
        ValueError: A value is neither 0 nor 1.
    """
    if np.all((values == 0) | (values == 1)):
        return
    problem = f"Bernoulli units expect the values 0 and 1, received {other_values(values, (0, 1))}"
    raise ValueError(message(problem, path=path, hint=f"{GRAY_HINT}{hint}"))


def refuse_argument(name: str, value: object, owner: str, reason: str) -> None:
    """Raise an error if an argument of `compile` was passed that the model does not support."""
    if value is None or value == []:
        return
    problem = f"{name}: {owner} has {reason}, received {format_value(value)}"
    raise ValueError(message(problem, hint=f"compile without {name}"))


def check_energy_dtype(dtype: str, owner: str) -> None:
    """Raise an error if weights and energies would have 16 bits.

    Raises:
        ValueError: `dtype` is float16 or bfloat16.
    """
    if dtype in ("float16", "bfloat16"):
        problem = f"{owner}: energies are sums over all units, which need float32, received weights in {dtype}"
        hint = f'use the policy "mixed_{dtype}" or "float32": keras.config.set_dtype_policy("float32")'
        raise ValueError(message(problem, hint=hint))
