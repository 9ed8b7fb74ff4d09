"""Highway networks: layers that learn how much of their input to let pass; with a plain counterpart.

Source: Srivastava, Greff & Schmidhuber 2015, "Highway Networks" (arXiv:1505.00387) and "Training Very Deep Networks"
(arXiv:1507.06228). A gate T, which begins nearly closed, mixes the transform H of a layer with its input:
y = T(x) H(x) + (1 - T(x)) x. Fifty such layers train where fifty plain ones do badly: `deepkit run depth`.

Definitions only: `highway(50).build((28, 28, 1))` makes the network, `dk.fit` trains it.
"""

from __future__ import annotations

from typing import Any

from keras import layers

import deepkit as dk

HE = {"kernel_initializer": "he_normal"}

# filters of each stage, and how many highway layers it has behind the convolution that sets them. The paper gives
# layers and weights (11 and about 236,000; 19 and about 2.3 million) but not the stages; these make both.
CIFAR: dict[int, tuple[tuple[int, int], ...]] = {
    11: ((16, 2), (32, 3), (64, 2)),
    19: ((32, 4), (64, 5), (128, 6)),
}


def highway(depth: int, *, units: int = 50, num_classes: int = 10, transform_bias: float = -2.0) -> dk.Sequential:
    """Return a fully connected highway network, which gives logits.

    The first layer is a plain one: it brings the image to the width that the others keep.

    Args:
        depth: Hidden layers; figure 1 of the paper has 10, 20, 50 and 100.
        units: Width of each.
        num_classes: How many classes there are.
        transform_bias: What the gates' biases begin with; the paper has -2 for MNIST.

    Raises:
        DefinitionError: There are fewer than 2 layers, or an argument makes no sense.

    Examples:
        >>> from recipes.vision.highway import highway
        >>> highway(50).build((28, 28, 1)).count_params()
        289660
    """
    _check(depth, "highway", least=2)
    layer = dk.Highway(dk.MLP([units], dense=HE), transform_bias=transform_bias)
    first = dk.MLP([units], dense=HE)
    return dk.Sequential(
        [first, dk.Repeat(layer, num_repeats=depth - 1), dk.Classifier(num_classes)], name=f"highway{depth}"
    )


def plain(depth: int, *, units: int = 71, num_classes: int = 10) -> dk.Sequential:
    """Return the counterpart without gates: 71 units where the highway has 50, so that a layer has as many weights.

    Args:
        depth: Hidden layers.
        units: Width of each.
        num_classes: How many classes there are.

    Raises:
        DefinitionError: An argument makes no sense.

    Examples:
        >>> from recipes.vision.highway import plain
        >>> plain(50).build((28, 28, 1)).count_params()
        306943
    """
    _check(depth, "plain", least=1)
    return dk.Sequential([dk.MLP([units] * depth, dense=HE), dk.Classifier(num_classes)], name=f"plain{depth}")


def mnist_highway(width: int, *, num_classes: int = 10) -> dk.Sequential:
    """Return the thin convolutional highway network of 10 layers for MNIST: 9 convolutions and a softmax.

    The paper gives its widths, 16 and 32, and its weights, 39,000 and 151,000; two poolings that halve and one
    that leaves 3x3 pixels make both.

    Args:
        width: Filters of every layer.
        num_classes: How many classes there are.

    Examples:
        >>> from recipes.vision.highway import mnist_highway
        >>> mnist_highway(16).build((28, 28, 1)).count_params()
        38730
    """
    first = dk.ConvBlock(width, norm=None, conv=HE)
    layer = dk.Highway(dk.ConvBlock(width, norm=None, conv=HE))
    stages: list[list[dk.Block]] = [[first, layer, layer], [layer] * 3, [layer] * 3]
    parts = [p for i, stage in enumerate(stages, start=1) for p in (*stage, layers.MaxPooling2D(2, name=f"pool{i}"))]
    return dk.Sequential([*parts, dk.Classifier(num_classes)], name=f"highway10_{width}")


def cifar_highway(depth: int, *, num_classes: int = 10) -> dk.Sequential:
    """Return a convolutional highway network for CIFAR, which gives logits.

    A stage begins with a plain convolution, since a highway layer keeps the number of its channels, and ends with a
    pooling: of windows of 2 between two stages, over all that is left at the end.

    Args:
        depth: 11 or 19 layers with weights.
        num_classes: How many classes there are.

    Raises:
        DefinitionError: There is no such depth.

    Examples:
        >>> from recipes.vision.highway import cifar_highway
        >>> cifar_highway(11).build((32, 32, 3)).count_params()
        236714
    """
    if depth not in CIFAR:
        known = " or ".join(str(known) for known in CIFAR)
        raise dk.DefinitionError(f"cifar_highway: depth must be {known}, received {depth!r}", hint="cifar_highway(19)")
    parts: list[Any] = []
    for i, (filters, highways) in enumerate(CIFAR[depth], start=1):
        widen = dk.ConvBlock(filters, norm=None, conv=HE)
        parts += [widen, *[dk.Highway(widen)] * highways, layers.MaxPooling2D(2, name=f"pool{i}")]
    return dk.Sequential([*parts[:-1], dk.Classifier(num_classes, pool="avg")], name=f"highway{depth}")


def _check(depth: int, owner: str, least: int) -> None:
    if not isinstance(depth, int) or depth < least:
        raise dk.DefinitionError(
            f"{owner}: depth must be a whole number of at least {least}, received {depth!r}", hint=f"{owner}(10)"
        )
