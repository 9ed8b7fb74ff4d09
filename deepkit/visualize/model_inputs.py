"""What a picture is made from: a built model and a batch that fits it, checked before anything runs."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np


def check_built(model: Any, who: str) -> None:
    """Raise where a model has no weights yet, or is no model."""
    if not isinstance(model, keras.Model):
        hint = "\n  hint: definition.build(input_shape)" if hasattr(model, "build") else ""
        raise TypeError(f"{who}: expected a keras.Model, received {type(model).__name__}{hint}")
    if not model.built:
        raise ValueError(
            f"{who}: the model {model.name!r} is not built, so its layers have no weights\n"
            "  hint: calling it on a batch, or keras.Input(shape) as its first layer"
        )


def input_shape(model: keras.Model) -> tuple[int | None, ...] | None:
    """Return the shape of a model's only input with its batch axis, or None where it does not say."""
    inputs = getattr(model, "inputs", None)
    return tuple(inputs[0].shape) if inputs is not None and len(inputs) == 1 else None


def fed(model: keras.Model, x: Any) -> Any:
    """Return a batch in the structure of the model's input: a list or mapping of one, where that is what it is."""
    x = tensors(x)
    structure = getattr(model, "input", None)
    if isinstance(structure, dict | list | tuple) and len(structure) == 1 and not isinstance(x, dict | list | tuple):
        return keras.tree.pack_sequence_as(structure, [x])
    return x


def image_batch(model: keras.Model, image: Any, who: str) -> tuple[np.ndarray, bool]:
    """Return images with a batch axis, and whether one was given without.

    Raises:
        ValueError: They are no images, or not of the size that the model takes.
    """
    check_built(model, who)
    shape = input_shape(model)
    if len(getattr(model, "inputs", None) or [0]) > 1:
        raise ValueError(f"{who}: {model.name} takes several inputs, and a picture is of one image")
    if shape is not None and len(shape) != 4:
        raise ValueError(f"{who}: {model.name} takes inputs of shape {shape[1:]}, which are no images")
    if isinstance(image, dict):
        raise ValueError(f"{who}: expected one image as an array, received a mapping of {', '.join(map(str, image))}")
    array = np.asarray(image)
    single = array.ndim == 3
    batch = array[None] if single else array
    wanted = ("rows", "columns", "channels") if shape is None else shape[1:]
    numeric = batch.dtype.kind in "fiub" or batch.dtype.name == "bfloat16"
    sizes = zip(wanted, batch.shape[1:], strict=False)
    fits = batch.ndim == 4 and len(batch) and all(a in (None, b) or isinstance(a, str) for a, b in sizes)
    if not fits or not numeric:
        expected = ", ".join("any" if n is None else str(n) for n in wanted)
        raise ValueError(
            f"{who}: expected an image ({expected}), or several with a batch axis in front, received "
            f"{array.dtype.name} of shape {array.shape}{_hint(array, wanted)}"
        )
    return batch, single


def batch_of(model: keras.Model, x: Any, who: str) -> Any:
    """Return a batch as it is given, checked against the model's input where it says what it takes."""
    check_built(model, who)
    shape = input_shape(model)
    if shape is None or isinstance(x, dict | list | tuple):
        return x
    array = x if hasattr(x, "shape") else np.asarray(x)
    given = tuple(array.shape)
    if len(given) != len(shape) or any(a not in (None, b) for a, b in zip(shape[1:], given[1:], strict=True)):
        expected = ", ".join(["batch", *("any" if n is None else str(n) for n in shape[1:])])
        hint = "\n  hint: x[None], a batch of one" if len(given) == len(shape) - 1 else ""
        raise ValueError(f"{who}: {model.name} takes a batch of shape ({expected}), received {given}{hint}")
    return array


def batches(data: Any, who: str) -> Iterator[tuple[Any, Any]]:
    """Yield inputs and labels of batches, or of a pair of arrays, 256 examples at a time.

    Raises:
        TypeError: The data has several parts, or no labels.
        ValueError: It has no end.
    """
    if hasattr(data, "train") and hasattr(data, "test"):
        raise TypeError(f"{who}: received a data set of several parts\n  hint: data.test or data.validation")
    if hasattr(data, "cardinality") and int(data.cardinality()) == -1:
        raise ValueError(f"{who}: the dataset has no end\n  hint: dataset.take(steps)")
    for batch in _slices(*data) if isinstance(data, tuple) and len(data) == 2 else data:
        if not isinstance(batch, tuple | list) or len(batch) < 2:
            raise TypeError(f"{who}: expected batches (x, y), received a {type(batch).__name__} without labels")
        yield batch[0], batch[1]


def _slices(x: Any, y: Any, size: int = 256) -> Iterator[tuple[Any, Any]]:
    for start in range(0, len(next(iter(y.values())) if isinstance(y, dict) else y), size):
        cut = operator.itemgetter(slice(start, start + size))
        yield _each(cut, x), _each(cut, y)


def _each(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply a function to each array of a mapping, tuple or list of arrays; a list of numbers or texts is an array."""
    if isinstance(value, dict):
        return {name: _each(function, item) for name, item in value.items()}
    if isinstance(value, tuple) or (isinstance(value, list) and all(hasattr(item, "shape") for item in value)):
        return type(value)(_each(function, item) for item in value)
    return function(np.asarray(value) if isinstance(value, list) else value)


def tensors(x: Any) -> Any:
    """Return a batch as Keras takes it: arrays of texts as tensors of them."""

    def tensor(part: Any) -> Any:
        if isinstance(part, np.ndarray) and part.dtype.kind in "SUO":
            import tensorflow as tf

            return tf.constant(part.astype(object), tf.string)
        return part

    return _each(tensor, x)


def shown(image: np.ndarray) -> np.ndarray:
    """Bring an image to what can be shown: one channel as grey, three as colours, in [0, 1]."""
    image = np.asarray(image, "float32")
    image = image[..., :3] if image.shape[-1] >= 3 else image[..., 0]
    low, high = float(image.min()), float(image.max())
    return (image - low) / (high - low) if high > low else np.zeros_like(image)


def _hint(array: np.ndarray, wanted: tuple[Any, ...]) -> str:
    if array.ndim == 2 and wanted[-1] in (1, "channels"):
        return "\n  hint: image[..., None], which has one channel"
    if array.ndim == 3 and wanted[-1] == 1 and array.shape[-1] != 1:
        return "\n  hint: images[..., None], which have one channel"
    return ""
