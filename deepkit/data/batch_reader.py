"""`BatchReader`: the batches of a Python object, epoch by epoch, validated against the first ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from deepkit.data.batch_source import BatchSource
from deepkit.data.user_arrays import check_array
from deepkit.utils.errors import format_value, make_error

if TYPE_CHECKING:
    from deepkit.utils.types import Nested

_NUM_FIRST = 2  # batches that are read in advance, as in Keras: axes of different sizes have an unknown size
_TITLES = ("x", "y", "sample_weight")
_END: Any = object()


class BatchReader:
    """Reads the batches of a source, epoch by epoch.

    With `steps`, an epoch consists of the next `steps` batches: the source is read on in the next epoch, and from its
    beginning after its end. Without, an epoch is one iteration over the source.

    Args:
        source: The source.
        name: Name of the argument for error messages: "data" or "validation_data".
        steps: Number of batches in an epoch, or None for one iteration over the source.

    Raises:
        ValueError: There is no batch, or the first batches are invalid.
    """

    def __init__(self, source: BatchSource, name: str, steps: int | None) -> None:
        self.source, self.name = source, name
        self.steps = source.length if steps is None and source.is_single_pass else steps
        self._epoch = self._num_read = 0
        iterator = source.start()
        batches = list(itertools.islice(iterator, min(_NUM_FIRST, self.steps or _NUM_FIRST)))
        if not batches:
            raise self._no_batches()
        first = [self._as_arrays(batch, number) for number, batch in enumerate(batches, start=1)]
        self.first = first[0]
        self.spec = tf.nest.map_structure(_spec, first[0])
        for number, batch in enumerate(first, start=1):
            self._check(batch, number)
            self.spec = tf.nest.map_structure(_with_size_of, self.spec, batch)
        self._iterator: Iterator[Any] | None = None if source.is_indexed else itertools.chain(batches, iterator)

    @property
    def num_batches(self) -> int | None:
        """Number of batches in an epoch, or None if it is unknown."""
        return self.source.length if self.steps is None else self.steps

    def read_epoch(self) -> Iterator[Nested]:
        """Yield the batches of the next epoch as arrays.

        Raises:
            ValueError: A batch differs from the first in structure, dtype or shape, or there are fewer batches than
                the source states or an epoch needs.
        """
        self._epoch += 1
        batches = self._iterate() if self.steps is None else self._next_steps(self.steps)
        for number, batch in enumerate(batches, start=1):
            arrays = self._as_arrays(batch, number)
            self._check(arrays, number)
            yield arrays

    def _iterate(self) -> Iterator[Any]:
        """Yield the batches of one iteration over the source."""
        iterator, self._iterator = self._iterator or self.source.start(), None
        length, count = self.source.length, 0
        for batch in iterator:
            count += 1
            if count == length and next(iterator, _END) is not _END:
                raise self._wrong_length(f"more in epoch {self._epoch}")
            yield batch
        if not count:
            raise self._no_batches()
        if length is not None and count < length:
            raise self._wrong_length(f"{count:,} in epoch {self._epoch}")

    def _next_steps(self, steps: int) -> Iterator[Any]:
        """Yield the next batches of the source; start again after its end."""
        for step in range(steps):
            batch = _END if self._iterator is None else next(self._iterator, _END)
            if batch is _END:
                self._iterator = self._restart(step, steps)
                batch = next(self._iterator, _END)
            if batch is _END:
                raise self._no_batches()
            self._num_read += 1
            yield batch

    def _restart(self, step: int, steps: int) -> Iterator[Any]:
        if not self.source.is_single_pass:
            return self.source.start()
        problem = (
            f"{self.name}: {self.source.description} ended after {self._num_read:,} batches, in epoch {self._epoch} of "
            f"{steps:,} batches"
        )
        if step == 0:
            problem = (
                f"{self.name}: {self.source.description} can be read only once, and ended after {self._num_read:,} "
                f"batches, before epoch {self._epoch}"
            )
        hint = (
            "pass a function that returns a new generator, such as the generator function itself, or loop with "
            "`while True` in the generator"
        )
        raise make_error(ValueError, problem, hint=hint)

    def _wrong_length(self, received: str) -> Exception:
        hint = "return the number of batches, not of examples, from __len__, or pass steps_per_epoch="
        problem = f"{self.name}: {self.source.description} states {self.source.length:,} batches, and has {received}"
        return make_error(ValueError, problem, hint=hint)

    def _no_batches(self) -> Exception:
        problem = f"{self.name}: {self.source.description} has no batch"
        hint = "return at least one batch"
        if self._epoch:
            problem += f" in epoch {self._epoch}"
            hint = "return a new iterator at each call"
        return make_error(ValueError, problem, hint=hint)

    def _as_arrays(self, batch: object, number: int) -> Nested:
        """Return a batch as arrays: x, (x,), (x, y) or (x, y, sample_weight)."""
        if not isinstance(batch, tuple | list):
            return self._array("x", batch, number)
        parts = list(batch)
        while len(parts) > 1 and parts[-1] is None:
            parts.pop()
        if not 1 <= len(parts) <= 3 or any(part is None for part in parts):
            received = format_value(batch) if any(part is None for part in parts) else f"{len(batch)} elements"
            expected = "expected batches x, (x, y) or (x, y, sample_weight)"
            hint = "return several inputs as a mapping by name: ({'a': a, 'b': b}, y)"
            problem = f"{self.name}: {expected}, received {received} in batch {number}"
            raise make_error(ValueError, problem, hint=hint)
        arrays = tuple(self._array(title, part, number) for title, part in zip(_TITLES, parts, strict=False))
        sizes = [len(array) for array in tf.nest.flatten(arrays)]
        if len(set(sizes)) > 1:
            shapes = ", ".join(str(array.shape) for array in tf.nest.flatten(arrays))
            problem = f"{self.name}: batch {number} has arrays of different lengths, their shapes are {shapes}"
            raise make_error(ValueError, problem, hint=self.source.batch_hint)
        return arrays

    def _array(self, title: str, value: Any, number: int) -> Any:
        """Return a part of a batch as arrays with a batch axis."""
        if isinstance(value, Mapping):
            return {key: self._array(f"{title}[{key!r}]", item, number) for key, item in value.items()}
        if isinstance(value, tuple | list) and value and getattr(value[0], "shape", ()):
            return tuple(self._array(f"{title}[{i}]", item, number) for i, item in enumerate(value))
        if isinstance(value, int | float | str | bytes) or getattr(value, "shape", None) == ():
            problem = f"{self.name}: {title} of batch {number} has no batch axis, received {format_value(value)}"
            raise make_error(ValueError, problem, hint=self.source.batch_hint)
        array = check_array(value, f"{self.name}: {title} of batch {number}")
        if not len(array):
            problem = f"{self.name}: {title} of batch {number} has no examples, its shape is {array.shape}"
            raise make_error(ValueError, problem, hint="leave out empty batches")
        if array.dtype.kind == "U":
            array = np.char.encode(array, "utf-8")
        return array.astype(object) if array.dtype.kind == "S" else array

    def _check(self, batch: Any, number: int) -> None:
        """Raise if a batch differs from the first ones in structure, dtype or shape."""
        label = f"batch {number} of epoch {self._epoch}" if self._epoch else f"batch {number}"
        try:
            tf.nest.assert_same_structure(self.spec, batch)
        except (TypeError, ValueError) as error:
            problem = (
                f"{self.name}: expected the structure of the first batch, {format_value(self.first)}, in {label}, "
                f"received {format_value(batch)}"
            )
            raise make_error(ValueError, problem, hint="return the same inputs and labels in every batch") from error
        for path, spec, array in zip(_paths(batch), tf.nest.flatten(self.spec), tf.nest.flatten(batch), strict=True):
            received = f"{path} of {label} has the shape {array.shape} and the dtype {_dtype(array).name}"
            shape = ", ".join(["batch", *("any" if size is None else str(size) for size in spec.shape[1:])])
            expected = f"expected ({shape}{',' if len(spec.shape) == 1 else ''}) and {spec.dtype.name}, as in the first"
            if _dtype(array) != spec.dtype:
                hint = f"return one dtype in all batches, for example with astype({spec.dtype.name!r})"
                raise make_error(ValueError, f"{self.name}: {received}, {expected}", hint=hint)
            if array.ndim != spec.shape.rank or not (
                self._is_first(number) or spec.shape.is_compatible_with(array.shape)
            ):
                hint = (
                    "return one shape in all batches: pad or crop the examples, or add a missing axis with [..., None]"
                )
                raise make_error(ValueError, f"{self.name}: {received}, {expected}", hint=hint)

    def _is_first(self, number: int) -> bool:
        """Return whether a batch is one of those that determine the spec."""
        return not self._epoch and number <= _NUM_FIRST


def _dtype(array: np.ndarray) -> tf.DType:
    return tf.string if array.dtype == object else tf.as_dtype(array.dtype)


def _spec(array: np.ndarray) -> tf.TensorSpec:
    return tf.TensorSpec((None, *array.shape[1:]), _dtype(array))


def _with_size_of(spec: tf.TensorSpec, array: np.ndarray) -> tf.TensorSpec:
    """Return a spec with unknown sizes where an array has another size."""
    sizes = (size if size == length else None for size, length in zip(spec.shape, array.shape, strict=True))
    return tf.TensorSpec(tuple(sizes), spec.dtype)


def _paths(batch: Any) -> list[str]:
    """Return a name for each array of a batch, in flat order: "x", "y['a']"."""
    parts = batch if isinstance(batch, tuple) else (batch,)
    return [path for title, part in zip(_TITLES, parts, strict=False) for path in _part_paths(part, title)]


def _part_paths(part: Any, title: str) -> list[str]:
    if isinstance(part, Mapping):
        return [path for key in sorted(part) for path in _part_paths(part[key], f"{title}[{key!r}]")]
    if isinstance(part, tuple):
        return [path for i, item in enumerate(part) for path in _part_paths(item, f"{title}[{i}]")]
    return [title]
