"""Translation: German to English on Multi30k, and what attention does for it.

An encoder reads a sentence, a decoder writes it in another language. Without attention all that the decoder knows of
the sentence are the encoder's final states (Sutskever et al. 2014); with it, it looks for each word at the places of
the source that matter (Bahdanau et al. 2015). Both are trained here, alike but for that, and their translations of
the same test sentences are compared by BLEU and a paired bootstrap. Multi30k (Elliott et al. 2016) is captions of
photographs, 29,000 pairs to train on: say with --folder where the files of data/task1/raw of
https://github.com/multi30k/dataset lie, as they are or unpacked.
"""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Paper, Recipe, Result, Settings, main, parameters

PAPER = Paper(
    title="Neural Machine Translation by Jointly Learning to Align and Translate",
    authors=("Dzmitry Bahdanau", "Kyunghyun Cho", "Yoshua Bengio"),
    year=2015,
    venue="International Conference on Learning Representations (ICLR)",
    url="https://arxiv.org/abs/1409.0473",
)
SUTSKEVER = Paper(
    title="Sequence to Sequence Learning with Neural Networks",
    authors=("Ilya Sutskever", "Oriol Vinyals", "Quoc V. Le"),
    year=2014,
    venue="Advances in Neural Information Processing Systems 27",
    url="https://arxiv.org/abs/1409.3215",
)
LUONG = Paper(
    title="Effective Approaches to Attention-based Neural Machine Translation",
    authors=("Minh-Thang Luong", "Hieu Pham", "Christopher D. Manning"),
    year=2015,
    venue="Conference on Empirical Methods in Natural Language Processing (EMNLP), pp. 1412-1421",
    url="https://arxiv.org/abs/1508.04025",
)

CLAIMS = (
    Claim(
        metric="gain",
        value="above 0",
        where="section 5.1",
        setting="WMT'14 English to French",
        note="the paper translates news with networks of another size; only the sign can be compared",
    ),
)
DEVIATIONS = (
    "German to English captions of Multi30k, 29,000 pairs, in place of English to French news (section 4.1).",
    "The attention stands behind the decoder, as in Luong et al. 2015, so that all steps of a training pair are "
    "computed at once; in the paper the state before a step asks, and the context enters that step (section 3.1).",
    "192 units and 128 embedding features, in place of 1,000 and 620 with a maxout layer behind (appendix A.2.3).",
    "Adam along one rise and fall of its rate, with dropout and the best epoch by validation loss kept, in place of "
    "Adadelta (section 4.2 and appendix B).",
    "Words that occur about twice and more, in small letters, marks as words; an unknown word is never written "
    "(section 4.1: the 30,000 most frequent words, and an unknown one may be written).",
)
METRICS = {
    "BLEU": "of the translations with attention, of the 2016 test sentences in small letters; read once, at the end",
    "BLEU without attention": "the same for the network without attention",
    "gain": "the difference of the two",
    "p-value": "share of 1,000 paired bootstrap samples that have so large a difference by chance",
    "validation perplexity": "e to the cross-entropy of a validation token, with attention, at the best epoch",
    "validation perplexity without attention": "the same without",
    "parameters": "trainable weights, with attention",
}

# usual values, not searched
UNITS, EMBEDDING, DROPOUT = 192, 128, 0.3
VOCABULARY = {"de": 7_900, "en": 6_000}  # about the words that occur twice in training
PARTS = {"train": "train", "validation": "val", "test": "test_2016_flickr"}
Pairs = tuple[list[str], list[str]]

# drawn in the pictures; our own, since those of Multi30k are not ours to publish
SHOWN = [
    "Ein kleiner Hund rennt über eine grüne Wiese.",
    "Zwei Männer in roten Jacken stehen vor einem alten Haus.",
    "Ein Mädchen, das einen Hut trägt, spielt am Strand mit einem Ball.",
]
ONES = {
    "de": ["null", "ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"],
    "en": ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
}
TENS = {
    "de": ["zehn", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"],
    "en": ["ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"],
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """A translator with attention, and one without."""

    QUICK = {"seeds": 1, "epochs": 1, "num_examples": 640}

    attention: Literal["additive", "multiplicative"] = "additive"
    """How places are scored: as by Bahdanau et al., or as Luong et al. call general."""
    folder: Path | None = None
    """Folder with train.de, train.en, val.* and test_2016_flickr.*, each as it is or as .gz."""
    epochs: int = 8
    """Passes over the training pairs, at most; three without a better validation loss end the training."""
    learning_rate: float = 4e-3
    """Highest step size of Adam."""
    batch_size: int = 64
    """Pairs in a step."""
    num_beams: int = 4
    """Unfinished translations that are followed."""
    num_examples: int = 0
    """Pairs used of each part of the data, the test part too; 0 for all, all else is not comparable."""


def load_data(config: Config, verbose: bool = True) -> dk.data.Data:
    """Return pairs of strings."""
    pairs = load_pairs(config)
    data = dk.data.from_arrays(
        *map(np.array, pairs["train"]),
        validation=tuple(map(np.array, pairs["validation"])),
        test=tuple(map(np.array, pairs["test"])),
        batch_size=config.batch_size,
        seed=config.seed,
        name="Multi30k" if config.folder else "spoken numbers",
    )
    if config.folder:
        return data
    if verbose:
        print(f"{data.describe()}, standing in for Multi30k, whose files --folder names: not comparable with the paper")
    return dataclasses.replace(data, stand_in_for="Multi30k")


def load_pairs(config: Config) -> dict[str, Pairs]:
    """Return the sentences of each part: Multi30k from its folder, else spoken numbers."""
    folder = config.folder
    if folder is None:
        counts = {"train": 4_000, "validation": 200, "test": 200}
        pairs = {part: numbers(count, seed=seed) for seed, (part, count) in enumerate(counts.items())}
    else:
        pairs = {part: (lines(folder, f"{file}.de"), lines(folder, f"{file}.en")) for part, file in PARTS.items()}
    most = config.num_examples or None
    return {part: (german[:most], english[:most]) for part, (german, english) in pairs.items()}


def lines(folder: Path, name: str) -> list[str]:
    """Return the lines of a text file, which may be gzipped."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            return text.decode("utf-8").removesuffix("\n").split("\n")
    raise FileNotFoundError(
        f"{folder} holds neither {name} nor {name}.gz\n"
        "  hint: the folder data/task1/raw of https://github.com/multi30k/dataset"
    )


def numbers(count: int, seed: int) -> Pairs:
    """Return numbers as Germans and Englishmen say them, syllable by syllable: "zwei und vierzig", "forty two"."""
    rng = np.random.default_rng(seed)
    drawn = [rng.integers((1, 2, 1), 10, (rng.integers(2, 5), 3)) for _ in range(count)]
    german = [
        ", ".join(f"{ONES['de'][h]} hundert {ONES['de'][o]} und {TENS['de'][t - 1]}" for h, t, o in row)
        for row in drawn
    ]
    english = [
        ", ".join(f"{ONES['en'][h]} hundred {TENS['en'][t - 1]} {ONES['en'][o]}" for h, t, o in row) for row in drawn
    ]
    return german, english


def translator(config: Config, attention: str | None) -> dk.Seq2Seq:
    """Return the network, with a score or without attention."""
    sizes = VOCABULARY if config.folder else dict.fromkeys(VOCABULARY, 40)  # numbers need few words
    text = {side: dk.Text(size, standardize="lower_and_split_punctuation") for side, size in sizes.items()}
    return dk.Seq2Seq(
        text["de"],
        target=text["en"],
        embedding_dim=EMBEDDING,
        encoder=dk.Recurrent("gru", UNITS, bidirectional=True),
        decoder=dk.Recurrent("gru", UNITS),
        attention=attention,
        dropout=DROPOUT,
        name="translator" if attention else "translator_without_attention",
    )


def definition(config: Config) -> dk.Seq2Seq:
    """Return the network of a config."""
    return translator(config, config.attention)


def train(config: Config) -> Result:
    """Train both networks and compare their translations."""
    data, test = load_data(config), load_pairs(config)["test"]
    runs = {name: train_one(config, score, data) for name, score in (("with", config.attention), ("without", None))}
    written = {name: run.model.translate(test[0], num_beams=config.num_beams) for name, run in runs.items()}
    scores, p_value, signature = compare(written, test[1])
    show(test, written)
    perplexity = {name: min(run.history["val_perplexity"]) for name, run in runs.items()}
    model = runs["with"].model
    measured = {
        "BLEU": scores["with"],
        "BLEU without attention": scores["without"],
        "gain": scores["with"] - scores["without"],
        "p-value": p_value,
        "validation perplexity": perplexity["with"],
        "validation perplexity without attention": perplexity["without"],
        "parameters": parameters(model),
    }
    return Result(
        measured=measured,
        data=data.summary(),
        comparable=data.stand_in_for is None and not config.num_examples,
        model=model,
        notes=(f"BLEU by sacreBLEU: {signature}",),
        seconds=sum(run.seconds for run in runs.values()),
    )


def train_one(config: Config, attention: str | None, data: dk.data.Data) -> dk.Run:
    """Train one of the two networks, in a folder of its own, up to its best epoch."""
    folder = config.run_dir and config.run_dir / (attention or "none")
    return dk.fit(
        translator(config, attention),
        data,
        epochs=config.epochs,
        run_dir=folder,
        plan=config.plan(),
        learning_rate=dk.OneCycle(config.learning_rate),
        callbacks=[keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)],
    )


def compare(written: Mapping[str, Sequence[str]], right: Sequence[str]) -> tuple[dict[str, float], float, str]:
    """Return the BLEU of each system, the p-value of their difference, and how they were computed."""
    from sacrebleu.metrics import BLEU
    from sacrebleu.significance import PairedTest

    systems: Any = [(name, list(written[name])) for name in ("without", "with")]  # the first is the baseline
    metric = BLEU(lowercase=True, references=[list(right)])
    found: Any
    signatures, found = PairedTest(systems, {"BLEU": metric}, None, test_type="bs", n_samples=1000)()
    scores = {name: result.score for name, result in zip(found["System"], found["BLEU"], strict=True)}
    return scores, float(found["BLEU"][1].p_value), str(signatures["BLEU"])


def show(test: Pairs, written: Mapping[str, Sequence[str]]) -> None:
    """Print the first test sentences and how they were translated."""
    rows = zip(*test, written["with"], written["without"], strict=True)
    for texts in list(rows)[:3]:
        for what, text in zip(("source", "right", "with attention", "without"), texts, strict=True):
            print(f"{what:>14}: {text}")


def draw(config: Config, outcomes: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw where the first network looks: a row a word that it writes, a column a word that it reads."""
    sources = SHOWN if config.folder else load_pairs(config)["test"][0][:3]
    model: Any = outcomes[0].model
    _, maps = model.translate(sources, num_beams=config.num_beams, return_attention=True)
    return {
        f"Where it looks, sentence {i}": dk.visualize.attention(one.weights, source=one.source, target=one.target)
        for i, one in enumerate(maps, start=1)
    }


RECIPE = Recipe(
    name="translation",
    paper=PAPER,
    related=(SUTSKEVER, LUONG),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
