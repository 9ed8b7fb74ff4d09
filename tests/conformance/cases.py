"""One case per public block and layer; every conformance check runs on every case."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

import deepkit as dk

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Case:
    """A definition or layer to be checked.

    `covers` are the public names it stands for; `unknown` is an input shape with unknown sizes that it must take
    too; `custom` says that it holds a layer of deepkit's, so that its file needs deepkit to load.
    """

    name: str
    covers: str
    make: Callable[[], Any]
    shape: Shape
    unknown: Shape | None = None
    custom: bool = False

    def definition(self) -> dk.Block:
        made = self.make()
        return made if isinstance(made, dk.Block) else dk.Sequential([made], name="layer")


def _basic(filters: int, strides: int = 1, **kwargs: Any) -> dk.Residual:
    return dk.Residual([dk.ConvBlock(filters, strides=strides), dk.ConvBlock(filters, activation=None)], **kwargs)


IMAGE, ANY_IMAGE = (8, 8, 3), (None, None, 3)
SEQUENCE, ANY_SEQUENCE = (6, 4), (None, 4)

CASES = (
    Case("conv_block", "ConvBlock", lambda: dk.ConvBlock(4), IMAGE, ANY_IMAGE),
    Case("conv_block_1d", "ConvBlock", lambda: dk.ConvBlock(4), SEQUENCE, ANY_SEQUENCE),
    Case("conv_block_3d", "ConvBlock", lambda: dk.ConvBlock(4), (4, 4, 4, 2), (None, None, None, 2)),
    Case(
        "conv_block_preactivation",
        "ConvBlock",
        lambda: dk.ConvBlock(4, order="norm-activation-conv", strides=2, kernel_size=(3, 1)),
        IMAGE,
        ANY_IMAGE,
    ),
    Case(
        "conv_block_layers",
        "ConvBlock",
        lambda: dk.ConvBlock(
            6,
            activation=layers.LeakyReLU(negative_slope=0.1),
            norm=layers.GroupNormalization(groups=3),
            conv={"dilation_rate": 2, "groups": 3, "kernel_regularizer": keras.regularizers.L2(1e-4)},
        ),
        IMAGE,
        ANY_IMAGE,
    ),
    Case("conv_stack", "ConvStack", lambda: dk.ConvStack(4, convs=2), IMAGE, ANY_IMAGE),
    Case("conv_stack_avg", "ConvStack", lambda: dk.ConvStack(4, convs=1, pool="avg", norm="layer"), SEQUENCE),
    Case("residual_identity", "Residual", lambda: _basic(3), IMAGE, ANY_IMAGE),
    Case("residual_projection", "Residual", lambda: _basic(6, strides=2), IMAGE, ANY_IMAGE),
    Case("residual_pad", "Residual", lambda: _basic(6, strides=2, shortcut="pad"), (7, 8, 3), ANY_IMAGE),
    Case("residual_pad_1d", "Residual", lambda: _basic(6, strides=2, shortcut="pad"), SEQUENCE, ANY_SEQUENCE),
    Case("residual_pad_dense", "Residual", lambda: dk.Residual(dk.MLP([9]), shortcut="pad"), (5,)),
    Case("residual_dense", "Residual", lambda: dk.Residual(dk.MLP([9]), norm=None), (5,)),
    Case("repeat", "Repeat", lambda: dk.Repeat(_basic(3), times=2), IMAGE, ANY_IMAGE),
    Case("mlp", "MLP", lambda: dk.MLP([7, 5], dropout=0.5), IMAGE),
    Case("mlp_norm", "MLP", lambda: dk.MLP([7], norm="batch", activation="gelu"), (5,)),
    Case("mlp_positions", "MLP", lambda: dk.MLP([7], flatten=False), SEQUENCE, ANY_SEQUENCE),
    Case("classifier", "Classifier", lambda: dk.Classifier(3), IMAGE),
    Case(
        "classifier_avg",
        "Classifier",
        lambda: dk.Classifier(3, pool="avg", activation="softmax", dropout=0.2),
        IMAGE,
        ANY_IMAGE,
    ),
    Case("classifier_positions", "Classifier", lambda: dk.Classifier(3, pool=None), SEQUENCE, ANY_SEQUENCE),
    Case(
        "sequential",
        "Sequential Input",
        lambda: dk.Sequential(
            [dk.Input(IMAGE), dk.ConvStack(4), [layers.Dropout(0.5, seed=1), dk.Classifier(3)]], name="net"
        ),
        IMAGE,
    ),
    Case(
        "shared",
        "Shared",
        lambda: dk.Sequential([dk.Shared(dk.ConvBlock(3), name="twice"), dk.Shared(dk.ConvBlock(3), name="twice")]),
        IMAGE,
        ANY_IMAGE,
    ),
    Case(
        "table_conv",
        "TableConv2D FanInUniform scaled_tanh",
        lambda: dk.layers.TableConv2D(
            [(0, 1), (1, 2), (0, 1, 2)],
            3,
            activation=dk.layers.scaled_tanh,
            kernel_initializer=dk.layers.FanInUniform(2.4),
        ),
        IMAGE,
        ANY_IMAGE,
        custom=True,
    ),
    Case("subsampling", "Subsampling2D", lambda: dk.layers.Subsampling2D(2, activation="tanh"), IMAGE, ANY_IMAGE, True),
    Case("rbf", "RBF", lambda: dk.Sequential([dk.MLP([2]), dk.layers.RBF([[0.0, 0.0], [1.0, 2.0]])]), (5,), None, True),
)
