"""A Functional model in two parts: what it computes from one input alone, and the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


class SplitModel:
    """The layers of a Functional model in two parts, which run one after the other in inference mode.

    Nothing is copied, and no Keras model is made: a second Functional model of the same layers would change the nodes
    that Keras needs to save the first one.

    Args:
        model: A Functional model with several inputs.
        index: Index of the input from which the first part computes.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> query, memory = keras.Input((4,)), keras.Input((4,))
        >>> keys = keras.layers.Dense(4, name="keys")(memory)
        >>> model = keras.Model([query, memory], keras.layers.Dot(1)([query, keys]))
        >>> split = SplitModel(model, 1)
        >>> projected = split.first(np.ones((2, 4)))
        >>> [tensor.shape.as_list() for tensor in projected]
        [[2, 4]]
        >>> split.rest([np.ones((2, 4))], projected).shape.as_list()
        [2, 1]
    """

    def __init__(self, model: keras.Model, index: int) -> None:
        self._model, self._start = model, model.inputs[index]
        self._others = [tensor for tensor in model.inputs if tensor is not self._start]
        self._first: list[Any] = []  # nodes: calls of layers
        self._rest: list[Any] = []
        from_start = {id(self._start): self._start}
        for node in _nodes(model):
            is_first = all(id(tensor) in from_start for tensor in node.input_tensors)
            (self._first if is_first else self._rest).append(node)
            from_start.update({id(tensor): tensor for tensor in node.outputs} if is_first else {})
        needed = {id(tensor) for node in self._rest for tensor in node.input_tensors} | set(map(id, model.outputs))
        self._shared = [tensor for key, tensor in from_start.items() if key in needed]

    def first(self, value: Tensor) -> list[Tensor]:
        """Return the tensors that the rest needs, computed from one input.

        Args:
            value: The value of the input.
        """
        values = _run(self._first, {id(self._start): value})
        return [values[id(tensor)] for tensor in self._shared]

    def rest(self, others: Sequence[Tensor], shared: Sequence[Tensor]) -> Any:
        """Return the outputs of the model.

        Args:
            others: The values of the other inputs.
            shared: The result of `first`.
        """
        keys = [id(tensor) for tensor in (*self._others, *self._shared)]
        values = _run(self._rest, dict(zip(keys, (*others, *shared), strict=True)))
        outputs = [values[id(tensor)] for tensor in self._model.outputs]
        return outputs if len(outputs) > 1 else outputs[0]


def _nodes(model: keras.Model) -> list[Any]:
    """Return the calls of the layers of a Functional model, each after those whose outputs it needs."""
    depths = sorted(model._nodes_by_depth, reverse=True)
    nodes = [node for depth in depths for node in model._nodes_by_depth[depth]]
    return [node for node in nodes if node.operation and not node.is_input]


def _run(nodes: Sequence[Any], values: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """Return the values of all tensors by identity, from those of the first ones."""
    values = dict(values)
    for node in nodes:
        args, kwargs = node.arguments.fill_in(values)
        if getattr(node.operation, "_call_has_training_arg", False):
            kwargs["training"] = False
        outputs = keras.tree.flatten(node.operation(*args, **kwargs))
        values.update(zip(map(id, node.outputs), outputs, strict=True))
    return values
