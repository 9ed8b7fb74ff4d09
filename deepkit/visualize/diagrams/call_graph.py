"""The calls of a model's layers, including the layers of nested models."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import keras

from deepkit.utils.errors import message

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor, Shape

Step = tuple[str, int]  # name of a block or layer, and which of its uses this is if its weights are used repeatedly
Path = tuple[Step, ...]


class KerasNode(Protocol):
    """A call in a Keras graph."""

    operation: keras.Operation
    input_tensors: Sequence[KerasTensor]
    output_tensors: Sequence[KerasTensor]


@dataclass(frozen=True)
class LayerCall:
    """One call of one layer.

    Args:
        path: The names from the outermost block to the layer itself.
        layer: The layer or operation.
        shapes: Shapes of its outputs, with the batch axis.
        sources: Positions of the calls whose outputs are its inputs.
        is_output: Whether its output is an output of the model.
    """

    path: Path
    layer: keras.Operation
    shapes: tuple[Shape, ...]
    sources: tuple[int, ...]
    is_output: bool = False

    @property
    def reuses_weights(self) -> bool:
        """Whether an earlier call used the weights of the layer."""
        return any(use > 1 for _, use in self.path)


def trace_calls(model: object) -> list[LayerCall]:
    """Return every layer call between the inputs and the outputs of a model, sources first.

    The layers of a nested model are calls like the others, with the model's name in their path. A model with its own
    training step can return its graph from a method `layer_graph`.

    Raises:
        ValueError: The model does not have a graph of layers: it is subclassed, or not built.
    """
    if isinstance(model, keras.Model) and not _has_graph(model) and hasattr(model, "layer_graph"):
        model = model.layer_graph()
    if not isinstance(model, keras.Model) or not _has_graph(model):
        raise ValueError(_missing_graph_message(model))
    tracer = _Tracer()
    sources: dict[int, int] = {}
    names = _split_names([tensor._keras_history.operation for tensor in model.inputs])
    for tensor in model.inputs:
        layer = tensor._keras_history.operation
        sources[id(tensor)] = tracer.add(names[layer.name], layer, [tensor], [])
    outputs = tracer.trace(model, sources, ())
    calls = [replace(call, is_output=i in outputs) for i, call in enumerate(tracer.calls)]
    return _number_uses(_move_into_blocks(calls))


class _Tracer:
    """Collects the calls of a model and of its nested models."""

    def __init__(self) -> None:
        self.calls: list[LayerCall] = []

    def add(
        self, names: Sequence[str], layer: keras.Operation, outputs: Sequence[KerasTensor], sources: Sequence[int]
    ) -> int:
        """Add a call and return its position."""
        shapes = tuple(tuple(tensor.shape) for tensor in outputs)
        path = tuple((name, 1) for name in names)
        self.calls.append(LayerCall(path, layer, shapes, tuple(dict.fromkeys(sources))))
        return len(self.calls) - 1

    def trace(self, model: keras.Model, sources: dict[int, int], prefix: tuple[str, ...]) -> list[int]:
        """Trace a model whose inputs come from the calls `sources`, and return the calls that its outputs come from."""
        nodes = list(_sorted_nodes(model))
        names = _split_names([node.operation for node in nodes])
        for node in nodes:
            layer = node.operation
            path = (*prefix, *names[layer.name])
            inputs = [sources[id(tensor)] for tensor in _inputs_without_masks(node)]
            if isinstance(layer, keras.Model) and _has_graph(layer) and len(layer.inputs) == len(inputs):
                inner = {id(tensor): source for tensor, source in zip(layer.inputs, inputs, strict=True)}
                outputs = self.trace(layer, inner, path)
            else:
                outputs = [self.add(path, layer, node.output_tensors, inputs)] * len(node.output_tensors)
            sources |= {id(tensor): source for tensor, source in zip(node.output_tensors, outputs, strict=True)}
        return [sources[id(tensor)] for tensor in model.outputs]


def _has_graph(model: keras.Model) -> bool:
    return bool(getattr(model, "inputs", None) and getattr(model, "outputs", None))


def _missing_graph_message(model: object) -> str:
    received = f"received {type(model).__name__} {getattr(model, 'name', '')!r}"
    if isinstance(model, keras.Sequential):
        problem = f"diagram: expected a built model, {received} without an input shape"
        return message(problem, hint="add a keras.Input as its first layer, or call model.build((None, 28, 28, 1))")
    if isinstance(model, keras.Model):
        problem = f"diagram: expected a Functional or Sequential model, {received}, which does not have a graph"
        hint = "use the models in it, or keras.Model(x, model.call(x)) with x = keras.Input(shape)"
        return message(problem, hint=hint)
    hint = "use definition.build(input_shape)" if hasattr(model, "build") else "use keras.Model(inputs, outputs)"
    return message(f"diagram: expected a keras.Model, received {type(model).__name__}", hint=hint)


def _sorted_nodes(model: keras.Model) -> Iterator[KerasNode]:
    """Yield the calls from a model's outputs back to its inputs in topological order, sources first."""
    inputs = {id(tensor) for tensor in model.inputs}
    done = set(inputs)
    yielded: set[int] = set()
    stack = list(reversed(model.outputs))
    while stack:  # not recursive: deep nets exceed Python's recursion limit
        tensor = stack[-1]
        history = tensor._keras_history
        node = history.operation._inbound_nodes[history.node_index]
        missing = [source for source in _inputs_without_masks(node) if id(source) not in done]
        if id(tensor) not in done and missing:
            stack += reversed(missing)
            continue
        stack.pop()
        done |= {id(tensor), *(id(output) for output in node.output_tensors)}
        if id(tensor) not in inputs and id(node) not in yielded:
            yielded.add(id(node))
            yield node


def _inputs_without_masks(node: KerasNode) -> list[KerasTensor]:
    """Return the input tensors of a call without the masks that Keras passes automatically."""
    masks = {id(getattr(tensor, "_keras_mask", None)) for tensor in node.input_tensors}
    return [tensor for tensor in node.input_tensors if id(tensor) not in masks]


def _split_names(layers: Sequence[keras.Operation]) -> dict[str, tuple[str, ...]]:
    """Return the blocks in each layer's name and the layer's own name, for the layers of one model.

    deepkit separates blocks with dots. If no name has a dot, underscores separate blocks, as in
    `conv2_block1_1_conv`; they stay at the end of a block's name so that the full name can be restored. Names that
    Keras generated (`batch_normalization_3`) are not split.
    """
    layers_by_name = {layer.name: layer for layer in layers}
    paths: dict[str, tuple[str, ...]] = {}
    if any("." in name for name in layers_by_name):
        for name in layers_by_name:
            paths[name] = tuple(block for block in name.split(".") if block) or (name,)
        return paths
    for name, layer in layers_by_name.items():
        paths[name] = (name,) if _is_generated_name(layer) else _split_at_underscores(name)
    return _join_non_blocks(paths)


def _is_generated_name(layer: keras.Operation) -> bool:
    without_number = re.sub(r"_\d+$", "", layer.name).replace("_", "")
    return without_number == type(layer).__name__.lower()


def _split_at_underscores(name: str) -> tuple[str, ...]:
    """Split a name at underscores, with numbers kept at the preceding word: `block_1_expand` is `block_1`, `expand`."""
    tokens: list[str] = []
    for token in name.split("_"):
        if tokens and (not token or not tokens[-1] or (token.isdigit() and not tokens[-1][-1].isdigit())):
            tokens[-1] += f"_{token}"
        else:
            tokens.append(token)
    return tuple(tokens)


def _join_non_blocks(paths: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Join a step to the next one if it is not a block: if the next step contains all of its layers."""
    num_layers: Counter[tuple[str, ...]] = Counter()
    for path in paths.values():
        num_layers.update(path[:i] for i in range(len(path) + 1))
    joined_paths = {}
    for name, path in paths.items():
        steps: list[str] = []
        for i, step in enumerate(path):
            if i and num_layers[path[:i]] == num_layers[path[: i + 1]]:
                steps[-1] += f"_{step}"
            else:
                steps.append(step)
        joined_paths[name] = (*(f"{step}_" for step in steps[:-1]), steps[-1])
    return joined_paths


def _move_into_blocks(calls: list[LayerCall]) -> list[LayerCall]:
    """Move a layer that has the name of a block, such as `conv1` beside `conv1.norm`, into that block."""
    blocks = {call.path[:i] for call in calls for i in range(1, len(call.path))}
    moved_calls = []
    for call in calls:
        [*outer, (name, use)] = call.path
        for block_name in (name, f"{name}_"):
            block = (*outer, (block_name, use))
            if block in blocks:
                call = replace(call, path=(*block, (name, use)))
                break
        moved_calls.append(call)
    return moved_calls


def _number_uses(calls: list[LayerCall]) -> list[LayerCall]:
    """Number repeated uses of the same layers, at the outermost block that is used repeatedly as a whole."""
    num_uses = Counter((call.path, id(call.layer)) for call in calls)
    min_uses: dict[Path, int] = {}  # the smallest number of uses among the layers of each block
    for (path, _), count in num_uses.items():
        for i in range(1, len(path) + 1):
            min_uses[path[:i]] = min(min_uses.get(path[:i], count), count)
    uses_so_far: Counter[tuple[Path, int]] = Counter()
    numbered_calls = []
    for call in calls:
        path, key = call.path, (call.path, id(call.layer))
        uses_so_far[key] += 1
        use = uses_so_far[key]
        if use > 1:
            position = next(i for i in range(1, len(path) + 1) if min_uses[path[:i]] >= use)
            path = (*path[: position - 1], (path[position - 1][0], use), *path[position:])
        numbered_calls.append(replace(call, path=path))
    return numbered_calls
