"""The fitted state of a preprocessing layer: compute it from data, and capture and restore it as JSON values."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from deepkit.definition.preprocessing import LOOKUPS
from deepkit.layers.token_ids import describe_vocabulary
from deepkit.utils.errors import StructuredError

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor, Tensor

FittedState: TypeAlias = dict[str, Any]
"""The class of a layer, and its statistics, bin boundaries or vocabulary, as JSON values."""

_CHUNK_SIZE = 2**24  # number of values in one update of the quantiles


class AdaptationError(StructuredError, ValueError):
    """A preprocessing layer cannot be adapted to the data that reaches it."""


def adapt(layer: keras.layers.Layer, x: KerasTensor, values: Iterable[Tensor]) -> None:
    """Compute the fitted state of a layer.

    The result does not depend on the order of the values, nor on their batches.

    Args:
        layer: The layer.
        x: Its symbolic input.
        values: The values of its input, batch by batch.

    Raises:
        AdaptationError: There are no values, or they do not fit the layer.
    """
    if isinstance(layer, LOOKUPS):
        _adapt_lookup(layer, values)
        return
    if keras.backend.standardize_dtype(x.dtype) == "string":
        raise AdaptationError(f"{_class_name(layer)} expects numbers, received strings", hint=_string_hint(layer))
    if isinstance(layer, layers.Normalization):
        _adapt_normalization(layer, x, values)
    else:
        _adapt_discretization(layer, values)


def capture(layer: keras.layers.Layer) -> FittedState:
    """Return the fitted state of an adapted layer."""
    state: FittedState = {"class": _class_name(layer)}
    if isinstance(layer, layers.Normalization):
        state["mean"], state["variance"] = _to_list(layer.adapt_mean), _to_list(layer.adapt_variance)
    elif isinstance(layer, layers.Discretization):
        state["bin_boundaries"] = list(layer.bin_boundaries)
    else:
        weights = _idf_weights(layer)
        vocabulary = layer.get_vocabulary(include_special_tokens=weights is not None)
        state["vocabulary"] = [str(item) if isinstance(item, str) else int(item) for item in vocabulary]
        if weights is not None:
            state["idf_weights"] = _to_list(weights)[: len(vocabulary)]
    return state


def restore(layer: keras.layers.Layer, x: KerasTensor, state: FittedState) -> bool:
    """Set the fitted state of a layer; return False if the state belongs to another layer.

    Args:
        layer: A layer that is not adapted.
        x: Its symbolic input.
        state: The state that `capture` returned.
    """
    if state.get("class") != _class_name(layer):
        return False
    if isinstance(layer, layers.Normalization):
        _build(layer, x)
        if np.shape(state["mean"]) != tuple(layer.adapt_mean.shape):
            return False
        _set_statistics(layer, np.asarray(state["mean"]), np.asarray(state["variance"]), count=1)
    elif isinstance(layer, layers.Discretization):
        layer.bin_boundaries = list(state["bin_boundaries"])
    else:
        layer.set_vocabulary(state["vocabulary"], state.get("idf_weights"))
        _store_in_config(layer)
    return True


def describe(layer: keras.layers.Layer) -> str:
    """Return the fitted state of an adapted layer as text: "mean and variance of 13 features"."""
    if isinstance(layer, layers.Normalization):
        count = int(np.prod(layer.adapt_mean.shape))
        return "mean and variance of " + ("all values" if layer.axis == () else _plural(count, "feature"))
    if isinstance(layer, layers.Discretization):
        return _plural(len(layer.bin_boundaries) + 1, "bin")
    if isinstance(layer, layers.TextVectorization):
        text = describe_vocabulary(layer)
    else:
        text = f"a vocabulary of {_plural(len(layer.get_vocabulary(include_special_tokens=False)), 'value')}"
    return text + (" with their weights" if _idf_weights(layer) is not None else "")


def _adapt_normalization(layer: layers.Normalization, x: KerasTensor, values: Iterable[Tensor]) -> None:
    """Compute mean and variance in 64 bits: a sum over batches, as Keras's `adapt` of a dataset, in a stable form."""
    _build(layer, x)
    if getattr(layer, "ignores_nan", False):
        _adapt_present_values(layer, values)
        return
    mean: Any = np.zeros(layer.adapt_mean.shape)
    squares: Any = np.zeros(layer.adapt_mean.shape)  # sum of squared differences from the mean
    count = 0
    for array in _finite_arrays(layer, values):
        feature_axes = {axis % array.ndim for axis in layer.axis}
        reduced = tuple(axis for axis in range(array.ndim) if axis not in feature_axes)
        size = int(np.prod([array.shape[axis] for axis in reduced]))
        batch_mean = array.mean(reduced, dtype="float64")
        batch_squares = np.square(array - array.mean(reduced, keepdims=True, dtype="float64")).sum(reduced)
        difference, count = batch_mean - mean, count + size
        mean = mean + difference * size / count
        squares = squares + batch_squares + np.square(difference) * size * (count - size) / count
    if not count:
        raise _no_data(layer)
    _set_statistics(layer, mean, squares / count, count)


def _adapt_present_values(layer: layers.Normalization, values: Iterable[Tensor]) -> None:
    """Compute mean and variance of each feature in 64 bits without NaN; a feature of equal values has variance 1."""
    mean: Any = np.zeros(layer.adapt_mean.shape)
    squares: Any = np.zeros(layer.adapt_mean.shape)
    counts: Any = np.zeros(layer.adapt_mean.shape)
    for array in _finite_arrays(layer, values):
        present = ~np.isnan(array)
        sizes = present.sum(0)
        batch_mean = np.where(present, array, 0).sum(0) / np.maximum(sizes, 1)
        batch_squares = np.square(np.where(present, array - batch_mean, 0)).sum(0)
        difference, counts = batch_mean - mean, counts + sizes
        mean = mean + difference * sizes / np.maximum(counts, 1)
        squares = squares + batch_squares + np.square(difference) * sizes * (counts - sizes) / np.maximum(counts, 1)
    if not counts.any():
        raise _no_data(layer)
    variance = squares / np.maximum(counts, 1)
    is_constant = variance <= np.square(np.finfo("float32").eps * mean)
    _set_statistics(layer, mean, np.where(is_constant, 1.0, variance), int(counts.max()))


def _set_statistics(layer: layers.Normalization, mean: np.ndarray, variance: np.ndarray, count: int) -> None:
    layer.adapt_mean.assign(mean.astype("float32"))
    layer.adapt_variance.assign(variance.astype("float32"))
    if not mean.any() and (variance == 1).all():
        # Keras does not use `count`: a positive one marks adapted statistics that equal the initial values
        layer.count.assign(min(count, 2**31 - 1))
    layer.finalize_state()


def _adapt_discretization(layer: layers.Discretization, values: Iterable[Tensor]) -> None:
    """Compute the quantiles of all values at once, because a summary of many batches depends on their order."""
    layer.reset_state()
    chunk: list[np.ndarray] = []
    is_empty = True
    for array in _finite_arrays(layer, values):
        chunk.append(array.astype("float32").reshape(-1))
        is_empty = is_empty and not array.size
        if sum(item.size for item in chunk) >= _CHUNK_SIZE:
            layer.update_state(np.concatenate(chunk))
            chunk = []
    if is_empty:
        raise _no_data(layer)
    if chunk:
        layer.update_state(np.concatenate(chunk))
    layer.finalize_state()


def _adapt_lookup(layer: keras.layers.Layer, values: Iterable[Tensor]) -> None:
    layer.reset_state()
    is_empty = True
    for tensor in values:
        _check_lookup_input(layer, tensor)
        is_empty = is_empty and not int(tf.size(tensor))
        is_text = isinstance(layer, layers.TextVectorization)
        layer.update_state(tensor[:, None] if is_text and len(tensor.shape) == 1 else tensor)
    if is_empty:
        raise _no_data(layer)
    with contextlib.suppress(tf.errors.InvalidArgumentError):  # Keras makes no table of an empty vocabulary
        layer.finalize_state()
    if not layer.get_vocabulary(include_special_tokens=False):
        if isinstance(layer, layers.TextVectorization):
            raise AdaptationError(
                "adapt: no token reached the text layer", hint="pass training data with texts that are not empty"
            )
        raise AdaptationError("adapt: no value reached the lookup layer", hint="pass training data with more values")
    _store_in_config(layer)


def _check_lookup_input(layer: keras.layers.Layer, tensor: Tensor) -> None:
    has_strings = tensor.dtype == tf.string
    if has_strings == (not isinstance(layer, layers.IntegerLookup)):
        return
    expected, received = ("strings", tensor.dtype.name) if not has_strings else ("integers", "strings")
    raise AdaptationError(f"{_class_name(layer)} expects {expected}, received {received}", hint=_string_hint(layer))


def _string_hint(layer: keras.layers.Layer) -> str:
    if isinstance(layer, layers.StringLookup | layers.TextVectorization):
        return "use layers.IntegerLookup() for integers"
    return "use layers.StringLookup(), or convert the strings to numbers"


def _store_in_config(layer: keras.layers.Layer) -> None:
    """Store a vocabulary in the config if Keras cannot read it from its text file, which has one value per line."""
    lookup: Any = getattr(layer, "_lookup_layer", layer)
    if hasattr(layer, "raises_without_vocabulary") or isinstance(layer, layers.IntegerLookup):
        return  # the first saves its vocabulary itself, and integers contain no line breaks
    vocabulary = layer.get_vocabulary()
    lines = "\n".join(map(str, vocabulary)).splitlines()
    while lines and lines[-1] == "":  # as Keras reads it
        lines.pop()
    if lines == list(map(str, vocabulary)):
        return
    weights = _idf_weights(layer)
    lookup.input_vocabulary = list(map(str, vocabulary))
    lookup.input_idf_weights = None if weights is None else _to_list(weights)[: len(vocabulary)]


def _finite_arrays(layer: keras.layers.Layer, values: Iterable[Tensor]) -> Iterator[np.ndarray]:
    for value in values:
        array = np.asarray(keras.ops.convert_to_numpy(value))
        if array.dtype.kind not in "biu":
            array = array.astype("float64")
            ignores_nan = getattr(layer, "ignores_nan", False)
            if np.isinf(array).any() or (not ignores_nan and np.isnan(array).any()):
                kind = "NaN" if np.isnan(array).any() and not ignores_nan else "infinity"
                raise AdaptationError(
                    f"{_class_name(layer)} cannot be adapted: the data that reaches it contains {kind}",
                    hint="remove those examples, or replace missing values, before training",
                )
        yield array


def _no_data(layer: keras.layers.Layer) -> AdaptationError:
    return AdaptationError(
        f"{_class_name(layer)} cannot be adapted: no data reached it", hint="pass training data that is not empty"
    )


def _build(layer: layers.Normalization, x: KerasTensor) -> None:
    if not layer.built:
        layer.build(tuple(x.shape))


def _idf_weights(layer: keras.layers.Layer) -> Any:
    lookup: Any = getattr(layer, "_lookup_layer", layer)
    return lookup.idf_weights_const if getattr(lookup, "output_mode", "") == "tf_idf" else None


def _to_list(value: Any) -> Any:
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(value))).tolist()


def _class_name(layer: keras.layers.Layer) -> str:
    return type(layer).__name__


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
