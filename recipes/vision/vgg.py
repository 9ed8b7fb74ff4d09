"""VGG: 3x3 convolutions only, in stages of one width that each end in pooling.

Two 3x3 convolutions see as many pixels as one of 5x5, and three as many as one of 7x7, with fewer weights and more
nonlinearities in between; so a network can be made deep by one simple rule. The configurations A to E (table 1 of
Simonyan & Zisserman 2015) have 11 to 19 layers with weights; tables 3 to 7 have their results.

Definitions only: `vgg16().build((224, 224, 3))` builds the network, and `dk.fit` trains it.
"""

from __future__ import annotations

from functools import partial

from keras import layers

import deepkit as dk
from deepkit.utils.errors import format_value
from recipes import papers

PAPER = papers.SIMONYAN_2015
FILTERS = (64, 128, 256, 512, 512)
# table 1, column by column: the kernel size of every convolution, stage by stage
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
    norm: str | None = None,
    dropout: float = 0.5,
    include_top: bool = True,
    activation: str | None = None,
) -> dk.Sequential:
    """Return a configuration of table 1; the images of the paper are 224x224x3.

    Args:
        depth: Number of layers with weights, a key of `CONFIGURATIONS`.
        num_classes: Number of classes.
        norm: None as in the paper, or `"batch"`; the convolutions keep their biases, as in the published VGGs with
            batch normalization.
        dropout: Dropout rate of the two wide dense layers.
        include_top: Whether to end in the three dense layers; without them the network is a base for another task
            and takes images of any size from 32x32.
        activation: None for logits, `"softmax"` for probabilities.

    Raises:
        DefinitionError: The configuration does not exist.
    """
    if depth not in CONFIGURATIONS:
        depths = ", ".join(map(repr, CONFIGURATIONS))
        raise dk.DefinitionError(
            f"vgg: depth must be one of {depths}, received {format_value(depth)}", hint="use vgg(16)"
        )
    stages = [
        _stage(filters, kernel_sizes, norm, f"stage{number}")
        for number, (filters, kernel_sizes) in enumerate(zip(FILTERS, CONFIGURATIONS[depth], strict=True), start=1)
    ]
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

# keras.applications returns probabilities and has no dropout
in_keras = partial(vgg, dropout=0.0, activation="softmax")


def vgg16_cifar(*, num_classes: int = 10) -> dk.Sequential:
    """Return VGG-16 with batch normalization and one dense layer, for images of 32x32x3."""
    return dk.Sequential(
        [*vgg16(norm="batch", include_top=False).layers, dk.Classifier(num_classes)],
        name="vgg16_cifar",
    )


def _stage(filters: int, kernel_sizes: tuple[int, ...], norm: str | None, name: str) -> dk.Sequential:
    convs = [dk.ConvBlock(filters, kernel_size=size, norm=norm, conv={"use_bias": True}) for size in kernel_sizes]
    return dk.Sequential([*convs, layers.MaxPooling2D(2, name="pool")], name=name)
