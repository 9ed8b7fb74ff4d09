"""Depth: plain nets train worse the deeper they are; highway, residual and densely connected ones do not, on MNIST.

H is a matrix and a rectifier, in the residual net in the other order. The kinds of net differ in what passes by it.

    plain      y = H(x)
    highway    y = T(x) H(x) + (1 - T(x)) x    through a gate T that is nearly closed at first (Srivastava et al. 2015)
    residual   y = x + H(x)                    added to it (He et al. 2016)
    dense      y = [x, H(x)]                   side by side with it (Huang et al. 2017)

They are trained alike but for the step size, at 10, 20, 30 and 50 layers, with about the same number of weights at
each depth (highway up to a sixth fewer). None has normalisation, dropout or augmentation: the question is what an
optimiser can do, and the training loss answers it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Paper, Recipe, Result, Settings, error, main, parameters
from deepkit.visualize.figures import BLUE, GRAY, ORANGE
from recipes.vision.highway import HE, highway, plain

PAPER = Paper(
    title="Training Very Deep Networks",
    authors=("Rupesh Kumar Srivastava", "Klaus Greff", "Jürgen Schmidhuber"),
    year=2015,
    venue="Advances in Neural Information Processing Systems 28",
    url="https://arxiv.org/abs/1507.06228",
)
WORKSHOP = Paper(
    title="Highway Networks",
    authors=("Rupesh Kumar Srivastava", "Klaus Greff", "Jürgen Schmidhuber"),
    year=2015,
    venue="ICML Deep Learning Workshop",
    url="https://arxiv.org/abs/1505.00387",
)
RESIDUAL = Paper(
    title="Deep Residual Learning for Image Recognition",
    authors=("Kaiming He", "Xiangyu Zhang", "Shaoqing Ren", "Jian Sun"),
    year=2016,
    venue="IEEE Conference on Computer Vision and Pattern Recognition (CVPR), pp. 770-778",
    url="https://arxiv.org/abs/1512.03385",
)
DENSE = Paper(
    title="Densely Connected Convolutional Networks",
    authors=("Gao Huang", "Zhuang Liu", "Laurens van der Maaten", "Kilian Q. Weinberger"),
    year=2017,
    venue="IEEE Conference on Computer Vision and Pattern Recognition (CVPR), pp. 2261-2269",
    url="https://arxiv.org/abs/1608.06993",
)

CLAIMS = tuple(
    Claim(
        metric=f"training loss, {kind} 50",
        value=f"{loss} at 100 layers",
        where="figure 1",
        setting="MNIST, the best of a random search",
        note="here every net gets the same few passes",
    )
    for kind, loss in (("highway", "about 1e-5"), ("plain", "about 1e-1"))
)
DEVIATIONS = (
    "10, 20, 30 and 50 layers in place of 10, 20, 50 and 100 (figure 1), and far fewer passes.",
    "Trained on 55,000 of the 60,000 training images; 5,000 are kept to choose step sizes on.",
    "The step size of each net is one of a few, by validation images; momentum, decay and rectifiers are the same for "
    "all, and the gates' first bias of -4 was chosen for the deep highway nets. Figure 1 shows the best of a random "
    "search over all of these.",
    "Residual and dense nets are not in the paper. Theirs have convolutions and batch normalisation; these are fully "
    "connected and have none.",
    'A residual layer rectifies before its matrix (as in He et al. 2016b, "Identity Mappings in Deep Residual '
    'Networks"), and has one matrix in place of two. It begins at zero: without normalisation a sum of 50 '
    "layers would begin far too large.",
)
METRICS = {
    "training loss, plain 50": "cross-entropy of the plain net of 50 layers on the training images, mean over the "
    "last pass; 2.30 is to know nothing",
    "training loss, highway 50": "the same for the highway net; and so on for each kind and depth",
    "test error, plain 50": "share of the test images that are given the wrong digit, in percent; about 90 is to know "
    "nothing; read once, at the end",
    "parameters, plain 50": "trainable weights",
}

# the first step size of each kind, by depth: of a few from 0.001 to 0.2, that with the smallest validation loss after
# two passes; for highway of 20 layers the second smallest
RATES = {
    "plain": {10: 0.01, 20: 0.01, 30: 0.003, 50: 0.003},
    "highway": {10: 0.1, 20: 0.1, 30: 0.2, 50: 0.2},
    "residual": {10: 0.03, 20: 0.03, 30: 0.01, 50: 0.01},
    "dense": {10: 0.1, 20: 0.03, 30: 0.1, 50: 0.03},
}
BIAS = -4.0  # of the gates, at first: at -2 a signal is all but lost over 50 layers, 0.88 ** 49 of it is carried
UNITS = 71  # of the plain, the residual and the first dense layer; 50 in a highway, whose layers have two matrices
COLOURS = {"plain": GRAY, "highway": BLUE, "residual": ORANGE, "dense": "#2b8a3e"}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Four kinds of net at four depths; one repeat trains all of them."""

    QUICK = {"seeds": 1, "epochs": 1, "depths": (10, 20), "batch_size": 512}

    epochs: int = 15
    """Passes over the training data, for each net."""
    depths: tuple[int, ...] = (10, 20, 30, 50)
    """How many hidden layers the nets have; each kind is trained at each depth."""
    learning_rate: float | None = None
    """First step size of every net; the kind and depth's own where not given."""
    decay: float = 0.85
    """What the step size is multiplied by in the course of each pass."""
    momentum: float = 0.9
    """Share of the last step that is taken again."""
    batch_size: int = 128
    """Images in a step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.depths or min(self.depths) < 2:
            raise ValueError(
                f"depths must be whole numbers of at least 2, received {self.depths}\n  hint: --depths 10 50"
            )


def load_data(config: Config, verbose: bool = True) -> dk.data.Data:
    """Return MNIST, or scikit-learn's digits at the same size where it cannot be had."""
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


def residual(depth: int) -> dk.Sequential:
    """Return a residual net: as many weights as the plain one."""
    layer = dk.Residual([layers.ReLU(), layers.Dense(UNITS, kernel_initializer="zeros")], activation=None)
    body = [dk.MLP([UNITS], dense=HE), dk.Repeat(layer, num_repeats=depth - 1), layers.ReLU()]
    return dk.Sequential([*body, dk.Classifier(10)], name=f"residual{depth}")


def dense(depth: int) -> dk.Sequential:
    """Return a densely connected net: its layers are thinner, since each receives what all before it made."""
    layer = dk.MLP([growth(depth)], dense=HE)
    body = [dk.MLP([UNITS], dense=HE), dk.DenselyConnected(layer, num_repeats=depth - 1)]
    return dk.Sequential([*body, dk.Classifier(10)], name=f"dense{depth}")


def growth(depth: int) -> int:
    """Return the width of a dense net's layers that comes nearest to the number of weights of the plain net."""

    def more(width: int) -> int:
        """Weights of the layers behind the first, and of the classifier's connections to them."""
        return sum(width * (UNITS + i * width + 1) + 10 * width for i in range(depth - 1))

    return min(range(1, UNITS), key=lambda width: abs(more(width) - (depth - 1) * UNITS * (UNITS + 1)))


KINDS: dict[str, Callable[[int], dk.Sequential]] = {
    "plain": plain,
    "highway": partial(highway, transform_bias=BIAS),
    "residual": residual,
    "dense": dense,
}


def definition(config: Config) -> dk.Sequential:
    """Return the paper's net at the greatest depth of a config."""
    return KINDS["highway"](max(config.depths))


def optimizer(kind: str, depth: int, config: Config, steps: int) -> keras.optimizers.Optimizer:
    """Return gradient descent with momentum, its step size shrinking by the same factor in each pass of `steps`."""
    nearest = min(RATES[kind], key=lambda known: abs(known - depth))
    rate = RATES[kind][nearest] if config.learning_rate is None else config.learning_rate
    schedule = keras.optimizers.schedules.ExponentialDecay(rate, steps, config.decay)
    return keras.optimizers.SGD(schedule, momentum=config.momentum)


def train(config: Config) -> Result:
    """Train every kind at every depth, and read what each has learned."""
    data = load_data(config)
    runs = {f"{kind} {n}": train_one(kind, n, config, data) for n in config.depths for kind in KINDS}
    measured = {f"training loss, {name}": run.history["loss"][-1] for name, run in runs.items()}
    measured |= {f"test error, {name}": error(run.model, data.test) for name, run in runs.items()}
    measured |= {f"parameters, {name}": parameters(run.model) for name, run in runs.items()}
    return Result(
        measured=measured,
        data=data.summary(),
        comparable=data.stand_in_for is None,
        model=runs[f"highway {max(config.depths)}"].model,
        seconds=sum(run.seconds for run in runs.values()),
    )


def train_one(kind: str, depth: int, config: Config, data: dk.data.Data) -> dk.Run:
    """Train one net, in a folder of its own where there is one."""
    run = dk.fit(
        KINDS[kind](depth),
        data,
        epochs=config.epochs,
        run_dir=config.run_dir and config.run_dir / f"{kind}{depth}",
        plan=config.plan(),
        optimizer=optimizer(kind, depth, config, data.train.steps),
        metrics=["accuracy"],
        verbose=0,
    )
    loss = run.history["loss"][-1]
    print(f"{kind} {depth}: training loss {loss:.4g} after {run.epochs} passes, {run.seconds:.0f} s", flush=True)
    return run


def draw(config: Config, outcomes: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the training loss over the depth, a line a kind; each repeat is a point."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    depths = sorted(config.depths)
    for kind, colour in COLOURS.items():
        losses = [[o.measured[f"training loss, {kind} {depth}"] for depth in depths] for o in outcomes]
        axes.plot(depths, np.mean(losses, axis=0), color=colour, label=kind, linewidth=1.8)
        axes.plot(depths, np.transpose(losses), "o", color=colour, markersize=4)
    axes.axhline(np.log(10), color="black", linewidth=0.8, linestyle=":", label="knowing nothing")
    axes.set(yscale="log", xlabel="hidden layers", ylabel="training cross-entropy", xticks=depths)
    axes.grid(alpha=0.25, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, 0.92))
    return {f"Training loss after {config.epochs} passes over the depth, by kind of net": figure}


RECIPE = Recipe(
    name="depth",
    paper=PAPER,
    related=(WORKSHOP, RESIDUAL, DENSE),
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
