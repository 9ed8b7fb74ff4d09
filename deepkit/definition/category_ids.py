"""Category ids: the layers of a definition that would read them as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.definition.layer_checks import Problem

if TYPE_CHECKING:
    from deepkit.utils.types import Tensors

_PRODUCERS = (
    layers.HashedCrossing, layers.Hashing, layers.IntegerLookup, layers.StringLookup, layers.TextVectorization,
)  # fmt: skip
_FORWARDING_LAYERS = (
    layers.Concatenate, layers.Cropping1D, layers.Dropout, layers.Flatten, layers.Identity, layers.Masking,
    layers.Permute, layers.RepeatVector, layers.Rescaling, layers.Reshape, layers.ZeroPadding1D,
)  # fmt: skip
_FORWARDING_OPERATIONS = (
    "Cast", "Concatenate", "ExpandDims", "GetItem", "Reshape", "Squeeze", "Stack", "Transpose",
)  # fmt: skip
_WEIGHTED = (
    layers.Dense, layers.EinsumDense, layers.RNN, layers.Bidirectional, layers.TimeDistributed,
    layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.Conv1DTranspose, layers.Conv2DTranspose,
    layers.Conv3DTranspose, layers.SeparableConv1D, layers.SeparableConv2D, layers.DepthwiseConv1D,
    layers.DepthwiseConv2D, layers.BatchNormalization, layers.LayerNormalization, layers.Normalization,
)  # fmt: skip
_MAX_STEPS = 1000  # operations from a layer back to the ids


def category_id_problem(layer: keras.layers.Layer, x: Tensors) -> Problem | None:
    """Return a problem if a layer would read ids of words or categories as numbers: their order has no meaning."""
    producer = _find_producer(x) if isinstance(layer, _WEIGHTED) else None
    if producer is None:
        return None
    num_ids = _num_ids(producer)
    if num_ids is not None and num_ids <= 2:
        return None  # one id of two is a binary feature
    name = type(producer).__name__
    if isinstance(producer, layers.TextVectorization):
        kind, example = "token ids", f'keras.layers.TextVectorization({num_ids or 10_000}, output_mode="multi_hot")'
        hint = f"or {example} in its place"
        if name == "TokenIds":
            name, hint = "dk.Text", f"or {example} in place of dk.Text"
    else:
        kind, hint = "category ids", f'or {name}(..., output_mode="one_hot")'
        if isinstance(producer, layers.IntegerLookup | layers.StringLookup):
            hint = f'{hint}, or output_mode="multi_hot" for several categories per example'
    return Problem(
        f"expected vectors as the input of {type(layer).__name__}, received the {kind} "
        f"of {name} {producer.name!r} as numbers",
        f"put keras.layers.Embedding({num_ids or 'num_ids'}, 32) after {name}, {hint}",
    )


def _find_producer(x: Tensors) -> Any:
    """Return the layer whose ids reach a layer through operations that keep their values; None for other inputs."""
    pending = keras.tree.flatten(x)
    for _ in range(_MAX_STEPS):
        if not pending:
            return None
        tensor = pending.pop()
        history = getattr(tensor, "_keras_history", None)
        operation = getattr(history, "operation", None)
        if isinstance(operation, _PRODUCERS):
            if operation.get_config()["output_mode"] == "int":
                return operation
            continue
        if operation is None or history is None:
            continue
        if isinstance(operation, _FORWARDING_LAYERS) or type(operation).__name__ in _FORWARDING_OPERATIONS:
            node = operation._inbound_nodes[history.node_index]
            pending += node.input_tensors
    return None


def _num_ids(producer: Any) -> int | None:
    """Return the number of ids of a layer; None if it is unknown."""
    config = producer.get_config()
    num_ids: int | None = config.get("num_bins")
    if num_ids is not None:
        return num_ids
    size = int(producer.vocabulary_size())
    # a vocabulary without a token is not adapted yet
    return size if size > 2 or config.get("vocabulary") is not None else config.get("max_tokens")
