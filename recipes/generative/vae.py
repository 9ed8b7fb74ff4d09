r"""Variational autoencoders on binarized MNIST: digits generated from a learned Gaussian code.

The encoder 784-500-20 maps an image to a Gaussian distribution of codes, and the decoder 20-500-784 maps a code to a
probability of ink for each pixel. Both are trained on a bound of log p(x), whose gradient passes through the sampled
code (Kingma & Welling 2014). New digits are decoded from Gaussian noise. The likelihood of the test digits is estimated
by importance sampling, as in Burda et al. 2016, who report 86.76 nats for a larger network. Their tighter bound from
several samples of the code is available too.

    $$ \log p(x) \geq \mathbb{E}_{q(z \mid x)} \log p(x \mid z) - D_\mathrm{KL}\left(q(z \mid x) \,\|\, p(z)\right) $$

    deepkit run vae
    deepkit run vae --num-importance-samples 50
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.models import VariationalAutoencoder
from deepkit.recipe import Claim, Deviation, Recipe, Result, Settings, main, parameters
from deepkit.visualize.figures import PngFigure
from recipes import papers

PAPER = papers.KINGMA_2014
CLAIMS = (
    Claim(
        metric="test bound",
        value="curves only, no number",
        unit="nats",
        where="figure 2",
        setting="MNIST, 500 hidden units",
        lower_is_better=True,
    ),
    *(
        Claim(
            metric="test NLL",
            value=nats,
            unit="nats",
            where="Burda et al. 2016, table 1",
            setting="MNIST binarized anew in each epoch, 784-200-200-50, 3,280 epochs, 5,000 samples",
            when={"num_importance_samples": num_samples},
            lower_is_better=True,
            note="two hidden layers, and about thirty times the training",
        )
        for num_samples, nats in ((1, 86.76), (50, 84.78))
    ),
)
DEVIATIONS = (
    "Adam with a warm-up and a cosine decay, in place of Adagrad (section 5).",
    "Trained on the 50,000 training images of the binarized dataset; 10,000 are held out to choose settings.",
    "The images were binarized once, by Salakhutdinov & Murray 2008.",
    "Weights are initialized as in Keras (Glorot & Bengio 2010) in place of N(0, 0.01), and have no prior (section 5).",
    Deviation("Batches of 128 images in place of 100 (section 5).", {"batch_size": 128}),
)
METRICS = {
    "test bound": "negative evidence lower bound of the test images, in nats per image, from one sample of each code; "
    "from several if the training uses several; computed once, at the end",
    "test NLL": "negative log-likelihood of the test images, in nats per image, by importance sampling",
    "validation bound": "the bound for the 10,000 held-out images, on which the settings were chosen",
    "divergence": "KL divergence of the codes of the test images from the prior, in nats per image",
    "parameters": "trainable weights",
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """The network of the paper; the learning rate and the epochs were chosen on validation images."""

    QUICK = {"seeds": 1, "epochs": 1, "units": 50, "num_likelihood_samples": 10}

    epochs: int = 80
    """Epochs of training."""
    units: int = 500
    """Hidden units of the encoder, and of the decoder."""
    latent_dim: int = 20
    """Dimension of the code."""
    num_importance_samples: int = 1
    """Samples of the code in the bound; with more than 1 it is the importance-weighted bound."""
    learning_rate: float = 4e-3
    """Peak learning rate of Adam."""
    batch_size: int = 128
    """Images per step."""
    num_likelihood_samples: int = 5000
    """Samples of the code per test image in the estimate of its likelihood."""


def load_data(config: Config, verbose: bool = True) -> dk.data.Data:
    """Return binarized MNIST, or scikit-learn's digits in black and white if it is not available."""
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


def binarize(images: tf.Tensor) -> tf.Tensor:
    """Return images of 0 and 1: threshold gray images from 0 to 255 in the middle, and keep binary ones."""
    threshold = tf.where(tf.reduce_max(images) > 1, 127.5, 0.5)
    return tf.cast(images > threshold, tf.float32)


def definition(config: Config) -> dk.VAE:
    """Return the network of a config: 815,824 weights with 500 hidden units and a code of 20."""
    hidden = dk.MLP([config.units], activation="tanh")
    return dk.VAE(
        hidden,
        latent_dim=config.latent_dim,
        decoder=hidden,
        likelihood="bernoulli",
        num_importance_samples=config.num_importance_samples,
    )


def train(config: Config) -> Result:
    """Train one network and estimate the likelihood of the test images."""
    data = load_data(config)
    run = fit(config, data)
    test = run.model.evaluate(data.test, verbose=0, return_dict=True)
    likelihood = run.model.log_likelihood(data.test, num_samples=config.num_likelihood_samples, seed=config.seed)
    measured = {
        "test bound": test["loss"],
        "test NLL": -float(likelihood.mean()),
        "validation bound": run.model.evaluate(data.validation, verbose=0, return_dict=True)["loss"],
        "divergence": test["kl"],
        "parameters": parameters(run.model),
    }
    note = f"The likelihood is estimated with {config.num_likelihood_samples:,} samples per image."
    return Result.of(run, data, measured, notes=(note,))


def fit(config: Config, data: dk.data.Data) -> dk.Run:
    """Train the network of a config."""
    learning_rate = dk.OneCycle(config.learning_rate, warmup_fraction=0.05)
    return config.fit(definition(config), data, optimizer="adam", learning_rate=learning_rate)


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw generated digits, reconstructions, and the plane of codes of a network with a two-dimensional code.

    If the code of the config has more dimensions, a second network is trained here for a fifth of the epochs; its
    training is not part of the recorded time.
    """
    model = results[0].model
    data = load_data(config, verbose=False)
    images = data.test.arrays(20)[0]
    pairs = np.stack([images.reshape(2, 10, 28, 28), model.reconstruct(images).reshape(2, 10, 28, 28)], axis=1)
    figures = {
        "Digits decoded from noise": draw_images(model.sample(100, seed=config.seed), columns=10),
        "Test images, each above its reconstruction": draw_images(pairs, columns=10),
    }
    if config.latent_dim != 2:
        two_dimensional = dataclasses.replace(config, latent_dim=2, epochs=max(1, config.epochs // 5), run_dir=None)
        model = fit(two_dimensional, data).model
    figures["Digits decoded from the plane of two-dimensional codes"] = draw_images(decode_plane(model), columns=20)
    return figures


def decode_plane(model: VariationalAutoencoder, side: int = 20) -> np.ndarray:
    """Decode codes at equal steps of the prior's probability, as in figure 4 of the paper."""
    steps = [NormalDist().inv_cdf((i + 0.5) / side) for i in range(side)]
    codes = [(horizontal, vertical) for vertical in reversed(steps) for horizontal in steps]
    return model.decode(np.array(codes, "float32"))


def draw_images(images: np.ndarray, columns: int) -> Figure:
    """Draw images of 28x28 pixels in rows, with black ink."""
    rows = images.reshape(-1, columns, 28, 28)
    grid = rows.swapaxes(1, 2).reshape(len(rows) * 28, columns * 28)
    figure = PngFigure(figsize=(6, 6 * len(rows) / columns), layout="constrained")
    axes = figure.subplots()
    axes.imshow(grid, cmap="gray_r", vmin=0, vmax=1)
    axes.set_axis_off()
    return figure


RECIPE = Recipe(
    name="vae",
    paper=PAPER,
    related=(papers.BURDA_2016,),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(28, 28, 1),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    exercises=(
        "Set `--latent-dim 2` and compare the bound and the samples.",
        "Tighten the bound with `--num-importance-samples 50`, and compare training time and likelihood.",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
