"""Vocabularies learnt from data: `adapt` fills every `TextVectorization` of a model that has none yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

__all__ = ["adapt", "unadapted"]


def unadapted(model: keras.Model) -> list[keras.layers.TextVectorization]:
    """Return the text layers of a model, those of models inside it included, that have no vocabulary yet.

    Args:
        model: A built model.
    """
    found = dict.fromkeys(layer for layer in _layers(model) if isinstance(layer, keras.layers.TextVectorization))
    return [layer for layer in found if not layer.get_vocabulary(include_special_tokens=False)]


def adapt(model: keras.Model, dataset: tf.data.Dataset) -> list[str]:
    """Give every text layer that has none the vocabulary of the strings that reach it.

    The words are sorted by how often they occur, and those as frequent as one another by the alphabet, backwards:
    the same data in another order gives the same vocabulary.

    Args:
        model: A functional or sequential model that has been built.
        dataset: Batches for the model: x, or (x, y), as `fit` takes them; it must end.

    Returns:
        The names of the layers that were adapted.

    Raises:
        ValueError: The data never ends, is empty, or holds no words.

    Examples:
        >>> import deepkit as dk
        >>> import tensorflow as tf
        >>> from deepkit.text import adapt
        >>> model = dk.Sequential([dk.Text(10)]).build()
        >>> adapt(model, tf.data.Dataset.from_tensors(tf.constant(["a dog", "a cat"])))
        ['text.ids']
        >>> model(tf.constant(["a dog", "cat"])).numpy().tolist()
        [[2, 3], [4, 0]]
    """
    pending = unadapted(model)
    if pending and dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError("adapt: the data never ends\n  try dataset.take(steps), one pass over the training data")
    for layer in pending:
        reaches = keras.Model(model.inputs, layer.input)
        layer.adapt(dataset.map(lambda *batch, reaches=reaches: reaches(_x(batch))))
        if not layer.get_vocabulary(include_special_tokens=False):
            raise ValueError(
                f"adapt: no word reached the layer {layer.name!r}\n  try training data with texts that are not empty"
            )
    return [layer.name for layer in pending]


def _x(batch: tuple[Any, ...]) -> Any:
    return batch[0]


def _layers(model: Any) -> Iterator[keras.layers.Layer]:
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from _layers(layer)
