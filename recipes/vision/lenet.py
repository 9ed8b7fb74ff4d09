r"""LeNet-5 on MNIST: an exact copy of the network of 1998, and a modern version.

LeCun et al. (1998) report a test error of 0.95 %, and of 0.8 % with distorted training images. Their network has 60,000
weights: convolutions that see only some of the maps before them, pooling with its own weights, a scaled tanh between
-1.7159 and 1.7159, and outputs that measure the distance to drawings of the ten digits. The modern version keeps the
layers and their widths, but connects all maps and uses ReLU, max pooling and a softmax: 61,706 weights.

    $$ f(a) = 1.7159 \tanh\left(\tfrac{2}{3} a\right), \quad y_i = \sum_{j} (x_j - w_{ij})^2 $$

    deepkit run lenet --seeds 3
    deepkit run lenet --seeds 3 --variant original --distort
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
from deepkit.recipe import Claim, Deviation, Recipe, Result, Settings, error, main, parameters
from recipes import papers

PAPER = papers.LECUN_1998
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
    "Trained on 55,000 of the 60,000 training images; 5,000 are held out to choose settings (section III.A: all).",
    "AdamW with a warm-up and a cosine decay in mini-batches of 128, in place of the stochastic diagonal "
    "Levenberg-Marquardt method (appendix C), and 30 or 50 epochs in place of 20.",
    Deviation("ReLU, max pooling, dropout and a softmax (section II.B has none of them).", MODERN),
    Deviation("Cross-entropy with label smoothing, in place of the criterion of section II.C.", MODERN),
    Deviation(
        "Cross-entropy with label smoothing over a tenth of the negative distances, in place of equation 9; the two "
        "differ only in the constant class j and the factor.",
        ORIGINAL,
    ),
    Deviation("The drawings of the digits are our own: figure 3 shows them too small to copy.", ORIGINAL),
    Deviation(
        "Pooling is initialized as the plain average; the paper initializes every weight randomly (appendix A).",
        ORIGINAL,
    ),
    Deviation(
        "Affine and elastic distortions (Simard et al. 2003), drawn anew in every epoch, in place of 540,000 affine "
        "ones generated in advance (section III.B).",
        {"distort": True},
    ),
)
METRICS = {
    "test error": "share of misclassified test images, in percent; the test data is read once, at the end",
    "validation error": "the same for the 5,000 held-out training images, on which the settings were chosen",
    "parameters": "trainable weights",
}

# chosen on validation images
DEFAULTS = {
    ("modern", False): {"epochs": 30, "learning_rate": 3e-3, "weight_decay": 0.15, "dropout": 0.4},
    ("modern", True): {"epochs": 50, "learning_rate": 4e-3, "weight_decay": 0.02, "dropout": 0.0},
    ("original", False): {"epochs": 30, "learning_rate": 2e-3, "weight_decay": 0.1, "dropout": 0.0},
    ("original", True): {"epochs": 50, "learning_rate": 2e-3, "weight_decay": 0.02, "dropout": 0.0},
}
DISTORTIONS = (dk.data.Affine(rotation=10, scale=0.12, shear=0.15, shift=1.5), dk.data.Elastic(alpha=20, sigma=4))

# table I of the paper: the maps of S2, of 6, that each of the 16 maps of C3 is connected to
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
    """The modern or the original LeNet-5."""

    variant: Literal["modern", "original"] = "modern"
    """The modern network, or that of 1998."""
    distort: bool = False
    """Whether to distort the training images, anew in every epoch."""
    epochs: int | None = None
    """Epochs of training; depends on the variant by default."""
    learning_rate: float | None = None
    """Peak learning rate of AdamW, reached after a tenth of the steps; depends on the variant by default."""
    weight_decay: float | None = None
    """Weight decay of AdamW; depends on the variant by default."""
    dropout: float | None = None
    """Dropout rate of the two dense layers; depends on the variant by default."""
    label_smoothing: float = 0.1
    """Share of the target that is spread over all ten digits."""
    batch_size: int = 128
    """Images per step."""

    def resolve_defaults(self) -> Mapping[str, Any]:
        """Return the settings of the variant, with or without distortions."""
        return DEFAULTS[self.variant, self.distort]


def load_data(config: Config, verbose: bool = True) -> dk.data.Data:
    """Return MNIST, or scikit-learn's digits at the same size if MNIST is not available."""
    return dk.data.load(
        "mnist",
        batch_size=config.batch_size,
        validation=5_000,
        image_size=28,
        augment=DISTORTIONS if config.distort else (),
        seed=config.seed,
        num_examples=config.max_examples,
        data_dir=config.data_dir,
        fallback="digits",
        verbose=verbose,
    )


def modern(dropout: float = 0.0) -> dk.Sequential:
    """Return the modern LeNet-5: 61,706 weights on 28x28 images."""
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
    """Return LeNet-5 of 1998, layer by layer with the names of the paper: 60,000 weights on 28x28 images."""
    tanh = dk.layers.scaled_tanh
    uniform: dict[str, Any] = {"kernel_initializer": dk.layers.FanInUniform(2.4)}
    average = keras.initializers.Constant(1 / 4)  # the coefficient multiplies the sum of four
    return dk.Sequential(
        [
            layers.ZeroPadding2D(2),
            layers.Rescaling(1.275, offset=-0.1),  # background -0.1, foreground 1.175: mean 0, variance 1
            layers.Conv2D(6, 5, activation=tanh, name="c1", **uniform),
            dk.layers.Subsampling2D(2, activation=tanh, coefficient_initializer=average, name="s2"),
            dk.layers.TableConv2D(CONNECTIONS, 5, activation=tanh, name="c3", **uniform),
            dk.layers.Subsampling2D(2, activation=tanh, coefficient_initializer=average, name="s4"),
            layers.Flatten(),  # C5 sees all of its 5x5 input: a dense layer
            layers.Dense(120, activation=tanh, name="c5", **uniform),
            layers.Dropout(dropout),
            layers.Dense(84, activation=tanh, name="f6", **uniform),
            dk.layers.RBF(drawings(), name="output"),
            layers.Rescaling(-0.1, name="likeness"),  # logits: the nearest drawing has the largest
        ],
        name="lenet5_1998",
    )


def drawings() -> np.ndarray:
    """Return the drawings of the ten digits as (10, 84) points of -1 and 1: 7x12 pixels, row by row."""
    rows = [line.split() for line in DIGITS.strip().splitlines()]
    marks = [list("".join(digit_rows)) for digit_rows in zip(*rows, strict=True)]
    return np.where(np.array(marks) == "#", 1, -1).astype("float32")


def definition(config: Config) -> dk.Sequential:
    """Return the network of a config."""
    if config.variant == "modern":
        return modern(config.dropout)
    return original(config.dropout)


def train(config: Config) -> Result:
    """Train one network and measure its errors."""
    data = load_data(config)
    run = config.fit(
        definition(config),
        data,
        optimizer=keras.optimizers.AdamW(weight_decay=config.weight_decay),
        learning_rate=dk.OneCycle(config.learning_rate, warmup_fraction=0.1, start=0.0, end=0.0),
        loss=SmoothedCrossentropy(config.label_smoothing),
        metrics=["accuracy"],
    )
    measured = {
        "test error": error(run.model, data.test),
        "validation error": error(run.model, data.validation),
        "parameters": parameters(run.model),
    }
    return Result.of(run, data, measured)


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the misclassified images of the first network, its confusion matrix and its first filters."""
    data = load_data(config, verbose=False)
    model = results[0].model
    return {
        "The test images that are misclassified with the highest confidence": dk.visualize.misclassified(
            model, data.test
        ),
        "Confusion matrix": dk.visualize.confusion(model, data.test),
        "Filters of the first layer": dk.visualize.filters(model),
    }


RECIPE = Recipe(
    name="lenet",
    paper=PAPER,
    related=(papers.SIMARD_2003,),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(28, 28, 1),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    exercises=(
        "Compare the misclassified images of both variants: which digits does only the original confuse?",
        "Train the modern variant with `--dropout 0` and with `--label-smoothing 0`: which one matters more?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
