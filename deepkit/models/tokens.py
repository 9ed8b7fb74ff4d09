"""Texts and their ids on the way into `SequenceToSequence`: taken, turned around, told from padding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops


def ids_of(layer: Any, texts: Any) -> Any:
    """Return ids of texts; what is no text is ids already."""
    return layer(texts) if keras.backend.standardize_dtype(texts.dtype) == "string" else texts


def takeable(value: Any) -> Any:
    """Return strings as Keras takes them: as an array of objects."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "US":
        return value.astype(object)
    texts = isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)
    return np.array(value, object) if texts else value


def reversed_ids(ids: Any) -> Any:
    """Turn each row around up to its padding."""
    lengths = ops.sum(ops.cast(ids != 0, "int32"), 1)[:, None]
    places = ops.arange(ops.shape(ids)[1])[None]
    return ops.take_along_axis(ids, ops.where(places < lengths, lengths - 1 - places, places), axis=1)


def real_places(target: Any) -> Any:
    """Return which of (batch, time + 1) places hold a token: as many as the target has, and one for its end."""
    lengths = ops.sum(ops.cast(target != 0, "int32"), 1)[:, None]
    return ops.arange(ops.shape(target)[1] + 1)[None] <= lengths


def labels_of(target: Any) -> Any:
    """Return the ids of all tokens, the ends among them, one text after the other."""
    return tf.boolean_mask(ops.pad(target, [[0, 0], [0, 1]]), real_places(target))


def weights_of(target: Any, sample_weight: Any) -> Any:
    """Return a weight for each token: that of its text."""
    real = real_places(target)
    each = 1.0 if sample_weight is None else ops.reshape(ops.cast(sample_weight, "float32"), (-1, 1))
    return tf.boolean_mask(ops.cast(real, "float32") * each, real)


def checked_texts(value: Any, name: str) -> list[str]:
    """Return a list of texts, or raise a TypeError that names the argument."""
    if isinstance(value, str | bytes):
        raise TypeError(f"{name}: expected a list of texts, received one\n  hint: [{value!r}]")
    found = list(value) if isinstance(value, list | tuple | np.ndarray) else None
    if found is None or not all(isinstance(text, str) for text in found):
        odd = value if found is None else next(text for text in found if not isinstance(text, str))
        raise TypeError(f'{name}: expected a list of texts, received {type(odd).__name__} {odd!r}\n  hint: ["a text"]')
    return [str(text) for text in found]


def batches_alike(rows: list[int], texts: list[str], size: int) -> Iterator[list[int]]:
    """Return rows in batches of texts that are about as long as one another."""
    ordered = sorted(rows, key=lambda row: len(texts[row]))
    yield from (ordered[i : i + size] for i in range(0, len(ordered), size))
