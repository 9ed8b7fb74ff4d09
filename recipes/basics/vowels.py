r"""Vowels: ten classes from two formants, where a hidden layer helps and where it does not.

The vocal tract amplifies some frequencies of the voice, the formants, and the first two largely determine which vowel
one hears. Peterson & Barney (1952) measured them for 76 men, women and children, who read ten words such as *heed*,
*hid* and *who'd* twice. The lecture notes show vowels as an example in which a network of two layers learns curved
boundaries.

The recipe trains networks with and without a hidden layer, and with two kinds of outputs. Sigmoid units decide for each
vowel alone: a linear unit has one line to separate a vowel from the other nine, which fails for the vowels in the
middle of the plane. A softmax compares the ten scores, so nine lines enclose each vowel. The test speakers are not
among the training speakers.

    $$ \hat{y} = \operatorname{argmax}_k \left( V \tanh(W x + b) + c \right)_k $$

    deepkit run vowels --folder FOLDER
    deepkit run vowels
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Curve, Recipe, Result, Settings, main
from deepkit.utils.errors import message
from deepkit.visualize.figures import BLUE, ORANGE, PngFigure
from recipes import papers
from recipes.basics.full_batch import minimize

PAPER = papers.PETERSON_1952
CLAIMS = (
    Claim(
        metric="softmax, two layers",
        value="highly nonlinear boundaries",
        where="lecture notes, vowels",
        setting="a figure of the regions of a trained network, without numbers",
        unit="%",
    ),
)
DEVIATIONS = (
    "The paper measures how well listeners identify the vowels, and trains nothing; the notes show the regions of a "
    "network, without its settings or its accuracy.",
    "20 tanh units in the hidden layer and 600 epochs, after a comparison of 8 to 50 units and 600 to 3,000 epochs on "
    "other splits of the same speakers, whose mean test accuracies were between 71.9 and 73.9 %. The networks without "
    "a hidden layer are trained to their optimum.",
    "Split by speaker: 57 for training, 19 for the test, others for each repeat. A split by recording would place the "
    "second recording of a test word in the training data.",
    "The sigmoid outputs were added after the softmax had shown hardly any gain from a hidden layer; the notes do not "
    "state the outputs of their network.",
)
METRICS = {
    "sigmoid, linear": "share of the test recordings whose vowel has the largest output, in percent, for one sigmoid "
    "unit per vowel and no hidden layer; 10 is chance",
    "sigmoid, two layers": "the same with a hidden layer of 20 tanh units",
    "softmax, linear": "the same for a softmax over the vowels and no hidden layer",
    "softmax, two layers": "the same with a hidden layer",
    "sigmoid, gain": "points that the hidden layer adds for sigmoid outputs, on the same speakers",
    "softmax, gain": "points that the hidden layer adds for a softmax; near 0 if convex regions, those of a linear "
    "softmax, are enough",
}

EXAMPLE_WORDS = {
    "i": "heed",
    "I": "hid",
    "E": "head",
    "{": "had",
    "A": "hod",
    "O": "hawed",
    "U": "hood",
    "u": "who'd",
    "V": "hud",
    "3'": "heard",
}
"""Word of each vowel, by its X-SAMPA symbol."""
MEN = {  # mean F1 and F2 of men in Hz (table II)
    "i": (270, 2290),
    "I": (390, 1990),
    "E": (530, 1840),
    "{": (660, 1720),
    "A": (730, 1090),
    "O": (570, 840),
    "U": (440, 1020),
    "u": (300, 870),
    "V": (640, 1190),
    "3'": (490, 1350),
}
FILE, COLUMNS = "peterson_barney_1952.csv", ("speaker", "vowel", "f1", "f2")
NUM_TEST_SPEAKERS = 19
LOSSES: dict[str, keras.losses.Loss] = {
    "sigmoid": keras.losses.BinaryCrossentropy(from_logits=True),
    "softmax": keras.losses.CategoricalCrossentropy(from_logits=True),
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Five splits of the speakers."""

    QUICK = {"seeds": 1, "epochs": 50}

    folder: Path | None = None
    """Folder with peterson_barney_1952.csv: columns speaker, vowel (X-SAMPA), f1 and f2 in Hz."""
    seeds: int = 5
    """Number of repeats, each with its own test speakers."""
    epochs: int = 600
    """Epochs of one step on all recordings of the training speakers; five times as many without a hidden layer."""
    devices: int | str = "cpu"
    """Devices to train on; these networks are too small for a GPU."""


@dataclass(frozen=True)
class Recordings:
    """Formants `(recordings, 2)` in Hz, numbers of the vowels, and numbers of the speakers."""

    formants: np.ndarray
    vowels: np.ndarray
    speakers: np.ndarray


def load_recordings(folder: Path | None) -> Recordings:
    """Return the recordings of the paper, or generated ones if there is no folder."""
    if folder is None:
        return generate_recordings()
    path = folder / FILE
    if not path.is_file():
        hint = "use the table pb52 of the R package phonTools, as CSV"
        raise FileNotFoundError(message(f"{folder} does not contain {FILE}", hint=hint))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    missing = [column for column in COLUMNS if not rows or column not in rows[0]]
    if missing:
        problem = f"{path}: expected the columns {', '.join(COLUMNS)}, missing {', '.join(missing)}"
        raise ValueError(message(problem, hint="rename the columns, in lower case"))
    unknown = sorted({row["vowel"] for row in rows} - set(EXAMPLE_WORDS))
    if unknown:
        problem = f"{path}: expected the vowels {', '.join(EXAMPLE_WORDS)}, received {', '.join(unknown)}"
        raise ValueError(message(problem, hint="write the vowels in X-SAMPA"))
    return Recordings(
        np.array([[float(row["f1"]), float(row["f2"])] for row in rows], "float32"),
        np.array([list(EXAMPLE_WORDS).index(row["vowel"]) for row in rows]),
        np.array([int(row["speaker"]) for row in rows]),
    )


def generate_recordings() -> Recordings:
    """Return formants of 76 invented speakers: those of men, scaled by the length of the vocal tract, with noise."""
    rng = np.random.default_rng(1952)
    lengths = np.repeat([1.0, 1.17, 1.35], [33, 28, 15])  # men, women and children
    scale = lengths * np.exp(rng.normal(0, 0.04, 76))
    means = np.array([MEN[vowel] for vowel in EXAMPLE_WORDS])
    formants = means * scale[:, None, None, None] * np.exp(rng.normal(0, 0.09, (76, 2, 10, 2)))
    return Recordings(formants.reshape(-1, 2).astype("float32"), np.tile(np.arange(10), 152), np.repeat(range(76), 20))


def network(num_hidden: int | None = None) -> dk.Sequential:
    """Return a network of ten scores from two formants in Hz, with or without a hidden layer."""
    scale = layers.Normalization(mean=[550.0, 1500.0], variance=[200.0**2, 600.0**2])
    hidden = [dk.MLP([num_hidden], activation="tanh")] if num_hidden else []
    return dk.Sequential([scale, *hidden, dk.Classifier(len(EXAMPLE_WORDS))], name="vowels")


def definition(config: Config) -> dk.Sequential:
    """Return the network with a hidden layer of 20 units."""
    return network(20)


def train(config: Config) -> Result:
    """Train four networks on the same speakers, and test them on the others."""
    recordings = load_recordings(config.folder)
    rng = np.random.default_rng(config.seed)
    test_speakers = rng.permutation(np.unique(recordings.speakers))[:NUM_TEST_SPEAKERS]
    is_test = np.isin(recordings.speakers, test_speakers)
    x, y = recordings.formants, recordings.vowels
    one_hot = np.eye(len(EXAMPLE_WORDS), dtype="float32")[y[~is_test]]
    keras.utils.set_random_seed(config.seed)
    measured: dict[str, float] = {}
    curves: dict[str, Curve] = {}
    models: dict[str, keras.Model] = {}
    for output, loss in LOSSES.items():
        for kind in ("linear", "two layers"):
            is_linear = kind == "linear"
            model = (network() if is_linear else definition(config)).build((2,))
            steps, learning_rate = (5 * config.epochs, 0.3) if is_linear else (config.epochs, 0.05)
            minimize(model, loss, x[~is_test], one_hot, steps=steps, learning_rate=learning_rate)
            correct = np.asarray(model(x[is_test])).argmax(1) == y[is_test]
            models[f"{output}, {kind}"] = model
            measured[f"{output}, {kind}"] = 100 * float(np.mean(correct))
            by_vowel = [100 * float(np.mean(correct[y[is_test] == vowel])) for vowel in range(len(EXAMPLE_WORDS))]
            curves[f"{output}, {kind}"] = Curve(range(len(EXAMPLE_WORDS)), by_vowel)
        measured[f"{output}, gain"] = measured[f"{output}, two layers"] - measured[f"{output}, linear"]
    is_generated = config.folder is None
    name = "generated formants, standing in for Peterson & Barney's" if is_generated else "Peterson & Barney 1952"
    data = f"{name}: {np.sum(~is_test):,} train, {np.sum(is_test):,} test recordings, split by speaker"
    model = models["softmax, two layers"]
    return Result(measured=measured, data=data, comparable=not is_generated, model=model, curves=curves)


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the accuracy for each vowel, with and without a hidden layer, one panel for each kind of output."""
    figure = PngFigure(figsize=(7.6, 3.6), layout="constrained")
    for axes, output in zip(figure.subplots(1, 2, sharey=True), LOSSES, strict=True):
        for shift, kind, color in ((-0.15, "linear", BLUE), (0.15, "two layers", ORANGE)):
            values = np.array([result.curves[f"{output}, {kind}"].y for result in results])  # (seeds, vowels)
            positions = np.arange(len(EXAMPLE_WORDS)) + shift
            mean = np.mean([result.measured[f"{output}, {kind}"] for result in results])
            label = f"{kind}: {mean:.1f} %"
            axes.bar(positions, values.mean(0), 0.3, yerr=values.std(0), color=color, label=label, ecolor="gray")
        axes.set_xticks(range(len(EXAMPLE_WORDS)), list(EXAMPLE_WORDS.values()), rotation=60, fontsize=8)
        axes.set(title=f"{output} outputs", ylim=(0, 118))
        axes.legend(frameon=False, fontsize=8, loc="upper center", ncols=2)
    figure.axes[0].set_ylabel("test accuracy (%)")
    return {"Accuracy for each vowel on the test speakers, with the standard deviation over the repeats": figure}


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the regions of the network with softmax and a hidden layer, and all recordings."""
    recordings = load_recordings(config.folder)
    data = (recordings.formants, recordings.vowels)
    names = list(EXAMPLE_WORDS.values())
    figure = dk.visualize.decision_boundary(results[0].model, data, num_points=800, class_names=names)
    figure.axes[0].set(xlabel="first formant F1 (Hz)", ylabel="second formant F2 (Hz)")
    return {
        "Regions of the vowels by softmax and a hidden layer, first repeat, with recordings of all speakers": figure
    }


RECIPE = Recipe(
    name="vowels",
    paper=PAPER,
    related=(papers.MITCHELL_1997,),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(2,),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    draw_curves=draw_curves,
    annotated=(network, generate_recordings, train),
    exercises=(
        "Split by recording instead of by speaker. How much does the test accuracy rise, and why is that misleading?",
        "Give the networks the third formant or the pitch as a further input: which vowels does it separate?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
