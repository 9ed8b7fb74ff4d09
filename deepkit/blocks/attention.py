"""Attention: for each query a weighted mean of the places of a memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras import layers

from deepkit.blocks import common as parts
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, shape_text
from deepkit.definition.source import Arguments

SCORES = ("dot", "multiplicative", "additive")
_NODE = '(["asked", "seen"], dk.Attention("additive")) as a node of a dk.Functional: first the query, then the memory'


@dataclass(frozen=True, repr=False)
class Attention(Block):
    """For each query a weighted mean of the places of a memory; the weights are a softmax over scores.

    With a query q and a place h of the memory, the score is q'h for `"dot"`, q'Wh for `"multiplicative"` and
    v'tanh(Wq + Uh) for `"additive"`. Sources: Luong, Pham & Manning 2015, "Effective Approaches to Attention-based
    Neural Machine Translation", section 3.1, for the first two (there dot and general); Bahdanau, Cho & Bengio 2015,
    "Neural Machine Translation by Jointly Learning to Align and Translate", section 3.1 and appendix A.1.2.

    Places that a mask leaves out of the memory get no weight; where it leaves out all, some finite mean comes out. It
    is made of stock Keras layers. Under mixed precision scores and weights are computed in float32.

    Args:
        score: `"dot"`, `"multiplicative"` or `"additive"`.
        units: Width of the hidden layer of the additive score; that of the query if left out.
        scaled: Whether the scores of the first two are divided by the root of the width of the memory (Vaswani et al.
            2017, section 3.2.1): wide vectors have large products, whose softmax has small gradients.
        causal: Whether query i sees the first i places of the memory only.
        dropout: Share of the weights that is dropped in training.
        return_weights: Whether the weights come out too, behind the mean: what is drawn in pictures.
        dense: Further arguments of the dense layers W and U, which have no biases, as in the papers' formulas.

    Input shape:
        A list of query and memory; a single tensor is both. The query is a vector `(batch, features)` or a sequence
        of them `(batch, time, features)`, the memory a sequence or a feature map `(batch, height, width, channels)`.

    Output shape:
        That of the query, with the width of the memory. Weights are `(batch, queries, places)`; without the queries
        where the query is one vector, and with `height, width` in place of the places where the memory is a map.

    Raises:
        DefinitionError: An argument is none of these, the inputs have other shapes, or they differ in width under
            `"dot"`.

    Examples:
        >>> import deepkit as dk
        >>> import keras
        >>> asked, seen = keras.Input((256,)), keras.Input((7, 7, 512))
        >>> mean, weights = dk.Attention("additive", units=128, return_weights=True)([asked, seen])
        >>> mean.shape, weights.shape
        ((None, 512), (None, 7, 7))
    """

    score: str
    units: int | None = field(default=None, kw_only=True)
    scaled: bool = field(default=False, kw_only=True)
    causal: bool = field(default=False, kw_only=True)
    dropout: float = field(default=0.0, kw_only=True)
    return_weights: bool = field(default=False, kw_only=True)
    dense: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts.choice("Attention", "score", self.score, SCORES, '"multiplicative" for what Luong et al. call general')
        if self.units is not None:
            parts.positive("Attention", "units", self.units)
        for name in ("scaled", "causal", "return_weights"):
            parts.flag("Attention", name, getattr(self, name))
        parts.rate("Attention", "dropout", self.dropout)
        given = Arguments(self.dense, layers.Dense, owner="Attention(dense=...)", taken=("units", "activation"))
        object.__setattr__(self, "dense", given)
        self._check_idle()

    def _check_idle(self) -> None:
        """Raise where an argument would do nothing."""
        additive = self.score == "additive"
        idle = {
            "units": (self.units is not None and not additive, "additive"),
            "scaled": (self.scaled and additive, "dot"),
            "dense": (len(self.dense) > 0 and self.score == "dot", "multiplicative"),
        }
        for name, (is_idle, other) in idle.items():
            if is_idle:
                raise DefinitionError(
                    f'Attention: {name} does nothing for the score "{self.score}"',
                    hint=f'dk.Attention("{other}"), or leaving it out',
                )

    @property
    def accepts_multiple_inputs(self) -> bool:
        """Query and memory."""
        return True

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the dense layers of the score, then Keras's layer."""
        asked = _Asked.of(x, builder, causal=self.causal)
        query, places = asked.queries, asked.places
        width = places.shape[-1]
        if self.score == "dot" and query.shape[-1] != width:
            raise builder.error(
                f"expected a query as wide as the memory, received {query.shape[-1]} and {width} features",
                hint=f'score="multiplicative", or layers.Dense({width}) behind the query',
            )
        call_kwargs = {"use_causal_mask": True} if self.causal else {}
        if self.return_weights:
            call_kwargs["return_attention_scores"] = True
        given = {"dropout": self.dropout, "dtype": parts.float32_if_mixed()}  # few bits hide no masked place for sure
        if self.score == "additive":
            units = self.units or query.shape[-1]
            keys = self._dense(places, "memory", units, builder)
            taken = [self._dense(query, "query", units, builder), places, keys]
            return asked.shaped(
                builder.add_layer(taken, "score", layers.AdditiveAttention, call_kwargs=call_kwargs, **given)
            )
        if self.score == "multiplicative":
            query = self._dense(query, "query", width, builder)
        if self.scaled:
            query = builder.add_layer(query, "scale", layers.Rescaling, 1 / math.sqrt(width))
        return asked.shaped(
            builder.add_layer([query, places], "score", layers.Attention, call_kwargs=call_kwargs, **given)
        )

    def _dense(self, x: Any, name: str, units: int, builder: Builder) -> Any:
        given = {"use_bias": False} | self.dense.fresh()  # type: ignore[attr-defined]
        return builder.add_layer(x, name, layers.Dense, units, **given)


@dataclass(frozen=True, repr=False)
class MultiHeadAttention(Block):
    """Several scaled dot-product attentions side by side, each of its own projections: Keras's `MultiHeadAttention`.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.2. One tensor attends to itself, a list of
    query and memory is cross-attention. Masks are honoured as in `dk.Attention`.

    Args:
        num_heads: How many.
        key_dim: Width of queries and keys in each head; the width of the query divided by `num_heads` if left out.
        causal: Whether query i sees the first i places of the memory only.
        dropout: Share of the weights that is dropped in training.
        return_weights: Whether the weights come out too, behind the output: what is drawn in pictures.
        attention: Further arguments of the Keras layer: `{"value_dim": 32, "use_bias": False}`.

    Input shape:
        As of `dk.Attention`.

    Output shape:
        That of the query, also in width. Weights are `(batch, heads, queries, places)`, otherwise as in `dk.Attention`.

    Raises:
        DefinitionError: An argument is none of these, the inputs have other shapes, or the heads do not divide the
            width of the query.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.Sequential([dk.MultiHeadAttention(8, causal=True)])
        >>> net.build((None, 512)).count_params()
        1050624
    """

    num_heads: int
    key_dim: int | None = field(default=None, kw_only=True)
    causal: bool = field(default=False, kw_only=True)
    dropout: float = field(default=0.0, kw_only=True)
    return_weights: bool = field(default=False, kw_only=True)
    attention: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts.positive("MultiHeadAttention", "num_heads", self.num_heads)
        if self.key_dim is not None:
            parts.positive("MultiHeadAttention", "key_dim", self.key_dim)
        for name in ("causal", "return_weights"):
            parts.flag("MultiHeadAttention", name, getattr(self, name))
        parts.rate("MultiHeadAttention", "dropout", self.dropout)
        given = Arguments(
            self.attention,
            layers.MultiHeadAttention,
            owner="MultiHeadAttention(attention=...)",
            taken=("num_heads", "key_dim", "dropout", "attention_axes"),
        )
        object.__setattr__(self, "attention", given)

    @property
    def accepts_multiple_inputs(self) -> bool:
        """Query and memory."""
        return True

    def add(self, x: Any, builder: Builder) -> Any:
        """Add Keras's layer."""
        asked = _Asked.of(x, builder, causal=self.causal)
        call_kwargs: dict[str, Any] = {"value": asked.places}
        if self.causal:
            call_kwargs["use_causal_mask"] = True
        if self.return_weights:
            call_kwargs["return_attention_scores"] = True
        found = builder.add_layer(
            asked.queries,
            "heads",
            self._layer(asked),
            self.num_heads,
            self._key_dim(asked.queries.shape[-1], builder),
            dropout=self.dropout,
            call_kwargs=call_kwargs,
            **self.attention.fresh(),  # type: ignore[attr-defined]
        )
        return asked.shaped(found)

    def _layer(self, asked: _Asked) -> type[layers.MultiHeadAttention]:
        """Return Keras's layer, which is wrong about the shape of weights over another sequence only."""
        if not self.return_weights or asked.query is asked.memory:
            return layers.MultiHeadAttention
        from deepkit.layers import MultiHeadCrossAttention

        return MultiHeadCrossAttention

    def _key_dim(self, width: int, builder: Builder) -> int:
        if self.key_dim is None and width % self.num_heads:
            raise builder.error(
                f"{self.num_heads} heads do not divide the width of the query, {width}",
                hint=f"key_dim={max(width // self.num_heads, 1)}, or another number of heads",
            )
        return self.key_dim or width // self.num_heads


@dataclass(frozen=True)
class _Asked:
    """Query and memory as two sequences, and the way back to the shape they came in."""

    queries: Any  # (batch, queries, features)
    places: Any  # (batch, places, features)
    query: Any
    memory: Any
    builder: Builder

    @classmethod
    def of(cls, x: Any, builder: Builder, *, causal: bool) -> _Asked:
        """Take apart what came in; a single tensor is both."""
        given = list(x) if isinstance(x, list | tuple) else [x]
        if isinstance(x, Mapping) or not 1 <= len(given) <= 2:
            raise builder.error(f"expected query and memory, received {len(x)} tensors: {shape_text(x)}", hint=_NODE)
        query, memory = given[0], given[-1]
        if len(query.shape) not in (2, 3, 4):
            raise builder.error(f"expected a vector, sequence or feature map as query, received {shape_text(query)}")
        if len(memory.shape) not in (3, 4):
            raise builder.error(
                f"expected a sequence (time, features) or a feature map (height, width, channels) as memory, received "
                f"{shape_text(memory)}",
                hint="return_sequences=True in the recurrent block before it, or no pooling over the places",
            )
        if causal and (len(query.shape), len(memory.shape)) != (3, 3):
            raise builder.error(
                f"expected two sequences, as causal=True says what comes first, received {shape_text(given)}",
                hint="causal=False",
            )
        for tensor in given:
            if _last(tensor)[-1] is None:
                raise builder.error(f"the width of {shape_text(tensor)} is unknown", hint="a fixed number")
        places = _sequence(memory, "places", builder)
        alone = places if query is memory else _sequence(query, "queries", builder)
        return cls(alone, places, query, memory, builder)

    def shaped(self, found: Any) -> Any:
        """Return the outputs, and the weights where there are any, in the shape of query and memory."""
        if not isinstance(found, list | tuple):
            return self._output(found)
        return [self._output(found[0]), self._weights(found[1])]

    def _output(self, y: Any) -> Any:
        if len(self.query.shape) == 3:
            return y
        *sizes, _ = _last(self.query)
        y = self._reshaped(y, "output", [*sizes, y.shape[-1]])
        if len(y.shape) == 4 and parts.channel_axis(y) == 1:
            return self.builder.add_layer(y, "output_first", layers.Permute, (3, 1, 2))
        return y

    def _weights(self, weights: Any) -> Any:
        """Return weights (batch, [heads,] queries, places) without a single query, and with the sizes of a map."""
        vector, image = len(self.query.shape) == 2, len(self.memory.shape) == 4
        if not vector and not image:
            return weights
        *places, _ = _last(self.memory)
        queries = [] if vector else [self.queries.shape[1]]
        return self._reshaped(weights, "weights", [*weights.shape[1:-2], *queries, *places])

    def _reshaped(self, x: Any, name: str, sizes: list[int | None]) -> Any:
        if sizes.count(None) > 1:
            raise self.builder.error(
                f"cannot give the {name} the sizes of {shape_text([self.query, self.memory])}: several are unknown",
                hint="a fixed input_shape" + (", or return_weights=False" if name == "weights" else ""),
            )
        return self.builder.add_layer(x, name, layers.Reshape, tuple(-1 if size is None else size for size in sizes))


def _sequence(x: Any, name: str, builder: Builder) -> Any:
    """Return a vector as a sequence of one, and a feature map as the sequence of its places, row by row."""
    if len(x.shape) == 3:
        return x
    if len(x.shape) == 2:
        return builder.add_layer(x, name, layers.Reshape, (1, x.shape[1]))
    if parts.channel_axis(x) == 1:
        x = builder.add_layer(x, f"{name}_last", layers.Permute, (2, 3, 1))
    return builder.add_layer(x, name, layers.Reshape, (-1, x.shape[-1]))


def _last(x: Any) -> tuple[int | None, ...]:
    """Return the sizes of a tensor without the batch axis, the channels at the end; sequences have them there."""
    sizes = tuple(x.shape[1:])
    return (*sizes[1:], sizes[0]) if len(sizes) == 3 and parts.channel_axis(x) == 1 else sizes
