r"""Linear classifiers: scores, losses and templates, from an image of four pixels to MNIST and CIFAR-10.

A linear classifier multiplies the pixels of an image with a matrix: each class has a row of weights, and the product of
the row with the image, plus a bias, is the score of the class. A row has the shape of an image, so it can be looked at:
it is the template of its class. One template must serve all images of a class, which limits the accuracy.

Two losses turn scores into a number to minimize. The softmax loss is the negative logarithm of the probability of the
right class; the hinge loss demands that the score of the right class exceeds all others by 1. The recipe computes the
examples of the lecture notes exactly, trains a linear classifier with each loss on CIFAR-10, and compares it with one
hidden layer of 100 units. A network for digits of 16 x 16 pixels is trained with cross-entropy and with squared error.

    $$ s = W x + b, \quad L = -\log \frac{e^{s_y}}{\sum_j e^{s_j}} \text{ or } \sum_{j \ne y} \max(0, s_j - s_y + 1) $$

    deepkit run linear_classifier
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Curve, Recipe, Result, Settings, error, main
from deepkit.visualize.figures import BLUE, GRAY, ORANGE, subplots
from recipes import papers
from recipes.basics.bands import draw_range, finish

PAPER = papers.JOHNSON_2019
CLAIMS = (
    *(
        Claim(metric=f"score, {name}", value=value, where="lecture notes, bias trick", setting=setting, tolerance=half)
        for name, value, half, setting in (
            ("cat", -96.8, 0.05, "four pixels, three classes"),
            ("dog", 437.9, 0.05, "four pixels, three classes"),
            ("ship without bias", 61.95, 0.005, "printed as the score with the bias, which is 60.75"),
        )
    ),
    Claim(
        metric="difference of f(cx) and c f(x)",
        value=0,
        where="lecture notes, predictions are linear",
        setting="without bias, relative to the largest score",
        tolerance=1e-6,
        lower_is_better=True,
    ),
    Claim(
        metric="softmax loss, cat",
        value=2.04,
        where="lecture notes, cross-entropy loss",
        setting="scores 3.2, 5.1 and -1.7",
        tolerance=0.005,
    ),
    Claim(
        metric="initial loss",
        value=2.3,
        where="lecture notes, cross-entropy loss",
        setting="ten classes, small random scores: log 10",
        tolerance=0.05,
    ),
    Claim(
        metric="test error, MNIST softmax",
        value=12.0,
        unit="%",
        where="LeCun et al. 1998, section III.C",
        setting="a linear classifier on the pixels",
        lower_is_better=True,
    ),
)
DEVIATIONS = (
    "The notes print 61.95 for the score of ship; that is the score without the bias of -1.2, and 60.75 is right.",
    "The notes print the formulas of the hinge loss and of the mean squared error without their values: 2.9 for the "
    "scores 3.2, 5.1 and -1.7 of a cat, and 2433.33 for the three printed rows of grades.",
    "Adam with a cosine schedule, its learning rates and epochs chosen on validation images; the notes leave the "
    "optimizer of the linear classifier open.",
    "5,000 training images of each dataset are held out for validation; LeCun et al. train on all 60,000 images "
    "of MNIST.",
    "The notes binarize the digits of 16 x 16 pixels (ink 1, no ink 0); here they are gray. The squared error is that "
    "of the softmax probabilities.",
)
METRICS = {
    "score, cat": "score of the class cat for the image with four pixels",
    "score, dog": "the same for dog",
    "score, ship": "the same for ship",
    "score, ship without bias": "the same without the bias",
    "difference of f(cx) and c f(x)": "largest difference for c = 0.5, 2 and 10, relative to the largest score",
    "hinge loss, cat": "hinge loss of the scores 3.2, 5.1 and -1.7, of which the first belongs to the right class",
    "softmax loss, cat": "softmax loss of the same scores",
    "mean squared error, grades": "of the predicted grades 30, 80 and 85, and the right ones 90, 20 and 95",
    "initial loss": "softmax loss on CIFAR-10 before training, with random weights of standard deviation 0.001",
    "test error, MNIST softmax": "share of misclassified test images of MNIST, in percent: linear, softmax loss",
    "test error, 16x16 cross-entropy": "the same for MNIST at 16 x 16 pixels and hidden layers of 300 and 100 units",
    "test error, 16x16 squared error": "the same network, trained with squared error",
    "test accuracy, CIFAR-10 softmax": "share of test images of CIFAR-10 that are classified correctly, in percent: "
    "linear, softmax loss",
    "test accuracy, CIFAR-10 hinge": "the same for the hinge loss",
    "test accuracy, CIFAR-10 3072-100-10": "the same for one hidden layer of 100 units, softmax loss",
}

IMAGE = np.array([[56.0, 231.0, 24.0, 2.0]])
WEIGHTS = np.array([[0.2, -0.5, 0.1, 2.0], [1.5, 1.3, 2.1, 0.0], [0.0, 0.25, 0.2, -0.3]])
BIASES = np.array([1.1, 3.2, -1.2])
SCORES = np.array([[3.2, 5.1, -1.7]])  # of cat, car and frog for the image of a cat
GRADES, RIGHT_GRADES = np.array([[30.0, 80.0, 85.0]]), np.array([[90.0, 20.0, 95.0]])
SMALL = {"kernel_initializer": keras.initializers.RandomNormal(stddev=0.001)}
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Six classifiers; one repeat trains all of them."""

    QUICK = {"seeds": 1, "epochs": 1}
    QUICK_EXAMPLES = 250

    seeds: int = 3
    """Number of repeats."""
    epochs: int = 12
    """Epochs of training for each classifier."""
    batch_size: int = 250
    """Images per step."""


def load_data(config: Config, name: str, image_size: int) -> dk.data.Data:
    """Return MNIST or CIFAR-10, or scikit-learn's digits at the same size if it is not available."""
    return dk.data.load(
        name,
        batch_size=config.batch_size,
        validation=5_000,
        image_size=image_size,
        seed=config.seed,
        num_examples=config.max_examples,
        data_dir=config.data_dir,
        fallback="digits",
    )


def linear(loss: str = "crossentropy") -> dk.Sequential:
    """Return a linear classifier of pixels, which are rescaled from [0, 1] to [-1, 1]."""
    return dk.Sequential([layers.Rescaling(2.0, offset=-1.0), dk.Classifier(10, loss=loss, dense=SMALL)], name="linear")


def mlp(units: Sequence[int], activation: str | None = None) -> dk.Sequential:
    """Return a classifier with hidden layers; without them it would be linear."""
    return dk.Sequential([layers.Rescaling(2.0, offset=-1.0), dk.MLP(units), dk.Classifier(10, activation=activation)])


def definition(config: Config) -> dk.Sequential:
    """Return the linear classifier of CIFAR-10: 30,730 weights."""
    return linear()


def squared_error(labels: Any, probabilities: Any) -> Any:
    """Return the sum of the squared differences between probabilities and one-hot labels."""
    target = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), probabilities.shape[-1])
    return ops.sum(ops.square(probabilities - target), axis=-1)


def worked_examples() -> Mapping[str, float]:
    """Compute the examples of the lecture notes with the classifier and the losses of deepkit and Keras."""
    model = dk.Classifier(3).build((4,))
    model.set_weights([WEIGHTS.T, BIASES])
    values = {f"score, {name}": value for name, value in zip(("cat", "dog", "ship"), scores(model, IMAGE), strict=True)}
    model.set_weights([WEIGHTS.T, np.zeros(3)])
    without_bias = scores(model, IMAGE)
    values["score, ship without bias"] = without_bias[2]
    differences = [np.abs(scores(model, c * IMAGE) - c * without_bias).max() / c for c in (0.5, 2.0, 10.0)]
    values["difference of f(cx) and c f(x)"] = max(differences) / np.abs(without_bias).max()
    softmax_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    values["hinge loss, cat"] = dk.losses.MulticlassHinge()(np.array([0]), SCORES)
    values["softmax loss, cat"] = softmax_loss(np.array([0]), SCORES)
    values["mean squared error, grades"] = keras.losses.MeanSquaredError()(RIGHT_GRADES, GRADES)
    return {name: float(value) for name, value in values.items()}


def scores(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Return the scores of the classes for one example."""
    return np.asarray(model(x))[0]


def initial_loss(data: dk.data.Data) -> float:
    """Return the softmax loss of a linear classifier with small random weights, before any training."""
    x, labels = data.train.arrays(1000)
    outputs = linear().build(x.shape[1:])(x)
    return float(keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, outputs))


def fit(
    config: Config, name: str, net: dk.Sequential, data: dk.data.Data, learning_rate: float, **kwargs: Any
) -> dk.Run:
    """Train one classifier, in its own folder of the run directory."""
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, config.epochs * data.train.steps)
    run_dir = config.run_dir and config.run_dir / name
    optimizer = keras.optimizers.Adam(schedule)
    return config.fit(net, data, run_dir=run_dir, optimizer=optimizer, metrics=["accuracy"], verbose=0, **kwargs)


def train(config: Config) -> Result:
    """Compute the worked examples, and train six classifiers."""
    cifar, mnist, small_mnist = (load_data(config, *data) for data in (("cifar10", 32), ("mnist", 28), ("mnist", 16)))
    measured = {**worked_examples(), "initial loss": initial_loss(cifar)}
    digits = (300, 100)
    runs = {
        "CIFAR-10 softmax": fit(config, "cifar_softmax", linear(), cifar, 1e-3),
        "CIFAR-10 hinge": fit(config, "cifar_hinge", linear("hinge"), cifar, 1e-3),
        "CIFAR-10 3072-100-10": fit(config, "cifar_hidden", mlp([100]), cifar, 1e-3),
        "MNIST softmax": fit(config, "mnist_softmax", linear(), mnist, 3e-3),
        "16x16 cross-entropy": fit(config, "16_crossentropy", mlp(digits), small_mnist, 4e-3),
        "16x16 squared error": fit(config, "16_squared", mlp(digits, "softmax"), small_mnist, 4e-3, loss=squared_error),
    }
    for name, run in runs.items():
        if name.startswith("CIFAR"):
            measured[f"test accuracy, {name}"] = 100 - error(run.model, cifar.test)
        else:
            measured[f"test error, {name}"] = error(run.model, (mnist if "MNIST" in name else small_mnist).test)
    epochs = range(1, config.epochs + 1)
    return Result(
        measured=measured,
        data=f"{cifar.summary()}; {mnist.summary()}",
        comparable=cifar.stand_in_for is None and mnist.stand_in_for is None,
        model=runs["CIFAR-10 softmax"].model,
        curves={
            name: Curve(epochs, [100 * value for value in run.history["val_accuracy"]]) for name, run in runs.items()
        },
        seconds=sum(run.seconds for run in runs.values()),
    )


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the templates of the softmax classifier of the first repeat."""
    names = CIFAR_CLASSES if results[0].comparable else ()
    figure = dk.visualize.templates(results[0].model, class_names=names)
    return {"Templates: the weights of each class, for the softmax loss on CIFAR-10, first repeat": figure}


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the accuracy on validation images over the epochs."""
    figure, axes = subplots(1, 2, 4.4, 3.4)
    cifar = {"CIFAR-10 softmax": BLUE, "CIFAR-10 hinge": ORANGE, "CIFAR-10 3072-100-10": GRAY}
    draw_accuracies(axes[0, 0], results, cifar)
    draw_accuracies(axes[0, 1], results, {"16x16 cross-entropy": BLUE, "16x16 squared error": ORANGE})
    axes[0, 0].set(title="CIFAR-10: linear, one hidden layer", ylabel="accuracy on validation images (%)")
    axes[0, 1].set(title="MNIST at 16 x 16: one network, two losses")
    return {"Accuracy on validation images over the epochs, mean and range over the repeats": figure}


def draw_accuracies(axes: Axes, results: Sequence[Result], colors: Mapping[str, str]) -> None:
    """Draw the mean of each curve over the repeats as a line, and the range as a band."""
    for name, color in colors.items():
        draw_range(axes, results, name, color=color, marker="o", markersize=3, label=name.partition(" ")[2])
    finish(axes, xlabel="epoch")


RECIPE = Recipe(
    name="linear_classifier",
    paper=PAPER,
    related=(papers.WESTON_1999, papers.LECUN_1998),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(32, 32, 3),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    draw_curves=draw_curves,
    annotated=(linear, mlp, worked_examples),
    exercises=(
        "Draw the templates of the hinge loss: are they smoother or noisier than those of the softmax loss?",
        "Set the standard deviation in `SMALL` to 1. What is the initial loss, and why is it not log 10?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
