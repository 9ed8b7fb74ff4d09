"""Vocabularies learnt from data: `adapt` fills every `TextVectorization` of a model that has none yet."""

from __future__ import annotations

import functools
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
    return [layer for layer in text_layers(model) if not layer.get_vocabulary(include_special_tokens=False)]


def text_layers(model: keras.Model) -> list[keras.layers.TextVectorization]:
    """Return the text layers of a model, those of models inside it included, each once."""
    found = dict.fromkeys(layer for layer in _layers(model) if isinstance(layer, keras.layers.TextVectorization))
    return list(found)


def adapt(model: keras.Model, dataset: tf.data.Dataset) -> list[str]:
    """Give every text layer that has none the vocabulary of the strings that reach it.

    The words are sorted by how often they occur, and those as frequent as one another by the alphabet, backwards:
    the same data in another order gives the same vocabulary.

    Args:
        model: A functional or sequential model that has been built, or one that `dk.Seq2Seq` builds.
        dataset: Batches for the model: x, or (x, y), as `fit` takes them; it must end.

    Returns:
        The names of the layers that were adapted.

    Raises:
        ValueError: The data never ends, is empty, or holds no words.

    Examples:
        >>> import deepkit as dk
        >>> import tensorflow as tf
        >>> from deepkit import adapt
        >>> model = dk.Sequential([dk.Text(10)]).build()
        >>> adapt(model, tf.data.Dataset.from_tensors(tf.constant(["a dog", "a cat"])))
        ['text.ids']
        >>> model(tf.constant(["a dog", "cat"])).numpy().tolist()
        [[2, 3], [4, 0]]
    """
    pending = unadapted(model)
    if pending and dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError("adapt: the data never ends\n  hint: dataset.take(steps), one pass over the training data")
    if pending and hasattr(model, "adapt"):  # it knows which texts of a batch go to which layer
        model.adapt(dataset)
        return [layer.name for layer in pending]
    for layer in pending:
        layer.adapt(dataset.map(functools.partial(_arriving, keras.Model(model.inputs, _entering(model, layer)))))
        if not layer.get_vocabulary(include_special_tokens=False):
            raise ValueError(
                f"adapt: no word reached the layer {layer.name!r}\n  hint: training data with texts that are not empty"
            )
    return [layer.name for layer in pending]


@tf.autograph.experimental.do_not_convert
def _arriving(reaches: keras.Model, *batch: Any) -> Any:
    """Return the strings that reach a layer from one batch, (batch,) from each of its uses."""
    return tf.concat([tf.reshape(strings, [-1]) for strings in keras.tree.flatten(reaches(batch[0]))], 0)


def _entering(model: keras.Model, layer: keras.layers.Layer) -> list[keras.KerasTensor]:
    """Return what enters a layer of a model, at each place where it is used."""
    if layer not in model.layers:
        raise ValueError(
            f"adapt: the text layer {layer.name!r} lies in a model nested inside {model.name!r}\n"
            "  hint: dk.adapt on the inner model first"
        )
    return [tensor for node in layer._inbound_nodes for tensor in node.input_tensors]


def _layers(model: Any) -> Iterator[keras.layers.Layer]:
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from _layers(layer)
