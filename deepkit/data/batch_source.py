"""Python objects that yield batches: `keras.utils.PyDataset`, generators, iterables and PyTorch `DataLoader`s."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import keras

from deepkit.utils.errors import format_value, make_error

_FUNCTION_HINT = "pass a function without arguments that returns a new generator, such as the generator function itself"


@dataclass(frozen=True)
class BatchSource:
    """An object that yields batches.

    Args:
        description: A text that names the object: "the generator".
        start: Function that returns an iterator over the batches.
        length: Number of batches that the object states, or None.
        is_single_pass: Whether its batches can be read only once.
        is_indexed: Whether the batches have an index, so that reading some of them twice changes nothing.
        batch_hint: How to change the object so that it yields batches instead of examples.
        py_dataset: The `keras.utils.PyDataset` whose methods `on_epoch_begin` and `on_epoch_end` are called, or None.
    """

    description: str
    start: Callable[[], Iterator[Any]]
    length: int | None = None
    is_single_pass: bool = False
    is_indexed: bool = False
    batch_hint: str = "yield whole batches, such as (x[i : i + 32], y[i : i + 32])"
    py_dataset: keras.utils.PyDataset | None = None


def is_batch_iterable(value: object) -> bool:
    """Return whether a value is an object that yields batches: an iterable without a shape, or a function.

    Arrays, tables, sequences, mappings and datasets of TensorFlow are not.

    Examples:
        >>> is_batch_iterable(iter([1, 2])), is_batch_iterable([1, 2])
        (True, False)
    """
    if isinstance(value, keras.utils.PyDataset) or _is_torch_dataset(value):
        return True
    if inspect.isroutine(value) or isinstance(value, functools.partial):
        return True
    if isinstance(value, type | Mapping | Sequence | set | frozenset):
        return False
    is_array = any(hasattr(value, name) for name in ("shape", "element_spec", "__array__", "to_numpy", "columns"))
    return isinstance(value, Iterable) and not is_array


def open_source(value: Any, name: str) -> BatchSource:
    """Return the source of an object for which `is_batch_iterable` is True.

    Args:
        value: The object.
        name: Name of the argument for error messages: "data" or "validation_data".

    Raises:
        TypeError: The object is a PyTorch dataset of examples, a PyDataset without a length, or a function that
            needs arguments or does not return an iterable.
    """
    kind = type(value).__name__
    if isinstance(value, keras.utils.PyDataset):
        return _py_dataset_source(value, name)
    if _is_torch_dataset(value):
        problem = f"{name}: expected batches, received the PyTorch dataset {kind}, which yields examples"
        raise make_error(TypeError, problem, hint="pass torch.utils.data.DataLoader(dataset, batch_size=32)")
    if not isinstance(value, Iterable):
        return BatchSource("the function", functools.partial(_call, value, name))
    is_loader = any(cls.__module__.partition(".")[0] == "torch" for cls in type(value).__mro__)
    hint = "pass batch_size=32 to the DataLoader" if is_loader else BatchSource.batch_hint
    start, is_single_pass = functools.partial(iter, value), hasattr(value, "__next__")
    return BatchSource(f"the {kind}", start, _length(value), is_single_pass=is_single_pass, batch_hint=hint)


def _is_torch_dataset(value: object) -> bool:
    """Return whether a value is a dataset of PyTorch, which yields examples; a DataLoader yields batches."""
    names = {cls.__name__ for cls in type(value).__mro__ if cls.__module__.partition(".")[0] == "torch"}
    return "Dataset" in names and "DataLoader" not in names


def _length(value: object) -> int | None:
    try:
        return len(value)  # type: ignore[arg-type]
    except TypeError:  # a DataLoader of a dataset without a length has a method that raises
        return None


def _call(function: Callable[[], Iterable[Any]], name: str) -> Iterator[Any]:
    """Return an iterator over the batches of a function."""
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        problem = f"{name}: the function {_function_name(function)} needs arguments ({error})"
        raise make_error(TypeError, problem, hint="pass functools.partial(function, ...) with them") from error
    except ValueError:  # a function of C without a signature
        pass
    batches = function()
    if not isinstance(batches, Iterable):
        problem = (
            f"{name}: expected a function that returns an iterable of batches, {_function_name(function)} returned "
            f"{format_value(batches)}"
        )
        raise make_error(TypeError, problem, hint=_FUNCTION_HINT)
    return iter(batches)


def _function_name(function: object) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _py_dataset_source(dataset: keras.utils.PyDataset, name: str) -> BatchSource:
    try:
        length = dataset.num_batches
    except NotImplementedError as error:
        problem = f"{name}: the PyDataset {type(dataset).__name__} has neither num_batches nor __len__"
        raise make_error(TypeError, problem, hint="return the number of batches from __len__") from error
    return BatchSource(
        f"the PyDataset {type(dataset).__name__}",
        functools.partial(_py_dataset_batches, dataset),
        length,
        is_indexed=True,
        batch_hint="return whole batches from __getitem__",
        py_dataset=dataset,
    )


def _py_dataset_batches(dataset: keras.utils.PyDataset) -> Iterator[Any]:
    """Yield the batches in the order of their index, read by as many threads as the dataset has workers."""
    num_batches, workers = dataset.num_batches, dataset.workers
    indices = itertools.count() if num_batches is None else iter(range(num_batches))
    if workers < 2:
        yield from map(dataset.__getitem__, indices)
        return
    pool = ThreadPoolExecutor(workers)
    try:
        futures = deque(pool.submit(dataset.__getitem__, i) for i in itertools.islice(indices, workers))
        while futures:
            yield futures.popleft().result()
            futures.extend(pool.submit(dataset.__getitem__, i) for i in itertools.islice(indices, 1))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
