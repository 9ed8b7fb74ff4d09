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


def token_ids(layer: Callable[[Tensor], Tensor], texts: Tensor) -> Tensor:
    """Return the ids of texts; a tensor of another dtype than string holds ids and is returned unchanged."""
    return layer(texts) if keras.backend.standardize_dtype(texts.dtype) == "string" else texts


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


def validate_texts(value: object, name: str) -> list[str]:
    """Return a list of strings.

    Args:
        value: A list, tuple or array of strings, or of bytes, as `Pipeline.arrays` returns them.
        name: Name of the argument, for the message.

    Raises:
        TypeError: The value is one string, or holds a value that is not a string.
    """
    if isinstance(value, str | bytes):
        problem = f"{name}: expected a list of texts, received one text"
        raise TypeError(message(problem, hint=f"pass [{format_value(value)}]"))
    if not isinstance(value, list | tuple | np.ndarray):
        raise _not_texts(value, name)
    texts = [_decoded(text) for text in value]
    for text in texts:
        if not isinstance(text, str):
            raise _not_texts(text, name)
    return [str(text) for text in texts]


def _not_texts(value: object, name: str) -> TypeError:
    problem = f"{name}: expected a list of texts, received {type(value).__name__} {format_value(value)}"
    return TypeError(message(problem, hint='pass ["a text"]'))


def length_bucketed_batches(rows: list[int], texts: list[str], batch_size: int) -> Iterator[list[int]]:
    """Yield batches of row numbers whose texts have similar lengths."""
    ordered = sorted(rows, key=lambda row: len(texts[row]))
    for i in range(0, len(ordered), batch_size):
        yield ordered[i : i + batch_size]
