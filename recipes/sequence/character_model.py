r"""Character model: a GRU generates text like Shakespeare's, and predicts characters better than a 5-gram model.

A language model returns the probability of each character of a text given the characters before it. A 5-gram model,
estimated from counts, knows the four characters before it. A recurrent network reads all of them, and learns
which ones matter (Sutskever et al. 2011). Both models are trained on the first 90 % of Tiny Shakespeare, a million
characters of plays, and compared by the bits that they need for a character of the last 5 %. The network generates a
text character by character.

    $$ \log p(x) = \sum_t \log p(x_t \mid x_1, \dots, x_{t-1}) $$

    deepkit run character_model
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Curve, Recipe, Result, Settings, main, parameters
from deepkit.visualize.figures import BLUE, GRAY, PngFigure
from recipes import papers

PAPER = papers.SUTSKEVER_2011
DEVIATIONS = (
    "Tiny Shakespeare, a million characters, in place of the paper's three texts of 100 million characters: no number "
    "of the paper is comparable.",
    "A GRU trained by Adam with one cycle of the learning rate, in place of a multiplicative recurrent network trained "
    "by Hessian-free optimization.",
    "The network is compared with a 5-gram model, which takes a few lines of code, in place of compressors.",
)
METRICS = {
    "test bits": "bits per character of the network for the last 5 % of the text, with at least 128 characters of "
    "context; the test data is read once, at the end",
    "test bits, 5-gram": "the same for the 5-gram model",
    "gain": "the difference of the two",
    "validation bits": "bits per character of the network for the 5 % of the text before the test data",
    "validation bits, 5-gram": "the same for the 5-gram model",
    "parameters": "trainable weights",
}
CONTEXT = 128  # characters that the network reads before those that are measured
ORDER = 5


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """A language model of characters."""

    QUICK = {"seeds": 1, "epochs": 1, "units": 32, "num_characters": 20_000}

    decoder: Literal["gru", "transformer"] = "gru"
    """A GRU, or a Transformer of four layers."""
    units: int = 320
    """Units of the GRU, or width of the Transformer."""
    epochs: int = 10
    """Epochs of training."""
    learning_rate: float = 4e-3
    """Peak learning rate of Adam, which follows one cycle."""
    dropout: float = 0.2
    """Dropout rate of the embeddings and of the classifier."""
    batch_size: int = 64
    """Pieces of text per step."""
    length: int = 128
    """Characters of a piece."""
    num_characters: int = 0
    """Characters of each split, including the test split; 0 for all, any other number is not comparable."""


def load_texts(config: Config, verbose: bool = True) -> tuple[dict[str, str], str | None]:
    """Return the text of each split, and the name of the dataset if another text stands in for it."""
    stand_in = None
    try:
        data = dk.data.load("tiny_shakespeare", data_dir=config.data_dir, verbose=verbose)
        splits = {"train": data.train, "validation": data.validation, "test": data.test}
        texts = {name: split.arrays()[0]["text"][0].decode() for name, split in splits.items()}
    except dk.data.DataError as error:
        stand_in = "tiny_shakespeare"
        texts = descriptions()
        if verbose:
            problem = f"({error.problem}): not comparable with the paper"
            print(f"texts of scikit-learn, standing in for tiny_shakespeare {problem}")
    limit = config.num_characters or None
    return {name: text[:limit] for name, text in texts.items()}, stand_in


def descriptions() -> dict[str, str]:
    """Return the descriptions of the datasets that ship with scikit-learn, English prose, in three splits."""
    from sklearn import datasets

    loaders: list[Any] = [datasets.load_breast_cancer, datasets.load_diabetes, datasets.load_digits]
    loaders += [datasets.load_iris, datasets.load_linnerud, datasets.load_wine]
    text = "\n".join(loader().DESCR for loader in loaders)
    first, second = int(0.9 * len(text)), int(0.95 * len(text))
    return {"train": text[:first], "validation": text[first:second], "test": text[second:]}


def pieces(text: str, length: int, overlap: int = 0) -> list[str]:
    """Return the pieces of a text; each begins with the last `overlap` characters of the one before it."""
    return [text[start : start + length] for start in range(0, max(1, len(text) - overlap), length - overlap)]


def definition(config: Config) -> dk.LanguageModel:
    """Return the network of a config."""
    characters = dk.Text(100, standardize=None, split="character")
    if config.decoder == "gru":
        decoder: Any = dk.Recurrent("gru", config.units)
        embedding_dim = 64
    else:
        decoder = dk.TransformerDecoder(5, num_layers=4, normalize_first=True, dropout=config.dropout)
        embedding_dim = config.units
    return dk.LanguageModel(
        characters, embedding_dim=embedding_dim, decoder=decoder, dropout=config.dropout, predict_end=False
    )


def train(config: Config) -> Result:
    """Train the network and count the 5-grams, and measure both on the test text."""
    texts, stand_in = load_texts(config)
    train_pieces = pieces(texts["train"], config.length, config.length // 2)
    validation_pieces = pieces(texts["validation"], config.length)
    data = dk.data.from_arrays(
        np.array(train_pieces, object),
        validation=np.array(validation_pieces, object),
        batch_size=config.batch_size,
        seed=config.seed,
        name="Tiny Shakespeare" if stand_in is None else "descriptions of data",
    )
    data = dataclasses.replace(data, stand_in_for=stand_in)
    run = config.fit(definition(config), data, learning_rate=dk.OneCycle(config.learning_rate))
    five_gram = FiveGramModel(texts["train"])
    bits = {name: bits_of(run.model, texts[name]) for name in ("validation", "test")}
    five_gram_bits = five_gram.bits(texts["test"]).mean()
    measured = {
        "test bits": bits["test"].mean(),
        "test bits, 5-gram": five_gram_bits,
        "gain": five_gram_bits - bits["test"].mean(),
        "validation bits": bits["validation"].mean(),
        "validation bits, 5-gram": five_gram.bits(texts["validation"]).mean(),
        "parameters": parameters(run.model),
    }
    sample = run.model.generate("\n", max_new_tokens=300, temperature=0.8, seed=config.seed)
    print(sample)
    return Result.of(
        run,
        data,
        measured,
        comparable=not config.num_characters,
        curves={"bits": bits_by_context(run.model, texts["validation"])},
        notes=(f"a text that the network generated (temperature 0.8): {' / '.join(sample.split())!r}",),
    )


def bits_of(model: keras.Model, text: str, context: int = CONTEXT) -> np.ndarray:
    """Return the bits of each character of a text, each given at least `context` characters except at the start."""
    parts = pieces(text, 2 * context, context)
    log_p = model.token_log_likelihoods(parts)
    return -np.concatenate([log_p[0], *(part[context:] for part in log_p[1:])]) / math.log(2)


def bits_by_context(model: keras.Model, text: str) -> Curve:
    """Return the mean bits of a character over the number of characters that the network has read before it."""
    parts = [part for part in pieces(text, CONTEXT) if len(part) == CONTEXT]
    log_p = np.stack(model.token_log_likelihoods(parts))
    return Curve(range(CONTEXT), (-log_p.mean(axis=0) / math.log(2)).tolist())


class FiveGramModel:
    """A model of the probability of a character given the four characters before it, from counts in a text.

    The probabilities given n characters are interpolated with those given n - 1. The weight of the latter grows with
    the number of distinct characters that follow a context (Witten & Bell 1991, method C).

    Args:
        text: The text in which the characters are counted.
    """

    def __init__(self, text: str) -> None:
        self.vocabulary_size = len(set(text)) + 1  # with any character that does not occur
        self.counts: list[Counter[str]] = []  # of contexts with the next character, for each length of the context
        self.totals: list[Counter[str]] = []  # of contexts
        self.distinct: list[Counter[str]] = []  # number of distinct characters after each context
        for order in range(ORDER):
            counts = Counter(text[i : i + order + 1] for i in range(len(text) - order))
            totals: Counter[str] = Counter()
            for gram, count in counts.items():
                totals[gram[:-1]] += count
            self.counts.append(counts)
            self.totals.append(totals)
            self.distinct.append(Counter(gram[:-1] for gram in counts))

    def probability(self, context: str, character: str) -> float:
        """Return the probability of a character after a context of at most four characters."""
        p = 1 / self.vocabulary_size
        for order in range(len(context) + 1):
            suffix = context[len(context) - order :]
            distinct = self.distinct[order][suffix]
            if distinct:
                count = self.counts[order][suffix + character]
                p = (count + distinct * p) / (self.totals[order][suffix] + distinct)
        return p

    def bits(self, text: str) -> np.ndarray:
        """Return the bits of each character of a text."""
        p = [self.probability(text[max(0, i - ORDER + 1) : i], text[i]) for i in range(len(text))]
        return -np.log2(p)


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the bits of a character over the number of characters that the network has read before it."""
    figure = PngFigure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    for number, result in enumerate(results):
        label = None if number else "network"
        axes.plot(result.curves["bits"].x, result.curves["bits"].y, color=BLUE, linewidth=1, label=label)
    five_gram_bits = results[0].measured["validation bits, 5-gram"]
    axes.axhline(five_gram_bits, color=GRAY, linestyle="--", label="5-gram model")
    axes.set(xlabel="characters before", ylabel="bits per character", ylim=(0, None))
    axes.legend(frameon=False)
    return {"Bits of a character over the number of characters that the network has read before it": figure}


RECIPE = Recipe(
    name="character_model",
    paper=PAPER,
    related=(papers.BENGIO_2003,),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(),
    metrics=METRICS,
    deviations=DEVIATIONS,
    draw_curves=draw_curves,
    annotated=(definition, FiveGramModel),
    exercises=(
        "Generate texts with `model.generate(..., temperature=0.3)` and 1.5: what changes?",
        "Train with `--length 16`: how much of the gain needs a longer context?",
        "Compare `--decoder transformer` at the same number of parameters.",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
