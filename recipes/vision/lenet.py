"""LeNet-5 on MNIST: the network of 1998 to the last weight, and the one that is built under its name today.

The original (LeCun et al. 1998) has 60,000 weights: convolutions that see only some of the maps before them,
pooling with weights of its own, a squashing function between -1.7159 and 1.7159, and outputs that measure the
distance to drawings of the ten digits. The modern one keeps the layers and their widths, connects everything,
and has rectified units, max-pooling and a softmax: 61,706 weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.models import SmoothedCrossentropy
from deepkit.recipe import OWN, Claim, Deviation, Own, Paper, Recipe, Result, Settings, error, main, parameters

PAPER = Paper(
    title="Gradient-Based Learning Applied to Document Recognition",
    authors=("Yann LeCun", "Léon Bottou", "Yoshua Bengio", "Patrick Haffner"),
    year=1998,
    venue="Proceedings of the IEEE 86(11), pp. 2278-2324",
    url="https://doi.org/10.1109/5.726791",
)
SIMARD = Paper(
    title="Best Practices for Convolutional Neural Networks Applied to Visual Document Analysis",
    authors=("Patrice Y. Simard", "Dave Steinkraus", "John C. Platt"),
    year=2003,
    venue="International Conference on Document Analysis and Recognition (ICDAR), pp. 958-962",
)

MODERN, ORIGINAL = {"variant": "modern"}, {"variant": "original"}
CLAIMS = (
    Claim(
        metric="test error",
        value=0.95,
        unit="%",
        where="section III.B",
        setting="MNIST, no distortions",
        when={"distort": False},
        lower_is_better=True,
    ),
    Claim(
        metric="test error",
        value=0.8,
        unit="%",
        where="section III.B",
        setting="MNIST, distortions",
        when={"distort": True},
        lower_is_better=True,
    ),
)
DEVIATIONS = (
    "Trained on 55,000 of the 60,000 training images; 5,000 are kept to choose settings on (section III.A: all).",
    "AdamW with a warm-up and a cosine in mini-batches of 128, in place of the stochastic diagonal "
    "Levenberg-Marquardt method (appendix C), and more passes than the paper's 20 where the table of settings says so.",
    Deviation("Rectified units, max-pooling, dropout and a softmax (section II.B has none of them).", MODERN),
    Deviation("Cross-entropy with smoothed labels, in place of the criterion of section II.C.", MODERN),
    Deviation(
        "Cross-entropy with smoothed labels over a tenth of the negative distances, in place of equation 9: "
        "the same but for the constant class j and the factor.",
        ORIGINAL,
    ),
    Deviation("The drawings of the digits are our own: figure 3 shows them too small to copy.", ORIGINAL),
    Deviation("Pooling starts as the plain average (the paper starts every weight at random, appendix A).", ORIGINAL),
    Deviation(
        "Affine and elastic distortions (Simard et al. 2003), new ones at every pass, in place of 540,000 "
        "affine ones made beforehand (section III.B).",
        {"distort": True},
    ),
)
METRICS = {
    "test error": "share of the test images that are given the wrong digit, in percent; read once, at the end",
    "validation error": "the same for the 5,000 training images kept out, on which the settings were chosen",
    "parameters": "trainable weights",
}

# chosen on validation images
SETTINGS = {
    ("modern", False): {"epochs": 30, "learning_rate": 3e-3, "weight_decay": 0.15, "dropout": 0.4},
    ("modern", True): {"epochs": 50, "learning_rate": 4e-3, "weight_decay": 0.02, "dropout": 0.0},
    ("original", False): {"epochs": 30, "learning_rate": 2e-3, "weight_decay": 0.1, "dropout": 0.0},
    ("original", True): {"epochs": 50, "learning_rate": 2e-3, "weight_decay": 0.02, "dropout": 0.0},
}
DISTORTIONS = (dk.data.Affine(rotation=10, scale=0.12, shear=0.15, shift=1.5), dk.data.Elastic(alpha=20, sigma=4))

# table I of the paper: which of the 6 maps of S2 each of the 16 maps of C3 sees
CONNECTIONS = (
    *[tuple((m + i) % 6 for i in range(3)) for m in range(6)],
    *[tuple((m + i) % 6 for i in range(4)) for m in range(6)],
    *[(m, m + 1, (m + 3) % 6, (m + 4) % 6) for m in range(3)],
    tuple(range(6)),
)

DIGITS = """
.#####. ...#... .#####. .#####. .....#. ####### ..####. ####### .#####. .#####.
#.....# ..##... #.....# #.....# ....##. #...... .#..... #.....# #.....# #.....#
#.....# .#.#... ......# ......# ...#.#. #...... #...... ......# #.....# #.....#
#.....# ...#... ......# ......# ..#..#. #...... #...... .....#. #.....# #.....#
#.....# ...#... .....#. .....#. .#...#. #.####. #.####. .....#. .#...#. #.....#
#.....# ...#... ....#.. ..###.. #....#. ##....# ##....# ....#.. ..###.. .######
#.....# ...#... ...#... .....#. ####### ......# #.....# ....#.. .#...#. ......#
#.....# ...#... ..#.... ......# .....#. ......# #.....# ...#... #.....# ......#
#.....# ...#... .#..... ......# .....#. ......# #.....# ...#... #.....# ......#
#.....# ...#... #...... ......# .....#. ......# #.....# ..#.... #.....# ......#
#.....# ...#... #...... #.....# .....#. #.....# #.....# ..#.... #.....# .....#.
.#####. .#####. ####### .#####. .....#. .#####. .#####. ..#.... .#####. .####..
"""


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """LeNet-5 of today or of 1998."""

    variant: Literal["modern", "original"] = "modern"
    """The network of today, or that of 1998."""
    distort: bool = False
    """Whether to distort the training images, anew at every pass."""
    epochs: Own[int] = OWN
    """Passes over the training data; the variant's own where not given."""
    learning_rate: Own[float] = OWN
    """Highest step size of AdamW, reached after a tenth of the steps; the variant's own where not given."""
    weight_decay: Own[float] = OWN
    """How strongly AdamW pulls weights to zero; the variant's own where not given."""
    dropout: Own[float] = OWN
    """Share of the units of the two dense layers dropped in training; the variant's own where not given."""
    label_smoothing: float = 0.1
    """Share of the target spread over all ten digits."""
    batch_size: int = 128
    """Images in a step."""

    def own(self) -> Mapping[str, Any]:
        """Return the variant's own settings, with or without distortions."""
        return SETTINGS[self.variant, self.distort]


def load_data(config: Config, verbose: bool = True) -> dk.data.Data:
    """Return MNIST, or scikit-learn's digits at the same size where it cannot be had."""
    return dk.data.load(
        "mnist",
        batch_size=config.batch_size,
        validation=5_000,
        image_size=28,
        augment=DISTORTIONS if config.distort else (),
        seed=config.seed,
        data_dir=config.data_dir,
        fallback="digits",
        verbose=verbose,
    )


def modern(dropout: float = 0.0) -> dk.Sequential:
    """Return LeNet-5 as it is built today: 61,706 weights on 28x28 images."""
    he = {"kernel_initializer": "he_normal"}
    return dk.Sequential(
        [
            dk.ConvStack(6, num_convs=1, kernel_size=5, norm=None, conv=he),
            dk.ConvStack(16, num_convs=1, kernel_size=5, norm=None, conv={"padding": "valid", **he}),
            dk.MLP([120, 84], dropout=dropout, dense=he),
            dk.Classifier(10),
        ],
        name="lenet5",
    )


def original(dropout: float = 0.0) -> dk.Sequential:
    """Return LeNet-5 of 1998, layer by layer under the paper's names: 60,000 weights on 28x28 images."""
    squash = dk.layers.scaled_tanh
    start = {"kernel_initializer": dk.layers.FanInUniform(2.4)}
    average = keras.initializers.Constant(1 / 4)  # the coefficient multiplies the sum of four
    return dk.Sequential(
        [
            layers.ZeroPadding2D(2),
            layers.Rescaling(1.275, offset=-0.1),  # background -0.1, foreground 1.175: mean 0, variance 1
            layers.Conv2D(6, 5, activation=squash, name="c1", **start),
            dk.layers.Subsampling2D(2, activation=squash, coefficient_initializer=average, name="s2"),
            dk.layers.TableConv2D(CONNECTIONS, 5, activation=squash, name="c3", **start),
            dk.layers.Subsampling2D(2, activation=squash, coefficient_initializer=average, name="s4"),
            layers.Flatten(),  # C5 sees all of its 5x5 input: a full connection
            layers.Dense(120, activation=squash, name="c5", **start),
            layers.Dropout(dropout),
            layers.Dense(84, activation=squash, name="f6", **start),
            dk.layers.RBF(drawings(), name="output"),
            layers.Rescaling(-0.1, name="likeness"),  # logits: the nearest drawing has the largest
        ],
        name="lenet5_1998",
    )


def drawings() -> np.ndarray:
    """Return the ten digits as (10, 84) points of -1 and 1: 7x12 pixels, row by row."""
    rows = [line.split() for line in DIGITS.strip().splitlines()]
    pixels = [[[1 if mark == "#" else -1 for mark in row[digit]] for row in rows] for digit in range(10)]
    return np.array(pixels, "float32").reshape(10, 84)


def definition(config: Config) -> dk.Sequential:
    """Return the network of a config."""
    return (modern if config.variant == "modern" else original)(config.dropout)


def optimizer(config: Config, steps: int) -> keras.optimizers.Optimizer:
    """Return AdamW whose step size rises for a tenth of the steps, then falls to zero along a cosine."""
    rise = max(steps // 10, 1)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(steps - rise, 1), warmup_target=config.learning_rate, warmup_steps=rise
    )
    return keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)


def train(config: Config) -> Result:
    """Train one network and read its errors."""
    data = load_data(config)
    run = dk.fit(
        definition(config),
        data,
        epochs=config.epochs,
        run_dir=config.run_dir,
        plan=config.plan(),
        optimizer=optimizer(config, config.epochs * data.train.steps),
        loss=SmoothedCrossentropy(config.label_smoothing),
        metrics=["accuracy"],
    )
    measured = {
        "test error": error(run.model, data.test),
        "validation error": error(run.model, data.validation),
        "parameters": parameters(run.model),
    }
    return Result.of(run, data, measured)


def draw(config: Config, outcomes: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw what the first network gets wrong, and its first filters."""
    model = outcomes[0].model
    test = load_data(config, verbose=False).test
    return {
        "The worst mistakes on the test images": dk.visualize.misclassified(model, test),
        "Which digits are taken for which": dk.visualize.confusion(model, test),
        "The first layer's filters": dk.visualize.filters(model),
    }


RECIPE = Recipe(
    name="lenet",
    paper=PAPER,
    related=(SIMARD,),
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
