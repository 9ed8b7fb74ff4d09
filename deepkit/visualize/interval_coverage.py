"""Calibration of predicted Gaussians: the fraction of labels inside their central intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from deepkit.definition.outputs import output_activation
from deepkit.layers.mean_and_stddev import MeanAndStddev, mean_and_stddev
from deepkit.utils.errors import did_you_mean_or_list, format_value, make_error
from deepkit.visualize.figures import BLUE, GRAY, subplots
from deepkit.visualize.model_inputs import accepts_run, check_built, iterate_batches, predict_batch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.68, 0.8, 0.9, 0.95)
SUMMARY_LEVELS = (0.68, 0.95)
_MAX_CURVES = 10  # the curves of more outputs are not legible


@dataclass(frozen=True, eq=False)
class IntervalCoverage:
    """The fraction of labels inside the central intervals of predicted Gaussians.

    Args:
        levels: The probability of each interval, of shape `(levels,)`.
        coverage: The fraction of labels inside it, for each predicted number, of shape `(levels, units)`.
        num_labels: Number of labels of each predicted number.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.Regressor(1, distribution="gaussian").build((3,))
        >>> data = np.zeros((4, 3)), np.array([[0.0], [0.1], [1.0], [3.0]])
        >>> coverage = dk.visualize.arrays.calibration(model, data)
        >>> coverage.coverage.shape, coverage.num_labels
        ((10, 1), 4)
        >>> coverage.summary()
        '68% intervals contain 50.0% of the labels, 95% intervals contain 75.0% of the labels'
    """

    levels: np.ndarray
    coverage: np.ndarray
    num_labels: int

    def at(self, level: float) -> float:
        """Return the fraction of labels inside the interval of one of the levels, over all predicted numbers.

        Args:
            level: Probability of the interval, from 0 to 1; the closest level of `levels` is used.
        """
        index = int(np.argmin(np.abs(self.levels - level)))
        return float(self.coverage[index].mean())

    def summary(self) -> str:
        """Return the coverage of the intervals of 68 % and 95 % as text."""
        return ", ".join(
            f"{level:.0%} intervals contain {self.at(level):.1%} of the labels" for level in SUMMARY_LEVELS
        )


@accepts_run
def calibration(model: keras.Model, data: object, *, output: str | None = None) -> Figure:
    """Draw how many labels lie inside the predicted intervals of a regression with uncertainty.

    The central interval of 68 % is about one standard deviation around the mean, that of 95 % about two. A curve
    below the diagonal shows standard deviations that are too small (overconfident), above it, too large.

    Args:
        model: A model that ends in `dk.Regressor(units, distribution="gaussian")`.
            A `Run` stands for its model.
        data: Batches (x, y), or a pair (x, y) of arrays. x is the input of the model, such as a mapping of arrays.
        output: Name of the output, if the model has several.

    Returns:
        A figure with one curve for each predicted number, or their mean if there are more than 10.
        `dk.visualize.arrays.calibration` returns the fractions.

    Raises:
        TypeError: The data is a dataset with several splits.
        ValueError: The model does not predict mean and standard deviation, or the labels do not fit.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.Regressor(2, distribution="gaussian").build((3,))
        >>> figure = dk.visualize.calibration(
        ...     model, (np.zeros((5, 3)), np.ones((5, 2)))
        ... )
        >>> coverage = dk.visualize.arrays.calibration(
        ...     model, (np.zeros((5, 3)), np.ones((5, 2)))
        ... )
        >>> (
        ...     coverage.at(0.95),
        ...     coverage.at(0.5),
        ... )  # the label 1 is one standard deviation from the mean
        (1.0, 0.0)
    """
    return draw_coverage(interval_coverage(model, data, output=output))


def draw_coverage(coverage: IntervalCoverage) -> Figure:
    """Draw the fraction of labels inside the intervals."""
    figure, axes = subplots(1, 1, 4.6, 4.2)
    ax = axes[0, 0]
    ax.plot([0, 1], [0, 1], color=GRAY, linestyle="--", linewidth=1, label="calibrated")
    curves = coverage.coverage
    if curves.shape[1] > _MAX_CURVES:
        curves = curves.mean(axis=1, keepdims=True)
    for i, curve in enumerate(curves.T):
        is_only = curves.shape[1] == 1
        ax.plot(
            coverage.levels,
            curve,
            marker="o",
            markersize=4,
            color=BLUE if is_only else None,
            label="model" if is_only else f"output {i}",
        )
    ax.set(xlabel="Probability of the predicted interval", ylabel="Fraction of labels inside", xlim=(0, 1), ylim=(0, 1))
    ax.set_title(coverage.summary().replace(", ", "\n"), fontsize=9)
    ax.legend(fontsize=8, frameon=False)
    return figure


@accepts_run
def interval_coverage(model: keras.Model, data: object, *, output: str | None = None) -> IntervalCoverage:
    """Return the fraction of labels inside the predicted intervals of a regression with uncertainty.

    Args:
        model: A model that ends in `dk.Regressor(units, distribution="gaussian")`.
            A `Run` stands for its model.
        data: Batches (x, y), or a pair (x, y) of arrays, with labels of shape `(batch, units)`.
        output: Name of the output, if the model has several.

    Returns:
        An `IntervalCoverage`: the fractions for intervals of 10 % to 95 %.

    Raises:
        TypeError: The data is a dataset with several splits.
        ValueError: The model does not predict mean and standard deviation, or the labels do not fit.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.Regressor(1, distribution="gaussian").build((3,))
        >>> x, y = np.zeros((4, 3)), np.array([[0.0], [0.1], [1.0], [3.0]])
        >>> coverage = dk.visualize.arrays.calibration(model, (x, y))
        >>> coverage.at(0.5), coverage.at(0.95)  # mean 0, standard deviation 1
        (0.5, 0.75)
    """
    check_built(model, "calibration")
    counts: Any = 0
    num_labels = 0
    for x, y in iterate_batches(data, "calibration"):
        prediction = _select(predict_batch(model, x), output, "output")
        mean, stddev = mean_and_stddev(np.asarray(prediction, "float64"))
        if not (stddev > 0).all():
            raise make_error(
                ValueError,
                f"calibration: expected positive standard deviations, received {stddev.min():g}",
                hint='use dk.Regressor(units, distribution="gaussian") as the last element',
            )
        batch_counts, batch_size = _count_inside(mean, stddev, _labels(_select(y, output, "label"), mean.shape))
        counts, num_labels = counts + batch_counts, num_labels + batch_size
    if not num_labels:
        raise ValueError("calibration: expected at least one batch, received none")
    return IntervalCoverage(np.array(LEVELS), counts / num_labels, num_labels)


def coverage_of_intervals(mean: np.ndarray, stddev: np.ndarray, labels: np.ndarray) -> IntervalCoverage:
    """Return the fraction of labels inside the intervals of predictions that are in memory, all `(..., units)`."""
    counts, num_labels = _count_inside(mean, stddev, labels)
    return IntervalCoverage(np.array(LEVELS), counts / num_labels, num_labels)


def _count_inside(mean: np.ndarray, stddev: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the number of labels inside each interval, `(levels, units)`, and the number of labels of each unit."""
    thresholds = np.array([NormalDist().inv_cdf((1 + level) / 2) for level in LEVELS])
    distances = (np.abs(labels - mean) / stddev).reshape(-1, mean.shape[-1])
    return (distances[None] <= thresholds[:, None, None]).sum(axis=1), len(distances)


def gaussian_outputs(model: keras.Model) -> list[str]:
    """Return the names of the outputs with mean and standard deviation; the name of a single output is empty."""
    outputs = getattr(model, "output", None)
    named = outputs if isinstance(outputs, Mapping) else {"": outputs}
    return [
        name
        for name, tensor in named.items()
        if isinstance(tensor, keras.KerasTensor) and isinstance(output_activation(tensor)[0], MeanAndStddev)
    ]


def _select(value: Any, output: str | None, kind: str) -> Any:
    """Return the output or the labels with a name, or the only ones."""
    if not isinstance(value, Mapping):
        if output is None or kind == "label":
            return value
        raise make_error(
            ValueError,
            f"calibration: the model has one output without a name, received output={format_value(output)}",
            hint="leave output out",
        )
    if output in value:
        return value[output]
    if output is None and len(value) == 1:
        return next(iter(value.values()))
    if output is None:
        problem, hint = f"calibration: expected one {kind}, received {', '.join(value)}", "pass output="
        raise make_error(ValueError, problem, hint=f"{hint}{next(iter(value))!r}")
    choices = did_you_mean_or_list(output, value, "the names are")
    raise make_error(ValueError, f"calibration: there is no {kind} {format_value(output)}{choices}")


def _labels(labels: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return the labels in the shape of the mean; for one output they may lack the last axis."""
    array = np.asarray(labels)
    fits = array.shape == shape or (shape[-1] == 1 and array.shape == shape[:-1])
    if not fits or array.dtype.kind not in "fiub":
        raise make_error(
            ValueError,
            f"calibration: expected numbers of shape {shape} as labels, received {format_value(array)}",
            hint="use the data that the model was trained with",
        )
    return array.reshape(shape).astype("float64")
