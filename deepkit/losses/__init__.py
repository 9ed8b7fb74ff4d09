"""Losses, likelihoods, metrics and gradient estimators that Keras lacks."""

from deepkit.losses.gaussian_likelihood import GaussianNegativeLogLikelihood
from deepkit.losses.gradient_estimators import pathwise, score_function
from deepkit.losses.metric_of_mean import MetricOfMean
from deepkit.losses.moving_baseline import MovingBaseline
from deepkit.losses.multiclass_hinge import MulticlassHinge
from deepkit.losses.smoothed_crossentropy import SmoothedCrossentropy

__all__ = [
    "GaussianNegativeLogLikelihood", "MetricOfMean", "MulticlassHinge", "SmoothedCrossentropy",
    "MovingBaseline", "pathwise", "score_function",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
