"""A Functional model in two: what it computes from one input alone, and the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor


def split_by_input(model: keras.Model, index: int) -> tuple[keras.Model, keras.Model]:
    """Split a Functional model, whose layers it calls once each, without copying a layer.

    Args:
        model: A Functional model with several inputs.
        index: Index of the input from which the first model computes.

    Returns:
        A model from this input to a list of tensors, and a model from the other inputs and these tensors to the
        outputs of `model`.

    Examples:
        >>> import keras
        >>> query, memory = keras.Input((4,)), keras.Input((4,))
        >>> keys = keras.layers.Dense(4, name="keys")(memory)
        >>> model = keras.Model([query, memory], keras.layers.Dot(1)([query, keys]))
        >>> first, second = split_by_input(model, 1)
        >>> [layer.name for layer in first.layers[1:]], len(second.inputs)
        (['keys'], 2)
    """
    start = model.inputs[index]
    from_start, needed = {id(start)}, {id(tensor): tensor for tensor in model.outputs}
    tensors = {id(start): start}
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        inputs, outputs = _tensors(layer.input), _tensors(layer.output)
        if all(id(tensor) in from_start for tensor in inputs):
            from_start.update(map(id, outputs))
            tensors.update((id(tensor), tensor) for tensor in outputs)
        else:
            needed.update((id(tensor), tensor) for tensor in inputs)
    shared = [tensor for key, tensor in tensors.items() if key in needed]
    others = [tensor for tensor in model.inputs if tensor is not start]
    return keras.Model(start, shared), keras.Model([*others, *shared], model.output)


def _tensors(structure: object) -> list[KerasTensor]:
    return list(keras.tree.flatten(structure))
