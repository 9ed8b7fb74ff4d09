"""Attention: each query returns a weighted mean of the values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

from keras import layers

from deepkit.blocks import common
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, shape_text
from deepkit.definition.masks import has_mask
from deepkit.layers import MultiHeadCrossAttention

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor, Shape, Tensors

SCORES = ("dot", "multiplicative", "additive")
_INPUT_HINT = 'use (["query", "memory"], dk.Attention("additive")) as a node of a dk.Functional: the query first'
_SCORE_HINT = 'use "multiplicative" for the score that Luong et al. call general'


class Attention(Block):
    """Attention: each query returns a weighted mean of the values; the weights are a softmax over scores.

    Keys and values are the positions of a memory. With a query q and a position h, the score is q'h for `"dot"`, q'Wh
    for `"multiplicative"` and v'tanh(Wq + Uh) for `"additive"`.

    Masked positions of the memory have weight 0; if all are masked, the output is an arbitrary finite mean. The output
    has the mask of the query. The block consists of Keras layers. Under mixed precision, scores and weights are
    computed in float32.

    Reference:
        Luong, Pham & Manning 2015, "Effective Approaches to Attention-based Neural Machine Translation", section 3.1,
        for the first two scores (there dot and general); Bahdanau, Cho & Bengio 2015, "Neural Machine Translation by
        Jointly Learning to Align and Translate", section 3.1 and appendix A.1.2, for the additive score.

    Args:
        score: `"dot"`, `"multiplicative"` or `"additive"`.
        units: Width of the hidden layer of the additive score; by default the width of the query.
        scaled: Whether to divide the first two scores by the root of the width of the memory (Vaswani et al.
            2017, section 3.2.1): wide vectors have large products, whose softmax has small gradients.
        causal: Whether query i attends only to the first i positions of the memory.
        dropout: Fraction of the weights dropped in training.
        return_weights: Whether to return the weights too, after the mean, for figures.
        dense: Further arguments of the dense layers W and U, which have no biases, as in the papers.

    Input shape:
        A list of query and memory; a single tensor is both. The query is a vector `(batch, features)` or a sequence
        of them `(batch, time, features)`, the memory a sequence or a feature map `(batch, height, width, channels)`.

    Output shape:
        The shape of the query, with the width of the memory. Weights are `(batch, queries, positions)`; without the
        queries if the query is one vector, and with `height, width` for the positions of a feature map.

    Raises:
        DefinitionError: An argument is invalid, the inputs have other shapes, or they differ in width under
            `"dot"`.

    Examples:
        >>> import deepkit as dk
        >>> import keras
        >>> query, memory = keras.Input((256,)), keras.Input((7, 7, 512))
        >>> mean, weights = dk.Attention("additive", units=128, return_weights=True)(
        ...     [query, memory]
        ... )
        >>> mean.shape, weights.shape
        ((None, 512), (None, 7, 7))
    """

    score: str = fields.choice(SCORES, hint=_SCORE_HINT)
    _: KW_ONLY
    units: int | None = fields.integer(default=None)
    scaled: bool = fields.flag(default=False)
    causal: bool = fields.flag(default=False)
    dropout: float = fields.fraction(default=0.0)
    return_weights: bool = fields.flag(default=False)
    dense: fields.KerasArguments = fields.keras_arguments(layers.Dense, excluding=("units", "activation"))

    def check(self) -> None:
        """Refuse arguments that this score does not use."""
        is_additive = self.score == "additive"
        unused = {  # whether an argument has no effect, and a score for which it has one
            "units": (self.units is not None and not is_additive, "additive"),
            "scaled": (self.scaled and is_additive, "dot"),
            "dense": (len(self.dense) > 0 and self.score == "dot", "multiplicative"),
        }
        for name, (is_unused, other) in unused.items():
            if is_unused:
                raise DefinitionError(
                    f'Attention: {name} has no effect for the score "{self.score}"',
                    hint=f'use dk.Attention("{other}"), or leave {name} out',
                )

    @property
    def accepts_multiple_inputs(self) -> bool:
        """True: query and memory."""
        return True

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Add the dense layers of the score, then Keras's layer."""
        inputs = _AttentionInputs.from_tensors(x, builder, is_causal=self.causal)
        query, memory = inputs.queries, inputs.positions
        width = memory.shape[-1]
        if self.score == "dot" and query.shape[-1] != width:
            raise builder.error(
                f"expected a query as wide as the memory, received {query.shape[-1]} and {width} features",
                hint=f'use score="multiplicative", or add layers.Dense({width}) after the query',
            )
        call_kwargs = _call_kwargs(self.causal, self.return_weights)
        # in 16 bits a masked position may keep a weight
        kwargs: dict[str, Any] = {"dropout": self.dropout, "dtype": common.float32_if_mixed()}
        make: type[layers.Layer] = layers.Attention
        if self.score == "additive":
            units = self.units or query.shape[-1]
            keys = self._dense(memory, "memory", units, builder)
            tensors = [self._dense(query, "query", units, builder), memory, keys]
            make = layers.AdditiveAttention
        else:
            if self.score == "multiplicative":
                query = self._dense(query, "query", width, builder)
            if self.scaled:
                query = builder.add_layer(query, "scale", layers.Rescaling, 1 / math.sqrt(width))
            tensors = [query, memory]
        return inputs.reshape(builder.add_layer(tensors, "score", make, call_kwargs=call_kwargs, **kwargs))

    def _dense(self, x: KerasTensor, name: str, units: int, builder: Builder) -> Any:
        kwargs: dict[str, Any] = {"use_bias": False} | self.dense.new()
        return builder.add_layer(x, name, layers.Dense, units, **kwargs)


class MultiHeadAttention(Block):
    """Several scaled dot-product attentions in parallel, each with its own projections (Keras's layer).

    A single tensor attends to itself; a list of query and memory is cross-attention. Masks work as in `dk.Attention`.

    Reference:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.2.2.

    Args:
        num_heads: Number of heads.
        key_dim: Width of queries and keys in each head; the width of the query divided by `num_heads` if left out.
        causal: Whether query i attends only to the first i positions of the memory.
        dropout: Fraction of the weights dropped in training.
        return_weights: Whether to return the weights too, after the output, for figures.
        attention: Further arguments of the Keras layer: `{"value_dim": 32, "use_bias": False}`.

    Input shape:
        As for `dk.Attention`.

    Output shape:
        The shape of the query. Weights are `(batch, heads, queries, positions)`, otherwise as in `dk.Attention`.

    Raises:
        DefinitionError: An argument is invalid, the inputs have other shapes, or the heads do not divide the
            width of the query.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.Sequential([dk.MultiHeadAttention(8, causal=True)])
        >>> net.build((None, 512)).count_params()
        1050624
    """

    num_heads: int = fields.integer()
    _: KW_ONLY
    key_dim: int | None = fields.integer(default=None)
    causal: bool = fields.flag(default=False)
    dropout: float = fields.fraction(default=0.0)
    return_weights: bool = fields.flag(default=False)
    attention: fields.KerasArguments = fields.keras_arguments(
        layers.MultiHeadAttention, excluding=("num_heads", "key_dim", "dropout", "attention_axes")
    )

    @property
    def accepts_multiple_inputs(self) -> bool:
        """True: query and memory."""
        return True

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Add Keras's layer."""
        inputs = _AttentionInputs.from_tensors(x, builder, is_causal=self.causal)
        make: type[layers.Layer] = layers.MultiHeadAttention
        if self.return_weights and inputs.query is not inputs.memory:
            make = MultiHeadCrossAttention  # Keras infers a wrong shape of the weights over another sequence
        queries, positions = _copy_masked(inputs, builder)
        outputs = builder.add_layer(
            queries,
            "heads",
            make,
            self.num_heads,
            self._key_dim(queries.shape[-1], builder),
            dropout=self.dropout,
            call_kwargs={"value": positions, **_call_kwargs(self.causal, self.return_weights)},
            **self.attention.new(),
        )
        return inputs.reshape(outputs)

    def _key_dim(self, width: int, builder: Builder) -> int:
        if self.key_dim is None and width % self.num_heads:
            num_heads = max(n for n in range(1, self.num_heads + 1) if width % n == 0)
            raise builder.error(
                f"{self.num_heads} heads do not divide the width of the query, {width}",
                hint=f"use {num_heads} heads, a multiple of {self.num_heads} as the width, or a dk.MultiHeadAttention "
                f"with key_dim={max(width // self.num_heads, 1)}",
            )
        return self.key_dim or width // self.num_heads


def _call_kwargs(is_causal: bool, return_weights: bool) -> dict[str, Any]:
    """Return the arguments of the call of Keras's layer."""
    kwargs: dict[str, Any] = {}
    if is_causal:
        kwargs["use_causal_mask"] = True
    if return_weights:
        kwargs["return_attention_scores"] = True
    return kwargs


@dataclass(frozen=True)
class _AttentionInputs:
    """Query and memory as two sequences, and the shapes that they had before.

    Args:
        queries: (batch, queries, features).
        positions: (batch, positions, features).
        query: As it was passed.
        memory: As it was passed.
        builder: The builder of the block.
    """

    queries: Any
    positions: Any
    query: Any
    memory: Any
    builder: Builder

    @classmethod
    def from_tensors(cls, x: Tensors, builder: Builder, *, is_causal: bool) -> _AttentionInputs:
        """Return the inputs of a block; a single tensor is both query and memory."""
        tensors: list[Any] = list(x) if isinstance(x, list | tuple) else [x]
        if isinstance(x, Mapping) or not 1 <= len(tensors) <= 2:
            count = len(x) if isinstance(x, Mapping) else len(tensors)
            raise builder.error(
                f"expected query and memory, received {count} tensors: {shape_text(x)}", hint=_INPUT_HINT
            )
        query, memory = tensors[0], tensors[-1]
        if len(query.shape) not in (2, 3, 4):
            raise builder.error(f"expected a vector, sequence or feature map as query, received {shape_text(query)}")
        if len(memory.shape) not in (3, 4):
            raise builder.error(
                f"expected a sequence (time, features) or a feature map (height, width, channels) as memory, received "
                f"{shape_text(memory)}",
                hint="use return_sequences=True in the recurrent block before it, or no pooling over the positions",
            )
        if is_causal and (len(query.shape), len(memory.shape)) != (3, 3):
            raise builder.error(
                f"expected two sequences, as causal=True needs an order, received {shape_text(tensors)}",
                hint="use causal=False",
            )
        for tensor in tensors:
            if _channels_last(tensor)[-1] is None:
                raise builder.error(f"the width of {shape_text(tensor)} is unknown", hint="use a fixed width")
        positions = _as_sequence(memory, "places", builder)
        queries = positions if query is memory else _as_sequence(query, "queries", builder)
        return cls(queries, positions, query, memory, builder)

    def reshape(self, outputs: Any) -> Any:
        """Return the output, and the weights if there are any, in the shape of query and memory."""
        if not isinstance(outputs, list | tuple):
            return self._reshape_output(outputs)
        return [self._reshape_output(outputs[0]), self._reshape_weights(outputs[1])]

    def _reshape_output(self, y: KerasTensor) -> Any:
        if len(self.query.shape) == 3:
            return y
        *sizes, _ = _channels_last(self.query)
        y = self._add_reshape(y, "output", [*sizes, y.shape[-1]])
        if len(y.shape) == 4 and common.channel_axis(y) == 1:
            return self.builder.add_layer(y, "output_first", layers.Permute, (3, 1, 2))
        return y

    def _reshape_weights(self, weights: KerasTensor) -> Any:
        """Return weights (batch, [heads,] queries, positions) without a single query, and with the sizes of a map."""
        is_vector, is_map = len(self.query.shape) == 2, len(self.memory.shape) == 4
        if not is_vector and not is_map:
            return weights
        *positions, _ = _channels_last(self.memory)
        queries = [] if is_vector else [self.queries.shape[1]]
        return self._add_reshape(weights, "weights", [*weights.shape[1:-2], *queries, *positions])

    def _add_reshape(self, x: KerasTensor, name: str, sizes: list[int | None]) -> Any:
        if sizes.count(None) > 1:
            alternative = ", or return_weights=False" if name == "weights" else ""
            raise self.builder.error(
                f"cannot reshape the {name} to {shape_text([self.query, self.memory])}: several sizes are unknown",
                hint=f"use a fixed input_shape{alternative}",
            )
        return self.builder.add_layer(x, name, layers.Reshape, tuple(-1 if size is None else size for size in sizes))


def _copy_masked(inputs: _AttentionInputs, builder: Builder) -> tuple[Any, Any]:
    """Return queries and positions, copied by a stock layer if they have a mask.

    A call of Keras's multi-head layer removes the masks of its inputs in place: other layers that receive the same
    tensors, such as the sum of a residual, would read padded steps.
    """

    def copy(x: KerasTensor, name: str) -> Any:
        return builder.add_layer(x, name, layers.Rescaling, 1.0) if has_mask(x) else x

    queries = copy(inputs.queries, "query_copy")
    if inputs.positions is inputs.queries:
        return queries, queries
    return queries, copy(inputs.positions, "memory_copy")


def _as_sequence(x: KerasTensor, name: str, builder: Builder) -> Any:
    """Return a vector as a sequence of one, and a feature map as the sequence of its positions, row by row."""
    if len(x.shape) == 3:
        return x
    if len(x.shape) == 2:
        return builder.add_layer(x, name, layers.Reshape, (1, x.shape[1]))
    if common.channel_axis(x) == 1:
        x = builder.add_layer(x, f"{name}_last", layers.Permute, (2, 3, 1))
    return builder.add_layer(x, name, layers.Reshape, (-1, x.shape[-1]))


def _channels_last(x: KerasTensor) -> Shape:
    """Return the shape of a tensor without the batch axis, with the channels last."""
    shape = tuple(x.shape[1:])
    return (*shape[1:], shape[0]) if len(shape) == 3 and common.channel_axis(x) == 1 else shape
