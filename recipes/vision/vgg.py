"""VGG: nothing but 3x3 convolutions, in stages of one width that each end in a halving of the image.

Two 3x3 convolutions see as far as one of 5x5 and three as far as one of 7x7, with fewer weights and more units in
between; so a net may grow deep by one simple rule. The paper's configurations A to E (table 1) have 11 to 19 layers
with weights; what they reach is in its tables 3 to 7. A module of definitions: it trains nothing by itself.

Source: Karen Simonyan and Andrew Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
ICLR 2015, https://arxiv.org/abs/1409.1556.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from keras import layers

import deepkit as dk

FILTERS = (64, 128, 256, 512, 512)
# table 1 of the paper, column by column: the kernel size of every convolution, stage by stage
CONFIGURATIONS: dict[int | str, tuple[tuple[int, ...], ...]] = {
    11: ((3,), (3,), (3, 3), (3, 3), (3, 3)),  # A
    13: ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),  # B
    "16_1x1": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),  # C
    16: ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),  # D
    19: ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),  # E
}


def vgg(
    depth: int | str,
    *,
    num_classes: int = 1000,
    norm: Any = None,
    dropout: float = 0.5,
    include_top: bool = True,
    activation: str | None = None,
) -> dk.Sequential:
    """Return a configuration of table 1, for images of 224x224x3 in the paper.

    Args:
        depth: Number of layers with weights, a key of `CONFIGURATIONS`.
        num_classes: Number of classes.
        norm: None as in the paper, or `"batch"`; the convolutions keep their biases, as in the batch-normalised VGGs
            that others have published counts of.
        dropout: Fraction of the units of the two wide dense layers dropped in training.
        include_top: Whether to end in the three dense layers; without them the net is a base for another task, and
            takes images of any size from 32x32.
        activation: None for logits, `"softmax"` for probabilities.

    Raises:
        DefinitionError: There is no such configuration.
    """
    if depth not in CONFIGURATIONS:
        known = ", ".join(repr(key) for key in CONFIGURATIONS)
        raise dk.DefinitionError(f"vgg: depth must be one of {known}, received {depth!r}", hint="vgg(16)")
    stages = [_stage(*pair, norm, f"stage{i}") for i, pair in enumerate(_stages(depth), start=1)]
    name = f"vgg{depth}{'_bn' if norm == 'batch' else ''}"
    if not include_top:
        return dk.Sequential(stages, name=name)
    top = [dk.MLP([4096, 4096], dropout=dropout, name="fc"), dk.Classifier(num_classes, activation=activation)]
    return dk.Sequential([*stages, *top], name=name)


vgg11 = partial(vgg, 11)
vgg13 = partial(vgg, 13)
vgg16_1x1 = partial(vgg, "16_1x1")
vgg16 = partial(vgg, 16)
vgg19 = partial(vgg, 19)

# keras.applications has no dropout, and probabilities
in_keras = partial(vgg, dropout=0.0, activation="softmax")


def vgg16_cifar(*, num_classes: int = 10) -> dk.Sequential:
    """Return VGG-16 with batch normalisation and one dense layer, for images of 32x32x3."""
    return dk.Sequential(
        [*vgg16(norm="batch", include_top=False).layers, dk.Classifier(num_classes)],
        name="vgg16_cifar",
    )


def _stages(depth: int | str) -> list[tuple[int, tuple[int, ...]]]:
    return list(zip(FILTERS, CONFIGURATIONS[depth], strict=True))


def _stage(filters: int, kernels: tuple[int, ...], norm: Any, name: str) -> dk.Sequential:
    convs = [dk.ConvBlock(filters, kernel_size=k, norm=norm, conv={"use_bias": True}) for k in kernels]
    return dk.Sequential([*convs, layers.MaxPooling2D(2, name="pool")], name=name)
