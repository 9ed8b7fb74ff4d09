"""Finding a layer by its name, in whatever model lies within a model."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

_SHOWN = 12  # names in an error, at most


@dataclass(frozen=True)
class Found:
    """A layer of a model.

    Args:
        path: Its name, after the names of the layers that it lies in: `"base/conv1"`.
        layer: The layer, or another operation of the graph.
        models: What it lies in, from the outermost model on.
    """

    path: str
    layer: Any
    models: tuple[keras.Model, ...]


def walk(model: keras.Model) -> Iterator[Found]:
    """Yield every layer of a model in order, one that holds others before those; inputs are left out."""
    yield from _inside(model, "", (model,), {id(model)})


def find(model: keras.Model, name: str, who: str) -> Found:
    """Return the layer of a name, or of a path such as `"base/conv1"` where several models have one of the name.

    Raises:
        ValueError: There is none, or there are several.
    """
    layers = list(walk(model))
    exact = [found for found in layers if found.path == name]
    fitting = exact or [found for found in layers if found.path.endswith(f"/{name}")]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        paths = ", ".join(repr(found.path) for found in fitting)
        raise ValueError(f"{who}: {model.name} has {len(fitting)} layers named {name!r}\n  hint: one of {paths}")
    raise ValueError(f"{who}: {unknown(model, name, [found.path for found in layers])}")


def unknown(model: keras.Model, name: str, paths: list[str]) -> str:
    """Return the words for a name that is none of the paths: what is there, and what may have been meant."""
    short = {path.rpartition("/")[2]: path for path in reversed(paths)}
    short.update({path: path for path in paths})
    close = difflib.get_close_matches(str(name), short, n=1)
    more = f", and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    have = ", ".join(paths[:_SHOWN]) + more if paths else "none that would do"
    hint = f"\n  did you mean {short[close[0]]!r}?" if close else ""
    return f"{model.name} does not have the layer {name!r}; it has {have}{hint}"


def _inside(outer: Any, prefix: str, models: tuple[keras.Model, ...], seen: set[int]) -> Iterator[Found]:
    for layer in _parts(outer):
        if id(layer) in seen or isinstance(layer, keras.layers.InputLayer):
            continue
        seen.add(id(layer))
        path = prefix + layer.name
        yield Found(path, layer, models)
        within = (*models, layer) if isinstance(layer, keras.Model) else models
        yield from _inside(layer, f"{path}/", within, seen)


def _parts(outer: Any) -> list[Any]:
    """Return what a layer is made of: the operations of a graph, else the layers that it holds as attributes."""
    if isinstance(outer, keras.Sequential):
        return list(outer.layers)
    if isinstance(outer, keras.Model):
        return list(getattr(outer, "operations", outer.layers))
    if isinstance(outer, keras.layers.RNN | keras.layers.TimeDistributed):
        return []  # what they hold is called once a step, inside a loop
    held = keras.tree.flatten([value for name, value in vars(outer).items() if not name.startswith("__")])
    return [item for item in held if isinstance(item, keras.layers.Layer)]
