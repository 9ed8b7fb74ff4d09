"""Texts and token ids: validation, conversion, masks and batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.utils.errors import format_value, message
from deepkit.utils.lazy_tensorflow import tf

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor

OUTSIDE_MARK = "no row for a token id"
"""The first part of an assertion in a graph about a token id, the embedding, its number of rows and the id."""

PADDING_MARK = "padding before a token id"
"""The message of an assertion in a graph."""


def token_ids(
    layer: Callable[[Tensor], Tensor], texts: Tensor, network: keras.Model, *, can_be_empty: bool = True
) -> Tensor:
    """Return the ids of texts; ids are checked and returned unchanged.

    Args:
        layer: Layer from texts to ids.
        texts: Texts `(batch,)` or `(batch, 1)`, or ids `(batch, time)`.
        network: The encoder or decoder, whose first embedding has a row for each id.
        can_be_empty: Whether ids may be padding alone.

    Raises:
        ValueError: The tensor holds neither texts nor ids; or, unless it is part of a graph, an id is out of range or
            follows padding.
    """
    check_text_spec(texts.dtype, tuple(texts.shape))
    if holds_texts(texts):
        return layer(texts)
    embedding = next(layer for layer in network.layers if isinstance(layer, keras.layers.Embedding))
    ids = ops.cast(texts, "int64")
    low, high = ops.min(ids), ops.max(ids)
    is_in_range = ops.logical_and(low >= 0, high < embedding.input_dim)
    outside = ops.where(low < 0, low, high)
    is_padding = ops.equal(ids, 0)
    is_misplaced = ops.any(ops.logical_and(is_padding[:, :-1], ops.logical_not(is_padding[:, 1:])))
    if not can_be_empty:
        is_misplaced = ops.logical_or(is_misplaced, ops.any(is_padding[:, 0]))
    if tf.executing_eagerly():
        _check_concrete_ids(bool(is_in_range), bool(is_misplaced), int(outside), embedding)
        return texts
    assertions = [
        tf.debugging.Assert(is_in_range, [OUTSIDE_MARK, embedding.name, embedding.input_dim, outside]),
        tf.debugging.Assert(ops.logical_not(is_misplaced), [PADDING_MARK]),
    ]
    with tf.control_dependencies(assertions):
        return tf.identity(texts)


def holds_texts(tensor: Tensor) -> bool:
    """Return whether a tensor holds strings, and not ids."""
    return bool(keras.backend.standardize_dtype(tensor.dtype) == "string")


def check_text_spec(dtype: Any, shape: tuple[int | None, ...], name: str = "texts") -> None:
    """Raise a ValueError if a tensor holds neither texts, `(batch,)` or `(batch, 1)`, nor ids, `(batch, time)`.

    Args:
        dtype: Dtype of the tensor.
        shape: Its shape.
        name: Name of the texts, for the message.
    """
    dtype_name = keras.backend.standardize_dtype(dtype)
    if dtype_name == "string":
        fits = len(shape) == 1 or shape[1:] == (1,)
        hint = 'pass one text for each example: " ".join(words)'
    else:
        fits = "int" in dtype_name and len(shape) == 2 and shape[1] != 0
        hint = "pass an array of strings, or a row of token ids for each text"
    if not fits:
        problem = (
            f"{name}: expected strings (batch,) or integer token ids (batch, time), received {dtype_name} of shape "
            f"{shape}"
        )
        raise ValueError(message(problem, hint=hint))


def padding_message(clause: str = "") -> str:
    """Return the message about padding before a token id.

    Args:
        clause: A clause that names the state to which a model was restored.
    """
    problem = "texts: expected token ids with padding, id 0, only at the end of a row, and at least one id for a source"
    hint = "use keras.utils.pad_sequences(ids, padding='post')"
    return message(f"{problem}; {clause}" if clause else problem, hint=hint)


def _check_concrete_ids(is_in_range: bool, is_misplaced: bool, outside: int, embedding: keras.layers.Embedding) -> None:
    if not is_in_range:
        problem = f"texts: expected token ids from 0 to {embedding.input_dim - 1}, received {outside}"
        raise ValueError(message(problem, path=embedding.name, hint="use the ids of the model's text layer"))
    if is_misplaced:
        raise ValueError(padding_message())


def as_string_array(value: Any) -> Any:
    """Convert lists and arrays of texts to arrays of strings of dtype object, which Keras accepts.

    Keras refuses lists, fixed-width strings, and the bytes that `Pipeline.arrays` returns.
    """
    is_list = isinstance(value, list | tuple) and all(isinstance(text, str | bytes) for text in value)
    is_array = isinstance(value, np.ndarray) and value.dtype.kind in "USO"
    if not is_list and not is_array:
        return value
    texts = np.array(value, object)
    for i, text in enumerate(texts.flat):
        texts.flat[i] = _decoded(text)
    return texts


def _decoded(text: Any) -> Any:
    return text.decode("utf-8") if isinstance(text, bytes) else text


def reverse_ids(ids: Tensor) -> Tensor:
    """Reverse the ids of each row, and leave its padding at the end."""
    lengths = ops.sum(ops.cast(ops.not_equal(ids, 0), "int32"), 1)[:, None]
    steps = ops.arange(ops.shape(ids)[1])[None]
    return ops.take_along_axis(ids, ops.where(steps < lengths, lengths - 1 - steps, steps), axis=1)


def token_mask(target: Tensor, *, with_end: bool = True) -> Tensor:
    """Return the mask `(batch, time + 1)` of the tokens of each target, and its end.

    Args:
        target: Ids, `(batch, time)`.
        with_end: Whether the end is a token.
    """
    lengths = ops.sum(ops.cast(ops.not_equal(target, 0), "int32"), 1)[:, None]
    steps = ops.arange(ops.shape(target)[1] + 1)[None]
    return steps <= lengths if with_end else steps < lengths


def labels_of(target: Tensor, mask: Tensor) -> Tensor:
    """Return the ids of all tokens of a batch, `(tokens,)`.

    Args:
        target: Ids, `(batch, time)`.
        mask: The mask of the tokens, `(batch, time + 1)`.
    """
    return tf.boolean_mask(ops.pad(target, [[0, 0], [0, 1]]), mask)


def weights_of(sample_weight: Tensor | None, mask: Tensor) -> Tensor:
    """Return the weight of each token, the sample weight of its text, `(tokens,)`.

    Args:
        sample_weight: Weights, `(batch,)`; None for 1.
        mask: The mask of the tokens, `(batch, time + 1)`.
    """
    weight = 1.0 if sample_weight is None else ops.reshape(ops.cast(sample_weight, "float32"), (-1, 1))
    return tf.boolean_mask(ops.cast(mask, "float32") * weight, mask)


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of values with weights of the same shape; 0 if all weights are 0."""
    return ops.sum(values * weights) / ops.maximum(ops.sum(weights), 1e-7)


def is_single_text(value: object) -> bool:
    """Return whether a value is one text, for which a method of texts returns one result in place of a list."""
    return isinstance(value, str | bytes)


def validate_texts(value: object, name: str) -> list[str]:
    """Return a list of strings; of one string for a single text.

    Args:
        value: A string, or a list, tuple or array of strings. Each may be bytes, as `Pipeline.arrays` returns them.
        name: Name of the argument, for the message.

    Raises:
        TypeError: The value is not text, or holds a value that is not a string.
        ValueError: A string is not valid Unicode.
    """
    if is_single_text(value):
        value = [value]
    if not isinstance(value, list | tuple | np.ndarray) or (isinstance(value, np.ndarray) and value.ndim != 1):
        raise _not_texts(value, name)
    texts = []
    for text in value:
        try:
            decoded = _decoded(text)
            if not isinstance(decoded, str):
                raise _not_texts(text, name)
            decoded.encode()
        except UnicodeError as error:
            problem = f"{name}: expected Unicode texts, received {format_value(text)} ({error})"
            raise ValueError(message(problem, hint='use text.encode("utf-8", "replace").decode()')) from error
        texts.append(str(decoded))
    return texts


def _not_texts(value: object, name: str) -> TypeError:
    problem = f"{name}: expected a list of texts, received {type(value).__name__} {format_value(value)}"
    return TypeError(message(problem, hint='pass ["a text"]'))


def length_bucketed_batches(rows: list[int], texts: list[str], batch_size: int) -> Iterator[list[int]]:
    """Yield batches of row numbers whose texts have similar lengths."""
    ordered = sorted(rows, key=lambda row: len(texts[row]))
    for i in range(0, len(ordered), batch_size):
        yield ordered[i : i + batch_size]
