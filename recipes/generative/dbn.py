r"""Deep belief networks: a deep classifier of MNIST that is pretrained layer by layer, without labels.

Three restricted Boltzmann machines, each trained on the hidden probabilities of the one below, initialize the network
784-500-500-2000-10, which is then trained with labels. Hinton & Salakhutdinov (2006) report a test error of 1.2 %. The
same network from a random start is trained beside it, with all labels and with 100, 300 and 1,000 of them: the
pretraining helps most where labels are few.

    $$ p(v, h^1, h^2, h^3) = p(v \mid h^1) \, p(h^1 \mid h^2) \, p(h^2, h^3) $$

    deepkit run dbn
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.models import DeepBeliefNetwork
from deepkit.recipe import Claim, Curve, Recipe, Result, Settings, error, main, parameters
from deepkit.visualize.figures import PngFigure
from recipes import papers
from recipes.generative.rbm import draw_images

PAPER = papers.HINTON_2006B
UNITS = (500, 500, 2000)
LABEL_COUNTS = (100, 300, 1000)
CLAIMS = (
    Claim(
        metric="test error",
        value=1.2,
        unit="%",
        where="Hinton & Salakhutdinov 2006",
        setting="MNIST, 784-500-500-2000-10, pretrained, then backpropagation",
        when={"units": UNITS},
        lower_is_better=True,
        note="1.25 % for the generative network after the up-down algorithm (Hinton et al. 2006)",
    ),
    Claim(
        metric="parameters",
        value=1_665_010,
        where="784-500-500-2000-10",
        setting="weights and biases of the classifier",
        when={"units": UNITS},
    ),
)
DEVIATIONS = (
    "The network is discriminative after pretraining, as in Hinton & Salakhutdinov 2006; the paper trains a generative "
    "network with labels at the top by the up-down algorithm.",
    "Pixels are drawn anew in each step of the lowest machine, with their gray values as probabilities.",
    "Adam with a decreasing learning rate in fine-tuning, in place of conjugate gradients.",
    "Trained on 55,000 of the 60,000 training images; the rest chooses the best epoch.",
)
METRICS = {
    "test error": "share of the 10,000 test images that are misclassified, in percent; read once, at the end",
    "test error from a random start": "the same without pretraining",
    **{
        f"test error, {count} labels{start}": f"the same with {count} labels in fine-tuning"
        for count in LABEL_COUNTS
        for start in ("", ", from a random start")
    },
    "parameters": "trainable weights of the classifier",
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Greedy pretraining, then fine-tuning with all labels and with few."""

    QUICK = {"seeds": 1, "epochs": 1, "pretraining_epochs": 1, "units": (20, 10), "label_counts": (100,)}

    units: tuple[int, ...] = UNITS
    """Hidden units of each layer."""
    label_counts: tuple[int, ...] = LABEL_COUNTS
    """Numbers of labels, besides all."""
    pretraining_epochs: int = 30
    """Epochs of pretraining for each layer."""
    pretraining_learning_rate: float = 0.05
    """Learning rate of stochastic gradient descent without labels."""
    momentum: float = 0.5
    """Momentum in pretraining."""
    weight_decay: float = 2e-4
    """Weight decay in pretraining, a multiple of the learning rate."""
    epochs: int = 50
    """Epochs of fine-tuning at most."""
    learning_rate: float = 5e-4
    """Initial learning rate of Adam in fine-tuning; it follows half a cosine."""
    patience: int = 15
    """Epochs without a better validation accuracy after which fine-tuning ends."""
    batch_size: int = 100
    """Images per step; with few labels a tenth of them."""


def load_data(config: Config, verbose: bool = True) -> dk.data.Data:
    """Return MNIST with values from 0 to 1, or scikit-learn's digits at the same size if it is not available."""
    return dk.data.load(
        "mnist",
        batch_size=config.batch_size,
        validation=5_000,
        image_size=28,
        map=scale,
        seed=config.seed,
        num_examples=config.max_examples,
        data_dir=config.data_dir,
        fallback="digits",
        verbose=verbose,
    )


def scale(images: tf.Tensor) -> tf.Tensor:
    """Return images with values from 0 to 1."""
    return tf.cast(images, tf.float32) / 255


def network(config: Config) -> dk.DBN:
    """Return the deep belief network of a config."""
    return dk.DBN(config.units, epochs_per_layer=config.pretraining_epochs)


def definition(config: Config) -> dk.Sequential:
    """Return the classifier from a random start: 1,665,010 weights with 500, 500 and 2,000 hidden units."""
    return dk.Sequential([dk.MLP(list(config.units), activation="sigmoid"), dk.Classifier(10)], name="random_start")


def train(config: Config) -> Result:
    """Pretrain the network, and fine-tune it and the same network from a random start."""
    data = load_data(config)
    pretrained = pretrain(config, data)
    measured: dict[str, float] = {}
    classifier: keras.Model | None = None
    for count in (None, *config.label_counts):
        labeled = data if count is None else with_few_labels(data, count, config)
        text = "" if count is None else f", {count} labels"
        stack = dk.Sequential([*pretrained.encoder_layers(), dk.Classifier(10)], name="pretrained")
        model = fine_tune(stack, config, labeled, count)
        classifier = classifier or model
        measured[f"test error{text}"] = error(model, data.test)
        random_start = "test error from a random start" if count is None else f"test error{text}, from a random start"
        measured[random_start] = error(fine_tune(definition(config), config, labeled, count), data.test)
    assert classifier is not None
    return Result(
        measured={**measured, "parameters": parameters(classifier)},
        data=data.summary(),
        comparable=data.stand_in_for is None,
        model=pretrained,
        curves=error_curves(measured, config),
        seconds=config.finished_seconds(),
    )


def pretrain(config: Config, data: dk.data.Data) -> DeepBeliefNetwork:
    """Train the machines one after the other, without labels."""
    optimizer = keras.optimizers.SGD(
        config.pretraining_learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
    )
    run = config.fit(
        network(config),
        data,
        run_dir=config.run_dir and config.run_dir / "pretraining",
        epochs=len(config.units) * config.pretraining_epochs,
        optimizer=optimizer,
    )
    return run.model


def with_few_labels(data: dk.data.Data, count: int, config: Config) -> dk.data.Data:
    """Return the first training images of each class, `count` in sum, and the same validation and test images."""
    x, y = data.train.arrays()
    chosen = np.concatenate([np.flatnonzero(y == label)[: count // 10] for label in range(10)])
    return dk.data.from_arrays(
        x[chosen],
        y[chosen],
        batch_size=min(config.batch_size, max(1, count // 10)),
        validation=data.validation.arrays(),
        seed=config.seed,
        name=f"{data.name}, {count} labels",
    )


def fine_tune(net: dk.Sequential, config: Config, data: dk.data.Data, count: int | None) -> keras.Model:
    """Train a classifier with labels until the validation accuracy stops improving; return the best one."""
    folder = f"{net.name}-{count or 'all'}"
    stopping = keras.callbacks.EarlyStopping(
        "val_accuracy", mode="max", patience=config.patience, restore_best_weights=True
    )
    run = config.fit(
        net,
        data,
        run_dir=config.run_dir and config.run_dir / folder,
        learning_rate=dk.OneCycle(config.learning_rate, warmup_fraction=0.0),
        callbacks=[stopping],
    )
    return run.model


def error_curves(measured: Mapping[str, float], config: Config) -> dict[str, Curve]:
    """Return the test errors over the number of labels."""
    counts = config.label_counts
    starts = {"pretrained": "", "random start": ", from a random start"}
    return {
        name: Curve(counts, [measured[f"test error, {count} labels{start}"] for count in counts])
        for name, start in starts.items()
    }


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw samples of the deep belief network, whose chains begin at test images."""
    images = load_data(config, verbose=False).test.arrays(40)[0]
    samples = results[0].model.sample(40, start=images, num_steps=500, seed=config.seed)
    pairs = np.stack([images.reshape(2, 20, 28, 28), samples.reshape(2, 20, 28, 28)], axis=1)
    return {"Test images, each above a sample of a chain that began there": draw_images(pairs, 20)}


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the test errors with few labels."""
    figure = PngFigure(figsize=(5.0, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, color in (("pretrained", "#0072b2"), ("random start", "#d55e00")):
        curves = [result.curves[name] for result in results]
        axes.plot(curves[0].x, np.mean([curve.y for curve in curves], axis=0), color=color, marker="o", label=name)
    axes.set(xscale="log", xlabel="labels", ylabel="test error (%)", ylim=(0, None))
    axes.legend(frameon=False)
    return {"Test error with few labels": figure}


RECIPE = Recipe(
    name="dbn",
    paper=PAPER,
    related=(papers.HINTON_2006, papers.HINTON_2002),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(28, 28, 1),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    draw_curves=draw_curves,
    exercises=(
        "Pretrain each layer for 5 epochs instead of 30: at which number of labels does the difference matter?",
        "Unfold the network, `run.model.unfold()`, and train it as a deep autoencoder.",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
