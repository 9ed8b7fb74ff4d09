"""Decoding: `translate`, a compiled loop over batches, compared with loops of `predict` that return one token each."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import deepkit as dk
from benchmarks.worker import Side

NUM_WORDS, MAX_LENGTH = 5_000, 20
NUM_SENTENCES = {"translate": 1_000, "one_by_one": 2, "in_batches": 1_000}  # per measurement


def model() -> Any:
    """Return a translator with attention and random weights: GRUs of 192 units over 5,000 words."""
    keras.utils.set_random_seed(0)
    text = dk.Text(NUM_WORDS, vocabulary=tuple(f"w{i}" for i in range(NUM_WORDS - 2)))
    encoder = dk.Recurrent("gru", 192, bidirectional=True)
    return dk.Seq2Seq(text, embedding_dim=128, encoder=encoder, decoder=dk.Recurrent("gru", 192)).build()


def sentences(count: int) -> list[str]:
    """Return sentences of 12 words."""
    words = np.random.default_rng(0).integers(NUM_WORDS - 2, size=(count, 12))
    return [" ".join(f"w{word}" for word in row) for row in words]


def _rate(name: str, decode: Any) -> Side:
    texts = sentences(NUM_SENTENCES[name])

    def measure() -> float:
        start = time.perf_counter()
        decode(texts)
        return len(texts) / (time.perf_counter() - start)

    return Side(measure)


def translate() -> Side:
    """Return the sentences per second of `translate` with greedy decoding."""
    decode = functools.partial(model().translate, num_beams=1, max_length=MAX_LENGTH, batch_size=250)
    return _rate("translate", decode)


def one_by_one() -> Side:
    """Return the sentences per second of the loop of the Keras examples, with one `predict` per token of a sentence."""
    decoder = _StepwiseDecoder(model())
    return _rate("one_by_one", lambda texts: [decoder.decode([text]) for text in texts])


def in_batches() -> Side:
    """Return the sentences per second of a loop of `predict` over all sentences at once."""
    return _rate("in_batches", _StepwiseDecoder(model()).decode)


def _language_model() -> Any:
    """Return a language model of characters with random weights: a Transformer of four layers of width 128."""
    keras.utils.set_random_seed(0)
    text = dk.Text(100, split="character", vocabulary=tuple(map(chr, range(33, 131))), standardize=None)
    decoder = dk.TransformerDecoder(4, num_layers=4)
    return dk.LanguageModel(text, embedding_dim=128, decoder=decoder, predict_end=False).build()


def generate(num_tokens: str) -> Side:
    """Return the milliseconds per token of `generate` with a number of tokens."""
    language_model = _language_model()
    return _time_per_token(int(num_tokens), lambda count: language_model.generate([""] * 16, max_new_tokens=count))


def generate_without_cache(num_tokens: str) -> Side:
    """Return the milliseconds per token of a loop that reads all tokens again for each new one."""
    language_model = _language_model()

    @tf.function(reduce_retracing=True)
    def next_ids(ids: Any) -> Any:
        hidden = language_model.decoder({"ids": ids})["hidden"][:, -1]
        return tf.random.categorical(language_model.classifier(hidden), 1)

    def decode(count: int) -> None:
        ids = tf.zeros((16, 1), "int64")
        for _ in range(count):
            ids = tf.concat([ids, next_ids(ids)], axis=1)

    return _time_per_token(int(num_tokens), decode)


def _time_per_token(num_tokens: int, decode: Callable[[int], object]) -> Side:
    decode(num_tokens)

    def measure() -> float:
        start = time.perf_counter()
        decode(num_tokens)
        return 1e3 * (time.perf_counter() - start) / num_tokens

    return Side(measure)


class _StepwiseDecoder:
    """Greedy decoding with `predict`: one call of the encoder, then one call of the decoder per token."""

    def __init__(self, translator: Any) -> None:
        self.text, self.encoder = translator.source_text, translator.encoder
        ids, memory = keras.Input((1,), dtype="int64"), keras.Input((None, 384))
        state = keras.Input(translator.decoder.input["state1"].shape[1:])
        outputs = translator.decoder({"ids": ids, "memory": memory, "state1": state})
        next_ids = layers.Lambda(lambda logits: keras.ops.argmax(logits, -1))(translator.classifier(outputs["hidden"]))
        self.step = keras.Model([ids, memory, state], [next_ids, outputs["state1"]])

    def decode(self, texts: list[str]) -> np.ndarray:
        """Return the token ids of the translations, of `MAX_LENGTH` tokens each."""
        ids = np.asarray(self.text(np.array(texts, object)))
        encoded = self.encoder.predict(ids, verbose=0)
        memory, state = encoded["memory"], encoded["state1"]
        token, tokens = np.zeros((len(texts), 1), "int64"), []
        for _ in range(MAX_LENGTH):
            token, state = self.step.predict([token, memory, state], verbose=0)
            tokens.append(token)
        return np.concatenate(tokens, axis=1)
