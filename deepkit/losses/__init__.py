"""Losses and likelihoods that Keras lacks."""

from deepkit.losses.smoothed_crossentropy import SmoothedCrossentropy

__all__ = ["SmoothedCrossentropy"]
