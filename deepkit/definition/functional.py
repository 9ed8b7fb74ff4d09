"""The named graph: definitions with several inputs, several outputs, or a path that is no chain."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from deepkit.definition import source as code
from deepkit.definition.block import Block, Objective, body_code
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, check_name
from deepkit.definition.frozen_dict import FrozenDict
from deepkit.definition.inputs import InputSpec, InputSpecs
from deepkit.definition.sequential import Input, Sequential, as_body

_EXAMPLE = 'nodes={"features": ("image", [dk.ConvStack(32)]), ...}'


@dataclass(frozen=True, repr=False)
class Functional(Block):
    """A graph of named parts: each node is a body behind an input, another node, or several of them.

    Nodes are written in order, each after those that it uses, as Keras's functional API has them. A model with
    one input takes a tensor, one with several a mapping by name; outputs likewise. Used inside another
    definition, it takes the tensor, or the tensors in the order of `inputs`.

    Args:
        inputs: Each input by name: `{"image": dk.Input((64, 64, 3))}`.
        nodes: Each node by name: its source, or a list of sources, and its body, which is a block, a Keras layer
            or a list of them. A body behind several sources begins with something that takes a list, such as
            `dk.Merge()`. A `dk.Shared` in two nodes is one tower with one set of weights.
        outputs: Name of the node that is the output, or a list of names. A head's loss and metrics go by them.

    Raises:
        DefinitionError: A name is not one or is given twice, a source comes later or does not exist, or a node
            leads nowhere.

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
        >>> siamese.build().count_params()  # one tower: 784 x 128 + 128 + 128 x 64 + 64, and 65
        108801
    """

    inputs: Mapping[str, Input] = field(kw_only=True, metadata={"body": "inputs"})
    nodes: Mapping[str, tuple[str | Sequence[str], Any]] = field(kw_only=True, metadata={"body": "nodes"})
    outputs: str | Sequence[str] = field(kw_only=True, metadata={"body": "many"})

    def __post_init__(self) -> None:
        super().__post_init__()
        inputs = _checked_inputs(self.inputs)
        nodes = _checked_nodes(self.nodes, inputs)
        several = isinstance(self.outputs, list | tuple)
        outputs = tuple(self.outputs) if several else self.outputs
        _check_outputs(outputs if several else (outputs,), inputs, nodes)
        object.__setattr__(self, "inputs", FrozenDict(inputs))
        object.__setattr__(self, "nodes", FrozenDict(nodes, _node_code))
        object.__setattr__(self, "outputs", outputs)

    @property
    def accepts_multiple_inputs(self) -> bool:
        """It takes one tensor an input."""
        return True

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the nodes in order; a node that is a named `Shared` keeps that name."""
        made = self._entered(x, builder)
        for name, (source, body) in self.nodes.items():
            element = _element(body)
            place = element.name if element.is_shared and element.name else name
            taken = made[source] if isinstance(source, str) else [made[one] for one in source]
            made[name] = builder.add_block(place, element, taken)
        return made[self.outputs] if isinstance(self.outputs, str) else {name: made[name] for name in self.outputs}

    def _entered(self, x: Any, builder: Builder) -> dict[str, Any]:
        """Return the tensors that enter, by name."""
        given = dict(x) if isinstance(x, Mapping) else x
        if not isinstance(given, dict):
            tensors = given if isinstance(given, list | tuple) else [given]
            given = dict(zip(self.inputs, tensors, strict=False)) if len(tensors) == len(self.inputs) else tensors
        if not isinstance(given, dict) or set(given) != set(self.inputs):
            received = f"{len(given)} without names" if not isinstance(given, dict) else ", ".join(given)
            raise builder.error(f"expected the inputs {', '.join(self.inputs)}, received {received}")
        return {name: entry.add(given[name], builder.child(name, entry)) for name, entry in self.inputs.items()}

    def input_spec(self) -> InputSpec | InputSpecs:
        """Return what the inputs fix."""
        entries = {name: given.input_spec() for name, given in self.inputs.items()}
        named = tuple((name, InputSpec(e.shape, e.dtype, e.batch_size, name)) for name, e in entries.items())
        return named[0][1] if len(named) == 1 else InputSpecs(named)

    def objective(self, outputs: Any, labels: Any) -> Objective | None:
        """Ask the last element of each output; by name where there are several."""
        if isinstance(self.outputs, str):
            return self._head(self.outputs, outputs, labels)
        if not isinstance(outputs, Mapping) or not isinstance(labels, Mapping) or set(outputs) != set(labels):
            return None
        heads = {name: self._head(name, outputs[name], labels[name]) for name in self.outputs}
        known = {name: head for name, head in heads.items() if head is not None}
        if len(known) < len(heads):
            return None
        return Objective(
            {name: head.loss for name, head in known.items()},
            {name: list(head.metrics) for name, head in known.items()},
        )

    def _head(self, name: str, outputs: Any, labels: Any) -> Objective | None:
        body = self.nodes[name][1]
        return body[-1].objective(outputs, labels) if body else None


def _element(body: tuple[Block, ...]) -> Block:
    return body[0] if len(body) == 1 else Sequential(list(body))


def _node_code(node: tuple[str | tuple[str, ...], tuple[Block, ...]]) -> str:
    source, body = node
    names = code.quoted(source) if isinstance(source, str) else code.sequence([code.quoted(name) for name in source])
    return f"({names}, {body_code(body)})"


def _checked_inputs(given: Any) -> dict[str, Input]:
    if not isinstance(given, Mapping) or not given:
        raise DefinitionError(
            f"Functional: inputs must be a mapping of names to dk.Input, received {given!r}",
            hint='inputs={"image": dk.Input((28, 28, 1))}',
        )
    for name, entry in given.items():
        check_name(name, "Functional: inputs")
        if not isinstance(entry, Input):
            raise DefinitionError(
                f"Functional: inputs[{name!r}] must be a dk.Input, received {entry!r}",
                hint=f'{{"{name}": dk.Input((28, 28, 1))}}',
            )
        if entry.name not in (None, name):
            raise DefinitionError(
                f"Functional: inputs[{name!r}] has a second name, {entry.name!r}", hint="dk.Input(shape) without name="
            )
    return dict(given)


def _checked_nodes(given: Any, inputs: Mapping[str, Input]) -> dict[str, tuple[Any, tuple[Block, ...]]]:
    if not isinstance(given, Mapping) or not given:
        raise DefinitionError(
            f"Functional: nodes must be a mapping of names to (source, body), received {given!r}", hint=_EXAMPLE
        )
    nodes: dict[str, tuple[Any, tuple[Block, ...]]] = {}
    for name, node in given.items():
        check_name(name, "Functional: nodes")
        if name in inputs:
            raise DefinitionError(f"Functional: {name!r} names an input and a node", hint="another name for one")
        if not isinstance(node, list | tuple) or len(node) != 2:
            raise DefinitionError(
                f"Functional: nodes[{name!r}] must be (source, body), received {node!r}", hint=_EXAMPLE
            )
        if isinstance(node[0], Block | keras.layers.Layer):
            raise DefinitionError(
                f"Functional: nodes[{name!r}] must be (source, body), and received the body first", hint=_EXAMPLE
            )
        source = _checked_source(name, node[0], [*inputs, *nodes], list(given))
        nodes[name] = (source, as_body(node[1], f"Functional: nodes[{name!r}]"))
    return nodes


def _checked_source(node: str, source: Any, known: list[str], later: list[str]) -> str | tuple[str, ...]:
    several = isinstance(source, list | tuple)
    for name in source if several else [source]:
        if name in known:
            continue
        where = f"Functional: nodes[{node!r}] is behind {name!r}"
        if name in later:
            raise DefinitionError(f"{where}, which comes later", hint=f"{name!r} before {node!r}")
        close = difflib.get_close_matches(str(name), known, n=1)
        there = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
        raise DefinitionError(f"{where}, and there is no such input or node; {there}")
    if several and not source:
        raise DefinitionError(f"Functional: nodes[{node!r}] has no source", hint=_EXAMPLE)
    return tuple(source) if several else source


def _check_outputs(outputs: Sequence[Any], inputs: Mapping[str, Any], nodes: Mapping[str, Any]) -> None:
    if not outputs or len(set(map(str, outputs))) < len(outputs):
        raise DefinitionError(f"Functional: outputs must be node names, each once, received {list(outputs)!r}")
    for name in outputs:
        if name not in nodes:
            close = difflib.get_close_matches(str(name), nodes, n=1)
            there = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(nodes)}"
            raise DefinitionError(f"Functional: outputs has {name!r}, which is no node; {there}")
    used = set(outputs)
    for source, _ in nodes.values():
        used |= {source} if isinstance(source, str) else set(source)
    idle = [name for name in (*inputs, *nodes) if name not in used]
    if idle:
        raise DefinitionError(
            f"Functional: {idle[0]!r} leads nowhere: no node is behind it, and it is no output",
            hint="a node that uses it, or leaving it out",
        )
