r"""Regularization: penalties on the weights, simpler models, and the trade of bias for variance.

The loss of the training data is not the aim of training. A penalty R(W) on the weights prefers simpler models: they fit
the training data worse, and new data better. L2 makes weights small, L1 makes some exactly zero, and the elastic net
does both. Each part of the recipe measures one statement of the lecture notes.

    $$ L(W) = \frac{1}{N} \sum_{i=1}^{N} L_i\left(f(x_i, W), y_i\right) + \lambda R(W) $$

A model that is too simple errs in the same way on every training set: that is bias. A model that is too flexible
follows the noise of its training set: that is variance. The degree of a polynomial, the number of neighbors and the C
of a support vector machine each move a model from one to the other. The trade is not a law: from degree 2 to degree 3,
that of the true function, both fall; and from a C of 10 to 100 and 1,000, a support vector machine has more of both.

    deepkit run regularization
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from matplotlib.figure import Figure
from numpy.polynomial import chebyshev
from sklearn.datasets import load_diabetes

import deepkit as dk
from deepkit.recipe import Claim, Curve, Recipe, Result, Settings, main
from recipes import papers
from recipes.basics import bias_variance
from recipes.basics import regularization_figures as figures
from recipes.basics.full_batch import full_batches
from recipes.basics.plane import zero_lines

PAPER = papers.GOODFELLOW_2016_REGULARIZATION
CLAIMS = (
    Claim(
        metric="zeros, L1",
        value="some weights are exactly zero",
        where="section 7.1.2",
        setting="quadratic loss",
    ),
    Claim(metric="zeros, L2", value=0.0, where="section 7.1.2", setting="quadratic loss"),
    Claim(
        metric="training error, f1",
        value=0.0,
        where="lecture notes, prefer simpler models",
        setting="a curve through all points",
        lower_is_better=True,
    ),
    Claim(
        metric="test error, f2",
        value="smaller than that of f1",
        where="lecture notes, prefer simpler models",
        setting="a simpler curve that misses the points",
        lower_is_better=True,
    ),
    Claim(
        metric="slope, lambda 0.01",
        value="a larger coefficient gives a smoother surface",
        where="lecture notes, representation power",
        setting="networks of different widths and penalties",
        lower_is_better=True,
    ),
    Claim(
        metric="bias, 20 neighbors",
        value="more neighbors: more bias",
        where="lecture notes, bias and variance",
        setting="k nearest neighbors",
    ),
    Claim(
        metric="bias, C 0.1",
        value="a larger budget of violations: more bias, less variance",
        where="lecture notes, bias and variance",
        setting="support vector machine",
        note="a small C is a large budget",
    ),
)
DEVIATIONS = (
    'The notes call C "the number of violations of the margin allowed": a budget. The C of scikit-learn and of most '
    "papers is a penalty on violations, and has the opposite effect. Both are drawn.",
    'The notes state that "there is no escaping" the trade: less bias gives more variance. From degree 2 to degree 3, '
    "that of the true function, a polynomial has less of both; from a C of 10 to 100 and 1,000, a support vector "
    "machine has more of both.",
    "L1 is minimized by proximal steps: a gradient step, then every weight moves toward zero by the penalty and stops "
    "there. Gradient descent on the penalty itself, as with Keras's regularizers, steps over zero; it is measured too.",
    "The elastic net of the notes, beta W^2 + |W|, with beta = 1.",
    "Widths of 3, 6 and 20 units on noisy half moons; the notes do not name the data of their surfaces.",
    "The bias of a classification is that of the classes 0 and 1, with the squared error.",
)
METRICS = {
    **{
        f"zeros, {name}": "number of the ten weights of a linear regression that are exactly zero, at the penalty with "
        "the smallest validation error"
        for name in ("L2", "L1", "elastic net")
    },
    "zeros, L1 by gradient descent": "the same for gradient descent on the L1 penalty",
    "test error, no penalty": "squared error of the linear regression on test patients; 1 is that of the mean",
    "test error, L1": "the same with the penalty of the smallest validation error; likewise for L2 and the elastic net",
    "condition number": "largest over smallest curvature of the loss without a penalty; gradient descent needs about "
    "as many steps",
    "condition number, L2": "the same with an L2 penalty of 0.1, which adds 0.2 to every curvature",
    "training error, f1": "squared error of a polynomial of degree 9 on its 10 training points",
    "training error, f2": "squared error of a straight line on the same points",
    "test error, f1": "squared error of the polynomial between the points; the noise alone gives 0.04",
    "test error, f2": "the same of the straight line",
    "training accuracy, 20 units": "share of the training points that a network without penalty classifies correctly, "
    "in percent",
    "test accuracy, 20 units": "the same on test points; likewise for other widths",
    "test accuracy, lambda 0.01": "the same for 20 units with this L2 penalty; likewise for other penalties",
    "slope, 20 units": "mean length of the gradient of the logit over the plane: how rough the surface is",
    "slope, lambda 0.01": "the same for 20 units with this L2 penalty",
    "bias, degree 3": "squared bias of least-squares polynomials over 200 training sets; likewise for other degrees",
    "variance, degree 3": "variance of the same polynomials",
    "bias, 20 neighbors": "squared bias of the mean of the 20 nearest points; likewise for other numbers",
    "variance, 20 neighbors": "variance of the same means",
    "bias, C 0.1": "squared bias of support vector machines with this C; likewise for other values",
    "variance, C 0.1": "variance of the same machines",
    "budget, C 0.1": "sum of the violations of the same machines: the budget that gives the same machine",
}

LAMBDAS = np.geomspace(1e-3, 3, 40)
DEGREES = tuple(range(10))
NEIGHBORS = (1, 2, 3, 5, 8, 12, 20, 30)
SVM_C = (0.1, 0.3, 1.0, 3.0, 10.0, 100.0, 1000.0)  # penalties on violations of the margin
ALSO_MEASURED = {
    f"{part}, {setting}"
    for part in ("bias", "variance")
    for setting in ("degree 1", "degree 2", "degree 8", "1 neighbor", "C 10", "C 1000")
}
GRID = np.linspace(-2.0, 3.0, 80)  # both coordinates of the drawn part of the plane


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Four experiments on simpler models; one repeat runs all of them."""

    QUICK = {"seeds": 1, "epochs": 1, "num_steps": 100, "num_sets": 3, "widths": (3,), "lambdas": (0.01,)}

    seeds: int = 3
    """Number of repeats."""
    epochs: int = 2
    """Epochs of training for each network, each with 1,000 steps."""
    num_steps: int = 3000
    """Steps of the linear regression."""
    num_sets: int = 30
    """Training sets of the support vector machines."""
    widths: tuple[int, ...] = (3, 6, 20)
    """Hidden units of the networks without penalty."""
    lambdas: tuple[float, ...] = (0.0001, 0.001, 0.01)
    """L2 penalties of the networks with 20 hidden units."""
    devices: int | str = "cpu"
    """Devices to train on; the networks are too small for a GPU."""


def train(config: Config) -> Result:
    """Run the four experiments of one repeat."""
    measured: dict[str, float] = {}
    curves: dict[str, Curve] = {}
    for experiment in (fit_penalties, fit_curves, train_surfaces, measure_bias_and_variance):
        numbers, new_curves = experiment(config)
        measured |= numbers
        curves |= new_curves
    return Result(measured=measured, curves=curves, data="diabetes (scikit-learn), and generated points")


def diabetes(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return 200 patients for training, 121 for validation and 121 for the test, standardized by the training data."""
    x, y = load_diabetes(return_X_y=True)
    x, y = (values[np.random.default_rng(seed).permutation(len(x))] for values in (x, y))
    x, y = ((values - values[:200].mean(0)) / values[:200].std(0) for values in (x, y))
    return [(x[part], y[part]) for part in (slice(200), slice(200, 321), slice(321, None))]


def minimize_with_penalty(
    x: np.ndarray, y: np.ndarray, l1: np.ndarray, l2: np.ndarray, num_steps: int, *, proximal: bool = True
) -> np.ndarray:
    """Return the weights (penalties, inputs) of linear regressions with the penalty l1 |w| + l2 w^2.

    Args:
        x: Inputs, (examples, inputs).
        y: Targets, (examples,).
        l1: The factor of |w| for each regression.
        l2: The factor of w^2 for each regression.
        num_steps: Number of steps.
        proximal: Whether a step treats |w| exactly, by moving weights toward zero; otherwise it uses its gradient.
    """
    hessian, slope = 2 * x.T @ x / len(x), 2 * x.T @ y / len(x)
    rate = 1 / (np.linalg.eigvalsh(hessian)[-1] + 2 * l2.max())
    l1, l2 = l1[:, None], l2[:, None]
    w = np.zeros((len(l1), x.shape[1]))
    for _ in range(num_steps):
        gradient = w @ hessian - slope + 2 * l2 * w
        if proximal:
            w = w - rate * gradient
            w = np.sign(w) * np.maximum(np.abs(w) - rate * l1, 0)
        else:
            w = w - rate * (gradient + l1 * np.sign(w))
    return w


def fit_penalties(config: Config) -> tuple[dict[str, float], dict[str, Curve]]:
    """Measure norms, zeros and errors of a linear regression over the penalty."""
    (x, y), validation, test = diabetes(config.seed)

    def errors(w: np.ndarray, data: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Return the squared error of each regression."""
        return np.asarray(np.mean((data[0] @ w.T - data[1][:, None]) ** 2, axis=0))

    none = np.zeros_like(LAMBDAS)
    kinds = {"L2": (none, LAMBDAS), "L1": (LAMBDAS, none), "elastic net": (LAMBDAS, LAMBDAS)}
    measured = {"test error, no penalty": float(errors(np.linalg.lstsq(x, y)[0][None], test)[0])}
    curves: dict[str, Curve] = {}
    for name, (l1, l2) in kinds.items():
        w = minimize_with_penalty(x, y, l1, l2, config.num_steps)
        best, zeros = int(np.argmin(errors(w, validation))), np.sum(w == 0, axis=1)
        measured |= {f"zeros, {name}": float(zeros[best]), f"test error, {name}": float(errors(w, test)[best])}
        curves |= {
            f"norm, {name}": Curve(LAMBDAS.tolist(), np.abs(w).sum(1).tolist()),
            f"zeros, {name}": Curve(LAMBDAS.tolist(), zeros.tolist()),
            f"validation error, {name}": Curve(LAMBDAS.tolist(), errors(w, validation).tolist()),
        }
        if name == "L1":
            without = minimize_with_penalty(x, y, l1, l2, config.num_steps, proximal=False)
            measured["zeros, L1 by gradient descent"] = float(np.sum(without[best] == 0))
    hessian = 2 * x.T @ x / len(x)
    measured["condition number"] = float(np.linalg.cond(hessian))
    measured["condition number, L2"] = float(np.linalg.cond(hessian + 2 * 0.1 * np.eye(len(hessian))))
    return measured, curves


def fit_curves(config: Config) -> tuple[dict[str, float], dict[str, Curve]]:
    """Fit ten noisy points of a straight line with a curve through all of them, f1, and with a line, f2."""
    rng = np.random.default_rng(config.seed)
    x, x_test = np.linspace(-1, 1, 10), np.linspace(-1, 1, 200)
    y, y_test = (values + 0.2 * rng.normal(size=values.shape) for values in (x, x_test))
    measured, curves = {}, {"ten points": Curve(x.tolist(), y.tolist())}
    for name, degree in (("f1", 9), ("f2", 1)):
        coefficients = chebyshev.chebfit(x, y, degree)
        fitted, predicted = chebyshev.chebval(x, coefficients), chebyshev.chebval(x_test, coefficients)
        measured[f"training error, {name}"] = float(np.mean((fitted - y) ** 2))
        measured[f"test error, {name}"] = float(np.mean((predicted - y_test) ** 2))
        curves[name] = Curve(x_test.tolist(), predicted.tolist())
    measured["training error, f1"] = round(measured["training error, f1"], 12)  # the rounding of float64
    return measured, curves


def network(units: int, penalty: float = 0.0) -> dk.Sequential:
    """Return a network with one hidden layer and an L2 penalty on its weights."""
    dense = {"kernel_regularizer": keras.regularizers.L2(penalty)} if penalty else {}
    return dk.Sequential([dk.MLP([units], activation="tanh", dense=dense), dk.Classifier(2, dense=dense)])


def train_surfaces(config: Config) -> tuple[dict[str, float], dict[str, Curve]]:
    """Train networks of several widths and penalties on 80 points, and measure how rough their surfaces are."""
    points = dk.data.points("moons", 1000, noise=0.35, seed=config.seed)
    x, y = points.train.arrays(80)
    data = full_batches(x, y, 1000, seed=config.seed)
    networks = {f"{width} units": network(width) for width in config.widths}
    networks |= {f"lambda {penalty:g}": network(20, penalty) for penalty in config.lambdas}
    plane = np.stack(np.meshgrid(GRID, GRID), axis=-1).reshape(-1, 2).astype("float32")
    measured: dict[str, float] = {}
    curves: dict[str, Curve] = {}
    for name, net in networks.items():
        folder = config.run_dir and config.run_dir / name.replace(" ", "")
        run = config.fit(net, data, run_dir=folder, learning_rate=0.03, verbose=0)
        logits = np.asarray(run.model(plane)).reshape(len(GRID), len(GRID), 2)
        surface = logits[..., 1] - logits[..., 0]
        measured |= {
            f"training accuracy, {name}": 100 * float(np.mean(np.argmax(run.model(x), axis=-1) == y)),
            f"test accuracy, {name}": 100 * run.evaluate(points.test)["accuracy"],
            f"slope, {name}": float(np.mean(np.hypot(*np.gradient(surface, GRID, GRID)))),
        }
        curves[f"boundary, {name}"] = zero_lines(GRID, surface)
    for label in (0, 1):
        curves[f"points of class {label}"] = Curve(x[y == label, 0].tolist(), x[y == label, 1].tolist())
    return measured, curves


def measure_bias_and_variance(config: Config) -> tuple[dict[str, float], dict[str, Curve]]:
    """Decompose the error of polynomials, nearest neighbors and support vector machines."""
    x, y = bias_variance.training_sets(200, 30, np.random.default_rng(config.seed))
    truth = bias_variance.truth(bias_variance.TEST_POINTS)
    polynomials = bias_variance.Decomposition.of(bias_variance.polynomials(x, y, DEGREES), truth)
    neighbors = bias_variance.Decomposition.of(bias_variance.nearest_neighbors(x, y, NEIGHBORS), truth)
    machines, budgets = bias_variance.support_vector_machines(SVM_C, config.num_sets, 80, config.seed)
    decomposed: dict[str, tuple[bias_variance.Decomposition, dict[str, float]]] = {
        "degree": (polynomials, {f"degree {degree}": degree for degree in DEGREES}),
        "neighbors": (neighbors, {f"{k} neighbor{'s' * (k > 1)}": k for k in NEIGHBORS}),
        "C": (machines, {f"C {c:g}": c for c in SVM_C}),
    }
    measured: dict[str, float] = {}
    curves: dict[str, Curve] = {}
    for name, (decomposition, settings) in decomposed.items():
        for part in ("bias", "variance"):
            values = getattr(decomposition, part)
            numbers = {f"{part}, {label}": float(value) for label, value in zip(settings, values, strict=True)}
            measured |= {key: number for key, number in numbers.items() if key in METRICS or key in ALSO_MEASURED}
            curves[f"{part}, {name}"] = Curve(list(settings.values()), values.tolist())
            if name == "C":
                curves[f"{part}, budget"] = Curve(budgets.tolist(), values.tolist())
    measured |= {f"budget, C {SVM_C[row]:g}": float(budgets[row]) for row in (0, -1)}
    return measured, curves


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the experiments from their curves, with their range over the repeats."""
    return {
        "A linear regression over the penalty: the sum of its absolute weights, how many of ten are exactly zero, and "
        "its error on other patients": figures.draw_penalties(results),
        "f1 passes through all ten points of a noisy line, f2 misses them and is simpler; first repeat": (
            figures.draw_simpler_curve(results[0])
        ),
        "Decision boundaries: above, wider networks; below, 20 units with larger penalties; first repeat": (
            figures.draw_surfaces(results[0], config.widths, config.lambdas)
        ),
        "Squared bias and variance of polynomials over the degree, of nearest neighbors over their number, and of "
        "support vector machines over C and over the budget of violations": figures.draw_bias(results),
    }


RECIPE = Recipe(
    name="regularization",
    paper=PAPER,
    config=Config,
    train=train,
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw_curves=draw_curves,
    annotated=(
        minimize_with_penalty,
        network,
        train_surfaces,
        bias_variance.Decomposition,
        bias_variance.support_vector_machines,
    ),
    exercises=(
        "Change the degree of f2 in `fit_curves` to 3 and to 5: at which degree is the test error largest?",
        "Run `--lambdas 0.1 1`: what do the surfaces predict?",
        "Give `training_sets` 300 points: which of bias and variance changes?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
