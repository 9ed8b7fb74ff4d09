"""The captioning model as a definition: an encoder of images, and a decoder that attends to their feature maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.blocks.attention import Attention
from deepkit.blocks.recurrent import Recurrent
from deepkit.blocks.text import Text
from deepkit.blocks.text_decoder import (
    AUTO,
    AttentionField,
    BlockField,
    TextDecoder,
    check_decoder,
    check_target_text,
    decoder_field,
    name_states,
    resolve_attention,
    states_from_vector,
    text_layer,
)
from deepkit.blocks.transformer import TransformerDecoder
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, error_path, shape_text
from deepkit.definition.inputs import InputSpec, InputSpecs
from deepkit.definition.sequential import Sequential
from deepkit.definition.symbolic_inputs import find_input_spec, make_inputs
from deepkit.models.captioner import ImageCaptioner

if TYPE_CHECKING:
    from deepkit.definition.preprocessing import Adapter
    from deepkit.utils.types import Shape, Tensors


class Captioner(Block):
    """A captioning model: an encoder of an image, and a decoder that generates a caption and attends to the image.

    An example is an image and its caption, a string. `dk.fit(net, (images, captions))` adapts the vocabulary, then
    trains the decoder with teacher forcing; `run.model.caption(images)` decodes by beam search, and
    `run.model.attention_maps(images, captions)` returns the attention weights at each word.

    A recurrent decoder begins with projections of the mean of the feature map, and its attention follows the decoder as
    in `dk.Seq2Seq`. In the paper the attention precedes it: the query is the state before a step, and the context is an
    input of that step. A `dk.TransformerDecoder` attends to the feature map in each of its layers.

    Soft attention reads the weighted mean of all positions. Hard attention (`hard=True`) reads one position, drawn from
    the weights in training; the score function trains the weights, with the log-probability given the mean of all
    positions as the baseline, in place of the moving average of the paper. As there (section 4.1), half of the examples
    of a batch read the mean, which reduces the variance.

    `build` returns an `ImageCaptioner`, a `keras.Model` with its own loss. The definition cannot be part of another
    definition.

    Reference:
        Xu et al. 2015, "Show, Attend and Tell: Neural Image Caption Generation with Visual Attention".

    Args:
        encoder: A block, a Keras layer or a list of them, from images to a feature map.
        text: A `dk.Text` that converts captions to token ids.
        embedding_dim: Width of the token embeddings, and of a Transformer.
        decoder: A `dk.Recurrent` in one direction, or a `dk.TransformerDecoder`.
        attention: The attention after a recurrent decoder: `"additive"`, which is the default, `"multiplicative"` or
            `"dot"`, or a `dk.Attention`. Leave it out for a `dk.TransformerDecoder`.
        hard: Whether the attention reads one position for each token; only after a recurrent decoder.
        doubly_stochastic: Factor of the penalty (1 - sum of a position's weights over the tokens)^2, summed over the
            positions, which makes the model attend to every part of the image (equation 14); 0 for none.
        dropout: Fraction of the units dropped in training: of the embeddings, and of the input of the classifier.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(tokens, vocabulary)`, logits of all tokens of a batch of pairs.

    Raises:
        DefinitionError: An argument has another type, the encoder returns no feature map, or decoder and attention do
            not fit one another.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.Captioner(
        ...     [dk.ConvStack(16), dk.ConvStack(32)],
        ...     text=dk.Text(100),
        ...     embedding_dim=32,
        ...     decoder=dk.Recurrent("lstm", 64),
        ...     doubly_stochastic=0.1,
        ... )
        >>> model = net.build((32, 32, 3))
        >>> model.encoder.output["memory"].shape
        (None, 8, 8, 32)
    """

    encoder: fields.Body = fields.body()
    _: KW_ONLY
    text: Text = BlockField(Text, example="dk.Text(1_000)")  # type: ignore[assignment]
    embedding_dim: int = fields.integer(default=256)
    decoder: Recurrent | TransformerDecoder = decoder_field()
    attention: fields.Field[Any, Attention | str | None] = AttentionField(default=AUTO)
    hard: bool = fields.flag(default=False)
    doubly_stochastic: float = fields.number(default=0.0)
    dropout: float = fields.fraction(default=0.0)

    def check(self) -> None:
        """Refuse a bidirectional decoder, and arguments of an attention that is not there."""
        check_decoder(self.decoder, "Captioner")
        check_target_text(self.text, "Captioner")
        resolve_attention(self.attention, self.decoder, "Captioner")
        if self.hard and isinstance(self.decoder, TransformerDecoder):
            raise DefinitionError(
                "Captioner: hard attention reads one position after a recurrent decoder; a dk.TransformerDecoder has "
                "several heads in each layer",
                hint='use decoder=dk.Recurrent("gru", 256), or hard=False',
            )
        if self.attention is None and (self.hard or self.doubly_stochastic):
            name = "hard" if self.hard else "doubly_stochastic"
            raise DefinitionError(f"Captioner: {name} has no effect without attention", hint="leave attention out")
        if self.doubly_stochastic < 0:
            raise DefinitionError(
                f"Captioner: doubly_stochastic must be at least 0, received {self.doubly_stochastic:g}",
                hint="use doubly_stochastic=0.1",
            )

    def input_spec(self) -> InputSpec | InputSpecs | None:
        """Return the input that the first element of the encoder fixes."""
        return self.encoder[0].input_spec() if self.encoder else None

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Refuse: a model that is trained on pairs is not a layer."""
        raise builder.error(
            "a Captioner is trained as a whole and cannot be part of another model",
            hint="use model = definition.build(input_shape), then model.encoder or model.decoder",
        )

    def build(self, input_shape: Shape | Mapping[str, Shape] | None = None) -> ImageCaptioner:
        """Return a Keras model with new weights; see `Block.build`."""
        return self.build_adapted(input_shape, None)

    def build_adapted(self, input_shape: Shape | Mapping[str, Shape] | None, adapter: Adapter | None) -> ImageCaptioner:
        """Return a Keras model whose encoder is built with an adapter; see `Block.build_from`."""
        encoder = self._build_encoder(input_shape, adapter)
        attention = resolve_attention(self.attention, self.decoder, "Captioner")
        decoder = TextDecoder(self.decoder, self.text, self.embedding_dim, self.dropout, attention, self.hard)
        memory = encoder.output.get("memory")
        return ImageCaptioner(
            text_layer(self.text, "text"),
            encoder,
            decoder.build(None if memory is None else tuple(memory.shape[1:]), has_initial_states=True),
            decoder.build_classifier(),
            doubly_stochastic=self.doubly_stochastic,
            name=self.name or self.default_name,
        )

    def _build_encoder(self, input_shape: Shape | Mapping[str, Shape] | None, adapter: Adapter | None) -> keras.Model:
        """Return a model from images to the feature map, if the decoder attends to it, and the initial states."""
        spec = find_input_spec(self, input_shape)
        network = Sequential([*self.encoder], name="encoder")
        with error_path("encoder"):
            x = make_inputs(network, spec)
            features: Any = network.build_from(x, x, adapter=adapter).output
        if isinstance(features, dict | list | tuple) or len(features.shape) != 4:
            hint = "leave out the pooling over all positions, and the head"
            if len(keras.tree.flatten(x)[0].shape) == 3:
                hint = "pass gray images with a channel axis, x[..., None]"
            raise DefinitionError(
                f"Captioner: the encoder must return a feature map (height, width, channels), received "
                f"{shape_text(features)}",
                hint=hint,
            )
        has_memory = isinstance(self.decoder, TransformerDecoder) or self.attention is not None
        outputs = {"memory": features} if has_memory else {}
        if isinstance(self.decoder, Recurrent):
            mean = layers.GlobalAveragePooling2D(name="mean")(features)
            outputs |= name_states(states_from_vector(mean, self.decoder))
        return keras.Model(x, outputs, name="encoder")
