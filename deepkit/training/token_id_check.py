"""Detect token ids outside the range of an embedding, in every batch of the data.

TensorFlow raises an error for such an id on a CPU. A GPU returns a row of zeros, and XLA the last row; a negative id
counts from the end. `batch_checks` therefore checks the ids in the data pipeline, before they reach the device.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import keras
import tensorflow as tf

from deepkit.models.tokens import OUTSIDE_MARK, PADDING_MARK, padding_message
from deepkit.training.errors import TokenIdError, restored_state

if TYPE_CHECKING:
    from deepkit.utils.types import Nested

_ASSERTION = re.compile(rf"\[{OUTSIDE_MARK}\] \[(?P<layer>.*?)\] \[(?P<input_dim>\d+)\] \[(?P<id>-?\d+)\]")
_TENSORFLOW_ERROR = re.compile(r"indices\[[\d,]*\] = (?P<id>-?\d+) is not in \[0, (?P<input_dim>\d+)\)")


class EmbeddingInput(NamedTuple):
    """An input of a model that goes directly into an embedding."""

    position: int  # among the flattened inputs
    layer: str
    input_dim: int


def explain_error(error: Exception, model: keras.Model, epoch: int, checkpoint: Path | None) -> Exception | None:
    """Return a `TokenIdError` or a `ValueError` for a TensorFlow error about token ids; None for any other error."""
    text = str(error)
    if f"[{PADDING_MARK}]" in text:
        return ValueError(padding_message(f"in epoch {epoch}, {restored_state(epoch, checkpoint)}"))
    match = _ASSERTION.search(text)
    if match:
        return TokenIdError(match["layer"], int(match["id"]), int(match["input_dim"]), epoch, checkpoint)
    match = _TENSORFLOW_ERROR.search(text)
    if not match:
        return None
    token_id, input_dim = int(match["id"]), int(match["input_dim"])
    candidates = [layer.name for layer in _embeddings(model) if layer.input_dim == input_dim]
    named_in_error = [name for name in candidates if name in text]
    for name in named_in_error or candidates:
        return TokenIdError(name, token_id, input_dim, epoch, checkpoint)
    return None


def _embeddings(model: keras.Model) -> list[keras.layers.Embedding]:
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]


def embedding_inputs(model: keras.Model, batch_spec: object) -> list[EmbeddingInput]:
    """Return the inputs of a model that go directly into an embedding."""
    inputs = getattr(model, "input", None)
    input_spec = batch_spec[0] if isinstance(batch_spec, tuple) else batch_spec
    if inputs is None or isinstance(inputs, dict) != isinstance(input_spec, dict):
        return []
    tensors = keras.tree.flatten(inputs)
    if len(keras.tree.flatten(input_spec)) != len(tensors):
        return []
    positions = {id(tensor): position for position, tensor in enumerate(tensors)}
    embedding_inputs = []
    for layer in _embeddings(model):
        for node in layer._inbound_nodes:
            for tensor in node.input_tensors:
                if id(tensor) in positions:
                    embedding_inputs.append(EmbeddingInput(positions[id(tensor)], layer.name, layer.input_dim))
    return embedding_inputs


def check_batch(embeddings: Sequence[EmbeddingInput], inputs: Nested) -> None:
    """Add the assertions about the token ids to the graph that prepares a batch."""
    leaves = keras.tree.flatten(inputs)
    for position, layer, input_dim in embeddings:
        ids = leaves[position]
        if tf.is_tensor(ids) and not isinstance(ids, tf.RaggedTensor | tf.SparseTensor):
            ids = tf.cast(ids, tf.int64)
            low, high = tf.reduce_min(ids), tf.reduce_max(ids)
            in_range = (low >= 0) & (high < input_dim)
            tf.debugging.Assert(in_range, [OUTSIDE_MARK, layer, input_dim, tf.where(low < 0, low, high)])
