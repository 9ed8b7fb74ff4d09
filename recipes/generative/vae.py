"""Variational autoencoders on binarised MNIST: a code of Gaussian noise, learned with the digits it stands for.

The encoder 784-500-20 says which codes z an image may come from, as a Gaussian; the decoder 20-500-784 says which
image a code stands for, as a probability of ink for each pixel. Both are trained on a bound of log p(x), whose gradient
passes through the drawn code (Kingma & Welling 2014). New digits come from decoding plain noise. How likely the
test digits are under the model is estimated by importance sampling, as Burda et al. 2016 do, whose tighter bound of
several draws is here too: `--num-importance-samples 5`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Deviation, Paper, Recipe, Result, Settings, main, parameters

PAPER = Paper(
    title="Auto-Encoding Variational Bayes",
    authors=("Diederik P. Kingma", "Max Welling"),
    year=2014,
    venue="International Conference on Learning Representations (ICLR)",
    url="https://arxiv.org/abs/1312.6114",
)
IWAE = Paper(
    title="Importance Weighted Autoencoders",
    authors=("Yuri Burda", "Roger Grosse", "Ruslan Salakhutdinov"),
    year=2016,
    venue="International Conference on Learning Representations (ICLR)",
    url="https://arxiv.org/abs/1509.00519",
)

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
            setting="MNIST binarised anew at each pass, 784-200-200-50, 3,280 passes, 5,000 samples",
            when={"num_importance_samples": samples},
            lower_is_better=True,
            note="two hidden layers, and some thirty times the training",
        )
        for samples, nats in ((1, 86.76), (50, 84.78))
    ),
)
DEVIATIONS = (
    "Adam, whose step size rises and then falls to zero along a cosine, in place of Adagrad (section 5).",
    "Trained on the 50,000 training images of the binarised set; 10,000 are kept to choose settings on.",
    "The images were binarised once, by Salakhutdinov & Murray 2008.",
    "Keras's initial weights (Glorot & Bengio 2010) in place of N(0, 0.01), and no prior on the weights (section 5).",
    Deviation("Batches of 128 images in place of 100 (section 5).", {"batch_size": 128}),
)
METRICS = {
    "test bound": "negative evidence lower bound of the test images, in nats an image; from one draw of each code, at "
    "the end; of several draws where the training has several",
    "test NLL": "negative log-likelihood of the test images, in nats an image, by importance sampling",
    "validation bound": "the bound for the 10,000 images kept out, on which the settings were chosen",
    "divergence": "of the codes of the test images from the prior, in nats: what the code says of an image",
    "parameters": "trainable weights",
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """The paper's network; the schedule was chosen on validation images."""

    QUICK = {"seeds": 1, "epochs": 1, "hidden": 50, "likelihood_samples": 10}

    epochs: int = 80
    """Passes over the training data."""
    hidden: int = 500
    """Hidden units, in the encoder and in the decoder."""
    latent_dim: int = 20
    """Numbers in the code."""
    num_importance_samples: int = 1
    """Draws of the code in the bound; above 1, the importance-weighted bound."""
    learning_rate: float = 4e-3
    """Highest step size of Adam."""
    batch_size: int = 128
    """Images in a step."""
    likelihood_samples: int = 5000
    """Draws for each test image when its likelihood is estimated."""


def load_data(config: Config, verbose: bool = True) -> dk.data.Data:
    """Return binarised MNIST, or scikit-learn's digits, in black and white, where it cannot be had."""
    return dk.data.load(
        "binarized_mnist",
        batch_size=config.batch_size,
        image_size=28,
        map=black_and_white,
        seed=config.seed,
        data_dir=config.data_dir,
        fallback="digits",
        verbose=verbose,
    )


def black_and_white(images: Any) -> Any:
    """Return images of 0 and 1: those that are stay, grey ones from 0 to 255 are cut in the middle."""
    middle = tf.where(tf.reduce_max(images) > 1, 127.5, 0.5)
    return tf.cast(images > middle, tf.float32)


def definition(config: Config) -> dk.VAE:
    """Return the network: 815,824 weights with 500 hidden units and a code of 20."""
    hidden = dk.MLP([config.hidden], activation="tanh")
    return dk.VAE(
        hidden,
        latent_dim=config.latent_dim,
        decoder=hidden,
        likelihood="bernoulli",
        num_importance_samples=config.num_importance_samples,
    )


def train(config: Config) -> Result:
    """Train one network, and measure how likely it finds the test images."""
    data = load_data(config)
    run = train_one(config, data)
    test = run.model.evaluate(data.test, verbose=0, return_dict=True)
    likelihood = run.model.log_likelihood(data.test, num_samples=config.likelihood_samples, seed=config.seed)
    measured = {
        "test bound": test["loss"],
        "test NLL": -float(likelihood.mean()),
        "validation bound": run.model.evaluate(data.validation, verbose=0, return_dict=True)["loss"],
        "divergence": test["kl"],
        "parameters": parameters(run.model),
    }
    note = f"The likelihood is estimated with {config.likelihood_samples:,} samples an image."
    return Result.of(run, data, measured, notes=(note,))


def train_one(config: Config, data: dk.data.Data) -> dk.Run:
    """Train the network of a config."""
    return dk.fit(
        definition(config),
        data,
        epochs=config.epochs,
        run_dir=config.run_dir,
        plan=config.plan(),
        optimizer="adam",
        learning_rate=dk.OneCycle(config.learning_rate, warmup_fraction=0.05),
    )


def draw(config: Config, outcomes: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw new digits, reconstructions, and all the codes of a network that has only two numbers in them.

    Where the code has more, that is a second network, trained here and not in the recorded time.
    """
    model = outcomes[0].model
    if model is None:
        return {}
    data = load_data(config, verbose=False)
    test: Any = data.test
    images = test.arrays(20)[0]
    pairs = np.stack([images.reshape(2, 10, 28, 28), model.reconstruct(images).reshape(2, 10, 28, 28)], axis=1)
    figures = {
        "Digits decoded from noise": sheet(model.sample(100, seed=config.seed), columns=10),
        "Test images, and below each what its code is decoded to": sheet(pairs, columns=10),
    }
    if (
        config.latent_dim != 2
    ):  # a plane of codes needs a network of its own: a fifth of the passes are enough to see it
        short = replace(config, latent_dim=2, epochs=max(1, config.epochs // 5), run_dir=None)
        model = train_one(short, data).model
    return figures | {"The plane of codes of a network with two numbers in its code": sheet(plane(model), columns=20)}


def plane(model: Any, side: int = 20) -> np.ndarray:
    """Return what codes at even steps of the prior's probability are decoded to, as figure 4 of the paper has it."""
    steps = [NormalDist().inv_cdf((i + 0.5) / side) for i in range(side)]
    codes = [(across, up) for up in reversed(steps) for across in steps]
    return model.decode(np.array(codes, "float32"))


def sheet(images: np.ndarray, columns: int) -> Figure:
    """Return images of 28x28 pixels side by side in rows, ink in black."""
    rows = images.reshape(-1, columns, 28, 28)
    joined = rows.swapaxes(1, 2).reshape(len(rows) * 28, columns * 28)
    figure = Figure(figsize=(6, 6 * len(rows) / columns), layout="constrained")
    axes = figure.subplots()
    axes.imshow(joined, cmap="gray_r", vmin=0, vmax=1)
    axes.set_axis_off()
    return figure


RECIPE = Recipe(
    name="vae",
    paper=PAPER,
    related=(IWAE,),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(28, 28, 1),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
