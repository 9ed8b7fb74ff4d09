r"""Logistic regression: a convex loss with one optimum, and features that turn a circle into a line.

Logistic regression models the log odds of a class as a linear function of the inputs. Its loss, the binary
cross-entropy, is convex: gradient descent, Newton's method and Adam in `dk.fit` reach the same optimum. Newton's method
needs a few steps, because it also uses the curvature; gradient descent needs more than a hundred.

The decision boundary is a line, which fails on a circle and on a ring. Fixed features repair it: with the squares and
the product of the inputs, a line in the space of the features is a circle in the plane; in polar coordinates, a circle
is a line. A ring has two boundaries and needs both: the squares of polar coordinates.

Linear regression on labels of -1 and 1 also yields a line. But its squared error punishes points that are right by far,
so distant points move the line. Logistic regression hardly notices them.

    $$ \log \frac{p}{1 - p} = w^\top x + b, \qquad
    L = -\frac{1}{n} \sum_i \left[ y_i \log p_i + (1 - y_i) \log (1 - p_i) \right] $$

    deepkit run logistic_regression
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Curve, Recipe, Result, Settings, main
from deepkit.visualize.class_markers import scatter_by_class
from deepkit.visualize.figures import BLUE, ORANGE, PngFigure, subplots
from recipes import papers
from recipes.basics.bands import finish
from recipes.basics.derivatives import sigmoid
from recipes.basics.full_batch import full_batches
from recipes.basics.plane import append_one

PAPER = papers.COX_1958
CLAIMS = (
    Claim(
        metric="distance to the optimum, gradient descent",
        value="the optimal w and b",
        where="lecture notes, logistic regression",
        setting="binary cross-entropy, gradient descent",
        lower_is_better=True,
    ),
    Claim(
        metric="accuracy, circle, inputs",
        value="a non-linear decision boundary is needed",
        where="lecture notes, classification example",
        setting="a linear unit on x1 and x2",
        unit="%",
        note="60.7 % of the points are outside the circle",
    ),
    Claim(
        metric="accuracy, circle, quadratic",
        value="linearly separable",
        where="lecture notes, option 1",
        setting="a linear unit on x1^2, x2^2, x1 x2, x1 and x2",
        unit="%",
    ),
    Claim(
        metric="accuracy, circle, polar",
        value="linearly separable",
        where="lecture notes, feature transforms",
        setting="a linear unit on the radius and the angle",
        unit="%",
    ),
)
DEVIATIONS = (
    "Cox does not treat two-dimensional examples; the points, the circle and the ring are those of the lecture notes, "
    "generated here.",
    "The notes compute the angle as arctan(y / x), which is equal for opposite directions; here it is atan2(y, x).",
    "On the circle and the ring, the loss has an L2 penalty of 1e-6 on all weights: points that features separate have "
    "no finite optimum.",
    "The notes show the ring as a hard case, and quadratic and polar features on other examples. A line in either of "
    "them is only one circle, which gets about 94 % of the ring; the squares of polar coordinates are added here.",
)
METRICS = {
    "Newton steps": "steps of Newton's method until the gradient is below 1e-12",
    "gradient descent steps": "steps of gradient descent until the loss is within 1e-6 of the optimum",
    "distance to the optimum, gradient descent": "largest difference of a weight from that of Newton's method after "
    "2,000 steps",
    "loss above the optimum, Keras": "training loss of the unit that `dk.fit` trained with Adam in float32, minus the "
    "optimum",
    "accuracy, circle, inputs": "share of test points classified correctly, in percent, by a linear unit on x1 and x2; "
    "outside the circle are 60.7 % of the points",
    "accuracy, circle, quadratic": "the same on quadratic features; likewise for other features and for the ring, "
    "`annulus`, whose two classes have equally many points",
    "accuracy, circle, polar": "the same on the radius and the angle",
    "linear regression, circle, inputs": "the same for linear regression on labels of -1 and 1",
    "distant points, logistic": "share of test points of two clouds, in percent, after training with distant points of "
    "one class",
    "distant points, linear": "the same for linear regression",
}

FEATURES: Mapping[str, tuple[type[keras.layers.Layer], ...]] = {
    "inputs": (),
    "quadratic": (dk.layers.QuadraticFeatures,),
    "polar": (dk.layers.PolarFeatures,),
    "polar and quadratic": (dk.layers.PolarFeatures, dk.layers.QuadraticFeatures),
}
KINDS = {"circle": 2.0, "annulus": 3.0}  # of points, with the largest coordinate
CLASS_NAMES = ("class 0", "class 1")
GRADIENT_STEPS = 2000
STEPS = 100  # of Adam per epoch, each on all points
PENALTY = 1e-6
NUM_DISTANT, DISTANCE = 40, 12.0  # the distant points, and their shift along the normal of the line


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Convex optimization, features and linear regression on generated points."""

    QUICK = {"seeds": 1, "epochs": 1}

    seeds: int = 3
    """Number of repeats, each with its own points."""
    epochs: int = 8
    """Epochs of 100 steps of Adam, each on all points."""
    learning_rate: float = 0.1
    """Learning rate of Adam."""
    num_points: int = 2000
    """Training points, and as many test points."""
    devices: int | str = "cpu"
    """Devices to train on; three weights are too few for a GPU."""


def definition(config: Config) -> dk.Sequential:
    """Return a linear unit, whose sigmoid is a part of the loss."""
    return dk.Sequential([dk.Classifier(1)], name="logistic_regression")


def loss(w: np.ndarray, x: np.ndarray, y: np.ndarray, penalty: float = 0.0) -> float:
    """Return the binary cross-entropy, plus the L2 penalty."""
    z = x @ w
    return float(np.mean(np.logaddexp(0, z) - y * z) + penalty / 2 * w @ w)


def gradient(w: np.ndarray, x: np.ndarray, y: np.ndarray, penalty: float = 0.0) -> np.ndarray:
    """Return the gradient of the loss: the mean of (p - y) x."""
    return np.asarray(x.T @ (sigmoid(x @ w) - y) / len(y) + penalty * w)


def newton(x: np.ndarray, y: np.ndarray, penalty: float = 0.0, max_steps: int = 100) -> np.ndarray:
    """Return the weights after each step of Newton's method, which solves for the zero of a linearized gradient.

    The Hessian is the mean of p (1 - p) x x^T: positive semidefinite, so the loss is convex. A step that increases the
    loss is halved.
    """
    path = [np.zeros(x.shape[1])]
    for _ in range(max_steps):
        w = path[-1]
        slope = gradient(w, x, y, penalty)
        if np.abs(slope).max() < 1e-12:
            break
        p = sigmoid(x @ w)
        hessian = (x.T * (p * (1 - p))) @ x / len(y) + penalty * np.eye(len(w))
        step = np.linalg.solve(hessian, slope)
        while loss(w - step, x, y, penalty) > loss(w, x, y, penalty) + 1e-14:
            step = step / 2
        path.append(w - step)
    return np.array(path)


def gradient_descent(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the weights after each step of gradient descent, with the step size 1/L.

    L, a quarter of the largest eigenvalue of x^T x / n, bounds the curvature; a step size below 2/L cannot diverge.
    """
    learning_rate = 4 / np.linalg.eigvalsh(x.T @ x / len(y)).max()  # p (1 - p) <= 1/4
    path = [np.zeros(x.shape[1])]
    for _ in range(GRADIENT_STEPS):
        path.append(path[-1] - learning_rate * gradient(path[-1], x, y))
    return np.array(path)


def linear_regression(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the weights with the smallest squared error for labels of -1 and 1."""
    return np.asarray(np.linalg.lstsq(x, 2.0 * y - 1, rcond=None)[0])


def features(name: str, x: np.ndarray) -> np.ndarray:
    """Return the features of points, with a constant of 1."""
    for layer in FEATURES[name]:
        x = np.asarray(layer()(x))
    return append_one(x)


def accuracy(w: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """Return the share of points on the right side of the boundary, in percent."""
    return float(100 * np.mean((x @ w > 0) == y))


def optimize(config: Config) -> tuple[dict[str, float], dict[str, Curve], keras.Model]:
    """Minimize the loss on two overlapping half moons: by Newton's method, gradient descent, and Adam in Keras."""
    points, y = dk.data.points("moons", config.num_points, noise=0.3, seed=config.seed).train.arrays()
    x = append_one(points)
    paths = {"Newton's method": newton(x, y), "gradient descent": gradient_descent(x, y)}
    optimum = paths["Newton's method"][-1]
    losses = {name: np.array([loss(w, x, y) for w in path]) - loss(optimum, x, y) for name, path in paths.items()}
    data = full_batches(points, y, STEPS, seed=config.seed)
    run = config.fit(definition(config), data, learning_rate=config.learning_rate, verbose=0)
    adam = np.concatenate([weight.ravel() for weight in run.model.get_weights()]).astype("float64")
    measured = {
        "Newton steps": len(paths["Newton's method"]) - 1.0,
        "gradient descent steps": float(np.argmax(losses["gradient descent"] < 1e-6)),
        "distance to the optimum, gradient descent": float(np.abs(paths["gradient descent"][-1] - optimum).max()),
        "loss above the optimum, Keras": loss(adam, x, y) - loss(optimum, x, y),
    }
    curves = {name: Curve(range(len(values[:301])), values[:301].tolist()) for name, values in losses.items()}
    return measured, curves, run.model


def compare_features(config: Config) -> tuple[dict[str, float], dict[str, Curve]]:
    """Classify the circle and the ring with each kind of features, by logistic and by linear regression."""
    measured, curves = {}, {}
    for kind in KINDS:
        data = dk.data.points(kind, config.num_points, seed=config.seed)
        (points, y), (test_points, test_y) = data.train.arrays(), data.test.arrays()
        for name in FEATURES:
            x, test_x = features(name, points), features(name, test_points)
            w = newton(x, y, PENALTY)[-1]
            measured[f"accuracy, {kind}, {name}"] = accuracy(w, test_x, test_y)
            measured[f"linear regression, {kind}, {name}"] = accuracy(linear_regression(x, y), test_x, test_y)
            curves[f"weights, {kind}, {name}"] = Curve(range(len(w)), w.tolist())
    return measured, curves


def distant_points(config: Config) -> tuple[np.ndarray, np.ndarray, dk.data.Data]:
    """Return two separable clouds for training, with distant points on the right side of the line, and the data."""
    data = dk.data.points("clouds", 400, margin=0.2, seed=config.seed)
    points, y = data.train.arrays()
    distant = points[y == 1][:NUM_DISTANT] + DISTANCE * np.array(data.separator.weights)
    return np.concatenate([points, distant]), np.concatenate([y, np.ones(NUM_DISTANT, y.dtype)]), data


def compare_distant_points(config: Config) -> tuple[dict[str, float], dict[str, Curve]]:
    """Train logistic and linear regression on clouds with distant points."""
    points, y, data = distant_points(config)
    x, (test_points, test_y) = append_one(points), data.test.arrays()
    lines = {"logistic": newton(x, y, PENALTY)[-1], "linear": linear_regression(x, y)}
    measured = {f"distant points, {name}": accuracy(w, append_one(test_points), test_y) for name, w in lines.items()}
    return measured, {f"distant points, {name}": Curve(range(3), w.tolist()) for name, w in lines.items()}


def train(config: Config) -> Result:
    """Minimize a convex loss, and compare features and losses."""
    measured, curves, model = optimize(config)
    for compare in (compare_features, compare_distant_points):
        more_measured, more_curves = compare(config)
        measured |= more_measured
        curves |= more_curves
    return Result(measured=measured, data="generated points", curves=curves, model=model)


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the convergence, the boundaries of all features, and the effect of distant points."""
    return {
        "Loss above the optimum over the steps, one line per repeat: Newton's method and gradient descent": (
            draw_convergence(results)
        ),
        "Decision boundaries of logistic regression on the circle (top) and the ring (bottom), first repeat": (
            draw_boundaries(config, results[0])
        ),
        "Two clouds with distant points, first repeat: they move the line of linear regression": (
            draw_distant_points(config, results[0])
        ),
    }


def draw_convergence(results: Sequence[Result]) -> Figure:
    """Draw the loss above the optimum over the steps."""
    figure = PngFigure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for number, result in enumerate(results):
        for name, color in (("Newton's method", BLUE), ("gradient descent", ORANGE)):
            curve = result.curves[name]
            label = name if number == 0 else None
            axes.plot(np.array(curve.x) + 1, np.maximum(curve.y, 1e-16), color=color, label=label)
    axes.axhline(1e-6, color="black", linewidth=0.8, linestyle=":", label="1e-6")
    axes.set(xscale="log", yscale="log", ylim=(1e-15, 1))
    finish(axes, xlabel="step, counted from 1", ylabel="loss above the optimum")
    return figure


def draw_boundaries(config: Config, result: Result) -> Figure:
    """Draw the probability over the plane for each kind of points and features, from the recorded weights."""
    figure, axes = subplots(len(KINDS), len(FEATURES), 2.3, 2.5)
    for row, (kind, limit) in zip(axes, KINDS.items(), strict=True):
        points, y = dk.data.points(kind, config.num_points, seed=config.seed).test.arrays(300)
        line = np.linspace(-limit, limit, 150, dtype="float32")
        grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
        for ax, name in zip(row, FEATURES, strict=True):
            p = sigmoid(features(name, grid) @ np.array(result.curves[f"weights, {kind}, {name}"].y))
            ax.contourf(line, line, p.reshape(150, 150), levels=np.linspace(0, 1, 11), cmap="RdBu_r", alpha=0.6)
            scatter_by_class(ax, points, y, CLASS_NAMES, size=9)
            share = result.measured[f"accuracy, {kind}, {name}"]
            ax.set(title=f"{name}: {share:.1f} %", xlabel="x1", ylabel="x2", aspect="equal")
            ax.title.set_fontsize(9)
    return figure


def draw_distant_points(config: Config, result: Result) -> Figure:
    """Draw the points and the lines of both regressions."""
    figure = PngFigure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    points, y, _ = distant_points(config)
    scatter_by_class(axes, points, y, CLASS_NAMES, size=9)
    limits = axes.get_xlim(), axes.get_ylim()
    for name, style in (("logistic", "-"), ("linear", "--")):
        w = np.array(result.curves[f"distant points, {name}"].y)
        direction, foot = np.array([-w[1], w[0]]), -w[2] * w[:2] / (w[:2] @ w[:2])
        ends = foot + np.outer([-100, 100], direction / np.linalg.norm(direction))
        label = f"{name} regression: {result.measured[f'distant points, {name}']:.1f} %"
        axes.plot(*ends.T, style, color="black", label=label)
    axes.set(xlim=limits[0], ylim=limits[1], xlabel="x1", ylabel="x2", aspect="equal")
    figure.legend(loc="outside right upper", frameon=False)
    return figure


RECIPE = Recipe(
    name="logistic_regression",
    paper=PAPER,
    config=Config,
    train=train,
    definition=definition,
    input_shape=(2,),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw_curves=draw_curves,
    annotated=(definition, features, newton, gradient_descent),
    exercises=(
        "Set `PENALTY` to 0. Which weights grow without a limit, and does the accuracy change?",
        "Replace the angle by arctan(y / x): does the circle still work? Find points for which it does not.",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
