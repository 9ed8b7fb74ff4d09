"""Encoder-decoder model of texts, trained with teacher forcing and decoded autoregressively."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.layers.token_ids import TokenIds
from deepkit.models.alignment import attention_map, mean_over_heads
from deepkit.models.autoregressive import AutoregressiveModel
from deepkit.models.decoding import check_search_arguments
from deepkit.models.tokens import (
    holds_texts,
    is_single_text,
    length_bucketed_batches,
    reverse_ids,
    token_ids,
    validate_texts,
)
from deepkit.utils.errors import message
from deepkit.utils.lazy_tensorflow import tf
from deepkit.utils.validation import check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset, Nested, Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class SequenceToSequence(AutoregressiveModel):
    """An encoder of source texts and a decoder of target texts; `dk.Seq2Seq(...).build` returns it.

    `fit` takes pairs of texts, (sources, targets). The loss is the cross-entropy of each token given the true tokens
    before it (teacher forcing), without padding. `fit` also reports `accuracy`, the fraction of tokens that are the
    most probable ones, and `perplexity`, the exponential of the mean cross-entropy over all tokens. Called on a pair,
    the model returns the logits of all tokens and ends of all targets, concatenated, so that no padding is computed.

    Id 0 is the padding, the end of a text and the input before its first token.

    Args:
        source_text: Layer from source texts to ids, with at least one id for each text.
        target_text: Layer from target texts to ids.
        encoder: Functional model from ids `(batch, time)` to a dictionary of the inputs of the decoder: `"memory"`
            `(batch, time, features)`, if the decoder attends to it, and the initial states of a recurrent decoder.
        decoder: Functional model from a dictionary of `"ids"` and the outputs of the encoder to a dictionary of
            `"hidden"` `(batch, time, units)`; with attention, `"weights"` `(batch, [heads,] time, source time)`.
        classifier: Dense layer that returns the logits.
        reverse_source: Whether the encoder reads the source in reverse order.
        kwargs: Further arguments of `keras.Model`.

    Call arguments:
        inputs: A pair of sources and targets, texts or ids.
        training: Whether dropout is active.

    Input shape:
        A pair of shapes `(batch,)`, strings; or `(batch, time)`, ids.

    Output shape:
        `(tokens, vocabulary)`.

    Examples:
        >>> import deepkit as dk
        >>> text = dk.Text(6, vocabulary=("a", "dog", "runs"))
        >>> net = dk.Seq2Seq(
        ...     text,
        ...     embedding_dim=4,
        ...     encoder=dk.BiLSTM(4),
        ...     decoder=dk.Recurrent("lstm", 8),
        ... )
        >>> model = net.build()
        >>> model.compile("adam")
        >>> len(model.translate(["a dog runs", ""], max_length=5))
        2
        >>> isinstance(model.translate("a dog runs", max_length=5), str)
        True
        >>> model.log_likelihood(["a dog runs"], ["dog runs"]).shape
        (1,)
    """

    component_names = ("source_text", "target_text", "encoder", "decoder", "classifier")

    def __init__(
        self,
        source_text: TokenIds,
        target_text: TokenIds,
        encoder: keras.Model,
        decoder: keras.Model,
        classifier: keras.layers.Dense,
        *,
        reverse_source: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(target_text, decoder, classifier, **kwargs)
        self.source_text, self.encoder = source_text, encoder
        self.reverse_source = reverse_source
        self.built = True  # the components are built

    def call(self, inputs: tuple[Tensor, Tensor], training: bool = False) -> Tensor:
        """Return the logits of every target token, given the tokens before it."""
        if not isinstance(inputs, list | tuple) or len(inputs) != 2:
            problem = f"{self.name}: expected a pair of sources and targets, received one input"
            raise ValueError(message(problem, hint="call model.translate(sources), or model((sources, targets))"))
        source, target = self._source_ids(inputs[0]), self._target_ids(inputs[1])
        return self.token_logits(source, target, training=training)

    def encode(self, source: Tensor, *, training: bool = False) -> dict[str, Tensor]:
        """Return the memory with its mask, if the decoder attends to it, and the initial states.

        Args:
            source: Source ids, `(batch, time)`.
            training: Whether dropout is active.
        """
        outputs = dict(self.encoder(source, training=training))
        if "memory" in outputs:
            outputs["memory"]._keras_mask = ops.not_equal(source, 0)
        return outputs

    def source_signature(self) -> tf.TensorSpec:
        """Return the shape and dtype of source ids."""
        return tf.TensorSpec((None, None), "int64")

    def export_signature(self) -> list[Any]:
        """Return the signature of an exported model: a pair of string tensors."""
        return [(tf.TensorSpec((None,), "string"), tf.TensorSpec((None,), "string"))]

    def adapt(self, dataset: Dataset) -> list[str]:
        """Learn the vocabularies of the text layers that have none.

        Args:
            dataset: Batches of pairs.

        Returns:
            A message for each vocabulary that was learned.

        Raises:
            ValueError: The batches are not pairs, or hold no words.
        """
        messages = []
        for index, layer in enumerate((self.source_text, self.target_text)):
            texts = self._mapped(dataset, lambda *batch, index=index: self._split_pair(batch)[index])
            messages += self._adapt_text(layer, texts, ("sources", "targets")[index])
        return messages

    def translate(
        self,
        sources: str | Sequence[str],
        *,
        num_beams: int = 4,
        length_penalty: float = 0.6,
        max_length: int = 100,
        batch_size: int = 64,
        return_attention: bool = False,
    ) -> Any:
        """Return the best target text of each source text, found by beam search.

        Targets consist of words of the vocabulary only. The target of an empty text is empty.

        Args:
            sources: A text, or a list of texts.
            num_beams: Number of open sequences; 1 is greedy search. See `deepkit.models.beam_search`.
            length_penalty: Preference for longer texts, the alpha of Wu et al. 2016, equation 14; 0 for none.
            max_length: Maximum number of tokens of a target.
            batch_size: Number of texts in a batch.
            return_attention: Whether to return the `AttentionMap` of each pair too.

        Returns:
            A string for a string, a list of strings for a list; with `return_attention`, a tuple of the text and its
            `AttentionMap`, or of the list and a list of maps.

        Raises:
            ValueError: An argument is out of range, or there is no vocabulary yet.
            TypeError: `sources` is neither a string nor a list of strings.
        """
        check_search_arguments(num_beams, length_penalty, max_length, batch_size, owner="translate")
        texts = validate_texts(sources, "sources")
        self._vocabulary(self.target_text)
        search: dict[str, Any] = {"num_beams": num_beams, "length_penalty": length_penalty, "max_length": max_length}
        translations = [""] * len(texts)
        non_empty = [row for row, text in enumerate(texts) if text.strip()]
        for rows in length_bucketed_batches(non_empty, texts, batch_size):
            source = self._source_ids(tf.constant([texts[row] for row in rows]))
            for row, translation in zip(rows, self._generate(source, **search), strict=True):
                translations[row] = translation
        is_single = is_single_text(sources)
        if return_attention:
            maps = self.attention_maps(texts, translations, batch_size=batch_size)
            return (translations[0], maps[0]) if is_single else (translations, maps)
        return translations[0] if is_single else translations

    def attention_maps(
        self, sources: str | Sequence[str], targets: str | Sequence[str], *, batch_size: int = 64
    ) -> Any:
        """Return the attention weights of the decoder for pairs of texts.

        Args:
            sources: A text, or a list of texts.
            targets: A target text for each source: a text, or a list of texts.
            batch_size: Number of pairs in a batch.

        Returns:
            An `AttentionMap` for two strings, a list of them for two lists; `dk.visualize.attention` draws a map. Of a
            Transformer, the weights are the mean over the heads of the last layer.

        Raises:
            ValueError: The model has no attention, or the numbers of sources and targets differ.
            TypeError: `sources` or `targets` is neither a string nor a list of strings, or only one of them is a list.
        """
        if not self.has_attention:
            problem = f"{self.name} has no attention"
            raise ValueError(message(problem, hint='build it from dk.Seq2Seq(..., attention="additive")'))
        source_vocabulary = np.array(self._vocabulary(self.source_text))
        target_vocabulary = np.array(self._vocabulary(self.target_text))
        maps = []
        for source, target in self._pair_batches(sources, targets, batch_size):
            weights = mean_over_heads(ops.convert_to_numpy(self._compiled_score(source, target)[1]))
            for pair in zip(weights, ops.convert_to_numpy(source), ops.convert_to_numpy(target), strict=True):
                maps.append(
                    attention_map(
                        *pair,
                        source_vocabulary=source_vocabulary,
                        target_vocabulary=target_vocabulary,
                        is_reversed=self.reverse_source,
                    )
                )
        return maps[0] if is_single_text(sources) else maps

    def log_likelihood(
        self, sources: str | Sequence[str], targets: str | Sequence[str], *, batch_size: int = 64
    ) -> Any:
        """Return log p(target | source) of each pair, including the end of the target.

        Args:
            sources: A text, or a list of texts.
            targets: A target text for each source: a text, or a list of texts.
            batch_size: Number of pairs in a batch.

        Returns:
            Nats: a float for two strings, an array `(pairs,)` for two lists.

        Raises:
            ValueError: The numbers of sources and targets differ, or there is no vocabulary yet.
            TypeError: `sources` or `targets` is neither a string nor a list of strings, or only one of them is a list.
        """
        log_p = [np.zeros(0, "float32")]
        for source, target in self._pair_batches(sources, targets, batch_size):
            log_p.append(ops.convert_to_numpy(self._compiled_score(source, target)[0]).sum(axis=1))
        values = np.concatenate(log_p)
        return float(values[0]) if is_single_text(sources) else values

    def layer_graph(self) -> keras.Model:
        """Return a Functional model of the components, from ids to logits, as `visualize.diagram` draws it.

        The target ids are the inputs of the decoder. Padding is not masked.
        """
        source, target = (keras.Input((None,), dtype="int32", name=name) for name in ("source", "target"))
        outputs = self.decoder({"ids": target, **self.encode(source)})
        return keras.Model([source, target], self.classifier(outputs["hidden"]), name=self.name)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "reverse_source": self.reverse_source}

    def _convert_batch(self, data: Nested) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor | None]:
        """Return a batch as ids: sources and targets as inputs, targets as labels, and the weights."""
        x, y = self._split_pair(data if isinstance(data, tuple) else (data,))
        sample_weight = keras.utils.unpack_x_y_sample_weight(data)[2]
        source, target = self._source_ids(x), self._target_ids(y)
        return (source, target), target, sample_weight

    def _split_pair(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
        if y is None or not hasattr(x, "dtype") or not hasattr(y, "dtype"):
            received = "only sources" if y is None else type(x).__name__
            hint = "pass (sources, targets), two arrays of strings"
            if y is None and getattr(x, "shape", ())[1:] == (2,):  # a list of pairs
                hint = "pass (sources, targets), two lists of strings: sources, targets = map(list, zip(*pairs))"
            raise ValueError(message(f"{self.name}: expected pairs of texts, received {received}", hint=hint))
        return x, y

    def _source_ids(self, texts: Tensor) -> Tensor:
        """Return the ids of sources, in reverse order with `reverse_source`; ids are returned unchanged."""
        ids = token_ids(self.source_text, texts, self.encoder, can_be_empty=False)
        return reverse_ids(ids) if self.reverse_source and holds_texts(texts) else ids

    def _pair_batches(
        self, sources: str | Sequence[str], targets: str | Sequence[str], batch_size: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches of source and target ids."""
        batch_size = check_integer(batch_size, f"{self.name}: batch_size", hint="use batch_size=64")
        if is_single_text(sources) != is_single_text(targets):
            received = [_describe(value) for value in (sources, targets)]
            problem = f"expected two texts or two lists of texts, received {received[0]} and {received[1]}"
            raise TypeError(message(problem, hint="pass [source] and [target], or source and target"))
        sources, targets = validate_texts(sources, "sources"), validate_texts(targets, "targets")
        if len(sources) != len(targets):
            problem = f"expected a target for each source, received {len(sources)} and {len(targets)}"
            raise ValueError(message(problem, hint="pass lists of the same length"))
        for i in range(0, len(sources), batch_size):
            source = self._source_ids(tf.constant(sources[i : i + batch_size]))
            yield source, self._target_ids(tf.constant(targets[i : i + batch_size]))


def _describe(value: object) -> str:
    return "one text" if is_single_text(value) else f"a {type(value).__name__}"
