"""A mask given by hand, `model(x, mask=...)`, checked against the input that it is for."""

from __future__ import annotations

import functools
from typing import Any

import keras


def checked(model: keras.Model) -> keras.Model:
    """Let a model say what is wrong with a mask before a loop inside it fails on one; return the model.

    The model stays what it is: nothing of this is saved. Sizes that are not known while a graph is traced are not
    compared.
    """
    inner = model.call

    @functools.wraps(inner)
    def call(inputs: Any, training: Any = None, mask: Any = None, **kwargs: Any) -> Any:
        if mask is not None:
            _check(model, inputs, mask)
        return inner(inputs, training=training, mask=mask, **kwargs)

    object.__setattr__(model, "call", call)  # past Keras, which keeps a list of what is set on a model
    return model


def _check(model: keras.Model, inputs: Any, mask: Any) -> None:
    given = zip(keras.tree.flatten(inputs), keras.tree.flatten(mask), model.inputs, strict=False)
    for x, one, tensor in given:
        if not hasattr(one, "shape") or not hasattr(x, "shape"):
            continue
        received, sizes = tuple(one.shape), tuple(x.shape)
        steps = len(sizes) == 3 and "float" in keras.backend.standardize_dtype(x.dtype)
        wanted = sizes[: 2 if steps else max(len(received), 1)]
        pairs = zip(wanted[1:], received[1:], strict=False)
        fits = len(received) == len(wanted) and all(None in pair or len(set(pair)) == 1 for pair in pairs)
        if not fits or (received[0] not in (None, 1, wanted[0]) and wanted[0] is not None):
            behind = [node.operation.name for node in tensor._keras_history.operation._outbound_nodes]
            raise ValueError(
                f"{(behind or [model.name])[0]}: expected a mask of shape {wanted} for an input of shape {sizes}, "
                f"received one of shape {received}\n"
                "  hint: a mask with a value for each step of each example, or layers.Masking() in the model"
            )
