"""Keras models with a loss or a training step of their own: what `build` returns where composition is not enough.

Each is a plain `keras.Model`, registered under the package name `deepkit`, so that a `.keras` file that holds one
loads wherever this package was imported; so do the losses that such files name. To open any file of deepkit this one
import is enough: it brings `deepkit.layers` and the schedule of `WarmUp` along.
"""

import deepkit.layers
import deepkit.models.keras_schedules  # noqa: F401
from deepkit.losses.smoothed_crossentropy import SmoothedCrossentropy
from deepkit.models.gan import GenerativeAdversarialNetwork
from deepkit.models.seq2seq import SequenceToSequence
from deepkit.models.vae import VariationalAutoencoder

__all__ = [
    "GenerativeAdversarialNetwork",
    "SequenceToSequence",
    "SmoothedCrossentropy",
    "VariationalAutoencoder",
]
