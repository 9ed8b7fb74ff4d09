r"""Helmholtz machine: the wake-sleep algorithm learns the distribution of images of bars.

An image of 4x4 pixels has vertical bars with probability 2/3, else horizontal ones, and each of the four bars is there
with probability 0.2. The generative model 1-8-16 must discover this process from images alone: one unit for the
orientation, and a unit for each bar. The recognition model 16-8-1 infers the units from an image. In the wake phase it
teaches the generative model; in the sleep phase the generative model dreams, and teaches it (Dayan et al. 1995; Hinton
et al. 1995). Both use the delta rule.

The machine is so small that the sum over all 512 states of its hidden units gives the probability of each image, and
therefore the KL divergence of the model from the distribution of the data, exactly.

    $$ \log p(x) \geq \mathbb{E}_{q(h \mid x)} \left[\log p(x, h) - \log q(h \mid x)\right], \quad
    D_\mathrm{KL} = \sum_x p^*(x) \log \frac{p^*(x)}{p(x)} $$

    deepkit run helmholtz
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.models import HelmholtzMachineModel
from deepkit.recipe import Curve, Recipe, Result, Settings, main, parameters
from deepkit.visualize.figures import BLUE, GRAY, PngFigure
from recipes import papers

PAPER = papers.DAYAN_1995
DEVIATIONS = (
    "The bars of Hinton et al. 1995, in place of the shifted patterns of figure 1.",
    "Adam with batches and a decaying learning rate, in place of the plain delta rule of Hinton et al. 1995.",
)
METRICS = {
    "KL divergence": "exact divergence of the model from the distribution of the images, in nats, after training",
    "initial KL divergence": "the same before training",
    "bound gap": "mean distance of the bound from log p(x), in nats: the divergence of the recognition model from the "
    "exact distribution of the hidden units, which is not factorial",
    "dreams of bars": "percentage of 10,000 dreams that are images of bars",
    "parameters": "trainable weights of both models",
}
SIDE = 4
VERTICAL, BAR = 2 / 3, 0.2  # probabilities of the orientation, and of each bar
UNITS = (8, 1)


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """The machine 16-8-1; three seeds."""

    QUICK = {"seeds": 1, "epochs": 2, "num_images": 1_000}

    seeds: int = 3
    """Number of repeats to train, each with its own seed."""
    epochs: int = 40
    """Epochs of training."""
    num_images: int = 20_000
    """Images that are drawn for the training."""
    learning_rate: float = 3e-2
    """Peak learning rate of Adam."""
    batch_size: int = 50
    """Images per step, and as many dreams."""
    devices: int | str = "cpu"
    """Devices to train on; 306 weights are too few for a GPU."""


def draw_bars(num_images: int, seed: int) -> np.ndarray:
    """Return images of bars `(num_images, 4, 4)`, 0 and 1."""
    random = np.random.default_rng(seed)
    bars = random.random((num_images, 1, SIDE)) < BAR
    images = np.repeat(bars, SIDE, axis=1)
    is_vertical = random.random((num_images, 1, 1)) < VERTICAL
    return np.where(is_vertical, images, images.swapaxes(1, 2)).astype("float32")


def distribution() -> tuple[np.ndarray, np.ndarray]:
    """Return all images that can occur, `(30, 4, 4)`, and their probabilities."""
    bars = (np.arange(2**SIDE)[:, None] >> np.arange(SIDE)) & 1
    probabilities = np.prod(np.where(bars == 1, BAR, 1 - BAR), axis=1)
    vertical = np.repeat(bars[:, None], SIDE, axis=1)
    images = np.concatenate([vertical, vertical.swapaxes(1, 2)])
    weights = np.concatenate([VERTICAL * probabilities, (1 - VERTICAL) * probabilities])
    distinct, index = np.unique(images.reshape(len(images), -1), axis=0, return_inverse=True)
    total = np.bincount(index.ravel(), weights)  # the empty and the full image have both orientations
    return distinct.reshape(-1, SIDE, SIDE).astype("float32"), total


def divergence(model: HelmholtzMachineModel) -> float:
    """Return the exact KL divergence of a model from the distribution of the images, in nats."""
    images, probabilities = distribution()
    return float(np.sum(probabilities * (np.log(probabilities) - model.log_likelihood(images))))


def definition(config: Config) -> dk.HelmholtzMachine:
    """Return the machine: 16-8-1 in both directions, 306 weights."""
    return dk.HelmholtzMachine(UNITS)


class Divergence(keras.callbacks.Callback):
    """Adds the exact divergence to the logs of each epoch, so that the history of a resumed run is complete."""

    stateless = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Compute the divergence."""
        if logs is not None:
            logs["divergence"] = divergence(self.model)


def train(config: Config) -> Result:
    """Train one machine, and compare its distribution with that of the images."""
    images = draw_bars(config.num_images, config.seed)
    data = dk.data.from_arrays(images, batch_size=config.batch_size, seed=config.seed, name="bars")
    with config.plan():
        initial = divergence(definition(config).build((SIDE, SIDE)))
    run = config.fit(
        definition(config),
        data,
        optimizer="adam",
        learning_rate=dk.OneCycle(config.learning_rate, warmup_fraction=0.05),
        callbacks=[Divergence()],
    )
    all_images, probabilities = distribution()
    gap = run.model.log_likelihood(all_images) - run.model.bound(all_images)
    measured = {
        "KL divergence": divergence(run.model),
        "initial KL divergence": initial,
        "bound gap": float(np.sum(probabilities * gap)),
        "dreams of bars": 100 * share_of_bars(run.model.sample(10_000, seed=config.seed)),
        "parameters": parameters(run.model),
    }
    history = [initial, *run.history["divergence"]]
    return Result.of(run, data, measured, curves={"divergence": Curve(range(len(history)), history)})


def share_of_bars(images: np.ndarray) -> float:
    """Return the fraction of images that consist of bars of one orientation."""
    is_vertical = (images == images[:, :1]).all(axis=(1, 2))
    is_horizontal = (images == images[:, :, :1]).all(axis=(1, 2))
    return float(np.mean(is_vertical | is_horizontal))


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the divergence over the epochs, a line for each seed."""
    figure = PngFigure(figsize=(5.4, 3.0), layout="constrained")
    axes = figure.subplots()
    for number, result in enumerate(results):
        curve = result.curves["divergence"]
        axes.plot(curve.x, curve.y, color=BLUE, alpha=0.7, label="seeds" if number == 0 else None)
    axes.axhline(0, color=GRAY, linewidth=0.8)
    axes.set(xlabel="epoch", ylabel="KL divergence in nats")
    axes.legend(frameon=False)
    return {"Exact KL divergence of the model from the distribution of the images, for each seed": figure}


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw images of the data beside dreams of the first machine."""
    columns, rows = 12, 6
    figure = PngFigure(figsize=(7.2, 2.2), layout="constrained")
    dreams = results[0].model.sample(columns * rows, seed=config.seed)
    pairs = (("data", draw_bars(columns * rows, config.seed)), ("dreams", dreams))
    for axes, (title, images) in zip(figure.subplots(1, 2), pairs, strict=True):
        framed = np.pad(images, ((0, 0), (1, 1), (1, 1)), constant_values=0.3)
        grid = framed.reshape(rows, columns, SIDE + 2, SIDE + 2).swapaxes(1, 2)
        axes.imshow(grid.reshape(rows * (SIDE + 2), -1), cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    return {"Images of the data, and dreams of the machine": figure}


RECIPE = Recipe(
    name="helmholtz",
    paper=PAPER,
    related=(papers.HINTON_1995,),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(SIDE, SIDE),
    metrics=METRICS,
    deviations=DEVIATIONS,
    draw=draw,
    draw_curves=draw_curves,
    annotated=(draw_bars, distribution, divergence),
    exercises=(
        "Train with `--num-images 1000`: how much does the divergence from the distribution of all images grow?",
        "Draw the weights of the eight hidden units: does each of them generate one bar?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
