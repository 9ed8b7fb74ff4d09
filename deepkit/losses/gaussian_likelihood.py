"""The negative log-likelihood of labels under predicted Gaussians."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import ops

from deepkit.layers.mean_and_stddev import mean_and_stddev
from deepkit.losses.likelihoods import gaussian_log_prob
from deepkit.utils.errors import make_error

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class GaussianNegativeLogLikelihood(keras.losses.Loss):
    """Negative log-likelihood of labels under Gaussians, whose mean and standard deviation are predicted.

    The loss of one number is log(stddev) + ((y - mean) / stddev)^2 / 2 + log(2 pi) / 2, averaged over the outputs. It
    is negative if the density at the labels is large.

    Its gradient with respect to the mean is divided by the variance, so examples with a large predicted variance
    contribute little. Seitzer et al. 2022 show that training can then stop at a poor mean with a large variance.

    Reference:
        Nix & Weigend 1994, "Estimating the Mean and Variance of the Target Probability Distribution"; Seitzer et al.
        2022, "On the Pitfalls of Heteroscedastic Uncertainty Estimation with Probabilistic Neural Networks".

    Args:
        name: Name of the loss.
        kwargs: Further arguments of `keras.losses.Loss`.

    Call arguments:
        y_true: Labels of shape `(batch, ..., units)`; for one unit also `(batch, ...)`.
        y_pred: Mean and positive standard deviation on the last axis, `(batch, ..., units, 2)`, as `dk.Regressor` with
            `distribution="gaussian"` returns them.

    Raises:
        ValueError: The labels or the predictions have another shape.

    Examples:
        >>> import numpy as np
        >>> from deepkit.models import GaussianNegativeLogLikelihood
        >>> loss = GaussianNegativeLogLikelihood()
        >>> round(
        ...     float(loss(np.array([1.0]), np.array([[[1.0, 1.0]]]))), 4
        ... )  # log(2 pi) / 2
        0.9189
    """

    def __init__(self, name: str = "gaussian_negative_log_likelihood", **kwargs: object) -> None:
        super().__init__(name=name, **kwargs)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of each example, or of each position of each example."""
        mean, stddev = mean_and_stddev(y_pred)
        _check_labels(y_true, mean)
        labels = ops.reshape(y_true, ops.shape(mean))  # adds an axis of size 1
        return -ops.mean(gaussian_log_prob(labels, mean, 2 * ops.log(stddev)), axis=-1)


def _check_labels(labels: Tensor, mean: Tensor) -> None:
    """Raise if the static shape of the labels does not fit the mean: other losses of Keras would broadcast it."""
    expected, shape = tuple(mean.shape), labels.shape
    if getattr(shape, "rank", 0) is None:  # an unknown number of axes
        return
    received = tuple(shape)
    if expected[-1] == 1 and len(received) == len(expected) - 1:
        received = (*received, 1)
    fits = all(None in sizes or sizes[0] == sizes[1] for sizes in zip(received, expected, strict=False))
    if len(received) == len(expected) and fits:
        return
    raise make_error(
        ValueError,
        f"GaussianNegativeLogLikelihood: expected labels of shape {expected}, received {tuple(shape)}",
        hint=f"use one label for each output, or dk.Regressor({received[-1] if len(received) > 1 else 1}, ...)",
    )
