"""Checks of the models and the batches that the functions of `deepkit.visualize` receive."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

import keras
import numpy as np

from deepkit.utils.errors import format_value, message
from deepkit.utils.tracing import without_retracing_warnings

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike, Nested, Shape

    Batch: TypeAlias = ArrayLike | Nested
    """The inputs or the labels of several examples: one array, or several by name or by position."""


P = ParamSpec("P")
R = TypeVar("R")


def accepts_run(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function of a model also take a `Run`, whose model and class names it then receives.

    Args:
        function: A function with an argument `model`: a Keras model, or a mapping of several.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def with_model(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # raises Python's error with the name of the function
        model = bound.arguments["model"]
        if is_run(model):
            class_names = getattr(model, "class_names", ())
            if "class_names" in signature.parameters and isinstance(class_names, tuple):
                bound.arguments.setdefault("class_names", class_names)
            bound.arguments["model"] = model.model
        elif isinstance(model, Mapping):
            bound.arguments["model"] = {key: item.model if is_run(item) else item for key, item in model.items()}
        return function(*bound.args, **bound.kwargs)

    return with_model


def is_run(value: Any) -> bool:
    """Return whether a value is a `Run`, of which this package knows only that it has a model."""
    return not isinstance(value, keras.Model) and isinstance(getattr(value, "model", None), keras.Model)


def check_built(model: object, caller: str) -> None:
    """Raise if a value is not a Keras model or has no weights yet."""
    if not isinstance(model, keras.Model):
        hint = "use definition.build(input_shape)" if hasattr(model, "build") else ""
        raise TypeError(message(f"{caller}: expected a keras.Model, received {type(model).__name__}", hint=hint))
    if not model.built:
        problem = f"{caller}: the model {model.name!r} is not built, so its layers have no weights"
        raise ValueError(message(problem, hint="call it on a batch, or add keras.Input(shape) as its first layer"))


def input_shape(model: keras.Model) -> Shape | None:
    """Return the shape (batch, ...) of a model's only input, or None if it is unknown or there are several."""
    inputs = getattr(model, "inputs", None)
    return tuple(inputs[0].shape) if inputs is not None and len(inputs) == 1 else None


def pack_inputs(model: keras.Model, x: Batch) -> Nested:
    """Return a batch in the structure of the model's input, which may be a list or a dictionary with one entry."""
    x = with_string_tensors(x)
    structure = getattr(model, "input", None)
    if isinstance(structure, dict | list | tuple) and len(structure) == 1 and not isinstance(x, dict | list | tuple):
        return keras.tree.pack_sequence_as(structure, [x])
    return x


def as_image_batch(model: keras.Model, image: ArrayLike, caller: str) -> tuple[np.ndarray, bool]:
    """Return images (batch, rows, columns, channels), and whether `image` was a single image.

    Raises:
        ValueError: `image` does not hold images of the size that the model takes.
    """
    check_built(model, caller)
    shape = input_shape(model)
    if len(getattr(model, "inputs", None) or [0]) > 1:
        raise ValueError(f"{caller}: expected a model with one image as its input, {model.name} takes several inputs")
    if shape is not None and len(shape) != 4:
        raise ValueError(f"{caller}: expected a model of images, {model.name} takes inputs of shape {shape[1:]}")
    if isinstance(image, dict):
        names = ", ".join(map(str, image))
        raise ValueError(f"{caller}: expected one image as an array, received a dictionary with the keys {names}")
    array = np.asarray(image)
    is_single = array.ndim == 3
    batch = array[None] if is_single else array
    is_numeric = batch.dtype.kind in "fiub" or batch.dtype.name == "bfloat16"
    if not is_numeric or not _has_image_shape(batch, shape):
        sizes = ["rows", "columns", "channels"] if shape is None else [_size_text(size) for size in shape[1:]]
        problem = (
            f"{caller}: expected an image ({', '.join(sizes)}), or several with a batch axis in front, received "
            f"{array.dtype.name} of shape {array.shape}"
        )
        raise ValueError(message(problem, hint=_channel_hint(array, None if shape is None else shape[-1])))
    return batch, is_single


def check_batch(model: keras.Model, x: Batch, caller: str) -> Batch:
    """Return a batch, after a check against the model's input shape if that is known."""
    check_built(model, caller)
    shape = input_shape(model)
    if shape is None or isinstance(x, dict | list | tuple):
        return x
    array = x if hasattr(x, "shape") else np.asarray(x)
    received = tuple(array.shape)
    if not _fits(received, shape):
        expected = ", ".join(["batch", *map(_size_text, shape[1:])])
        problem = f"{caller}: {model.name} takes a batch of shape ({expected}), received {received}"
        hint = "use x[None], a batch of one example" if len(received) == len(shape) - 1 else ""
        raise ValueError(message(problem, hint=hint))
    return array


def iterate_batches(data: object, caller: str, batch_size: int = 256) -> Iterator[tuple[Batch, Batch]]:
    """Yield inputs and labels of each batch; a pair of arrays is cut into batches of `batch_size` examples.

    Raises:
        TypeError: The data has several splits, or no labels.
        ValueError: The data is infinite.
    """
    if hasattr(data, "train") and hasattr(data, "test"):
        problem = f"{caller}: expected one split, received a {type(data).__name__} with several splits"
        raise TypeError(message(problem, hint="use data.test or data.validation"))
    if hasattr(data, "cardinality") and int(data.cardinality()) == -1:
        problem = f"{caller}: expected a finite dataset, received one that repeats forever"
        raise ValueError(message(problem, hint="use dataset.take(steps)"))
    hint = "pass dk.data.Data, batches (x, y), or a tuple (x, y) of arrays"
    if not isinstance(data, Iterable):
        raise TypeError(message(f"{caller}: expected data with labels, received {format_value(data)}", hint=hint))
    batches: Any = _cut(*data, batch_size) if isinstance(data, tuple) and len(data) == 2 else data
    for batch in batches:
        if not isinstance(batch, tuple | list) or len(batch) < 2:
            problem = f"{caller}: expected batches (x, y), received a {type(batch).__name__} without labels"
            raise TypeError(message(problem, hint=hint))
        labels = keras.tree.flatten(batch[1])
        if any(len(array.shape if hasattr(array, "shape") else np.shape(array)) == 0 for array in labels):
            problem = f"{caller}: expected batches (x, y), received a single example without a batch axis"
            raise ValueError(message(problem, hint="use dataset.batch(32)"))
        yield batch[0], batch[1]


def with_string_tensors(x: Batch) -> Nested:
    """Return a batch with NumPy arrays of strings converted to string tensors, which Keras accepts."""

    def convert(array: object) -> object:
        if isinstance(array, np.ndarray) and array.dtype.kind in "SUO":
            import tensorflow as tf

            return tf.constant(array.astype(object), tf.string)
        return array

    return _map_arrays(convert, x)


def predict_batch(model: keras.Model, x: Batch) -> Any:
    """Return the outputs of a model for a batch, which may hold NumPy arrays of strings."""
    with without_retracing_warnings():  # each model of a comparison is traced
        return model.predict_on_batch(with_string_tensors(x))


def _cut(x: Batch, y: Batch, batch_size: int) -> Iterator[tuple[Batch, Batch]]:
    labels: Any = next(iter(y.values())) if isinstance(y, dict) else y
    for start in range(0, len(labels), batch_size):
        select = operator.itemgetter(slice(start, start + batch_size))
        yield _map_arrays(select, x), _map_arrays(select, y)


def _map_arrays(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply a function to each array of a dictionary, tuple or list of arrays; a list of values is one array."""
    if isinstance(value, dict):
        return {name: _map_arrays(function, item) for name, item in value.items()}
    if isinstance(value, tuple) or (isinstance(value, list) and all(hasattr(item, "shape") for item in value)):
        return type(value)(_map_arrays(function, item) for item in value)
    return function(np.asarray(value) if isinstance(value, list) else value)


def _has_image_shape(batch: np.ndarray, shape: Shape | None) -> bool:
    """Return whether a batch is not empty and has the shape (batch, rows, columns, channels) that a model takes."""
    return batch.ndim == 4 and len(batch) > 0 and (shape is None or _fits(batch.shape, shape))


def _fits(received: tuple[int, ...], shape: Shape) -> bool:
    """Return whether a batch has the number of axes and the sizes of an input shape."""
    if len(received) != len(shape):
        return False
    return all(size in (None, n) for size, n in zip(shape[1:], received[1:], strict=True))


def _size_text(size: int | None) -> str:
    return "any" if size is None else str(size)


def _channel_hint(array: np.ndarray, num_channels: int | None) -> str:
    """Return the hint for images without a channel axis; `num_channels` is None if any number of channels is valid."""
    if array.ndim == 2 and num_channels in (1, None):
        return "use image[..., None], which has one channel"
    if array.ndim == 3 and num_channels == 1 and array.shape[-1] != 1:
        return "use images[..., None], which have one channel"
    return ""
