"""`from_arrays`: the user's own arrays, checked, as training, validation and test pipelines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from deepkit.data import augment as augmentation
from deepkit.data.dataset import Data, Found, assemble, held_out
from deepkit.data.settings import Settings, check_batch_size, check_seed
from deepkit.data.sources import MemorySource


def from_arrays(
    x: Any,
    y: Any = None,
    *,
    batch_size: int = 128,
    validation: Any = 0.0,
    test: Any = None,
    map: Callable[[Any], Any] | None = None,
    augment: Iterable[augmentation.Augmentation] = (),
    seed: int = 0,
    shuffle: bool = True,
    name: str = "arrays",
) -> Data:
    """Make pipelines of arrays that are in memory.

    uint8 images come out as float32 in [0, 1]; other numbers keep their scale (float64 becomes float32, small
    integers of labels become int32).

    Args:
        x: an array with the examples along the first axis, or a dict or tuple of such arrays.
        y: labels, likewise; None for data without.
        batch_size: examples in a batch.
        validation: a number of examples (int) or a fraction (float), taken from the end of the arrays as
            Keras's `validation_split` does: shuffle them first if they are sorted. Or a pair (x, y) of its own.
        test: a pair (x, y), or x alone where there are no labels.
        map: from a whole batch of x to what the model gets; images come to it as float32 from 0 to 255.
        augment: augmentations of the training images, in their own scale (0 to 255 for uint8).
        seed: of the order and the augmentations.
        shuffle: False keeps the training examples in their order.
        name: to call the data by.

    Returns:
        A `Data`.

    Raises:
        TypeError: if an array holds objects, or an augmentation is none.
        ValueError: if lengths differ, there are no examples, labels are NaN, or a number makes no sense.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> data = dk.data.from_arrays(np.zeros((100, 28, 28), "uint8"), np.zeros(100), validation=0.2)
        >>> data.train.num_examples, data.validation.num_examples, data.input_shape
        (80, 20, (28, 28))

    """
    settings = Settings(check_batch_size(batch_size), check_seed(seed), map=map)
    whole = _element(x, y, "")
    parts = split(whole, validation) if _is_number(validation) else {"train": whole}
    if not _is_number(validation):
        parts["validation"] = _own(validation, y, "validation ")
    if test is not None:
        parts["test"] = _own(test, y, "test ")
    sources = {part: MemorySource(element) for part, element in parts.items()}
    num_classes = _classes(whole[1]) if y is not None else None
    found = Found(name, "", "arrays", "in memory", sources, scales(whole), num_classes)
    return assemble(found, settings, augmentation.check(augment), shuffle)


def split(element: Any, validation: Any) -> dict[str, Any]:
    """Split a structure of arrays into "train" and, if `validation` asks for any, "validation" from the end."""
    total = len(tf.nest.flatten(element)[0])
    kept = total - held_out(validation, total)
    parts = {"train": tf.nest.map_structure(lambda array: array[:kept], element)}
    if kept < total:
        parts["validation"] = tf.nest.map_structure(lambda array: array[kept:], element)
    return parts


def scales(element: Any) -> Any:
    """Say, in the structure of x, what brings uint8 images to [0, 1]; None for what is no image."""
    x = element[0] if isinstance(element, tuple) else element
    return tf.nest.map_structure(lambda leaf: 1 / 255 if leaf.dtype == np.uint8 and leaf.ndim >= 3 else None, x)


def _own(pair: Any, y: Any, place: str) -> Any:
    """Check the arrays of a part that was given by itself."""
    if y is None:
        return _element(pair, None, place)
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ValueError(
            f"{place.strip()} must be a pair (x, y) as the training data is, received {type(pair).__name__}"
        )
    own_x, own_y = pair
    return _element(own_x, own_y, place)


def _element(x: Any, y: Any, place: str) -> Any:
    """Return (x, y), (x,) or x as checked NumPy arrays; a tuple x alone is wrapped, or Keras would split it."""
    x = _structure(x, f"{place}x")
    if y is None:
        element = (x,) if isinstance(x, tuple) else x
    else:
        labels = tf.nest.map_structure(lambda leaf: _label(leaf, f"{place}y"), _structure(y, f"{place}y"))
        element = (x, labels)
    lengths = [len(leaf) for leaf in tf.nest.flatten(element)]
    if len(set(lengths)) > 1:
        raise ValueError(f"{place}x and y must have the same number of examples, received {lengths}")
    if not lengths[0]:
        raise ValueError(f"{place}x has no examples: its shape is {tf.nest.flatten(x)[0].shape}")
    return element


def _structure(value: Any, place: str) -> Any:
    if isinstance(value, dict):
        return {key: _structure(leaf, f"{place}[{key!r}]") for key, leaf in value.items()}
    if isinstance(value, tuple):
        return tuple(_structure(leaf, f"{place}[{i}]") for i, leaf in enumerate(value))
    return _array(value, place)


def _array(value: Any, place: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{place}: the examples differ in shape ({error}); pad or crop them to one shape") from error
    if array.dtype == object:
        if not all(isinstance(leaf, str | bytes) for leaf in array.flat):
            raise TypeError(f"{place}: expected numbers or text, received an array of Python objects such as "
                            f"{array.flat[0]!r}")  # fmt: skip
        array = array.astype("U") if isinstance(array.flat[0], str) else array.astype("S")
    if array.ndim == 0:
        raise ValueError(f"{place}: expected an array with the examples along its first axis, received {value!r}")
    return array.astype("float32") if array.dtype == np.float64 else array


def _label(array: np.ndarray, place: str) -> np.ndarray:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        rows = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(1))
        raise ValueError(f"{place}: {len(rows):,} labels are NaN or infinite, the first at index {rows[0]}; "
                         "remove those examples or mend their labels")  # fmt: skip
    return array.astype("int32") if array.dtype.kind in "iu" and array.dtype.itemsize < 4 else array


def _classes(labels: Any) -> int | None:
    """How many classes integer labels (n,) or (n, 1), or one-hot rows (n, classes), stand for."""
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iuf":
        return None
    columns = labels.reshape(len(labels), -1).shape[1]
    if labels.dtype.kind in "iu" and columns == 1:
        return int(labels.max()) + 1 if labels.min() >= 0 else None
    one_hot = labels.ndim == 2 and columns > 1 and ((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all()
    return columns if one_hot else None


def _is_number(value: Any) -> bool:
    return not isinstance(value, tuple | list | dict | np.ndarray)
