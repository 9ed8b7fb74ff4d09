"""A Keras metric of the mean of predicted Gaussians."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from deepkit.layers.mean_and_stddev import mean_and_stddev
from deepkit.utils.errors import format_value, make_error

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class MetricOfMean(keras.metrics.Metric):
    """A metric that compares labels with the mean of predicted Gaussians, such as the mean absolute error.

    Args:
        metric: A Keras metric; this metric has its name.
        name: Another name.
        kwargs: Further arguments of `keras.metrics.Metric`.

    Call arguments:
        y_true: Labels, as `metric` takes them.
        y_pred: Mean and standard deviation on the last axis, `(batch, ..., units, 2)`, as `dk.Regressor` with
            `distribution="gaussian"` returns them.
        sample_weight: Weights, as `metric` takes them.

    Raises:
        TypeError: `metric` is not a Keras metric.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> from deepkit.models import MetricOfMean
        >>> metric = MetricOfMean(keras.metrics.MeanAbsoluteError(name="mae"))
        >>> metric.update_state(np.array([1.0]), np.array([[[3.0, 1.0]]]))
        >>> metric.name, float(metric.result())
        ('mae', 2.0)
    """

    def __init__(self, metric: keras.metrics.Metric, name: str | None = None, **kwargs: object) -> None:
        if not isinstance(metric, keras.metrics.Metric):
            raise make_error(
                TypeError,
                f"MetricOfMean: metric must be a Keras metric, received {format_value(metric)}",
                hint='use MetricOfMean(keras.metrics.MeanAbsoluteError(name="mae"))',
            )
        super().__init__(name=name or metric.name, **kwargs)
        self.metric = metric

    def update_state(self, y_true: Tensor, y_pred: Any, sample_weight: Tensor | None = None) -> None:
        """Update the metric with the mean, which has the mask of the output."""
        mean = mean_and_stddev(keras.ops.convert_to_tensor(y_pred)).mean
        mask = getattr(y_pred, "_keras_mask", None)
        if mask is not None:
            mean._keras_mask = mask
        self.metric.update_state(y_true, mean, sample_weight=sample_weight)

    def result(self) -> Any:
        """Return the value of the metric."""
        return self.metric.result()

    def reset_state(self) -> None:
        """Reset the metric."""
        self.metric.reset_state()

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "metric": keras.saving.serialize_keras_object(self.metric)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MetricOfMean:
        """Return a new metric with these arguments."""
        metric: Any = keras.saving.deserialize_keras_object(config["metric"])
        return cls(**{**config, "metric": metric})
