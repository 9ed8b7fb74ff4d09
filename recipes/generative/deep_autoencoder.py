r"""Deep autoencoders: a code of 30 numbers, from layers that are pretrained as restricted Boltzmann machines.

Four restricted Boltzmann machines, each trained on the hidden probabilities of the one below, initialize an encoder
784-1000-500-250-30 with a linear code, and with their transposed weights its mirror image, the decoder. Both are then
trained as a whole. Hinton & Salakhutdinov (2006) report a squared error of 3.00 for each test image; a principal
component analysis (PCA) with 30 components has 13.87. The same network from a random start is trained beside it.

The training uses no labels. Two numbers measure how well the codes separate the digits, each beside that of PCA: the
purity of clusters of codes, and how far the codes of one digit are from those of the nine others. With a code of two
units (`--code-units 2`) the plane of the code is drawn beside the plane of the first two components. With `--data
curves` the images show curves through three random points: six numbers describe an image.

    $$ \min_{f, g} \; -\mathbb{E}_x \sum_i x_i \log g_i(f(x)) + (1 - x_i) \log (1 - g_i(f(x))) $$

    deepkit run deep_autoencoder
    deepkit run deep_autoencoder --code-units 2
    deepkit run deep_autoencoder --data curves
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.models import DeepBeliefNetwork
from deepkit.recipe import Claim, Curve, Deviation, Recipe, Result, Settings, main, parameters
from deepkit.visualize.figures import BLUE, GRAY, ORANGE, PngFigure
from recipes import papers
from recipes.basics.bands import draw_range, finish
from recipes.generative.code_evaluation import (
    anomaly_auc,
    as_rows,
    cluster_purity,
    encode,
    neighbor_distances,
    squared_errors,
)
from recipes.generative.linear_autoencoder import draw_rows, principal_components, project

PAPER = papers.HINTON_2006
DEFAULTS = {
    "mnist": {"hidden_units": (1000, 500, 250), "code_units": 30},
    "curves": {"hidden_units": (400, 200, 100, 50, 25), "code_units": 6},
}
MNIST, CURVES = ({"data": data, **units} for data, units in DEFAULTS.items())
CLAIMS = (
    Claim(
        metric="test error, autoencoder",
        value=3.00,
        where="figure 2B",
        setting="MNIST, 784-1000-500-250-30",
        when=MNIST,
        lower_is_better=True,
        note="logistic PCA 8.01 in the same figure",
    ),
    Claim(
        metric="test error, PCA",
        value=13.87,
        where="figure 2B",
        setting="MNIST, 30 components",
        when=MNIST,
        lower_is_better=True,
        tolerance=0.1,
    ),
    Claim(
        metric="test error, autoencoder",
        value=1.44,
        where="figure 2A",
        setting="curves, 784-400-200-100-50-25-6",
        when=CURVES,
        lower_is_better=True,
        note="logistic PCA 7.64 with 6 components and 2.45 with 18, in the same figure; other images (deviation 6)",
    ),
    Claim(
        metric="test error, PCA with 18 components",
        value=5.90,
        where="figure 2A",
        setting="curves, 18 components",
        when=CURVES,
        lower_is_better=True,
        note="other images (deviation 6)",
    ),
    *(
        Claim(
            metric="parameters",
            value=value,
            where=f"{widths} and its mirror image",
            setting="weights and biases of the autoencoder",
            when=when,
        )
        for value, widths, when in (
            (2_837_314, "784-1000-500-250-30", MNIST),
            (2_823_286, "784-1000-500-250-2", MNIST | {"code_units": 2}),
            (842_340, "784-400-200-100-50-25-6", CURVES),
        )
    ),
)
DEVIATIONS = (
    Deviation("Each machine is pretrained for 10 epochs in place of 50.", {"pretraining_epochs": 10}),
    "The momentum in pretraining is constant, in place of 0.5 and then 0.9, and the data of a machine are states: they "
    "are drawn anew in each step, with the gray values or the hidden probabilities below as probabilities.",
    "Adam with a decreasing learning rate in fine-tuning, in place of conjugate gradients.",
    "The settings are not tuned; training ends after a fixed number of epochs.",
    Deviation("Trained on 55,000 of the 60,000 training images; the rest is validation data.", {"data": "mnist"}),
    Deviation(
        "The original images of curves are not available. Here they are generated: parabolas through three random "
        "points, with lines of a fixed width; 19,000 for training, 1,000 for validation and 10,000 for the test, "
        "others with each seed. An error is comparable with those of the same images only, such as that of PCA.",
        {"data": "curves"},
    ),
)
METRICS = {
    "test error, autoencoder": "squared error of a test image, summed over its pixels from 0 to 1; the test images "
    "are read once, at the end",
    "test error, random start": "the same without pretraining",
    "test error, PCA": "the same for a principal component analysis with as many components as the code has units",
    "test error, PCA with 18 components": "the same with 18 components",
    "validation error": "the same for the validation images and the autoencoder",
    "validation error, random start": "the same without pretraining",
    "cluster purity": "share of the test digits with the most frequent label of their cluster, for ten clusters of the "
    "codes (k-means); 1 is best",
    "cluster purity, PCA": "the same for the principal components",
    "anomaly AUC": "probability that a test image of one digit is farther from codes of the nine other digits than a "
    "test image of these, mean over the ten digits; 0.5 is chance",
    "anomaly AUC, PCA": "the same for the principal components",
    "parameters": "trainable weights",
}
NUM_PIXELS = 28 * 28
NUM_NORMAL = 10_000  # training images with which the codes of the test images are compared
NUM_DRAWN = 10


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Greedy pretraining, then fine-tuning as an autoencoder; and fine-tuning from a random start."""

    QUICK = {"seeds": 1, "epochs": 1, "pretraining_epochs": 1, "hidden_units": (20, 10), "code_units": 2}

    data: Literal["mnist", "curves"] = "mnist"
    """Images: digits, or generated curves."""
    hidden_units: tuple[int, ...] | None = None
    """Units of each layer of the encoder below the code; depends on the data by default."""
    code_units: int | None = None
    """Units of the code; depends on the data by default."""
    pretraining_epochs: int = 10
    """Epochs of pretraining for each layer."""
    pretraining_learning_rate: float = 0.1
    """Learning rate of stochastic gradient descent in pretraining."""
    code_learning_rate: float = 0.001
    """The same for the machine at the top, whose hidden units are linear."""
    momentum: float = 0.8
    """Momentum in pretraining."""
    weight_decay: float = 2e-4
    """Weight decay in pretraining, a multiple of the learning rate."""
    epochs: int = 150
    """Epochs of fine-tuning."""
    learning_rate: float = 1e-3
    """Initial learning rate of Adam in fine-tuning; it follows half a cosine."""
    batch_size: int = 100
    """Images per step."""

    def resolve_defaults(self) -> Mapping[str, Any]:
        """Return the widths of the paper."""
        return DEFAULTS[self.data]


def load_data(config: Config, verbose: bool = True) -> dk.data.Data:
    """Return curves; or MNIST, or scikit-learn's digits at the same size if it is not available."""
    if config.data == "curves":
        num_train, num_validation, num_test = (240, 40, 200) if config.quick else (20_000, 1_000, 10_000)
        return dk.data.curves(
            num_train, num_test=num_test, validation=num_validation, seed=config.seed, batch_size=config.batch_size
        )
    return dk.data.load(
        "mnist",
        batch_size=config.batch_size,
        validation=5_000,
        image_size=28,
        seed=config.seed,
        num_examples=config.max_examples,
        data_dir=config.data_dir,
        fallback="digits",
        verbose=verbose,
    )


def network(config: Config) -> dk.DBN:
    """Return the machines of a config; the hidden units of the last are linear."""
    units = [*config.hidden_units, config.code_units]
    return dk.DBN(units, top="gaussian", epochs_per_layer=config.pretraining_epochs)


def definition(config: Config) -> dk.Autoencoder:
    """Return the autoencoder from a random start: 2,837,314 weights with a code of 30 units."""
    return dk.Autoencoder(
        [dk.MLP(list(config.hidden_units), activation="sigmoid"), dk.MLP([config.code_units], activation=None)],
        activation="sigmoid",
        name="random_start",
    )


def train(config: Config) -> Result:
    """Pretrain, fine-tune with and without it, and measure reconstructions and codes."""
    data = load_data(config)
    run = fine_tune(pretrain(config, data).unfold(), config, data)
    random_start = fine_tune(definition(config), config, data)
    measured = {
        "test error, autoencoder": reconstruction_error(run.model, data.test),
        "test error, random start": reconstruction_error(random_start.model, data.test),
        "validation error": reconstruction_error(run.model, data.validation),
        "validation error, random start": reconstruction_error(random_start.model, data.validation),
        **measure_components(config, data),
        "parameters": parameters(run.model),
    }
    if config.data == "mnist":
        measured |= measure_codes(config, data, run.model)
    return Result(
        measured=measured,
        data=data.summary(),
        comparable=data.stand_in_for is None,
        model=run.model,
        curves={"pretrained": error_curve(run), "random start": error_curve(random_start)},
        seconds=config.finished_seconds(),
    )


def pretrain(config: Config, data: dk.data.Data) -> DeepBeliefNetwork:
    """Train the machines one after the other, the last one with its own learning rate."""
    num_machines = len(config.hidden_units) + 1
    run = config.fit(
        network(config),
        data,
        run_dir=config.run_dir and config.run_dir / "pretraining",
        epochs=num_machines * config.pretraining_epochs,
        optimizer=keras.optimizers.SGD(momentum=config.momentum, weight_decay=config.weight_decay),
        learning_rate=dk.StepDecay(
            config.pretraining_learning_rate,
            milestones=(1 - 1 / num_machines,),
            gamma=config.code_learning_rate / config.pretraining_learning_rate,
        ),
    )
    return run.model


def fine_tune(net: dk.Autoencoder, config: Config, data: dk.data.Data) -> dk.Run:
    """Train an autoencoder as a whole with the cross-entropy of the pixels."""
    return config.fit(
        net,
        data,
        run_dir=config.run_dir and config.run_dir / str(net.name),
        learning_rate=dk.OneCycle(config.learning_rate, warmup_fraction=0.0),
    )


def reconstruction_error(model: keras.Model, images: dk.data.Pipeline) -> float:
    """Return the mean squared error of images, summed over the pixels."""
    x = images.arrays()[0]
    return float(squared_errors(x, model.predict(x, batch_size=1000, verbose=0)).mean())


def measure_components(config: Config, data: dk.data.Data) -> dict[str, float]:
    """Return the test errors of the principal components of the training images."""
    names = {"test error, PCA": config.code_units}
    if config.data == "curves":
        names["test error, PCA with 18 components"] = 18
    test = data.test.arrays()[0]
    measured = {}
    for name, count in names.items():
        mean, components = principal_space(data, count)
        measured[name] = project(test - mean, components.T, components)
    return measured


def principal_space(data: dk.data.Data, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean training image `(28, 28, 1)`, and the first principal components `(count, pixels)`."""
    train = data.train.arrays()[0]
    mean = train.mean(axis=0, dtype="float64")
    return mean, principal_components(train - mean, count)


def measure_codes(config: Config, data: dk.data.Data, model: keras.Model) -> dict[str, float]:
    """Return cluster purities and anomaly AUCs of the codes and of the principal components."""
    (train, train_labels), (test, labels) = data.train.arrays(NUM_NORMAL), data.test.arrays()
    mean, components = principal_space(data, config.code_units)
    spaces = {
        "": (encode(model, train), encode(model, test)),
        ", PCA": (as_rows(train - mean) @ components.T, as_rows(test - mean) @ components.T),
    }
    measured = {}
    for name, (train_codes, codes) in spaces.items():
        measured[f"cluster purity{name}"] = cluster_purity(codes, labels, num_clusters=10, seed=config.seed)
        measured[f"anomaly AUC{name}"] = mean_anomaly_auc(train_codes, train_labels, codes, labels)
    return measured


def mean_anomaly_auc(train_codes: np.ndarray, train_labels: np.ndarray, codes: np.ndarray, labels: np.ndarray) -> float:
    """Return the AUC of the distance to codes of nine digits as a score of the tenth, mean over the ten digits."""
    values = []
    for digit in range(10):
        scores = neighbor_distances(codes, train_codes[train_labels != digit])
        values.append(anomaly_auc(scores, labels == digit))
    return float(np.mean(values))


def error_curve(run: dk.Run) -> Curve:
    """Return the validation errors over the epochs."""
    errors = NUM_PIXELS * np.array(run.history["val_mse"])
    return Curve(range(1, len(errors) + 1), errors.tolist())


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw reconstructions, and codes of two units beside the first two principal components."""
    data, model = load_data(config, verbose=False), results[0].model
    mean, components = principal_space(data, config.code_units)
    x = data.test.arrays(NUM_DRAWN)[0]
    rows = {
        "test images": x,
        "autoencoder": model.predict(x, verbose=0),
        "PCA": as_rows(x - mean) @ components.T @ components + mean.reshape(1, -1),
    }
    figures = {"Test images and their reconstructions": draw_rows(rows, signed=False)}
    if config.data == "mnist" and config.code_units == 2:
        figures["Test images in the plane of the first two principal components, and of the code"] = (
            dk.visualize.hidden_space(model, data.test, layers=["pca", "code"], num_points=2_000)
        )
    return figures


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the validation errors over the epochs of fine-tuning, and the test error of PCA."""
    figure = PngFigure(figsize=(5.0, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, color in (("pretrained", BLUE), ("random start", ORANGE)):
        draw_range(axes, results, name, color=color, label=name)
    components = float(np.mean([result.measured["test error, PCA"] for result in results]))
    axes.axhline(components, color=GRAY, linestyle=":", label=f"PCA, {config.code_units} components")
    finish(axes, yscale="log", xlabel="epoch of fine-tuning", ylabel="squared error of an image")
    return {"Validation error with and without pretraining, and the test error of PCA": figure}


RECIPE = Recipe(
    name="deep_autoencoder",
    paper=PAPER,
    related=(papers.HINTON_2006B, papers.BALDI_1989),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(28, 28, 1),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    draw_curves=draw_curves,
    annotated=(network, definition, mean_anomaly_auc),
    exercises=(
        "Set `--epochs 40`: how much of the difference between the two starts remains after 150 epochs?",
        "Train a logistic PCA, `dk.Autoencoder(dk.MLP([30], activation=None), activation='sigmoid')`. Is its error "
        "closer to that of PCA or to that of the deep network?",
        "Replace the linear code by logistic units: `unfold('sigmoid')`. What happens to the error, and why?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
