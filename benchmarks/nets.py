"""The nets that are timed, as deepkit definitions and by hand in Keras's functional style.

Each pair is the same net: `tests/test_benchmarks.py` compares them layer by layer. Hand-written activations are layers
of their own, as in the definitions, so that the two graphs are the same and not just equal.
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

DEPTH = 450  # residual blocks of the net whose building is timed


class Twins(NamedTuple):
    """A net both ways, and what it takes."""

    definition: Callable[[], dk.Block]
    by_hand: Callable[[], keras.Model]
    input_shape: tuple[int, ...]
    classes: int = 10


def resnet20() -> dk.Sequential:
    """Return ResNet-20 for CIFAR (He et al. 2016, section 4.2), its three widths joined by projections."""
    stages = [
        dk.Residual([dk.ConvBlock(filters, strides=strides), dk.ConvBlock(filters, activation=None)])
        for filters in (16, 32, 64)
        for strides in ((1 if filters == 16 else 2), 1, 1)
    ]
    return dk.Sequential([dk.ConvBlock(16), *stages, dk.Classifier(10, pool="avg")], name="resnet20")


def resnet20_by_hand() -> keras.Model:
    """Return the same in plain Keras."""
    inputs = keras.Input((32, 32, 3))
    x = _unit(inputs, 16)
    for filters in (16, 32, 64):
        for block in range(3):
            strides = 2 if block == 0 and filters > 16 else 1
            y = _unit(x, filters, strides)
            y = _unit(y, filters, activation=None)
            if strides > 1:
                x = layers.Conv2D(filters, 1, strides, use_bias=False)(x)
                x = layers.BatchNormalization()(x)
            x = layers.Activation("relu")(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def mlp() -> dk.Sequential:
    """Return a multilayer perceptron for 28x28 images: 512, 256 and 128 units, with dropout."""
    return dk.Sequential([dk.MLP([512, 256, 128], dropout=0.2), dk.Classifier(10)], name="mlp")


def mlp_by_hand() -> keras.Model:
    """Return the same in plain Keras."""
    inputs = keras.Input((28, 28, 1))
    x = layers.Flatten()(inputs)
    for units in (512, 256, 128):
        x = layers.Dense(units)(x)
        x = layers.Activation("relu")(x)
        x = layers.Dropout(0.2)(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def densenet() -> dk.Sequential:
    """Return a small DenseNet (Huang et al. 2017): three stages of four layers, growth rate 12, halved between."""
    stage = dk.DenselyConnected(dk.ConvBlock(12, order="norm-activation-conv"), num_repeats=4)
    last = [layers.BatchNormalization(), layers.Activation("relu"), dk.Classifier(10, pool="avg")]
    first = dk.ConvBlock(16, norm=None, activation=None, conv={"use_bias": False})
    return dk.Sequential([first, stage, dk.Transition(), stage, dk.Transition(), stage, *last], name="densenet")


def densenet_by_hand() -> keras.Model:
    """Return the same in plain Keras."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    for stage in range(3):
        if stage:
            x = layers.Activation("relu")(layers.BatchNormalization()(x))
            x = layers.Conv2D(x.shape[-1] // 2, 1, padding="same", use_bias=False)(x)
            x = layers.AveragePooling2D(2, 2)(x)
        for _ in range(4):
            y = layers.Activation("relu")(layers.BatchNormalization()(x))
            y = layers.Conv2D(12, 3, padding="same", use_bias=False)(y)
            x = layers.Concatenate(axis=3)([x, y])
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def lenet_by_hand() -> keras.Model:
    """Return the LeNet-5 of today, which `recipes.vision.lenet.modern` defines, in plain Keras: 61,706 weights."""
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


def deep(times: int = DEPTH) -> dk.Sequential:
    """Return a residual net of many blocks of two convolutions."""
    block = dk.Residual([dk.ConvBlock(8), dk.ConvBlock(8, activation=None)])
    return dk.Sequential([dk.ConvBlock(8), dk.Repeat(block, num_repeats=times), dk.Classifier(10, pool="avg")])


def deep_by_hand(times: int = DEPTH) -> keras.Model:
    """Return the same in plain Keras, which needs Python's recursion limit raised for it."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 1000 + 150 * times))
    inputs = keras.Input((32, 32, 3))
    x = _unit(inputs, 8)
    for _ in range(times):
        y = _unit(x, 8)
        y = _unit(y, 8, activation=None)
        x = layers.Activation("relu")(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def resnet110() -> dk.Sequential:
    """Return ResNet-110 for CIFAR with shortcuts of option A."""
    return cifar_resnet(110)


def resnet110_by_hand() -> keras.Model:
    """Return the same in plain Keras."""
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
    x = layers.BatchNormalization()(x)
    return layers.Activation(activation)(x) if activation else x


def _unit(x: Any, filters: int, strides: int = 1, activation: str | None = "relu") -> Any:
    x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.Activation(activation)(x) if activation else x


TWINS = {
    "resnet20": Twins(resnet20, resnet20_by_hand, (32, 32, 3)),
    "mlp": Twins(mlp, mlp_by_hand, (28, 28, 1)),
    "densenet": Twins(densenet, densenet_by_hand, (32, 32, 3)),
    "lenet": Twins(modern, lenet_by_hand, (28, 28, 1)),
    "resnet110": Twins(resnet110, resnet110_by_hand, (32, 32, 3)),
    "deep": Twins(lambda: deep(5), lambda: deep_by_hand(5), (32, 32, 3)),
}


def graph(model: keras.Model) -> list[tuple[str, dict[str, Any], list[Any]]]:
    """Return what a functional model is, but for names: class, config and inputs of each layer, in Keras's order.

    An input is the number of the layer it comes from, with the index of its tensor.
    """
    numbers = {id(layer): number for number, layer in enumerate(model.layers)}

    def source(tensor: Any) -> tuple[int, int]:
        layer, _, index = tensor._keras_history
        return numbers[id(layer)], index

    def entry(layer: keras.layers.Layer) -> tuple[str, dict[str, Any], list[Any]]:
        config = {key: value for key, value in layer.get_config().items() if key != "name"}
        given = [] if isinstance(layer, layers.InputLayer) else keras.tree.flatten(layer.input)
        return type(layer).__name__, config, [source(tensor) for tensor in given]

    return [entry(layer) for layer in model.layers]
