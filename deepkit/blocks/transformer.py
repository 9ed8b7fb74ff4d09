"""Transformer layers: attention over a sequence, and a feed-forward network that is applied to each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

from keras import layers

from deepkit.blocks import common
from deepkit.blocks.attention import MultiHeadAttention
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import shape_text

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor, Tensors

_MAX_LAYERS = 1_000
_WIDENING = 4  # width of the hidden layer over that of the sequence, as in the paper
_EPSILON = 1e-5  # of the layer normalization; Keras's 1e-3 is large for the variance of a step
_ATTENTION_ARGUMENTS = ("num_heads", "key_dim", "dropout", "attention_axes")


class _TransformerStack(Block):
    """The arguments and the layers of an encoder and a decoder."""

    num_heads: int = fields.integer()
    _: KW_ONLY
    intermediate_dim: int | None = fields.integer(default=None)
    num_layers: int = fields.integer(default=1, maximum=_MAX_LAYERS)
    normalize_first: bool = fields.flag(default=False)
    activation: fields.Activation = fields.activation(default="relu")
    dropout: float = fields.fraction(default=0.0)
    key_dim: int | None = fields.integer(default=None)
    attention: fields.KerasArguments = fields.keras_arguments(layers.MultiHeadAttention, excluding=_ATTENTION_ARGUMENTS)

    def _add_layers(
        self, x: Any, memory: Any, builder: Builder, *, is_causal: bool, return_weights: bool = False
    ) -> tuple[Any, Any]:
        """Add the layers, and the last normalization of a stack that normalizes first.

        Returns:
            The output, and the weights of the last attention to the memory, or None.
        """
        if len(x.shape) != 3 or x.shape[-1] is None:
            raise builder.error(
                f"expected a sequence (time, features) of known width, received {shape_text(x)}",
                hint="use layers.Embedding for token ids, and layers.Reshape for a feature map",
            )
        weights: Any = None
        for number, name in enumerate(common.numbered("layer", self.num_layers), start=1):
            is_returned = return_weights and number == self.num_layers
            attend = self._attention(causal=is_causal)
            read = None if memory is None else self._attention(return_weights=is_returned)
            x, weights = self._add_layer(x, memory, attend, read, builder.child(name, self))
        return self._normalize(x, "norm", builder) if self.normalize_first else x, weights

    def _add_layer(
        self, x: Any, memory: Any, attend: MultiHeadAttention, read: MultiHeadAttention | None, builder: Builder
    ) -> tuple[Any, Any]:
        """Add one layer: self-attention, attention to a memory if there is one, and the feed-forward network."""
        y: Any = builder.add_block("attention", attend, self._prepare(x, "attention", builder))
        x = self._add_residual(x, y, "attention", builder)
        weights: Any = None
        if read is not None:
            y = builder.add_block("cross_attention", read, [self._prepare(x, "cross_attention", builder), memory])
            if read.return_weights:
                y, weights = y
            x = self._add_residual(x, y, "cross_attention", builder)
        y = self._add_feed_forward(self._prepare(x, "feed_forward", builder), builder.child("feed_forward", self))
        return self._add_residual(x, y, "feed_forward", builder), weights

    def _attention(self, *, causal: bool = False, return_weights: bool = False) -> MultiHeadAttention:
        return MultiHeadAttention(
            self.num_heads,
            key_dim=self.key_dim,
            causal=causal,
            dropout=self.dropout,
            return_weights=return_weights,
            attention=self.attention,
        )

    def _prepare(self, x: Any, name: str, builder: Builder) -> Any:
        """Return the input of a part, normalized if the stack normalizes first."""
        return self._normalize(x, f"{name}_norm", builder) if self.normalize_first else x

    def _add_residual(self, x: Any, y: Any, name: str, builder: Builder) -> Any:
        """Add the dropout, the residual connection and the normalization of a part after its output `y`."""
        if self.dropout:
            y = builder.add_layer(y, f"{name}_dropout", layers.Dropout, self.dropout)
        y = common.add_merge([x, y], f"{name}_add", layers.Add, builder)
        return y if self.normalize_first else self._normalize(y, f"{name}_norm", builder)

    def _add_feed_forward(self, x: Any, builder: Builder) -> Any:
        width = x.shape[-1]
        y = builder.add_layer(x, "hidden", layers.Dense, self.intermediate_dim or _WIDENING * width)
        y = common.add_activation(y, self.activation, builder)
        return builder.add_layer(y, "dense", layers.Dense, width)

    @staticmethod
    def _normalize(x: Any, name: str, builder: Builder) -> Any:
        return builder.add_layer(x, name, layers.LayerNormalization, epsilon=_EPSILON)


class TransformerEncoder(_TransformerStack):
    """A stack of Transformer layers: each step attends to all steps, then a feed-forward network transforms it.

    Each of the two parts has a residual connection and a layer normalization. Attention does not know the order of the
    steps: add `dk.layers.PositionEmbedding()` before the block. Masked steps change nothing: the output is that of the
    sequence without padding.

    Reference:
        Vaswani et al. 2017, "Attention Is All You Need", sections 3.1 to 3.3; Xiong et al. 2020, "On Layer
        Normalization in the Transformer Architecture", for `normalize_first`.

    Args:
        num_heads: Number of attention heads.
        intermediate_dim: Width of the hidden layer of the feed-forward network; four times the width of the sequence if
            left out.
        num_layers: Number of layers.
        normalize_first: Whether to normalize the input of each part and the output of the stack, in place of each sum.
            It trains without a warm-up of the learning rate.
        activation: Activation of the hidden layer.
        dropout: Fraction dropped in training: of the attention weights, and of the output of each part.
        key_dim: Width of queries and keys in each head; the width of the sequence divided by `num_heads` if left out.
        attention: Further arguments of `keras.layers.MultiHeadAttention`: `{"use_bias": False}`.

    Input shape:
        `(batch, time, features)`.

    Output shape:
        The input shape.

    Raises:
        DefinitionError: An argument is invalid, the input is not a sequence, or the heads do not divide its width.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.Sequential(
        ...     [
        ...         dk.layers.PositionEmbedding(),
        ...         dk.TransformerEncoder(8, num_layers=6),
        ...     ]
        ... )
        >>> net.build((None, 512)).count_params()
        18914304
    """

    def add(self, x: KerasTensor, builder: Builder) -> KerasTensor:
        """Add the layers."""
        return self._add_layers(x, None, builder, is_causal=False)[0]


class TransformerDecoder(_TransformerStack):
    """A stack of Transformer layers: each step attends to the steps up to itself, and to a memory if there is one.

    With one input it is the network of a language model, without the attention to a memory. With a list of the sequence
    and a memory, each layer attends to both in turn. Positions, masks and normalization are as in
    `dk.TransformerEncoder`.

    Reference:
        Vaswani et al. 2017, "Attention Is All You Need", sections 3.1 to 3.3.

    Args:
        num_heads: Number of attention heads.
        intermediate_dim: Width of the hidden layer of the feed-forward network; four times the width of the sequence if
            left out.
        num_layers: Number of layers.
        normalize_first: Whether to normalize the input of each part and the output of the stack, in place of each sum.
        activation: Activation of the hidden layer.
        dropout: Fraction dropped in training: of the attention weights, and of the output of each part.
        key_dim: Width of queries and keys in each head; the width of the sequence divided by `num_heads` if left out.
        attention: Further arguments of `keras.layers.MultiHeadAttention`: `{"use_bias": False}`.
        return_weights: Whether to return the weights of the last attention to the memory too, for figures.

    Input shape:
        `(batch, time, features)`; or a list of it and a memory, a sequence or a feature map of any width.

    Output shape:
        The shape of the sequence. Weights are `(batch, heads, time, positions)`, with `height, width` for the positions
        of a feature map.

    Raises:
        DefinitionError: An argument is invalid, the inputs have other shapes, or the heads do not divide the width.

    Examples:
        >>> import deepkit as dk
        >>> import keras
        >>> words, image = keras.Input((20, 64)), keras.Input((7, 7, 128))
        >>> dk.TransformerDecoder(4, num_layers=2)([words, image]).shape
        (None, 20, 64)
    """

    return_weights: bool = fields.flag(default=False)

    @property
    def accepts_multiple_inputs(self) -> bool:
        """True: a memory may follow the sequence."""
        return True

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Add the layers."""
        tensors: list[Any] = list(x) if isinstance(x, list | tuple) else [x]
        if isinstance(x, Mapping) or not 1 <= len(tensors) <= 2:
            count = len(x) if isinstance(x, Mapping) else len(tensors)
            raise builder.error(
                f"expected a sequence, or a list of it and a memory, received {count} tensors: {shape_text(x)}",
                hint='use (["sequence", "memory"], dk.TransformerDecoder(8)) as a node of a dk.Functional',
            )
        sequence, *memories = tensors
        if self.return_weights and not memories:
            raise builder.error(
                "return_weights=True: there are no weights of a memory, received a sequence alone",
                hint="pass a list of the sequence and a memory, or leave return_weights out",
            )
        memory = memories[0] if memories else None
        output, weights = self._add_layers(
            sequence, memory, builder, is_causal=True, return_weights=self.return_weights
        )
        return [output, weights] if self.return_weights else output
