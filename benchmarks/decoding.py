"""Decoding: `translate`, one compiled loop over batches, beside loops of `predict` that make one token at a time."""

from __future__ import annotations

import functools
import time
from typing import Any

import keras
import numpy as np
from keras import layers

import deepkit as dk
from benchmarks.worker import Side

WORDS, STEPS = 5_000, 20
SENTENCES = {"translate": 1_000, "one_by_one": 2, "in_batches": 1_000}  # what each decodes in one measurement


def model() -> Any:
    """Return a translator with attention and random weights: GRUs of 192 units over 5,000 words."""
    keras.utils.set_random_seed(0)
    text = dk.Text(WORDS, vocabulary=tuple(f"w{i}" for i in range(WORDS - 2)))
    encoder = dk.Recurrent("gru", 192, bidirectional=True)
    return dk.Seq2Seq(text, embedding_dim=128, encoder=encoder, decoder=dk.Recurrent("gru", 192)).build()


def sentences(count: int) -> list[str]:
    """Return sentences of 12 words."""
    drawn = np.random.default_rng(0).integers(WORDS - 2, size=(count, 12))
    return [" ".join(f"w{word}" for word in row) for row in drawn]


def _rate(name: str, decode: Any) -> Side:
    texts = sentences(SENTENCES[name])

    def measure() -> float:
        began = time.perf_counter()
        decode(texts)
        return len(texts) / (time.perf_counter() - began)

    return Side(measure)


def translate() -> Side:
    """Return the sentences a second of `translate`, the most probable token each time."""
    decode = functools.partial(model().translate, num_beams=1, max_length=STEPS, batch_size=250)
    return _rate("translate", decode)


def one_by_one() -> Side:
    """Return the same for the loop of Keras's examples: one sentence after the other, a `predict` a token."""
    step = _Stepwise(model())
    return _rate("one_by_one", lambda texts: [step.decode([text]) for text in texts])


def in_batches() -> Side:
    """Return the same for a loop of `predict` over all sentences at once."""
    return _rate("in_batches", _Stepwise(model()).decode)


class _Stepwise:
    """Decodes with `predict`: the encoder once, then the decoder once for each token."""

    def __init__(self, whole: Any) -> None:
        self.text, self.encoder = whole.source_text, whole.encoder
        ids, memory = keras.Input((1,), dtype="int64"), keras.Input((None, 384))
        states = [keras.Input(part.shape[1:]) for part in whole.decoder.inputs[1:]]
        outputs, *after = whole.decoder([ids, *states])
        read, _ = whole.reader([outputs, memory])
        chosen = layers.Lambda(lambda logits: keras.ops.argmax(logits, -1))(whole.classifier(read))
        self.step = keras.Model([ids, memory, *states], [chosen, *after])

    def decode(self, texts: list[str]) -> np.ndarray:
        """Return the ids of the texts, END for END."""
        ids = np.asarray(self.text(np.array(texts, object)))
        memory, *states = self.encoder.predict(ids, verbose=0)
        token, found = np.zeros((len(texts), 1), "int64"), []
        for _ in range(STEPS):
            token, *states = self.step.predict([token, memory, *states], verbose=0)
            found.append(token)
        return np.concatenate(found, axis=1)
