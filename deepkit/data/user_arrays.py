"""`from_arrays`: validate the user's arrays and build pipelines from them."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import tensorflow as tf

from deepkit.data.augmentation import Augmentation, check_augmentations
from deepkit.data.dataset import Data, RawData, build_data
from deepkit.data.frames import as_arrays, refuse_masked_values
from deepkit.data.images import check_same_scale, image_scales
from deepkit.data.pipeline_settings import PipelineSettings, check_batch_size, check_seed
from deepkit.data.sample_weights import check_sample_weight
from deepkit.data.sources import MemorySource
from deepkit.data.splits import split_validation
from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import MAX_INTEGER

if TYPE_CHECKING:
    from deepkit.data.nested_arrays import Arrays


def from_arrays(
    x: Arrays,
    y: Arrays | None = None,
    *,
    sample_weight: Arrays | None = None,
    batch_size: int = 32,
    validation: Arrays = 0.0,
    test: Arrays | None = None,
    map: Callable[[Any], Any] | None = None,
    augment: Iterable[Augmentation] = (),
    seed: int = 0,
    shuffle: bool = True,
    name: str = "arrays",
) -> Data:
    """Build pipelines from arrays in memory.

    The pipelines yield x unchanged, except that float64 becomes float32, and that augmentations and `map` receive
    uint8 arrays of three or more axes as float32 in the same scale. `dk.fit` adds a layer to the model that rescales
    uint8 images. Small integers of labels become int32.

    Args:
        x: An array with the examples along the first axis, or a dictionary or tuple of such arrays. A pandas
            DataFrame of numbers becomes an array `(rows, columns)`, a Series an array `(rows,)`; PyTorch tensors
            work too.
        y: Labels, in the same form; None for data without labels.
        sample_weight: Weight of each example in the loss, `(batch,)`, or of each position of its labels,
            `(batch, time)`; a dictionary by name of the output if there are several. None for equal weights.
        batch_size: Number of examples in a batch, 32 by default as in Keras.
        validation: Number (int) or fraction (float) of examples to take from the end of the arrays, as Keras's
            `validation_split` does: shuffle the arrays first if they are sorted. Or separate data (x, y) or
            (x, y, sample_weight).
        test: Separate data likewise, or x alone if there are no labels.
        map: Function that receives a batch of x of any split and returns the input of the model; it receives uint8
            images as float32 from 0 to 255.
        augment: Augmentations of the training images, in their own scale (0 to 255 for uint8).
        seed: Seed of the order and of the augmentations.
        shuffle: Whether to shuffle the training examples anew in each epoch.
        name: Name of the data.

    Returns:
        A `Data`.

    Raises:
        TypeError: An array holds Python objects, or an element of `augment` is not an augmentation.
        ValueError: Lengths differ, there are no examples, labels or weights are NaN, or an argument is out of range.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> data = dk.data.from_arrays(
        ...     np.zeros((100, 28, 28), "uint8"), np.zeros(100), validation=0.2
        ... )
        >>> data.train.num_examples, data.validation.num_examples, data.input_shape
        (80, 20, (28, 28))
    """
    settings = PipelineSettings(check_batch_size(batch_size), check_seed(seed), map=map)
    element = validate_arrays(x, y, sample_weight)
    if isinstance(validation, tuple | list | dict | np.ndarray) or hasattr(validation, "columns"):
        splits = {"train": element, "validation": _check_separate(validation, element, y, "validation")}
    else:
        splits = split_validation(element, validation)
        check_sorted_labels(element, splits, f"validation={validation!r}")
    if test is not None:
        splits["test"] = _check_separate(test, element, y, "test")
    num_classes = None if y is None else count_classes(element[1])
    return build_array_data(splits, settings, num_classes, check_augmentations(augment), shuffle=shuffle, name=name)


def build_array_data(
    splits: Mapping[str, Any],
    settings: PipelineSettings,
    num_classes: int | None,
    augmentations: tuple[Augmentation, ...] = (),
    *,
    shuffle: bool = True,
    name: str = "arrays",
) -> Data:
    """Build pipelines from the validated arrays of each split; see `from_arrays`."""
    raw = RawData(
        name=name,
        version="",
        source="arrays",
        origin="in memory",
        sources={split: MemorySource(arrays) for split, arrays in splits.items()},
        scales=image_scales(splits["train"]),
        rescale=False,
        num_classes=num_classes,
    )
    return build_data(raw, settings, augmentations, shuffle)


def validate_arrays(x: object, y: object = None, sample_weight: object = None, *, prefix: str = "") -> Any:
    """Return (x, y, sample_weight), (x, y), (x,) or x as validated NumPy arrays; a tuple x is wrapped for Keras.

    Args:
        x: An array, or a dictionary or tuple of arrays.
        y: Labels, or None.
        sample_weight: Weights, or None.
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
        problem = f"{prefix}x and y must have the same number of examples, received {format_value(lengths)}"
        hint = "a list of arrays is several inputs or outputs, as in Keras; use np.stack(x) if each array is an example"
        if not is_list_of_arrays(x) and not is_list_of_arrays(y):
            hint = "pass one label for each example, in the same order"
        raise ValueError(message(problem, hint=hint))
    if not lengths[0]:
        problem = f"{prefix}x has no examples: its shape is {tf.nest.flatten(inputs)[0].shape}"
        raise ValueError(message(problem, hint="pass at least one example"))
    if sample_weight is None:
        return element
    if y is None:
        hint = "pass y, or leave sample_weight out"
        raise ValueError(message(f"{prefix}sample_weight needs labels, and y is None", hint=hint))
    return (*element, check_sample_weight(sample_weight, element[1], f"{prefix}sample_weight"))


def _check_separate(data: object, element: Any, y: object, name: str) -> Any:
    """Return separate validation or test data as arrays; they have labels if the training data has."""
    separate: Any
    if y is None:
        if isinstance(data, tuple) and not isinstance(_inputs(element), tuple):
            if len(data) != 1:
                problem = f"{name} must be x alone, as the training data has no labels, received {format_value(data)}"
                raise ValueError(message(problem, hint=f"pass the labels y too, or {name}=x"))
            (data,) = data
        separate = validate_arrays(data, prefix=f"{name} ")
    elif isinstance(data, tuple | list) and len(data) in (2, 3):
        separate = validate_arrays(*data, prefix=f"{name} ")
    else:
        problem = f"{name} must be a pair (x, y), as the training data is, received {format_value(data)}"
        raise ValueError(message(problem, hint=f"pass {name}=(x, y)"))
    check_same_scale(_inputs(element), _inputs(separate), name)
    return separate


def _inputs(element: Any) -> Arrays:
    return element[0] if isinstance(element, tuple) else element


def check_sorted_labels(element: Any, splits: Mapping[str, Any], argument: str) -> None:
    """Raise if the examples are sorted by class, so that a class occurs in the validation split only.

    Args:
        element: All arrays.
        splits: The arrays of "train" and "validation".
        argument: The argument that determines the splits, as code, for the message.
    """
    labels = element[1] if isinstance(element, tuple) and len(element) > 1 else None
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iub" or labels.size != len(labels):
        return
    labels = labels.reshape(-1)
    num_training = len(splits["train"][1])
    are_classes = 2 * len(np.unique(labels)) <= len(labels)  # numbers such as an index or a price are distinct
    is_sorted = not (np.diff(labels) < 0).any()
    if num_training == len(labels) or not (are_classes and is_sorted) or labels[num_training - 1] == labels[-1]:
        return
    problem = (
        f"{argument} takes the last examples, and y is sorted: the label {labels[-1]} would occur in "
        "the validation split only"
    )
    hint = "shuffle the arrays first: order = np.random.default_rng(0).permutation(len(x)); x, y = x[order], y[order]"
    raise ValueError(message(problem, hint=hint))


def _check_arrays(value: object, name: str) -> Arrays:
    if isinstance(value, dict):
        return {key: _check_arrays(item, f"{name}[{key!r}]") for key, item in value.items()}
    if is_list_of_arrays(value):
        value = value[0] if len(value) == 1 else tuple(value)
    if isinstance(value, tuple):
        return tuple(_check_arrays(item, f"{name}[{position}]") for position, item in enumerate(value))
    return check_array(value, name)


def is_list_of_arrays(value: object) -> TypeGuard[list[Any]]:
    """Return whether a value is a list of arrays or tables, which are several inputs or outputs, as in Keras.

    Examples:
        >>> import numpy as np
        >>> (
        ...     is_list_of_arrays([np.zeros(3), np.zeros(3)]),
        ...     is_list_of_arrays([[1, 2], [3, 4]]),
        ... )
        (True, False)
    """
    return isinstance(value, list) and bool(value) and all(len(getattr(item, "shape", ())) > 0 for item in value)


def check_array(value: object, name: str) -> np.ndarray:
    """Return a value as an array of numbers or strings; float64 becomes float32.

    Args:
        value: An array, a pandas or PyTorch object, or nested lists.
        name: Name of the value in error messages.

    Raises:
        TypeError: It holds Python objects, or is sparse, ragged or masked.
        ValueError: It is a single value, or holds missing values or integers above those of int64.
    """
    _refuse_other_containers(value, name)
    value = as_arrays(value, name)
    try:
        array = np.asarray(value)
    except ValueError as error:
        problem = f"{name} must be an array, received examples of different shapes ({error})"
        hints = ["pad or crop the examples to one shape" + _padding(value, name), _multi_label_hint(name)]
        raise ValueError(message(problem, hint="; ".join(filter(None, hints)))) from error
    if array.dtype.kind in "US" and isinstance(value, list | tuple):
        array = np.array(value, object)  # NumPy has converted numbers among strings to strings
    if array.dtype == object:
        array = _as_strings(array, name)
    if array.dtype.kind == "U":
        _check_unicode(array, name)
    if array.ndim == 0:
        problem = f"{name} must be an array with the examples along its first axis, received {format_value(value)}"
        raise ValueError(message(problem, hint="pass an array, or a list of numbers; a tuple holds several arrays"))
    if array.dtype.kind not in "biufcSU" or array.dtype == np.clongdouble:
        hint = "convert the values to numbers, for example with astype('int64')"
        raise TypeError(message(f"{name} must hold numbers or strings, received the dtype {array.dtype}", hint=hint))
    if array.dtype == np.uint64 and array.size and array.max() > MAX_INTEGER:
        hint = f"use values of at most {MAX_INTEGER:,}, or hash them"
        raise ValueError(message(f"{name} holds {array.max()}, which does not fit into int64", hint=hint))
    return array.astype("float32") if array.dtype in (np.float64, np.longdouble) else array


def _refuse_other_containers(value: object, name: str) -> None:
    kind = type(value).__name__
    refuse_masked_values(value, name)
    if isinstance(value, tf.RaggedTensor):
        raise TypeError(message(f"{name} is a {kind}, expected a dense array", hint=f"use {name}.to_tensor()"))
    if isinstance(value, tf.SparseTensor):
        raise TypeError(message(f"{name} is a {kind}, expected a dense array", hint=f"use tf.sparse.to_dense({name})"))
    if hasattr(value, "toarray"):  # a matrix of SciPy
        raise TypeError(message(f"{name} is a sparse {kind}, expected a dense array", hint=f"use {name}.toarray()"))


def _as_strings(array: np.ndarray, name: str) -> np.ndarray:
    """Convert an array of Python strings to an array of a string dtype."""
    positions = [position for position, item in enumerate(array.flat) if not isinstance(item, str | bytes)]
    kind = str if array.size and isinstance(array.flat[0], str) else bytes
    if not positions:
        positions = [position for position, item in enumerate(array.flat) if not isinstance(item, kind)]
    if not positions:
        return array.astype("U" if kind is str else "S")
    missing = [position for position in positions if _is_missing(array.flat[position])]
    position = [*missing, *positions][0]
    item, index = array.flat[position], np.unravel_index(position, array.shape)
    element = f"{name}[{', '.join(map(str, index))}]" if index else name
    if missing:
        hint = "replace missing values, for example with an empty string, or remove these examples"
        raise TypeError(message(f"{element} is {item}, a missing value", hint=hint))
    if len(positions) < array.size and isinstance(item, str | bytes | numbers.Number):
        problem = f"{name} must hold values of one kind, received a mixture: {element} is {format_value(item)}"
        hint = (
            "use text.decode() for bytes" if isinstance(item, str | bytes) else f"use list(map(str, {name})) for texts"
        )
        raise TypeError(message(problem, hint=hint))
    problem = f"{name} must hold numbers or strings, received Python objects: {element} is {format_value(item)}"
    hint = f"convert {name} to an array of numbers, for example with astype('float32')"
    if isinstance(item, list | tuple | set):
        hint = _multi_label_hint(name) or hint
    raise TypeError(message(problem, hint=hint))


def _check_unicode(array: np.ndarray, name: str) -> None:
    """Raise if a string holds half of a surrogate pair, which UTF-8 cannot encode."""
    codes = np.ascontiguousarray(array).reshape(-1).view("uint32")
    is_surrogate = (codes >= 0xD800) & (codes <= 0xDFFF)
    if array.dtype.isnative and is_surrogate.any():
        position = int(np.flatnonzero(is_surrogate)[0]) // (array.dtype.itemsize // 4)
        problem = f"{name} must hold Unicode texts, received a lone surrogate: {format_value(array.flat[position])}"
        raise ValueError(message(problem, hint='use text.encode("utf-8", "replace").decode()'))


def _padding(value: object, name: str) -> str:
    """Return code that pads lists of numbers or strings, such as a label for each step; empty for other values."""
    if not isinstance(value, list | tuple) or not all(isinstance(row, list | tuple) for row in value):
        return ""
    items = [item for row in value for item in row]
    if items and all(isinstance(item, str) for item in items):
        if not _is_label(name):
            return ', or join the words of each: " ".join(words)'
        return f": keras.utils.pad_sequences({name}, padding='post', dtype=object, value={items[0]!r})"
    if all(isinstance(item, int) for item in items):
        return f": keras.utils.pad_sequences({name}, padding='post')"
    return ""


def _multi_label_hint(name: str) -> str:
    """Return a hint for lists of labels, one list for each example; empty for an array of inputs."""
    binarizer = "sklearn.preprocessing.MultiLabelBinarizer().fit_transform(y)"
    hint = f"for several classes per example, pass a column of 0 and 1 for each class: {binarizer}"
    return hint if _is_label(name) else ""


def _is_label(name: str) -> bool:
    """Return whether the name of an array is that of labels: `y`, `test y` or `y['output']`."""
    return name.split("[")[0].split(" ")[-1] == "y"


def _is_missing(item: object) -> bool:
    """Return whether a value is None or NaN, as pandas marks a missing string."""
    return item is None or (isinstance(item, float) and item != item)


def _check_labels(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        rows = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(1))
        problem = f"{name} has {len(rows):,} labels that are NaN or infinite, the first at index {rows[0]}"
        raise ValueError(message(problem, hint="remove those examples or correct their labels"))
    return array.astype("int32") if array.dtype.kind in "iu" and array.dtype.itemsize < 4 else array


def count_classes(labels: object) -> int | None:
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
