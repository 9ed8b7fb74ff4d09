r"""Threshold units: Boolean functions from constructed units, and the perceptron rule with its bound.

A threshold unit fires, with output 1, if the weighted sum of its inputs plus a bias is at least 0 (McCulloch & Pitts
1943). One unit computes AND, OR or NOT. No unit computes XOR, because no line separates its two classes; two layers of
units do.

Rosenblatt's rule finds the weights from examples: after a mistake, it adds the input to the weights if the unit should
have fired, and subtracts it otherwise. Append a 1 to every input, whose weight is the bias. If a hyperplane through the
origin separates these vectors with the margin gamma, and R is their largest norm, the rule stops after at most
(R / gamma)^2 updates (Novikoff 1962). On XOR it never stops: the weights repeat in a cycle. `dk.Perceptron()` is the
same rule as a Keras model.

The notes also describe a neuron that stores the patterns that it is taught. Its firing rule compares a new pattern with
them, and fires if the nearest one is a pattern that fires.

    $$ \hat{y} = [w^\top x + b \ge 0], \quad w \leftarrow w + (y - \hat{y})\, x, \quad b \leftarrow b + (y - \hat{y}) $$

    deepkit run threshold_units
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Curve, Recipe, Result, Settings, main
from deepkit.visualize.figures import BLUE, GRAY, ORANGE, PngFigure, subplots
from recipes import papers
from recipes.basics.bands import draw_range, draw_range_of, finish
from recipes.basics.plane import append_one

PAPER = papers.ROSENBLATT_1958
CLAIMS = (
    *(
        Claim(metric=f"correct rows, {gate}", value=rows, where="lecture notes, Boolean operations", setting=setting)
        for gate, rows, setting in (
            ("AND", 4, "one unit"),
            ("XOR", 4, "two layers: OR, but not AND"),
        )
    ),
    Claim(
        metric="correct rows, XOR by one unit",
        value="at most 3: not linearly separable",
        where="lecture notes, Boolean operations; Minsky & Papert 1969",
        setting="any weights",
    ),
    Claim(
        metric="share of the bound, margin 0.5",
        value="at most 1 at every margin",
        where="Novikoff 1962",
        setting="weights that begin at 0",
        lower_is_better=True,
    ),
    Claim(
        metric="cycle, XOR",
        value="no weights classify all rows",
        unit="runs",
        where="Minsky & Papert 1969",
        setting="the perceptron rule on the four rows of XOR",
    ),
)
DEVIATIONS = (
    "The perceptron of 1958 has a layer of random connections before the unit that learns; here the unit receives the "
    "inputs themselves, as in the lecture notes.",
    "The notes leave the weights of AND and OR as a question; the weights of 1 and -1 are one answer of many.",
    "The notes state the firing rule without an example; the four patterns of three inputs, and the noisy patterns of "
    "25 inputs, are chosen here. A pattern at equal distance from both kinds is undecided, and counts as half right.",
)
METRICS = {
    "correct rows, AND": "rows of the truth table that the constructed unit computes correctly: 4 of 4; likewise for "
    "OR, and 2 of 2 for NOT",
    "correct rows, XOR": "the same for two layers of units",
    "correct rows, XOR by one unit": "the largest number of rows that a single unit computes correctly, over a grid of "
    "9,261 weights",
    "updates, margin 0.5": "updates until the perceptron rule classifies all 200 points correctly",
    "updates, AND": "the same for the four rows of a truth table",
    "share of the bound, margin 0.5": "updates divided by the bound of Novikoff, (R / gamma)^2",
    "cycle, XOR": "1 if the weights repeat after an epoch with mistakes, so the rule never stops",
    "firing rule, undecided": "of the 8 patterns of three inputs, those at equal distance from both kinds of taught "
    "patterns",
    "recall, firing rule": "share of noisy patterns with the output of the taught pattern, with 5 of 25 inputs changed",
    "recall, perceptron": "the same for a threshold unit that the perceptron rule trained on the taught patterns",
}

ROWS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float64")
GATES = {  # the weight of each input, then the bias
    "AND": (1, 1, -1.5),
    "OR": (1, 1, -0.5),
    "NOT": (-1, 0.5),
}
OUTPUTS = {"AND": (0, 0, 0, 1), "OR": (0, 1, 1, 1), "NOT": (1, 0), "XOR": (0, 1, 1, 0)}
MARGINS = (0.5, 0.2, 0.1, 0.05, 0.02)
NUM_POINTS = 200
MAX_EPOCHS = 100_000
TAUGHT = np.array([[0, 0, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1]])  # three inputs
TAUGHT_OUTPUTS = np.array([0, 0, 1, 1])
NUM_INPUTS, NUM_TAUGHT, FLIPS = 25, 10, range(13)
COLORS = {"AND": GRAY, "OR": BLUE, "XOR": ORANGE}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """20 repeats, each with its own points, order of the rows and patterns."""

    QUICK = {"seeds": 2, "num_noisy": 50}

    seeds: int = 20
    """Number of repeats."""
    num_noisy: int = 500
    """Noisy patterns for each number of changed inputs."""
    devices: int | str = "cpu"
    """Devices to compute on; threshold units are too small for a GPU."""


def definition(config: Config) -> dk.Sequential:
    """Return two layers of threshold units, which are enough for XOR."""
    hidden = [layers.Dense(2, name="or_and"), dk.layers.Threshold()]
    output = [layers.Dense(1, name="or_but_not_and"), dk.layers.Threshold()]
    return dk.Sequential([*hidden, *output], name="threshold_units")


def unit(num_inputs: int, parameters: Sequence[float]) -> keras.Model:
    """Return one threshold unit with constructed weights and bias; it needs no training."""
    model = dk.Sequential([layers.Dense(1), dk.layers.Threshold()]).build((num_inputs,))
    model.set_weights([np.array(parameters[:-1])[:, None], np.array(parameters[-1:])])
    return model


def xor() -> keras.Model:
    """Return the two layers with constructed weights: the hidden units compute OR and AND."""
    model = definition(Config()).build((2,))
    hidden = np.transpose([GATES["OR"], GATES["AND"]])
    model.set_weights([hidden[:2], hidden[2], np.array([[1], [-1]]), np.array([-0.5])])
    return model


@cache
def correct_rows() -> Mapping[str, float]:
    """Return the number of rows of each truth table that the constructed units compute correctly."""
    models = {gate: unit(len(parameters) - 1, parameters) for gate, parameters in GATES.items()} | {"XOR": xor()}
    counts = {}
    for gate, model in models.items():
        inputs = ROWS if len(OUTPUTS[gate]) == 4 else np.array([[0.0], [1.0]])
        counts[gate] = float(np.sum(np.asarray(model(inputs))[:, 0] == OUTPUTS[gate]))
    return counts


def best_unit(outputs: Sequence[int]) -> float:
    """Return the largest number of correct rows over a grid of weights and biases."""
    grid = np.array(list(itertools.product(np.linspace(-2, 2, 21), repeat=3)))  # (9261, 3)
    fires = grid @ append_one(ROWS).T >= 0
    return float(np.sum(fires == np.array(outputs), axis=1).max())


def perceptron(x: np.ndarray, y: np.ndarray, max_epochs: int = MAX_EPOCHS) -> tuple[np.ndarray, list[int]]:
    """Learn by Rosenblatt's rule until an epoch has no mistakes.

    Return the weights with the bias, initially and after each example, (examples + 1, features + 1), and the number of
    updates in each epoch.
    """
    inputs = append_one(x)
    weights = np.zeros(inputs.shape[1])
    path, updates = [weights], list[int]()
    while len(updates) < max_epochs and (not updates or updates[-1] > 0):
        mistakes = 0
        for example, label in zip(inputs, y, strict=True):
            error = label - (weights @ example >= 0)  # 1: should have fired; -1: should not
            if error:
                weights = weights + error * example
                mistakes += 1
            path.append(weights)
        updates.append(mistakes)
    return np.array(path), updates


def separable_points(margin: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Return points of [-1, 1]^2 at least `margin` away from a random line, their labels, and Novikoff's bound."""
    angle, bias = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3)
    line = np.array([np.cos(angle), np.sin(angle), bias])
    candidates = rng.uniform(-1, 1, (20 * NUM_POINTS, 2))
    scores = append_one(candidates) @ line
    distant = np.flatnonzero(np.abs(scores) >= margin)[:NUM_POINTS]
    inputs = append_one(candidates[distant])
    gamma = np.abs(scores[distant]).min() / np.linalg.norm(line)  # the bias is a weight, so the margin is smaller
    radius = np.linalg.norm(inputs, axis=1).max()
    return candidates[distant], (scores[distant] > 0).astype(int), (radius / gamma) ** 2


def repeats(path: np.ndarray, epoch: int) -> bool:
    """Return whether the weights at the end of an epoch, of `epoch` examples, equal those of an earlier one."""
    ends = path[::epoch]
    return len(np.unique(ends, axis=0)) < len(ends)


def firing_rule(patterns: np.ndarray, taught: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Return the output of the nearest taught pattern, 0.5 if both kinds of taught patterns are equally near."""
    distances = np.sum(patterns[:, None] != taught, axis=-1)  # (patterns, taught)
    to_silent, to_firing = (distances[:, outputs == output].min(axis=1) for output in (0, 1))
    return 0.5 + 0.5 * np.sign(to_silent - to_firing)


def recall(config: Config, rng: np.random.Generator) -> Mapping[str, list[float]]:
    """Return the share of noisy patterns with the right output, for each number of changed inputs."""
    taught = rng.integers(0, 2, (NUM_TAUGHT, NUM_INPUTS))
    outputs = np.arange(NUM_TAUGHT) % 2
    weights = perceptron(taught, outputs)[0][-1]
    shares: dict[str, list[float]] = {"firing rule": [], "perceptron": []}
    for flips in FLIPS:
        chosen = rng.integers(0, NUM_TAUGHT, config.num_noisy)
        changed = rng.random((config.num_noisy, NUM_INPUTS)).argsort(axis=1) < flips  # `flips` inputs of each pattern
        noisy = taught[chosen] ^ changed
        shares["firing rule"].append(float(1 - np.mean(np.abs(firing_rule(noisy, taught, outputs) - outputs[chosen]))))
        shares["perceptron"].append(float(np.mean((append_one(noisy) @ weights >= 0) == outputs[chosen])))
    return shares


def train(config: Config) -> Result:
    """Construct units, and train one by the perceptron rule on clouds of points, truth tables and patterns."""
    rng = np.random.default_rng(config.seed)
    measured = {f"correct rows, {gate}": count for gate, count in correct_rows().items()}
    measured["correct rows, XOR by one unit"] = best_unit(OUTPUTS["XOR"])
    curves = {}
    bounds = []
    for margin in MARGINS:
        x, y, bound = separable_points(margin, rng)
        measured[f"updates, margin {margin:g}"] = float(sum(perceptron(x, y)[1]))
        measured[f"share of the bound, margin {margin:g}"] = measured[f"updates, margin {margin:g}"] / bound
        bounds.append(bound)
    curves["bound"] = Curve(MARGINS, bounds)
    order = rng.permutation(4)
    for gate in COLORS:
        path, updates = perceptron(ROWS[order], np.array(OUTPUTS[gate])[order], max_epochs=30)
        curves[f"updates, {gate}"] = Curve(range(1, len(updates) + 1), updates)
        for name, weights in zip(("weight of x1", "weight of x2", "bias"), path.T, strict=True):
            curves[f"{gate}, {name}"] = Curve(range(len(path)), weights)
        if gate == "XOR":
            measured["cycle, XOR"] = float(updates[-1] > 0 and repeats(path, 4))
        else:
            measured[f"updates, {gate}"] = float(sum(updates))
    every_pattern = np.array(list(itertools.product((0, 1), repeat=3)))
    measured["firing rule, undecided"] = float(np.sum(firing_rule(every_pattern, TAUGHT, TAUGHT_OUTPUTS) == 0.5))
    for name, shares in recall(config, rng).items():
        measured[f"recall, {name}"] = shares[5]
        curves[f"recall, {name}"] = Curve(FLIPS, shares)
    data = "truth tables, and generated points and patterns"
    return Result(measured=measured, data=data, model=xor(), curves=curves)


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the constructed units, the updates over the margin, the cycle on XOR, and the recall of noisy patterns."""
    return {
        "Constructed units: in the blue region the output is 1; a filled circle is a row with output 1": draw_gates(),
        "Updates of the perceptron rule over the margin: mean and range over the repeats, below the bound (R / γ)²": (
            draw_bound(results)
        ),
        "The perceptron rule on truth tables: it stops on AND and OR; on XOR, the weights repeat": draw_cycle(
            results[0]
        ),
        "Right outputs for noisy patterns, mean and range over the repeats: the nearest taught pattern, and the unit "
        "that the perceptron rule trained": draw_recall(results),
    }


def draw_gates() -> Figure:
    """Draw the output of the constructed units over the plane, and the rows of the truth tables."""
    figure, axes = subplots(1, 4, 2.3, 2.6)
    line = np.linspace(-0.5, 1.5, 200)
    grid = append_one(np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2))
    fires = {"AND": grid @ GATES["AND"] >= 0, "OR": grid @ GATES["OR"] >= 0}
    fires["NOT"] = grid[:, [0, 2]] @ GATES["NOT"] >= 0
    fires["XOR"] = fires["OR"] & ~fires["AND"]
    for ax, (gate, values) in zip(axes[0], fires.items(), strict=True):
        outputs = (1, 1, 0, 0) if gate == "NOT" else OUTPUTS[gate]
        ax.contourf(line, line, values.reshape(200, 200), levels=[-0.5, 0.5, 1.5], colors=["#f1f3f5", "#bac8ff"])
        ax.scatter(*ROWS.T, c=[BLUE if output else "white" for output in outputs], s=90, edgecolors="black", zorder=2)
        ax.set(title="NOT x1" if gate == "NOT" else gate, xlabel="x1", ylabel="x2", aspect="equal")
        ax.set(xticks=(0, 1), yticks=(0, 1))
    return figure


def draw_bound(results: Sequence[Result]) -> Figure:
    """Draw updates and bound over the margin."""
    figure = PngFigure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    updates = np.array([[result.measured[f"updates, margin {margin:g}"] for margin in MARGINS] for result in results])
    bounds = np.mean([result.curves["bound"].y for result in results], axis=0)
    axes.plot(MARGINS, bounds, "--", color=GRAY, label="bound (R / γ)², mean")
    draw_range_of(axes, MARGINS, updates, color=BLUE, marker="o", label="updates")
    axes.set(xscale="log", yscale="log", xlabel="distance of the points from the line, at least", ylabel="updates")
    axes.set_xticks(MARGINS, [f"{margin:g}" for margin in MARGINS], minor=False)
    axes.minorticks_off()
    finish(axes)
    return figure


def draw_cycle(result: Result) -> Figure:
    """Draw the updates in each epoch, and the weights on XOR."""
    figure, axes = subplots(1, 2, 4.2, 3.2)
    for gate, color in COLORS.items():
        curve = result.curves[f"updates, {gate}"]
        axes[0, 0].plot(curve.x[:12], curve.y[:12], "o-", color=color, label=gate)
    axes[0, 0].set(xlabel="epoch", ylabel="updates in the epoch")
    for name, color, width in (("weight of x1", BLUE, 5), ("weight of x2", ORANGE, 2.5), ("bias", "black", 1)):
        curve = result.curves[f"XOR, {name}"]
        axes[0, 1].step(curve.x[:17], curve.y[:17], color=color, linewidth=width, label=name)
    axes[0, 1].set(xlabel="examples of XOR", ylabel="weight", xticks=range(0, 17, 4), ylim=(-1.2, 2.2))
    for ax in axes[0]:
        finish(ax)
    return figure


def draw_recall(results: Sequence[Result]) -> Figure:
    """Draw the share of right outputs over the number of changed inputs."""
    figure = PngFigure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for name, color in (("firing rule", BLUE), ("perceptron", ORANGE)):
        draw_range(axes, results, f"recall, {name}", color=color, marker="o", label=name)
    axes.axhline(0.5, color="black", linewidth=0.8, linestyle=":", label="chance")
    axes.set(xlabel=f"changed inputs of {NUM_INPUTS}", ylabel="share of right outputs")
    finish(axes)
    return figure


RECIPE = Recipe(
    name="threshold_units",
    paper=PAPER,
    related=(papers.MCCULLOCH_1943, papers.NOVIKOFF_1962, papers.MINSKY_1969),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(2,),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw_curves=draw_curves,
    annotated=(definition, perceptron, firing_rule),
    exercises=(
        "Write the weights of a unit that computes NAND, and build XOR from NAND units alone.",
        "Multiply the inputs of `perceptron` and the constant 1 by 10: neither the number of updates nor the bound "
        "changes. Why? What changes if only the inputs are multiplied?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
