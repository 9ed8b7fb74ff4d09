"""Depth: plain networks train worse the deeper they are; highway, residual and densely connected ones do not, on MNIST.

H is a matrix and a ReLU (in the residual network in reverse order). The kinds of network differ in how a layer combines
H(x) with its input x:

    plain      y = H(x)
    highway    y = T(x) H(x) + (1 - T(x)) x    through a gate T, initially nearly closed (Srivastava et al. 2015)
    residual   y = x + H(x)                    by addition (He et al. 2016)
    dense      y = [x, H(x)]                   by concatenation (Huang et al. 2017)

Srivastava et al. report a training loss of about 1e-5 for a highway network of 100 layers, and of about 1e-1 for a
plain one. Here the kinds are trained in the same way except for the learning rate, at 10, 20, 30 and 50 layers, with
about the same number of weights at each depth (highway up to a sixth fewer). None has normalization, dropout or
augmentation: the recipe measures what an optimizer can achieve, which is the training loss.

    $$ y = T(x) H(x) + (1 - T(x)) x $$

    deepkit run depth
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
from deepkit.recipe import Claim, Recipe, Result, Settings, error, main, parameters
from deepkit.utils.errors import message
from deepkit.visualize.figures import BLUE, GRAY, GREEN, ORANGE, PngFigure
from recipes import papers
from recipes.vision.highway import HE, highway, plain

PAPER = papers.SRIVASTAVA_2015
CLAIMS = tuple(
    Claim(
        metric=f"training loss, {kind} 50",
        value=f"{loss} at 100 layers",
        where="figure 1",
        setting="MNIST, the best of a random search",
        note="here every network is trained for the same, smaller number of epochs",
    )
    for kind, loss in (("highway", "about 1e-5"), ("plain", "about 1e-1"))
)
DEVIATIONS = (
    "10, 20, 30 and 50 layers in place of 10, 20, 50 and 100 (figure 1), and far fewer epochs.",
    "Trained on 55,000 of the 60,000 training images; 5,000 are held out to choose learning rates.",
    "The learning rate of each network is chosen from a few, on validation images; momentum, decay and ReLU are the "
    "same for all, and the initial gate bias of -4 was chosen for the deep highway networks. Figure 1 shows the best "
    "of a random search over all of these.",
    "Residual and dense networks are not in the paper. In their own papers they have convolutions and batch "
    "normalization; here they are fully connected without normalization.",
    'A residual layer applies ReLU before its matrix (as in He et al. 2016b, "Identity Mappings in Deep Residual '
    'Networks"), and has one matrix in place of two. The matrix is initialized with zeros: without normalization, the '
    "sum of 50 layers would be far too large.",
)
METRICS = {
    "training loss, plain 50": "cross-entropy of the plain network of 50 layers on the training images, mean over the "
    "last epoch; 2.30 is chance",
    "training loss, highway 50": "the same for the highway network, and likewise for each kind and depth",
    "test error, plain 50": "share of misclassified test images, in percent; about 90 is chance; the test data is read "
    "once, at the end",
    "parameters, plain 50": "trainable weights",
}

# Initial learning rate of each kind by depth: of a few from 0.001 to 0.2, the one with the smallest validation loss
# after two epochs; for the highway network of 20 layers the second smallest.
LEARNING_RATES = {
    "plain": {10: 0.01, 20: 0.01, 30: 0.003, 50: 0.003},
    "highway": {10: 0.1, 20: 0.1, 30: 0.2, 50: 0.2},
    "residual": {10: 0.03, 20: 0.03, 30: 0.01, 50: 0.01},
    "dense": {10: 0.1, 20: 0.03, 30: 0.1, 50: 0.03},
}
# initial bias of the gates; with -2, which keeps 0.88 of a signal per layer, almost nothing is left after 50 layers
GATE_BIAS = -4.0
# width of the plain, the residual and the first dense layer; 50 in a highway layer, which has two matrices
UNITS = 71
COLORS = {"plain": GRAY, "highway": BLUE, "residual": ORANGE, "dense": GREEN}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Four kinds of network at several depths; one repeat trains all of them."""

    QUICK = {"seeds": 1, "epochs": 1, "depths": (10,), "batch_size": 512}

    epochs: int = 15
    """Epochs of training for each network."""
    depths: tuple[int, ...] = (10, 20, 30, 50)
    """Numbers of hidden layers; each kind of network is trained at each depth."""
    learning_rate: float | None = None
    """Initial learning rate of every network; depends on the kind and the depth by default."""
    decay_rate: float = 0.85
    """Factor by which the learning rate decreases in each epoch."""
    momentum: float = 0.9
    """Momentum of SGD."""
    batch_size: int = 128
    """Images per step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.depths or min(self.depths) < 2:
            problem = f"depths must be integers of at least 2, received {self.depths}"
            raise ValueError(message(problem, hint="use --depths 10 50"))


def load_data(config: Config, verbose: bool = True) -> dk.data.Data:
    """Return MNIST, or scikit-learn's digits at the same size if MNIST is not available."""
    return dk.data.load(
        "mnist",
        batch_size=config.batch_size,
        validation=5_000,
        image_size=28,
        seed=config.seed,
        num_examples=config.max_examples,
        data_dir=config.data_dir,
        fallback="digits",
        verbose=verbose,
    )


def residual(depth: int) -> dk.Sequential:
    """Return a residual network with as many weights as the plain one."""
    first = dk.MLP([UNITS], dense=HE)
    layer = dk.Residual([layers.ReLU(), layers.Dense(UNITS, kernel_initializer="zeros")], activation=None)
    body = dk.Repeat(layer, num_repeats=depth - 1)
    return dk.Sequential([first, body, layers.ReLU(), dk.Classifier(10)], name=f"residual{depth}")


def dense(depth: int) -> dk.Sequential:
    """Return a densely connected network; its layers are narrower, because each receives all previous outputs."""
    first = dk.MLP([UNITS], dense=HE)
    body = dk.DenselyConnected(dk.MLP([growth(depth)], dense=HE), num_repeats=depth - 1)
    return dk.Sequential([first, body, dk.Classifier(10)], name=f"dense{depth}")


def growth(depth: int) -> int:
    """Return the width of the layers of a dense network with about as many weights as the plain one."""

    def count_weights(width: int) -> int:
        """Count the weights after the first layer, with those to the classifier."""
        return sum(width * (UNITS + i * width + 1) + 10 * width for i in range(depth - 1))

    return min(range(1, UNITS), key=lambda width: abs(count_weights(width) - (depth - 1) * UNITS * (UNITS + 1)))


KINDS: dict[str, Callable[[int], dk.Sequential]] = {
    "plain": plain,
    "highway": partial(highway, transform_bias=GATE_BIAS),
    "residual": residual,
    "dense": dense,
}


def definition(config: Config) -> dk.Sequential:
    """Return the highway network at the greatest depth of a config."""
    return KINDS["highway"](max(config.depths))


def train(config: Config) -> Result:
    """Train every kind of network at every depth and measure losses and errors."""
    data = load_data(config)
    runs = {f"{kind} {depth}": train_one(kind, depth, config, data) for depth in config.depths for kind in KINDS}
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
    """Train one network in its own folder of the run directory."""
    run = config.fit(
        KINDS[kind](depth),
        data,
        run_dir=config.run_dir and config.run_dir / f"{kind}{depth}",
        optimizer=optimizer(kind, depth, config, data.train.steps),
        metrics=["accuracy"],
        verbose=0,
    )
    loss = run.history["loss"][-1]
    print(f"{kind} {depth}: training loss {loss:.4g} after {run.epochs} epochs, {run.seconds:.0f} s", flush=True)
    return run


def optimizer(kind: str, depth: int, config: Config, steps_per_epoch: int) -> keras.optimizers.SGD:
    """Return SGD with momentum, whose learning rate decreases by the same factor in each epoch."""
    learning_rate = config.learning_rate
    if learning_rate is None:
        nearest = min(LEARNING_RATES[kind], key=lambda tuned: abs(tuned - depth))
        learning_rate = LEARNING_RATES[kind][nearest]
    schedule = keras.optimizers.schedules.ExponentialDecay(learning_rate, steps_per_epoch, config.decay_rate)
    return keras.optimizers.SGD(schedule, momentum=config.momentum)


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the training loss over the depth, one line per kind of network and one point per repeat."""
    figure = PngFigure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    depths = sorted(config.depths)
    for kind, color in COLORS.items():
        losses = [[result.measured[f"training loss, {kind} {depth}"] for depth in depths] for result in results]
        axes.plot(depths, np.mean(losses, axis=0), color=color, label=kind, linewidth=1.8)
        axes.plot(depths, np.transpose(losses), "o", color=color, markersize=4)
    axes.axhline(np.log(10), color="black", linewidth=0.8, linestyle=":", label="chance")
    axes.set(yscale="log", xlabel="hidden layers", ylabel="training loss", xticks=depths)
    axes.grid(alpha=0.25, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, 0.92))
    return {f"Training loss after {config.epochs} epochs over depth, by kind of network": figure}


RECIPE = Recipe(
    name="depth",
    paper=PAPER,
    related=(papers.SRIVASTAVA_2015B, papers.HE_2016, papers.HUANG_2017),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(28, 28, 1),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    exercises=(
        "Change `GATE_BIAS` to 0: up to which depth does the highway network still learn?",
        "Run `--depths 10 100`, and compare the losses with those of 50 layers.",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
