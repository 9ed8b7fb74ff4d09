"""Estimators of the gradient of an expectation over samples: the score function and the pathwise estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from deepkit.utils.errors import format_value, make_error
from deepkit.utils.validation import is_number

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor


def score_function(log_probability: Tensor, reward: Tensor, *, baseline: Tensor | float | None = None) -> Tensor:
    """Return a surrogate of the expected reward, whose gradient is the score-function estimator (REINFORCE).

    For x drawn from p(x; theta) and a reward f(x) that need not be differentiable,

        gradient of E[f(x)] = E[(f(x) - b) * gradient of log p(x; theta)]

    The surrogate of a sample is (f(x) - b) log p(x; theta), with f(x) - b as a constant. Its value has no meaning; its
    gradient, averaged over the samples, is an unbiased estimate for every baseline b that does not depend on x. A
    baseline near the mean reward reduces the variance.

    The gradient points to a larger reward. To maximize the reward, add the negative to the loss:
    `loss = -ops.mean(score_function(log_probability, reward))`. To minimize a cost f(x), add the surrogate itself.

    Reference:
        Williams 1992, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning".

    Args:
        log_probability: Log-probability, or log-density, of each sample, differentiable in the parameters; `(batch,)`,
            or `(batch, time)` for a sequence of actions.
        reward: Reward f(x) of each sample in floats, in the shape of `log_probability`. No gradient flows through it.
        baseline: A number, one value for all samples such as `MovingBaseline` returns, or a prediction for each sample
            such as the output of a value network. No gradient flows through it: train a value network with its own
            loss.

    Returns:
        The surrogate of each sample, in the shape of `log_probability`.

    Raises:
        TypeError: An argument holds integers or booleans.
        ValueError: The shapes do not match.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> import tensorflow as tf
        >>> from deepkit.teaching import score_function
        >>> logits = tf.Variable([0.0, 0.0])
        >>> with tf.GradientTape() as gradient_tape:
        ...     log_probability = tf.nn.log_softmax(logits)
        ...     reward = tf.constant([1.0, 0.0])  # of the actions 0 and 1
        ...     surrogate = tf.reduce_mean(
        ...         score_function(log_probability, reward, baseline=0.5)
        ...     )
        >>> gradient_tape.gradient(surrogate, logits).numpy().tolist()
        [0.25, -0.25]
    """
    log_probability = float_tensor(log_probability, "score_function: log_probability")
    reward = float_tensor(reward, "score_function: reward")
    shape = _static_shape(log_probability)
    hint = "use ops.sum(log_probability, axis=-1) for an action of several parts, or ops.expand_dims(reward, -1)"
    _check_shape(reward, "score_function: reward", shape, hint)
    if baseline is not None:
        baseline = float_tensor(baseline, "score_function: baseline")
        if _static_shape(baseline) != ():
            hint = "use one value, or a prediction for each sample: ops.squeeze(value, -1) for an output (batch, 1)"
            _check_shape(baseline, "score_function: baseline", shape, hint)
        reward = ops.subtract(reward, baseline)
    return ops.multiply(ops.stop_gradient(reward), log_probability)


def pathwise(mean: Tensor, stddev: Tensor | float, noise: Tensor) -> Tensor:
    """Return Gaussian samples as a differentiable function of mean and standard deviation (reparameterization).

    A sample x = mean + stddev * noise with standard normal noise has the distribution N(mean, stddev^2), and a path for
    the gradient of a differentiable f:

        gradient of E[f(x)] = E[gradient of f(mean + stddev * noise)]

    Its variance is usually far below that of `score_function`.

    Reference:
        Kingma & Welling 2014, "Auto-Encoding Variational Bayes", section 2.4; Rezende et al. 2014, "Stochastic
        Backpropagation and Approximate Inference in Deep Generative Models".

    Args:
        mean: Mean of each sample, such as `(batch, features)`.
        stddev: Positive standard deviation, in the shape of `mean`, or one number.
        noise: Standard normal noise in floats, such as `keras.random.normal(ops.shape(mean))`, in the shape of `mean`.
            Further axes in front draw several samples: `(samples, batch, features)`.

    Returns:
        The samples, in the shape of `noise`.

    Raises:
        TypeError: An argument holds integers or booleans.
        ValueError: The shapes do not match, or `stddev` is a number below 0.

    Examples:
        >>> import numpy as np
        >>> from deepkit.teaching import pathwise
        >>> pathwise(
        ...     np.array([1.0, 2.0]), 0.5, np.array([[0.0, -1.0], [2.0, 4.0]])
        ... ).numpy().tolist()
        [[1.0, 1.5], [2.0, 4.0]]
    """
    if is_number(stddev) and stddev < 0:
        problem = f"pathwise: stddev must be at least 0, received {format_value(stddev)}"
        raise make_error(ValueError, problem, hint="use ops.softplus or ops.exp for a positive standard deviation")
    mean, noise = float_tensor(mean, "pathwise: mean"), float_tensor(noise, "pathwise: noise")
    stddev = float_tensor(stddev, "pathwise: stddev")
    shape = _static_shape(mean)
    if _static_shape(stddev) != ():
        _check_shape(stddev, "pathwise: stddev", shape, "use one standard deviation for each mean, or one number")
    hint = "draw keras.random.normal(ops.shape(mean)), or with further axes in front"
    _check_shape(noise, "pathwise: noise", shape, hint, leading_axes=True)
    return ops.add(mean, ops.multiply(stddev, noise))


def float_tensor(value: Any, name: str) -> Tensor:
    """Return a tensor of floats.

    Raises:
        TypeError: The values are not floats: rewards that are counts or booleans are converted by the user, and integer
            parameters have no gradient.
    """
    try:
        tensor = ops.convert_to_tensor(value, dtype="float32") if is_number(value) else ops.convert_to_tensor(value)
    except (TypeError, ValueError) as error:  # such as None, or an integer above the largest float
        problem = f"{name} must be floats, received {format_value(value)}"
        raise make_error(TypeError, problem, hint="pass a tensor, an array or a number") from error
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if "float" not in dtype:
        problem = f"{name} must be floats, received {dtype} of shape {_static_shape(tensor)}"
        raise make_error(TypeError, problem, hint='use ops.cast(..., "float32")')
    return tensor


def _static_shape(tensor: Tensor) -> Shape | None:
    """Return the shape with None for unknown sizes; None if the number of axes is unknown."""
    return None if getattr(tensor.shape, "rank", 0) is None else tuple(tensor.shape)


def _check_shape(tensor: Tensor, name: str, expected: Shape | None, hint: str, *, leading_axes: bool = False) -> None:
    """Raise if a static shape differs from the expected one: Keras would broadcast `(batch,)` with `(batch, 1)`."""
    shape = _static_shape(tensor)
    if shape is None or expected is None:
        return
    received = shape[len(shape) - len(expected) :] if leading_axes and len(shape) > len(expected) else shape
    fits = all(None in sizes or sizes[0] == sizes[1] for sizes in zip(received, expected, strict=False))
    if len(received) != len(expected) or not fits:
        axes = f"(..., {', '.join(map(str, expected))})" if leading_axes else str(expected)
        raise make_error(ValueError, f"{name} must have the shape {axes}, received {shape}", hint=hint)
