r"""Denoising autoencoders: filters learned under noise, and deep networks that are pretrained with them.

An autoencoder with many hidden units can copy its input without learning anything. If a part of every training image is
hidden, the units must learn which pixels belong together in a digit, and stroke detectors appear as filters (task
`filters`). Stacked, with each layer trained on the codes of the layer below, such autoencoders initialize a deep
network of logistic units, which then makes fewer errors with few labels than the same network from a random start (task
`sdae`): Vincent et al. (2010) report a test error of 2.84 % on MNIST basic. The task `rectangles` trains the same
networks to distinguish wide from tall rectangles, with 1,000 generated images.

    $$ \min_\theta \; \mathbb{E}_{x, \tilde{x}} \, L\left(x, g_\theta(f_\theta(\tilde{x}))\right) $$

    deepkit run denoising
    deepkit run denoising --task filters
    deepkit run denoising --task rectangles
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
from deepkit.recipe import Claim, Deviation, Recipe, Result, Settings, error, main, parameters
from deepkit.utils.validation import check_fraction
from deepkit.visualize.figures import PngFigure
from recipes import papers

PAPER = papers.VINCENT_2010
FILTERS, SDAE, RECTANGLES = ({"task": task} for task in ("filters", "sdae", "rectangles"))
NOISES = (0, 10, 30, 50)  # percentages of hidden pixels; one autoencoder is trained for each
CLAIMS = (
    Claim(
        metric="filter structure, 30 % noise",
        value="stroke detectors",
        where="figure 8",
        setting="MNIST, some of the pixels hidden",
        when=FILTERS,
        note="compare with the same number at 0 % noise; random weights have 0",
    ),
    Claim(
        metric="test error",
        value=2.84,
        unit="%",
        where="table 3",
        setting="MNIST basic, SDAE-3",
        when=SDAE,
        lower_is_better=True,
        note="SAE-3 3.46, DBN-3 3.11, SVM 3.03 in the same table; unlike in the paper, the noise stays on during "
        "fine-tuning (deviation 3)",
    ),
    Claim(
        metric="test error",
        value=1.99,
        unit="%",
        where="table 3",
        setting="rect, SDAE-3",
        when=RECTANGLES,
        lower_is_better=True,
        note="SAE-3 2.41, DBN-3 2.60, SVM 2.15 in the same table; other images (deviation 8)",
    ),
)
DEVIATIONS = (
    Deviation(
        "Squared error and penalties on both weight matrices, as in lecture notes, in place of cross-entropy without "
        "a penalty.",
        FILTERS,
    ),
    Deviation(
        "The original split of MNIST basic (Larochelle et al. 2007) is not available. Here the first 10,000 training "
        "images of MNIST are the training data, the next 2,000 the validation data, and the last 40,000 with the "
        "10,000 test images the test data.",
        SDAE,
    ),
    Deviation(
        "The noise on the pixels stays on during fine-tuning, with and without pretraining; the paper uses noise only "
        "in pretraining. --fine-tuning-noise 0 turns it off.",
        SDAE,
    ),
    Deviation("1,000 units in each layer; the paper chose from 1,000 to 3,000.", SDAE | {"units": 1000}),
    Deviation("Adam, with a decreasing learning rate in fine-tuning, in place of plain gradient descent.", SDAE),
    Deviation("Settings were chosen from a few on the 2,000 validation images, with one seed.", SDAE),
    Deviation("Adam, on 55,000 of the 60,000 training images.", FILTERS),
    Deviation(
        "The original images of rect (Larochelle et al. 2007) are not available. Here they are generated in the same "
        "way: 1,000 for training, 200 for validation and 50,000 for the test, others with each seed.",
        RECTANGLES,
    ),
    Deviation(
        "1,000 units in each layer, and Adam in place of plain gradient descent; the settings are not tuned.",
        RECTANGLES | {"units": 1000},
    ),
)
METRICS = {
    "test error": "share of the 50,000 test images that are misclassified, in percent; the test data is read once, at "
    "the end",
    "test error from a random start": "the same for the same network trained the same way, but without pretraining",
    "validation error": "the same for the validation images (2,000, or 200 rectangles), on which the best epoch was "
    "chosen, and for sdae the settings",
    "validation error from a random start": "the same without pretraining",
    "parameters": "trainable weights",
    **{
        f"filter structure, {noise} % noise": "correlation of weights at neighboring pixels in the middle 20x20 of a "
        "filter, mean over the filters: 0 for random weights, near 1 for smooth strokes"
        for noise in NOISES
    },
    **{
        f"reconstruction, {noise} % noise": "squared error of a test image without noise, summed over its pixels"
        for noise in NOISES
    },
}

# the settings of sdae were chosen on validation images; those of rectangles are not tuned
PRETRAINING = {"pretraining_epochs": 40, "pretraining_noise": 0.25, "fine_tuning_noise": 0.25, "patience": 15}
DEFAULTS = {
    "filters": {"epochs": 15, "units": 500, **PRETRAINING},
    "sdae": {"epochs": 40, "units": 1000, **PRETRAINING},
    "rectangles": {
        "epochs": 100,
        "units": 1000,
        "pretraining_epochs": 200,
        "pretraining_noise": 0.1,
        "fine_tuning_noise": 0.1,
        "patience": 30,
    },
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Denoising autoencoders: their filters, or a deep network that is pretrained with them."""

    QUICK = {"seeds": 1, "epochs": 1, "pretraining_epochs": 1, "units": 50}

    task: Literal["sdae", "filters", "rectangles"] = "sdae"
    """Test errors of a deep network on MNIST basic or rectangles with and without pretraining; or filters of MNIST."""
    epochs: int | None = None
    """Epochs of training; for sdae and rectangles the maximum in fine-tuning; depends on the task by default."""
    units: int | None = None
    """Hidden units in each layer; depends on the task by default."""
    pretraining_noise: float | None = None
    """Share of the values hidden in pretraining; depends on the task by default."""
    pretraining_epochs: int | None = None
    """Epochs of pretraining for each layer; depends on the task by default."""
    pretraining_learning_rate: float = 1e-3
    """Learning rate of Adam without labels."""
    pretraining_batch_size: int = 64
    """Images per step in pretraining."""
    fine_tuning_noise: float | None = None
    """Share of the pixels hidden in fine-tuning; 0 as in the paper; depends on the task by default."""
    learning_rate: float = 2e-3
    """Initial learning rate of Adam in fine-tuning; it follows half a cosine."""
    patience: int | None = None
    """Epochs without a better validation accuracy after which fine-tuning ends; depends on the task by default."""
    weight_penalty: float = 0.001
    """Task filters: factor of the sum of all squared weights, which is added to the squared error of an image."""
    batch_size: int = 128
    """Images per step; for sdae and rectangles in fine-tuning."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("pretraining_noise", "fine_tuning_noise"):
            check_fraction(getattr(self, name), name, hint="use 0.25")

    def resolve_defaults(self) -> Mapping[str, Any]:
        """Return the settings of the task."""
        return DEFAULTS[self.task]


def load_data(config: Config, verbose: bool = True) -> dk.data.Data:
    """Return rectangles; or MNIST, split as MNIST basic for sdae, or scikit-learn's digits if it is not available."""
    if config.task == "rectangles":
        num_train, num_validation, num_test = (200, 40, 200) if config.quick else (1_000, 200, 50_000)
        return dk.data.rectangles(
            num_train + num_validation,
            num_test=num_test,
            validation=num_validation,
            seed=config.seed,
            batch_size=config.batch_size,
        )
    data = dk.data.load(
        "mnist",
        batch_size=config.batch_size,
        validation=5_000 if config.task == "filters" else 0,
        image_size=28,
        seed=config.seed,
        num_examples=config.max_examples,
        data_dir=config.data_dir,
        fallback="digits",
        verbose=verbose,
    )
    return data if config.task == "filters" else mnist_basic(data, config)


def mnist_basic(data: dk.data.Data, config: Config) -> dk.data.Data:
    """Return the split of MNIST basic: few images for training, most for the test."""
    x, y = data.train.arrays()
    test_x, test_y = data.test.arrays()
    if data.stand_in_for is None and not config.quick:
        name, num_train, num_validation, test_start = "MNIST basic", 10_000, 2_000, len(x) - 40_000
    else:  # too few images: five of six for training
        name, num_train, test_start = f"{data.name} split as MNIST basic", len(x) * 5 // 6, len(x)
        num_validation = len(x) - num_train
    validation = slice(num_train, num_train + num_validation)
    split = dk.data.from_arrays(
        x[:num_train],
        y[:num_train],
        batch_size=config.batch_size,
        validation=(x[validation], y[validation]),
        test=(np.concatenate([x[test_start:], test_x]), np.concatenate([y[test_start:], test_y])),
        seed=config.seed,
        name=name,
    )
    return dataclasses.replace(split, stand_in_for=data.stand_in_for, class_names=data.class_names)


def autoencoder(config: Config, noise: int = 30) -> dk.Autoencoder:
    """Return an autoencoder with one hidden layer of logistic units; `noise` is in percent of the pixels."""
    penalty = keras.regularizers.L2(config.weight_penalty / (28 * 28))  # Keras averages the squared error over pixels
    return dk.Autoencoder(
        dk.MLP([config.units], activation="sigmoid", dense={"kernel_regularizer": penalty}),
        corruption=dk.MaskingNoise(noise / 100, seed=config.seed),
        activation="sigmoid",
        name=f"noise{noise}",
    )


def deep_network(config: Config, pretrained: Sequence[keras.layers.Layer] = ()) -> dk.Sequential:
    """Return three pretrained or new layers of logistic units and a classifier: 2,797,010 weights with 1,000 units."""
    noise = dk.MaskingNoise(config.fine_tuning_noise, seed=config.seed)
    num_classes = 2 if config.task == "rectangles" else 10
    if pretrained:
        return dk.Sequential([noise, *pretrained, dk.Classifier(num_classes)], name="sdae")
    hidden = dk.MLP([config.units] * 3, activation="sigmoid")
    return dk.Sequential([noise, hidden, dk.Classifier(num_classes)], name="random_start")


def definition(config: Config) -> dk.Block:
    """Return the network of a config."""
    return autoencoder(config) if config.task == "filters" else deep_network(config)


def train(config: Config) -> Result:
    """Train the networks of a task."""
    return train_filters(config) if config.task == "filters" else train_sdae(config)


def train_filters(config: Config) -> Result:
    """Train an autoencoder at each level of noise and measure its filters."""
    data = load_data(config)
    runs: list[dk.Run] = []
    measured: dict[str, float] = {}
    for noise in NOISES:
        run = config.fit(
            autoencoder(config, noise),
            data,
            run_dir=config.run_dir and config.run_dir / f"noise{noise}",
            learning_rate=config.pretraining_learning_rate,
            loss="mse",
            metrics=[keras.metrics.MeanSquaredError(name="mse")],
        )
        runs.append(run)
        mse = run.model.evaluate(data.test.with_target("inputs"), verbose=0, return_dict=True)["mse"]
        measured[f"filter structure, {noise} % noise"] = filter_structure(kernels(run.model))
        measured[f"reconstruction, {noise} % noise"] = 28 * 28 * mse
    model = dk.Parallel({run.model.name: run.model for run in runs}, merge=None).build((28, 28, 1))
    return Result(
        measured=measured,
        data=data.summary(),
        comparable=data.stand_in_for is None,
        model=model,
        seconds=sum(run.seconds for run in runs),
    )


def kernels(model: keras.Model) -> np.ndarray:
    """Return the filters of an autoencoder as (units, 28, 28)."""
    return np.asarray(model.get_layer("encoder.mlp.dense").kernel).T.reshape(-1, 28, 28)


def filter_structure(filters: np.ndarray) -> float:
    """Return the mean correlation of weights at neighboring pixels, without the border, which is always black."""
    inner = filters[:, 4:24, 4:24]
    vertical = row_correlation(inner[:, 1:].reshape(len(inner), -1), inner[:, :-1].reshape(len(inner), -1))
    horizontal = row_correlation(inner[:, :, 1:].reshape(len(inner), -1), inner[:, :, :-1].reshape(len(inner), -1))
    return float(np.mean([vertical, horizontal]))


def row_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the correlation of each row of one array with the same row of the other."""
    a = a - a.mean(1, keepdims=True)
    b = b - b.mean(1, keepdims=True)
    return (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))


def train_sdae(config: Config) -> Result:
    """Train the deep network after pretraining and from a random start, and measure the errors of both."""
    data = load_data(config)
    stack = dk.pretrain(
        [config.units] * 3,
        data,
        corruption=dk.MaskingNoise(config.pretraining_noise, seed=config.seed),
        epochs=config.pretraining_epochs,
        run_dir=config.run_dir and config.run_dir / "pretraining",
        plan=config.plan(),
        batch_size=config.pretraining_batch_size,
        learning_rate=config.pretraining_learning_rate,
    )
    pretrained = fine_tune(deep_network(config, stack), config, data)
    random_start = fine_tune(deep_network(config), config, data)
    measured = {
        "test error": error(pretrained, data.test),
        "test error from a random start": error(random_start, data.test),
        "validation error": error(pretrained, data.validation),
        "validation error from a random start": error(random_start, data.validation),
        "parameters": parameters(pretrained),
    }
    return Result(
        measured=measured,
        data=data.summary(),
        comparable=data.stand_in_for is None,
        model=pretrained,
        seconds=config.finished_seconds(),
    )


def fine_tune(net: dk.Sequential, config: Config, data: dk.data.Data) -> keras.Model:
    """Train a network with labels until the validation accuracy stops improving; return the best one."""
    run = config.fit(
        net,
        data,
        run_dir=config.run_dir and config.run_dir / str(net.name),
        learning_rate=dk.OneCycle(config.learning_rate, warmup_fraction=0.0),
        callbacks=[
            keras.callbacks.EarlyStopping(
                "val_accuracy", mode="max", patience=config.patience, restore_best_weights=True
            )
        ],
    )
    return run.model


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the filters at each level of noise side by side, or the misclassified images of the deep network."""
    model = results[0].model
    if config.task == "filters":
        return {"The first 64 filters with 0, 10, 30 and 50 % of the pixels hidden": draw_filters(model)}
    test = load_data(config, verbose=False).test
    return {
        "The test images that are misclassified with the highest confidence": dk.visualize.misclassified(model, test),
        "Filters of the first layer after fine-tuning": dk.visualize.filters(model),
    }


def draw_filters(model: keras.Model) -> Figure:
    """Draw the filters of all four autoencoders in one figure, each filter in its own gray scale."""
    figure = PngFigure(figsize=(12, 3.3), layout="constrained")
    for noise, axes in zip(NOISES, figure.subplots(1, len(NOISES)), strict=True):
        images = kernels(model.get_layer(f"noise{noise}"))[:64]
        images = images / np.abs(images).max((1, 2), keepdims=True)
        side = int(np.sqrt(len(images)))  # of the grid of filters
        framed = np.pad(images[: side * side], ((0, 0), (1, 1), (1, 1)), constant_values=-1)
        grid = framed.reshape(side, side, 30, 30).swapaxes(1, 2).reshape(side * 30, side * 30)
        axes.imshow(grid, cmap="gray")
        axes.set_title(f"{noise} % noise" if noise else "no noise")
        axes.axis("off")
    return figure


RECIPE = Recipe(
    name="denoising",
    paper=PAPER,
    related=(papers.VINCENT_2008, papers.HINTON_2006),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(28, 28, 1),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    exercises=(
        "Draw `dk.data.rectangles().show()`. Why does a linear classifier fail, and what do the filters detect?",
        "Set `--pretraining-noise 0`: do the filters still look like strokes?",
        "Set `--pretraining-epochs 1` and compare the error of the fine-tuned network.",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
