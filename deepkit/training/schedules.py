"""Learning rates as values: schedules relative to the length of the training, built when the steps are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, Union

import keras

from deepkit.models.keras_schedules import PerUpdateSchedule, WarmUpSchedule
from deepkit.utils.errors import message
from deepkit.utils.validation import check_number, is_number

if TYPE_CHECKING:
    from deepkit.utils.types import OptimizerLike

KerasSchedule: TypeAlias = keras.optimizers.schedules.LearningRateSchedule
LearningRate: TypeAlias = Union[float, KerasSchedule, "OneCycle", "StepDecay", "WarmUp"]


@dataclass(frozen=True)
class OneCycle:
    """A learning rate that rises linearly to its maximum and falls along half a cosine to almost nothing.

    Smith & Topin 2018, "Super-Convergence", section 3, with a cosine instead of the linear fall. The momentum is not
    cycled, because Keras's optimizers keep it constant.

    Args:
        max_learning_rate: Maximum learning rate.
        warmup_fraction: Fraction of the training in which it rises, from 0 to below 1.
        start: Learning rate at the first step, as a fraction of the maximum.
        end: Learning rate at the last step, as a fraction of the maximum.

    Raises:
        ValueError: A number is out of its range.

    Examples:
        >>> import deepkit as dk
        >>> rate = dk.OneCycle(0.4, warmup_fraction=0.25).build(steps=100)
        >>> [round(float(rate(step)), 3) for step in (0, 25, 100)]
        [0.016, 0.4, 0.0]
    """

    max_learning_rate: float
    warmup_fraction: float = field(default=0.3, kw_only=True)
    start: float = field(default=0.04, kw_only=True)
    end: float = field(default=0.0004, kw_only=True)

    def __post_init__(self) -> None:
        _check_field(self, "max_learning_rate", above=0.0)
        _check_field(self, "warmup_fraction", minimum=0.0, below=1.0)
        _check_field(self, "start", minimum=0.0, maximum=1.0)
        _check_field(self, "end", minimum=0.0, maximum=1.0)

    def build(self, steps: int, steps_per_epoch: float = 1) -> KerasSchedule:
        """Return the Keras schedule for a training of `steps` steps."""
        warmup_steps = round(self.warmup_fraction * steps)
        decay_steps = max(steps - warmup_steps, 1)
        if not warmup_steps:
            return keras.optimizers.schedules.CosineDecay(self.max_learning_rate, decay_steps, alpha=self.end)
        return keras.optimizers.schedules.CosineDecay(
            self.start * self.max_learning_rate,
            decay_steps,
            alpha=self.end,
            warmup_target=self.max_learning_rate,
            warmup_steps=warmup_steps,
        )


@dataclass(frozen=True)
class StepDecay:
    """A learning rate that is multiplied by `gamma` at each milestone, as in most papers of the 2010s.

    It builds a `keras.optimizers.schedules.PiecewiseConstantDecay`, whose boundaries follow from the number of steps.

    Args:
        learning_rate: Learning rate at the start.
        milestones: Fractions of the training at which it falls, ascending between 0 and 1.
        gamma: Factor at each milestone.

    Raises:
        ValueError: A number is out of its range, or the milestones do not ascend.

    Examples:
        >>> import deepkit as dk
        >>> rate = dk.StepDecay(0.1, milestones=(0.5, 0.75)).build(steps=64_000)
        >>> [round(float(rate(step)), 4) for step in (0, 31_999, 32_000, 48_000)]
        [0.1, 0.1, 0.01, 0.001]
    """

    learning_rate: float
    milestones: Sequence[float] = field(default=(0.5, 0.75), kw_only=True)
    gamma: float = field(default=0.1, kw_only=True)

    def __post_init__(self) -> None:
        _check_field(self, "learning_rate", above=0.0)
        _check_field(self, "gamma", above=0.0)
        milestones = tuple(self.milestones)
        object.__setattr__(self, "milestones", milestones)
        are_fractions = all(is_number(milestone) and 0 < milestone < 1 for milestone in milestones)
        if not milestones or not are_fractions or list(milestones) != sorted(set(milestones)):
            raise ValueError(
                message(
                    "StepDecay: milestones must be fractions of the training that ascend between 0 and 1, "
                    f"received {milestones}",
                    hint="use milestones=(0.5, 0.75)",
                )
            )

    def build(self, steps: int, steps_per_epoch: float = 1) -> KerasSchedule:
        """Return the Keras schedule for a training of `steps` steps."""
        rates = [self.learning_rate * self.gamma**power for power in range(len(self.milestones) + 1)]
        # Keras applies a rate up to and including its boundary
        boundaries = [round(milestone * steps) - 1 for milestone in self.milestones]
        return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)


@dataclass(frozen=True)
class WarmUp:
    """A learning rate that rises linearly during the first epochs to a number or to another schedule.

    Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2.

    Args:
        schedule: The learning rate after the warm-up: a number, a Keras schedule, or a value such as `dk.OneCycle`.
            Its own steps count from the first step of the training.
        epochs: Number of epochs in which it rises; it need not be an integer.
        start_factor: Fraction of the learning rate at the first step.

    Raises:
        ValueError: A number is out of its range.
        TypeError: `schedule` is not a learning rate.

    Examples:
        >>> import deepkit as dk
        >>> rate = dk.WarmUp(0.1, epochs=2).build(steps=100, steps_per_epoch=10)
        >>> [round(float(rate(step)), 3) for step in (0, 10, 20, 99)]
        [0.0, 0.05, 0.1, 0.1]
    """

    schedule: LearningRate
    epochs: float = field(default=1.0, kw_only=True)
    start_factor: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        _check_field(self, "epochs", above=0.0)
        _check_field(self, "start_factor", minimum=0.0, maximum=1.0)
        if not is_learning_rate(self.schedule):
            raise TypeError(
                message(
                    f"WarmUp: schedule must be a number or a schedule, received {type(self.schedule).__name__}",
                    hint="use dk.WarmUp(0.1), or dk.WarmUp(dk.OneCycle(0.4))",
                )
            )
        if isinstance(self.schedule, int | float):
            _check_field(self, "schedule", above=0.0)

    def build(self, steps: int, steps_per_epoch: float = 1) -> KerasSchedule:
        """Return the Keras schedule for a training of `steps` steps, `steps_per_epoch` of them in an epoch."""
        warmup_steps = max(round(self.epochs * steps_per_epoch), 1)
        schedule = as_schedule(self.schedule, steps, steps_per_epoch)
        if isinstance(schedule, int | float):  # a stock Keras schedule, so that the model file loads without deepkit
            return keras.optimizers.schedules.CosineDecay(
                self.start_factor * schedule,
                decay_steps=1,
                alpha=1.0,
                warmup_target=schedule,
                warmup_steps=warmup_steps,
            )
        return WarmUpSchedule(schedule, warmup_steps, self.start_factor)


def is_learning_rate(value: object) -> bool:
    """Return whether a value is a number, a Keras schedule or a schedule of this module."""
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float | KerasSchedule | OneCycle | StepDecay | WarmUp)


def as_schedule(rate: LearningRate, steps: int, steps_per_epoch: float) -> float | KerasSchedule:
    """Return a number as a float, a Keras schedule unchanged, and the Keras schedule of a schedule of this module."""
    if isinstance(rate, OneCycle | StepDecay | WarmUp):
        return rate.build(steps, steps_per_epoch)
    return rate if isinstance(rate, KerasSchedule) else float(rate)  # an optimizer of Keras accepts no integer


def with_learning_rate(
    optimizer: OptimizerLike | None,
    rate: LearningRate,
    steps_per_epoch: int | None,
    epochs: int,
    accumulation_steps: int = 1,
) -> keras.optimizers.Optimizer:
    """Return a fresh copy of an optimizer with another learning rate.

    Args:
        optimizer: A Keras optimizer or its name; Adam if None.
        rate: A number, a Keras schedule, or a value such as `OneCycle`.
        steps_per_epoch: Number of batches in an epoch, or None if it is unknown.
        epochs: Number of epochs of the whole training.
        accumulation_steps: Number of batches in each update of the weights. A schedule relative to the training counts
            updates.

    Raises:
        TypeError: The rate is not a learning rate.
        ValueError: The schedule depends on the steps of the training, which are unknown.
    """
    if not is_learning_rate(rate):
        raise TypeError(
            message(
                f"learning_rate: expected a number or a schedule, received {type(rate).__name__}",
                hint="use learning_rate=1e-3, or learning_rate=dk.OneCycle(0.4)",
            )
        )
    if isinstance(optimizer, keras.optimizers.MultiOptimizer):
        problem = "learning_rate: a MultiOptimizer has a learning rate for each of its optimizers"
        raise ValueError(message(problem, hint="pass the rates to the optimizers in its OptimizerMap"))
    if steps_per_epoch is None and isinstance(rate, OneCycle | StepDecay | WarmUp):
        raise ValueError(
            message(
                f"learning_rate={rate}: the number of batches in an epoch of the data is unknown",
                hint="use dataset.apply(tf.data.experimental.assert_cardinality(steps)), or a Keras schedule",
            )
        )
    template: keras.optimizers.Optimizer = keras.optimizers.get("adam" if optimizer is None else optimizer)
    steps = steps_per_epoch or 1
    if accumulation_steps == 1 or not isinstance(rate, OneCycle | StepDecay | WarmUp):
        return _copy_with_rate(template, as_schedule(rate, epochs * steps, steps))
    num_updates = max(epochs * steps // accumulation_steps, 1)
    schedule = rate.build(num_updates, steps / accumulation_steps)
    return _copy_with_rate(template, PerUpdateSchedule(schedule, accumulation_steps))


def _copy_with_rate(optimizer: keras.optimizers.Optimizer, rate: float | KerasSchedule) -> keras.optimizers.Optimizer:
    """Return a fresh copy of an optimizer with another rate, which a `LossScaleOptimizer` passes to its inner one."""
    config = optimizer.get_config()
    if "inner_optimizer" in config:
        config["inner_optimizer"] = keras.optimizers.serialize(_copy_with_rate(optimizer.inner_optimizer, rate))
    else:
        config["learning_rate"] = rate
    return type(optimizer).from_config(config)


def _check_field(
    schedule: object,
    name: str,
    *,
    above: float | None = None,
    minimum: float | None = None,
    below: float | None = None,
    maximum: float | None = None,
) -> None:
    """Validate a numeric field of a schedule, and store it as a plain number."""
    label = f"{type(schedule).__name__}: {name}"
    value = getattr(schedule, name)
    number = check_number(value, label, above=above, minimum=minimum, below=below, maximum=maximum)
    object.__setattr__(schedule, name, number)
