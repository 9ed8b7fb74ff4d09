"""`from_arrays`: validate the user's arrays and build pipelines from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from deepkit.data.augmentation import Augmentation, check_augmentations
from deepkit.data.dataset import Data, RawData, build_data
from deepkit.data.images import image_scales
from deepkit.data.pipeline_settings import PipelineSettings, check_batch_size, check_seed
from deepkit.data.sources import MemorySource
from deepkit.data.splits import split_validation
from deepkit.utils.errors import format_value, message

if TYPE_CHECKING:
    from deepkit.data.nested_arrays import Arrays


def from_arrays(
    x: Arrays,
    y: Arrays | None = None,
    *,
    batch_size: int = 128,
    validation: Arrays = 0.0,
    test: Arrays | None = None,
    map: Callable[[Any], Any] | None = None,
    augment: Iterable[Augmentation] = (),
    seed: int = 0,
    shuffle: bool = True,
    name: str = "arrays",
) -> Data:
    """Build pipelines from arrays in memory.

    The pipelines yield uint8 images as float32 in [0, 1]. They do not scale other numbers: float64 becomes float32,
    and small integers of labels become int32.

    Args:
        x: An array with the examples along the first axis, or a dictionary or tuple of such arrays.
        y: Labels, in the same form; None for data without labels.
        batch_size: Number of examples in a batch.
        validation: Number (int) or fraction (float) of examples to take from the end of the arrays, as Keras's
            `validation_split` does: shuffle the arrays first if they are sorted. Or separate data (x, y).
        test: Separate data (x, y), or x alone if there are no labels.
        map: Function that receives a batch of x and returns the input of the model; it receives images as float32
            from 0 to 255.
        augment: Augmentations of the training images, in their own scale (0 to 255 for uint8).
        seed: Seed of the order and of the augmentations.
        shuffle: Whether to shuffle the training examples anew in each epoch.
        name: Name of the data.

    Returns:
        A `Data`.

    Raises:
        TypeError: An array holds Python objects, or an element of `augment` is not an augmentation.
        ValueError: Lengths differ, there are no examples, labels are NaN, or an argument is out of range.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> data = dk.data.from_arrays(np.zeros((100, 28, 28), "uint8"), np.zeros(100), validation=0.2)
        >>> data.train.num_examples, data.validation.num_examples, data.input_shape
        (80, 20, (28, 28))
    """
    settings = PipelineSettings(check_batch_size(batch_size), check_seed(seed), map=map)
    element = _check_element(x, y)
    if isinstance(validation, tuple | list | dict | np.ndarray):
        splits = {"train": element, "validation": _check_separate(validation, y, "validation")}
    else:
        splits = split_validation(element, validation)
    if test is not None:
        splits["test"] = _check_separate(test, y, "test")
    raw = RawData(
        name=name,
        version="",
        source="arrays",
        origin="in memory",
        sources={split: MemorySource(arrays) for split, arrays in splits.items()},
        scales=image_scales(element),
        num_classes=None if y is None else _count_classes(element[1]),
    )
    return build_data(raw, settings, check_augmentations(augment), shuffle)


def _check_separate(data: object, y: object, name: str) -> Any:
    """Return separate validation or test data as arrays; they have labels if the training data has."""
    if y is None:
        return _check_element(data, None, f"{name} ")
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise ValueError(f"{name} must be a pair (x, y), as the training data is, received {format_value(data)}")
    separate_x, separate_y = data
    return _check_element(separate_x, separate_y, f"{name} ")


def _check_element(x: object, y: object, prefix: str = "") -> Any:
    """Return (x, y), (x,) or x as validated NumPy arrays; a tuple x is wrapped, or Keras would split it.

    Args:
        x: An array, or a dictionary or tuple of arrays.
        y: Labels, or None.
        prefix: Text before the names in error messages: "test " for separate test data.
    """
    element: Any
    inputs = _check_arrays(x, f"{prefix}x")
    if y is None:
        element = (inputs,) if isinstance(inputs, tuple) else inputs
    else:
        labels = _check_arrays(y, f"{prefix}y")
        element = (inputs, tf.nest.map_structure(lambda array: _check_labels(array, f"{prefix}y"), labels))
    lengths = [len(array) for array in tf.nest.flatten(element)]
    if len(set(lengths)) > 1:
        raise ValueError(f"{prefix}x and y must have the same number of examples, received {lengths}")
    if not lengths[0]:
        raise ValueError(f"{prefix}x has no examples: its shape is {tf.nest.flatten(inputs)[0].shape}")
    return element


def _check_arrays(value: object, name: str) -> Arrays:
    if isinstance(value, dict):
        return {key: _check_arrays(item, f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_check_arrays(item, f"{name}[{position}]") for position, item in enumerate(value))
    return _check_array(value, name)


def _check_array(value: object, name: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        problem = f"{name} must be an array, received examples of different shapes ({error})"
        raise ValueError(message(problem, hint="pad or crop the examples to one shape")) from error
    if array.dtype == object:
        array = _as_strings(array, name)
    if array.ndim == 0:
        raise ValueError(
            f"{name} must be an array with the examples along its first axis, received {format_value(value)}"
        )
    return array.astype("float32") if array.dtype == np.float64 else array


def _as_strings(array: np.ndarray, name: str) -> np.ndarray:
    """Convert an array of Python strings to an array of a string dtype."""
    if not all(isinstance(item, str | bytes) for item in array.flat):
        raise TypeError(
            f"{name} must hold numbers or strings, received an array of Python objects such as "
            f"{format_value(array.flat[0])}"
        )
    return array.astype("U") if isinstance(array.flat[0], str) else array.astype("S")


def _check_labels(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        rows = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(1))
        problem = f"{name} has {len(rows):,} labels that are NaN or infinite, the first at index {rows[0]}"
        raise ValueError(message(problem, hint="remove those examples or correct their labels"))
    return array.astype("int32") if array.dtype.kind in "iu" and array.dtype.itemsize < 4 else array


def _count_classes(labels: object) -> int | None:
    """Return the number of classes of integer labels (n,) or (n, 1) or one-hot rows (n, classes), else None."""
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iuf":
        return None
    num_columns = labels.reshape(len(labels), -1).shape[1]
    if labels.dtype.kind in "iu" and num_columns == 1:
        return int(labels.max()) + 1 if labels.min() >= 0 else None
    if labels.ndim != 2 or num_columns < 2:
        return None
    is_one_hot = ((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all()
    return num_columns if is_one_hot else None
