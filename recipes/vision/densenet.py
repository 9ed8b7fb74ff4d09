"""DenseNet: every layer sees what all before it made; the nets for ImageNet and for CIFAR, a table each.

Source: Huang, Liu, van der Maaten & Weinberger 2017, "Densely Connected Convolutional Networks" (table 1 for
ImageNet, table 2 for CIFAR). A layer adds `growth` channels, the paper's k, to what it received, so that layers can be
thin. In the nets called BC a 1x1 convolution comes before each 3x3 one (B, bottleneck), and a
transition halves the channels between two blocks (C, compression).

Definitions only: `densenet121().build((224, 224, 3))` makes the network, `dk.fit` trains it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from keras import layers

import deepkit as dk

# growth, and the layers of each block: table 1, and 161 as in the authors' models. Like all whose name says a
# depth they have two convolutions a layer, and 5 more layers with weights, but for 264, which has 265 by its repeats
VARIANTS: dict[int, tuple[int, tuple[int, ...]]] = {
    121: (32, (6, 12, 24, 16)),
    161: (48, (6, 12, 36, 24)),
    169: (32, (6, 12, 32, 32)),
    201: (32, (6, 12, 48, 32)),
    264: (32, (6, 12, 64, 48)),
}

# the authors' constants; the odd epsilon is that of Keras's trained weights, 1e-5 in the authors' code
NORM = layers.BatchNormalization(momentum=0.9, epsilon=1.001e-5)
HE = {"kernel_initializer": "he_normal"}
conv = partial(dk.ConvBlock, norm=NORM, order="norm-activation-conv", conv=HE)


def densenet(depth: int, *, num_classes: int = 1000) -> dk.Sequential:
    """Return a DenseNet-BC for ImageNet, which gives logits.

    It pads as the authors' code and `keras.applications` do, and has Keras's layers in Keras's order: the weights of
    `keras.applications.DenseNet121`, 169 and 201 fit by `set_weights`.

    Args:
        depth: 121, 161, 169, 201 or 264 layers.
        num_classes: How many classes there are.

    Raises:
        DefinitionError: There is no such depth.

    Examples:
        >>> from recipes.vision.densenet import densenet
        >>> densenet(121, num_classes=10).build((64, 64, 3)).output_shape
        (None, 10)
    """
    if depth not in VARIANTS:
        near = min(VARIANTS, key=lambda known: abs(known - depth)) if isinstance(depth, int) else 121
        known = ", ".join(str(known) for known in VARIANTS)
        raise dk.DefinitionError(
            f"densenet: depth must be one of {known}, received {depth!r}", hint=f"densenet({near})"
        )
    growth, repeats = VARIANTS[depth]
    stem = [
        layers.ZeroPadding2D(3),
        dk.ConvBlock(2 * growth, kernel_size=7, strides=2, norm=NORM, conv={"padding": "valid", **HE}),
        layers.ZeroPadding2D(1),
        layers.MaxPooling2D(3, 2),
    ]
    blocks = [dk.DenselyConnected(bottleneck(growth), num_repeats=times) for times in repeats]
    return _net(stem, blocks, dk.Transition(norm=NORM, conv=HE), num_classes, f"densenet{depth}")


def in_keras(depth: int, *, include_top: bool = True, num_classes: int = 1000) -> dk.Sequential:
    """Return a DenseNet that ends as that of `keras.applications`: in probabilities, or without a top in maps."""
    net = densenet(depth, num_classes=num_classes)
    top = [dk.Classifier(num_classes, pool="avg", activation="softmax")] if include_top else []
    return dk.Sequential([*net.layers[:-1], *top], name=net.name)


def cifar_densenet(
    depth: int, growth: int, *, bc: bool = False, num_classes: int = 10, dropout: float = 0.0
) -> dk.Sequential:
    """Return a DenseNet(L, k) of three blocks for the 32x32 images of CIFAR, which gives logits.

    Args:
        depth: How many layers, the paper's L: 4 more than a multiple of 3, with `bc` of 6. The paper has 40 and 100,
            with `bc` 100, 190 and 250.
        growth: Channels that a layer adds, the paper's k.
        bc: Whether it is a DenseNet-BC, with bottlenecks and half of the channels after each block.
        num_classes: How many classes there are.
        dropout: After each convolution but the first; the paper has 0.2 where images are not augmented.

    Raises:
        DefinitionError: The depth cannot be divided among three blocks.

    Examples:
        >>> from recipes.vision.densenet import cifar_densenet
        >>> cifar_densenet(40, 12).build((32, 32, 3)).count_params()
        1037818
    """
    each = 3 * (2 if bc else 1)
    if not isinstance(depth, int) or depth < 4 + each or (depth - 4) % each:
        near = 4 + each * max(1, round((depth - 4) / each)) if isinstance(depth, int) else 40
        raise dk.DefinitionError(
            f"cifar_densenet: depth must be 4 more than a multiple of {each} (three blocks of layers"
            f"{' of two convolutions' if bc else ''}, and a stem, two transitions, a head), received {depth!r}",
            hint=f"cifar_densenet({near}, {growth}{', bc=True' if bc else ''})",
        )
    stem = dk.ConvBlock(2 * growth if bc else 16, norm=None, activation=None, conv={"use_bias": False, **HE})
    layer = bottleneck(growth, dropout) if bc else [conv(growth), *_drop(dropout)]
    blocks = [dk.DenselyConnected(layer, num_repeats=(depth - 4) // each)] * 3
    pool = dk.Sequential([layers.Dropout(dropout), layers.AveragePooling2D(2)], name="pool") if dropout else "avg"
    between = dk.Transition(compression=0.5 if bc else 1.0, pool=pool, norm=NORM, conv=HE)
    name = f"densenet{'_bc' if bc else ''}_{depth}_{growth}"
    return _net([stem], blocks, between, num_classes, name)


def bottleneck(growth: int, dropout: float = 0.0) -> list[Any]:
    """Return a layer of a DenseNet-BC: a 1x1 convolution to four times `growth` channels, then 3x3 to `growth`."""
    return [conv(4 * growth, kernel_size=1), *_drop(dropout), conv(growth), *_drop(dropout)]


def _drop(rate: float) -> list[Any]:
    return [layers.Dropout(rate)] if rate else []


def _net(stem: list[Any], blocks: list[Any], between: dk.Block, num_classes: int, name: str) -> dk.Sequential:
    """Return blocks with a transition between each two, a stem before and a head behind them."""
    body = [part for block in blocks for part in (block, between)][:-1]
    return dk.Sequential([*stem, *body, NORM, layers.ReLU(), dk.Classifier(num_classes, pool="avg")], name=name)


densenet121: Callable[..., dk.Sequential] = partial(densenet, 121)
densenet161: Callable[..., dk.Sequential] = partial(densenet, 161)
densenet169: Callable[..., dk.Sequential] = partial(densenet, 169)
densenet201: Callable[..., dk.Sequential] = partial(densenet, 201)
densenet264: Callable[..., dk.Sequential] = partial(densenet, 264)
