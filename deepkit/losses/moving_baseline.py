"""A baseline for the score-function estimator: the moving average of earlier rewards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from deepkit.losses.gradient_estimators import float_tensor
from deepkit.utils.finite import check_finite
from deepkit.utils.lazy_tensorflow import tf
from deepkit.utils.validation import check_fraction

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class MovingBaseline(keras.layers.Layer):
    """A baseline for `score_function`: the exponential moving average of the rewards of earlier batches.

    A call returns the average before it adds the rewards of this batch, so the baseline does not depend on the samples
    and the estimator remains unbiased. The average is corrected for its start at 0 as in Adam. The first call has no
    earlier batch and returns the mean of its own n rewards, which only shortens that estimate by the factor 1 - 1/n.

    The average is a weight of the model that holds the layer: saved with it, and updated in a compiled `train_step`.

    Reference:
        Williams 1992, section 6 ("reinforcement comparison"); Kingma & Ba 2015, "Adam", section 3, for the correction.

    Args:
        momentum: Weight of the earlier batches, from 0 to below 1; 0 is the mean reward of the last batch.
        name: Name of the layer.
        kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        reward: Rewards of a batch in floats, of any shape.
        training: Whether to add the rewards to the average, True by default. Pass False in a `test_step`.

    Output shape:
        `()`.

    Raises:
        TypeError: The rewards are integers or booleans.
        ValueError: `momentum` is not a fraction in [0, 1), or a reward is NaN or infinite. In a graph TensorFlow raises
            an `InvalidArgumentError`. The average does not change.

    Examples:
        >>> import numpy as np
        >>> from deepkit.teaching import MovingBaseline
        >>> baseline = MovingBaseline(momentum=0.9)
        >>> [
        ...     round(float(baseline(np.array([reward, reward + 2.0]))), 2)
        ...     for reward in (1.0, 4.0, 4.0)
        ... ]
        [2.0, 2.0, 3.58]
    """

    def __init__(self, momentum: float = 0.9, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, autocast=False, **{"dtype": "float32", **kwargs})
        self.momentum = check_fraction(momentum, "MovingBaseline: momentum", hint="use MovingBaseline(0.9)")
        # in float32 for every dtype of the layer: in half precision a small change does not reach the average
        weight: dict[str, Any] = {
            "shape": (),
            "dtype": "float32",
            "initializer": "zeros",
            "trainable": False,
            "aggregation": "mean",
        }
        self.average = self.add_weight(name="average", **weight)  # of the rewards and the 0 at the start
        self.total_weight = self.add_weight(name="total_weight", **weight)  # of the rewards in it
        self.built = True

    def call(self, reward: Tensor, training: bool | None = None) -> Tensor:
        """Return the baseline, and then update it."""
        reward = float_tensor(reward, "MovingBaseline: reward")
        mean = ops.mean(ops.cast(ops.stop_gradient(reward), "float32"))
        problem = "MovingBaseline: the rewards must be finite numbers, received NaN, infinity or no reward"
        mean = check_finite(mean, problem, hint="look for NaN in the function that computes the rewards")
        has_average = ops.greater(self.total_weight, 0)
        baseline = ops.where(has_average, ops.divide_no_nan(self.average, self.total_weight), mean)
        if training is not False:
            with tf.control_dependencies([mean]):  # if the check in a graph fails, neither weight changes
                self.average.assign(self.momentum * self.average + (1 - self.momentum) * mean)
                self.total_weight.assign(self.momentum * self.total_weight + (1 - self.momentum))
        return baseline

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of one number."""
        return ()

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "momentum": self.momentum}
