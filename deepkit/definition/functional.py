"""The named graph: definitions with several inputs, several outputs, or branches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, TypeAlias

import keras

from deepkit.definition import fields, source
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, check_name
from deepkit.definition.frozen_dict import FrozenDict
from deepkit.definition.inputs import InputSpec, InputSpecs
from deepkit.definition.objective import Objective, check_objective
from deepkit.definition.protocol import Definition
from deepkit.definition.sequential import Input, as_body, single
from deepkit.utils.errors import did_you_mean_or_list, format_value

if TYPE_CHECKING:
    from deepkit.utils.types import Tensors

Node: TypeAlias = tuple[str | tuple[str, ...], tuple[Definition, ...]]
"""The name of a source, or several names, and a body."""

_EXAMPLE = 'use nodes={"features": ("image", [dk.ConvStack(32)]), ...}'


class _InputsField(fields.Field[Mapping[str, Input], Mapping[str, Input]]):
    example = '{"image": dk.Input((28, 28, 1))}'

    def validate(self, value: object, name: str) -> FrozenDict:
        if not isinstance(value, Mapping) or not value:
            raise DefinitionError(
                f"{name} must be a mapping of names to dk.Input, received {format_value(value)}",
                hint=f"use inputs={self.example}",
            )
        for key, block in value.items():
            check_name(key, f"{name}: a name")
            if not isinstance(block, Input):
                raise DefinitionError(
                    f"{name}[{key!r}] must be a dk.Input, received {format_value(block)}",
                    hint=f'use {{"{key}": dk.Input((28, 28, 1))}}',
                )
            if block.name not in (None, key):
                raise DefinitionError(
                    f"{name}[{key!r}] has a second name, {block.name!r}", hint="use dk.Input(shape) without name="
                )
        return FrozenDict(value)

    def to_source(self, value: FrozenDict) -> str:
        return repr(value)

    def to_data(self, value: FrozenDict, writer: fields.DataWriter) -> object:
        data = {}
        for name, block in value.items():
            element = writer.element(block)
            del element["block"]  # always Input
            data[name] = element
        return data

    def from_data(self, value: object, path: str, reader: fields.DataReader) -> object:
        return reader.named(value, path, reader.input)


class _NodesField(fields.Field[Mapping[str, Any], Mapping[str, Node]]):
    example = '{"digit": ("image", [dk.ConvStack(32), dk.Classifier(10)])}'

    def validate(self, value: object, name: str) -> FrozenDict:
        if not isinstance(value, Mapping) or not value:
            problem = f"{name} must be a mapping of names to (source, body), received {format_value(value)}"
            raise DefinitionError(problem, hint=_EXAMPLE)
        nodes: dict[str, Node] = {}
        for key, node in value.items():
            check_name(key, f"{name}: a name")
            if not isinstance(node, list | tuple) or len(node) != 2:
                problem = f"{name}[{key!r}] must be (source, body), received {format_value(node)}"
                raise DefinitionError(problem, hint=_EXAMPLE)
            if isinstance(node[0], Block | keras.layers.Layer):
                problem = f"{name}[{key!r}] must be (source, body), received the body first"
                raise DefinitionError(problem, hint=_EXAMPLE)
            sources = _as_names(node[0])
            if sources == ():
                raise DefinitionError(f"{name}[{key!r}] has no source", hint=_EXAMPLE)
            nodes[key] = (sources, as_body(node[1], f"{name}[{key!r}]"))
        return FrozenDict(nodes, _node_source)

    def to_source(self, value: FrozenDict) -> str:
        return repr(value)

    def to_data(self, value: FrozenDict, writer: fields.DataWriter) -> object:
        return {
            name: {"from": writer.value(sources), "body": writer.body(body)} for name, (sources, body) in value.items()
        }

    def from_data(self, value: object, path: str, reader: fields.DataReader) -> object:
        return reader.named(value, path, reader.node)


class _OutputsField(fields.Field["str | Sequence[str]", "str | tuple[str, ...]"]):
    example = '"digit"'

    def validate(self, value: Any, name: str) -> str | tuple[str, ...]:
        outputs = tuple(value) if isinstance(value, list | tuple) else (value,)
        is_valid = outputs and all(isinstance(output, str) for output in outputs)
        if not is_valid or len(set(outputs)) < len(outputs):
            problem = f"{name} must be node names, each once, received {format_value(value)}"
            raise DefinitionError(problem, hint='use outputs="answer", or a list of names')
        return _as_names(value)

    def to_source(self, value: str | tuple[str, ...]) -> str:
        if isinstance(value, str):
            return source.quoted(value)
        return source.sequence([source.quoted(name) for name in value])


class Functional(Block):
    """A graph of named nodes: each is a body applied to an input, to another node, or to several of them.

    Nodes are written in order, each after those that it uses, as in Keras's functional API. A model with one input
    takes a tensor, one with several a mapping by name; the same holds for outputs. Inside another definition it takes
    the tensor, or the tensors in the order of `inputs`.

    Args:
        inputs: Each input by name: `{"image": dk.Input((64, 64, 3))}`.
        nodes: Each node by name: its source, or a list of sources, and its body, which is a block, a Keras layer
            or a list of them. The body of a node with several sources begins with an element that takes several
            tensors, such as `dk.Merge()`. A `dk.Shared` in two nodes has one set of weights.
        outputs: Name of the output node, or a list of names. The losses and metrics of the heads have these names.

    Raises:
        DefinitionError: A name is invalid or used twice, a source comes later or does not exist, or a node is unused.

    Examples:
        >>> import deepkit as dk
        >>> tower = dk.Shared(dk.MLP([128, 64]), name="tower")
        >>> siamese = dk.Functional(
        ...     inputs={"left": dk.Input((28, 28)), "right": dk.Input((28, 28))},
        ...     nodes={
        ...         "a": ("left", tower),
        ...         "b": ("right", tower),
        ...         "same": (["a", "b"], [dk.Merge("multiply"), dk.Classifier(1)]),
        ...     },
        ...     outputs="same",
        ... )
        >>> siamese.build().count_params()  # 784 x 128 + 128 + 128 x 64 + 64, and 65
        108801
    """

    _: KW_ONLY
    inputs: fields.Field[Mapping[str, Input], Mapping[str, Input]] = _InputsField()
    nodes: fields.Field[Mapping[str, Any], Mapping[str, Node]] = _NodesField()
    outputs: fields.Field[str | Sequence[str], str | tuple[str, ...]] = _OutputsField()

    def check(self) -> None:
        """Refuse sources and outputs that do not exist or come later, and unused nodes."""
        available = list(self.inputs)
        for name, (sources, _) in self.nodes.items():
            if name in self.inputs:
                raise DefinitionError(f"Functional: {name!r} is the name of an input and a node", hint="rename one")
            for node_source in _as_tuple(sources):
                self._check_source(name, node_source, available)
            available.append(name)
        for name in _as_tuple(self.outputs):
            if name not in self.nodes:
                suggestion = did_you_mean_or_list(name, self.nodes, "the nodes are")
                raise DefinitionError(
                    f"Functional: outputs contains {format_value(name)}, which is not a node{suggestion}"
                )
        used = set(_as_tuple(self.outputs))
        for sources, _ in self.nodes.values():
            used.update(_as_tuple(sources))
        for name in (*self.inputs, *self.nodes):
            if name not in used:
                raise DefinitionError(
                    f"Functional: {name!r} is unused: it is neither an output nor the source of a node",
                    hint="use it in a node, or leave it out",
                )

    def _check_source(self, node: str, node_source: str, available: Sequence[str]) -> None:
        if node_source in available:
            return
        problem = f"Functional: nodes: the source {format_value(node_source)} of node {node!r}"
        if node_source in self.nodes:
            raise DefinitionError(f"{problem} comes later", hint=f"write {node_source!r} before {node!r}")
        suggestion = did_you_mean_or_list(node_source, available, "it may be")
        raise DefinitionError(f"{problem} does not exist{suggestion}")

    @property
    def accepts_multiple_inputs(self) -> bool:
        """True: a graph takes a tensor for each input."""
        return True

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Add the nodes in order; a node that is a named `Shared` has the name of the `Shared`."""
        tensors = self._input_tensors(x, builder)
        for name, (sources, body) in self.nodes.items():
            element = single(body)
            path = element.name if element.is_shared and element.name else name
            node_input = tensors[sources] if isinstance(sources, str) else [tensors[key] for key in sources]
            tensors[name] = builder.add_block(path, element, node_input)
        if isinstance(self.outputs, str):
            return tensors[self.outputs]
        return {name: tensors[name] for name in self.outputs}

    def _input_tensors(self, x: Tensors, builder: Builder) -> dict[str, Any]:
        """Return the input tensors by name; raise a `DefinitionError` if one is missing or unknown."""
        if isinstance(x, Mapping):
            named = dict(x)
            received = ", ".join(map(str, named))
        else:
            tensors: list[Any] = list(x) if isinstance(x, list | tuple) else [x]
            named = {}
            if len(tensors) == len(self.inputs):
                named = dict(zip(self.inputs, tensors, strict=True))
            received = f"{len(tensors)} without names"
        if set(named) != set(self.inputs):
            raise builder.error(f"expected the inputs {', '.join(self.inputs)}, received {received}")
        return {name: block.add(named[name], builder.child(name, block)) for name, block in self.inputs.items()}

    def input_spec(self) -> InputSpec | InputSpecs:
        """Return the inputs."""
        specs = []
        for name, block in self.inputs.items():
            spec = block.input_spec()
            specs.append((name, InputSpec(spec.shape, spec.dtype, spec.batch_size, name)))
        return specs[0][1] if len(specs) == 1 else InputSpecs(tuple(specs))

    def objective(self, output_shape: Any, label_shape: Any) -> Objective | None:
        """Return the objective of the last element of each output, by name if there are several."""
        if isinstance(self.outputs, str):
            return self._head_objective(self.outputs, output_shape, label_shape)
        if not isinstance(output_shape, Mapping) or not isinstance(label_shape, Mapping):
            return None
        if set(output_shape) != set(label_shape):
            return None
        losses: dict[str, Any] = {}
        metrics: dict[str, Any] = {}
        heads: dict[str, Any] = {}
        for name in self.outputs:
            objective = self._head_objective(name, output_shape[name], label_shape[name])
            if objective is None:
                return None
            losses[name], metrics[name] = objective.loss, objective.metrics
            if objective.head is not None:
                heads[name] = objective.head
        return Objective(losses, metrics, heads)

    def _head_objective(self, name: str, output_shape: Any, label_shape: Any) -> Objective | None:
        body = self.nodes[name][1]
        return check_objective(body[-1].objective(output_shape, label_shape), body[-1]) if body else None


def _as_names(value: Any) -> Any:
    """Return a name as a Python string, and a list of names as a tuple; `check` refuses values of another type."""
    if isinstance(value, list | tuple):
        return tuple(_as_names(name) for name in value)
    return str(value) if isinstance(value, str) else value


def _as_tuple(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def _node_source(node: Node) -> str:
    sources, body = node
    if isinstance(sources, str):
        text = source.quoted(sources)
    else:
        text = source.sequence([source.quoted(name) for name in sources])
    return f"({text}, {source.body(body)})"
