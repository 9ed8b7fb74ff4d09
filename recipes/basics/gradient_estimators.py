r"""Gradient estimators: the score function needs no derivative of the reward, the pathwise estimator has less variance.

Many networks draw random numbers: an agent draws an action, a variational autoencoder a code. The loss is then an
expectation over a distribution whose parameters are trained, and its gradient is estimated from samples in two ways.
The score-function estimator (REINFORCE, Williams 1992) weights the gradient of the log-probability with the reward. It
needs only the values of f, so f may be a step function or a game. The pathwise estimator (reparameterization) writes
the sample as mean + stddev * noise and differentiates through f.

    $$ \nabla_\theta E[f(z)] = E[(f(z) - b) \nabla_\theta \log p(z; \theta)] $$

    $$ \nabla_\theta E[f(z)] = E[\nabla_\theta f(\mu + \sigma \epsilon)] $$

For f(z) = z^2 both sides are known exactly. The recipe estimates them from a million draws at nine standard deviations:
both are unbiased, and the pathwise variance is smaller at each of them, also if a baseline b is subtracted. The order
is not a law: for a function that oscillates fast, f(z) = sin(k z), the score function wins, and for a step function the
pathwise gradient is zero and wrong.

    deepkit run gradient_estimators
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from matplotlib.figure import Figure

from deepkit.recipe import Claim, Curve, Recipe, Result, Settings, main
from deepkit.teaching import MovingBaseline, pathwise, score_function
from deepkit.visualize.figures import BLUE, GRAY, ORANGE, PngFigure
from recipes import papers
from recipes.basics.bands import draw_range

PAPER = papers.WILLIAMS_1992
ESTIMATORS = {"score function": GRAY, "score function with baseline": ORANGE, "pathwise": BLUE}  # and their colors
CLAIMS = (
    *(
        Claim(
            metric=f"error, {estimator}",
            value="unbiased",
            where="lecture notes, gradients of non-differentiable operations",
            setting="any distribution with a differentiable density",
            lower_is_better=True,
        )
        for estimator in ESTIMATORS
    ),
    Claim(
        metric="smallest variance ratio",
        value='"very high variance" of the score function',
        where="Kingma & Welling 2014, section 2.2",
        setting="variational bound",
        note="here f(z) = z^2 with a baseline; a ratio above 1 at every standard deviation confirms the order",
    ),
)
DEVIATIONS = (
    "The notes state both identities without an experiment; f(z) = z^2 with z from N(1, sigma^2) is chosen because "
    "gradients and variances have closed forms.",
    "The baseline is the moving average of earlier rewards, one number for all samples (Williams 1992, section 6).",
)
METRICS = {
    **{
        f"error, {estimator}": "distance of the mean estimate from the exact gradient in standard errors, the largest "
        "of 18: nine standard deviations, each with the derivatives with respect to the mean and to the standard "
        "deviation; 2 to 3 is expected by chance"
        for estimator in ESTIMATORS
    },
    "smallest variance ratio": "variance of the score function with baseline over that of the pathwise estimator: the "
    "smallest of these 18",
    "variance, score function": "variance of one sample of the derivative with respect to the mean, at a standard "
    "deviation of 1; exactly 30",
    "variance, score function with baseline": "the same with baseline; exactly 18 with the expected reward",
    "variance, pathwise": "the same for the pathwise estimator; exactly 4",
    "step, score function": "derivative of P(z > 0) with respect to the mean, at a standard deviation of 1; exactly "
    "0.2420",
    "step, pathwise": "the same by the pathwise estimator: zero, because the derivative of a step is zero",
    "frequency of equal variance": "k at which both estimators have the same variance for f(z) = sin(k z), stddev 1",
}

MEAN = 1.0
STDDEVS = tuple(np.geomspace(0.1, 10, 9).tolist())
FREQUENCIES = tuple(np.geomspace(0.25, 16, 13).tolist())
EXACT_STEP = math.exp(-0.5) / math.sqrt(2 * math.pi)  # density of N(0, 1) at 1


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Three estimators, a million draws at each standard deviation."""

    QUICK = {"seeds": 1, "num_samples": 20_000}

    seeds: int = 3
    """Number of repeats, each with its own draws."""
    num_samples: int = 1_000_000
    """Draws at each standard deviation."""
    devices: int | str = "cpu"
    """Devices; the functions are too small for a GPU."""


def sample_gradients(
    estimator: str, f: Callable, stddev: float, noise: np.ndarray, baseline: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the estimates of each sample: the derivatives of E[f(z)] with respect to mean and standard deviation.

    Every sample has its own mean and its own standard deviation, all equal, so one backward pass returns the estimates
    of all samples.
    """
    epsilon = tf.constant(noise)
    means, stddevs = MEAN * tf.ones_like(epsilon), stddev * tf.ones_like(epsilon)
    with tf.GradientTape() as gradient_tape:
        gradient_tape.watch([means, stddevs])
        z = pathwise(means, stddevs, epsilon)
        if estimator == "pathwise":
            values = f(z)
        else:
            z = ops.stop_gradient(z)  # the score function does not differentiate through the sample
            values = score_function(log_density(z, means, stddevs), f(z), baseline=baseline)
    gradients = gradient_tape.gradient(values, [means, stddevs], unconnected_gradients="zero")
    return np.asarray(gradients[0]), np.asarray(gradients[1])


def log_density(z: tf.Tensor, mean: tf.Tensor, stddev: tf.Tensor) -> tf.Tensor:
    """Return the log-density of a normal distribution, without its constant."""
    return -ops.log(stddev) - ops.square((z - mean) / stddev) / 2


def train(config: Config) -> Result:
    """Estimate the gradients with the draws of one repeat."""
    rng = np.random.default_rng(config.seed)
    with keras.device("cpu"):
        statistics = [estimate_square(stddev, config.num_samples, rng) for stddev in STDDEVS]
        steps = estimate_step(config.num_samples, rng)
        sines = estimate_sine(config.num_samples, rng)
    variances = {name: np.array([item[name][1] for item in statistics]) for name in ESTIMATORS}  # (stddevs, 2)
    measured = {f"error, {name}": float(max(np.max(item[name][0]) for item in statistics)) for name in ESTIMATORS}
    ratios = variances["score function with baseline"] / variances["pathwise"]
    measured["smallest variance ratio"] = float(np.min(ratios))
    center = len(STDDEVS) // 2  # a standard deviation of 1
    measured |= {f"variance, {name}": float(values[center, 0]) for name, values in variances.items()}
    measured |= {f"step, {name}": value for name, value in steps.items()}
    measured["frequency of equal variance"] = crossing(sines["score function"], sines["pathwise"])
    curves = {f"variance, {name}": Curve(STDDEVS, values[:, 0].tolist()) for name, values in variances.items()}
    curves |= {f"sine, {name}": Curve(FREQUENCIES, values) for name, values in sines.items()}
    return Result(measured=measured, data=f"{config.num_samples:,} draws of N(1, sigma^2)", curves=curves)


def estimate_square(stddev: float, num_samples: int, rng: np.random.Generator) -> dict[str, tuple]:
    """Return errors in standard errors, and variances, of both derivatives for f(z) = z^2, by estimator."""
    exact = np.array([2 * MEAN, 2 * stddev])  # of E[z^2] = mean^2 + stddev^2
    moving = MovingBaseline()
    moving((MEAN + stddev * rng.normal(size=10_000)) ** 2)  # the rewards of an earlier batch
    noise = rng.normal(size=num_samples)
    baselines = {"score function with baseline": float(moving((MEAN + stddev * noise) ** 2))}
    statistics = {}
    for estimator in ESTIMATORS:
        samples = np.array(sample_gradients(estimator, ops.square, stddev, noise, baselines.get(estimator, 0.0)))
        variance = samples.var(axis=1)
        errors = np.abs(samples.mean(axis=1) - exact) / np.sqrt(variance / num_samples)
        statistics[estimator] = (errors, variance)
    return statistics


def estimate_step(num_samples: int, rng: np.random.Generator) -> dict[str, float]:
    """Return the average estimates of the derivative of P(z > 0) with respect to the mean."""

    def step(z: tf.Tensor) -> tf.Tensor:
        return ops.cast(z > 0, "float64")

    noise = rng.normal(size=num_samples)
    return {name: float(sample_gradients(name, step, 1.0, noise)[0].mean()) for name in ("score function", "pathwise")}


def estimate_sine(num_samples: int, rng: np.random.Generator) -> dict[str, list[float]]:
    """Return the variance of the derivative with respect to the mean for f(z) = sin(k z) over k."""
    noise = rng.normal(size=num_samples)
    variances: dict[str, list[float]] = {"score function": [], "pathwise": []}
    for k in FREQUENCIES:
        for name, values in variances.items():
            derivatives, _ = sample_gradients(name, lambda z, k=k: ops.sin(k * z), 1.0, noise)
            values.append(float(derivatives.var()))
    return variances


def crossing(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the first frequency at which two curves cross, interpolated on logarithmic axes."""
    differences = np.log(first) - np.log(second)
    number = int(np.flatnonzero(differences[1:] * differences[:-1] < 0)[0])
    share = differences[number] / (differences[number] - differences[number + 1])
    return float(FREQUENCIES[number] * (FREQUENCIES[number + 1] / FREQUENCIES[number]) ** share)


def exact_variances(stddev: np.ndarray) -> dict[str, np.ndarray]:
    """Return the variances of the derivative with respect to the mean in closed form, for f(z) = z^2."""
    return {
        "score function": MEAN**4 / stddev**2 + 14 * MEAN**2 + 15 * stddev**2,
        "score function with baseline": 8 * MEAN**2 + 10 * stddev**2,
        "pathwise": 4 * stddev**2,
    }


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the variances over the standard deviation of the samples and over the frequency of f."""
    figure = PngFigure(figsize=(9, 3.6), layout="constrained")
    square, sine = figure.subplots(1, 2)
    fine = np.geomspace(STDDEVS[0], STDDEVS[-1], 200)
    for name, color in ESTIMATORS.items():
        draw_range(square, results, f"variance, {name}", color=color, marker="o", linestyle="", label=name)
        square.plot(fine, exact_variances(fine)[name], color=color, linewidth=1)
    square.set(xlabel="standard deviation of z", ylabel="variance of one sample", title="f(z) = z²")
    square.legend(frameon=False)
    for name in ("score function", "pathwise"):
        draw_range(sine, results, f"sine, {name}", color=ESTIMATORS[name], marker="o", markersize=4)
    sine.set(xlabel="k", ylabel="variance of one sample", title="f(z) = sin(k z), standard deviation 1")
    for axes in (square, sine):
        axes.set(xscale="log", yscale="log")
        axes.grid(alpha=0.25)
    caption = (
        "Variance of the derivative with respect to the mean, measured (points: mean over the repeats; band: range) "
        "and in closed form (lines): pathwise is smaller for a smooth function, and larger for one that oscillates"
    )
    return {caption: figure}


RECIPE = Recipe(
    name="gradient_estimators",
    paper=PAPER,
    related=(papers.KINGMA_2014, papers.REZENDE_2014),
    config=Config,
    train=train,
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw_curves=draw_curves,
    annotated=(sample_gradients, estimate_square),
    exercises=(
        "The best constant baseline is E[f s^2] / E[s^2] with the score s = (z - mean) / stddev^2. Add it to "
        "`estimate_square`: how much variance does it save?",
        "Replace `ops.square` by `ops.abs` in `estimate_square`, and compute the exact gradient: is the pathwise "
        "estimator still unbiased, although |z| has no derivative at 0?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
