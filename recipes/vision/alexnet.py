"""AlexNet: the network of 2012 in its two halves, and the single tower that later implementations use.

The original was too large for one graphics card of its time. Two cards held half of the maps each, and the second,
fourth and fifth convolutions see only the maps of their own card: grouped convolutions. The network also uses ReLU,
overlapping pooling windows, local response normalization and dropout. Tables 1 and 2 of Krizhevsky et al. (2012) have
its results on ImageNet.

Definitions only: `alexnet().build((227, 227, 3))` builds the network, and `dk.fit` trains it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
from keras import layers

import deepkit as dk
from recipes import papers

PAPER = papers.KRIZHEVSKY_2012


def alexnet(
    *, num_classes: int = 1000, groups: int = 2, dropout: float = 0.5, activation: str | None = None
) -> dk.Sequential:
    """Return the network of section 3.5 and figure 2, for images of 227x227x3.

    The figure says 224, but convolutions of 11x11 with stride 4 do not fit 224 pixels to give its 55 positions.

    Args:
        num_classes: Number of classes.
        groups: Groups of the second, fourth and fifth convolutions: 2 as in the paper, or 1.
        dropout: Dropout rate of the two wide dense layers.
        activation: None for logits, `"softmax"` for probabilities.
    """
    normalization = dk.layers.LocalResponseNormalization()
    pool1, pool2, pool5 = (layers.MaxPooling2D(3, 2, name=f"pool{i}") for i in (1, 2, 5))
    return dk.Sequential(
        [
            *(_conv(96, 11, strides=4, padding="valid", name="conv1"), normalization, pool1),
            *(_conv(256, 5, groups=groups, bias=1, name="conv2"), normalization, pool2),
            _conv(384, 3, name="conv3"),
            _conv(384, 3, groups=groups, bias=1, name="conv4"),
            *(_conv(256, 3, groups=groups, bias=1, name="conv5"), pool5),
            dk.MLP([4096, 4096], dropout=dropout, dense=_initializers(bias=1), name="fc"),
            dk.Classifier(num_classes, activation=activation, dense=_initializers()),
        ],
        name="alexnet" if groups == 2 else "alexnet_single_tower",
    )


single_tower = partial(alexnet, groups=1)


def _conv(filters: int, size: int, *, strides: int = 1, bias: int = 0, name: str, **conv: Any) -> dk.ConvBlock:
    conv |= _initializers(bias=bias)
    return dk.ConvBlock(filters, kernel_size=size, strides=strides, norm=None, conv=conv, name=name)


def _initializers(*, bias: int = 0) -> dict[str, Any]:
    """Return the initializers of section 5; a bias of 1 gives ReLU positive inputs at the start."""
    return {
        "kernel_initializer": keras.initializers.RandomNormal(stddev=0.01),
        "bias_initializer": "ones" if bias else "zeros",
    }
