r"""Gradient descent: batches, learning rates, optimizers, saddles, minima, and when to stop.

Training decreases the loss J by steps against its gradient, estimated on a batch of B examples. Each part of the
recipe measures one statement of the lecture notes: a larger batch gives a better estimate and uses the hardware better;
a small learning rate is slow and a large one diverges; a memory of past gradients shortens the way.

    $$ w \leftarrow w - \frac{\eta}{B} \sum_{k=1}^{B} \nabla_w J_k(w) $$

The loss of a network is not convex. Zero weights are a saddle, where the gradient is zero and training never starts.
Random starts end in different minima. In many dimensions nearly all critical points are saddles, because at a minimum
all curvatures must be positive. And the minimum of the training loss is not the aim: the validation loss has a minimum
of its own; early stopping ends the training some epochs after it and restores its weights.

    deepkit run gradient_descent
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Curve, Recipe, Result, Settings, main
from recipes import papers
from recipes.basics import critical_points, update_rules
from recipes.basics import gradient_descent_figures as figures
from recipes.basics.plane import append_one

PAPER = papers.GOODFELLOW_2016_OPTIMIZATION
CLAIMS = (
    Claim(
        metric="variance exponent",
        value=-1.0,
        where="section 8.1.3",
        setting="any loss, examples drawn independently",
        tolerance=0.05,
        note="the chapter states that the standard error falls with the root of the number of examples",
    ),
    Claim(
        metric="critical rate times L",
        value="a large learning rate diverges",
        where="lecture notes, setting the learning rate",
        setting="any loss",
        note="for a quadratic loss with the largest curvature L, the limit is exactly 2/L",
    ),
    Claim(
        metric="movement from zero",
        value=0.0,
        where="lecture notes, initialization",
        setting="feed-forward network with W = 0",
    ),
    Claim(
        metric="different minima",
        value="different starts reach different minima",
        where="lecture notes, local minima",
        setting="a network with two weights",
    ),
    Claim(
        metric="minima, dimension 10",
        value="local minima are exponentially rarer than saddles",
        where="section 8.2.3; lecture notes, optimization",
        setting="random functions of many variables",
        lower_is_better=True,
    ),
    Claim(
        metric="test loss, early stopping",
        value="smaller than after more training",
        where="lecture notes, early stopping",
        setting="no number",
        lower_is_better=True,
    ),
)
DEVIATIONS = (
    "The gradient, the minima and the saddle at zero are those of 3 tanh units without output bias on the four "
    "quadrants, in NumPy; the notes do not name a network.",
    "A smooth random function in place of the loss of a network (section 8.2.3), so that its dimension can be chosen. "
    "Newton's method does not find all of its critical points equally often.",
    'The notes state that a small learning rate "gets stuck" in minima, which is not measured: from the same start, '
    "the size of the steps decides less than the start does.",
    "Speed depends on the machine; it is measured on the CPU.",
)
METRICS = {
    "variance exponent": "slope of the logarithm of the gradient's variance over that of the batch size, for examples "
    "drawn with replacement",
    "critical rate times L": "smallest learning rate at which the loss of a linear regression grows, times its largest "
    "curvature L",
    "difference from Keras": "largest difference between the weights of the six rules in NumPy and of Keras's "
    "optimizers over 100 steps with the same gradients; Keras rounds the constants of Adam to float32",
    **{
        f"steps, {name}": "steps until Rosenbrock's function is below 0.001, at most 10,000"
        for name in update_rules.METHODS
    },
    "movement from zero": "largest absolute weight after training from W = 0, where the gradient is exactly zero",
    "smallest curvature at zero": "smallest eigenvalue of the Hessian at W = 0; negative, so W = 0 is a saddle",
    "different minima": "number of end losses, of 20 random starts, that differ by more than 1 %; it counts losses "
    "after 5,000 steps, some of which may still decrease",
    "best end loss": "smallest of these 20 losses",
    "worst end loss": "largest of these 20 losses",
    "smallest curvature at the ends": "smallest eigenvalue of the Hessian at the 20 ends; near 0 or positive: no end "
    "is a clear saddle",
    "negative share, dimension 10": "mean share of negative eigenvalues at critical points of random functions of ten "
    "variables",
    "minima, dimension 1": "share of critical points without a negative eigenvalue; about 1/2 in one dimension",
    "minima, dimension 2": "the same in two dimensions; about 1/4",
    "minima, dimension 10": "the same in ten dimensions",
    "value and share, dimension 10": "correlation of the value at a critical point with its share of negative "
    "eigenvalues",
    "best epoch": "epoch with the smallest validation loss",
    "validation loss, best": "smallest validation loss of the long training",
    "validation loss, end": "validation loss after the last epoch of the long training",
    "test loss, early stopping": "test loss of the weights that early stopping restored",
    "test loss, end": "test loss after the last epoch of the long training",
    "error of restored weights": "difference between the validation loss of the restored weights and the smallest one "
    "of the same training",
    "speedup of a batch": "examples per second at a batch size of 256 over those at a batch size of 1",
}

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
TIMED_BATCH_SIZES = (1, 4, 16, 64, 256, 1024)
DIMENSIONS = (1, 2, 3, 4, 6, 8, 10)


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Seven experiments on gradient descent; one repeat runs all of them."""

    QUICK = {"seeds": 1, "epochs": 2, "num_steps": 100, "num_functions": 1}

    seeds: int = 3
    """Number of repeats."""
    epochs: int = 60
    """Epochs of the long training."""
    num_steps: int = 5000
    """Steps of the training from 20 random starts."""
    num_functions: int = 10
    """Random functions of each dimension."""
    devices: int | str = "cpu"
    """Devices to train on; the networks are too small for a GPU."""


def train(config: Config) -> Result:
    """Run the seven experiments of one repeat."""
    measured: dict[str, float] = {}
    curves: dict[str, Curve] = {}
    experiments = (
        measure_batches,
        find_critical_rate,
        compare_optimizers,
        compare_starts,
        measure_saddles,
        compare_early_stopping,
        measure_speed,
    )
    for experiment in experiments:
        numbers, new_curves = experiment(config)
        measured |= numbers
        curves |= new_curves
    return Result(measured=measured, curves=curves, data="generated points and functions")


def quadrants(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Return 128 points with a constant 1, (128, 3), and targets of -1 or 1 as in XOR."""
    x, labels = dk.data.points("quadrants", 128, seed=config.seed).train.arrays()
    return append_one(x), 2.0 * labels - 1


def measure_batches(config: Config) -> tuple[dict[str, float], dict[str, Curve]]:
    """Measure the variance of the gradient over the batch size, with and without replacement."""
    rng = np.random.default_rng(config.seed)
    x, y = quadrants(config)
    w = rng.normal(size=(1, critical_points.NUM_WEIGHTS))
    gradients = critical_points.example_gradients(w, x, y)[1][0]  # (examples, weights)

    def variance(batches: np.ndarray) -> float:
        """Return the variance of the mean gradients of batches of indices, summed over the weights."""
        return float(gradients[batches].mean(1).var(0).sum())

    independent = [variance(rng.integers(len(x), size=(2000, size))) for size in BATCH_SIZES]
    orders = np.argsort(rng.uniform(size=(2000, len(x))), axis=1)  # an epoch: each example once
    from_epochs = [variance(orders[:, :size]) for size in BATCH_SIZES]
    slope = np.polyfit(np.log(BATCH_SIZES), np.log(independent), 1)[0]
    curves = {
        "variance, with replacement": Curve(BATCH_SIZES, independent),
        "variance, from an epoch": Curve(BATCH_SIZES[:-1], from_epochs[:-1]),  # that of all examples is 0
    }
    return {"variance exponent": float(slope)}, curves


def find_critical_rate(config: Config) -> tuple[dict[str, float], dict[str, Curve]]:
    """Find the learning rate above which gradient descent diverges, for a linear regression with ten weights."""
    rng = np.random.default_rng(config.seed)
    x = rng.normal(size=(100, 10))
    start = rng.normal(size=10)  # the distance from the minimum, whose loss is 0
    hessian = 2 * x.T @ x / len(x)
    largest_curvature = np.linalg.eigvalsh(hessian)[-1]

    def losses(rate: float, num_steps: int) -> list[float]:
        w, values = start, []
        for _ in range(num_steps):
            values.append(float(np.mean((x @ w) ** 2)))
            w = w - rate / largest_curvature * hessian @ w
        return values

    low, high = 1.0, 3.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        last_but_one, last = losses(middle, 300)[-2:]
        low, high = (low, middle) if last > last_but_one else (middle, high)
    curves = {f"loss, {rate:g}/L": Curve(range(60), losses(rate, 60)) for rate in figures.RATES}
    return {"critical rate times L": (low + high) / 2}, curves


def compare_optimizers(config: Config) -> tuple[dict[str, float], dict[str, Curve]]:
    """Compare the update rules with Keras, and draw their paths in Rosenbrock's valley."""
    start = np.array([-1.2, 1.0]) + 0.1 * np.random.default_rng(config.seed).normal(size=2)
    differences = [update_rules.difference_from_keras(name, start, 100) for name in update_rules.METHODS]
    measured, curves = {"difference from Keras": max(differences)}, {}
    for name, method in update_rules.METHODS.items():
        path = update_rules.descend(method.make_rule(), start, tolerance=1e-3, max_steps=10_000)
        measured[f"steps, {name}"] = float(len(path) - 1)
        points = np.unique(np.geomspace(1, len(path), 120).astype(int)) - 1  # dense at the beginning
        curves[f"path, {name}"] = Curve(path[points, 0].tolist(), path[points, 1].tolist())
        curves[f"Rosenbrock, {name}"] = Curve(points.tolist(), update_rules.rosenbrock(path[points]).tolist())
    return measured, curves


def compare_starts(config: Config) -> tuple[dict[str, float], dict[str, Curve]]:
    """Train one network from zero weights, from small ones, and from 20 random starts."""
    x, y = quadrants(config)
    first = np.random.default_rng(config.seed).normal(size=(22, critical_points.NUM_WEIGHTS))
    first[0], first[1] = 0, first[1] / 100
    last, losses = critical_points.train_network(first, x, y, config.num_steps)
    ends = np.sort(losses[-1, 2:])
    steps = np.unique(np.geomspace(1, config.num_steps, 200).astype(int)) - 1
    measured = {
        "movement from zero": float(np.abs(last[0]).max()),
        "smallest curvature at zero": float(critical_points.curvatures(first[0], x, y)[0]),
        "different minima": float(1 + np.sum(np.diff(ends) > 0.01 * ends[:-1])),
        "best end loss": float(ends[0]),
        "worst end loss": float(ends[-1]),
        "smallest curvature at the ends": min(float(critical_points.curvatures(w, x, y)[0]) for w in last[2:]),
    }
    names = ("W = 0", "small W", "random W")
    curves = {
        f"loss from {name}": Curve((steps + 1).tolist(), losses[steps, column].tolist())
        for column, name in enumerate(names)
    }
    return measured, {**curves, "end losses": Curve(range(1, 21), ends.tolist())}


def measure_saddles(config: Config) -> tuple[dict[str, float], dict[str, Curve]]:
    """Measure the share of negative curvatures at critical points of random functions, over the dimension."""
    rng = np.random.default_rng(config.seed)
    negative_shares, minima = {}, {}
    for dimension in DIMENSIONS:
        functions = [critical_points.random_critical_points(dimension, 30, rng) for _ in range(config.num_functions)]
        shares = np.concatenate([points.negative_shares for points in functions])
        negative_shares[dimension], minima[dimension] = float(shares.mean()), float(np.mean(shares == 0))
    values = np.concatenate([points.values for points in functions])
    measured = {
        "negative share, dimension 10": negative_shares[10],
        "minima, dimension 1": minima[1],
        "minima, dimension 2": minima[2],
        "minima, dimension 10": minima[10],
        "value and share, dimension 10": float(np.corrcoef(values, shares)[0, 1]),
    }
    curves = {
        "negative share": Curve(DIMENSIONS, list(negative_shares.values())),
        "minima": Curve(DIMENSIONS, list(minima.values())),
        "share over value": Curve(values.tolist(), shares.tolist()),
    }
    return measured, curves


def compare_early_stopping(config: Config) -> tuple[dict[str, float], dict[str, Curve]]:
    """Train a wide network on 100 noisy points for 60 epochs, and once more with early stopping."""
    data = dk.data.points("moons", 300, noise=0.4, validation=200, batch_size=10, seed=config.seed)
    net = dk.Sequential([dk.MLP([100]), dk.Classifier(2)], name="wide")
    runs = {}
    for name, callbacks in (
        ("long", []),
        ("stopped", [keras.callbacks.EarlyStopping(patience=10, restore_best_weights=True)]),
    ):
        folder = config.run_dir and config.run_dir / name
        runs[name] = config.fit(net, data, run_dir=folder, learning_rate=0.006, callbacks=callbacks, verbose=0)
    validation, stopped = runs["long"].history["val_loss"], runs["stopped"]
    restored = stopped.evaluate(data.validation)["loss"]
    measured = {
        "best epoch": float(1 + np.argmin(validation)),
        "validation loss, best": min(validation),
        "validation loss, end": validation[-1],
        "test loss, early stopping": stopped.evaluate(data.test)["loss"],
        "test loss, end": runs["long"].evaluate(data.test)["loss"],
        "error of restored weights": abs(restored - min(stopped.history["val_loss"])),
    }
    epochs = range(1, len(validation) + 1)
    curves = {
        "training loss": Curve(epochs, runs["long"].history["loss"]),
        "validation loss": Curve(epochs, validation),
    }
    return measured, curves


def measure_speed(config: Config) -> tuple[dict[str, float], dict[str, Curve]]:
    """Measure how many examples per second the gradient of 200,000 weights is computed for, over the batch size."""
    model = dk.Sequential([dk.MLP([256]), dk.Classifier(10)], name="timed").build((784,))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function(input_signature=[tf.TensorSpec([None, 784]), tf.TensorSpec([None], "int64")])
    def gradients(x: tf.Tensor, y: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        return list(tape.gradient(value, model.trainable_variables))

    rates = []
    for batch_size in TIMED_BATCH_SIZES:
        x, y = tf.zeros((batch_size, 784)), tf.zeros(batch_size, "int64")
        gradients(x, y)  # compiles, and allocates memory
        seconds = []
        for _ in range(15):
            start = time.perf_counter()
            gradients(x, y)[0].numpy()
            seconds.append(time.perf_counter() - start)
        rates.append(batch_size / min(seconds))
    speedup = rates[TIMED_BATCH_SIZES.index(256)] / rates[0]
    return {"speedup of a batch": speedup}, {"examples per second": Curve(TIMED_BATCH_SIZES, rates)}


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the experiments from their curves, with their range over the repeats."""
    return {
        "Left, the variance of the gradient falls as 1/B, and faster if the batches come from an epoch; right, a "
        "larger batch is faster per example": figures.draw_batches(results),
        "Left, the loss of a linear regression with curvature L at four learning rates; right, training from zero, "
        "small and random weights": figures.draw_losses(results),
        "Paths of six optimizers in Rosenbrock's valley, first repeat, and the function over the steps": (
            figures.draw_paths(results[0])
        ),
        "Left, sorted losses at the ends of 20 starts, one line per repeat; center, negative curvatures and minima "
        "among critical points; right, low critical points have fewer negative curvatures": figures.draw_minima(
            results
        ),
        "Training and validation loss, and the epoch with the smallest validation loss": figures.draw_epochs(results),
    }


RECIPE = Recipe(
    name="gradient_descent",
    paper=PAPER,
    related=(papers.ROSENBROCK_1960, papers.DAUPHIN_2014, papers.KINGMA_2015),
    config=Config,
    train=train,
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw_curves=draw_curves,
    annotated=(
        update_rules.Momentum,
        update_rules.Adam,
        critical_points.example_gradients,
        critical_points.random_critical_points,
        compare_early_stopping,
    ),
    exercises=(
        "Change the learning rate of gradient descent in `METHODS` to 0.0021: where does its path leave the valley?",
        "Add a bias to the output of `example_gradients`: which weights move from W = 0, and which never do?",
        "Give `compare_early_stopping` 1,000 points for training: does the validation loss still increase?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
