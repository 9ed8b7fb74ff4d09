"""Encoder-decoder model of texts, trained with teacher forcing and decoded autoregressively."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.definition.outputs import logits_message, probability_loss_name
from deepkit.layers.token_ids import TokenIds, whitespace_to_spaces
from deepkit.models.alignment import AttentionMap, attention_map
from deepkit.models.beam_search import END
from deepkit.models.decoding import UNKNOWN, check_search_arguments, compile_search, join_tokens
from deepkit.models.split_model import SplitModel
from deepkit.models.tokens import (
    as_string_tensor,
    labels_of,
    length_bucketed_batches,
    reverse_ids,
    token_ids,
    token_mask,
    validate_texts,
    weights_of,
)
from deepkit.utils.errors import message
from deepkit.utils.lazy_tensorflow import tf
from deepkit.utils.validation import check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset, LossLike, Nested, OptimizerLike, PathLike, Tensor

_COMPONENTS = ("source_text", "target_text", "encoder", "decoder", "attention_head", "classifier")


class _Perplexity(keras.metrics.Mean):
    """The exponential of the mean cross-entropy of a token."""

    def result(self) -> Tensor:
        """Return the perplexity."""
        return ops.exp(super().result())


@keras.saving.register_keras_serializable(package="deepkit")
class SequenceToSequence(keras.Model):
    """An encoder of source texts and a decoder of target texts; `dk.Seq2Seq(...).build` returns it.

    `fit` takes pairs of texts, (sources, targets). The loss is the cross-entropy of each token given the true tokens
    before it (teacher forcing), without padding. `fit` also reports `accuracy`, the fraction of tokens that are the
    most probable ones, and `perplexity`, the exponential of the mean cross-entropy over all tokens. Called on a pair,
    the model returns the logits of all tokens and ends of all targets, concatenated, so that no padding is computed.

    Id 0 is the padding, the end of a text and the input before its first token.

    Args:
        source_text: Layer from source texts to ids, with at least one id for each text.
        target_text: Layer from target texts to ids.
        encoder: Model from ids `(batch, time)` to the initial states of the decoder; with attention, the memory
            `(batch, time, features)` comes before the states.
        decoder: Model from ids and states to outputs `(batch, time, units)` and the states after the last step.
        attention_head: Model from outputs and memory to the inputs of the classifier and the attention weights; None
            without attention.
        classifier: Dense layer that returns the logits.
        reverse_source: Whether the encoder reads the source in reverse order.
        name: Name of the model.
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
        >>> model.log_likelihood(["a dog runs"], ["dog runs"]).shape
        (1,)
    """

    def __init__(
        self,
        source_text: TokenIds,
        target_text: TokenIds,
        encoder: keras.Model,
        decoder: keras.Model,
        attention_head: keras.Model | None,
        classifier: keras.layers.Dense,
        *,
        reverse_source: bool = False,
        name: str | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.source_text, self.target_text = source_text, target_text
        self.encoder, self.decoder = encoder, decoder
        self.attention_head, self.classifier = attention_head, classifier
        self.reverse_source = reverse_source
        self.accuracy_tracker = keras.metrics.Mean("accuracy")
        self.perplexity_tracker = _Perplexity("perplexity")
        if attention_head is not None:
            attention_head.supports_masking = True  # it receives the mask of the memory
        self._compiled_search = functools.lru_cache(functools.partial(compile_search, self))
        ids = tf.TensorSpec((None, None), "int64")
        self._compiled_score = tf.function(self._score, input_signature=[ids, ids], autograph=False)
        self.built = True  # the components are built

    def compile(self, optimizer: OptimizerLike = "rmsprop", loss: LossLike | None = None, **kwargs: object) -> None:
        """Configure the training, as `keras.Model.compile` does.

        Args:
            optimizer: A Keras optimizer or its name.
            loss: A loss that replaces the cross-entropy of a token; it receives logits.
            kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            ValueError: The model is on several devices, or the loss expects probabilities.
        """
        num_devices = self.distribute_strategy.num_replicas_in_sync
        if num_devices > 1:
            problem = (
                f"{self.name} over {num_devices} devices: the loss is the mean over the tokens of a batch, which is "
                "not the mean of the devices' means, as texts differ in length"
            )
            raise ValueError(message(problem, hint="use one device"))
        name = probability_loss_name(loss)
        if name:
            raise ValueError(logits_message(name, "loss", "the classifier is linear", "the default loss, or "))
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with the arguments of a saved model."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def call(self, inputs: tuple[Tensor, Tensor], training: bool = False) -> Tensor:
        """Return the logits of every target token, given the tokens before it."""
        if not isinstance(inputs, list | tuple) or len(inputs) != 2:
            problem = f"{self.name}: expected a pair of sources and targets, received one input"
            raise ValueError(message(problem, hint="call model.translate(sources), or model((sources, targets))"))
        source, target = self._source_ids(inputs[0]), self._target_ids(inputs[1])
        attended, _ = self._teacher_forced(source, target, training=training)
        return self.classifier(tf.boolean_mask(attended, token_mask(target)))

    def train_step(self, data: Nested) -> dict[str, Tensor]:
        """Train on a batch of pairs."""
        return super().train_step(self._convert_batch(data))

    def test_step(self, data: Nested) -> dict[str, Tensor]:
        """Evaluate a batch of pairs."""
        return super().test_step(self._convert_batch(data))

    def compute_loss(
        self,
        x: Nested | None = None,
        y: Any = None,
        y_pred: Tensor | None = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        """Return the mean cross-entropy of a token, plus penalties on weights."""
        labels, weights = labels_of(y), weights_of(y, sample_weight)
        losses = keras.losses.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)
        is_correct = ops.cast(ops.equal(ops.argmax(y_pred, -1), labels), "float32")
        self.accuracy_tracker.update_state(is_correct, weights)
        self.perplexity_tracker.update_state(losses, weights)
        if self._compile_loss is not None:
            return super().compute_loss(x, labels, y_pred, weights, training)
        return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1e-7) + sum(self.losses)

    def compute_metrics(
        self, x: Nested, y: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Update the metrics of `compile`, which count tokens."""
        return super().compute_metrics(x, labels_of(y), y_pred, weights_of(y, sample_weight))

    def fit(self, x: object = None, y: object = None, *args: object, **kwargs: object) -> keras.callbacks.History:
        """Train as `keras.Model.fit` does, also on lists of strings and on fixed-width string arrays.

        Args:
            x: Source texts, or a dataset of batches of pairs.
            y: Target texts, one for each source; None for a dataset.
            args: Further arguments of `keras.Model.fit`.
            kwargs: Further arguments of `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.
        """
        validation_data = kwargs.get("validation_data")
        if isinstance(validation_data, list | tuple):
            kwargs["validation_data"] = tuple(as_string_tensor(value) for value in validation_data)
        return super().fit(as_string_tensor(x), as_string_tensor(y), *args, **kwargs)

    def evaluate(
        self, x: object = None, y: object = None, *args: object, **kwargs: object
    ) -> float | list[float] | dict[str, float]:
        """Evaluate as `keras.Model.evaluate` does, also on lists of strings and on fixed-width string arrays.

        Args:
            x: Source texts, or a dataset of batches of pairs.
            y: Target texts, one for each source; None for a dataset.
            args: Further arguments of `keras.Model.evaluate`.
            kwargs: Further arguments of `keras.Model.evaluate`.

        Returns:
            The loss and the metrics, which count tokens.
        """
        return super().evaluate(as_string_tensor(x), as_string_tensor(y), *args, **kwargs)

    def adapt(self, dataset: Dataset) -> None:
        """Learn the vocabularies of the text layers that have none.

        Args:
            dataset: Batches of pairs.

        Raises:
            ValueError: The batches are not pairs, or hold no words.
        """
        for index, layer in enumerate((self.source_text, self.target_text)):
            if layer.get_vocabulary(include_special_tokens=False):
                continue
            layer.adapt(dataset.map(lambda *batch, index=index: self._split_pair(batch)[index]))
            if not layer.get_vocabulary(include_special_tokens=False):
                problem = f"{self.name}: no word in the {('sources', 'targets')[index]}"
                raise ValueError(message(problem, hint="pass texts that are not empty"))

    def translate(
        self,
        sources: Sequence[str],
        *,
        num_beams: int = 4,
        length_penalty: float = 0.6,
        max_length: int = 100,
        batch_size: int = 64,
        return_attention: bool = False,
    ) -> list[str] | tuple[list[str], list[AttentionMap]]:
        """Return the best target text of each source text, found by beam search.

        Targets consist of words of the vocabulary only. The target of an empty text is empty.

        Args:
            sources: Texts.
            num_beams: Number of open sequences; 1 is greedy search. See `deepkit.models.beam_search`.
            length_penalty: Preference for longer texts, the alpha of Wu et al. 2016, equation 14; 0 for none.
            max_length: Maximum number of tokens of a target.
            batch_size: Number of texts in a batch.
            return_attention: Whether to return the `AttentionMap` of each pair too.

        Returns:
            Texts; with `return_attention`, a tuple of texts and attention maps.

        Raises:
            ValueError: An argument is out of range, or there is no vocabulary yet.
            TypeError: `sources` is not a list of texts.
        """
        check_search_arguments(num_beams, length_penalty, max_length, batch_size)
        texts = validate_texts(sources, "sources")
        vocabulary = self._vocabulary(self.target_text)
        translations = [""] * len(texts)
        non_empty = [row for row, text in enumerate(texts) if text.strip()]
        search = self._compiled_search(num_beams)
        for rows in length_bucketed_batches(non_empty, texts, batch_size):
            source = self._source_ids(tf.constant([texts[row] for row in rows]))
            targets, _ = search(source, max_length, length_penalty, len(vocabulary))
            for row, target in zip(rows, ops.convert_to_numpy(targets), strict=True):
                tokens = [vocabulary[i] for i in target if i != END]
                translations[row] = join_tokens(tokens, self.target_text)
        if return_attention:
            return translations, self.attention_maps(texts, translations, batch_size=batch_size)
        return translations

    def attention_maps(
        self, sources: Sequence[str], targets: Sequence[str], *, batch_size: int = 64
    ) -> list[AttentionMap]:
        """Return the attention weights of the decoder for pairs of texts.

        Args:
            sources: Texts.
            targets: A target text for each source.
            batch_size: Number of pairs in a batch.

        Returns:
            A map for each pair, which `dk.visualize.attention` draws.

        Raises:
            ValueError: The model has no attention, or the numbers of sources and targets differ.
        """
        if self.attention_head is None:
            problem = f"{self.name} has no attention"
            raise ValueError(message(problem, hint='build it from dk.Seq2Seq(..., attention="additive")'))
        source_vocabulary = np.array(self._vocabulary(self.source_text))
        target_vocabulary = np.array(self._vocabulary(self.target_text))
        maps = []
        for source, target in self._pair_batches(sources, targets, batch_size):
            weights = ops.convert_to_numpy(self._compiled_score(source, target)[1])
            for pair in zip(weights, ops.convert_to_numpy(source), ops.convert_to_numpy(target), strict=True):
                maps.append(
                    attention_map(
                        *pair,
                        source_vocabulary=source_vocabulary,
                        target_vocabulary=target_vocabulary,
                        is_reversed=self.reverse_source,
                    )
                )
        return maps

    def log_likelihood(self, sources: Sequence[str], targets: Sequence[str], *, batch_size: int = 64) -> np.ndarray:
        """Return log p(target | source) of each pair, including the end of the target.

        Args:
            sources: Texts.
            targets: A target text for each source.
            batch_size: Number of pairs in a batch.

        Returns:
            Nats, `(pairs,)`.

        Raises:
            ValueError: The numbers of sources and targets differ, or there is no vocabulary yet.
            TypeError: `sources` or `targets` is not a list of texts.
        """
        log_p = []
        for source, target in self._pair_batches(sources, targets, batch_size):
            log_p.append(ops.convert_to_numpy(self._compiled_score(source, target)[0]))
        return np.concatenate(log_p) if log_p else np.zeros(0, "float32")

    def encode(self, source: Tensor, *, training: bool = False) -> tuple[Tensor | None, list[Tensor]]:
        """Return the memory, or None without attention, and the initial states of the decoder.

        Args:
            source: Source ids, `(batch, time)`.
            training: Whether dropout is active.
        """
        outputs = self.encoder(source, training=training)
        outputs = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
        if self.attention_head is None:
            return None, outputs
        return outputs[0], outputs[1:]

    def attend(
        self, outputs: Tensor, memory: Tensor | None, source: Tensor, *, training: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return the inputs of the classifier and the attention weights; without attention, the outputs and None.

        Args:
            outputs: Outputs of the decoder, `(batch, steps, units)`.
            memory: Memory of the encoder, `(batch, time, features)`.
            source: Source ids, `(batch, time)`, which mask the memory.
            training: Whether dropout is active.
        """
        if self.attention_head is None:
            return outputs, None
        return self.attention_head([outputs, memory], training=training, mask=[None, ops.not_equal(source, 0)])

    def project_memory(self, memory: Tensor | None, source: Tensor) -> list[Any]:
        """Return what the attention computes from the memory alone, so that decoding computes it once per source.

        Args:
            memory: Memory of the encoder, `(batch, time, features)`, or None without attention.
            source: Source ids, `(batch, time)`, which mask the memory.
        """
        if self._split_head is None or memory is None:
            return []
        projected: list[Any] = self._split_head.first(memory)
        mask = ops.not_equal(source, 0)
        for tensor in projected:
            tensor._keras_mask = mask
        return projected

    def attend_projected(self, outputs: Tensor, projected: list[Any]) -> Tensor:
        """Return the inputs of the classifier as `attend` does in inference, from the result of `project_memory`.

        Args:
            outputs: Outputs of the decoder, `(batch, steps, units)`.
            projected: The result of `project_memory`.
        """
        if self._split_head is None:
            return outputs
        attended, _ = self._split_head.rest([outputs], projected)
        return attended

    @functools.cached_property
    def _split_head(self) -> SplitModel | None:
        """The attention in two parts: from the memory alone, and the rest."""
        return None if self.attention_head is None else SplitModel(self.attention_head, 1)

    def layer_graph(self) -> keras.Model:
        """Return a Functional model of the components, from ids to logits, as `visualize.diagram` draws it.

        The target ids are the inputs of the decoder. Padding is not masked.
        """
        source, target = (keras.Input((None,), dtype="int32", name=name) for name in ("source", "target"))
        memory, states = self.encode(source)
        outputs, *_ = self.decoder([target, *states])
        attended = outputs if self.attention_head is None else self.attention_head([outputs, memory])[0]
        return keras.Model([source, target], self.classifier(attended), name=self.name)

    def export(
        self,
        filepath: PathLike,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Nested | None = None,
        **kwargs: object,
    ) -> None:
        """Export the model as `keras.Model.export` does; the default `input_signature` is a pair of string tensors."""
        if input_signature is None:
            input_signature = [(tf.TensorSpec((None,), "string"), tf.TensorSpec((None,), "string"))]
        super().export(filepath, format, verbose, input_signature, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        components = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in _COMPONENTS}
        dtype = keras.dtype_policies.serialize(self.dtype_policy)
        return {**components, "reverse_source": self.reverse_source, "name": self.name, "dtype": dtype}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: dict[str, Any] | None = None) -> SequenceToSequence:
        """Create a model from its config."""
        components = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in _COMPONENTS
        }
        return cls(**{**config, **components})

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
            problem = f"{self.name}: expected pairs of texts, received {received}"
            raise ValueError(message(problem, hint="pass (sources, targets), two arrays of strings"))
        return x, y

    def _teacher_forced(self, source: Tensor, target: Tensor, *, training: bool) -> tuple[Tensor, Tensor | None]:
        """Return the inputs of the classifier for each target step, and the attention weights."""
        memory, states = self.encode(source, training=training)
        decoder_inputs = ops.pad(target, [[0, 0], [1, 0]])  # END is the input before the first token
        outputs, *_ = self.decoder([decoder_inputs, *states], training=training)
        return self.attend(outputs, memory, source, training=training)

    def _score(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return log p of each target, and the attention weights."""
        attended, weights = self._teacher_forced(source, target, training=False)
        log_p = ops.log_softmax(ops.cast(self.classifier(attended), "float32"))
        token_log_p = ops.take_along_axis(log_p, ops.pad(target, [[0, 0], [0, 1]])[..., None], axis=2)[..., 0]
        return ops.sum(ops.where(token_mask(target), token_log_p, 0.0), axis=1), weights

    def _source_ids(self, texts: Tensor) -> Tensor:
        """Return the ids of sources, in reverse order with `reverse_source`; ids are returned unchanged."""
        ids = token_ids(self.source_text, texts)
        return reverse_ids(ids) if self.reverse_source and ids is not texts else ids

    def _target_ids(self, texts: Tensor) -> Tensor:
        """Return the ids of targets, zeros for an empty text, of which only the end is decoded."""
        ids = token_ids(self.target_text, texts)
        if ids is texts:
            return ids
        stripped = tf.strings.strip(whitespace_to_spaces(tf.reshape(texts, (-1, 1))))
        is_empty = tf.equal(tf.strings.length(stripped), 0)
        return ops.where(is_empty, 0, ids)

    def _pair_batches(
        self, sources: Sequence[str], targets: Sequence[str], batch_size: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches of source and target ids."""
        batch_size = check_integer(batch_size, f"{self.name}: batch_size", hint="use batch_size=64")
        sources, targets = validate_texts(sources, "sources"), validate_texts(targets, "targets")
        if len(sources) != len(targets):
            problem = f"expected a target for each source, received {len(sources)} and {len(targets)}"
            raise ValueError(message(problem, hint="pass lists of the same length"))
        for i in range(0, len(sources), batch_size):
            source = self._source_ids(tf.constant(sources[i : i + batch_size]))
            yield source, self._target_ids(tf.constant(targets[i : i + batch_size]))

    def _vocabulary(self, layer: TokenIds) -> list[str]:
        vocabulary = layer.get_vocabulary()
        if len(vocabulary) <= UNKNOWN + 1:
            problem = f"{self.name} has no vocabulary yet"
            hint = "call dk.fit, which learns it from the training data, or model.adapt(pairs)"
            raise ValueError(message(problem, hint=hint))
        return vocabulary
