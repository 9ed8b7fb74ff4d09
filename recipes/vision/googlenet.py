"""GoogLeNet: Inception modules, which apply 1x1, 3x3 and 5x5 convolutions and pooling side by side.

1x1 convolutions before the expensive ones keep the computation low, and an average over all positions in place of wide
dense layers keeps the weights few: 7 million, compared with 61 million of AlexNet. In training, two auxiliary
classifiers send gradients to the lower layers; they are removed afterwards. Table 1 of Szegedy et al. (2015) has the
architecture, and section 7 the results on ImageNet.

Definitions only: `googlenet().build((224, 224, 3))` builds the network, and `dk.fit` trains it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers

import deepkit as dk
from deepkit.utils.errors import message
from recipes import papers

PAPER = papers.SZEGEDY_2015
# table 1 of the paper: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
POOLED_AFTER = ("3b", "4e")
HEADS = {"auxiliary1": "inception4a", "auxiliary2": "inception4d"}  # the module before each auxiliary classifier
LOSS_WEIGHTS = {"classifier": 1.0, "auxiliary1": 0.3, "auxiliary2": 0.3}  # section 5


def googlenet(
    *, num_classes: int = 1000, norm: str | None = None, dropout: float = 0.4, activation: str | None = None
) -> dk.Sequential:
    """Return the network of table 1 without auxiliary classifiers; the images of the paper are 224x224x3.

    Args:
        num_classes: Number of classes.
        norm: None for the local response normalization of the paper; `"batch"` for batch normalization after every
            convolution, in place of that and of the biases.
        dropout: Dropout rate before the classifier.
        activation: None for logits, `"softmax"` for probabilities.
    """
    nodes = _nodes(norm)
    head = dk.Classifier(num_classes, pool="avg", dropout=dropout, activation=activation)
    return dk.Sequential([*nodes.values(), head], name=_name(norm))


googlenet_bn = partial(googlenet, norm="batch")


def googlenet_with_heads(
    *,
    num_classes: int = 1000,
    norm: str | None = None,
    dropout: float = 0.4,
    input_shape: tuple[int, ...] = (224, 224, 3),
) -> dk.Functional:
    """Return the network for training, with three outputs of logits: `classifier`, `auxiliary1`, `auxiliary2`.

    `LOSS_WEIGHTS` are the weights of their losses, `labels` repeats the labels for each output, and `without_heads`
    removes the auxiliary classifiers from a trained model.

    Args:
        num_classes: Number of classes.
        norm: As in `googlenet`.
        dropout: Dropout rate before the classifier; it is 0.7 before the auxiliary ones (section 5).
        input_shape: Shape of an image: `(height, width, channels)`.
    """
    nodes: dict[str, Any] = {}
    last = "image"
    for name, block in _nodes(norm).items():
        nodes[name] = (last, block)
        last = name
        for head, module in HEADS.items():
            if module == name:
                nodes[head] = (name, _auxiliary(num_classes, norm))
    nodes["classifier"] = (last, dk.Classifier(num_classes, pool="avg", dropout=dropout))
    return dk.Functional(
        inputs={"image": dk.Input(input_shape)},
        nodes=nodes,
        outputs=list(LOSS_WEIGHTS),
        name=f"{_name(norm)}_with_heads",
    )


def labels(y: np.ndarray) -> dict[str, np.ndarray]:
    """Return the same labels for every output."""
    return dict.fromkeys(LOSS_WEIGHTS, y)


def without_heads(model: keras.Model) -> keras.Model:
    """Return a trained network without its auxiliary classifiers; it shares the weights of `model`.

    Raises:
        ValueError: The model does not have an output called `classifier`.
    """
    outputs = model.output
    if not isinstance(outputs, dict) or "classifier" not in outputs:
        problem = f"{model.name} has no auxiliary classifiers: expected the outputs {', '.join(LOSS_WEIGHTS)}"
        raise ValueError(message(problem, hint="pass a model built from googlenet_with_heads()"))
    return keras.Model(model.input, outputs["classifier"], name=model.name.removesuffix("_with_heads"))


def inception(filters: Sequence[int], *, norm: str | None = None, name: str | None = None) -> dk.Parallel:
    """Return a module of figure 2b from its row of table 1."""
    ones, reduce3, threes, reduce5, fives, pooled = filters
    conv = partial(dk.ConvBlock, norm=norm)
    return dk.Parallel(
        {
            "1x1": conv(ones, kernel_size=1),
            "3x3": [conv(reduce3, kernel_size=1), conv(threes)],
            "5x5": [conv(reduce5, kernel_size=1), conv(fives, kernel_size=5)],
            "pool": [layers.MaxPooling2D(3, 1, padding="same"), conv(pooled, kernel_size=1)],
        },
        name=name,
    )


def _nodes(norm: str | None) -> dict[str, Any]:
    """Return the blocks before the classifier by name, in order."""
    nodes: dict[str, Any] = {"stem": _stem(norm)}
    for module, filters in MODULES.items():
        nodes[f"inception{module}"] = inception(filters, norm=norm, name=f"inception{module}")
        if module in POOLED_AFTER:
            nodes[f"pool{module}"] = _pool(f"pool{module}")
    return nodes


def _stem(norm: str | None) -> dk.Sequential:
    conv = partial(dk.ConvBlock, norm=norm)
    lrn = [] if norm else [dk.layers.LocalResponseNormalization()]
    return dk.Sequential(
        [conv(64, kernel_size=7, strides=2), _pool(), *lrn, conv(64, kernel_size=1), conv(192), *lrn, _pool()],
        name="stem",
    )


def _pool(name: str | None = None) -> layers.MaxPooling2D:
    """Return a pooling with stride 2 that rounds sizes up, as in the paper."""
    return layers.MaxPooling2D(3, 2, padding="same", name=name)


def _auxiliary(num_classes: int, norm: str | None) -> list[Any]:
    """Return an auxiliary classifier of section 5."""
    return [
        layers.AveragePooling2D(5, 3),
        dk.ConvBlock(128, kernel_size=1, norm=norm),
        dk.MLP([1024], dropout=0.7),
        dk.Classifier(num_classes),
    ]


def _name(norm: str | None) -> str:
    return "googlenet_bn" if norm == "batch" else "googlenet"
