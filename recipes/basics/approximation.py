r"""Approximation: the largest error over the width of a network, and wide against deep networks.

The universality theorem states that one hidden layer with enough units approximates any continuous function on a closed
and bounded set as closely as desired (Cybenko 1989; Hornik 1991). The measure of closeness is the largest error
anywhere, the sup norm. The theorem neither says how many units are needed, nor that training finds their weights.

For one input the weights can be written down: n ReLUs interpolate a function linearly between n + 1 points, and the
error falls as 1/n^2. The recipe compares this network with trained ones of the same width. For two inputs it trains
networks with one, two and three hidden layers and equal numbers of weights: fat and short against thin and tall.

    $$ \sup_x \lvert g(x) - f(x) \rvert \le \tfrac{1}{8} \left(\tfrac{2}{n}\right)^2 \max_x \lvert f''(x) \rvert, \qquad
    g(x) = f(-1) + \sum_{i=0}^{n-1} (s_i - s_{i-1}) \max(0, x - x_i) $$

Here x_0 = -1 to x_n = 1 are n + 1 points at equal distances, s_i is the slope of the line through the points i and
i + 1, and s_{-1} = 0.
    deepkit run approximation
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Curve, Recipe, Result, Settings, main
from deepkit.visualize.figures import BLUE, GRAY, ORANGE, PngFigure
from recipes import papers
from recipes.basics.bands import draw_range
from recipes.basics.full_batch import minimize

PAPER = papers.HORNIK_1991
CLAIMS = (
    Claim(
        metric="wave, 64 trained units",
        value="arbitrarily small, with enough hidden units",
        where="theorem 2 and the lecture notes, universality theorem",
        setting="one hidden layer with any continuous, bounded and nonconstant activation",
        note="the theorem states that such weights exist; here they are trained",
    ),
)
DEVIATIONS = (
    "The paper proves existence; the weights are trained here, by Adam on a grid, and the error is measured on a finer "
    "grid. A trained network can be worse than the best one of its width; narrow networks of "
    "two and three layers end in a poor minimum from some seeds.",
    "The weights of the first layer are initialized from N(0, 9), so that the tanh units bend at many places of the "
    "domain; with Keras's defaults the network begins almost linear and trains slowly.",
    "The constructed network has ReLUs, which are not bounded; the theorem for them is later than the paper.",
)
METRICS = {
    "wave, 64 constructed units": "largest error of the interpolating network for the target of one input, on a fine "
    "grid; likewise for each width",
    "wave, 64 trained units": "the same for a trained network with 64 tanh units; likewise for each width",
    "rings, 1 layer, 800 weights": "largest error for the target of two inputs, one hidden layer; likewise for each "
    "number of layers and weights",
    "rings, 2 layers, 800 weights": "the same for two hidden layers with about as many weights",
    "rings, 3 layers, 800 weights": "the same for three hidden layers",
}

WIDTHS = (2, 4, 8, 16, 32, 64)
NUM_WEIGHTS = (50, 100, 200, 400, 800)
DEPTHS = (1, 2, 3)
COLORS = {1: BLUE, 2: ORANGE, 3: GRAY}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Two targets, six widths, and three depths at five numbers of weights."""

    QUICK = {"seeds": 1, "epochs": 20}

    seeds: int = 3
    """Number of repeats, each with its own initial weights."""
    epochs: int = 2500
    """Epochs of one step on all points of the grid."""
    learning_rate: float = 0.03
    """Learning rate of Adam in the first step; it falls to 0 along a cosine."""
    devices: int | str = "cpu"
    """Devices to train on; these networks are too small for a GPU."""


def wave(x: np.ndarray) -> np.ndarray:
    """Return the target of one input: a sum of two sines; x and the result are (points, 1)."""
    return np.asarray(np.sin(2 * np.pi * x) + 0.5 * np.sin(5 * np.pi * x))


def rings(x: np.ndarray) -> np.ndarray:
    """Return the target of two inputs: concentric rings, a function of a function; (points, 2) to (points, 1)."""
    return np.asarray(np.cos(1.5 * np.pi * np.sum(x**2, axis=1, keepdims=True)))


def grid(num_inputs: int, num_points: int) -> np.ndarray:
    """Return a regular grid of [-1, 1] or [-1, 1]^2, with `num_points` values of each input."""
    axes = np.meshgrid(*num_inputs * [np.linspace(-1, 1, num_points)])
    return np.stack(axes, axis=-1).reshape(-1, num_inputs).astype("float32")


def network(units: int, depth: int = 1) -> dk.Sequential:
    """Return a network of `depth` hidden layers of tanh units, whose first layer bends at many places."""
    spread = keras.initializers.RandomNormal(stddev=3.0)
    first = dk.MLP([units], activation="tanh", dense={"kernel_initializer": spread, "bias_initializer": spread})
    hidden = [first, dk.MLP([units] * (depth - 1), activation="tanh")][: min(depth, 2)]
    return dk.Sequential([*hidden, dk.Regressor(1)], name=f"tanh{units}x{depth}")


def constructed_network(target: Callable[[np.ndarray], np.ndarray], units: int) -> keras.Model:
    """Return a network of ReLUs that interpolates a function of one input linearly; it needs no training."""
    knots = np.linspace(-1, 1, units + 1)
    values = target(knots[:, None])[:, 0]
    slopes = np.diff(values) / np.diff(knots)
    model = dk.Sequential([dk.MLP([units]), dk.Regressor(1)], name=f"interpolation{units}").build((1,))
    changes = np.diff(slopes, prepend=0.0)  # of the slope at each knot but the last
    model.set_weights([np.ones((1, units)), -knots[:-1], changes[:, None], values[:1]])
    return model


def units_for(num_weights: int, depth: int, num_inputs: int = 2) -> int:
    """Return the width at which a network of `depth` hidden layers has about `num_weights` weights."""

    def count(units: int) -> int:
        return (num_inputs + 1) * units + (depth - 1) * units * (units + 1) + units + 1

    return min(range(1, num_weights), key=lambda units: abs(count(units) - num_weights))


def train(config: Config) -> Result:
    """Approximate both targets by networks of all widths and depths, and measure the largest errors."""
    keras.utils.set_random_seed(config.seed)
    constructed = [sup_error(constructed_network(wave, units), wave, grid(1, 4001)) for units in WIDTHS]
    trained = [fit(network(units), wave, config, grid(1, 201), grid(1, 4001)) for units in WIDTHS]
    measured = {f"wave, {n} constructed units": error for n, error in zip(WIDTHS, constructed, strict=True)}
    measured |= {f"wave, {n} trained units": error for n, error in zip(WIDTHS, trained, strict=True)}
    curves = {"wave, constructed": Curve(WIDTHS, constructed), "wave, trained": Curve(WIDTHS, trained)}
    for depth in DEPTHS:
        nets = [network(units_for(num_weights, depth), depth) for num_weights in NUM_WEIGHTS]
        errors = [fit(net, rings, config, grid(2, 31), grid(2, 121)) for net in nets]
        name = f"rings, {depth} layer{'s' if depth > 1 else ''}"
        curves[name] = Curve(NUM_WEIGHTS, errors)
        measured |= {f"{name}, {n} weights": error for n, error in zip(NUM_WEIGHTS, errors, strict=True)}
    return Result(measured=measured, data="regular grids of [-1, 1] and [-1, 1]^2", curves=curves)


def fit(
    net: dk.Sequential,
    target: Callable[[np.ndarray], np.ndarray],
    config: Config,
    points: np.ndarray,
    test_points: np.ndarray,
) -> float:
    """Train a network by the mean squared error on a grid, and return its largest error on a finer one."""
    model = net.build((points.shape[1],))
    loss, y = keras.losses.MeanSquaredError(), target(points).astype("float32")
    minimize(model, loss, points, y, steps=config.epochs, learning_rate=config.learning_rate)
    return sup_error(model, target, test_points)


def sup_error(model: keras.Model, target: Callable[[np.ndarray], np.ndarray], points: np.ndarray) -> float:
    """Return the largest absolute difference between a model and a function on some points."""
    return float(np.abs(np.asarray(model(points)) - target(points)).max())


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the largest error over the width, and over the number of weights for each depth."""
    figure = PngFigure(figsize=(7.6, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_errors(left, results, "wave, constructed", GRAY, "constructed")
    draw_errors(left, results, "wave, trained", BLUE, "trained")
    left.set(xlabel="hidden units", ylabel="largest error", title="one input, one hidden layer")
    for depth, color in COLORS.items():
        name = f"{depth} layer{'s' if depth > 1 else ''}"
        draw_errors(right, results, f"rings, {name}", color, name)
    right.set(xlabel="weights", ylabel="largest error", title="two inputs: wide against deep")
    for axes in (left, right):
        axes.grid(alpha=0.25, which="both")
        axes.legend(frameon=False, fontsize=8)
        axes.title.set_fontsize(9)
    return {"Largest error over the number of units and of weights: mean and range over the repeats": figure}


def draw_errors(axes: Axes, results: Sequence[Result], name: str, color: str, label: str) -> None:
    """Draw the mean and the range of one curve over the repeats, with logarithmic axes."""
    draw_range(axes, results, name, color=color, marker="o", markersize=3.5, label=label)
    x = results[0].curves[name].x
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(x, [f"{value:g}" for value in x])
    axes.minorticks_off()


RECIPE = Recipe(
    name="approximation",
    paper=PAPER,
    related=(papers.CYBENKO_1989,),
    config=Config,
    train=train,
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw_curves=draw_curves,
    annotated=(wave, rings, network, constructed_network, units_for),
    exercises=(
        "Double the frequencies of `wave`. How many more units does the constructed network need for the same error?",
        "Run `deepkit run approximation --epochs 10000`: which errors are those of the network, and which of training?",
        "Replace the spread initializer of `network` by Keras's default, and compare the errors of the wave.",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
