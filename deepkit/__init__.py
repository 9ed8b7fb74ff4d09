"""deepkit: Keras models from a few lines, and the canonical architectures of deep learning as recipes.

Every public name is loaded on first use: importing deepkit imports neither Keras nor TensorFlow.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING

from deepkit._version import __version__ as __version__
from deepkit.utils.keras_registration import register_classes

if TYPE_CHECKING:
    from deepkit import data, envs, errors, execution, layers, losses, models, recipe, teaching, testing, visualize
    from deepkit import search as search
    from deepkit.agents.actor_critic import ActorCritic
    from deepkit.agents.dqn import DQN
    from deepkit.agents.reinforce import Reinforce
    from deepkit.blocks.attention import Attention, MultiHeadAttention
    from deepkit.blocks.autoencoder import Autoencoder
    from deepkit.blocks.boltzmann import BoltzmannMachine
    from deepkit.blocks.captioner import Captioner
    from deepkit.blocks.channels import SeparableConvBlock, SqueezeExcitation
    from deepkit.blocks.conv import ConvBlock, ConvStack
    from deepkit.blocks.dbn import DBN
    from deepkit.blocks.dense import MLP
    from deepkit.blocks.dense_connections import DenselyConnected, Transition
    from deepkit.blocks.gan import GAN
    from deepkit.blocks.gaussian import GaussianHead
    from deepkit.blocks.heads import Classifier, Regressor
    from deepkit.blocks.helmholtz_machine import HelmholtzMachine
    from deepkit.blocks.highway import Highway
    from deepkit.blocks.hopfield import Hopfield
    from deepkit.blocks.language_model import LanguageModel
    from deepkit.blocks.parallel import Merge, Parallel
    from deepkit.blocks.perceptron import Perceptron
    from deepkit.blocks.rbm import RBM
    from deepkit.blocks.recurrent import BiLSTM, Recurrent
    from deepkit.blocks.recurrent_attention import RecurrentAttention
    from deepkit.blocks.repeat import Repeat
    from deepkit.blocks.residual import Bottleneck, Residual
    from deepkit.blocks.seq2seq import Seq2Seq
    from deepkit.blocks.table_encoder import TableEncoder
    from deepkit.blocks.text import Text
    from deepkit.blocks.transformer import TransformerDecoder, TransformerEncoder
    from deepkit.blocks.vae import VAE
    from deepkit.definition import fields
    from deepkit.definition.block import Block
    from deepkit.definition.errors import DefinitionError
    from deepkit.definition.functional import Functional
    from deepkit.definition.sequential import Input, Sequential, Shared
    from deepkit.execution.plan import Plan, plan
    from deepkit.export.exporter import export
    from deepkit.layers.mean_and_stddev import mean_and_stddev
    from deepkit.layers.noise import MaskingNoise, SaltAndPepperNoise
    from deepkit.models.parzen import ParzenWindow
    from deepkit.pattern.from_pattern import Pattern, from_pattern
    from deepkit.search.match import play
    from deepkit.serialization.registry import register_block
    from deepkit.serialization.serialize import dump, from_dict, load, to_dict
    from deepkit.training.adaptation import adapt
    from deepkit.training.autotune import autotune
    from deepkit.training.fit import fit
    from deepkit.training.learn import evaluate_agent, learn
    from deepkit.training.learning_rate import find_learning_rate
    from deepkit.training.model_builder import ModelBuilder
    from deepkit.training.pretrain import pretrain
    from deepkit.training.schedules import OneCycle, StepDecay, WarmUp
    from deepkit.training.stored_run import load_run
    from deepkit.training.trained_run import Run


_PUBLIC_NAMES = {  # the module of each public class and function
    "Block": "deepkit.definition.block",
    "DefinitionError": "deepkit.definition.errors",
    "Input": "deepkit.definition.sequential",
    "Sequential": "deepkit.definition.sequential",
    "Shared": "deepkit.definition.sequential",
    "Functional": "deepkit.definition.functional",
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
    "Captioner": "deepkit.blocks.captioner",
    "LanguageModel": "deepkit.blocks.language_model",
    "Merge": "deepkit.blocks.parallel",
    "Parallel": "deepkit.blocks.parallel",
    "Perceptron": "deepkit.blocks.perceptron",
    "BiLSTM": "deepkit.blocks.recurrent",
    "Recurrent": "deepkit.blocks.recurrent",
    "RecurrentAttention": "deepkit.blocks.recurrent_attention",
    "Repeat": "deepkit.blocks.repeat",
    "Bottleneck": "deepkit.blocks.residual",
    "Residual": "deepkit.blocks.residual",
    "GaussianHead": "deepkit.blocks.gaussian",
    "mean_and_stddev": "deepkit.layers.mean_and_stddev",
    "VAE": "deepkit.blocks.vae",
    "TableEncoder": "deepkit.blocks.table_encoder",
    "Text": "deepkit.blocks.text",
    "TransformerDecoder": "deepkit.blocks.transformer",
    "TransformerEncoder": "deepkit.blocks.transformer",
    "Pattern": "deepkit.pattern.from_pattern",
    "from_pattern": "deepkit.pattern.from_pattern",
    "register_block": "deepkit.serialization.registry",
    "dump": "deepkit.serialization.serialize",
    "from_dict": "deepkit.serialization.serialize",
    "load": "deepkit.serialization.serialize",
    "to_dict": "deepkit.serialization.serialize",
    "Plan": "deepkit.execution.plan",
    "plan": "deepkit.execution.plan",
    "autotune": "deepkit.training.autotune",
    "Run": "deepkit.training.trained_run",
    "fit": "deepkit.training.fit",
    "load_run": "deepkit.training.stored_run",
    "export": "deepkit.export.exporter",
    "play": "deepkit.search.match",
    "ModelBuilder": "deepkit.training.model_builder",
    "find_learning_rate": "deepkit.training.learning_rate",
    "GAN": "deepkit.blocks.gan",
    "RBM": "deepkit.blocks.rbm",
    "BoltzmannMachine": "deepkit.blocks.boltzmann",
    "DBN": "deepkit.blocks.dbn",
    "HelmholtzMachine": "deepkit.blocks.helmholtz_machine",
    "Hopfield": "deepkit.blocks.hopfield",
    "ParzenWindow": "deepkit.models.parzen",
    "ActorCritic": "deepkit.agents.actor_critic",
    "DQN": "deepkit.agents.dqn",
    "Reinforce": "deepkit.agents.reinforce",
    "learn": "deepkit.training.learn",
    "evaluate_agent": "deepkit.training.learn",
    "Autoencoder": "deepkit.blocks.autoencoder",
    "MaskingNoise": "deepkit.layers.noise",
    "SaltAndPepperNoise": "deepkit.layers.noise",
    "pretrain": "deepkit.training.pretrain",
    "adapt": "deepkit.training.adaptation",
    "OneCycle": "deepkit.training.schedules",
    "StepDecay": "deepkit.training.schedules",
    "WarmUp": "deepkit.training.schedules",
}
_PUBLIC_MODULES = {
    "data": "deepkit.data",
    "envs": "deepkit.envs",
    "errors": "deepkit.errors",
    "execution": "deepkit.execution",
    "fields": "deepkit.definition.fields",
    "layers": "deepkit.layers",
    "losses": "deepkit.losses",
    "models": "deepkit.models",
    "recipe": "deepkit.recipe",
    "search": "deepkit.search",
    "teaching": "deepkit.teaching",
    "testing": "deepkit.testing",
    "visualize": "deepkit.visualize",
}

__all__ = [
    "Block", "Sequential", "Functional", "Input", "Shared", "DefinitionError",
    "ConvBlock", "ConvStack", "SeparableConvBlock", "MLP",
    "Residual", "Bottleneck", "DenselyConnected", "Transition", "Highway", "SqueezeExcitation",
    "Recurrent", "BiLSTM", "Text", "TableEncoder",
    "Attention", "MultiHeadAttention", "TransformerEncoder", "TransformerDecoder",
    "Seq2Seq", "LanguageModel", "Captioner", "RecurrentAttention",
    "Repeat", "Parallel", "Merge", "Classifier", "Regressor", "Perceptron",
    "GaussianHead", "mean_and_stddev", "VAE",
    "GAN", "ParzenWindow", "RBM", "BoltzmannMachine", "DBN", "Hopfield", "HelmholtzMachine",
    "Autoencoder", "MaskingNoise", "SaltAndPepperNoise", "pretrain", "adapt",
    "DQN", "Reinforce", "ActorCritic", "learn", "evaluate_agent",
    "from_pattern", "Pattern", "register_block", "dump", "load", "to_dict", "from_dict",
    "plan", "Plan", "autotune", "fit", "Run", "load_run", "export",
    "OneCycle", "StepDecay", "WarmUp",
    "find_learning_rate", "ModelBuilder", "play",
    "data", "envs", "errors", "execution", "fields", "layers", "losses", "models", "recipe", "search", "teaching",
    "testing", "visualize",
]  # fmt: skip


class _Package(types.ModuleType):
    """The package `deepkit`, in which the public name `export` is the function, not the subpackage of that name."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, types.ModuleType) and name in _PUBLIC_NAMES):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
register_classes()  # Keras loads saved models that hold deepkit's classes


def __getattr__(name: str) -> object:
    if name in _PUBLIC_NAMES:
        value = getattr(importlib.import_module(_PUBLIC_NAMES[name]), name)
    elif name in _PUBLIC_MODULES:
        value = importlib.import_module(_PUBLIC_MODULES[name])
    else:
        raise AttributeError(f"module 'deepkit' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
