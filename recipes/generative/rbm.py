r"""Restricted Boltzmann machines: contrastive divergence beside the exact likelihood, and MNIST.

The 30 images of bars and stripes in 4x4 pixels are few enough to sum over all states of the machine, so that the
log-likelihood is exact after each epoch. At best it is log(1/30) = -3.40 per image. Contrastive divergence with one
Gibbs step (CD-1) follows a biased gradient: the likelihood rises at first and declines afterwards, although the
reconstructions improve. Ten steps (CD-10) stay closer to the data. Annealed importance sampling, the estimate for
larger machines, is compared with the exact sum. On MNIST (data `mnist`) the hidden units become detectors of strokes.

    $$ \frac{\partial \log p(v)}{\partial W} = \mathbb{E}_{data}[v h^\top] - \mathbb{E}_{model}[v h^\top] $$

    deepkit run rbm
    deepkit run rbm --data mnist
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.models import RestrictedBoltzmannMachine
from deepkit.recipe import Claim, Curve, Deviation, Recipe, Result, Settings, main, parameters
from deepkit.visualize.figures import PngFigure
from recipes import papers
from recipes.generative.vae import binarize

PAPER = papers.HINTON_2002
BARS, MNIST = {"data": "bars_and_stripes"}, {"data": "mnist"}
SIDE = 4  # of an image of bars and stripes
GIBBS_STEPS = (1, 10)
CLAIMS = (
    *(
        Claim(
            metric=f"best log-likelihood, CD-{steps}",
            value=round(-float(np.log(30)), 4),
            unit="nats",
            where="log(1/30)",
            setting="30 equally probable images, any model",
            when=BARS,
            note="the largest value that is possible, and not a result of the paper",
        )
        for steps in GIBBS_STEPS
    ),
    Claim(
        metric="parameters",
        value=393_284,
        where="784 x 500 + 784 + 500",
        setting="784 visible and 500 hidden units",
        when=MNIST | {"units": 500},
    ),
)
DEVIATIONS = (
    Deviation("Not in the paper: images of bars and stripes, whose likelihood is exact.", BARS),
    Deviation("Binarized MNIST (Salakhutdinov & Murray 2008) in place of real-valued digits of other data.", MNIST),
    Deviation("Trained on the 50,000 training images of the binarized dataset.", MNIST),
)
METRICS = {
    **{
        f"{name} log-likelihood, CD-{steps}": f"exact log-likelihood per image in nats, {text}"
        for steps in GIBBS_STEPS
        for name, text in (("best", "the best over the epochs"), ("final", "after the last epoch"))
    },
    "AIS error": "the larger of the differences between the estimate of log Z by annealed importance sampling and the "
    "exact value, for the machines of CD-1 and CD-10 after the last epoch, in nats",
    "test log-likelihood": "log-likelihood per test image in nats, with log Z by annealed importance sampling",
    "standard error of log Z": "standard error of that estimate of log Z, in nats",
    "reconstruction": "squared error of a test image and its mean-field reconstruction, summed over the pixels",
    "parameters": "trainable weights",
}
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "bars_and_stripes": {"epochs": 100, "units": 16, "learning_rate": 0.05, "momentum": 0.0, "batch_size": 10},
    "mnist": {"epochs": 30, "units": 500, "learning_rate": 0.01, "momentum": 0.9, "batch_size": 100},
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """A restricted Boltzmann machine of small images, trained twice, or one of handwritten digits."""

    QUICK = {"seeds": 1, "epochs": 2, "units": 8, "num_temperatures": 20, "repeats_per_epoch": 2}

    data: Literal["bars_and_stripes", "mnist"] = "bars_and_stripes"
    """Images of 4x4 pixels with bars or stripes, or handwritten digits."""
    epochs: int | None = None
    """Epochs of training; depends on the data by default."""
    units: int | None = None
    """Hidden units; depends on the data by default."""
    num_gibbs_steps: int = 1
    """Data mnist: Gibbs steps in a training step."""
    persistent: bool = False
    """Data mnist: whether the chains continue from one training step to the next."""
    learning_rate: float | None = None
    """Learning rate of stochastic gradient descent; depends on the data by default."""
    momentum: float | None = None
    """Momentum; depends on the data by default."""
    batch_size: int | None = None
    """Images per step; depends on the data by default."""
    repeats_per_epoch: int = 100
    """Data bars_and_stripes: how often an epoch contains each of the 30 images."""
    num_temperatures: int = 10_000
    """Steps of annealed importance sampling."""

    def resolve_defaults(self) -> Mapping[str, Any]:
        """Return the settings of the data."""
        return DEFAULTS[self.data]


def bars_and_stripes(side: int = SIDE) -> np.ndarray:
    """Return all images whose rows are constant, and all whose columns are, `(2 * 2**side - 2, side, side)`."""
    lines = np.array(list(np.ndindex(*(2,) * side)), "float32")
    stripes = np.repeat(lines[:, :, None], side, axis=2)
    return np.concatenate([stripes, stripes.transpose(0, 2, 1)[1:-1]])  # without a second empty and full image


def load_data(config: Config, verbose: bool = True) -> dk.data.Data:
    """Return bars and stripes, or binarized MNIST; scikit-learn's digits in black and white if it is not available."""
    if config.data == "bars_and_stripes":
        images = np.tile(bars_and_stripes(), (config.repeats_per_epoch, 1, 1))
        return dk.data.from_arrays(images, batch_size=config.batch_size, seed=config.seed, name="bars and stripes, 4x4")
    return dk.data.load(
        "binarized_mnist",
        batch_size=config.batch_size,
        image_size=28,
        map=binarize,
        seed=config.seed,
        num_examples=config.max_examples,
        data_dir=config.data_dir,
        fallback="digits",
        verbose=verbose,
    )


def definition(config: Config, num_gibbs_steps: int | None = None) -> dk.RBM:
    """Return the machine of a config: 393,284 weights with 500 hidden units for MNIST."""
    steps = config.num_gibbs_steps if num_gibbs_steps is None else num_gibbs_steps
    return dk.RBM(config.units or 1, num_gibbs_steps=steps, persistent=config.persistent)


class ExactLikelihood(keras.callbacks.Callback):
    """Adds the exact log-likelihood per image to the history of each epoch."""

    stateless = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Compute it for the current weights."""
        if logs is not None:
            logs["log_likelihood"] = float(self.model.log_likelihood(bars_and_stripes()).mean())


def train(config: Config) -> Result:
    """Train the machines of the data and measure their likelihoods."""
    return train_bars(config) if config.data == "bars_and_stripes" else train_digits(config)


def train_bars(config: Config) -> Result:
    """Train one machine with CD-1 and one with CD-10, and follow their exact likelihoods."""
    data = load_data(config)
    measured: dict[str, float] = {}
    curves, errors, runs = {}, [], []
    for steps in GIBBS_STEPS:
        run = config.fit(
            definition(config, steps),
            data,
            run_dir=config.run_dir and config.run_dir / f"cd{steps}",
            optimizer=keras.optimizers.SGD(config.learning_rate, momentum=config.momentum),
            callbacks=[ExactLikelihood()],
        )
        values = run.history["log_likelihood"]
        measured[f"best log-likelihood, CD-{steps}"] = max(values)
        measured[f"final log-likelihood, CD-{steps}"] = values[-1]
        curves[f"log-likelihood, CD-{steps}"] = Curve(range(1, len(values) + 1), values)
        errors.append(annealing_error(run.model, config))
        runs.append(run)
    return Result(
        measured={**measured, "AIS error": max(errors), "parameters": parameters(runs[-1].model)},
        data=data.summary(),
        model=runs[-1].model,
        curves=curves,
        seconds=sum(run.seconds for run in runs),
    )


def annealing_error(model: RestrictedBoltzmannMachine, config: Config) -> float:
    """Return the difference between the estimate of log Z and the exact value."""
    estimate = model.log_partition(
        bars_and_stripes(), method="annealed", num_temperatures=config.num_temperatures, seed=config.seed
    )
    return abs(estimate.value - model.log_partition(method="exact").value)


def train_digits(config: Config) -> Result:
    """Train a machine of MNIST and estimate the likelihood of the test images."""
    data = load_data(config)
    optimizer = keras.optimizers.SGD(config.learning_rate, momentum=config.momentum)
    run = config.fit(definition(config), data, optimizer=optimizer)
    log_z = run.model.log_partition(data.train.arrays()[0], num_temperatures=config.num_temperatures, seed=config.seed)
    measured = {
        "test log-likelihood": float(run.model.log_likelihood(data.test, log_z).mean()),
        "standard error of log Z": log_z.standard_error,
        "reconstruction": run.model.evaluate(data.test, verbose=0, return_dict=True)["reconstruction"],
        "parameters": parameters(run.model),
    }
    return Result.of(run, data, measured)


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw filters and samples of MNIST, or samples of bars and stripes."""
    model = results[0].model
    if config.data == "bars_and_stripes":
        samples = model.sample(60, seed=config.seed, noise=True)
        return {"Samples of the machine that CD-10 trained": draw_images(samples, columns=20)}
    images = load_data(config, verbose=False).test.arrays(40)[0]
    samples = model.sample(40, start=images, num_steps=200, seed=config.seed)
    pairs = np.stack([images.reshape(2, 20, 28, 28), samples.reshape(2, 20, 28, 28)], axis=1)
    kernels = np.asarray(model.hidden.kernel).T[:100]
    kernels = 0.5 + 0.5 * kernels / np.abs(kernels).max(axis=1, keepdims=True)
    return {
        "Weights of the first hidden units": draw_images(kernels, columns=20),
        "Test images, each above the state of a chain that began there, 200 steps later": draw_images(pairs, 20),
    }


def draw_images(images: np.ndarray, columns: int) -> Figure:
    """Draw square images in rows with a border around each; the last row may be incomplete."""
    side = images.shape[-1] if images.ndim > 2 else round(np.sqrt(images.shape[-1]))
    images = images.reshape(-1, side, side)
    rows = -(-len(images) // columns)
    padded = np.full((rows * columns, side + 1, side + 1), 0.5)
    padded[: len(images), :-1, :-1] = images
    grid = padded.reshape(rows, columns, side + 1, side + 1).swapaxes(1, 2).reshape(rows * (side + 1), -1)
    figure = PngFigure(figsize=(7.2, 7.2 * rows / columns), layout="constrained")
    axes = figure.subplots()
    axes.imshow(grid, cmap="gray_r", vmin=0, vmax=1)
    axes.set_axis_off()
    return figure


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the exact likelihoods over the epochs, one line for each repeat."""
    if config.data != "bars_and_stripes":
        return {}
    figure = PngFigure(figsize=(7.2, 3.2), layout="constrained")
    axes = figure.subplots()
    for steps, color in zip(GIBBS_STEPS, ("#0072b2", "#d55e00"), strict=True):
        for number, result in enumerate(results):
            curve = result.curves[f"log-likelihood, CD-{steps}"]
            axes.plot(curve.x, curve.y, color=color, label=None if number else f"CD-{steps}")
    axes.axhline(-np.log(30), color="gray", linestyle=":", label="log(1/30)")
    axes.set(xlabel="epoch", ylabel="exact log-likelihood (nats)")
    axes.legend(frameon=False)
    return {"Exact log-likelihood per image of bars and stripes": figure}


RECIPE = Recipe(
    name="rbm",
    paper=PAPER,
    related=(papers.ACKLEY_1985, papers.SMOLENSKY_1986, papers.SALAKHUTDINOV_2008),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(SIDE, SIDE),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    draw_curves=draw_curves,
    exercises=(
        "Run `deepkit run rbm --epochs 300`: how far does the likelihood of CD-1 decline, and what happens to CD-10?",
        "Train with persistent chains, `--data mnist --persistent`, and compare samples and likelihoods.",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
