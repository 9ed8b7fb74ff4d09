"""Highway networks: layers that learn how much of their input to pass on, and their plain counterpart.

A gate T, initially nearly closed, mixes the transform H of a layer with its input: y = T(x) H(x) + (1 - T(x)) x
(Srivastava et al. 2015). Fifty such layers train well where fifty plain ones do not: see the recipe `depth`.

Definitions only: `highway(50).build((28, 28, 1))` builds the network, and `dk.fit` trains it.
"""

from __future__ import annotations

from keras import layers

import deepkit as dk
from deepkit.utils.errors import format_value
from deepkit.utils.validation import check_integer
from recipes import papers

PAPER = papers.SRIVASTAVA_2015
HE = {"kernel_initializer": "he_normal"}

# Filters of each stage, and the number of highway layers after the convolution that sets them. The paper gives layers
# and weights (11 and about 236,000; 19 and about 2.3 million) but not the stages; these stages have both.
CIFAR: dict[int, tuple[tuple[int, int], ...]] = {
    11: ((16, 2), (32, 3), (64, 2)),
    19: ((32, 4), (64, 5), (128, 6)),
}


def highway(depth: int, *, units: int = 50, num_classes: int = 10, transform_bias: float = -2.0) -> dk.Sequential:
    """Return a fully connected highway network, which returns logits.

    The first layer is a plain one, which maps the image to the width of the others.

    Args:
        depth: Number of hidden layers; figure 1 of the paper has 10, 20, 50 and 100.
        units: Units in each layer.
        num_classes: Number of classes.
        transform_bias: Initial bias of the gates; -2 in the paper for MNIST.

    Raises:
        DefinitionError: The depth is below 2, or another argument is out of range.

    Examples:
        >>> from recipes.vision.highway import highway
        >>> highway(50).build((28, 28, 1)).count_params()
        289660
    """
    check_integer(depth, "highway: depth", minimum=2, error=dk.DefinitionError, hint="use highway(10)")
    first = dk.MLP([units], dense=HE)
    layer = dk.Highway(dk.MLP([units], dense=HE), transform_bias=transform_bias)
    body = dk.Repeat(layer, num_repeats=depth - 1)
    return dk.Sequential([first, body, dk.Classifier(num_classes)], name=f"highway{depth}")


def plain(depth: int, *, units: int = 71, num_classes: int = 10) -> dk.Sequential:
    """Return the counterpart without gates: 71 units have as many weights per layer as 50 in a highway network.

    Args:
        depth: Number of hidden layers.
        units: Units in each layer.
        num_classes: Number of classes.

    Raises:
        DefinitionError: An argument is out of range.

    Examples:
        >>> from recipes.vision.highway import plain
        >>> plain(50).build((28, 28, 1)).count_params()
        306943
    """
    check_integer(depth, "plain: depth", error=dk.DefinitionError, hint="use plain(10)")
    return dk.Sequential([dk.MLP([units] * depth, dense=HE), dk.Classifier(num_classes)], name=f"plain{depth}")


def mnist_highway(filters: int, *, num_classes: int = 10) -> dk.Sequential:
    """Return the thin convolutional highway network of 10 layers for MNIST: 9 convolutions and a softmax.

    The paper gives its widths, 16 and 32, and its weights, 39,000 and 151,000. Three poolings, which leave 3x3 pixels,
    give these numbers.

    Args:
        filters: Filters of every layer.
        num_classes: Number of classes.

    Examples:
        >>> from recipes.vision.highway import mnist_highway
        >>> mnist_highway(16).build((28, 28, 1)).count_params()
        38730
    """
    conv = dk.ConvBlock(filters, norm=None, conv=HE)
    layer = dk.Highway(conv)
    body: list[dk.Block] = []
    stages: list[list[dk.Block]] = [[conv, layer, layer], [layer] * 3, [layer] * 3]
    for number, stage in enumerate(stages, start=1):
        body += [*stage, layers.MaxPooling2D(2, name=f"pool{number}")]
    return dk.Sequential([*body, dk.Classifier(num_classes)], name=f"highway10_{filters}")


def cifar_highway(depth: int, *, num_classes: int = 10) -> dk.Sequential:
    """Return a convolutional highway network for CIFAR, which returns logits.

    A stage begins with a plain convolution, because a highway layer keeps the number of channels. It ends with 2x2
    pooling, and the last one with an average over all positions.

    Args:
        depth: 11 or 19 layers with weights.
        num_classes: Number of classes.

    Raises:
        DefinitionError: There is no network of this depth.

    Examples:
        >>> from recipes.vision.highway import cifar_highway
        >>> cifar_highway(11).build((32, 32, 3)).count_params()
        236714
    """
    if depth not in CIFAR:
        problem = f"cifar_highway: depth must be {' or '.join(map(str, CIFAR))}, received {format_value(depth)}"
        raise dk.DefinitionError(problem, hint="use cifar_highway(19)")
    body: list[dk.Block] = []
    for number, (filters, num_layers) in enumerate(CIFAR[depth], start=1):
        conv = dk.ConvBlock(filters, norm=None, conv=HE)
        body += [conv, *[dk.Highway(conv)] * num_layers, layers.MaxPooling2D(2, name=f"pool{number}")]
    return dk.Sequential([*body[:-1], dk.Classifier(num_classes, pool="avg")], name=f"highway{depth}")
