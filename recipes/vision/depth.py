"""Depth: where a plain net of 50 layers fails, highway, residual and densely connected ones train, on MNIST.

One layer is the same everywhere, a matrix and a rectifier H. The four kinds of net differ only in what passes by it:

    plain      y = H(x)
    highway    y = T(x) H(x) + (1 - T(x)) x    a gate T, nearly closed at first (Srivastava et al. 2015)
    residual   y = x + H(x)                    the sum of all layers before (He et al. 2016)
    dense      y = [x, H(x)]                   everything that was made before, side by side (Huang et al. 2017)

They are trained alike, at 10, 20, 30 and 50 layers, with about the same number of weights at each depth. No net has
normalisation, dropout or augmentation: the question is what the optimiser can do, so the training loss answers it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Outcome, Paper, Recipe, Settings, main
from recipes.vision.highway import HE, highway, plain

PAPER = Paper(
    title="Training Very Deep Networks",
    authors=("Rupesh Kumar Srivastava", "Klaus Greff", "Jürgen Schmidhuber"),
    year=2015,
    venue="Advances in Neural Information Processing Systems 28",
    url="https://arxiv.org/abs/1507.06228",
)
WORKSHOP = Paper(
    title="Highway Networks",
    authors=("Rupesh Kumar Srivastava", "Klaus Greff", "Jürgen Schmidhuber"),
    year=2015,
    venue="ICML Deep Learning Workshop",
    url="https://arxiv.org/abs/1505.00387",
)
RESIDUAL = Paper(
    title="Identity Mappings in Deep Residual Networks",
    authors=("Kaiming He", "Xiangyu Zhang", "Shaoqing Ren", "Jian Sun"),
    year=2016,
    venue="European Conference on Computer Vision (ECCV), pp. 630-645",
    url="https://arxiv.org/abs/1603.05027",
)
DENSE = Paper(
    title="Densely Connected Convolutional Networks",
    authors=("Gao Huang", "Zhuang Liu", "Laurens van der Maaten", "Kilian Q. Weinberger"),
    year=2017,
    venue="IEEE Conference on Computer Vision and Pattern Recognition (CVPR), pp. 2261-2269",
    url="https://arxiv.org/abs/1608.06993",
)

# what is chosen on validation images: for each kind, the step size by depth
RATES = {
    "plain": {10: 0.03, 20: 0.01, 30: 0.01, 50: 0.003},
    "highway": {10: 0.1, 20: 0.1, 30: 0.1, 50: 0.1},
    "residual": {10: 0.03, 20: 0.03, 30: 0.01, 50: 0.01},
    "dense": {10: 0.03, 20: 0.03, 30: 0.03, 50: 0.03},
}
DEPTHS = (10, 20, 30, 50)


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Four kinds of net at four depths; a repeat trains all of them."""

    QUICK = {"seeds": 1, "epochs": 1, "depths": (10, 50), "batch_size": 512}

    epochs: int = 15
    """Passes over the training data, for each net."""
    depths: tuple[int, ...] = DEPTHS
    """How many hidden layers the nets have."""
    learning_rate: float | None = None
    """First step size, for every net; each net's own, chosen on validation images, where not given."""
    decay: float = 0.85
    """What the step size is multiplied by over each pass."""
    momentum: float = 0.9
    """Share of the last step that is taken again."""
    batch_size: int = 128
    """Images in a step."""


def load_data(config: Config) -> dk.data.Data:
    """Return MNIST, or scikit-learn's digits at the same size where it cannot be had."""
    return dk.data.load(
        "mnist",
        batch_size=config.batch_size,
        validation=5_000,
        image_size=28,
        seed=config.seed,
        data_dir=config.data_dir,
        fallback="digits",
    )


def residual(depth: int) -> dk.Sequential:
    layer = dk.Residual([layers.ReLU(), layers.Dense(71, kernel_initializer="zeros")], activation=None)
    return dk.Sequential(
        [dk.MLP([71], dense=HE), dk.Repeat(layer, times=depth - 1), layers.ReLU(), dk.Classifier(10)],
        name=f"residual{depth}",
    )


def dense(depth: int) -> dk.Sequential:
    growth = GROWTH[depth]
    block = dk.DenselyConnected(dk.MLP([growth], dense=HE), repeats=depth - 1)
    return dk.Sequential([dk.MLP([71], dense=HE), block, dk.Classifier(10)], name=f"dense{depth}")

GROWTH = {10: 27, 20: 20, 30: 16, 50: 13}
KINDS = {"plain": plain, "highway": highway, "residual": residual, "dense": dense}
