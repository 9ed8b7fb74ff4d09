"""Losses, likelihoods and metrics that Keras lacks."""

from deepkit.losses.gaussian_likelihood import GaussianNegativeLogLikelihood
from deepkit.losses.metric_of_mean import MetricOfMean
from deepkit.losses.smoothed_crossentropy import SmoothedCrossentropy

__all__ = ["GaussianNegativeLogLikelihood", "MetricOfMean", "SmoothedCrossentropy"]
