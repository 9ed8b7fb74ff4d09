r"""Both directions: a missing token depends on a key before it and a key after it, and one direction reads only one.

A recurrent network that reads from left to right knows, at each step, the steps before it. A bidirectional network
combines it with one that reads from right to left (Schuster & Paliwal 1997). The example of the lecture notes is a
missing word, which depends on its left and on its right context.

    $$ \overrightarrow{h}_t = f(x_t, \overrightarrow{h}_{t-1}), \qquad
    \overleftarrow{h}_t = f(x_t, \overleftarrow{h}_{t+1}), \qquad
    \hat{y}_t = g\left(\overrightarrow{h}_t, \overleftarrow{h}_t\right) $$

Here each half of a sequence has one key, a number from 0 to K - 1, among other tokens, and the missing token in the
middle is the larger of the two keys. A network in one direction knows one key a, and the other key is independent and
uniform: the larger one is a with the probability (a + 1) / K, and any larger number with 1 / K. The best guess is a, so
the expected accuracy of a network in one direction, however large, is at most

    $$ \frac{1}{K} \sum_{a=0}^{K-1} \frac{a + 1}{K} = \frac{K + 1}{2K} $$

which is 56.25 % for eight keys. The recipe trains a network in each direction and one in both.

    deepkit run both_directions
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
ONE_DIRECTION = ("forward", "backward")
CLAIMS = (
    Claim(
        metric="test accuracy, both directions",
        value="a missing word needs the left and the right context",
        unit="%",
        where="lecture notes, bidirectional recurrent neural networks",
        setting="an example, no experiment",
    ),
)
DEVIATIONS = (
    "A generated task, in place of the paper's regression and phoneme data: the best accuracy of one direction is "
    "known exactly.",
    "GRUs (Cho et al. 2014), in place of the paper's simple recurrent units.",
    "The settings, 32 units, one cycle of the learning rate with a peak of 0.01, and 5 epochs, were chosen by "
    "validation accuracy.",
)
METRICS = {
    "test accuracy, both directions": "share of the missing tokens of 20,000 test sequences that a network in both "
    "directions predicts, in percent; 12.5 is chance; the test data is read once, at the end",
    "test accuracy, forward": "the same for a network that reads from left to right",
    "test accuracy, backward": "the same for a network that reads from right to left",
    "ceiling": "largest expected accuracy of any network in one direction, in percent, exact",
    "best guess, forward": "accuracy of the best guess from the first key, the key itself, on the same test "
    "sequences, in percent; it differs from the ceiling by chance",
    "best guess, backward": "the same from the second key",
    "parameters, both directions": "trainable weights; likewise for the networks in one direction",
}

NUM_KEYS, NUM_FILLERS, HALF_LENGTH = 8, 8, 20
GAP = NUM_KEYS + NUM_FILLERS  # the token in the place of the missing one
UNITS, EMBEDDING_DIM = 32, 16
NUM_EXAMPLES = {"train": 20_000, "validation": 4_000, "test": 20_000}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """A network in each direction, and one in both."""

    QUICK = {"seeds": 1, "epochs": 1}

    seeds: int = 3
    """Number of repeats, each with its own sequences and initial weights."""
    epochs: int = 5
    """Epochs of training for each network."""
    learning_rate: float = 0.01
    """Peak learning rate of Adam, which follows one cycle."""
    batch_size: int = 64
    """Sequences per step."""
    devices: int | str = "cpu"
    """Devices to train on; these networks are too small for a GPU."""


@dataclass(frozen=True)
class Examples:
    """Sequences of token ids `(examples, steps)`, and their keys `(examples, 2)`; the larger key is the label."""

    tokens: np.ndarray
    keys: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """The missing tokens `(examples,)`."""
        return np.asarray(self.keys.max(axis=1))


def generate(num_examples: int, rng: np.random.Generator) -> Examples:
    """Return sequences with one key at a random step of each half, a gap between the halves, and fillers."""
    rows, length = np.arange(num_examples), 2 * HALF_LENGTH + 1
    tokens = rng.integers(NUM_KEYS, NUM_KEYS + NUM_FILLERS, (num_examples, length), dtype="int32")
    keys = rng.integers(0, NUM_KEYS, (num_examples, 2))
    tokens[rows, rng.integers(0, HALF_LENGTH, num_examples)] = keys[:, 0]
    tokens[rows, rng.integers(HALF_LENGTH + 1, length, num_examples)] = keys[:, 1]
    tokens[:, HALF_LENGTH] = GAP
    return Examples(tokens, keys)


def ceiling(num_keys: int = NUM_KEYS) -> float:
    """Return the largest expected accuracy of a network that knows one of the two keys."""
    return (num_keys + 1) / (2 * num_keys)


def network(name: str) -> dk.Sequential:
    """Return a classifier of the state at the gap; a backward network is a forward one of the reversed sequence."""
    recurrent = dk.Recurrent("gru", UNITS, bidirectional=name == "both directions", return_sequences=True)
    return dk.Sequential(
        [
            layers.Embedding(GAP + 1, EMBEDDING_DIM),
            recurrent,
            layers.Cropping1D((HALF_LENGTH, HALF_LENGTH)),  # keeps the step of the gap
            dk.Classifier(NUM_KEYS),
        ],
        name=name.replace(" ", "_"),
    )


def definition(config: Config) -> dk.Sequential:
    """Return the network in both directions."""
    return network("both directions")


def train(config: Config) -> Result:
    """Train the three networks, and compare their accuracies with the ceiling."""
    rng = np.random.default_rng(config.seed)
    splits = {split: generate(config.max_examples or count, rng) for split, count in NUM_EXAMPLES.items()}
    data = {name: load_data(config, name, splits) for name in COLORS}
    runs = {name: train_one(config, name, data[name]) for name in COLORS}
    keys, labels = splits["test"].keys, splits["test"].labels
    correct = {name: predict(runs[name].model, data[name]) == labels for name in COLORS}
    measured = {f"test accuracy, {name}": 100 * float(values.mean()) for name, values in correct.items()}
    measured["ceiling"] = 100 * ceiling()
    columns = {"forward": 0, "backward": 1, "both directions": 0}  # the key that a network knows
    measured |= {
        f"best guess, {name}": 100 * float(np.mean(keys[:, columns[name]] == labels)) for name in ONE_DIRECTION
    }
    measured |= {f"parameters, {name}": parameters(run.model) for name, run in runs.items()}
    curves = {}
    for name, run in runs.items():
        accuracies = [100 * accuracy for accuracy in run.history["val_accuracy"]]
        curves[f"validation accuracy, {name}"] = Curve(range(1, len(accuracies) + 1), accuracies)
        by_key = [100 * float(correct[name][keys[:, columns[name]] == key].mean()) for key in range(NUM_KEYS)]
        curves[f"accuracy by key, {name}"] = Curve(range(NUM_KEYS), by_key)
    return Result(
        measured=measured,
        data=data["forward"].summary(),
        curves=curves,
        model=runs["both directions"].model,
        seconds=sum(run.seconds for run in runs.values()),
    )


def load_data(config: Config, name: str, splits: Mapping[str, Examples]) -> dk.data.Data:
    """Return sequences in the order in which a network reads them, and the missing tokens."""
    step = -1 if name == "backward" else 1
    arrays = {split: (examples.tokens[:, ::step], examples.labels) for split, examples in splits.items()}
    return dk.data.from_arrays(
        *arrays["train"],
        validation=arrays["validation"],
        test=arrays["test"],
        batch_size=config.batch_size,
        seed=config.seed,
        name="two keys",
    )


def train_one(config: Config, name: str, data: dk.data.Data) -> dk.Run:
    """Train one network in its own folder of the run directory."""
    run = config.fit(
        network(name),
        data,
        run_dir=config.run_dir and config.run_dir / name.replace(" ", "_"),
        learning_rate=dk.OneCycle(config.learning_rate),
        verbose=0,
    )
    print(f"{name}: validation accuracy {run.history['val_accuracy'][-1]:.4f}, {run.seconds:.0f} s", flush=True)
    return run


@without_retracing_warnings()
def predict(model: keras.Model, data: dk.data.Data) -> np.ndarray:
    """Return the predicted tokens of the test sequences."""
    return np.argmax(model.predict(data.test.rebatch(500), verbose=0), axis=1)


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the accuracy over the epochs, and by the key that a network in one direction knows."""
    figure = PngFigure(figsize=(8.4, 3.4), layout="constrained")
    epochs, keys = figure.subplots(1, 2, sharey=True)
    epochs.axhline(100 * ceiling(), color="black", linewidth=0.8, linestyle=":", label="ceiling of one direction")
    exact = 100 * (np.arange(NUM_KEYS) + 1) / NUM_KEYS
    keys.plot(exact, color="black", linewidth=0.8, linestyle=":", label="ceiling of one direction")
    for name, color in COLORS.items():
        draw_range(epochs, results, f"validation accuracy, {name}", color=color, marker="o", markersize=4, label=name)
        draw_range(keys, results, f"accuracy by key, {name}", color=color, marker="o", markersize=4, label=name)
    xticks = results[0].curves["validation accuracy, forward"].x
    finish(epochs, xlabel="epoch", ylabel="accuracy in percent", ylim=(0, 103), xticks=xticks, title="validation")
    finish(keys, xlabel="key: the first one, or the second one for backward", title="test")
    return {"Accuracy of the missing token over the epochs, and by the key that one direction knows": figure}


RECIPE = Recipe(
    name="both_directions",
    paper=PAPER,
    config=Config,
    train=train,
    definition=definition,
    input_shape=(2 * HALF_LENGTH + 1,),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw_curves=draw_curves,
    annotated=(generate, ceiling, network),
    exercises=(
        "Change the label to the sum of both keys modulo 8: what is the ceiling of one direction now?",
        "Set `UNITS` to 64 for one direction: does the accuracy of `forward` change?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
