"""Models that generate a text token by token: teacher forcing with its loss and metrics, and beam search."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from deepkit.definition.outputs import logits_message, probability_loss_name
from deepkit.layers.token_ids import TokenIds, describe_vocabulary, whitespace_to_spaces
from deepkit.models.beam_search import END
from deepkit.models.compile_checks import check_token_loss, check_token_metrics
from deepkit.models.decoding import UNKNOWN, compile_search, join_tokens
from deepkit.models.incremental_decoding import IncrementalDecoder
from deepkit.models.tokens import (
    as_string_array,
    check_text_spec,
    holds_texts,
    labels_of,
    token_ids,
    token_mask,
    weighted_mean,
    weights_of,
)
from deepkit.utils.errors import message
from deepkit.utils.lazy_tensorflow import tf

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset, LossLike, Nested, OptimizerLike, PathLike, Tensor

_STANDARDIZATIONS = {  # what they change in the texts that a model reads and generates, for messages
    "lower_and_strip_punctuation": "; lowercase and without punctuation",
    "lower_and_split_punctuation": "; lowercase",
    "lower": "; lowercase",
    "strip_punctuation": "; without punctuation",
}


class _Perplexity(keras.metrics.Mean):
    """The exponential of the mean cross-entropy of a token."""

    def result(self) -> Tensor:
        """Return the perplexity."""
        return ops.exp(super().result())


class _Batch:
    """The weights of the batch of a step; an object that Keras does not track."""

    def __init__(self) -> None:
        self.sample_weight: Tensor | None = None


class AutoregressiveModel(keras.Model):
    """Base class of the models that generate a text token by token, each given the tokens before it.

    The loss is the cross-entropy of each token given the true tokens before it (teacher forcing), without padding.
    `fit` also reports `accuracy`, the fraction of tokens that are the most probable ones, and `perplexity`, the
    exponential of the mean cross-entropy over all tokens.

    Id 0 is the padding, the end of a text and the input before its first token.

    Args:
        target_text: Layer from texts to ids.
        decoder: Functional model with a dictionary of inputs, `"ids"` and the outputs of `encode`, and a dictionary of
            outputs: `"hidden"`, the inputs of the classifier `(batch, time, features)`; with attention, `"weights"`
            `(batch, [heads,] time, positions)`.
        classifier: Dense layer that returns the logits.
        name: Name of the model.
        kwargs: Further arguments of `keras.Model`.
    """

    component_names: tuple[str, ...] = ("target_text", "decoder", "classifier")
    """The layers and models that are arguments of the constructor."""

    def __init__(
        self,
        target_text: TokenIds,
        decoder: keras.Model,
        classifier: keras.layers.Dense,
        *,
        name: str | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.target_text, self.decoder, self.classifier = target_text, decoder, classifier
        self.accuracy_tracker = keras.metrics.Mean("accuracy")
        self.perplexity_tracker = _Perplexity("perplexity")
        self._batch = _Batch()
        self._compiled_search = functools.lru_cache(functools.partial(compile_search, self))

    @abstractmethod
    def encode(self, source: Tensor, *, training: bool = False) -> dict[str, Tensor]:
        """Return the inputs of the decoder except the ids, `(batch, ...)`.

        Args:
            source: Sources, with the shape and dtype of `source_signature`.
            training: Whether dropout is active.
        """

    @abstractmethod
    def source_signature(self) -> tf.TensorSpec:
        """Return the shape and dtype of the sources that `encode` receives."""

    @abstractmethod
    def export_signature(self) -> list[Any]:
        """Return the default `input_signature` of `export`."""

    @abstractmethod
    def _convert_batch(self, data: Nested) -> tuple[Any, Tensor, Tensor | None]:
        """Return a batch: the inputs of the model, the ids of the targets as labels, and the weights."""

    def label_mask(self, target: Tensor) -> Tensor:
        """Return the mask `(batch, time + 1)` of the steps whose token the model predicts: all tokens and the end."""
        return token_mask(target)

    def token_logits(self, source: Tensor, target: Tensor, *, training: bool = False) -> Tensor:
        """Return the logits of all tokens of a batch, each given the true tokens before it, `(tokens, vocabulary)`.

        Args:
            source: Sources, as `encode` receives them.
            target: Ids of the targets, `(batch, time)`.
            training: Whether dropout is active.
        """
        hidden = self._teacher_forced(source, target, training=training)["hidden"]
        return self.classifier(tf.boolean_mask(hidden, self.label_mask(target)))

    @property
    def has_attention(self) -> bool:
        """Whether the decoder attends to a memory."""
        return "weights" in self.decoder.output

    @functools.cached_property
    def incremental_decoder(self) -> IncrementalDecoder:
        """The decoder, computed one step at a time."""
        return IncrementalDecoder(self.decoder)

    def compile(self, optimizer: OptimizerLike = "rmsprop", loss: LossLike | None = None, **kwargs: object) -> None:
        """Configure the training, as `keras.Model.compile` does.

        Args:
            optimizer: A Keras optimizer or its name.
            loss: A loss that replaces the cross-entropy of a token; it receives logits.
            kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            ValueError: The model is on several devices, the loss expects probabilities, or the loss or a metric cannot
                compare class indices with logits.
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
        check_token_loss(loss, self.classifier.units)
        for metrics in ("metrics", "weighted_metrics"):
            check_token_metrics(kwargs.get(metrics), self.classifier.units)
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with the arguments of a saved model."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def train_step(self, data: Nested) -> dict[str, Tensor]:
        """Train on a batch."""
        return self._with_weights(super().train_step, data)

    def test_step(self, data: Nested) -> dict[str, Tensor]:
        """Evaluate a batch."""
        return self._with_weights(super().test_step, data)

    def _with_weights(self, step: Callable[[Any], dict[str, Tensor]], data: Nested) -> dict[str, Tensor]:
        """Return the result of a step on a batch, whose weights `call` can read."""
        x, target, sample_weight = self._convert_batch(data)
        self._batch.sample_weight = sample_weight
        try:
            return step((x, target, sample_weight))
        finally:
            self._batch.sample_weight = None

    def compute_loss(
        self,
        x: Nested | None = None,
        y: Any = None,
        y_pred: Tensor | None = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        """Return the mean cross-entropy of a token, plus penalties on weights."""
        mask = self.label_mask(y)
        labels, weights = labels_of(y, mask), weights_of(sample_weight, mask)
        losses = keras.losses.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)
        weights = ops.cast(weights, losses.dtype)
        is_correct = ops.cast(ops.equal(ops.argmax(y_pred, -1), labels), "float32")
        self.accuracy_tracker.update_state(is_correct, weights)
        self.perplexity_tracker.update_state(losses, weights)
        if self._compile_loss is not None:
            return super().compute_loss(x, labels, y_pred, weights, training)
        loss = weighted_mean(losses, weights)
        for penalty in self.losses:
            loss += ops.cast(penalty, loss.dtype)
        return loss

    def compute_metrics(
        self, x: Nested, y: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Update the metrics of `compile`, which count tokens."""
        mask = self.label_mask(y)
        return super().compute_metrics(x, labels_of(y, mask), y_pred, weights_of(sample_weight, mask))

    def fit(self, x: object = None, y: object = None, *args: object, **kwargs: object) -> keras.callbacks.History:
        """Train as `keras.Model.fit` does, also on lists of strings, and on arrays of bytes or of fixed-width strings.

        Args:
            x: The inputs, or a dataset of batches.
            y: The target texts, one for each input; None for a dataset.
            args: Further arguments of `keras.Model.fit`.
            kwargs: Further arguments of `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.
        """
        self._check_targets(y)
        validation_data = kwargs.get("validation_data")
        if isinstance(validation_data, list | tuple):
            kwargs["validation_data"] = tuple(as_string_array(value) for value in validation_data)
        return super().fit(as_string_array(x), as_string_array(y), *args, **kwargs)

    def evaluate(
        self, x: object = None, y: object = None, *args: object, **kwargs: object
    ) -> float | list[float] | dict[str, float]:
        """Evaluate as `keras.Model.evaluate` does, also on lists and arrays of all kinds of strings, as `fit` does.

        Args:
            x: The inputs, or a dataset of batches.
            y: The target texts, one for each input; None for a dataset.
            args: Further arguments of `keras.Model.evaluate`.
            kwargs: Further arguments of `keras.Model.evaluate`.

        Returns:
            The loss and the metrics, which count tokens.
        """
        self._check_targets(y)
        return super().evaluate(as_string_array(x), as_string_array(y), *args, **kwargs)

    def export(
        self,
        filepath: PathLike,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Nested | None = None,
        **kwargs: object,
    ) -> None:
        """Export the model as `keras.Model.export` does; the default `input_signature` takes strings."""
        if input_signature is None:
            input_signature = self.export_signature()
        super().export(filepath, format, verbose, input_signature, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        components = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in self.component_names}
        return {**components, "name": self.name, "dtype": keras.dtype_policies.serialize(self.dtype_policy)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Create a model from its config."""
        components = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in cls.component_names
        }
        return cls(**{**config, **components})

    def _check_targets(self, y: object) -> None:
        """Raise an error if the model takes no targets beside its inputs, and `y` is not None."""

    def _teacher_forced(self, source: Tensor, target: Tensor, *, training: bool) -> dict[str, Tensor]:
        """Return the outputs of the decoder for each step of the targets and their ends.

        Args:
            source: Sources, as `encode` receives them.
            target: Ids, `(batch, time)`.
            training: Whether dropout is active.
        """
        ids = ops.pad(target, [[0, 0], [1, 0]])  # END is the input before the first token
        return self.decoder({"ids": ids, **self.encode(source, training=training)}, training=training)

    def _score(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return log p of each token and end `(batch, time + 1)`, 0 for padding, and the attention weights."""
        outputs = self._teacher_forced(source, target, training=False)
        log_p = ops.log_softmax(ops.cast(self.classifier(outputs["hidden"]), "float32"))
        token_log_p = ops.take_along_axis(log_p, ops.pad(target, [[0, 0], [0, 1]])[..., None], axis=2)[..., 0]
        return ops.where(self.label_mask(target), token_log_p, 0.0), outputs.get("weights")

    @functools.cached_property
    def _compiled_score(self) -> Any:
        """`_score` as a compiled function."""
        signature = [self.source_signature(), tf.TensorSpec((None, None), "int64")]
        return tf.function(self._score, input_signature=signature, autograph=False)

    def _generate(self, source: Tensor, *, num_beams: int, length_penalty: float, max_length: int) -> list[str]:
        """Return the best text of each source of a batch, found by beam search."""
        vocabulary = self._vocabulary(self.target_text)
        search = self._compiled_search(num_beams)
        targets, _ = search(source, max_length, length_penalty, len(vocabulary))
        texts = []
        for target in ops.convert_to_numpy(targets):
            texts.append(join_tokens([vocabulary[i] for i in target if i != END], self.target_text))
        return texts

    @staticmethod
    def _mapped(dataset: Dataset, function: Callable[..., Tensor]) -> Dataset:
        """Return the results of a function of a batch, whose errors are raised as they are."""
        return dataset.map(tf.autograph.experimental.do_not_convert(function))

    def _adapt_text(self, layer: TokenIds, texts: Dataset, name: str) -> list[str]:
        """Learn the vocabulary of a text layer that has none; return a message if it did.

        Args:
            layer: The text layer.
            texts: Batches of texts.
            name: Name of the texts, for the message.

        Raises:
            ValueError: There is no word in the texts, or they are neither strings nor ids.
        """
        spec = texts.element_spec
        check_text_spec(spec.dtype, tuple(spec.shape), f"{self.name}: {name}")
        if layer.get_vocabulary(include_special_tokens=False):
            return []
        if spec.dtype != tf.string:
            problem = f"{self.name}: the text layer {layer.name!r} has no vocabulary, and the {name} are token ids"
            raise ValueError(message(problem, hint='pass texts, or dk.Text(..., vocabulary=("the", "dog"))'))
        layer.adapt(texts)
        if not layer.get_vocabulary(include_special_tokens=False):
            problem = f"{self.name}: no word in the {name}"
            raise ValueError(message(problem, hint="pass texts that are not empty"))
        return [f"adapted {name}: {describe_vocabulary(layer)}{_STANDARDIZATIONS.get(str(layer.standardization), '')}"]

    def _target_ids(self, texts: Tensor) -> Tensor:
        """Return the ids of targets; those of an empty text, of which only the end is decoded, are zeros."""
        ids = token_ids(self.target_text, texts, self.decoder)
        if not holds_texts(texts):
            return ids
        stripped = tf.strings.strip(whitespace_to_spaces(tf.reshape(texts, (-1, 1))))
        is_empty = tf.equal(tf.strings.length(stripped), 0)
        return ops.where(is_empty, 0, ids)

    def _vocabulary(self, layer: TokenIds) -> Sequence[str]:
        vocabulary: list[str] = layer.get_vocabulary()
        if len(vocabulary) <= UNKNOWN + 1:
            problem = f"{self.name} has no vocabulary yet"
            hint = "call dk.fit, which learns it from the training data, or model.adapt(data)"
            raise ValueError(message(problem, hint=hint))
        return vocabulary
