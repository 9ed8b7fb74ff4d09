"""Sampling of texts: a compiled loop that draws one token after the other from the predictions of a language model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import keras
from keras import ops

from deepkit.models.beam_search import END
from deepkit.models.decoding import unusable_tokens
from deepkit.models.incremental_decoding import IncrementalDecoder
from deepkit.utils.lazy_tensorflow import tf

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


class TokenSampler:
    """A compiled loop that continues prompts with tokens drawn from the predictions of a model.

    Args:
        decoder: The decoder of the model.
        classifier: Layer that returns the logits.
        can_end: Whether the end of a text can be drawn.
    """

    def __init__(self, decoder: IncrementalDecoder, classifier: keras.layers.Dense, *, can_end: bool) -> None:
        self._decoder, self._classifier, self._can_end = decoder, classifier, can_end
        scalars = [tf.TensorSpec((), dtype) for dtype in ("int32", "float32", "int32", "int32")]
        signature = [tf.TensorSpec((None, None), "int64"), *scalars, tf.TensorSpec((2,), "int32")]
        self._compiled_sample = tf.function(self._sample, input_signature=signature, autograph=False)

    def __call__(
        self,
        prompts: Tensor,
        *,
        num_tokens: int,
        temperature: float,
        top_k: int | None,
        vocabulary_size: int,
        seed: tuple[int, int],
    ) -> Tensor:
        """Return the ids of prompts and continuations `(batch, time + num_tokens)`, with zeros after the end.

        Args:
            prompts: Ids `(batch, time)`, with zeros after each prompt.
            num_tokens: Number of tokens to draw for each prompt.
            temperature: Divisor of the logits; 0 for the most probable tokens.
            top_k: Number of most probable tokens to draw from; None for all.
            vocabulary_size: Number of ids with a word; higher ids and the unknown word are never drawn.
            seed: Two integers, the seed of a stateless operation.
        """
        limit = self._classifier.units if top_k is None else min(top_k, self._classifier.units)
        return self._compiled_sample(prompts, num_tokens, temperature, limit, vocabulary_size, seed)

    def _sample(
        self,
        prompts: Tensor,
        num_tokens: Tensor,
        temperature: Tensor,
        top_k: Tensor,
        vocabulary_size: Tensor,
        seed: Tensor,
    ) -> Tensor:
        batch_size = ops.shape(prompts)[0]
        num_steps = ops.shape(prompts)[1] + num_tokens
        lengths = ops.sum(ops.cast(ops.not_equal(prompts, 0), "int32"), axis=1)
        decoding = self._decoder.begin({}, batch_size=batch_size, num_steps=num_steps)
        banned_tokens = unusable_tokens(self._classifier, vocabulary_size)
        if not self._can_end:
            banned_tokens = ops.logical_or(banned_tokens, ops.equal(ops.arange(self._classifier.units), END))

        def draw(logits: Tensor, t: Tensor) -> Tensor:
            logits = ops.where(banned_tokens, -math.inf, ops.cast(logits, "float32"))
            kth_value = tf.math.top_k(logits, top_k).values[:, -1:]
            logits = ops.where(logits < kth_value, -math.inf, logits)
            step_seed = ops.stack([seed[0], seed[1] + t])
            drawn = tf.random.stateless_categorical(logits / ops.maximum(temperature, 1e-6), 1, step_seed)[:, 0]
            return ops.where(temperature > 0, drawn, ops.argmax(logits, axis=-1))

        def is_open(t: Tensor, last: Tensor, ids: Tensor, has_ended: Tensor, *states: Tensor) -> Tensor:
            return ops.logical_and(t < num_steps, ops.logical_not(ops.all(has_ended)))

        def extend(t: Tensor, last: Tensor, ids: Tensor, has_ended: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
            outputs, new_states = decoding.step(last[:, None], list(states), t)
            token = draw(self._classifier(outputs["hidden"])[:, 0], t)
            token = ops.where(t < lengths, ids[:, ops.minimum(t, num_steps - 1)], token)
            token = ops.where(has_ended, END, token)
            ids = ops.where(ops.equal(ops.arange(num_steps), t), token[:, None], ids)
            has_ended = ops.logical_or(ops.equal(token, END), t + 1 >= lengths + num_tokens)
            return t + 1, token, ids, has_ended, *new_states

        ids = ops.pad(prompts, [[0, 0], [0, num_tokens]])
        start = (0, ops.zeros((batch_size,), "int64"), ids, ops.zeros((batch_size,), "bool"))
        return ops.while_loop(is_open, extend, (*start, *decoding.initial_states))[2]
