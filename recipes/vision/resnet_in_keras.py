"""The residual networks as keras.applications lays them out, to take its weights: `recipes.vision.imagenet` does.

They differ from `recipes.vision.resnet` in ways that change weights and values: every convolution has a bias but those
of version 2 that a normalisation follows, the stride of a unit of version 1 is in its first 1x1 convolution, as in the
authors' models, and that of version 2 at the end of a stage, borders are padded by layers of their own, and the
normalisations have an epsilon of 1.001e-5.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from keras import layers

import deepkit as dk
from recipes.vision.resnet import STAGES, bottleneck

norm = partial(layers.BatchNormalization, epsilon=1.001e-5)
conv = partial(dk.ConvBlock, norm=norm(), conv={"use_bias": True})
bare = partial(dk.ConvBlock, norm=None, activation=None)
relu = partial(layers.Activation, "relu")


def version1(depth: int, *, include_top: bool = True, num_classes: int = 1000) -> dk.Sequential:
    """Return ResNet-50, -101 or -152 as `keras.applications.ResNet50` and its like are."""
    first = [layers.ZeroPadding2D(3), conv(64, kernel_size=7, strides=2, conv={"use_bias": True, "padding": "valid"})]
    stages = [
        dk.Sequential([_unit1(64 * 2**i, 2 if i and not j else 1, first=not j) for j in range(n)], name=f"stage{i + 1}")
        for i, n in enumerate(_repeats(depth))
    ]
    return dk.Sequential([*first, *_pool(), *stages, *_top(include_top, num_classes)], name=f"resnet{depth}")


def version2(depth: int, *, include_top: bool = True, num_classes: int = 1000) -> dk.Sequential:
    """Return the pre-activated ResNet-50, -101 or -152 as `keras.applications.ResNet50V2` and its like are."""
    first = [layers.ZeroPadding2D(3), bare(64, kernel_size=7, strides=2, conv={"padding": "valid"})]
    stages = [
        dk.Sequential(
            [_unit2(64 * 2**i, 2 if i < 3 and j == n - 1 else 1, first=not j) for j in range(n)], name=f"stage{i + 1}"
        )
        for i, n in enumerate(_repeats(depth))
    ]
    return dk.Sequential(
        [*first, *_pool(), *stages, norm(), relu(), *_top(include_top, num_classes)], name=f"resnet{depth}v2"
    )


def _unit1(filters: int, strides: int, *, first: bool) -> dk.Sequential:
    body = [
        conv(filters, kernel_size=1, strides=strides),
        conv(filters),
        conv(4 * filters, kernel_size=1, activation=None),
    ]
    shortcut = [conv(4 * filters, kernel_size=1, strides=strides, activation=None)] if first else []
    return dk.Sequential([dk.Parallel({"shortcut": shortcut, "body": body}, merge="add"), relu()])


def _unit2(filters: int, strides: int, *, first: bool) -> dk.Sequential:
    normed = partial(dk.ConvBlock, norm=norm())
    body = [
        normed(filters, kernel_size=1),
        layers.ZeroPadding2D(1),
        normed(filters, strides=strides, conv={"padding": "valid"}),
        bare(4 * filters, kernel_size=1),
    ]
    if first:  # the shortcut comes after the first activation too
        shortcut = [bare(4 * filters, kernel_size=1, strides=strides)]
        return dk.Sequential([norm(), relu(), dk.Parallel({"shortcut": shortcut, "body": body}, merge="add")])
    skip: list[Any] = [layers.MaxPooling2D(1, strides)] if strides > 1 else []
    return dk.Sequential([dk.Parallel({"shortcut": skip, "body": [norm(), relu(), *body]}, merge="add")])


def _pool() -> list[Any]:
    return [layers.ZeroPadding2D(1), layers.MaxPooling2D(3, 2)]


def _top(include_top: bool, num_classes: int) -> list[Any]:
    return [dk.Classifier(num_classes, pool="avg", activation="softmax")] if include_top else []


def _repeats(depth: int) -> tuple[int, ...]:
    unit, repeats = STAGES.get(depth, (None, ()))
    if unit is not bottleneck:
        raise dk.DefinitionError(f"keras.applications has no ResNet of {depth!r} layers", hint="50, 101 or 152")
    return repeats
