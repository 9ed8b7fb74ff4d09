"""Vocabularies learned from data: `adapt` fills every `TextVectorization` layer of a model that has none yet."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from deepkit.utils.errors import message

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset, Nested, Tensor

__all__ = ["adapt", "text_layers", "unadapted"]


def unadapted(model: keras.Model) -> list[keras.layers.TextVectorization]:
    """Return the text layers of a model and of its nested models that have no vocabulary yet.

    Args:
        model: A built model.
    """
    return [layer for layer in text_layers(model) if not layer.get_vocabulary(include_special_tokens=False)]


def text_layers(model: keras.Model) -> list[keras.layers.TextVectorization]:
    """Return the text layers of a model and of its nested models, each once."""
    layers = (layer for layer in _nested_layers(model) if isinstance(layer, keras.layers.TextVectorization))
    return list(dict.fromkeys(layers))


def adapt(model: keras.Model, dataset: Dataset) -> list[str]:
    """Adapt every text layer without a vocabulary to the strings that reach it.

    Tokens are sorted by frequency, and tokens of equal frequency in reverse alphabetical order, so the order of the
    data does not change the vocabulary.

    Args:
        model: A functional or sequential model that has been built, or one that `dk.Seq2Seq` builds.
        dataset: Finite batches of x, or of (x, y), as for `fit`.

    Returns:
        The names of the layers that were adapted.

    Raises:
        ValueError: The data is endless, empty, or contains no tokens.

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
        hint = "use dataset.take(steps), one epoch of the training data"
        raise ValueError(message("adapt: the data is endless", hint=hint))
    if pending and hasattr(model, "adapt"):  # the model knows which texts of a batch belong to which layer
        model.adapt(dataset)
        return [layer.name for layer in pending]
    for layer in pending:
        to_layer = keras.Model(model.inputs, _input_tensors(model, layer))
        layer.adapt(dataset.map(functools.partial(_strings_that_reach, to_layer)))
        if not layer.get_vocabulary(include_special_tokens=False):
            raise ValueError(
                message(
                    "adapt: no token reached the text layer",
                    path=layer.name,
                    hint="pass training data with texts that are not empty",
                )
            )
    return [layer.name for layer in pending]


@tf.autograph.experimental.do_not_convert
def _strings_that_reach(to_layer: keras.Model, *batch: Nested) -> Tensor:
    """Return the strings that reach a layer from one batch in one dimension, those of all uses joined."""
    strings = [tf.reshape(tensor, [-1]) for tensor in keras.tree.flatten(to_layer(batch[0]))]
    return tf.concat(strings, 0)


def _input_tensors(model: keras.Model, layer: keras.layers.Layer) -> list[keras.KerasTensor]:
    """Return the input tensors of a layer of a model, from each of its uses."""
    if layer not in model.layers:
        raise ValueError(
            message(
                f"adapt: the text layer is in a model nested inside {model.name!r}",
                path=layer.name,
                hint="use dk.adapt on the inner model first",
            )
        )
    return [tensor for node in layer._inbound_nodes for tensor in node.input_tensors]


def _nested_layers(model: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from _nested_layers(layer)
