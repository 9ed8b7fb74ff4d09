"""`as_dataset`: `keras.utils.PyDataset`, generators, iterables and PyTorch `DataLoader`s as a `tf.data.Dataset`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from deepkit.data.batch_reader import BatchReader
from deepkit.data.batch_source import BatchSource, is_batch_iterable, open_source
from deepkit.data.source_errors import SourceError
from deepkit.data.wrapped_dataset import WrappedDataset
from deepkit.utils.errors import make_error

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset

__all__ = ["IterableBatches", "as_dataset", "is_batch_iterable"]

_PREFETCH = 2  # batches that are prepared during a training step


class IterableBatches(WrappedDataset):
    """The batches of a Python object: each iteration is one epoch.

    Errors of the object are raised by `deepkit.data.source_errors.original_errors`.

    Args:
        reader: The reader of the batches.
    """

    def __init__(self, reader: BatchReader) -> None:
        self._reader = reader
        dataset = tf.data.Dataset.from_generator(self._read_epoch, output_signature=reader.spec)
        if reader.num_batches is not None:
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(reader.num_batches))
        super().__init__(dataset.prefetch(_PREFETCH))

    @property
    def description(self) -> str:
        """A text that names the object: "the generator"."""
        return self._reader.source.description

    @property
    def is_single_pass(self) -> bool:
        """Whether the batches can be read only once."""
        return self._reader.source.is_single_pass

    @property
    def py_dataset(self) -> keras.utils.PyDataset | None:
        """The `keras.utils.PyDataset` that yields the batches, or None."""
        return self._reader.source.py_dataset

    @property
    def first_batch(self) -> Dataset:
        """A dataset of the first batch only, which does not read the object again."""
        return tf.data.Dataset.from_generator(lambda: iter([self._reader.first]), output_signature=self.element_spec)

    @property
    def notes(self) -> tuple[str, ...]:
        """Messages for the user."""
        return _notes(self._reader.source)

    def _read_epoch(self) -> Iterator[Any]:
        try:
            yield from self._reader.read_epoch()
        except Exception as error:
            raise SourceError(error) from error


def as_dataset(value: object, name: str, steps: int | None = None, *, reads_once: bool = False) -> IterableBatches:
    """Return the batches of a Python object as a dataset, of which each iteration is one epoch.

    The first two batches are read at once, to determine structure, shapes and dtypes, and no batch is lost. Lists and
    float64 become arrays of float32.

    Args:
        value: A `keras.utils.PyDataset`, a generator, a function that returns one, an iterable of batches, or a
            PyTorch `DataLoader`. A batch is x, (x,), (x, y) or (x, y, sample_weight).
        name: Name of the argument for error messages: "data" or "validation_data".
        steps: Number of batches in an epoch, or None for one iteration over the object.
        reads_once: Whether the caller reads one epoch only, so that a generator may end at any batch.

    Raises:
        TypeError: The object does not yield batches.
        ValueError: A generator has no stated length, there is no batch, or the first batches are invalid.

    Examples:
        >>> import numpy as np
        >>> batches = as_dataset(
        ...     lambda: ((np.ones((2, 3)), np.zeros(2)) for _ in range(4)), "data"
        ... )
        >>> sum(1 for _ in batches), sum(1 for _ in batches)
        (4, 4)
    """
    source = open_source(value, name)
    is_infinite = source.py_dataset is not None and source.length is None
    if steps is None and source.length is None and ((source.is_single_pass and not reads_once) or is_infinite):
        argument = "validation_steps" if name == "validation_data" else "steps_per_epoch"
        problem = f"{name}: {source.description} does not state its number of batches"
        hint = f"pass {argument}=, the number of batches in an epoch"
        if not is_infinite:
            hint += ", or a function that returns a new generator for each epoch"
        raise make_error(ValueError, problem, hint=hint)
    return IterableBatches(BatchReader(source, name, steps))


def _notes(source: BatchSource) -> tuple[str, ...]:
    dataset = source.py_dataset
    if dataset is None:
        return ()
    notes = []
    hooks = (type(dataset).on_epoch_begin, type(dataset).on_epoch_end)
    if hooks == (keras.utils.PyDataset.on_epoch_begin, keras.utils.PyDataset.on_epoch_end):
        notes.append(f"data: the batches of {source.description} are read in its order; shuffle them in on_epoch_end()")
    if dataset.use_multiprocessing:
        notes.append(f"data: {source.description} is read by {max(1, dataset.workers)} threads instead of processes")
    return tuple(notes)
