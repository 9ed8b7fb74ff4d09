"""Keras models with their own loss or training step.

Each is a `keras.Model` registered under the package name `deepkit`. A `.keras` file that holds one loads after
`import deepkit`.
"""

import deepkit.layers
import deepkit.models.keras_schedules  # noqa: F401
from deepkit.losses import GaussianNegativeLogLikelihood, MetricOfMean, SmoothedCrossentropy
from deepkit.models.actor_critic import ActorCriticModel
from deepkit.models.boltzmann import FullBoltzmannMachine
from deepkit.models.captioner import ImageCaptioner
from deepkit.models.dbn import DeepBeliefNetwork
from deepkit.models.dqn import DeepQNetwork
from deepkit.models.gan import GenerativeAdversarialNetwork
from deepkit.models.helmholtz_machine import HelmholtzMachineModel
from deepkit.models.hopfield import HopfieldNetwork
from deepkit.models.language_model import AutoregressiveLanguageModel
from deepkit.models.perceptron import PerceptronModel
from deepkit.models.rbm import RestrictedBoltzmannMachine
from deepkit.models.recurrent_attention import RecurrentAttentionModel
from deepkit.models.reinforce import ReinforceModel
from deepkit.models.seq2seq import SequenceToSequence
from deepkit.models.vae import VariationalAutoencoder

__all__ = [
    "ActorCriticModel",
    "AutoregressiveLanguageModel",
    "DeepBeliefNetwork",
    "DeepQNetwork",
    "FullBoltzmannMachine",
    "GaussianNegativeLogLikelihood",
    "GenerativeAdversarialNetwork",
    "HelmholtzMachineModel",
    "HopfieldNetwork",
    "ImageCaptioner",
    "MetricOfMean",
    "PerceptronModel",
    "RecurrentAttentionModel",
    "ReinforceModel",
    "RestrictedBoltzmannMachine",
    "SequenceToSequence",
    "SmoothedCrossentropy",
    "VariationalAutoencoder",
]


def __dir__() -> list[str]:
    return sorted(__all__)
