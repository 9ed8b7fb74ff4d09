"""XOR by two layers: what one layer cannot do, by constructed weights and by training from 20 seeds.

One threshold unit cuts the plane with one line, and no line separates {(0,0), (1,1)} from {(0,1), (1,0)}
(Minsky & Papert 1969). Two hidden units are enough: one says OR, the other AND, and XOR is "OR but not AND".
The hidden units must not be linear: a linear layer after a linear layer is one linear layer.

The same 9 weights can be learned (Rumelhart, Hinton & Williams 1986), but from many random starts this smallest
of networks is caught in a local minimum, where it stays undecided between two of the four points. So the success
rate over many seeds is the measurement here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Paper, Recipe, Result, Settings, main

PAPER = Paper(
    title="Learning Internal Representations by Error Propagation",
    authors=("David E. Rumelhart", "Geoffrey E. Hinton", "Ronald J. Williams"),
    year=1986,
    venue="Parallel Distributed Processing, vol. 1, chapter 8, pp. 318-362. MIT Press",
)
PERCEPTRONS = Paper(
    title="Perceptrons: An Introduction to Computational Geometry",
    authors=("Marvin Minsky", "Seymour Papert"),
    year=1969,
    venue="MIT Press",
)

CLAIMS = (
    Claim(
        metric="solved",
        value='all but 2 of "hundreds" of runs',
        where="pp. 331-332",
        setting="one or two hidden units, gradient descent with momentum",
        note="both failures had two hidden units, and starts are not described in full",
    ),
)
DEVIATIONS = (
    "Adam with a rate of 0.05 in place of gradient descent with momentum 0.9 (p. 330): no rate to tune.",
    "tanh hidden units and cross-entropy in place of logistic units (p. 329) and squared error.",
    "Weights and biases start from N(0, 1); the chapter asks for small random weights, to break symmetry (p. 330).",
    "4,000 steps on all four points from every seed; the chapter stops when a run has learned (p. 331).",
)
METRICS = {
    "constructed": "1 when the network with constructed weights gets all four points right",
    "solved": "1 when the trained network gets all four points right; of 20 starts, luck alone moves the count by 2",
    "correct": "how many of the four points the trained network gets right",
    "loss": "cross-entropy at the end; about 0.35 (half the points undecided) marks the usual local minimum",
}

POINTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
LABELS = np.array([[0], [1], [1], [0]], "float32")
STEPS = 1000  # in one epoch: the four points, so many times over


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """20 starts of the smallest network that can do it."""

    QUICK = {"seeds": 2, "epochs": 1}

    seeds: int = 20
    """How many random starts to train from."""
    epochs: int = 4
    """Passes of 1,000 steps, each step on all four points."""
    learning_rate: float = 0.05
    """Adam's step size."""
    devices: int | str = "cpu"
    """Devices to train on: nine weights are no work for a GPU."""


def load_data(config: Config) -> dk.data.Data:
    """Return the four points as a training set: every batch is all of them."""
    x, y = np.tile(POINTS, (STEPS, 1)), np.tile(LABELS, (STEPS, 1))
    return dk.data.from_arrays(x, y, batch_size=4, shuffle=False, seed=config.seed, name="xor")


def network(hidden: str = "tanh", output: str = "sigmoid") -> dk.Block:
    """Return the 2-2-1 network with the given activations: 9 parameters."""
    normal = keras.initializers.RandomNormal(stddev=1.0)
    start = {"kernel_initializer": normal, "bias_initializer": normal}
    return dk.Sequential(
        [
            layers.Dense(2, activation=hidden, name="hidden", **start),
            layers.Dense(1, activation=output, name="output", **start),
        ],
        name="xor",
    )


def construct() -> keras.Model:
    """Return the network with weights set by hand; it needs no training.

    A hard sigmoid is exactly 0 below -3 and exactly 1 above 3: with weights of 20 it is a threshold unit.
    """
    model = network("hard_sigmoid", "hard_sigmoid").build((2,))
    either, both = [20, 20, -10], [20, 20, -30]  # weights of x1 and x2, bias: x1 OR x2, x1 AND x2
    hidden = np.transpose([either, both]).astype("float32")
    model.set_weights([hidden[:2], hidden[2], np.array([[20], [-20]]), np.array([-10])])  # OR but not AND
    return model


def correct(model: keras.Model) -> int:
    """Return how many of the four points a model gets right, with a margin: 0.5 is undecided and wrong."""
    return int(np.sum(np.abs(np.asarray(model(POINTS)) - LABELS) < 0.4))


def train(config: Config) -> Result:
    """Train from one random start."""
    run = dk.fit(
        network(),
        load_data(config),
        epochs=config.epochs,
        run_dir=config.run_dir,
        plan=config.plan(),
        optimizer=keras.optimizers.Adam(config.learning_rate),
        loss="binary_crossentropy",
        verbose=0,
    )
    right = correct(run.model)
    measured = {
        "constructed": float(correct(construct()) == 4),
        "solved": float(right == 4),
        "correct": float(right),
        "loss": run.history["loss"][-1],
    }
    return Result(measured=measured, data="the four points of XOR", model=run.model, seconds=run.seconds)


def draw(config: Config, outcomes: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw what a start that solved it and one that did not have learned."""
    kinds = {"solved": 1.0, "caught in a local minimum": 0.0}
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    for axes, (kind, solved) in zip(figure.subplots(1, 2), kinds.items(), strict=True):
        models = [(n, o.model) for n, o in enumerate(outcomes) if o.measured["solved"] == solved and o.model]
        if models:
            surface(axes, models[0][1])
        axes.set_title(f"{kind}: seed {config.seed + models[0][0]}" if models else f"{kind}: none")
        axes.set(xlabel="x1", ylabel="x2", aspect="equal")
    return {"The decision surface of two trained networks, and the four points": figure}


def surface(axes: Any, model: keras.Model) -> None:
    """Draw a model's output over the plane: blue where it says 0, red where it says 1."""
    line = np.linspace(-0.5, 1.5, 100, dtype="float32")
    grid = np.stack(np.meshgrid(line, line), axis=-1)  # (x2, x1, 2)
    values = np.asarray(model(grid.reshape(-1, 2))).reshape(100, 100)
    axes.contourf(line, line, values, levels=np.linspace(0, 1, 21), cmap="RdBu_r")
    axes.contour(line, line, values, levels=[0.5], colors="black")
    axes.scatter(*POINTS.T, c=LABELS[:, 0], cmap="RdBu_r", edgecolors="white", s=120, linewidths=2)


RECIPE = Recipe(
    name="xor",
    paper=PAPER,
    related=(PERCEPTRONS,),
    config=Config,
    train=train,
    definition=lambda config: network(),
    input_shape=(2,),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
