"""Generative adversarial networks: a generator that learns by deceiving a discriminator, on a ring and on MNIST.

The generator turns noise into examples, the discriminator says how likely an example is to be data, and each is
trained against the other (Goodfellow et al. 2014). Nothing is ever compared with an example pixel by pixel: where
the discriminator can do no better than a coin, the generator's examples are distributed as the data is.

On MNIST these are the paper's networks, judged as in its table 1: a Gaussian window around each sample, its width
chosen on validation images, and the log-likelihood of the test images under that density. On the ring,
eight narrow Gaussians in the plane, one sees what such a number hides: whether every mode of the data is generated.
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
from deepkit.recipe import OWN, Claim, Deviation, Own, Paper, Recipe, Result, Settings, main, parameters

PAPER = Paper(
    title="Generative Adversarial Nets",
    authors=(
        *("Ian J. Goodfellow", "Jean Pouget-Abadie", "Mehdi Mirza", "Bing Xu", "David Warde-Farley", "Sherjil Ozair"),
        *("Aaron Courville", "Yoshua Bengio"),
    ),
    year=2014,
    venue="Advances in Neural Information Processing Systems 27 (NIPS)",
    url="https://arxiv.org/abs/1406.2661",
)

RING, MNIST = {"data": "ring"}, {"data": "mnist"}
CLAIMS = (
    Claim(
        metric="log-likelihood",
        value=225,
        unit="nats",
        where="table 1",
        setting="MNIST, Parzen windows around samples",
        when=MNIST,
        note="± 2, the standard error of the mean over test images; the estimate rewards other things than samples do",
    ),
)
DEVIATIONS = (
    Deviation(
        "Trained on 55,000 of the 60,000 training images; settings and window are chosen on the other 5,000.",
        MNIST,
    ),
    Deviation(
        "Adam with a step size that falls along a cosine, in place of gradient descent with a momentum that rises from "
        "0.5 to 0.7 over 250 epochs; and fewer epochs than that.",
        MNIST,
    ),
    Deviation("Weights start as Glorot & Bengio (2010) propose.", MNIST),
    Deviation("The generator of the last epoch is judged.", MNIST),
    Deviation("Not in the paper: a small data set on which each mode can be counted.", RING),
    Deviation("Adam's beta_1 is 0.5, in place of the usual 0.9.", MNIST),
)
METRICS = {
    "modes covered": "Gaussians of the eight with at least 2 % of the samples within three standard deviations",
    "high quality": "share of the samples within three standard deviations of a centre, in percent; 98.9 for the data",
    "log-likelihood": "mean log density of the test images under Gaussian windows around 10,000 samples, in nats",
    "standard error": "of that mean, over test images",
    "validation log-likelihood": "the same for the 5,000 images on which the settings and the width were chosen",
    "window": "standard deviation of each Gaussian window, in the scale where black is 0 and white is 1",
    "generator parameters": "trainable weights of the generator",
    "discriminator parameters": "trainable weights of the discriminator",
}

# mnist's step size was chosen on validation images among 5e-4, 1e-3 and 2e-3; ring's by the modes that other seeds
# covered
SETTINGS = {
    "ring": {"epochs": 50, "learning_rate": 2e-3, "batch_size": 512},
    "mnist": {"epochs": 60, "learning_rate": 1e-3, "batch_size": 100},
}
RADIUS, SPREAD = 2.0, 0.05  # of the ring, and of each Gaussian on it
ANGLES = 2 * np.pi * np.arange(8) / 8
CENTRES = RADIUS * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
WINDOWS = np.geomspace(0.1, 0.5, 17)  # candidates for the width of the Parzen windows
MOMENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500)  # epochs after which samples are kept, besides the last


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """A generator and a discriminator."""

    QUICK = {"seeds": 1, "epochs": 1, "batch_size": 500}

    data: Literal["ring", "mnist"] = "mnist"
    """Eight Gaussians in the plane, or handwritten digits."""
    epochs: Own[int] = OWN
    """Passes over the training data; the data's own where not given."""
    learning_rate: Own[float] = OWN
    """Adam's first step size, of both networks; it falls to zero along a cosine; the data's own where not given."""
    batch_size: Own[int] = OWN
    """Examples in a step, and as many generated ones; the data's own where not given."""
    discriminator_steps: int = 1
    """Steps of the discriminator for each step of the generator: the paper's k."""
    loss: Literal["non_saturating", "minimax"] = "non_saturating"
    """What the generator minimises: -log D(G(z)), or log(1 - D(G(z)))."""

    def own(self) -> Mapping[str, Any]:
        """Return the data's own settings."""
        return SETTINGS[self.data]


def load_data(config: Config, verbose: bool = True) -> dk.data.Data:
    """Return points on the ring, or MNIST (scikit-learn's digits at the same size where it cannot be had)."""
    if config.data == "ring":
        points = ring(40_000, config.seed)
        return dk.data.from_arrays(points, batch_size=config.batch_size, seed=config.seed, name="ring of 8 Gaussians")
    return dk.data.load(
        "mnist",
        batch_size=config.batch_size,
        validation=5_000,
        image_size=28,
        seed=config.seed,
        data_dir=config.data_dir,
        fallback="digits",
        verbose=verbose,
    )


def ring(count: int, seed: int) -> np.ndarray:
    """Return points in the plane from eight Gaussians whose centres are evenly spread on a circle."""
    random = np.random.default_rng(seed)
    return (CENTRES[random.integers(0, 8, count)] + SPREAD * random.normal(size=(count, 2))).astype("float32")


def definition(config: Config) -> dk.GAN:
    """Return the two networks for the data of a config.

    For MNIST, as in section 5, rectified units against maxout units with dropout, as wide as in the authors' code:
    2,503,984 and 1,231,441 weights.
    """
    rules: dict[str, Any] = {"discriminator_steps": config.discriminator_steps, "loss": config.loss}
    if config.data == "ring":
        body = dk.MLP([128, 128], activation="tanh")
        return dk.GAN([body, dk.Regressor(2)], [body, dk.Classifier(1)], latent_dim=8, **rules)
    generator = [dk.MLP([1200, 1200]), dk.Regressor(784, activation="sigmoid"), layers.Reshape((28, 28, 1))]
    discriminator = [
        layers.Flatten(),
        layers.Dropout(0.2),
        dk.layers.Maxout(240, num_pieces=5),
        layers.Dropout(0.5),
        dk.layers.Maxout(240, num_pieces=5),
        dk.Classifier(1, dropout=0.5),
    ]
    return dk.GAN(generator, discriminator, latent_dim=100, prior="uniform", **rules)


class Moments(keras.callbacks.Callback):
    """Keeps what the generator makes of the same noise as training goes on; in a folder, across interruptions."""

    stateless = True  # what it keeps depends on the weights alone

    def __init__(self, count: int, last: int, folder: Path | None) -> None:
        super().__init__()
        self.count, self.last, self.folder = count, last, folder
        self.samples: dict[int, np.ndarray] = {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Draw from the same noise after some of the epochs."""
        if epoch + 1 not in (*MOMENTS, self.last):
            return
        self.samples[epoch + 1] = self.model.sample(self.count, seed=0)
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
            aside = self.folder / "aside.npy"  # never half-written under its name
            np.save(aside, self.samples[epoch + 1])
            aside.replace(self.folder / f"epoch{epoch + 1:04}.npy")

    def found(self) -> dict[int, np.ndarray]:
        """Return the samples by epoch, those of interrupted trainings too."""
        files = sorted(self.folder.glob("epoch*.npy")) if self.folder else []
        both = {int(path.stem.removeprefix("epoch")): np.load(path) for path in files} | self.samples
        return {n: both[n] for n in sorted(both) if n in (*MOMENTS, self.last) and n <= self.last}


@dataclass(frozen=True, kw_only=True)
class Trained(Result):
    """An outcome with what was generated from the same noise, by epoch."""

    samples: Mapping[int, np.ndarray] = field(default_factory=dict)


def train(config: Config) -> Trained:
    """Train both networks, and judge what the generator makes."""
    data = load_data(config)
    folder = config.run_dir and config.run_dir / "samples"
    moments = Moments(2_000 if config.data == "ring" else 10, config.epochs, folder)
    run = dk.fit(
        definition(config),
        data,
        epochs=config.epochs,
        run_dir=config.run_dir,
        plan=config.plan(),
        optimizer=keras.optimizers.Adam(beta_1=0.5),
        learning_rate=dk.OneCycle(config.learning_rate, warmup_fraction=0.0),
        callbacks=[moments],
    )
    measured = judged_ring(run.model) if config.data == "ring" else judged_images(run.model, data)
    for name in ("generator", "discriminator"):
        measured[f"{name} parameters"] = parameters(getattr(run.model, name))
    return Trained.of(run, data, measured, samples=moments.found())


def judged_ring(model: Any, count: int = 10_000) -> dict[str, float]:
    """Count the modes that samples cover, and the samples that lie in one."""
    distances = np.linalg.norm(model.sample(count, seed=1)[:, None] - CENTRES, axis=-1)  # (count, 8)
    good = distances.min(axis=1) < 3 * SPREAD
    in_mode = np.bincount(distances.argmin(axis=1)[good], minlength=8)
    return {"modes covered": float(np.sum(in_mode >= 0.02 * count)), "high quality": 100 * float(good.mean())}


def judged_images(model: Any, data: dk.data.Data, count: int = 10_000) -> dict[str, float]:
    """Return the log-likelihood of the test images by Parzen windows, as in table 1."""
    validation = examples(data.validation)
    window = dk.ParzenWindow(model.sample(count, seed=1), sigma=WINDOWS, validation=validation)
    nats, error = window.score(examples(data.test))
    return {
        "log-likelihood": nats,
        "standard error": error,
        "validation log-likelihood": window.score(validation)[0],
        "window": window.sigma,
    }


def examples(part: Any) -> np.ndarray:
    """Return the images of a part of the data as rows."""
    batches = [np.asarray(batch[0]) for batch in part]
    return np.concatenate([batch.reshape(len(batch), -1) for batch in batches])


def draw(config: Config, outcomes: Sequence[Any]) -> Mapping[str, Figure]:
    """Draw the samples of the first repeat as training goes on, and what is nearest to the last ones."""
    first = outcomes[0]
    if config.data == "ring":
        return {"The same 2,000 noise vectors as training goes on; circles: three deviations": clouds(first.samples)}
    data = load_data(config, verbose=False)
    last = first.samples[max(first.samples)]
    return {
        "The same ten noise vectors as training goes on": grid(first.samples),
        "Samples, and the training image nearest to each": grid(
            {"sample": last, "nearest": nearest(last, examples(data.train))}
        ),
    }


def nearest(samples: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return, for each sample, the row of `images` at the smallest distance."""
    rows = samples.reshape(len(samples), -1)
    found = [np.argmin(np.sum((images - row) ** 2, axis=1)) for row in rows]
    return images[found].reshape(samples.shape)


def grid(rows: Mapping[Any, np.ndarray]) -> Figure:
    """Draw rows of images, each with its name in front: an epoch, or what it shows."""
    figure = Figure(figsize=(9, 0.8 * len(rows)), layout="compressed")
    for axes, (name, images) in zip(figure.subplots(len(rows), 1, squeeze=False)[:, 0], rows.items(), strict=True):
        axes.imshow(np.hstack(list(images[..., 0])), cmap="gray_r", vmin=0, vmax=1)
        axes.set_xticks([])
        axes.set_yticks([images.shape[1] / 2], [f"epoch {name}" if isinstance(name, int) else name])
        axes.tick_params(length=0)
    return figure


def clouds(samples: Mapping[int, np.ndarray]) -> Figure:
    """Draw points in the plane by epoch, over the eight Gaussians."""
    figure = Figure(figsize=(2.4 * len(samples), 2.6), layout="constrained")
    for axes, (epoch, points) in zip(figure.subplots(1, len(samples), squeeze=False)[0], samples.items(), strict=True):
        axes.scatter(*points.T, s=2, alpha=0.3, linewidths=0)
        for centre in CENTRES:
            axes.add_artist(Circle(tuple(centre), 3 * SPREAD, fill=False, color="black", linewidth=0.8))
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
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
