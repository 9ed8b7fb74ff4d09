"""Language model: predicts each token of a text from the tokens before it, and continues texts."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.layers.token_ids import TokenIds
from deepkit.models.autoregressive import AutoregressiveModel
from deepkit.models.beam_search import END
from deepkit.models.decoding import MAX_TOKENS, join_tokens
from deepkit.models.sampling import TokenSampler
from deepkit.models.tokens import is_single_text, token_mask, validate_texts
from deepkit.utils.errors import message
from deepkit.utils.lazy_tensorflow import tf
from deepkit.utils.validation import check_integer, check_number

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset, Nested, Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class AutoregressiveLanguageModel(AutoregressiveModel):
    """A model of the probability of a text, token by token; `dk.LanguageModel(...).build` returns it.

    `fit` takes texts, and ignores labels in a dataset. The loss is the cross-entropy of each token given the tokens
    before it. `fit` also reports `accuracy`, the fraction of tokens that are the most probable ones, and `perplexity`,
    the exponential of the mean cross-entropy over all tokens. Called on texts, the model returns the logits of all
    tokens of all texts, concatenated without padding.

    Id 0 is the padding, the end of a text and the input before its first token.

    Args:
        target_text: Layer from texts to ids.
        decoder: Functional model from `{"ids": (batch, time)}` to `{"hidden": (batch, time, units)}`, in which a step
            depends only on the ids up to it.
        classifier: Dense layer that returns the logits.
        predict_end: Whether the model predicts the end of a text.
        kwargs: Further arguments of `keras.Model`.

    Call arguments:
        inputs: Texts or ids.
        training: Whether dropout is active.

    Input shape:
        `(batch,)`, strings; or `(batch, time)`, ids.

    Output shape:
        `(tokens, vocabulary)`.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.LanguageModel(
        ...     dk.Text(6, vocabulary=("a", "dog", "runs")),
        ...     embedding_dim=4,
        ...     decoder=dk.Recurrent("gru", 8),
        ... )
        >>> model = net.build()
        >>> text = model.generate("a dog", max_new_tokens=3, seed=0)
        >>> text.startswith("a dog")
        True
        >>> model.log_likelihood(["a dog runs", "a dog"]).shape
        (2,)
    """

    def __init__(
        self,
        target_text: TokenIds,
        decoder: keras.Model,
        classifier: keras.layers.Dense,
        *,
        predict_end: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(target_text, decoder, classifier, **kwargs)
        self.predict_end = predict_end
        self.built = True  # the components are built

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Return the logits of every token, given the tokens before it."""
        target = self._target_ids(inputs)
        return self.token_logits(target, target, training=training)

    def encode(self, source: Tensor, *, training: bool = False) -> dict[str, Tensor]:
        """Return no inputs: the decoder receives the ids only."""
        return {}

    def source_signature(self) -> tf.TensorSpec:
        """Return the shape and dtype of ids."""
        return tf.TensorSpec((None, None), "int64")

    def label_mask(self, target: Tensor) -> Tensor:
        """Return the mask `(batch, time + 1)` of the steps whose token the model predicts."""
        return token_mask(target, with_end=self.predict_end)

    def export_signature(self) -> list[Any]:
        """Return the signature of an exported model: a tensor of strings."""
        return [tf.TensorSpec((None,), "string")]

    def adapt(self, dataset: Dataset) -> list[str]:
        """Learn the vocabulary if there is none.

        Args:
            dataset: Batches of texts, or of tuples that begin with them.

        Returns:
            A message for each vocabulary that was learned.

        Raises:
            ValueError: The batches are not texts, or there is no word in the texts.
        """
        texts = self._mapped(dataset, lambda *batch: self._texts_of(batch))
        return self._adapt_text(self.target_text, texts, "texts")

    def generate(
        self,
        text: str | Sequence[str] = "",
        *,
        max_new_tokens: int = 100,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int | None = None,
    ) -> Any:
        """Return texts with continuations that are drawn token by token.

        Args:
            text: The beginning of a text, or a list of beginnings; an empty string to generate a whole text.
            max_new_tokens: Largest number of tokens to generate; the model may end a text earlier.
            temperature: Divisor of the logits: values below 1 make probable tokens more probable; 0 always selects the
                most probable token.
            top_k: Number of most probable tokens to draw from at each step; None for all.
            seed: Integer seed for a reproducible text; None for a random seed.

        Returns:
            A string for a string, a list of strings for a list.

        Raises:
            ValueError: An argument is out of range, the text layer would cut the end of a text, or there is no
                vocabulary yet.
            TypeError: `text` is neither a string nor a list of strings.
        """
        num_tokens = check_integer(
            max_new_tokens, "generate: max_new_tokens", maximum=MAX_TOKENS, hint="use max_new_tokens=100"
        )
        temperature = check_number(temperature, "generate: temperature", minimum=0, hint="use temperature=0.8")
        if top_k is not None:
            top_k = check_integer(top_k, "generate: top_k", hint="use top_k=10, or None for all tokens")
        vocabulary = self._vocabulary(self.target_text)
        prompts = validate_texts(text, "generate: text")
        if not prompts:
            return []
        self._check_prompts(prompts)
        prompt_ids = self._target_ids(tf.constant(prompts))
        ids = self._sampler(
            prompt_ids,
            num_tokens=num_tokens,
            temperature=temperature,
            top_k=top_k,
            vocabulary_size=len(vocabulary),
            seed=_seed_pair(seed),
        )
        texts = []
        lengths = np.count_nonzero(ops.convert_to_numpy(prompt_ids), axis=1)
        for prompt, row, length in zip(prompts, ops.convert_to_numpy(ids), lengths, strict=True):
            tokens = [vocabulary[i] for i in row[length:] if i != END]
            texts.append(join_tokens([prompt, *tokens] if prompt else tokens, self.target_text))
        return texts[0] if is_single_text(text) else texts

    def log_likelihood(self, texts: str | Sequence[str], *, batch_size: int = 64) -> Any:
        """Return log p(text) of each text, with its end if the model predicts ends.

        Args:
            texts: A text, or a list of texts.
            batch_size: Number of texts in a batch.

        Returns:
            Nats: a float for a string, an array `(texts,)` for a list.

        Raises:
            ValueError: There is no vocabulary yet.
            TypeError: `texts` is neither a string nor a list of strings.
        """
        sums = [log_p.sum() for log_p in self._token_log_likelihoods(texts, batch_size)]
        return float(sums[0]) if is_single_text(texts) else np.array(sums, "float32")

    def token_log_likelihoods(self, texts: str | Sequence[str], *, batch_size: int = 64) -> Any:
        """Return log p of each token of each text, given the tokens before it.

        Args:
            texts: A text, or a list of texts.
            batch_size: Number of texts in a batch.

        Returns:
            Nats, with those of the end if the model predicts ends: an array `(tokens,)` for a string, a list of such
            arrays for a list.

        Raises:
            ValueError: There is no vocabulary yet.
            TypeError: `texts` is neither a string nor a list of strings.
        """
        log_p = self._token_log_likelihoods(texts, batch_size)
        return log_p[0] if is_single_text(texts) else log_p

    def _token_log_likelihoods(self, texts: str | Sequence[str], batch_size: int) -> list[np.ndarray]:
        """Return log p of each token of each text."""
        batch_size = check_integer(batch_size, f"{self.name}: batch_size", hint="use batch_size=64")
        texts = validate_texts(texts, "texts")
        self._vocabulary(self.target_text)
        log_p: list[np.ndarray] = []
        for i in range(0, len(texts), batch_size):
            target = self._target_ids(tf.constant(texts[i : i + batch_size]))
            values = ops.convert_to_numpy(self._compiled_score(target, target)[0])
            masks = ops.convert_to_numpy(self.label_mask(target))
            log_p += [row[mask] for row, mask in zip(values, masks, strict=True)]
        return log_p

    def layer_graph(self) -> keras.Model:
        """Return a Functional model of the components, from ids to logits, as `visualize.diagram` draws it."""
        ids = keras.Input((None,), dtype="int32", name="ids")
        return keras.Model(ids, self.classifier(self.decoder({"ids": ids})["hidden"]), name=self.name)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "predict_end": self.predict_end}

    def _convert_batch(self, data: Nested) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return a batch as ids: inputs and labels, and the weights."""
        target = self._target_ids(self._texts_of(data if isinstance(data, tuple) else (data,)))
        return target, target, keras.utils.unpack_x_y_sample_weight(data)[2]

    def _check_targets(self, y: object) -> None:
        if y is not None:
            problem = f"{self.name}: expected texts alone, whose tokens are the targets, received labels"
            raise ValueError(message(problem, hint="leave y out; dk.Seq2Seq is trained on pairs of texts"))

    def _check_prompts(self, prompts: list[str]) -> None:
        """Raise if the text layer cuts the end of a text, which the continuation follows."""
        maximum = self.target_text.get_config()["output_sequence_length"]
        if maximum is None or self.target_text.truncating == "pre":
            return
        length = int(ops.max(self.target_text.num_tokens(tf.constant(prompts))))
        if length > maximum:
            problem = (
                f"generate: expected a text of at most {maximum} tokens, of which the text layer cuts longer ones at "
                f"their end, received {length}"
            )
            raise ValueError(message(problem, hint="pass the last tokens only, or use dk.Text(..., truncating='pre')"))

    def _texts_of(self, batch: tuple[Tensor, ...]) -> Tensor:
        texts = batch[0]
        if not hasattr(texts, "dtype"):
            problem = f"{self.name}: expected texts, received {type(texts).__name__}"
            raise ValueError(message(problem, hint="pass an array of strings, or of token ids"))
        return texts

    @functools.cached_property
    def _sampler(self) -> TokenSampler:
        """The compiled loop of `generate`."""
        return TokenSampler(self.incremental_decoder, self.classifier, can_end=self.predict_end)


def _seed_pair(seed: int | None) -> tuple[int, int]:
    """Return the seed of TensorFlow's stateless operations."""
    if seed is None:
        return tuple(ops.convert_to_numpy(keras.random.SeedGenerator().next()).astype("int32").tolist())
    return check_integer(seed, "generate: seed", minimum=0, maximum=2**31 - 1, hint="use seed=0"), 0
