r"""XOR by two layers: constructed weights, and training from 20 random starts.

A threshold unit separates the plane by one line, and no line separates {(0,0), (1,1)} from {(0,1), (1,0)} (Minsky &
Papert 1969). Two hidden units are enough: one computes OR, the other AND, and XOR is "OR but not AND". The hidden units
must be nonlinear, because two linear layers compose to one linear layer.

Backpropagation can learn these 9 weights: Rumelhart, Hinton & Williams (1986) report two failures in hundreds of
runs. From many random starts, however, this smallest network ends in a local minimum in which it stays undecided
between two of the four points. The recipe therefore measures the success rate over many seeds.

    $$ \hat{y} = \sigma\left(v^\top \tanh(W x + b) + c\right) $$

    deepkit run xor
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Recipe, Result, Settings, main
from deepkit.visualize.figures import PngFigure
from recipes import papers
from recipes.basics.full_batch import full_batches

PAPER = papers.RUMELHART_1986
CLAIMS = (
    Claim(
        metric="solved",
        value='all but 2 of "hundreds" of runs',
        unit="runs",
        where="pp. 331-332",
        setting="one or two hidden units, gradient descent with momentum",
        note="both failures had two hidden units; the paper does not fully describe its initial weights",
    ),
)
DEVIATIONS = (
    "Adam with a learning rate of 0.05 in place of gradient descent with momentum 0.9 (p. 330), so the learning "
    "rate needs no tuning.",
    "tanh hidden units and cross-entropy in place of logistic units (p. 329) and squared error.",
    "Weights and biases are initialized from N(0, 1); the chapter asks for small random weights, to break symmetry "
    "(p. 330).",
    "4,000 steps on all four points from every seed; the chapter stops as soon as a run has learned the task (p. 331).",
)
METRICS = {
    "constructed": "1 if the network with constructed weights classifies all four points correctly",
    "solved": "1 if the trained network classifies all four points correctly; with 20 seeds, chance alone changes the "
    "count by about 2",
    "correct": "number of points that the trained network classifies correctly",
    "loss": "final cross-entropy; about 0.35, with half of the points undecided, marks the usual local minimum",
}

POINTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
LABELS = np.array([[0], [1], [1], [0]], "float32")
STEPS = 1000  # per epoch, each on all four points


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """20 random starts of the smallest network that can compute XOR."""

    QUICK = {"seeds": 2, "epochs": 1}

    seeds: int = 20
    """Number of random starts."""
    epochs: int = 4
    """Epochs of 1,000 steps, each step on all four points."""
    learning_rate: float = 0.05
    """Learning rate of Adam."""
    devices: int | str = "cpu"
    """Devices to train on; nine weights are too few for a GPU."""


def load_data(config: Config) -> dk.data.Data:
    """Return the four points as training data; every batch holds all of them."""
    return full_batches(POINTS, LABELS, STEPS, seed=config.seed, name="xor")


def network(hidden: str = "tanh", output: str = "sigmoid") -> dk.Sequential:
    """Return the 2-2-1 network with these activations: 9 weights."""
    normal = keras.initializers.RandomNormal(stddev=1.0)
    initializers = {"kernel_initializer": normal, "bias_initializer": normal}
    return dk.Sequential(
        [
            layers.Dense(2, activation=hidden, name="hidden", **initializers),
            layers.Dense(1, activation=output, name="output", **initializers),
        ],
        name="xor",
    )


def constructed_network() -> keras.Model:
    """Return the network with weights that were set manually; it needs no training.

    A hard sigmoid is exactly 0 below -3 and exactly 1 above 3: with weights of 20 it is a threshold unit.
    """
    model = network("hard_sigmoid", "hard_sigmoid").build((2,))
    x1_or_x2, x1_and_x2 = [20, 20, -10], [20, 20, -30]  # weight of x1, weight of x2, bias
    hidden = np.transpose([x1_or_x2, x1_and_x2]).astype("float32")
    model.set_weights([hidden[:2], hidden[2], np.array([[20], [-20]]), np.array([-10])])  # OR but not AND
    return model


def definition(config: Config) -> dk.Sequential:
    """Return the network of a config."""
    return network()


def train(config: Config) -> Result:
    """Train the network from one random start."""
    data = load_data(config)
    run = config.fit(
        definition(config),
        data,
        optimizer=keras.optimizers.Adam(config.learning_rate),
        loss="binary_crossentropy",
        verbose=0,
    )
    correct = count_correct(run.model)
    measured = {
        "constructed": float(count_correct(constructed_network()) == 4),
        "solved": float(correct == 4),
        "correct": float(correct),
        "loss": run.history["loss"][-1],
    }
    return Result(measured=measured, data="the four points of XOR", model=run.model, seconds=run.seconds)


def count_correct(model: keras.Model) -> int:
    """Return the number of points that a model classifies correctly with a margin: 0.5 is undecided and wrong."""
    return int(np.sum(np.abs(np.asarray(model(POINTS)) - LABELS) < 0.4))


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the decision surface of one start that solved the task and of one that did not."""
    figure = PngFigure(figsize=(7, 3.2), layout="constrained")
    for axes, solved in zip(figure.subplots(1, 2), (True, False), strict=True):
        title = "solved" if solved else "local minimum"
        repeats = [number for number, result in enumerate(results) if result.measured["solved"] == solved]
        if repeats:
            draw_surface(axes, results[repeats[0]].model)
            axes.set_title(f"{title}: seed {config.seed + repeats[0]}")
        else:
            axes.set_title(f"{title}: none")
        axes.set(xlabel="x1", ylabel="x2", aspect="equal")
    return {"Decision surfaces of two trained networks, and the four points": figure}


def draw_surface(axes: Axes, model: keras.Model) -> None:
    """Draw the output of a model over the plane, blue for 0 and red for 1."""
    line = np.linspace(-0.5, 1.5, 100, dtype="float32")
    grid = np.stack(np.meshgrid(line, line), axis=-1)  # (x2, x1, 2)
    values = np.asarray(model(grid.reshape(-1, 2))).reshape(100, 100)
    axes.contourf(line, line, values, levels=np.linspace(0, 1, 21), cmap="RdBu_r")
    axes.contour(line, line, values, levels=[0.5], colors="black")
    axes.scatter(POINTS[:, 0], POINTS[:, 1], c=LABELS[:, 0], cmap="RdBu_r", edgecolors="white", s=120, linewidths=2)


RECIPE = Recipe(
    name="xor",
    paper=PAPER,
    related=(papers.MINSKY_1969,),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(2,),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    exercises=(
        "Run `deepkit run xor --learning-rate 0.5`: does a larger step escape the local minimum, or miss the solution?",
        "Give `network` three hidden units in place of two, and count how many of 20 starts solve the task.",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
