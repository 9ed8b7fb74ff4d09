"""Token ids that an embedding has no row for: found in every batch, and said in words.

TensorFlow refuses such an id on a CPU; on a GPU it is a row of zeros, and under XLA the last row. A negative id
counts from the end. So the batches are looked through before they reach the device.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from deepkit.training.errors import TokenIdError

_MARK = "no row for a token id"
_FOUND = re.compile(rf"\[{_MARK}\] \[(?P<layer>.*?)\] \[(?P<rows>\d+)\] \[(?P<id>-?\d+)\]")
_REFUSED = re.compile(r"indices\[[\d,]*\] = (?P<id>-?\d+) is not in \[0, (?P<rows>\d+)\)")


def watched(batches: Any, model: keras.Model) -> Any:
    """Return the batches of a dataset, where an id that an embedding behind an input has no row for is an error."""
    places = [] if batches is None else _places(model, batches.element_spec)
    return batches.map(functools.partial(_checked, places)) if places else batches


def explained(error: Exception, model: keras.Model, epoch: int, kept: Path | None) -> TokenIdError | None:
    """Return what an error of TensorFlow says about a token id in words; None where it is about something else."""
    found = _FOUND.search(str(error))
    if found:
        return TokenIdError(found["layer"], int(found["id"]), int(found["rows"]), epoch, kept)
    found = _REFUSED.search(str(error))
    named = [layer.name for layer in _embeddings(model) if found and layer.input_dim == int(found["rows"])]
    said = [name for name in named if name in str(error)] or named
    return TokenIdError(said[0], int(found["id"]), int(found["rows"]), epoch, kept) if found and said else None


def _embeddings(model: keras.Model) -> list[keras.layers.Embedding]:
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]


def _places(model: keras.Model, spec: Any) -> list[tuple[int, str, int]]:
    """Return which input goes into an embedding, the embedding's name, and its rows."""
    inputs, given = getattr(model, "input", None), spec[0] if isinstance(spec, tuple) else spec
    if inputs is None or isinstance(inputs, dict) != isinstance(given, dict):
        return []
    make_input = [id(tensor) for tensor in keras.tree.flatten(inputs)]
    return [
        (make_input.index(id(tensor)), layer.name, layer.input_dim)
        for layer in _embeddings(model)
        for node in layer._inbound_nodes
        for tensor in node.input_tensors
        if id(tensor) in make_input and len(keras.tree.flatten(given)) == len(make_input)
    ]


@tf.autograph.experimental.do_not_convert
def _checked(places: Sequence[tuple[int, str, int]], *batch: Any) -> Any:
    leaves = keras.tree.flatten(batch[0])
    for index, name, rows in places:
        ids = leaves[index]
        if tf.is_tensor(ids) and not isinstance(ids, tf.RaggedTensor | tf.SparseTensor):
            ids = tf.cast(ids, tf.int64)
            low, high = tf.reduce_min(ids), tf.reduce_max(ids)
            tf.debugging.Assert((low >= 0) & (high < rows), [_MARK, name, rows, tf.where(low < 0, low, high)])
    return batch if len(batch) > 1 else batch[0]
