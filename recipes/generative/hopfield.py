r"""Hopfield network: a memory of random patterns that breaks down above 0.138 patterns for each unit.

Each of N units is -1 or 1. Hebb's rule stores patterns in symmetric weights; a recall sets one unit after the other to
the sign of its weighted sum, which never increases the energy, until no unit changes. A pattern is remembered if the
recall that begins with it stays close to it: if its overlap, the mean product of the values of both, is near 1. The
load is the number of patterns divided by N. Theory predicts, for large N, that the memory of random patterns is lost
altogether above a load of 0.138 (Amit et al. 1985); in a network of finite size the change is gradual.

Digits resemble one another, unlike random patterns, so fewer of them can be recalled.

    $$ W = \sum_{\mu=1}^{P} x^\mu (x^\mu)^T, \quad W_{ii} = 0, \quad E(s) = -\frac{1}{2} s^T W s, \quad
    s_i \leftarrow \mathrm{sign}\Big(\sum_j W_{ij} s_j\Big) $$

    deepkit run hopfield
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.models import HopfieldNetwork
from deepkit.recipe import Claim, Curve, Deviation, Recipe, Result, Settings, main
from deepkit.visualize.figures import BLUE, GRAY, ORANGE, PngFigure
from recipes import papers

PAPER = papers.HOPFIELD_1982
CRITICAL_LOAD = 0.138  # of Amit et al. 1985, for large networks
LOADS = (0.06, 0.08, 0.10, 0.12, 0.138, 0.15, 0.17, 0.20)
MEASURED_LOADS = (0.10, 0.17, 0.20)
SIDE = 16  # pixels of the digits
MAX_DIGITS = 8
SHOWN_DIGITS = 3
DAMAGE = 0.1  # fraction of the pixels of a digit that are inverted


def _metric(load: float) -> str:
    return f"overlap, load {load:.2f}"


CLAIMS = tuple(
    Claim(metric=_metric(load), value=value, where="Amit et al. 1985", setting="theory, random patterns, N to infinity")
    for load, value in (
        (0.10, "recalled, below the critical load of 0.138"),
        (0.17, "not recalled, above the critical load of 0.138"),
        (0.20, "not recalled, above the critical load of 0.138"),
    )
)
DEVIATIONS = (
    "Units are -1 and 1 in place of 0 and 1, which Hebb's rule converts; thresholds are 0.",
    "Each step updates every unit once in a random order, in place of updates at random times.",
    Deviation("N = 400 in place of 30 and 100.", {"units": 400}),
)
METRICS = {
    **{
        _metric(load): f"mean overlap of {load:g} N random patterns with the states to which they lead"
        for load in MEASURED_LOADS
    },
    "energy increases": "number of steps of all recalls of random patterns that increased the energy of a state",
    "digits": f"mean overlap of {SHOWN_DIGITS} stored digits with the states that are recalled from damaged ones",
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Ten draws of the patterns in a network of 400 units."""

    QUICK = {"seeds": 1, "units": 100, "num_steps": 10}

    seeds: int = 10
    """Number of draws of the patterns, each with its own seed."""
    units: int = 400
    """Number of units, N."""
    num_steps: int = 100
    """Largest number of steps of a recall, each of which updates every unit once."""
    devices: int | str = "cpu"
    """Devices to train on; the updates of one unit after the other are too small for a GPU."""


def definition(config: Config) -> dk.Hopfield:
    """Return the network of a config: N (N - 1) / 2 different weights."""
    return dk.Hopfield(config.units)


def train(config: Config) -> Result:
    """Store and recall random patterns at each load, and digits."""
    random = np.random.default_rng(config.seed)
    overlaps, increases = [], 0
    for load in LOADS:
        patterns = random.choice([-1.0, 1.0], size=(round(load * config.units), config.units))
        model = definition(config).build()
        model.store(patterns)
        path = model.recall_path(patterns, config.num_steps, seed=config.seed)
        energies = np.stack([model.energy(states) for states in path])
        increases += int(np.sum(np.diff(energies, axis=0) > 0))
        overlaps.append(overlap(path[-1], patterns))
    numbers = range(1, MAX_DIGITS + 1)
    digits = load_digits(config.seed)
    recalled = [recall_digits(config, digits[:number]) for number in numbers]
    digit_overlaps = [overlap(states, digits[: len(states)]) for _, _, states in recalled]
    return Result(
        measured={
            **{_metric(load): overlaps[LOADS.index(load)] for load in MEASURED_LOADS},
            "energy increases": float(increases),
            "digits": digit_overlaps[SHOWN_DIGITS - 1],
        },
        data="random patterns of -1 and 1; digits of scikit-learn",
        model=recalled[SHOWN_DIGITS - 1][0],
        curves={"overlap": Curve(LOADS, overlaps), "digits": Curve(numbers, digit_overlaps)},
    )


def overlap(states: np.ndarray, patterns: np.ndarray) -> float:
    """Return the mean product of the values of states and patterns: 1 if they are equal, about 0 by chance."""
    return float(np.mean(states * patterns))


def load_digits(seed: int) -> np.ndarray:
    """Return a digit of each of eight classes as a pattern, `(8, 16, 16)`: 1 for ink and -1 for paper."""
    data = dk.data.load("digits", image_size=SIDE, seed=seed, verbose=False)
    images, labels = data.test.arrays()
    order = np.random.default_rng(seed).permutation(len(labels))
    chosen = [next(i for i in order if labels[i] == digit) for digit in range(MAX_DIGITS)]
    return np.where(images[chosen].reshape(-1, SIDE, SIDE) > 0.5, 1.0, -1.0)


def recall_digits(config: Config, stored: np.ndarray) -> tuple[HopfieldNetwork, np.ndarray, np.ndarray]:
    """Store digits and recall them from damaged ones; return the network, and the damaged and the recalled digits."""
    random = np.random.default_rng(config.seed)
    damaged = np.where(random.random(stored.shape) < DAMAGE, -stored, stored)
    model = dk.Hopfield(SIDE * SIDE).build((SIDE, SIDE))
    model.store(stored)
    return model, damaged, model.recall(damaged, config.num_steps, seed=config.seed)


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the overlap over the load, and over the number of digits."""
    figure = PngFigure(figsize=(7.2, 3.0), layout="constrained")
    random_axes, digit_axes = figure.subplots(1, 2, sharey=True)
    for axes, name, color in ((random_axes, "overlap", BLUE), (digit_axes, "digits", ORANGE)):
        curves = [result.curves[name] for result in results]
        for curve in curves:
            axes.plot(curve.x, curve.y, color=GRAY, linewidth=0.6, alpha=0.6)
        axes.plot(curves[0].x, np.mean([curve.y for curve in curves], axis=0), color=color, marker="o", label="mean")
    random_axes.axvline(CRITICAL_LOAD, color=GRAY, linestyle="--", label=f"critical load {CRITICAL_LOAD}")
    random_axes.set(xlabel="load: patterns for each unit", ylabel="overlap", ylim=(None, 1.02))
    random_axes.set_title("random patterns", fontsize=9)
    digit_axes.set(xlabel=f"number of digits in {SIDE * SIDE} units")
    digit_axes.set_title(f"digits, {DAMAGE:.0%} of the pixels inverted", fontsize=9)
    random_axes.legend(frameon=False, fontsize=8)
    return {"Overlap of recalled and stored patterns: one line for each draw, and their mean": figure}


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw stored, damaged and recalled digits, and the energy while the network recalls them."""
    stored = load_digits(config.seed)[:SHOWN_DIGITS]
    model, damaged, recalled = recall_digits(config, stored)
    figure = PngFigure(figsize=(4.2, 4.4), layout="constrained")
    rows = (("stored", stored), ("damaged", damaged), ("recalled", recalled))
    for axes, (title, patterns) in zip(figure.subplots(len(rows), 1), rows, strict=True):
        axes.imshow(np.concatenate(list(patterns), axis=1), cmap="gray_r", vmin=-1, vmax=1)
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    path = model.recall_path(damaged, config.num_steps, seed=config.seed)
    return {
        "Digits that are stored, damaged and recalled": figure,
        "Energy while the network recalls these digits: one line for each": dk.visualize.energy(model, path),
    }


RECIPE = Recipe(
    name="hopfield",
    paper=PAPER,
    related=(papers.AMIT_1985,),
    config=Config,
    train=train,
    definition=definition,
    input_shape=lambda config: (config.units,),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    draw_curves=draw_curves,
    annotated=(definition, train),
    exercises=(
        "Run `deepkit run hopfield --units 1600`: is the change near a load of 0.138 sharper?",
        'Recall with `order="synchronous"`: which states alternate, and does the energy still decrease?',
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
