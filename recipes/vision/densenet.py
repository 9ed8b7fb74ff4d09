"""DenseNet: every layer receives the outputs of all layers before it; the networks for ImageNet and for CIFAR.

A layer adds `growth` channels, k in Huang et al. (2017), to its input, so that layers can be narrow. In DenseNet-BC, a
1x1 convolution precedes each 3x3 convolution (B, bottleneck), and a transition between two blocks halves the channels
(C, compression). Table 1 of the paper has the networks for ImageNet, table 2 those for CIFAR.

Definitions only: `densenet121().build((224, 224, 3))` builds the network, and `dk.fit` trains it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from keras import layers

import deepkit as dk
from deepkit.utils.errors import format_value
from deepkit.utils.validation import is_integer, is_number
from recipes import papers

if TYPE_CHECKING:
    from deepkit.definition.fields import BodyLike

PAPER = papers.HUANG_2017
# Growth, and the layers of each block: table 1, and 161 from the authors' models. The depth counts two convolutions per
# layer and 5 more layers with weights; 264 has 265 by its blocks.
VARIANTS: dict[int, tuple[int, tuple[int, ...]]] = {
    121: (32, (6, 12, 24, 16)),
    161: (48, (6, 12, 36, 24)),
    169: (32, (6, 12, 32, 32)),
    201: (32, (6, 12, 48, 32)),
    264: (32, (6, 12, 64, 48)),
}

# as in the authors' code, except for the epsilon, which is 1e-5 there; Keras's trained weights need this one
NORM = layers.BatchNormalization(momentum=0.9, epsilon=1.001e-5)
KERAS_NORM = layers.BatchNormalization(momentum=0.99, epsilon=1.001e-5)  # that of keras.applications
HE = {"kernel_initializer": "he_normal"}
conv = partial(dk.ConvBlock, norm=NORM, order="norm-activation-conv", conv=HE)


def densenet(depth: int, *, num_classes: int = 1000) -> dk.Sequential:
    """Return a DenseNet-BC for ImageNet, which returns logits.

    It pads like the authors' code and `keras.applications`, and has Keras's layers in Keras's order: `set_weights`
    accepts the weights of `keras.applications.DenseNet121`, 169 and 201.

    Args:
        depth: 121, 161, 169, 201 or 264 layers.
        num_classes: Number of classes.

    Raises:
        DefinitionError: There is no network of this depth.

    Examples:
        >>> from recipes.vision.densenet import densenet
        >>> densenet(121, num_classes=10).build((64, 64, 3)).output_shape
        (None, 10)
    """
    return _imagenet_densenet(depth, num_classes, NORM)


def _imagenet_densenet(depth: int, num_classes: int, norm: layers.Layer) -> dk.Sequential:
    if depth not in VARIANTS:
        nearest = min(VARIANTS, key=lambda variant: abs(variant - depth)) if is_number(depth) else 121
        problem = f"densenet: depth must be one of {', '.join(map(str, VARIANTS))}, received {format_value(depth)}"
        raise dk.DefinitionError(problem, hint=f"use densenet({nearest})")
    growth, layers_per_block = VARIANTS[depth]
    stem: list[BodyLike] = [
        layers.ZeroPadding2D(3),
        dk.ConvBlock(2 * growth, kernel_size=7, strides=2, norm=norm, conv={"padding": "valid", **HE}),
        layers.ZeroPadding2D(1),
        layers.MaxPooling2D(3, 2),
    ]
    layer = bottleneck(growth, norm=norm)
    blocks = [dk.DenselyConnected(layer, num_repeats=num_layers) for num_layers in layers_per_block]
    return _network(stem, blocks, dk.Transition(norm=norm, conv=HE), norm, num_classes, f"densenet{depth}")


def in_keras(depth: int, *, include_top: bool = True, num_classes: int = 1000) -> dk.Sequential:
    """Return a DenseNet in the layout of `keras.applications`.

    It ends in probabilities, or in feature maps, and its normalizations have momentum 0.99.
    """
    net = _imagenet_densenet(depth, num_classes, KERAS_NORM)
    top = [dk.Classifier(num_classes, pool="avg", activation="softmax")] if include_top else []
    return dk.Sequential([*net.layers[:-1], *top], name=net.name)


def cifar_densenet(
    depth: int, growth: int, *, bc: bool = False, num_classes: int = 10, dropout: float = 0.0
) -> dk.Sequential:
    """Return a DenseNet(L, k) of three blocks for the 32x32 images of CIFAR, which returns logits.

    Args:
        depth: Number of layers, the paper's L: 4 more than a multiple of 3, or of 6 with `bc`. The paper has 40 and
            100, and 100, 190 and 250 with `bc`.
        growth: Channels that a layer adds, the paper's k.
        bc: Whether it is a DenseNet-BC, with bottlenecks and half of the channels after each block.
        num_classes: Number of classes.
        dropout: Dropout rate after each convolution except the first; the paper has 0.2 without augmentation.

    Raises:
        DefinitionError: Three blocks cannot have this depth.

    Examples:
        >>> from recipes.vision.densenet import cifar_densenet
        >>> cifar_densenet(40, 12).build((32, 32, 3)).count_params()
        1037818
    """
    num_layers = _layers_per_block(depth, growth, bc)
    stem = dk.ConvBlock(2 * growth if bc else 16, norm=None, activation=None, conv={"use_bias": False, **HE})
    layer = bottleneck(growth, dropout) if bc else [conv(growth), *_dropout(dropout)]
    blocks = [dk.DenselyConnected(layer, num_repeats=num_layers)] * 3
    pool = dk.Sequential([layers.Dropout(dropout), layers.AveragePooling2D(2)], name="pool") if dropout else "avg"
    transition = dk.Transition(compression=0.5 if bc else 1.0, pool=pool, norm=NORM, conv=HE)
    name = f"densenet{'_bc' if bc else ''}_{depth}_{growth}"
    return _network([stem], blocks, transition, NORM, num_classes, name)


def bottleneck(growth: int, dropout: float = 0.0, *, norm: layers.Layer = NORM) -> list[BodyLike]:
    """Return a layer of a DenseNet-BC: a 1x1 convolution to four times `growth` channels, then 3x3 to `growth`."""
    narrow, wide = conv(growth, norm=norm), conv(4 * growth, kernel_size=1, norm=norm)
    return [wide, *_dropout(dropout), narrow, *_dropout(dropout)]


def _dropout(rate: float) -> list[BodyLike]:
    return [layers.Dropout(rate)] if rate else []


def _layers_per_block(depth: int, growth: int, bc: bool) -> int:
    """Return the number of layers in each of three blocks; a stem, two transitions and a head make 4 layers more."""
    multiple = 6 if bc else 3
    if not is_integer(depth) or depth < 4 + multiple or (depth - 4) % multiple:
        nearest = 4 + multiple * max(1, round((depth - 4) / multiple)) if is_number(depth) else 40
        kind = "layers of two convolutions" if bc else "layers"
        raise dk.DefinitionError(
            f"cifar_densenet: depth must be 4 more than a multiple of {multiple} (three blocks of {kind}, a stem, two "
            f"transitions and a head), received {format_value(depth)}",
            hint=f"use cifar_densenet({nearest}, {growth}{', bc=True' if bc else ''})",
        )
    return (depth - 4) // multiple


def _network(
    stem: Sequence[BodyLike],
    blocks: Sequence[dk.Block],
    transition: dk.Block,
    norm: layers.Layer,
    num_classes: int,
    name: str,
) -> dk.Sequential:
    """Return a stem, blocks with a transition between each two, and a head."""
    body: list[BodyLike] = []
    for block in blocks:
        body += [transition, block] if body else [block]
    return dk.Sequential([*stem, *body, norm, layers.ReLU(), dk.Classifier(num_classes, pool="avg")], name=name)


densenet121: Callable[..., dk.Sequential] = partial(densenet, 121)
densenet161: Callable[..., dk.Sequential] = partial(densenet, 161)
densenet169: Callable[..., dk.Sequential] = partial(densenet, 169)
densenet201: Callable[..., dk.Sequential] = partial(densenet, 201)
densenet264: Callable[..., dk.Sequential] = partial(densenet, 264)
