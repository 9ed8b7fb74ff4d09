"""The mean and the standard deviation of Gaussians as one tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np
from keras import ops

from deepkit.layers.axes import as_float
from deepkit.layers.gaussian_sampling import check_moments, split_moments
from deepkit.utils.errors import format_value, make_error

if TYPE_CHECKING:
    from deepkit.layers.gaussian_sampling import Moments, MomentShapes
    from deepkit.utils.types import Shape, Tensor

MIN_STDDEV = 1e-6  # the likelihood of noise-free labels would grow without limit
_MAX_ROWS = 10  # examples, and numbers of an example, that `repr` shows
MAX_LOG_VARIANCE = 80.0  # the square of a larger standard deviation overflows in float32


class GaussianPrediction(NamedTuple):
    """The mean and the standard deviation of each predicted number.

    Args:
        mean: Array or tensor of shape `(batch, ..., units)`.
        stddev: Array or tensor of the same shape.
    """

    mean: Any
    stddev: Any

    def __repr__(self) -> str:
        if not isinstance(self.mean, np.ndarray):  # a tensor, which may be symbolic
            return f"GaussianPrediction(mean={self.mean!r}, stddev={self.stddev!r})"
        means, stddevs = np.asarray(self.mean), np.asarray(self.stddev)
        lines = [f"<GaussianPrediction of {len(means):,} example{'' if len(means) == 1 else 's'}>"]
        for index in range(min(len(means), _MAX_ROWS)):
            pairs = zip(means[index].reshape(-1)[:_MAX_ROWS], stddevs[index].reshape(-1), strict=False)
            lines.append(f"{index:>4}  {', '.join(f'{mean:.4g} ± {stddev:.2g}' for mean, stddev in pairs)}")
        if len(means) > _MAX_ROWS:
            lines.append(f"      ... and {len(means) - _MAX_ROWS:,} more")
        return "\n".join(lines)


@keras.saving.register_keras_serializable(package="deepkit")
class MeanAndStddev(keras.layers.Layer):
    """Stack the mean and the standard deviation of Gaussians on a new last axis.

    The standard deviation is 1e-6 + exp(log_variance / 2), with a log-variance of at most 80, so that it is positive
    and finite in float32. `dk.mean_and_stddev` splits the output.

    Call arguments:
        inputs: Mean and log-variance: a mapping with these two keys, or a pair.

    Input shape:
        `{"mean": (batch, ...), "log_variance": (batch, ...)}`, as `dk.GaussianHead` returns them, or a pair of these
        shapes.

    Output shape:
        `(batch, ..., 2)`.

    Raises:
        ValueError: The input is not a mean with a log-variance of the same shape.

    Examples:
        >>> import deepkit as dk
        >>> dk.Sequential([dk.GaussianHead(3), dk.layers.MeanAndStddev()]).build(
        ...     (4,)
        ... ).output_shape
        (None, 3, 2)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # exponentials of float32 inputs, also in mixed precision
        self.supports_masking = True

    def build(self, input_shape: MomentShapes) -> None:
        """Check that the mean and the log-variance have the same shape."""
        check_moments(input_shape, "MeanAndStddev")

    def call(self, inputs: Moments) -> Tensor:
        """Compute in the dtype of the inputs, which `dk.GaussianHead` keeps in float32."""
        mean, log_variance = (as_float(moment, self.compute_dtype) for moment in split_moments(inputs, "MeanAndStddev"))
        stddev = MIN_STDDEV + ops.exp(0.5 * ops.minimum(log_variance, MAX_LOG_VARIANCE))
        return ops.stack([mean, stddev], axis=-1)

    def compute_mask(self, inputs: Moments, mask: Any = None) -> Any:
        """Return the mask of the mean."""
        return None if mask is None else keras.tree.flatten(mask)[0]

    def compute_output_shape(self, input_shape: MomentShapes) -> Shape:
        """Return the output shape."""
        return (*split_moments(input_shape, "MeanAndStddev")[0], 2)


def mean_and_stddev(prediction: Any) -> GaussianPrediction:
    """Split the output of a `dk.Regressor` with `distribution="gaussian"`.

    Args:
        prediction: Array or tensor of shape `(batch, ..., units, 2)`, as `model.predict(x)` returns it.

    Returns:
        A named pair `(mean, stddev)`, each of shape `(batch, ..., units)`: `prediction[..., 0]` and
        `prediction[..., 1]`.

    Raises:
        ValueError: The prediction has another shape.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> model = dk.Regressor(3, distribution="gaussian").build((4,))
        >>> mean, stddev = dk.mean_and_stddev(
        ...     model.predict(np.zeros((5, 4)), verbose=0)
        ... )
        >>> mean.shape, np.round(stddev[0], 3).tolist()
        ((5, 3), [1.0, 1.0, 1.0])
    """
    shape = getattr(prediction, "shape", None)
    if shape is not None and len(shape) > 2 and shape[-1] == 2:
        return GaussianPrediction(prediction[..., 0], prediction[..., 1])
    hint = 'use dk.Regressor(units, distribution="gaussian") as the last element'
    if isinstance(prediction, Mapping) and prediction:
        hint = f"pass one output: prediction[{next(iter(prediction))!r}]"
    problem = (
        "mean_and_stddev: expected an output of shape (batch, units, 2), with mean and standard deviation on the last "
        f"axis, received {format_value(prediction)}"
    )
    raise make_error(ValueError, problem, hint=hint)
