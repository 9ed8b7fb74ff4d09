"""Residual networks in the layout of keras.applications, for its weights (see `recipes.vision.imagenet`).

They differ from `recipes.vision.resnet` in weights and values: every convolution has a bias, except those of version 2
before a normalization. In version 1 the first 1x1 convolution of a unit has the stride, as in the authors' models, and
in version 2 the last unit of a stage has it. Separate layers pad the borders, and the normalizations have epsilon
1.001e-5 and momentum 0.99.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from keras import layers

import deepkit as dk
from deepkit.utils.errors import format_value
from recipes import papers
from recipes.vision.resnet import STAGES, bottleneck

if TYPE_CHECKING:
    from deepkit.definition.fields import BodyLike

PAPER = papers.HE_2016
norm = partial(layers.BatchNormalization, momentum=0.99, epsilon=1.001e-5)
conv = partial(dk.ConvBlock, norm=norm(), conv={"use_bias": True})
bare = partial(dk.ConvBlock, norm=None, activation=None)
relu = partial(layers.Activation, "relu")


def version1(depth: int, *, include_top: bool = True, num_classes: int = 1000) -> dk.Sequential:
    """Return ResNet-50, -101 or -152 in the layout of `keras.applications.ResNet50`, 101 and 152."""
    stages = []
    for stage, num_units in enumerate(_units_per_stage(depth)):
        units = [_unit1(64 * 2**stage, 2 if stage and not unit else 1, first=not unit) for unit in range(num_units)]
        stages.append(dk.Sequential(units, name=f"stage{stage + 1}"))
    stem = conv(64, kernel_size=7, strides=2, conv={"use_bias": True, "padding": "valid"})
    return dk.Sequential(
        [layers.ZeroPadding2D(3), stem, *_pool(), *stages, *_top(include_top, num_classes)], name=f"resnet{depth}"
    )


def version2(depth: int, *, include_top: bool = True, num_classes: int = 1000) -> dk.Sequential:
    """Return the pre-activated ResNet-50, -101 or -152 in the layout of `keras.applications.ResNet50V2` and others."""
    stages = []
    for stage, num_units in enumerate(_units_per_stage(depth)):
        strides = [1] * (num_units - 1) + [2 if stage < 3 else 1]
        units = [_unit2(64 * 2**stage, strides[unit], first=not unit) for unit in range(num_units)]
        stages.append(dk.Sequential(units, name=f"stage{stage + 1}"))
    stem = bare(64, kernel_size=7, strides=2, conv={"padding": "valid"})
    return dk.Sequential(
        [layers.ZeroPadding2D(3), stem, *_pool(), *stages, norm(), relu(), *_top(include_top, num_classes)],
        name=f"resnet{depth}v2",
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
    body: list[BodyLike] = [
        normed(filters, kernel_size=1),
        layers.ZeroPadding2D(1),
        normed(filters, strides=strides, conv={"padding": "valid"}),
        bare(4 * filters, kernel_size=1),
    ]
    if first:  # the shortcut follows the first activation too
        projection = [bare(4 * filters, kernel_size=1, strides=strides)]
        return dk.Sequential([norm(), relu(), dk.Parallel({"shortcut": projection, "body": body}, merge="add")])
    shortcut = [layers.MaxPooling2D(1, strides)] if strides > 1 else []
    return dk.Sequential([dk.Parallel({"shortcut": shortcut, "body": [norm(), relu(), *body]}, merge="add")])


def _pool() -> list[layers.Layer]:
    return [layers.ZeroPadding2D(1), layers.MaxPooling2D(3, 2)]


def _top(include_top: bool, num_classes: int) -> list[dk.Block]:
    return [dk.Classifier(num_classes, pool="avg", activation="softmax")] if include_top else []


def _units_per_stage(depth: int) -> tuple[int, ...]:
    unit, units_per_stage = STAGES.get(depth, (None, ()))
    if unit is not bottleneck:
        problem = f"keras.applications has no ResNet of {format_value(depth)} layers"
        raise dk.DefinitionError(problem, hint="use 50, 101 or 152")
    return units_per_stage
