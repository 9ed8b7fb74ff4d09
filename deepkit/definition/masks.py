"""Masks: the layers of a definition that would lose the mask of a sequence, or read its padded steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.definition.layer_checks import Problem, register_input_check

if TYPE_CHECKING:
    from deepkit.utils.types import Tensors

_MERGE_NAMES: dict[type[keras.layers.Layer], str] = {
    layers.Add: "add",
    layers.Average: "average",
    layers.Concatenate: "concat",
    layers.Maximum: "maximum",
    layers.Minimum: "minimum",
    layers.Multiply: "multiply",
    layers.Subtract: "subtract",
}
_HINT = 'use mask_zero=False in the Embedding, or pool before it as dk.Classifier(..., pool="avg") does'


def has_mask(x: Tensors) -> bool:
    """Return whether a sequence, or one of several, has a mask; a mask of vectors, `(batch,)`, does not count."""
    leaves = keras.tree.flatten(x)
    return any(len(leaf.shape) > 2 and getattr(leaf, "_keras_mask", None) is not None for leaf in leaves)


def mask_problem(layer: keras.layers.Layer, x: Tensors) -> Problem | None:
    """Return a problem if a layer does not support the mask of its input: Keras would warn and remove the mask."""
    if layer.supports_masking or not has_mask(x):
        return None
    name = type(layer).__name__
    window = _window(layer)
    if window:
        return Problem(f"{name} with {window} reads padded steps of a masked sequence", _HINT)
    if hasattr(layer, "kernel_size"):
        return Problem(
            f"{name} loses the mask of a sequence",
            "use layers.Dense, which keeps it, or mask_zero=False in the Embedding",
        )
    return Problem(
        f"{name} does not support the mask of its input",
        f"{_HINT}; a custom layer that treats each step separately sets supports_masking = True",
    )


def _window(layer: Any) -> str:
    """Return the argument that makes a layer read several steps, `kernel_size=3`; an empty string without one."""
    for name in ("kernel_size", "pool_size", "strides"):
        value = getattr(layer, name, 1)
        sizes = value if isinstance(value, tuple) else (value,)
        if any(isinstance(size, int) and size > 1 for size in sizes):
            return f"{name}={sizes[0] if len(set(sizes)) == 1 else sizes}"
    return ""


@register_input_check(*_MERGE_NAMES)
def check_merged_masks(layer: keras.layers.Layer, x: Tensors) -> Problem | None:
    """Refuse to merge masked with unmasked tensors: Keras's output has no mask, or one without masked steps."""
    tensors = keras.tree.flatten(x)
    if len({has_mask(tensor) for tensor in tensors}) < 2 or _joins_steps(layer, len(tensors[0].shape)):
        return None
    name = type(layer).__name__
    merge = next(merge for cls, merge in _MERGE_NAMES.items() if isinstance(layer, cls))
    return Problem(
        f"{name} of a masked and an unmasked tensor loses the mask",
        f'use dk.Merge("{merge}") or dk.layers.MaskedMerge(layers.{name}()), which keep it',
    )


def _joins_steps(layer: keras.layers.Layer, rank: int) -> bool:
    """Return whether a layer concatenates sequences one after the other; Keras then joins their masks, too."""
    return isinstance(layer, layers.Concatenate) and rank > 2 and layer.axis % rank == 1


@register_input_check(layers.Dot)
def check_masked_dot(layer: keras.layers.Layer, x: Tensors) -> Problem | None:
    """Refuse a product with a masked tensor: Keras sums over the padded steps, or returns them without a mask."""
    if not has_mask(x):
        return None
    return Problem(
        "Dot reads padded steps of a masked sequence",
        f'use dk.Attention("dot"), or {_HINT.removeprefix("use ")}',
    )
