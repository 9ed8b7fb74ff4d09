"""A model as the calls of its layers, whatever model each of them lies in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

Step = tuple[str, int]  # a part's name, and the how-many-th use of it this is where its weights are used again
Path = tuple[Step, ...]


@dataclass(frozen=True)
class Use:
    """One call of one layer.

    Args:
        path: Where it lies, from the outermost block to the layer itself.
        layer: The layer or operation.
        shapes: Of what it returns, with the batch axis.
        sources: Positions of the calls whose outputs it takes.
        exits: Whether the model returns it.
    """

    path: Path
    layer: Any
    shapes: tuple[tuple[int | None, ...], ...]
    sources: tuple[int, ...]
    exits: bool = False

    @property
    def again(self) -> bool:
        """Whether the layer's weights were met before."""
        return any(time > 1 for _, time in self.path)


def read(model: Any) -> list[Use]:
    """Return every call of a layer between the inputs and the outputs of a model, each after those it takes.

    Nested models are read through: their layers are calls like the others, with the model's name in their path.

    Raises:
        ValueError: The model has no graph of layers: it is subclassed, or not built.
    """
    if not _has_graph(model):
        raise ValueError(_no_graph(model))
    reader = _Reader()
    sources: dict[int, int] = {}
    names = _split([tensor._keras_history.operation for tensor in model.inputs])
    for tensor in model.inputs:
        layer = tensor._keras_history.operation
        sources[id(tensor)] = reader.add(names[layer.name], layer, [tensor], [])
    outputs = reader.read(model, sources, ())
    found = [replace(use, exits=i in outputs) for i, use in enumerate(reader.found)]
    return _told_apart(_apart_from_groups(found))


class _Reader:
    def __init__(self) -> None:
        self.found: list[Use] = []

    def add(self, names: Sequence[str], layer: Any, outputs: Sequence[Any], sources: Sequence[int]) -> int:
        shapes = tuple(tuple(tensor.shape) for tensor in outputs)
        path = tuple((name, 1) for name in names)
        self.found.append(Use(path, layer, shapes, tuple(dict.fromkeys(sources))))
        return len(self.found) - 1

    def read(self, model: Any, sources: dict[int, int], prefix: tuple[str, ...]) -> list[int]:
        """Read a model whose inputs come from `sources` and return where its outputs come from."""
        nodes = list(_nodes(model))
        places = _split([node.operation for node in nodes])
        for node in nodes:
            layer, taken = node.operation, [sources[id(tensor)] for tensor in _taken(node)]
            place = (*prefix, *places[layer.name])
            if _has_graph(layer) and len(layer.inputs) == len(taken):
                inner = {id(tensor): source for tensor, source in zip(layer.inputs, taken, strict=True)}
                given = self.read(layer, inner, place)
            else:
                given = [self.add(place, layer, node.output_tensors, taken)] * len(node.output_tensors)
            sources |= {id(tensor): source for tensor, source in zip(node.output_tensors, given, strict=True)}
        return [sources[id(tensor)] for tensor in model.outputs]


def _has_graph(model: Any) -> bool:
    return isinstance(model, keras.Model) and bool(getattr(model, "inputs", None) and getattr(model, "outputs", None))


def _no_graph(model: Any) -> str:
    received = f"received {type(model).__name__} {getattr(model, 'name', '')!r}"
    if isinstance(model, keras.Sequential):
        return (
            f"diagram: expected a built model, {received} without an input shape"
            "\n  hint: a keras.Input as its first layer, or model.build((None, 28, 28, 1))"
        )
    if isinstance(model, keras.Model):
        return (
            f"diagram: expected a Functional or Sequential model, {received}, whose layers are known to its code alone"
            "\n  hint: the models in it, or keras.Model(x, model.call(x)) with x = keras.Input(shape)"
        )
    hint = "definition.build(input_shape)" if hasattr(model, "build") else "keras.Model(inputs, outputs)"
    return f"diagram: expected a keras.Model, received {type(model).__name__}\n  hint: {hint}"


def _nodes(model: Any) -> Iterator[Any]:
    """Go from a model's outputs back to its inputs and yield the calls on the way, each after those it takes."""
    done = {id(tensor) for tensor in model.inputs}
    seen: set[int] = set()
    todo = list(reversed(model.outputs))
    while todo:  # no recursion: deep nets are deeper than Python's stack
        tensor = todo[-1]
        history = tensor._keras_history
        node = history.operation._inbound_nodes[history.node_index]
        missing = [t for t in _taken(node) if id(t) not in done]
        if id(tensor) in done or not missing:
            todo.pop()
            done |= {id(tensor)} | {id(t) for t in node.output_tensors}
            if id(tensor) not in {id(t) for t in model.inputs} and id(node) not in seen:
                seen.add(id(node))
                yield node
        else:
            todo += reversed(missing)


def _taken(node: Any) -> list[Any]:
    """Return the inputs of a call but for the masks that Keras passes on by itself."""
    masks = {id(getattr(tensor, "_keras_mask", None)) for tensor in node.input_tensors}
    return [tensor for tensor in node.input_tensors if id(tensor) not in masks]


def _split(layers: Sequence[Any]) -> dict[str, tuple[str, ...]]:
    """Return the blocks that each layer's name tells of, and its own name, for the layers of one model.

    deepkit's names have dots between the blocks. Where no name has one, underscores are taken for them, as in
    `conv2_block1_1_conv`, and stay at the end of a block's name, so that it can be put together again; a name that
    Keras made up (`batch_normalization_3`) stays whole.
    """
    names = {layer.name: layer for layer in layers}
    if any("." in name for name in names):
        return {name: tuple(part for part in name.split(".") if part) or (name,) for name in names}
    paths = {name: (name,) if _made_up(layer) else _words(name) for name, layer in names.items()}
    return _shortened(paths)


def _made_up(layer: Any) -> bool:
    plain = re.sub(r"_\d+$", "", layer.name).replace("_", "")
    return plain == type(layer).__name__.lower()


def _words(name: str) -> tuple[str, ...]:
    """Split at underscores; a number belongs to the word before it: `block_1_expand` is `block_1`, `expand`."""
    words: list[str] = []
    for word in name.split("_"):
        if words and (not word or not words[-1] or (word.isdigit() and not words[-1][-1].isdigit())):
            words[-1] += f"_{word}"
        else:
            words.append(word)
    return tuple(words)


def _shortened(paths: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Join a word to the next where it is no block: where only one layer has it, or all those of a longer word."""
    members: Counter[tuple[str, ...]] = Counter()
    for path in paths.values():
        members.update(path[:i] for i in range(len(path) + 1))
    short = {}
    for name, path in paths.items():
        kept: list[str] = []
        for i, word in enumerate(path):
            whole = i and members[path[:i]] == members[path[: i + 1]]
            kept = [*kept[:-1], f"{kept[-1]}_{word}"] if whole else [*kept, word]
        short[name] = (*(f"{word}_" for word in kept[:-1]), kept[-1])
    return short


def _apart_from_groups(uses: list[Use]) -> list[Use]:
    """Put a layer that has the name of a block, such as `conv1` beside `conv1.norm`, into that block."""
    blocks = {use.path[:i] for use in uses for i in range(1, len(use.path))}
    moved = []
    for use in uses:
        [*around, (name, time)] = use.path
        homes = [(*around, (block, time)) for block in (name, f"{name}_")]
        home = next((block for block in homes if block in blocks), None)
        moved.append(replace(use, path=(*home, (name, time))) if home else use)
    return moved


def _told_apart(uses: list[Use]) -> list[Use]:
    """Number the uses of what is used more than once, at the largest block that is used as a whole."""
    times = Counter((use.path, id(use.layer)) for use in uses)
    fewest: dict[Path, int] = {}
    for (path, _), count in times.items():
        for i in range(1, len(path) + 1):
            fewest[path[:i]] = min(fewest.get(path[:i], count), count)
    met: Counter[tuple[Path, int]] = Counter()
    told = []
    for use in uses:
        met[use.path, id(use.layer)] += 1
        time, path = met[use.path, id(use.layer)], use.path
        if time > 1:
            at = next(i for i in range(1, len(path) + 1) if fewest[path[:i]] >= time)
            path = (*path[: at - 1], (path[at - 1][0], time), *path[at:])
        told.append(replace(use, path=path))
    return told
