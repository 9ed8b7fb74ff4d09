"""Incremental decoding: compute a causal decoder one step at a time, from the states of the steps before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
from keras import ops

from deepkit.layers.position_embedding import PositionEmbedding

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor

    Values: TypeAlias = Mapping[int, Tensor]
    """The values of symbolic tensors by identity."""
    States: TypeAlias = list[Tensor]
    Step: TypeAlias = Callable[[Values, States, Tensor | int], tuple[Any, States]]
    """A function of values, states and the number of the step that returns the outputs of a layer, and its states."""

IDS = "ids"  # the input that has a new value at each step


class IncrementalDecoder:
    """A causal decoder that computes one step at a time, so that no step is computed twice.

    The layers that do not depend on the ids run once per example. At each step, a recurrent layer continues from its
    states, a causal self-attention adds its keys and values to those of the steps before, and every other layer
    receives the new step alone. The open sequences of a beam search take the place of the time axis, so that they share
    the memory of their example. All layers run in inference mode.

    No layer is copied, and no Keras model is built: a second Functional model of the same layers would change the nodes
    that Keras needs to save the first one.

    Args:
        model: A Functional model with a dictionary of inputs: `"ids"` `(batch, time)`, and any others; its outputs are
            a dictionary of tensors `(batch, time, ...)`. Each layer treats all steps alike, or is recurrent, a causal
            `keras.layers.MultiHeadAttention` or a `dk.layers.PositionEmbedding`.

    Examples:
        >>> import deepkit as dk
        >>> import keras
        >>> import numpy as np
        >>> ids = keras.Input((None,), dtype="int64", name="ids")
        >>> x = dk.TransformerDecoder(1)(keras.layers.Embedding(9, 4)(ids))
        >>> decoder = keras.Model({"ids": ids}, {"hidden": x})
        >>> decoding = IncrementalDecoder(decoder).begin({}, batch_size=1, num_steps=2)
        >>> states, last = decoding.initial_states, None
        >>> for t, token in enumerate([3, 5]):
        ...     last, states = decoding.step(np.array([[token]]), states, t)
        >>> whole = decoder({"ids": np.array([[3, 5]])})["hidden"]
        >>> bool(np.allclose(last["hidden"][:, 0], whole[:, 1], atol=1e-5))
        True
    """

    def __init__(self, model: keras.Model) -> None:
        inputs = dict(model.input)
        self._ids = inputs.pop(IDS)
        self._inputs: dict[str, Any] = inputs
        self._outputs: dict[str, Any] = dict(model.output)
        self._once: list[Any] = []  # nodes: calls of layers
        self._stepwise: list[Any] = []
        from_ids = {id(self._ids)}
        for node in _nodes(model):
            if from_ids.isdisjoint(id(tensor) for tensor in node.input_tensors):
                self._once.append(node)
            else:
                self._stepwise.append(node)
                from_ids.update(id(tensor) for tensor in node.outputs)

    def begin(
        self, inputs: Mapping[str, Tensor], *, batch_size: Tensor | int, num_steps: Tensor | int, num_beams: int = 1
    ) -> Decoding:
        """Return the decoding of a batch of examples before its first step.

        Args:
            inputs: All inputs except the ids, `(batch, ...)`. The mask of an input is its attribute, as Keras sets it.
            batch_size: Number of examples.
            num_steps: Largest number of steps.
            num_beams: Number of open sequences of each example.
        """
        values = {id(tensor): inputs[name] for name, tensor in self._inputs.items()}
        for node in self._once:
            values.update(_named(node, _call(node, values)))
        sizes = _Sizes(batch_size, num_beams, num_steps)
        steps = [_step_of(node, values, sizes) for node in self._stepwise]
        return Decoding(self._ids, self._stepwise, self._outputs, values, steps)


class Decoding:
    """The decoding of a batch of examples; `IncrementalDecoder.begin` returns it.

    Args:
        ids: The symbolic ids.
        nodes: The calls of layers that depend on the ids, in order.
        outputs: The symbolic outputs by name.
        values: The values of the tensors that do not depend on the ids.
        steps: For each node, its initial states and the function of a step.
    """

    def __init__(
        self,
        ids: Any,
        nodes: Sequence[Any],
        outputs: Mapping[str, Any],
        values: Values,
        steps: Sequence[tuple[States, Step]],
    ) -> None:
        self._ids, self._nodes, self._outputs, self._values = ids, nodes, outputs, values
        self._steps = [step for _, step in steps]
        self._num_states = [len(states) for states, _ in steps]
        self.initial_states = [state for states, _ in steps for state in states]

    def step(self, tokens: Tensor, states: States, t: Tensor | int) -> tuple[dict[str, Tensor], States]:
        """Return the outputs `(batch, beams, ...)` by name, and the new states `(batch * beams, ...)`.

        Args:
            tokens: Ids of the tokens, `(batch, beams)`.
            states: The states after the step before, in an order of the beams that may differ from that of the step.
            t: Number of the step, from 0.
        """
        values = {**self._values, id(self._ids): tokens}
        new_states: States = []
        position = 0
        for node, step, count in zip(self._nodes, self._steps, self._num_states, strict=True):
            outputs, layer_states = step(values, states[position : position + count], t)
            values.update(_named(node, outputs))
            new_states += layer_states
            position += count
        return {name: values[id(tensor)] for name, tensor in self._outputs.items() if id(tensor) in values}, new_states


@dataclass(frozen=True)
class _Sizes:
    """Sizes of a decoding."""

    batch_size: Tensor | int
    num_beams: int
    num_steps: Tensor | int

    @property
    def num_rows(self) -> Tensor | int:
        """Number of open sequences of all examples."""
        return self.batch_size * self.num_beams

    def as_rows(self, x: Tensor) -> Tensor:
        """Return a tensor `(batch, beams, features)` as `(batch * beams, features)`."""
        return ops.reshape(x, (-1, x.shape[-1]))

    def as_beams(self, x: Tensor) -> Tensor:
        """Return a tensor `(batch * beams, ..., features)`, of one step, as `(batch, beams, features)`."""
        return ops.reshape(x, (-1, self.num_beams, x.shape[-1]))


def _step_of(node: Any, values: Values, sizes: _Sizes) -> tuple[States, Step]:
    """Return the initial states of a call of a layer, and the function of a step."""
    layer = node.operation
    if isinstance(layer, keras.layers.RNN):
        return _recurrent_step(node, values, sizes)
    if isinstance(layer, PositionEmbedding):
        return [], _position_step(node, sizes)
    if isinstance(layer, keras.layers.MultiHeadAttention):
        if node.arguments.kwargs.get("use_causal_mask"):
            return _self_attention_step(node, sizes)
        return [], _cross_attention_step(node, values)
    return [], lambda values, states, t: (_call(node, values), [])


def _recurrent_step(node: Any, values: Values, sizes: _Sizes) -> tuple[States, Step]:
    cell = node.operation.cell
    x = node.arguments.args[0]
    initial = keras.tree.flatten(node.arguments.kwargs.get("initial_state"))
    if initial == [None]:
        states = keras.tree.flatten(node.operation.get_initial_state(sizes.num_rows))
    else:
        states = [ops.repeat(values[id(state)], sizes.num_beams, axis=0) for state in initial]

    def step(values: Values, states: States, t: Tensor | int) -> tuple[Any, States]:
        output, new_states = cell(sizes.as_rows(values[id(x)]), states, training=False)
        new_states = keras.tree.flatten(new_states)
        return [sizes.as_beams(output), *new_states], new_states

    return states, step


def _position_step(node: Any, sizes: _Sizes) -> Step:
    x = node.arguments.args[0]

    def step(values: Values, states: States, t: Tensor | int) -> tuple[Any, States]:
        rows = sizes.as_rows(values[id(x)])
        return sizes.as_beams(node.operation(rows[:, None], start=t)), []

    return step


def _self_attention_step(node: Any, sizes: _Sizes) -> tuple[States, Step]:
    layer, x = node.operation, node.arguments.args[0]
    shape = (sizes.num_rows, sizes.num_steps, layer.num_heads)
    initial = [ops.zeros((*shape, width), layer.compute_dtype) for width in (layer.key_dim, layer.value_dim)]
    window = layer._sliding_window

    def step(values: Values, states: States, t: Tensor | int) -> tuple[Any, States]:
        query = sizes.as_rows(values[id(x)])[:, None]
        positions = ops.arange(sizes.num_steps)
        is_now = ops.equal(positions, t)[None, :, None, None]
        keys = ops.where(is_now, layer._key_dense(query), states[0])
        contents = ops.where(is_now, layer._value_dense(query), states[1])
        mask = positions <= t if window is None else ops.logical_and(positions <= t, positions > t - window)
        outputs = _attend(node, query, keys, contents, mask[None, None])
        return keras.tree.map_structure(sizes.as_beams, outputs), [keys, contents]

    return initial, step


def _cross_attention_step(node: Any, values: Values) -> Step:
    layer, x = node.operation, node.arguments.args[0]
    memory = values[id(node.arguments.kwargs["value"])]
    mask = getattr(memory, "_keras_mask", None)
    if mask is not None:
        mask = mask[:, None]
        memory = ops.copy(memory)  # without its mask, which the projections do not support
    keys, contents = layer._key_dense(memory), layer._value_dense(memory)

    def step(values: Values, states: States, t: Tensor | int) -> tuple[Any, States]:
        return _attend(node, values[id(x)], keys, contents, mask), []  # the beams are the queries

    return step


def _attend(node: Any, query: Tensor, keys: Tensor, contents: Tensor, mask: Tensor | None) -> Any:
    """Return the output of a multi-head attention from projected keys and values, and the weights if requested.

    Args:
        node: The call of the layer.
        query: (rows, queries, features).
        keys: (rows, steps, heads, key_dim).
        contents: The projected values, (rows, steps, heads, value_dim).
        mask: Steps to attend to, (rows, queries, steps), or None for all.
    """
    layer, has_weights = node.operation, node.arguments.kwargs.get("return_attention_scores", False)
    output, weights = layer._compute_attention(
        layer._query_dense(query), keys, contents, mask, training=False, return_attention_scores=has_weights
    )
    if layer._use_gate:
        output = ops.multiply(output, layer._gate_dense(query))
    output = layer._output_dense(output)
    return [output, weights] if has_weights else output


def _nodes(model: keras.Model) -> list[Any]:
    """Return the calls of the layers of a Functional model, each after those whose outputs it needs."""
    depths = sorted(model._nodes_by_depth, reverse=True)
    nodes = [node for depth in depths for node in model._nodes_by_depth[depth]]
    return [node for node in nodes if node.operation and not node.is_input]


def _call(node: Any, values: Values) -> Any:
    """Return the outputs of a call of a layer."""
    args, kwargs = node.arguments.fill_in(values)
    if getattr(node.operation, "_call_has_training_arg", False):
        kwargs["training"] = False
    return node.operation(*args, **kwargs)


def _named(node: Any, outputs: Any) -> dict[int, Tensor]:
    """Return the outputs of a call of a layer by the identity of its symbolic outputs."""
    return dict(zip(map(id, node.outputs), keras.tree.flatten(outputs), strict=False))
