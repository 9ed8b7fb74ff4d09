r"""Translation: German to English on Multi30k, with and without attention, and by a Transformer.

An encoder reads a sentence, and a decoder generates it in another language. Without attention, the decoder receives
only the final states of the encoder (Sutskever et al. 2014). With attention, it attends to the relevant words of the
source at each word that it generates, and the translations are better (Bahdanau et al. 2015). Two networks that differ
only in the attention are trained here, and their translations of the same test sentences are compared by BLEU and a
paired bootstrap. The third network is a small Transformer, which has attention in place of recurrence (Vaswani et al.
2017).

Multi30k (Elliott et al. 2016) consists of captions of photographs, with 29,000 pairs for training. `--folder` names a
folder with the files of data/task1/raw of https://github.com/multi30k/dataset, gzipped or not.

    $$ c_i = \sum_j \alpha_{ij} h_j, \quad \alpha_{ij} \propto \exp\left(v^\top \tanh(W s_{i-1} + U h_j)\right) $$

    deepkit run translation --folder FOLDER
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
from deepkit.recipe import Claim, Recipe, Result, Settings, main, parameters
from deepkit.utils.errors import message
from recipes import papers

PAPER = papers.BAHDANAU_2015
CLAIMS = (
    Claim(
        metric="gain",
        value="above 0",
        where="section 5.1",
        setting="WMT'14 English to French",
        note="the paper translates news with networks of another size; only the sign is comparable",
    ),
)
DEVIATIONS = (
    "German to English captions of Multi30k, 29,000 pairs, in place of English to French news (section 4.1).",
    "The attention follows the decoder, as in Luong et al. 2015, so that all steps of a training pair are computed at "
    "once; in the paper the previous state is the query, and the context is an input of the step (section 3.1).",
    "192 units and 128 embedding features, in place of 1,000 and 620 with a maxout layer after them (appendix A.2.3).",
    "Adam with one cycle of the learning rate, dropout, and the weights of the epoch with the best validation loss, in "
    "place of Adadelta (section 4.2 and appendix B).",
    "The vocabulary has the words that occur about twice or more, in lower case, with punctuation as words; unknown "
    "words are never generated (section 4.1: the 30,000 most frequent words, and unknown words may be generated).",
    "The Transformer of Vaswani et al. 2017 has 2 layers of width 192 in encoder and decoder in place of 6 of width "
    "512, normalizes first, and trains with one cycle of the learning rate for twice as many epochs as the others.",
)
METRICS = {
    "BLEU": "BLEU of the translations of the 2016 test sentences in lower case, with attention; the test data is read "
    "once, at the end",
    "BLEU without attention": "the same for the network without attention",
    "gain": "the difference of the two",
    "BLEU, Transformer": "the same for the Transformer",
    "p-value": "share of 1,000 paired bootstrap samples in which the difference between the networks with and without "
    "attention is as large by chance",
    "validation perplexity": "e to the cross-entropy of a validation token, with attention, at the best epoch",
    "validation perplexity without attention": "the same without attention",
    "validation perplexity, Transformer": "the same for the Transformer",
    "parameters": "trainable weights, with attention",
}

# usual values, which were not tuned
UNITS, EMBEDDING_DIM, DROPOUT = 192, 128, 0.3
VOCABULARY_SIZE = {"de": 7_900, "en": 6_000}  # about the words that occur at least twice in the training data
SPLITS = {"train": "train", "validation": "val", "test": "test_2016_flickr"}
Pairs = tuple[list[str], list[str]]

# sentences for the figures, written for this recipe, because those of Multi30k may not be published
EXAMPLES = [
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
    """A translator with attention, one without, and a Transformer."""

    QUICK = {"seeds": 1, "epochs": 1, "num_examples": 128}

    attention: Literal["additive", "multiplicative"] = "additive"
    """Attention score: as in Bahdanau et al., or the one that Luong et al. call general."""
    folder: Path | None = None
    """Folder with train.de, train.en, val.* and test_2016_flickr.*, gzipped or not."""
    epochs: int = 8
    """Maximum number of epochs; training ends after three without a better validation loss."""
    learning_rate: float = 4e-3
    """Peak learning rate of Adam for the recurrent networks, which follows one cycle."""
    transformer_learning_rate: float = 2e-3
    """Peak learning rate of Adam for the Transformer, which follows one cycle."""
    batch_size: int = 64
    """Pairs per step."""
    num_beams: int = 4
    """Beams of the beam search."""
    num_examples: int = 0
    """Pairs of each split, including the test split; 0 for all, any other number is not comparable."""


def load_data(config: Config, verbose: bool = True) -> dk.data.Data:
    """Return pairs of sentences."""
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
        print(f"{data.describe()}, standing in for Multi30k (see --folder): not comparable with the paper")
    return dataclasses.replace(data, stand_in_for="Multi30k")


def load_pairs(config: Config) -> dict[str, Pairs]:
    """Return the sentences of each split: Multi30k from its folder, or spoken numbers."""
    folder = config.folder
    if folder is None:
        sizes = {"train": 4_000, "validation": 200, "test": 200}
        pairs = {split: spoken_numbers(size, seed=seed) for seed, (split, size) in enumerate(sizes.items())}
    else:
        pairs = {
            split: (read_lines(folder, f"{name}.de"), read_lines(folder, f"{name}.en"))
            for split, name in SPLITS.items()
        }
    limit = config.num_examples or None
    return {split: (german[:limit], english[:limit]) for split, (german, english) in pairs.items()}


def read_lines(folder: Path, name: str) -> list[str]:
    """Return the lines of a text file, gzipped or not."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            return text.decode("utf-8").removesuffix("\n").split("\n")
    problem = f"{folder} contains neither {name} nor {name}.gz"
    raise FileNotFoundError(message(problem, hint="use data/task1/raw of https://github.com/multi30k/dataset"))


def spoken_numbers(count: int, seed: int) -> Pairs:
    """Return numbers in German and English, in the order of each language: "zwei und vierzig", "forty two"."""
    rng = np.random.default_rng(seed)
    german: list[str] = []
    english: list[str] = []
    for _ in range(count):
        digits = rng.integers((1, 2, 1), 10, (rng.integers(2, 5), 3))  # hundreds, tens and ones of 2 to 4 numbers
        german.append(
            ", ".join(f"{ONES['de'][h]} hundert {ONES['de'][o]} und {TENS['de'][t - 1]}" for h, t, o in digits)
        )
        english.append(", ".join(f"{ONES['en'][h]} hundred {TENS['en'][t - 1]} {ONES['en'][o]}" for h, t, o in digits))
    return german, english


def texts(config: Config) -> dict[str, dk.Text]:
    """Return the text layers of both languages."""
    sizes = VOCABULARY_SIZE if config.folder else dict.fromkeys(VOCABULARY_SIZE, 40)  # for spoken numbers
    return {side: dk.Text(size, standardize="lower_and_split_punctuation") for side, size in sizes.items()}


def translator(config: Config, attention: str | None) -> dk.Seq2Seq:
    """Return the network with an attention score, or without attention."""
    text = texts(config)
    return dk.Seq2Seq(
        text["de"],
        target=text["en"],
        embedding_dim=EMBEDDING_DIM,
        encoder=dk.Recurrent("gru", UNITS, bidirectional=True),
        decoder=dk.Recurrent("gru", UNITS),
        attention=attention,
        dropout=DROPOUT,
        name="translator" if attention else "translator_without_attention",
    )


def transformer(config: Config) -> dk.Seq2Seq:
    """Return the Transformer."""
    text = texts(config)
    arguments: dict[str, Any] = {"num_layers": 2, "normalize_first": True, "dropout": 0.1}
    return dk.Seq2Seq(
        text["de"],
        target=text["en"],
        embedding_dim=UNITS,
        encoder=dk.TransformerEncoder(4, **arguments),
        decoder=dk.TransformerDecoder(4, **arguments),
        dropout=DROPOUT,
        name="transformer",
    )


def definition(config: Config) -> dk.Seq2Seq:
    """Return the network of a config."""
    return translator(config, config.attention)


def train(config: Config) -> Result:
    """Train the networks and compare their translations."""
    data = load_data(config)
    test = load_pairs(config)["test"]
    runs = {
        "with": train_one(config, translator(config, config.attention), data, config.attention),
        "without": train_one(config, translator(config, None), data, "none"),
        "transformer": train_one(transformer_config(config), transformer(config), data, "transformer"),
    }
    translations = {name: run.model.translate(test[0], num_beams=config.num_beams) for name, run in runs.items()}
    bleu, p_value, signature = compare(translations, test[1])
    print_translations(test, translations)
    perplexity = {name: min(run.history["val_perplexity"]) for name, run in runs.items()}
    model = runs["with"].model
    measured = {
        "BLEU": bleu["with"],
        "BLEU without attention": bleu["without"],
        "gain": bleu["with"] - bleu["without"],
        "BLEU, Transformer": bleu["transformer"],
        "p-value": p_value,
        "validation perplexity": perplexity["with"],
        "validation perplexity without attention": perplexity["without"],
        "validation perplexity, Transformer": perplexity["transformer"],
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


def transformer_config(config: Config) -> Config:
    """Return the settings of the Transformer."""
    return dataclasses.replace(config, epochs=2 * config.epochs, learning_rate=config.transformer_learning_rate)


def train_one(config: Config, net: dk.Seq2Seq, data: dk.data.Data, folder: str) -> dk.Run:
    """Train one network in its own folder of the run directory, until its validation loss stops improving."""
    return config.fit(
        net,
        data,
        run_dir=config.run_dir and config.run_dir / folder,
        learning_rate=dk.OneCycle(config.learning_rate),
        callbacks=[keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)],
    )


def compare(
    translations: Mapping[str, Sequence[str]], references: Sequence[str]
) -> tuple[dict[str, float], float, str]:
    """Return the BLEU of each network, the p-value of the first two, and the signature of the computation."""
    from sacrebleu.metrics import BLEU
    from sacrebleu.significance import PairedTest

    names = ["without", "with", *(name for name in translations if name not in ("without", "with"))]
    systems: Any = [(name, list(translations[name])) for name in names]  # the first is the baseline
    metric = BLEU(lowercase=True, references=[list(references)])
    scores: Any
    signatures, scores = PairedTest(systems, {"BLEU": metric}, None, test_type="bs", n_samples=1000)()
    bleu = {name: result.score for name, result in zip(scores["System"], scores["BLEU"], strict=True)}
    return bleu, float(scores["BLEU"][1].p_value), str(signatures["BLEU"])


def print_translations(test: Pairs, translations: Mapping[str, Sequence[str]]) -> None:
    """Print the first test sentences and their translations."""
    texts = {
        "source": test[0],
        "reference": test[1],
        "with attention": translations["with"],
        "without": translations["without"],
        "Transformer": translations["transformer"],
    }
    for number in range(min(3, len(test[0]))):
        for label, column in texts.items():
            print(f"{label:>14}: {column[number]}")


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the attention of the network with attention, with generated words as rows and source words as columns."""
    sources = EXAMPLES if config.folder else load_pairs(config)["test"][0][:3]
    _, maps = results[0].model.translate(sources, num_beams=config.num_beams, return_attention=True)
    return {
        f"Attention weights, sentence {number}": dk.visualize.attention(
            attention.weights, source=attention.source, target=attention.target
        )
        for number, attention in enumerate(maps, start=1)
    }


RECIPE = Recipe(
    name="translation",
    paper=PAPER,
    related=(papers.SUTSKEVER_2014, papers.LUONG_2015, papers.VASWANI_2017),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    exercises=(
        "Set `--num-beams 1`: how much does beam search add to BLEU?",
        "Look at the attention of sentences whose word order differs in the two languages.",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
