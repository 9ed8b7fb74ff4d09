"""An encoder and a decoder as a Keras model: trained with the right words before it, decoded with its own."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from deepkit.definition.outputs import logits_message, probability_loss_name
from deepkit.layers.config_checks import positive_integer
from deepkit.layers.token_ids import SPLIT_PUNCTUATION, TokenIds
from deepkit.models.beam_search import END, beam_search
from deepkit.models.tokens import (
    batches_alike,
    checked_texts,
    ids_of,
    labels_of,
    real_places,
    reversed_ids,
    takeable,
    weights_of,
)

_UNKNOWN = 1  # the id of every word that is not in the vocabulary
_PARTS = ("source_text", "target_text", "encoder", "decoder", "reader", "classifier")


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """Where a decoder looked: one row a target token, the end among them, and one column a source token.

    Args:
        weights: (target tokens, source tokens), each row adding up to 1.
        source: The source tokens.
        target: The target tokens; `""` for the end.
    """

    weights: np.ndarray
    source: list[str]
    target: list[str]


class _Perplexity(keras.metrics.Mean):
    """The exponential of the mean cross-entropy of a token."""

    def result(self) -> Any:
        return ops.exp(super().result())


@keras.saving.register_keras_serializable(package="deepkit")
class SequenceToSequence(keras.Model):
    """An encoder of source texts and a decoder that writes target texts; what `dk.Seq2Seq(...).build` returns.

    `fit` takes pairs of texts, (sources, targets), and needs no loss: that is the cross-entropy of a token, given the
    right tokens before it (teacher forcing), padding left out. Reported besides are the share of tokens that are the
    most probable ones, `accuracy`, and `perplexity`, the exponential of the cross-entropy over all tokens seen.
    Called on a pair, the model returns the logits (tokens, vocabulary) of all tokens of all targets, the ends among
    them, one text after the other: no padding is computed.

    Id 0, which pads, is also what a text begins behind and ends with.

    Args:
        source_text: The layer that makes ids of source texts, at least one of each.
        target_text: The same for targets.
        encoder: From ids (batch, time) to the states that the decoder begins with, and with attention before them
            the memory (batch, time, features).
        decoder: From ids and states to its outputs (batch, time, units) and the states after the last step.
        reader: From outputs and memory to what is to be classified, and the weights; None without attention.
        classifier: The layer from there to the logits.
        reverse_source: Whether the encoder reads the source from its end.

    Examples:
        >>> import deepkit as dk
        >>> text = dk.Text(6, vocabulary=("a", "dog", "runs"))
        >>> net = dk.Seq2Seq(text, embedding_dim=4, encoder=dk.BiLSTM(4), decoder=dk.Recurrent("lstm", 8))
        >>> model = net.build()
        >>> model.compile("adam")
        >>> len(model.translate(["a dog runs", ""], max_length=5))
        2
    """

    def __init__(
        self,
        source_text: TokenIds,
        target_text: TokenIds,
        encoder: keras.Model,
        decoder: keras.Model,
        reader: keras.Model | None,
        classifier: keras.layers.Layer,
        *,
        reverse_source: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.source_text, self.target_text = source_text, target_text
        self.encoder, self.decoder, self.reader, self.classifier = encoder, decoder, reader, classifier
        self.reverse_source = reverse_source
        self.accuracy_tracker = keras.metrics.Mean("accuracy")
        self.perplexity_tracker = _Perplexity("perplexity")
        if reader is not None:
            reader.supports_masking = True  # it is given the mask of the memory
        self._search = functools.lru_cache(self._compiled_search)
        ids = tf.TensorSpec((None, None), "int64")
        self._explained = tf.function(self._explain, input_signature=[ids, ids], autograph=False)
        self.built = True  # the parts are

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, **kwargs: Any) -> None:
        """Set how to train, as `keras.Model.compile` does; a loss takes the place of the cross-entropy of a token.

        Raises:
            ValueError: The model is on several devices, or the loss is of probabilities.
        """
        devices = self.distribute_strategy.num_replicas_in_sync
        if devices > 1:
            raise ValueError(
                f"{self.name} over {devices} devices: the loss is a mean over the tokens of a batch, which is not the "
                "mean of the devices' means, as texts differ in length\n  hint: one device"
            )
        name = probability_loss_name(loss)
        if name:
            raise ValueError(logits_message(name, "loss", "the classifier is linear", "the default loss, or "))
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as the model was that was saved."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def call(self, inputs: tuple[Any, Any], training: bool = False) -> Any:
        """Return the logits of every target token, given those before it."""
        if not isinstance(inputs, list | tuple) or len(inputs) != 2:
            raise ValueError(
                f"{self.name}: called on one text; expected a pair, sources and targets\n"
                "  hint: model.translate(sources), or model((sources, targets))"
            )
        source, target = self._source_ids(inputs[0]), self._target_ids(inputs[1])
        read, _ = self._forced(source, target, training)
        return self.classifier(tf.boolean_mask(read, real_places(target)))

    def train_step(self, data: Any) -> Any:
        """Learn from a batch of pairs."""
        return super().train_step(self._pairs(data))

    def test_step(self, data: Any) -> Any:
        """Evaluate a batch of pairs."""
        return super().test_step(self._pairs(data))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the mean cross-entropy of a token, with penalties on weights where there are some."""
        labels, weights = labels_of(y), weights_of(y, sample_weight)
        losses = keras.losses.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)
        right = ops.cast(ops.equal(ops.argmax(y_pred, -1), labels), "float32")
        self.accuracy_tracker.update_state(right, weights)
        self.perplexity_tracker.update_state(losses, weights)
        if self._compile_loss is not None:
            return super().compute_loss(x, labels, y_pred, weights, training)
        return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1e-7) + sum(self.losses)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Update the metrics that were given to `compile`, token by token."""
        return super().compute_metrics(x, labels_of(y), y_pred, weights_of(y, sample_weight))

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train as `keras.Model.fit` does, also on lists of strings and arrays of strings of a fixed width."""
        validation = kwargs.get("validation_data")
        if isinstance(validation, list | tuple):
            kwargs["validation_data"] = tuple(takeable(part) for part in validation)
        return super().fit(takeable(x), takeable(y), *args, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluate as `keras.Model.evaluate` does, also on lists of strings and arrays of strings of a fixed width."""
        return super().evaluate(takeable(x), takeable(y), *args, **kwargs)

    def adapt(self, dataset: tf.data.Dataset) -> None:
        """Learn the vocabularies of both sides, where there are none yet.

        Args:
            dataset: Batches of pairs.

        Raises:
            ValueError: The batches are no pairs, or hold no words.
        """
        for place, layer in enumerate((self.source_text, self.target_text)):
            if layer.get_vocabulary(include_special_tokens=False):
                continue
            layer.adapt(dataset.map(lambda *batch, place=place: self._pair(batch)[place]))
            if not layer.get_vocabulary(include_special_tokens=False):
                raise ValueError(
                    f"{self.name}: no word in the {('sources', 'targets')[place]}\n  hint: texts that are not empty"
                )

    def translate(
        self,
        sources: Sequence[str],
        *,
        num_beams: int = 4,
        length_penalty: float = 0.6,
        max_length: int = 100,
        batch_size: int = 64,
        return_attention: bool = False,
    ) -> Any:
        """Return the target text that the model finds for each source text.

        Only words of the vocabulary come out. An empty text has an empty translation.

        Args:
            sources: Texts.
            num_beams: How many unfinished texts are followed; 1 takes the most probable token each time. See
                `deepkit.models.beam_search`.
            length_penalty: How much longer texts are preferred: the alpha of Wu et al. 2016, equation 14; 0 for not.
            max_length: Most tokens of a text.
            batch_size: How many texts are decoded at a time.
            return_attention: Whether the `AttentionMap` of each pair comes out too.

        Returns:
            Texts; and with `return_attention` a list of maps behind them.

        Raises:
            ValueError: An argument makes no sense, or there is no vocabulary yet.
            TypeError: `sources` is no list of texts.
        """
        _check_numbers(num_beams, length_penalty, max_length, batch_size)
        texts, found = checked_texts(sources, "sources"), [""] * len(sources)
        words = self._words(self.target_text)
        asked = [number for number, text in enumerate(texts) if text.strip()]
        for rows in batches_alike(asked, texts, batch_size):
            ids = self._source_ids(tf.constant([texts[row] for row in rows]))
            written, _ = self._search(num_beams)(ids, max_length, length_penalty, len(words))
            for row, sequence in zip(rows, ops.convert_to_numpy(written), strict=True):
                found[row] = self._joined([words[i] for i in sequence if i != END])
        return (found, self.attention_maps(texts, found, batch_size=batch_size)) if return_attention else found

    def attention_maps(
        self, sources: Sequence[str], targets: Sequence[str], *, batch_size: int = 64
    ) -> list[AttentionMap]:
        """Return where the decoder looks in each source text while it writes the target text beside it.

        Args:
            sources: Texts.
            targets: A text for each.
            batch_size: How many pairs are taken at a time.

        Returns:
            A map a pair, with all that `dk.visualize.attention` draws.

        Raises:
            ValueError: The model has no attention, or there are not as many targets as sources.
        """
        if self.reader is None:
            raise ValueError(f'{self.name} has no attention\n  hint: dk.Seq2Seq(..., attention="additive")')
        words = [np.array(self._words(layer)) for layer in (self.source_text, self.target_text)]
        maps = []
        for source, target in self._paired(sources, targets, batch_size):
            weights = ops.convert_to_numpy(self._explained(source, target)[1])
            for one, row, written in zip(weights, source.numpy(), target.numpy(), strict=True):
                places, queries = np.count_nonzero(row), np.count_nonzero(written)
                seen, row = one[: queries + 1, :places], row[:places]
                if self.reverse_source:
                    seen, row = seen[:, ::-1], row[::-1]
                maps.append(AttentionMap(seen, words[0][row].tolist(), [*words[1][written[:queries]].tolist(), ""]))
        return maps

    def log_likelihood(self, sources: Sequence[str], targets: Sequence[str], *, batch_size: int = 64) -> np.ndarray:
        """Return log p(target | source) of each pair, the end among the tokens.

        Args:
            sources: Texts.
            targets: A text for each.
            batch_size: How many pairs are taken at a time.

        Returns:
            Nats (pairs,).
        """
        pairs = self._paired(sources, targets, batch_size)
        found = [ops.convert_to_numpy(self._explained(source, target)[0]) for source, target in pairs]
        return np.concatenate(found) if found else np.zeros(0, "float32")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        parts = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in _PARTS}
        dtype = keras.dtype_policies.serialize(self.dtype_policy)
        return {**parts, "reverse_source": self.reverse_source, "name": self.name, "dtype": dtype}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> SequenceToSequence:
        """Make a model of what `get_config` returned."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects) for name in _PARTS
        }
        return cls(**{**config, **parts})

    def _pairs(self, data: Any) -> tuple[Any, Any, Any]:
        """Return a batch with its texts as ids: sources and targets as inputs, targets as labels."""
        x, y = self._pair(data if isinstance(data, tuple) else (data,))
        weight = keras.utils.unpack_x_y_sample_weight(data)[2]
        source, target = self._source_ids(x), self._target_ids(y)
        return (source, target), target, weight

    def _pair(self, batch: tuple[Any, ...]) -> tuple[Any, Any]:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
        if y is None or not all(hasattr(part, "dtype") for part in (x, y)):
            raise ValueError(
                f"{self.name}: expected pairs of texts, received {'sources only' if y is None else type(x).__name__}\n"
                "  hint: (sources, targets), two arrays of strings"
            )
        return x, y

    def _forced(self, source: Any, target: Any, training: bool) -> tuple[Any, Any]:
        """Return what is to be classified at each place of the targets, and the weights of the source's places."""
        memory, states = self._encoded(source, training)
        begun = ops.pad(target, [[0, 0], [1, 0]])  # END stands before the first token
        outputs, *_ = self.decoder([begun, *states], training=training)
        return self._read(outputs, memory, source, training)

    def _encoded(self, source: Any, training: bool) -> tuple[Any, list[Any]]:
        found = self.encoder(source, training=training)
        found = found if isinstance(found, list | tuple) else [found]
        if self.reader is None:
            return None, list(found)
        return found[0], list(found[1:])

    def _read(self, outputs: Any, memory: Any, source: Any, training: bool) -> tuple[Any, Any]:
        if self.reader is None:
            return outputs, None
        return self.reader([outputs, memory], training=training, mask=[None, ops.not_equal(source, 0)])

    def _explain(self, source: Any, target: Any) -> tuple[Any, Any]:
        """Return log p of each target, and the weights of the source's places."""
        read, weights = self._forced(source, target, training=False)
        log_p = ops.log_softmax(ops.cast(self.classifier(read), "float32"))
        each = ops.take_along_axis(log_p, ops.pad(target, [[0, 0], [0, 1]])[..., None], axis=2)[..., 0]
        return ops.sum(ops.where(real_places(target), each, 0.0), axis=1), weights

    def _compiled_search(self, num_beams: int) -> Any:
        """Return the decoding loop for a number of beams, compiled."""
        scalars = [tf.TensorSpec((), dtype) for dtype in ("int32", "float32", "int32")]
        signature = [tf.TensorSpec((None, None), "int64"), *scalars]
        return tf.function(functools.partial(self._searched, num_beams), input_signature=signature, autograph=False)

    def _searched(self, num_beams: int, source: Any, max_length: Any, length_penalty: Any, words: Any) -> Any:
        """Return the best targets as ids, and their scores; `words` ids can be written, the unknown word cannot."""
        memory, states = self._encoded(source, training=False)
        numbers = ops.arange(self.classifier.units)
        barred = ops.logical_or(numbers == _UNKNOWN, numbers >= words)

        def step(tokens: Any, states: list[Any]) -> tuple[Any, list[Any]]:
            outputs, *states = self.decoder([ops.reshape(tokens, (-1, 1)), *states], training=False)
            queries = ops.reshape(outputs, (-1, num_beams, outputs.shape[-1]))  # the beams of a text share its memory
            read, _ = self._read(queries, memory, source, training=False)
            log_p = ops.log_softmax(ops.cast(self.classifier(read), "float32"))
            return ops.where(barred, -math.inf, log_p), states

        begun = [ops.repeat(state, num_beams, axis=0) for state in states]
        return beam_search(step, begun, num_beams=num_beams, max_length=max_length, length_penalty=length_penalty)

    def _source_ids(self, texts: Any) -> Any:
        """Return ids, turned around where the encoder reads from the end; what is no text is ids already."""
        ids = ids_of(self.source_text, texts)
        return reversed_ids(ids) if self.reverse_source and ids is not texts else ids

    def _target_ids(self, texts: Any) -> Any:
        """Return ids; of an empty text none, as nothing is to be written but the end."""
        ids = ids_of(self.target_text, texts)
        if ids is texts:
            return ids
        blank = tf.equal(tf.strings.length(tf.strings.strip(tf.reshape(texts, (-1, 1)))), 0)
        return ops.where(blank, 0, ids)

    def _paired(self, sources: Any, targets: Any, batch_size: int) -> Iterator[tuple[Any, Any]]:
        positive_integer(batch_size, f"{self.name}: batch_size", "batch_size=64")
        sources, targets = checked_texts(sources, "sources"), checked_texts(targets, "targets")
        if len(sources) != len(targets):
            raise ValueError(f"expected a target for each source, received {len(sources)} and {len(targets)}")
        for i in range(0, len(sources), batch_size):
            pair = sources[i : i + batch_size], targets[i : i + batch_size]
            yield self._source_ids(tf.constant(pair[0])), self._target_ids(tf.constant(pair[1]))

    def _words(self, layer: keras.layers.TextVectorization) -> list[str]:
        words = layer.get_vocabulary()
        if len(words) <= _UNKNOWN + 1:
            raise ValueError(
                f"{self.name} has no vocabulary yet\n  hint: dk.fit, which learns it from the training data, or "
                "model.adapt(pairs)"
            )
        return words

    def _joined(self, tokens: list[str]) -> str:
        config = self.target_text.get_config()
        text = ("" if config["split"] == "character" else " ").join(tokens)
        # a mark goes to the word before it, and is split from it again when the text is read
        return re.sub(r" ([.,;:!?%)])", r"\1", text) if config["standardize"] == SPLIT_PUNCTUATION else text


def _check_numbers(num_beams: Any, length_penalty: Any, max_length: Any, batch_size: Any) -> None:
    for name, value, usual in (
        ("num_beams", num_beams, 4),
        ("max_length", max_length, 100),
        ("batch_size", batch_size, 64),
    ):
        positive_integer(value, f"translate: {name}", f"{name}={usual}")
    if not isinstance(length_penalty, int | float) or not 0 <= length_penalty < math.inf:
        raise ValueError(f"translate: length_penalty must be a number from 0, received {length_penalty!r}")
