r"""Glimpses: hard attention on MNIST, a network that classifies a digit by six small patches.

A recurrent network sees an 8x8 patch of the image, chooses the location of the next one, and classifies the digit after
six patches (Mnih et al. 2014). The computation for an image depends on the size of the patches, not on that of the
image. A drawn location has no gradient, so the location network learns by the score function (REINFORCE), with the
reward 1 for the right class. The rest of the network learns from the cross-entropy. `--policy random` trains the same
network with random locations.

In the variant `translated` the digit lies anywhere in an image of 60x60 pixels. A glimpse then has three windows of 12,
24 and 48 pixels, each averaged to 12x12: a sharp center and blurred surroundings, which show where the digit is.

    $$ \nabla_\theta J = \mathbb{E} \sum_t \nabla_\theta \log \pi_\theta(l_t \mid h_t) \, (R - b_t) $$

    deepkit run glimpses
    deepkit run glimpses --policy random
    deepkit run glimpses --variant translated
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.models import RecurrentAttentionModel
from deepkit.recipe import Claim, Deviation, Recipe, Result, Settings, main, parameters
from recipes import papers

PAPER = papers.MNIH_2014
MNIST, TRANSLATED, LEARNED = {"variant": "mnist"}, {"variant": "translated"}, {"policy": "learned"}
PUBLISHED = {  # test errors in percent by number of glimpses
    "mnist": {2: 3.79, 3: 1.51, 4: 1.54, 5: 1.34, 6: 1.12, 7: 1.07},
    "translated": {4: 1.54, 6: 1.22, 8: 1.20},
}
CLAIMS = tuple(
    Claim(
        metric="test error",
        value=percent,
        unit="%",
        where="table 1a" if variant == "mnist" else "table 1b",
        setting=f"{num_glimpses} glimpses, 8x8" if variant == "mnist" else f"{num_glimpses} glimpses, 12x12, 3 scales",
        when={"variant": variant, "num_glimpses": num_glimpses, **LEARNED},
        lower_is_better=True,
    )
    for variant, errors in PUBLISHED.items()
    for num_glimpses, percent in errors.items()
)
DEVIATIONS = (
    "Adam with one cycle of the learning rate, in place of stochastic gradient descent with momentum (section 4.1).",
    "55,000 of the 60,000 training images are used for training; 5,000 are held out to choose settings.",
    "The first glimpse is at the center of the image; in the paper it is at a random location. In a prediction, every "
    "other location is the mean of its Gaussian, so that predictions are deterministic.",
    "The mean of a location passes through a tanh, which keeps it in the image (section 4: a linear layer).",
    Deviation(
        "Random affine distortions of the training images, new ones in every epoch.",
        {**MNIST, "distort": True},
    ),
    Deviation("Random locations are uniform in the image, after a first glimpse at the center.", {"policy": "random"}),
    Deviation(
        "The larger images are generated here: training digits at new random places in every epoch, each test digit at "
        "one place for all seeds.",
        TRANSLATED,
    ),
)
METRICS = {
    "test error": "share of the misclassified test images, in percent, at the means of the locations, or with the "
    "policy random at one random path for each image; the test data is read once, at the end",
    "test error, averaged": "the same for the mean of the probabilities over 10 drawn paths for each image",
    "validation error": "the same as the test error for the 5,000 held-out training images, on which the settings were "
    "chosen",
    "spread": "standard deviation of the locations after the first one, in halves of the image; uniformly random ones "
    "have 0.577",
    "parameters": "trainable weights, including the 257 of the baseline",
}

# small rotations, scalings, shears and shifts: without them the validation loss rises before the training loss is small
DISTORTION = dk.data.Affine(rotation=10, scale=0.12, shear=0.15, shift=1.5)
NUM_PATHS = 10  # of each image in the averaged error
SIZES = {"mnist": 28, "translated": 60}
GLIMPSES: Mapping[str, Mapping[str, Any]] = {
    "mnist": {"glimpse_size": 8, "num_scales": 1},
    "translated": {"glimpse_size": 12, "num_scales": 3},
}
DEFAULTS = {"mnist": {"epochs": 80}, "translated": {"epochs": 30}}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """A network that classifies a digit by glimpses."""

    QUICK = {"seeds": 1, "epochs": 1, "units": 64}

    variant: Literal["mnist", "translated"] = "mnist"
    """Digits that fill the image, or digits anywhere in an image of 60x60 pixels."""
    policy: Literal["learned", "random"] = "learned"
    """Learned locations, or random ones as a comparison."""
    distort: bool = True
    """Whether to distort the training images of the variant mnist, in another way in every epoch."""
    num_glimpses: int = 6
    """Glimpses at each image."""
    stddev: float = 0.1
    """Standard deviation of the locations in training, in halves of the image."""
    units: int = 256
    """Width of the core."""
    epochs: int | None = None
    """Epochs of training; depends on the variant by default."""
    learning_rate: float = 2e-3
    """Peak learning rate of Adam, which follows one cycle."""
    batch_size: int = 128
    """Images per step."""

    def resolve_defaults(self) -> Mapping[str, Any]:
        """Return the settings of the variant."""
        return DEFAULTS[self.variant]


def load_data(config: Config, verbose: bool = True) -> dk.data.Data:
    """Return MNIST, or scikit-learn's digits at the same size if MNIST is not available."""
    data = dk.data.load(
        "mnist",
        batch_size=config.batch_size,
        validation=5_000,
        image_size=28,
        augment=[DISTORTION] if config.distort and config.variant == "mnist" else (),
        seed=config.seed,
        num_examples=config.max_examples,
        data_dir=config.data_dir,
        fallback="digits",
        verbose=verbose,
    )
    return translate(data, config) if config.variant == "translated" else data


def translate(data: dk.data.Data, config: Config) -> dk.data.Data:
    """Return the digits in larger images: training digits at new places in every epoch, the others at fixed ones."""
    margin = (SIZES["translated"] - 28) // 2
    splits = {name: split.arrays() for name, split in (("train", data.train), ("validation", data.validation))}
    splits["test"] = data.test.arrays()
    rng = np.random.default_rng(0)  # one test set for all seeds
    placed = {name: (place(x, margin, rng if name != "train" else None), y) for name, (x, y) in splits.items()}
    translated = dk.data.from_arrays(
        *placed["train"],
        validation=placed["validation"],
        test=placed["test"],
        batch_size=config.batch_size,
        augment=[dk.data.PadCrop(margin)],
        seed=config.seed,
        name="translated MNIST",
    )
    return dataclasses.replace(translated, stand_in_for=data.stand_in_for)


def place(images: np.ndarray, margin: int, rng: np.random.Generator | None) -> np.ndarray:
    """Return images with a margin on each side, as uint8: in the center, or at random places."""
    size = images.shape[1] + 2 * margin
    larger = np.zeros((len(images), size, size, 1), "uint8")
    offsets = np.full((len(images), 2), margin)
    if rng is not None:
        offsets = rng.integers(0, 2 * margin + 1, (len(images), 2))
    for canvas, image, (row, column) in zip(larger, images, offsets, strict=True):
        canvas[row : row + image.shape[0], column : column + image.shape[1]] = np.rint(255 * image)
    return larger


def definition(config: Config) -> dk.RecurrentAttention:
    """Return the network of a config: 209,677 weights for MNIST, 209,420 of the paper and 257 of the baseline."""
    return dk.RecurrentAttention(
        10,
        num_glimpses=config.num_glimpses,
        units=config.units,
        stddev=config.stddev,
        policy=config.policy,
        **GLIMPSES[config.variant],
    )


def train(config: Config) -> Result:
    """Train one network and measure its errors."""
    data = load_data(config)
    run = config.fit(definition(config), data, learning_rate=dk.OneCycle(config.learning_rate))
    x, y = data.test.arrays()
    is_random = config.policy == "random"
    path = run.model.glimpses(x, draw=is_random, seed=config.seed, batch_size=500)
    validation_x, validation_y = data.validation.arrays()
    validation = run.model.glimpses(validation_x, draw=is_random, seed=config.seed, batch_size=500)
    measured = {
        "test error": percent_wrong(path.logits[:, -1], y),
        "test error, averaged": percent_wrong(mean_probabilities(run.model, x, config.seed), y),
        "validation error": percent_wrong(validation.logits[:, -1], validation_y),
        "spread": float(path.locations[:, 1:].std(axis=(0, 1)).mean()) if config.num_glimpses > 1 else 0.0,
        "parameters": parameters(run.model),
    }
    return Result.of(run, data, measured)


def mean_probabilities(model: RecurrentAttentionModel, x: np.ndarray, seed: int) -> np.ndarray:
    """Return the probabilities of the classes, the mean over several drawn paths for each image."""
    total = np.zeros((len(x), model.output_shape[-1]))
    for number in range(NUM_PATHS):
        logits = model.glimpses(x, draw=True, seed=seed + number, batch_size=500).logits[:, -1]
        total += keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    return total / NUM_PATHS


def percent_wrong(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of examples whose largest output is not that of the label, in percent."""
    return 100 * float(np.mean(np.argmax(outputs, axis=-1) != labels))


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the glimpses of the first network at the first test images."""
    x, _ = load_data(config, verbose=False).test.arrays(6)
    path = results[0].model.glimpses(x, draw=config.policy == "random", seed=config.seed)
    caption = (
        "Test images with the path of the glimpses, and the patches in their order with the most probable digit after "
        "each of them; the classifier is trained for the last one"
    )
    return {caption: dk.visualize.glimpses(path, x)}


RECIPE = Recipe(
    name="glimpses",
    paper=PAPER,
    related=(papers.WILLIAMS_1992,),
    config=Config,
    train=train,
    definition=definition,
    input_shape=lambda config: (SIZES[config.variant], SIZES[config.variant], 1),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    exercises=(
        "Run `--num-glimpses 3`: how many more errors does a network with half of the glimpses make?",
        "Run `--stddev 0.02` and `--stddev 0.5`: what happens if the policy explores too little or too much?",
        "Set the baseline to a constant in `RecurrentAttentionModel.compute_loss`: which metric suffers?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
