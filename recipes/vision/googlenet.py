"""GoogLeNet: modules that look at their input through 1x1, 3x3 and 5x5 windows and a pooling side by side.

1x1 convolutions before the costly windows keep the computation down, and an average over all positions in place of
wide dense layers keeps the weights down: 7 million, where AlexNet has 61. In training, two further classifiers on the
way send gradients to the lower layers; they are dropped afterwards. The paper's table 1 has the architecture, its
section 7 the results on ImageNet. A module of definitions: it trains nothing by itself.

Source: Christian Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, https://arxiv.org/abs/1409.4842.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
from keras import layers

import deepkit as dk

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
HEADS = {"auxiliary1": "inception4a", "auxiliary2": "inception4d"}  # each behind its module
LOSS_WEIGHTS = {"classifier": 1.0, "auxiliary1": 0.3, "auxiliary2": 0.3}  # section 5


def googlenet(
    *, num_classes: int = 1000, norm: Any = None, dropout: float = 0.4, activation: str | None = None
) -> dk.Sequential:
    """Return the network of table 1 as it is used, without auxiliary classifiers; the paper's images are 224x224x3.

    Args:
        num_classes: Number of classes.
        norm: None as in the paper, with its local response normalisation; `"batch"` has batch normalisation behind
            every convolution, in place of that and of the biases.
        dropout: Fraction of the features dropped before the classifier in training.
        activation: None for logits, `"softmax"` for probabilities.
    """
    nodes = _nodes(norm)
    head = dk.Classifier(num_classes, pool="avg", dropout=dropout, activation=activation)
    return dk.Sequential([*nodes.values(), head], name=_name(norm))


googlenet_bn = partial(googlenet, norm="batch")


def googlenet_with_heads(
    *, num_classes: int = 1000, norm: Any = None, dropout: float = 0.4, input_shape: tuple[int, ...] = (224, 224, 3)
) -> dk.Functional:
    """Return the network as it is trained, with three outputs of logits: `classifier`, `auxiliary1`, `auxiliary2`.

    Their losses are weighted by `LOSS_WEIGHTS`, `labels` gives each its labels, and `without_heads` takes the two
    auxiliary ones off a trained model.

    Args:
        num_classes: Number of classes.
        norm: As in `googlenet`.
        dropout: Fraction of the features dropped before the classifier; 0.7 before the auxiliary ones (section 5).
        input_shape: Rows, columns and channels of an image.
    """
    nodes: dict[str, Any] = {}
    last = "image"
    for name, body in _nodes(norm).items():
        nodes[name] = (last, body)
        last = name
        nodes |= {head: (name, _auxiliary(num_classes, norm)) for head, module in HEADS.items() if module == name}
    nodes["classifier"] = (last, dk.Classifier(num_classes, pool="avg", dropout=dropout))
    return dk.Functional(
        inputs={"image": dk.Input(input_shape)},
        nodes=nodes,
        outputs=list(LOSS_WEIGHTS),
        name=f"{_name(norm)}_with_heads",
    )


def labels(y: Any) -> dict[str, Any]:
    """Return the labels of every output: the same for each."""
    return dict.fromkeys(LOSS_WEIGHTS, y)


def without_heads(model: keras.Model) -> keras.Model:
    """Return a trained network without its auxiliary classifiers; it shares the weights of the given one.

    Raises:
        ValueError: The model has no output called `classifier`.
    """
    outputs = model.output
    if not isinstance(outputs, dict) or "classifier" not in outputs:
        raise ValueError(
            f"{model.name} has no auxiliary classifiers to take off: expected the outputs {', '.join(LOSS_WEIGHTS)}\n"
            "  hint: a model built from googlenet_with_heads()"
        )
    return keras.Model(model.input, outputs["classifier"], name=model.name.removesuffix("_with_heads"))


def inception(row: tuple[int, ...], *, norm: Any = None, name: str | None = None) -> dk.Parallel:
    """Return a module of figure 2b from its row of table 1."""
    ones, reduce3, threes, reduce5, fives, pooled = row
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


def _nodes(norm: Any) -> dict[str, Any]:
    """Return the parts of the trunk by name, in order."""
    nodes: dict[str, Any] = {"stem": _stem(norm)}
    for module, row in MODULES.items():
        nodes[f"inception{module}"] = inception(row, norm=norm, name=f"inception{module}")
        if module in POOLED_AFTER:
            nodes[f"pool{module}"] = _pool(f"pool{module}")
    return nodes


def _stem(norm: Any) -> dk.Sequential:
    conv = partial(dk.ConvBlock, norm=norm)
    lrn = [] if norm else [dk.layers.LocalResponseNormalization()]
    body = [conv(64, kernel_size=7, strides=2), _pool(), *lrn, conv(64, kernel_size=1), conv(192), *lrn, _pool()]
    return dk.Sequential(body, name="stem")


def _pool(name: str | None = None) -> layers.MaxPooling2D:
    """Return a pooling that halves, rounding up as the paper's does."""
    return layers.MaxPooling2D(3, 2, padding="same", name=name)


def _auxiliary(num_classes: int, norm: Any) -> list[Any]:
    """Return an auxiliary classifier of section 5."""
    return [
        layers.AveragePooling2D(5, 3),
        dk.ConvBlock(128, kernel_size=1, norm=norm),
        dk.MLP([1024], dropout=0.7),
        dk.Classifier(num_classes),
    ]


def _name(norm: Any) -> str:
    return "googlenet_bn" if norm == "batch" else "googlenet"
