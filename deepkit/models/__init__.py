"""Keras models with a loss or a training step of their own: what `build` returns where composition is not enough.

Each is a plain `keras.Model`, registered under the package name `deepkit`, so that a `.keras` file that holds one
loads wherever this package was imported; so do the losses that such files name.
"""

from deepkit.models.gan import GenerativeAdversarialNetwork
from deepkit.models.losses import SmoothedCrossentropy
from deepkit.models.seq2seq import SequenceToSequence
from deepkit.models.vae import VariationalAutoencoder

__all__ = [
    "GenerativeAdversarialNetwork",
    "SequenceToSequence",
    "SmoothedCrossentropy",
    "VariationalAutoencoder",
]
