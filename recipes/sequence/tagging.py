r"""Tagging: a tag for every word; the tag of a verb depends on a particle at the end of the clause.

German has verbs of two parts: "er macht die Tür auf" (he opens the door) is a form of aufmachen, "er macht die Tür zu"
(he closes it) of zumachen. Here the tag of such a verb and of its particle is the infinitive, and the tag of any other
word is its part of speech. A network that reads from left to right does not know the particle when it tags the verb. A
network that reads from right to left does not know the verb when it tags the particle (Schuster & Paliwal 1997).

    $$ \hat{y}_t = \operatorname{softmax}\left(W \left[\overrightarrow{h}_t, \overleftarrow{h}_t\right] + b\right) $$

The sentences are drawn from a grammar of one to three clauses. Verb and particle are independent of each other and of
all other words. So the best tag that a forward network can choose for a verb is that with the most frequent particle,
which is right with the probability 0.5; the best tag that a backward network can choose for a particle is that with the
most frequent verb, with the probability 0.4. For c clauses in n words, the expected accuracy of a forward network is at
most 1 - 0.5 c / n, that of a backward network at most 1 - 0.6 c / n. Sentences have different lengths: the padding is
masked, and counts neither in the loss nor in the accuracy.

    deepkit run tagging
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Curve, Recipe, Result, Settings, main, parameters
from deepkit.utils.tracing import without_retracing_warnings
from deepkit.visualize.figures import BLUE, GRAY, ORANGE, PngFigure
from recipes import papers
from recipes.basics.bands import draw_range, finish

PAPER = papers.SCHUSTER_1997
COLORS = {"forward": GRAY, "backward": ORANGE, "both directions": BLUE}
CLAIMS = (
    Claim(
        metric="test accuracy, both directions",
        value="models dependence on past and future",
        unit="%",
        where="lecture notes, bidirectional recurrent neural networks",
        setting="the definition, no experiment",
    ),
)
DEVIATIONS = (
    "Sentences from a generated grammar, in place of the paper's phoneme data: the best accuracy of one direction is "
    "known exactly.",
    "LSTMs (Hochreiter & Schmidhuber 1997), in place of the paper's simple recurrent units.",
    "The settings, 32 units, one cycle of the learning rate with a peak of 0.01, and 4 epochs, were chosen by "
    "validation accuracy.",
)
METRICS = {
    "test accuracy, both directions": "share of the words of 4,000 test sentences whose tag is right, in percent; the "
    "test data is read once, at the end; likewise for the forward and the backward network",
    "ceiling, forward": "largest expected accuracy of any forward network for these sentences, in percent, exact",
    "ceiling, backward": "the same for a backward network",
    "verbs, both directions": "the same as the test accuracy, for verbs only: 50 is the ceiling of a forward network",
    "particles, both directions": "the same for particles only: 40 is the ceiling of a backward network",
    "other words, both directions": "the same for all other words, whose tags follow from the words",
    "parameters, both directions": "trainable weights; likewise for the networks in one direction",
}

VERBS = {"macht": ("machen", 0.4), "zieht": ("ziehen", 0.3), "schließt": ("schließen", 0.2), "dreht": ("drehen", 0.1)}
PARTICLES = {"auf": 0.5, "zu": 0.3, "an": 0.2}  # and their probabilities
WORDS = {
    "pronoun": ("er", "es", "man", "jemand"),
    "adverb": ("heute", "langsam", "wieder", "schnell"),
    "determiner": ("die",),
    "adjective": ("alte", "kleine", "rote", "schwere"),
    "noun": ("tür", "kiste", "flasche", "heizung"),
    "conjunction": ("und",),
}
TAGS = (*WORDS, *(particle + infinitive for particle in PARTICLES for infinitive, _ in VERBS.values()))
MAX_CLAUSES, MAX_LENGTH = 3, 3 * 10 + 2
UNITS, EMBEDDING_DIM, VOCABULARY_SIZE = 32, 16, 40
NUM_EXAMPLES = {"train": 8_000, "validation": 1_000, "test": 4_000}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """A tagger in each direction, and one in both."""

    QUICK = {"seeds": 1, "epochs": 1}

    seeds: int = 3
    """Number of repeats, each with its own sentences and initial weights."""
    epochs: int = 4
    """Epochs of training for each network."""
    learning_rate: float = 0.01
    """Peak learning rate of Adam, which follows one cycle."""
    batch_size: int = 32
    """Sentences per step."""
    devices: int | str = "cpu"
    """Devices to train on; these networks are too small for a GPU."""


Sentence = list[tuple[str, str]]
"""Words and their tags."""


def generate(rng: np.random.Generator) -> Sentence:
    """Return a sentence of one to three clauses."""
    sentence: Sentence = []
    for number in range(rng.integers(1, MAX_CLAUSES + 1)):
        kinds = ["conjunction"] if number else []
        sentence += draw_words([*kinds, "pronoun"], rng)
        verb = rng.choice(list(VERBS), p=[probability for _, probability in VERBS.values()])
        particle = rng.choice(list(PARTICLES), p=list(PARTICLES.values()))
        tag = str(particle) + VERBS[verb][0]
        num_adverbs, num_adjectives, num_last_adverbs = rng.integers(0, (3, 3, 2))
        kinds = ["adverb"] * num_adverbs + ["determiner"] + ["adjective"] * num_adjectives + ["noun"]
        middle = draw_words(kinds + ["adverb"] * num_last_adverbs, rng)
        sentence += [(str(verb), tag), *middle, (str(particle), tag)]
    return sentence


def draw_words(kinds: Sequence[str], rng: np.random.Generator) -> Sentence:
    """Return a random word of each part of speech."""
    return [(str(rng.choice(WORDS[kind])), kind) for kind in kinds]


@dataclass(frozen=True)
class Sentences:
    """Sentences as strings, and the tags of their words `(sentences, MAX_LENGTH)`; the tag of padding is 0."""

    texts: np.ndarray
    tags: np.ndarray

    @classmethod
    def draw(cls, num_sentences: int, rng: np.random.Generator) -> Sentences:
        """Return random sentences."""
        sentences = [generate(rng) for _ in range(num_sentences)]
        tags = np.zeros((num_sentences, MAX_LENGTH), "int64")
        for row, sentence in zip(tags, sentences, strict=True):
            row[: len(sentence)] = [TAGS.index(tag) for _, tag in sentence]
        return cls(np.array([" ".join(word for word, _ in sentence) for sentence in sentences]), tags)

    def masks(self) -> dict[str, np.ndarray]:
        """Return which steps are verbs, particles and other words, each `(sentences, MAX_LENGTH)`."""
        words = np.full(self.tags.shape, "", dtype=object)
        for row, text in zip(words, self.texts, strict=True):
            row[: len(text.split())] = text.split()
        verbs, particles = np.isin(words, list(VERBS)), np.isin(words, list(PARTICLES))
        return {"verbs": verbs, "particles": particles, "other words": (words != "") & ~verbs & ~particles}


def ceilings(masks: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the largest expected accuracy of a forward and of a backward network for these sentences."""
    num_clauses, num_words = masks["verbs"].sum(), sum(mask.sum() for mask in masks.values())
    largest = {
        "forward": max(PARTICLES.values()),
        "backward": max(probability for _, probability in VERBS.values()),
    }
    return {name: 1 - (1 - probability) * num_clauses / num_words for name, probability in largest.items()}


def tagger(name: str) -> dk.Sequential:
    """Return a network from a sentence to the logits of each word's tag; a backward network reads it reversed."""
    is_bidirectional = name == "both directions"
    return dk.Sequential(
        [
            dk.Text(VOCABULARY_SIZE, output_sequence_length=MAX_LENGTH),
            layers.Embedding(VOCABULARY_SIZE, EMBEDDING_DIM, mask_zero=True),
            dk.Recurrent("lstm", UNITS, bidirectional=is_bidirectional, return_sequences=True),
            dk.Classifier(len(TAGS), pool=None),
        ],
        name=name.replace(" ", "_"),
    )


def definition(config: Config) -> dk.Sequential:
    """Return the network in both directions."""
    return tagger("both directions")


def train(config: Config) -> Result:
    """Train the three networks, and compare their accuracies with the ceilings."""
    rng = np.random.default_rng(config.seed)
    splits = {split: Sentences.draw(config.max_examples or count, rng) for split, count in NUM_EXAMPLES.items()}
    data = {name: load_data(config, name, splits) for name in COLORS}
    runs = {name: train_one(config, name, data[name]) for name in COLORS}
    test, masks = splits["test"], splits["test"].masks()
    correct = {name: predict(name, runs[name].model, data[name], test) == test.tags for name in COLORS}
    is_word = np.any(list(masks.values()), axis=0)
    measured = {f"test accuracy, {name}": 100 * float(values[is_word].mean()) for name, values in correct.items()}
    measured |= {f"ceiling, {name}": 100 * float(value) for name, value in ceilings(masks).items()}
    for kind, mask in masks.items():
        measured |= {f"{kind}, {name}": 100 * float(values[mask].mean()) for name, values in correct.items()}
    measured |= {f"parameters, {name}": parameters(run.model) for name, run in runs.items()}
    accuracies = {name: [100 * value for value in run.history["val_accuracy"]] for name, run in runs.items()}
    return Result(
        measured=measured,
        data=data["forward"].summary(),
        curves={f"accuracy, {name}": Curve(range(1, len(y) + 1), y) for name, y in accuracies.items()},
        model=runs["both directions"].model,
        seconds=sum(run.seconds for run in runs.values()),
    )


def load_data(config: Config, name: str, splits: Mapping[str, Sentences]) -> dk.data.Data:
    """Return sentences and tags in the order in which a network reads them: reversed for the backward network."""
    arrays = {split: (sentences.texts, sentences.tags) for split, sentences in splits.items()}
    if name == "backward":
        arrays = {split: (reverse_texts(texts), reverse_words(texts, tags)) for split, (texts, tags) in arrays.items()}
    return dk.data.from_arrays(
        *arrays["train"],
        validation=arrays["validation"],
        test=arrays["test"],
        batch_size=config.batch_size,
        seed=config.seed,
        name="sentences",
    )


def train_one(config: Config, name: str, data: dk.data.Data) -> dk.Run:
    """Train one network in its own folder of the run directory."""
    run = config.fit(
        tagger(name),
        data,
        run_dir=config.run_dir and config.run_dir / name.replace(" ", "_"),
        learning_rate=dk.OneCycle(config.learning_rate),
        verbose=0,
    )
    print(f"{name}: validation accuracy {run.history['val_accuracy'][-1]:.4f}, {run.seconds:.0f} s", flush=True)
    return run


@without_retracing_warnings()
def predict(name: str, model: keras.Model, data: dk.data.Data, test: Sentences) -> np.ndarray:
    """Return the predicted tags `(sentences, MAX_LENGTH)` in the order of the sentences."""
    tags = np.argmax(model.predict(data.test.rebatch(500), verbose=0), axis=-1)
    return reverse_words(test.texts, tags) if name == "backward" else np.asarray(tags)


def reverse_texts(texts: np.ndarray) -> np.ndarray:
    """Return texts with their words in reverse order."""
    return np.array([" ".join(reversed(text.split())) for text in texts])


def reverse_words(texts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return values of words in reverse order, followed by those of the padding."""
    reversed_values = values.copy()
    for row, text in zip(reversed_values, texts, strict=True):
        num_words = len(text.split())
        row[:num_words] = row[:num_words][::-1]
    return reversed_values


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the accuracy over the epochs, and the test accuracy by kind of word."""
    figure = PngFigure(figsize=(8.4, 3.4), layout="constrained")
    epochs, kinds = figure.subplots(1, 2)
    names = ("verbs", "particles", "other words")
    for number, (name, color) in enumerate(COLORS.items()):
        draw_range(epochs, results, f"accuracy, {name}", color=color, marker="o", markersize=4, label=name)
        if name != "both directions":
            ceiling = np.mean([result.measured[f"ceiling, {name}"] for result in results])
            epochs.axhline(ceiling, color=color, linewidth=0.8, linestyle=":")
        heights = [np.mean([result.measured[f"{kind}, {name}"] for result in results]) for kind in names]
        kinds.bar(np.arange(len(names)) + 0.27 * (number - 1), heights, width=0.25, color=color, label=name)
    kinds.set_xticks(range(len(names)), names)
    xticks = results[0].curves["accuracy, forward"].x
    finish(epochs, xlabel="epoch", ylabel="accuracy in percent", xticks=xticks, title="validation; dotted: ceiling")
    finish(kinds, ylim=(0, 160), yticks=range(0, 101, 20), title="test")
    return {"Accuracy of the tags over the epochs, and by kind of word": figure}


RECIPE = Recipe(
    name="tagging",
    paper=PAPER,
    config=Config,
    train=train,
    definition=definition,
    input_shape=(),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw_curves=draw_curves,
    annotated=(generate, tagger, ceilings),
    exercises=(
        "Add a particle to `PARTICLES`, and compute the new ceilings before you run the recipe.",
        "Remove the LSTM of `tagger`: which tags does a classifier of single words get right?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
