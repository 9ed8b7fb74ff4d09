"""The learning rate range test: a short training with a rising learning rate, and the loss at each rate."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import keras
import numpy as np

from deepkit.data.source_errors import original_errors
from deepkit.execution.plan import Plan, current, resolve_plan
from deepkit.training import state
from deepkit.training.fit import resolve_verbose
from deepkit.training.fit_arguments import DataArguments
from deepkit.training.precompiled import plan_for
from deepkit.training.text_labels import encode_text_labels
from deepkit.training.trial import TrialModel, reported_loss
from deepkit.training.user_data import training_data_for
from deepkit.training.weigh_classes import weigh_classes
from deepkit.utils.console import echo
from deepkit.utils.display import Displayable
from deepkit.utils.errors import format_value, make_error, message
from deepkit.utils.tracing import without_retracing_warnings
from deepkit.utils.validation import check_integer, is_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deepkit.training.class_weights import ClassWeight
    from deepkit.training.compile import Definition, Losses, LossWeights
    from deepkit.training.fit_arguments import ArraysLike, DataLike
    from deepkit.utils.types import OptimizerLike, Tensor

_SMOOTHING_WIDTH = 0.03  # standard deviation of the Gaussian, as a fraction of all steps
_WINDOW = 5  # steps whose median loss is compared, so that a single bad batch is not an explosion
# the loss explodes if it exceeds its minimum by this multiple of the minimum, or of the fall to it
_EXPLOSION_FACTOR = 3.0
# the smoothed loss must fall by more than this multiple of the standard deviation of the losses around it
_NOISE_FACTOR = 2.0
_MIN_STEPS = 2 * _WINDOW
_MODEL_ATTRIBUTES = ("train_function", "steps_per_execution", "stop_training", "history")


@dataclass(frozen=True, eq=False)
class LearningRateTest(Displayable):
    """The loss at each learning rate of a range test.

    Args:
        rates: Learning rate of each step, rising.
        losses: Loss of each step on its batch, before the step changed the weights.
        smoothed: Losses averaged over neighboring steps to remove the differences between batches. The weights are a
            Gaussian whose standard deviation is 3 % of the steps.
        suggestion: The rate at which the smoothed loss falls most steeply over the logarithm of the rate, before its
            minimum. None if it falls by at most twice the standard deviation of the losses around it, which may be
            chance.
        stopped: Why the test ended before the last step, or an empty string.

    Examples:
        >>> import deepkit as dk
        >>> test = dk.find_learning_rate(
        ...     dk.Classifier(2), dk.data.points("circle", 64), steps=20, verbose=0
        ... )
        >>> test.rates.shape == test.losses.shape
        True
        >>> figure = test.plot()
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float | None
    stopped: str

    def plot(self) -> Figure:
        """Draw the loss over the learning rate, with the suggestion marked.

        The axis of the loss ends above the loss before its minimum, so that an explosion does not hide the fall.

        Returns:
            A Matplotlib figure.
        """
        from deepkit.visualize.figures import BLUE, ORANGE, subplots

        figure, axes = subplots(1, 1, 5.6, 3.6)
        ax = axes[0, 0]
        ax.plot(self.rates, self.losses, color="#adb5bd", linewidth=0.8, label="each step")
        ax.plot(self.rates, self.smoothed, color=BLUE, linewidth=1.8, label="smoothed")
        if self.suggestion is not None:
            height = np.interp(math.log(self.suggestion), np.log(self.rates), self.smoothed)
            ax.plot([self.suggestion], [height], "o", color=ORANGE, label=f"steepest: {self.suggestion:.2g}")
        ax.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=self._loss_limits())
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False)
        return figure

    def _loss_limits(self) -> tuple[float, float] | None:
        """Return the limits of the axis of the loss, or None for those of Matplotlib."""
        lowest = float(self.smoothed.min())
        fall = float(self.smoothed[: int(np.argmin(self.smoothed)) + 1].max()) - lowest
        return (lowest - 0.15 * fall, lowest + 1.5 * fall) if fall > 0 else None

    def __str__(self) -> str:
        result = "the loss does not fall" if self.suggestion is None else f"steepest at {self.suggestion:.2g}"
        end = f"; {self.stopped}" if self.stopped else ""
        return f"{len(self.rates)} rates from {self.rates[0]:.2g} to {self.rates[-1]:.2g}: {result}{end}"

    def __repr__(self) -> str:
        return f"<LearningRateTest {self}>"


@without_retracing_warnings()
@original_errors()
def find_learning_rate(
    net: Definition | keras.Model,
    x: DataLike,
    y: ArraysLike | None = None,
    *,
    sample_weight: ArraysLike | None = None,
    class_weight: ClassWeight | None = None,
    validation_split: float = 0.0,
    steps_per_epoch: int | None = None,
    smallest: float = 1e-6,
    largest: float = 10.0,
    steps: int = 100,
    plan: Plan | None = None,
    batch_size: int | None = None,
    optimizer: OptimizerLike | None = None,
    loss: Losses | None = None,
    loss_weights: LossWeights | None = None,
    verbose: int | str = "auto",
) -> LearningRateTest:
    """Train a few steps while the learning rate rises from far too small to far too large, and record the loss.

    This is the learning rate range test (Smith, "Cyclical learning rates for training neural networks", 2017,
    section 3.3), with a rate that is multiplied by the same factor at each step. It stops when the loss explodes. A
    definition is built and compiled for the test as `dk.fit` does it. A compiled model is trained as it is, and then
    restored exactly, with its optimizer, its metrics and its random state.

    Args:
        net: A definition, or a compiled `keras.Model`, which may have its own training step. If it has several
            optimizers, all of them use the rate.
        x: Inputs, arrays (x, y) or (x, y, sample_weight), or a dataset, as for `dk.fit`. Only the training data is
            used, and repeated as needed.
        y: Labels of the arrays x.
        sample_weight: Weights of the arrays x.
        class_weight: Weight of each class in the loss, or "balanced".
        validation_split: Fraction of the arrays, from their end, that is not used.
        steps_per_epoch: Number of batches in an epoch, for an infinite dataset or generator.
        smallest: The first learning rate.
        largest: The last learning rate.
        steps: Number of steps.
        plan: Devices, precision, seed and so on. By default the current plan, else `dk.plan()`.
        batch_size: Examples per batch. By default that of the data, and 32 for arrays as in Keras.
        optimizer: A Keras optimizer or its name, Adam by default. Its own learning rate is not used.
        loss: A Keras loss or its name. By default the loss of the definition's head.
        loss_weights: Weight of each output's loss, by the name of the output; 1 for the others.
        verbose: 1 for a progress bar, 2 for lines, 0 for silence; `"auto"` for a bar on a terminal and lines in a file.

    Returns:
        Rates, losses and a suggestion to start from: a constant rate may be as large, the maximum of a cycle a few
        times larger. `.plot()` draws them.

    Raises:
        TypeError: `net` or `x` has an unsupported type.
        ValueError: The rates do not rise, an argument is invalid, the data has no batch, or there is no finite loss.
        DefinitionError: The definition does not fit the data.
        TokenIdError: The data contains a token id outside the range of an embedding.
        LabelError: The labels do not fit the head of the definition, or the loss.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> x, y = np.random.default_rng(0).random((64, 4)), np.arange(64) % 2
        >>> net = dk.Sequential([dk.MLP([8]), dk.Classifier(2)])
        >>> result = dk.find_learning_rate(net, x, y, steps=20, verbose=0)
        >>> round(float(result.rates[0]), 6), result.rates.shape == result.losses.shape
        (1e-06, True)
        >>> figure = result.plot()
    """
    _check_rates(smallest, largest)
    steps = check_integer(steps, "steps", minimum=_MIN_STEPS, hint="use steps=100")
    plan = plan_for(net, resolve_plan(plan), is_default=plan is None and current() is None)
    plan = plan.replace(reason="each step has its own learning rate", steps_per_execution=1)
    verbose = resolve_verbose(verbose)
    arguments = DataArguments(
        x, y, sample_weight, batch_size, validation_split=validation_split, steps_per_epoch=steps_per_epoch
    )
    training_data = training_data_for(net, arguments, plan)
    if training_data.steps is None:
        training_data.sample_batch()  # raises an error if there is no batch
    training_data = encode_text_labels(net, training_data, loss, verbose=0)
    rates = np.geomspace(smallest, largest, steps)
    if verbose:
        echo(f"learning rates from {smallest:g} to {largest:g} in {steps} steps")
    compile_args = {"optimizer": optimizer, "loss": loss, "metrics": None, "loss_weights": loss_weights}
    trial = TrialModel(net, training_data, plan, compile_args, training_data.single_epoch())
    if not state.optimizers(trial.model):
        raise make_error(
            ValueError,
            f"net: {type(trial.model).__name__} {trial.model.name!r} has no optimizer with a learning rate to test",
            hint="pass a definition that is trained by gradient descent",
        )
    training_data = weigh_classes(trial.model, training_data, class_weight, verbose=0)
    for note in trial.notes if verbose else ():
        echo(note)
    with _adjustable_learning_rate(trial.model) as set_learning_rate:
        batches_per_rate = trial.plan.gradient_accumulation_steps
        callback = _RangeTest(rates, set_learning_rate, batches_per_rate)
        batches = training_data.repeated()
        trial.train(batches, steps * batches_per_rate, callback, verbose=1 if verbose == 1 else 0)
    result = _make_result(rates, callback)
    if verbose:
        echo(str(result))
    return result


def steepest(rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray) -> float | None:
    """Return the rate at which the smoothed loss falls most before its minimum; the rates rise by a constant factor.

    Return None if it falls by no more than chance: twice the standard deviation of the losses around it.
    """
    lowest = int(np.argmin(smoothed))
    fall, noise = smoothed[0] - smoothed[lowest], np.std((losses - smoothed)[: lowest + 1])
    if lowest == 0 or fall <= _NOISE_FACTOR * noise:
        return None
    return float(rates[int(np.argmin(np.gradient(smoothed)[:lowest]))])


def smooth(losses: np.ndarray, steps: int) -> np.ndarray:
    """Return averages of neighboring losses with Gaussian weights.

    Args:
        losses: Loss of each step until the test stopped.
        steps: Number of steps that were requested, which the width of the Gaussian is a fraction of.
    """
    positions = np.arange(len(losses))
    deviation = max(1.0, _SMOOTHING_WIDTH * steps)
    weights = np.exp(-0.5 * np.square((positions[:, None] - positions) / deviation))
    return weights @ losses / weights.sum(axis=1)


class _RangeTest(keras.callbacks.Callback):
    """Sets the learning rate of each step, records its loss, and stops the training when the loss explodes.

    Args:
        rates: The learning rate of each step.
        set_learning_rate: A function that sets the learning rate.
        batches: Number of batches in each step: 1, or more if the optimizer accumulates gradients.
    """

    def __init__(self, rates: np.ndarray, set_learning_rate: Callable[[float], None], batches: int = 1) -> None:
        super().__init__()
        self.rates, self.stopped, self._batches = rates, "", batches
        self.losses: list[float] = []
        self._set_learning_rate, self._minimum = set_learning_rate, math.inf

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        """Set the rate of a step, and reset the metrics: Keras would report the mean loss of all steps."""
        if batch % self._batches == 0:
            self._set_learning_rate(self.rates[batch // self._batches])
            self.model.reset_metrics()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Record the loss of a step after its last batch."""
        if (batch + 1) % self._batches:
            return
        step = batch // self._batches
        loss = reported_loss(logs or {})
        if not math.isfinite(loss):
            self._stop(f"the loss is {loss} at {self.rates[step]:.2g}")
            return
        self.losses.append(loss)
        recent = float(np.median(self.losses[-_WINDOW:]))
        if len(self.losses) >= _WINDOW:
            self._minimum = min(self._minimum, recent)
            margin = _EXPLOSION_FACTOR * max(abs(self._minimum), self.losses[0] - self._minimum)
            if recent > self._minimum + margin:
                self._stop(f"the loss explodes at {self.rates[step]:.2g}")

    def _stop(self, reason: str) -> None:
        self.stopped = reason
        self.model.stop_training = True


class _VariableSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Replaces a schedule during the test: returns the value of a variable at every step."""

    def __init__(self, rate: keras.Variable) -> None:
        super().__init__()
        self.rate = rate

    def __call__(self, step: Tensor) -> Tensor:
        """Return the rate."""
        return keras.ops.convert_to_tensor(self.rate)

    def get_config(self) -> dict[str, Any]:
        """Return an empty config: the schedule is never saved."""
        return {}


@contextlib.contextmanager
def _adjustable_learning_rate(model: keras.Model) -> Iterator[Callable[[float], None]]:
    """Yield a function that sets the learning rate, and restore everything of the model besides its variables."""
    attributes = {name: vars(model)[name] for name in _MODEL_ATTRIBUTES if name in vars(model)}
    num_metric_variables = len(model.metrics_variables)
    model.train_function, model.steps_per_execution = None, 1
    rate_variables: list[keras.Variable] = []
    schedules = []
    shared_rate = keras.Variable(0.0, trainable=False, dtype="float32", name="range_test_rate")
    for optimizer in state.optimizers(model):
        inner = cast("keras.optimizers.Optimizer", getattr(optimizer, "inner_optimizer", optimizer))
        # the public property returns only the current value, and the schedule itself must be restored
        rate = inner._learning_rate
        if isinstance(rate, keras.Variable):
            rate_variables.append(rate)
        else:
            schedules.append((inner, rate))
            inner.learning_rate = _VariableSchedule(shared_rate)

    def set_learning_rate(value: float) -> None:
        for variable in (shared_rate, *rate_variables):
            variable.assign(value)

    try:
        yield set_learning_rate
    finally:
        # the first step creates the variables of metrics, so that there are no earlier values to restore
        if len(model.metrics_variables) > num_metric_variables:
            model.reset_metrics()
        for inner, schedule in schedules:
            inner.learning_rate = schedule
        _restore_attributes(model, attributes)


def _restore_attributes(model: keras.Model, attributes: Mapping[str, object]) -> None:
    for name in _MODEL_ATTRIBUTES:
        if name in attributes:
            setattr(model, name, attributes[name])
        elif name in vars(model):
            delattr(model, name)


def _make_result(rates: np.ndarray, callback: _RangeTest) -> LearningRateTest:
    num_steps = len(callback.losses)
    if not num_steps:
        raise ValueError(
            message(
                f"find_learning_rate: {callback.stopped or 'there was no step'}, the smallest rate",
                hint="pass a smaller smallest=, or look for NaN in the data",
            )
        )
    losses = np.array(callback.losses)
    smoothed = smooth(losses, len(rates))
    suggestion = steepest(rates[:num_steps], losses, smoothed)
    return LearningRateTest(rates[:num_steps], losses, smoothed, suggestion, callback.stopped)


def _check_rates(smallest: object, largest: object) -> None:
    if not is_number(smallest) or not is_number(largest) or not 0 < smallest < largest:  # type: ignore[operator]
        raise ValueError(
            message(
                "find_learning_rate: expected 0 < smallest < largest, "
                f"received {format_value(smallest)} and {format_value(largest)}",
                hint="use smallest=1e-6, largest=10.0",
            )
        )
