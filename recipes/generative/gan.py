r"""Generative adversarial networks: a generator trained against a discriminator, on a ring and on MNIST.

The generator turns noise into examples, the discriminator estimates how likely an example is to be real, and each is
trained against the other (Goodfellow et al. 2014). No loss compares a generated example with a real one: if the
discriminator cannot do better than chance, the generated examples are distributed like the data.

On MNIST these are the paper's networks, evaluated as in its table 1, which reports 225 nats: a Gaussian window around
each sample, its width chosen on validation images, and the log-likelihood of the test images under that density. The
ring, eight narrow Gaussians in the plane, shows what such a number hides: whether every mode of the data is generated.

    $$ \min_G \max_D \; \mathbb{E}_{x} \log D(x) + \mathbb{E}_{z} \log \left(1 - D(G(z))\right) $$

    deepkit run gan
    deepkit run gan --data ring --seeds 5
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure
from matplotlib.patches import Circle

import deepkit as dk
from deepkit.models import GenerativeAdversarialNetwork
from deepkit.recipe import Claim, Deviation, Recipe, Result, Settings, main, parameters
from deepkit.visualize.figures import PngFigure
from recipes import papers

PAPER = papers.GOODFELLOW_2014
RING, MNIST = {"data": "ring"}, {"data": "mnist"}
CLAIMS = (
    Claim(
        metric="log-likelihood",
        value=225,
        unit="nats",
        where="table 1",
        setting="MNIST, Parzen windows around samples",
        when=MNIST,
        note="± 2, the standard error of the mean over test images; a larger estimate need not mean better samples",
    ),
)
DEVIATIONS = (
    Deviation(
        "Trained on 55,000 of the 60,000 training images; settings and window width are chosen on the other 5,000.",
        MNIST,
    ),
    Deviation(
        "Adam with a cosine decay, in place of gradient descent with a momentum that rises from 0.5 to 0.7 over 250 "
        "epochs; and fewer epochs than that.",
        MNIST,
    ),
    Deviation("Weights are initialized as in Glorot & Bengio (2010).", MNIST),
    Deviation("The generator of the last epoch is evaluated.", MNIST),
    Deviation("Not in the paper: a small dataset whose modes can be counted.", RING),
    Deviation("beta_1 of Adam is 0.5, in place of the usual 0.9.", MNIST),
)
METRICS = {
    "modes covered": "Gaussians, of eight, with at least 2 % of the samples within three standard deviations",
    "high quality": "share of the samples within three standard deviations of a center, in percent; 98.9 for the data",
    "log-likelihood": "mean log density of the test images under Gaussian windows around 10,000 samples, in nats",
    "standard error": "of that mean, over test images",
    "validation log-likelihood": "the same for the 5,000 images on which the settings and the width were chosen",
    "window": "standard deviation of each Gaussian window, on a scale from 0 (black) to 1 (white)",
    "generator parameters": "trainable weights of the generator",
    "discriminator parameters": "trainable weights of the discriminator",
}

# The learning rate for mnist was chosen from 5e-4, 1e-3 and 2e-3 on validation images; that for ring by the number of
# modes that runs with other seeds covered.
DEFAULTS = {
    "ring": {"epochs": 50, "learning_rate": 2e-3, "batch_size": 512},
    "mnist": {"epochs": 60, "learning_rate": 1e-3, "batch_size": 100},
}
RADIUS, SPREAD = 2.0, 0.05  # radius of the ring, and standard deviation of each Gaussian on it
ANGLES = 2 * np.pi * np.arange(8) / 8
CENTERS = RADIUS * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
WINDOWS = np.geomspace(0.1, 0.5, 17)  # candidates for the width of the Parzen windows
SNAPSHOT_EPOCHS = (1, 2, 5, 10, 20, 50, 100, 200, 500)  # besides the last epoch


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """A generator and a discriminator."""

    QUICK = {"seeds": 1, "epochs": 1, "batch_size": 500}

    data: Literal["ring", "mnist"] = "mnist"
    """Eight Gaussians in the plane, or handwritten digits."""
    epochs: int | None = None
    """Epochs of training; depends on the data by default."""
    learning_rate: float | None = None
    """Initial learning rate of Adam for both networks; it follows half a cosine; depends on the data by default."""
    batch_size: int | None = None
    """Examples per step, and as many generated ones; depends on the data by default."""
    discriminator_steps: int = 1
    """Steps of the discriminator for each step of the generator: the paper's k."""
    loss: Literal["non_saturating", "minimax"] = "non_saturating"
    """Loss of the generator: -log D(G(z)), or log(1 - D(G(z)))."""

    def resolve_defaults(self) -> Mapping[str, Any]:
        """Return the settings of the data."""
        return DEFAULTS[self.data]


@dataclass(frozen=True, kw_only=True)
class GANResult(Result):
    """A result with the samples that were generated from the same noise, by epoch."""

    samples: Mapping[int, np.ndarray] = field(default_factory=dict)


def load_data(config: Config, verbose: bool = True) -> dk.data.Data:
    """Return points on the ring, or MNIST (scikit-learn's digits at the same size if MNIST is not available)."""
    if config.data == "ring":
        points = ring(config.max_examples or 40_000, config.seed)
        return dk.data.from_arrays(points, batch_size=config.batch_size, seed=config.seed, name="ring of 8 Gaussians")
    return dk.data.load(
        "mnist",
        batch_size=config.batch_size,
        validation=5_000,
        image_size=28,
        seed=config.seed,
        num_examples=config.max_examples,
        data_dir=config.data_dir,
        fallback="digits",
        verbose=verbose,
    )


def ring(count: int, seed: int) -> np.ndarray:
    """Return points in the plane from eight Gaussians whose centers are evenly spaced on a circle."""
    random = np.random.default_rng(seed)
    return (CENTERS[random.integers(0, 8, count)] + SPREAD * random.normal(size=(count, 2))).astype("float32")


def definition(config: Config) -> dk.GAN:
    """Return the two networks for the data of a config.

    For MNIST, as in section 5, ReLU units against maxout units with dropout, as wide as in the authors' code:
    2,503,984 and 1,231,441 weights.
    """
    training: dict[str, Any] = {"discriminator_steps": config.discriminator_steps, "loss": config.loss}
    if config.data == "ring":
        body = dk.MLP([128, 128], activation="tanh")
        return dk.GAN([body, dk.Regressor(2)], [body, dk.Classifier(1)], latent_dim=8, **training)
    return dk.GAN(
        generator=[dk.MLP([1200, 1200]), dk.Regressor(784, activation="sigmoid"), layers.Reshape((28, 28, 1))],
        discriminator=[
            layers.Flatten(),
            layers.Dropout(0.2),
            dk.layers.Maxout(240, num_pieces=5),
            layers.Dropout(0.5),
            dk.layers.Maxout(240, num_pieces=5),
            dk.Classifier(1, dropout=0.5),
        ],
        latent_dim=100,
        prior="uniform",
        **training,
    )


def train(config: Config) -> GANResult:
    """Train both networks and evaluate the samples of the generator."""
    data = load_data(config)
    folder = config.run_dir and config.run_dir / "samples"
    snapshots = Snapshots(2_000 if config.data == "ring" else 10, config.epochs, folder)
    run = config.fit(
        definition(config),
        data,
        optimizer=keras.optimizers.Adam(beta_1=0.5),
        learning_rate=dk.OneCycle(config.learning_rate, warmup_fraction=0.0),
        callbacks=[snapshots],
    )
    measured = measure_modes(run.model) if config.data == "ring" else measure_likelihood(run.model, data)
    measured["generator parameters"] = parameters(run.model.generator)
    measured["discriminator parameters"] = parameters(run.model.discriminator)
    return GANResult.of(run, data, measured, samples=snapshots.load())


class Snapshots(keras.callbacks.Callback):
    """Generate samples from the same noise after some of the epochs, and keep them in a folder if there is one."""

    stateless = True  # the samples depend on the weights alone

    def __init__(self, num_samples: int, last_epoch: int, folder: Path | None) -> None:
        super().__init__()
        self.num_samples, self.folder = num_samples, folder
        self.epochs = sorted({*(epoch for epoch in SNAPSHOT_EPOCHS if epoch < last_epoch), last_epoch})
        self.samples: dict[int, np.ndarray] = {}

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Generate and keep samples if this is one of the epochs."""
        if epoch + 1 not in self.epochs:
            return
        self.samples[epoch + 1] = self.model.sample(self.num_samples, seed=0)
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = self.folder / "temporary.npy"
            np.save(temporary, self.samples[epoch + 1])
            temporary.replace(self.folder / f"epoch{epoch + 1:04}.npy")  # atomic

    def load(self) -> dict[int, np.ndarray]:
        """Return the samples by epoch, including those from before an interruption."""
        samples = dict(self.samples)
        for epoch in self.epochs:
            path = self.folder / f"epoch{epoch:04}.npy" if self.folder else None
            if epoch not in samples and path and path.exists():
                samples[epoch] = np.load(path)
        return dict(sorted(samples.items()))


def measure_modes(model: GenerativeAdversarialNetwork, num_samples: int = 10_000) -> dict[str, float]:
    """Count the modes that samples cover, and the samples that lie in a mode."""
    distances = np.linalg.norm(model.sample(num_samples, seed=1)[:, None] - CENTERS, axis=-1)  # (num_samples, 8)
    in_a_mode = distances.min(axis=1) < 3 * SPREAD
    counts = np.bincount(distances.argmin(axis=1)[in_a_mode], minlength=8)
    return {
        "modes covered": float(np.sum(counts >= 0.02 * num_samples)),
        "high quality": 100 * float(in_a_mode.mean()),
    }


def measure_likelihood(
    model: GenerativeAdversarialNetwork, data: dk.data.Data, num_samples: int = 10_000
) -> dict[str, float]:
    """Return the log-likelihood of the test images by Parzen windows, as in table 1."""
    validation, test = data.validation.arrays()[0], data.test.arrays()[0]
    window = dk.ParzenWindow(model.sample(num_samples, seed=1), sigma=WINDOWS, validation=validation)
    likelihood, standard_error = window.score(test)
    return {
        "log-likelihood": likelihood,
        "standard error": standard_error,
        "validation log-likelihood": window.score(validation)[0],
        "window": window.sigma,
    }


def draw(config: Config, results: Sequence[GANResult]) -> Mapping[str, Figure]:
    """Draw the samples of the first repeat by epoch, and the training images nearest to the last ones."""
    samples = results[0].samples
    if config.data == "ring":
        caption = "Samples from the same 2,000 noise vectors by epoch; the circles mark three standard deviations"
        return {caption: draw_points(samples)}
    last = samples[max(samples)]
    neighbors = nearest(last, load_data(config, verbose=False).train.arrays()[0])
    return {
        "Samples from the same ten noise vectors by epoch": draw_rows(
            {f"epoch {epoch}": images for epoch, images in samples.items()}
        ),
        "Samples, and the nearest training image to each": draw_rows({"sample": last, "nearest": neighbors}),
    }


def nearest(samples: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return the image at the smallest distance to each sample."""
    indices = [np.argmin(np.sum((images - sample) ** 2, axis=(1, 2, 3))) for sample in samples]
    return images[indices]


def draw_rows(rows: Mapping[str, np.ndarray]) -> Figure:
    """Draw rows of images, each with its label."""
    figure = PngFigure(figsize=(9, 0.8 * len(rows)), layout="compressed")
    for axes, (label, images) in zip(figure.subplots(len(rows), 1, squeeze=False)[:, 0], rows.items(), strict=True):
        axes.imshow(np.hstack(list(images[..., 0])), cmap="gray_r", vmin=0, vmax=1)
        axes.set_xticks([])
        axes.set_yticks([images.shape[1] / 2], [label])
        axes.tick_params(length=0)
    return figure


def draw_points(samples: Mapping[int, np.ndarray]) -> Figure:
    """Draw points in the plane by epoch, over the eight Gaussians."""
    figure = PngFigure(figsize=(2.4 * len(samples), 2.6), layout="constrained")
    for axes, (epoch, points) in zip(figure.subplots(1, len(samples), squeeze=False)[0], samples.items(), strict=True):
        axes.scatter(*points.T, s=2, alpha=0.3, linewidths=0)
        for center in CENTERS:
            axes.add_artist(Circle(tuple(center), 3 * SPREAD, fill=False, color="black", linewidth=0.8))
        axes.set(title=f"epoch {epoch}", xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal")
    return figure


RECIPE = Recipe(
    name="gan",
    paper=PAPER,
    config=Config,
    train=train,
    definition=definition,
    input_shape=lambda config: (2,) if config.data == "ring" else (28, 28, 1),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    exercises=(
        "Train the ring with the minimax loss of the equation: `deepkit run gan --data ring --loss minimax`.",
        "Give the discriminator more steps, `--discriminator-steps 5`, and count the modes again.",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
