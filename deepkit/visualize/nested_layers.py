"""Layers of a model and of the models nested in it: list them, and find one by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import keras

from deepkit.utils.errors import did_you_mean, message

_MAX_LISTED = 12  # names in an error message


@dataclass(frozen=True)
class NestedLayer:
    """A layer of a model, or of a model nested in it.

    Args:
        path: The name of the layer after the names of the layers around it: `"base/conv1"`.
        layer: The layer, or another operation of the graph.
        models: The models around the layer, outermost first.
    """

    path: str
    layer: keras.Operation
    models: tuple[keras.Model, ...]


def walk_layers(model: keras.Model) -> Iterator[NestedLayer]:
    """Yield every layer of a model in order, outer layers before the layers in them, without input layers."""
    yield from _walk(model, "", (model,), {id(model)})


def find_layer(model: keras.Model, name: str, caller: str) -> NestedLayer:
    """Return the layer with a name, or with a path such as `"base/conv1"` if several layers have that name.

    Args:
        model: The model to search.
        name: The name or the path of the layer.
        caller: Name of the public function, for error messages.

    Raises:
        ValueError: No layer or several layers match.
    """
    layers = list(walk_layers(model))
    exact = [layer for layer in layers if layer.path == name]
    matching = exact or [layer for layer in layers if layer.path.endswith(f"/{name}")]
    if len(matching) == 1:
        return matching[0]
    if matching:
        paths = ", ".join(repr(layer.path) for layer in matching)
        problem = f"{caller}: {model.name} has {len(matching)} layers named {name!r}"
        raise ValueError(message(problem, hint=f"use one of {paths}"))
    raise ValueError(_unknown_layer(model, name, [layer.path for layer in layers], caller))


def _unknown_layer(model: keras.Model, name: str, paths: list[str], caller: str) -> str:
    """Return the error message for a name that no layer has."""
    names = Counter(path.rpartition("/")[2] for path in paths)
    unique_names = [name for name, count in names.items() if count == 1]
    problem = f"{caller}: {model.name} does not have the layer {name!r}{did_you_mean(name, [*paths, *unique_names])}"
    if not paths:
        return f"{problem}; it does not have any layer"
    listed = ", ".join(paths[:_MAX_LISTED])
    rest = f", or one of {len(paths) - _MAX_LISTED} more" if len(paths) > _MAX_LISTED else ""
    return message(problem, hint=f"use one of {listed}{rest}")


def _walk(outer: object, prefix: str, models: tuple[keras.Model, ...], seen: set[int]) -> Iterator[NestedLayer]:
    for layer in _direct_layers(outer):
        if id(layer) in seen or isinstance(layer, keras.layers.InputLayer):
            continue
        seen.add(id(layer))
        path = prefix + layer.name
        yield NestedLayer(path, layer, models)
        inner_models = (*models, layer) if isinstance(layer, keras.Model) else models
        yield from _walk(layer, f"{path}/", inner_models, seen)


def _direct_layers(outer: object) -> list[keras.Operation]:
    """Return the operations of a model's graph, or the layers that a layer holds as attributes."""
    if isinstance(outer, keras.Sequential):
        return list(outer.layers)
    if isinstance(outer, keras.Model):
        return list(getattr(outer, "operations", outer.layers))
    if isinstance(outer, keras.layers.RNN | keras.layers.TimeDistributed):
        return []  # their inner layers are called once per time step, inside a loop
    attributes = [value for name, value in vars(outer).items() if not name.startswith("__")]
    return [value for value in keras.tree.flatten(attributes) if isinstance(value, keras.layers.Layer)]
