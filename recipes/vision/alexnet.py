"""AlexNet: the network of 2012 in its two halves, and as the single tower that is built under its name since.

The original was too large for one graphics card of its day. Two held half of the maps each, and the second, fourth
and fifth convolutions see only the maps of their own card: grouped convolutions. Rectified units, pooling windows that
overlap, local response normalisation and dropout are the paper's other means. Its results on ImageNet are in its
tables 1 and 2. A module of definitions: it trains nothing by itself.

Source: Alex Krizhevsky, Ilya Sutskever and Geoffrey E. Hinton, "ImageNet Classification with Deep Convolutional
Neural Networks", NIPS 2012.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
from keras import layers

import deepkit as dk


def alexnet(
    *, num_classes: int = 1000, groups: int = 2, dropout: float = 0.5, activation: str | None = None
) -> dk.Sequential:
    """Return the network of section 3.5 and figure 2, for images of 227x227x3.

    The figure says 224, from which no whole number of windows of 11 with strides of 4 makes its 55 positions.

    Args:
        num_classes: Number of classes.
        groups: Parts that the maps of the second, fourth and fifth convolutions are kept in: the paper's 2, or 1.
        dropout: Fraction of the units of the two wide dense layers dropped in training.
        activation: None for logits, `"softmax"` for probabilities.
    """
    lrn = dk.layers.LocalResponseNormalization()
    pool1, pool2, pool5 = (layers.MaxPooling2D(3, 2, name=f"pool{i}") for i in (1, 2, 5))
    return dk.Sequential(
        [
            *(_conv(96, 11, strides=4, padding="valid", name="conv1"), lrn, pool1),
            *(_conv(256, 5, groups=groups, ones=True, name="conv2"), lrn, pool2),
            _conv(384, 3, name="conv3"),
            _conv(384, 3, groups=groups, ones=True, name="conv4"),
            *(_conv(256, 3, groups=groups, ones=True, name="conv5"), pool5),
            dk.MLP([4096, 4096], dropout=dropout, dense=_start(ones=True), name="fc"),
            dk.Classifier(num_classes, activation=activation, dense=_start()),
        ],
        name="alexnet" if groups == 2 else "alexnet_single_tower",
    )


single_tower = partial(alexnet, groups=1)


def _conv(filters: int, size: int, *, strides: int = 1, ones: bool = False, name: str, **conv: Any) -> dk.ConvBlock:
    return dk.ConvBlock(
        filters, kernel_size=size, strides=strides, norm=None, conv={**conv, **_start(ones=ones)}, name=name
    )


def _start(*, ones: bool = False) -> dict[str, Any]:
    """Return how the weights begin (section 5): biases of 1 give the rectifiers something to pass on."""
    kernel = keras.initializers.RandomNormal(stddev=0.01)
    return {"kernel_initializer": kernel, "bias_initializer": "ones" if ones else "zeros"}
