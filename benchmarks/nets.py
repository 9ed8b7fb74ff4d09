"""The nets of the timings, as deepkit definitions and hand-written in Keras's functional style.

Both are the same net: `tests/test_benchmarks.py` compares them layer by layer. Hand-written activations are separate
layers, as in the definitions, so that the two graphs have the same layers and not just the same outputs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import layers

import deepkit as dk
from recipes.vision.lenet import modern
from recipes.vision.resnet import cifar_resnet

DEPTH = 450  # residual blocks of the net of the build time


class Net(NamedTuple):
    """A net as a definition and hand-written, its input shape and its number of classes."""

    definition: Callable[[], dk.Block]
    handwritten: Callable[[], keras.Model]
    input_shape: tuple[int, ...]
    num_classes: int = 10


def resnet20() -> dk.Sequential:
    """Return ResNet-20 for CIFAR (He et al. 2016, section 4.2), with projections between the three widths."""
    units = []
    for filters in (16, 32, 64):
        for strides in (1 if filters == 16 else 2, 1, 1):
            body = [dk.ConvBlock(filters, strides=strides), dk.ConvBlock(filters, activation=None)]
            units.append(dk.Residual(body))
    return dk.Sequential([dk.ConvBlock(16), *units, dk.Classifier(10, pool="avg")], name="resnet20")


def resnet20_handwritten() -> keras.Model:
    """Return the same net in plain Keras."""
    inputs = keras.Input((32, 32, 3))
    x = _unit(inputs, 16)
    for filters in (16, 32, 64):
        for block in range(3):
            strides = 2 if block == 0 and filters > 16 else 1
            y = _unit(x, filters, strides)
            y = _unit(y, filters, activation=None)
            if strides > 1:
                x = layers.Conv2D(filters, 1, strides, use_bias=False)(x)
                x = layers.BatchNormalization(momentum=0.9)(x)
            x = layers.Activation("relu")(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def mlp() -> dk.Sequential:
    """Return a multilayer perceptron for 28x28 images: 512, 256 and 128 units, with dropout."""
    return dk.Sequential([dk.MLP([512, 256, 128], dropout=0.2), dk.Classifier(10)], name="mlp")


def mlp_handwritten() -> keras.Model:
    """Return the same net in plain Keras."""
    inputs = keras.Input((28, 28, 1))
    x = layers.Flatten()(inputs)
    for units in (512, 256, 128):
        x = layers.Dense(units)(x)
        x = layers.Activation("relu")(x)
        x = layers.Dropout(0.2)(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def densenet() -> dk.Sequential:
    """Return a small DenseNet (Huang et al. 2017): three stages of four layers, growth rate 12."""
    stage = dk.DenselyConnected(dk.ConvBlock(12, order="norm-activation-conv"), num_repeats=4)
    last = [layers.BatchNormalization(momentum=0.9), layers.Activation("relu"), dk.Classifier(10, pool="avg")]
    first = dk.ConvBlock(16, norm=None, activation=None, conv={"use_bias": False})
    return dk.Sequential([first, stage, dk.Transition(), stage, dk.Transition(), stage, *last], name="densenet")


def densenet_handwritten() -> keras.Model:
    """Return the same net in plain Keras."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    for stage in range(3):
        if stage:
            x = layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))
            x = layers.Conv2D(x.shape[-1] // 2, 1, padding="same", use_bias=False)(x)
            x = layers.AveragePooling2D(2, 2)(x)
        for _ in range(4):
            y = layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))
            y = layers.Conv2D(12, 3, padding="same", use_bias=False)(y)
            x = layers.Concatenate(axis=3)([x, y])
    x = layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def lenet_handwritten() -> keras.Model:
    """Return `recipes.vision.lenet.modern` in plain Keras: LeNet-5 with 61,706 weights."""
    he = "he_normal"
    inputs = keras.Input((28, 28, 1))
    x = layers.Conv2D(6, 5, padding="same", kernel_initializer=he)(inputs)
    x = layers.Activation("relu")(x)
    x = layers.MaxPooling2D(2, 2)(x)
    x = layers.Conv2D(16, 5, kernel_initializer=he)(x)
    x = layers.Activation("relu")(x)
    x = layers.MaxPooling2D(2, 2)(x)
    x = layers.Flatten()(x)
    for units in (120, 84):
        x = layers.Dense(units, kernel_initializer=he)(x)
        x = layers.Activation("relu")(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def deep(num_blocks: int = DEPTH) -> dk.Sequential:
    """Return a residual net of many blocks of two convolutions."""
    block = dk.Residual([dk.ConvBlock(8), dk.ConvBlock(8, activation=None)])
    return dk.Sequential([dk.ConvBlock(8), dk.Repeat(block, num_repeats=num_blocks), dk.Classifier(10, pool="avg")])


def deep_handwritten(num_blocks: int = DEPTH) -> keras.Model:
    """Return the same net in plain Keras, which needs a higher recursion limit of Python."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 1000 + 150 * num_blocks))
    inputs = keras.Input((32, 32, 3))
    x = _unit(inputs, 8)
    for _ in range(num_blocks):
        y = _unit(x, 8)
        y = _unit(y, 8, activation=None)
        x = layers.Activation("relu")(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def resnet110() -> dk.Sequential:
    """Return ResNet-110 for CIFAR with shortcuts of option A."""
    return cifar_resnet(110)


def resnet110_handwritten() -> keras.Model:
    """Return the same net in plain Keras."""
    inputs = keras.Input((32, 32, 3))
    x = _he_unit(inputs, 16)
    for filters in (16, 32, 64):
        for block in range(18):
            strides = 2 if block == 0 and filters > 16 else 1
            y = _he_unit(x, filters, strides)
            y = _he_unit(y, filters, activation=None)
            if strides > 1:
                x = layers.MaxPooling2D(1, strides)(x)
                x = layers.ZeroPadding2D(((0, 0), (0, filters // 2)), data_format="channels_first")(x)
            x = layers.Activation("relu")(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def _he_unit(x: Any, filters: int, strides: int = 1, activation: str | None = "relu") -> Any:
    x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    return layers.Activation(activation)(x) if activation else x


def _unit(x: Any, filters: int, strides: int = 1, activation: str | None = "relu") -> Any:
    x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    return layers.Activation(activation)(x) if activation else x


NETS = {
    "resnet20": Net(resnet20, resnet20_handwritten, (32, 32, 3)),
    "mlp": Net(mlp, mlp_handwritten, (28, 28, 1)),
    "densenet": Net(densenet, densenet_handwritten, (32, 32, 3)),
    "lenet": Net(modern, lenet_handwritten, (28, 28, 1)),
    "resnet110": Net(resnet110, resnet110_handwritten, (32, 32, 3)),
    "deep": Net(lambda: deep(5), lambda: deep_handwritten(5), (32, 32, 3)),
}


def graph(model: keras.Model) -> list[tuple[str, dict[str, Any], list[Any]]]:
    """Return a functional model without its names: class, config and inputs of each layer, in Keras's order.

    An input is the index of its layer and the index of the tensor among the outputs of that layer.
    """
    layer_indices = {id(layer): index for index, layer in enumerate(model.layers)}

    def source(tensor: Any) -> tuple[int, int]:
        layer, _, index = tensor._keras_history
        return layer_indices[id(layer)], index

    def describe(layer: keras.layers.Layer) -> tuple[str, dict[str, Any], list[Any]]:
        config = {key: value for key, value in layer.get_config().items() if key != "name"}
        inputs = [] if isinstance(layer, layers.InputLayer) else keras.tree.flatten(layer.input)
        return type(layer).__name__, config, [source(tensor) for tensor in inputs]

    return [describe(layer) for layer in model.layers]
