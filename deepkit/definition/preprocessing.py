"""Preprocessing layers that are adapted to data: their classes, their fitted state, and their symbolic inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np
from keras import layers

from deepkit.definition.keras_config import is_automatic_name, snake_case

if TYPE_CHECKING:
    from deepkit.utils.types import Tensors

LOOKUPS = (layers.IntegerLookup, layers.StringLookup, layers.TextVectorization)
ADAPTABLE = (layers.Normalization, layers.Discretization, *LOOKUPS)
HINT = "call layer.adapt(data) first, or train the definition with dk.fit, which adapts it"


@dataclass(frozen=True)
class Use:
    """A use of a preprocessing layer in a model.

    Args:
        layer: The layer.
        x: Its symbolic input; None if the layer is inside a layer whose graph is unknown.
        name: The names of the layer and of the layers around it: `"time_distributed.normalization"`.
    """

    layer: keras.layers.Layer
    x: Tensors | None
    name: str


Adapter: TypeAlias = "Callable[[Tensors, Use], None]"
"""A function that adapts a layer to the data that reaches it, called with the inputs of the model and the use."""


def uses(layer: keras.layers.Layer, x: Tensors, name: str) -> Iterator[Use]:
    """Yield the preprocessing layers in a layer that is called on `x`, in the order in which data reaches them.

    Adapt each layer before the next one is requested: the sizes of later inputs may depend on it.
    """
    if isinstance(layer, ADAPTABLE):
        yield Use(layer, x, name)
        return
    if not any(isinstance(inner, ADAPTABLE) for inner in nested_layers(layer)):
        return
    if isinstance(layer, layers.Wrapper):
        inner_x = _merge_time(x) if isinstance(layer, layers.TimeDistributed) else x
        yield from uses(layer.layer, inner_x, next(_inner_names(name, [layer.layer]))[1])
    elif isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
        for use in uses_in_model(layer, name):
            if use.x is not None:
                use = Use(use.layer, _called_on(layer.inputs, use.x, x), use.name)
            yield use
    elif isinstance(layer, keras.Sequential | layers.Pipeline):
        for inner, inner_name in _inner_names(name, layer.layers):
            yield from uses(inner, x, inner_name)
            x = inner(x)
    else:
        for inner, inner_name in _inner_names(name, nested_layers(layer)):
            if isinstance(inner, ADAPTABLE):
                yield Use(inner, None, inner_name)


def uses_in_model(model: keras.Model, name: str = "") -> Iterator[Use]:
    """Yield the preprocessing layers of a model and its nested models, with their inputs in the graph of the model."""
    if not getattr(model, "inputs", None):
        yield from uses(model, [], name)
        return
    nodes = graph_nodes(model.outputs)
    for node, (layer, inner_name) in zip(nodes, _inner_names(name, [node.operation for node in nodes]), strict=True):
        if isinstance(layer, ADAPTABLE) or any(isinstance(inner, ADAPTABLE) for inner in nested_layers(layer)):
            args = node.arguments.args
            x = args[0] if args else node.input_tensors[0]
            yield from uses(layer, x, inner_name)


def graph_nodes(outputs: Tensors) -> list[Any]:
    """Return the nodes of the graph that computes symbolic tensors, each after those that it depends on."""
    nodes: dict[int, Any] = {}
    stack = [(_node(tensor), False) for tensor in reversed(keras.tree.flatten(outputs))]
    while stack:
        node, is_expanded = stack.pop()
        if id(node) in nodes:
            continue
        if is_expanded:
            nodes[id(node)] = node
            continue
        stack.append((node, True))
        stack.extend((_node(tensor), False) for tensor in reversed(node.input_tensors))
    return list(nodes.values())


def _node(tensor: Any) -> Any:
    operation, node_index, _ = tensor._keras_history
    return operation._inbound_nodes[node_index]


def nested_layers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """Yield the layers in a model, a wrapper, a pipeline or any other layer, at every depth, each once."""
    seen = {id(layer)}
    stack = _direct_layers(layer)[::-1]
    while stack:
        inner = stack.pop()
        if id(inner) not in seen:
            seen.add(id(inner))
            yield inner
            stack.extend(_direct_layers(inner)[::-1])


def _direct_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Return the layers that a layer holds; a text layer holds its lookup, which is a part of it."""
    if isinstance(layer, ADAPTABLE):
        return []
    if isinstance(layer, keras.Model | layers.Pipeline):
        return [*layer.layers]
    values = [item for value in vars(layer).values() for item in _items(value)]
    return [value for value in values if isinstance(value, keras.layers.Layer)]


def _items(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else (value,)


def unadapted_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Return the layer itself and those in it that must be adapted before they are called, each once."""
    candidates = (layer, *nested_layers(layer))
    return [inner for inner in candidates if isinstance(inner, ADAPTABLE) and not is_adapted(inner)]


def is_adapted(layer: keras.layers.Layer) -> bool:
    """Return whether a preprocessing layer has its statistics, bin boundaries or vocabulary, passed or adapted."""
    if isinstance(layer, layers.Normalization):
        return layer.input_mean is not None or (layer.built and not _has_initial_statistics(layer))
    if isinstance(layer, layers.Discretization):
        return layer.bin_boundaries is not None
    return len(layer.get_vocabulary(include_special_tokens=False)) > 0


def has_fitted_state(layer: keras.layers.Layer) -> bool:
    """Return whether a layer was adapted to data, so that its config alone does not make an equal layer."""
    if isinstance(layer, layers.Discretization):
        return layer.num_bins is not None and layer.bin_boundaries is not None
    if not isinstance(layer, LOOKUPS):
        return False
    passed = layer.get_config().get("vocabulary")
    passed = [] if passed is None else list(passed)
    return passed not in (layer.get_vocabulary(include_special_tokens=False), layer.get_vocabulary())


def _has_initial_statistics(layer: layers.Normalization) -> bool:
    """Return whether the statistics are those before `adapt`; `count` is 0 unless deepkit adapted to equal ones."""
    variables = (layer.adapt_mean, layer.adapt_variance, layer.count)
    mean, variance, count = (keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(value)) for value in variables)
    return not mean.any() and not np.any(variance != 1) and not count


def _called_on(inputs: Tensors, outputs: Tensors, x: Tensors) -> Tensors:
    """Return the symbolic values of a model's inner tensors, `outputs`, if the model is called on `x`."""
    result: Tensors = keras.Model(inputs, outputs)(x)
    return result


def _merge_time(x: Any) -> Any:
    """Return a symbolic tensor `(batch, time, ...)` with the shape `(batch * time, ...)`."""
    return keras.ops.reshape(x, (-1, *x.shape[2:]))


def _inner_names(name: str, inner_layers: Iterable[keras.layers.Layer]) -> Iterator[tuple[keras.layers.Layer, str]]:
    """Yield each inner layer with its name after that of the outer one, without numbers that Keras generated."""
    numbers: dict[str, list[keras.layers.Layer]] = {}
    for layer in inner_layers:
        inner = snake_case(type(layer).__name__) if is_automatic_name(layer.name, type(layer)) else layer.name
        same = numbers.setdefault(inner, [])
        if not any(other is layer for other in same):
            same.append(layer)
        number = next(i for i, other in enumerate(same, start=1) if other is layer)
        inner = inner if number == 1 else f"{inner}_{number}"
        yield layer, f"{name}.{inner}" if name else inner
