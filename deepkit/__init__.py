"""deepkit: Keras models from a few lines, and the canonical architectures of deep learning as recipes.

Everything here is loaded on first use: importing deepkit imports neither Keras nor TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepkit import data, execution, layers, models, recipe, visualize
    from deepkit.block import Block, DefinitionError, Input, Sequential, Shared
    from deepkit.blocks.attention import Attention, MultiHeadAttention
    from deepkit.blocks.autoencoder import Autoencoder
    from deepkit.blocks.channels import SeparableConvBlock, SqueezeExcitation
    from deepkit.blocks.conv import ConvBlock, ConvStack
    from deepkit.blocks.dense import MLP
    from deepkit.blocks.dense_connections import DenselyConnected, Transition
    from deepkit.blocks.gan import GAN
    from deepkit.blocks.gaussian import GaussianHead
    from deepkit.blocks.heads import Classifier, Regressor
    from deepkit.blocks.highway import Highway
    from deepkit.blocks.parallel import Fuse, Parallel
    from deepkit.blocks.recurrent import BiLSTM, Recurrent
    from deepkit.blocks.repeat import Repeat
    from deepkit.blocks.residual import Bottleneck, Residual
    from deepkit.blocks.seq2seq import Seq2Seq
    from deepkit.blocks.text import Text
    from deepkit.blocks.vae import VAE
    from deepkit.execution.export import export
    from deepkit.execution.fit import Run, fit
    from deepkit.execution.learning_rate import find_learning_rate
    from deepkit.execution.plan import Plan, plan
    from deepkit.execution.pretrain import pretrain
    from deepkit.execution.schedules import OneCycle, StepDecay, WarmUp
    from deepkit.functional import Functional
    from deepkit.layers.noise import MaskingNoise, SaltAndPepperNoise
    from deepkit.parzen import ParzenWindow
    from deepkit.pattern import Pattern, from_pattern
    from deepkit.spec import dump, from_dict, load, to_dict

__version__ = "0.1.0"

_HOMES = {
    "Block": "deepkit.block",
    "DefinitionError": "deepkit.block",
    "Input": "deepkit.block",
    "Sequential": "deepkit.block",
    "Shared": "deepkit.block",
    "Functional": "deepkit.functional",
    "ConvBlock": "deepkit.blocks.conv",
    "ConvStack": "deepkit.blocks.conv",
    "SeparableConvBlock": "deepkit.blocks.channels",
    "SqueezeExcitation": "deepkit.blocks.channels",
    "MLP": "deepkit.blocks.dense",
    "Attention": "deepkit.blocks.attention",
    "MultiHeadAttention": "deepkit.blocks.attention",
    "Seq2Seq": "deepkit.blocks.seq2seq",
    "DenselyConnected": "deepkit.blocks.dense_connections",
    "Transition": "deepkit.blocks.dense_connections",
    "Classifier": "deepkit.blocks.heads",
    "Regressor": "deepkit.blocks.heads",
    "Highway": "deepkit.blocks.highway",
    "Fuse": "deepkit.blocks.parallel",
    "Parallel": "deepkit.blocks.parallel",
    "BiLSTM": "deepkit.blocks.recurrent",
    "Recurrent": "deepkit.blocks.recurrent",
    "Repeat": "deepkit.blocks.repeat",
    "Bottleneck": "deepkit.blocks.residual",
    "Residual": "deepkit.blocks.residual",
    "GaussianHead": "deepkit.blocks.gaussian",
    "VAE": "deepkit.blocks.vae",
    "Text": "deepkit.blocks.text",
    "Pattern": "deepkit.pattern",
    "from_pattern": "deepkit.pattern",
    "dump": "deepkit.spec",
    "from_dict": "deepkit.spec",
    "load": "deepkit.spec",
    "to_dict": "deepkit.spec",
    "Plan": "deepkit.execution.plan",
    "plan": "deepkit.execution.plan",
    "Run": "deepkit.execution.fit",
    "fit": "deepkit.execution.fit",
    "export": "deepkit.execution.export",
    "find_learning_rate": "deepkit.execution.learning_rate",
    "GAN": "deepkit.blocks.gan",
    "ParzenWindow": "deepkit.parzen",
    "Autoencoder": "deepkit.blocks.autoencoder",
    "MaskingNoise": "deepkit.layers.noise",
    "SaltAndPepperNoise": "deepkit.layers.noise",
    "pretrain": "deepkit.execution.pretrain",
    "OneCycle": "deepkit.execution.schedules",
    "StepDecay": "deepkit.execution.schedules",
    "WarmUp": "deepkit.execution.schedules",
}
_MODULES = ("data", "execution", "layers", "models", "recipe", "visualize")

__all__ = [
    "Block", "Sequential", "Functional", "Input", "Shared", "DefinitionError",
    "ConvBlock", "ConvStack", "SeparableConvBlock", "MLP",
    "Residual", "Bottleneck", "DenselyConnected", "Transition", "Highway", "SqueezeExcitation",
    "Recurrent", "BiLSTM", "Text",
    "Attention", "MultiHeadAttention", "Seq2Seq",
    "Repeat", "Parallel", "Fuse", "Classifier", "Regressor",
    "GaussianHead", "VAE",
    "GAN", "ParzenWindow",
    "Autoencoder", "MaskingNoise", "SaltAndPepperNoise", "pretrain",
    "from_pattern", "Pattern", "dump", "load", "to_dict", "from_dict",
    "plan", "Plan", "fit", "Run", "export",
    "OneCycle", "StepDecay", "WarmUp",
    "find_learning_rate",
    "data", "execution", "layers", "models", "recipe", "visualize",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"deepkit.{name}")
    else:
        raise AttributeError(f"module 'deepkit' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
