"""Learning rates as values: a schedule in shares of the training, made one of steps when their number is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from deepkit.models.keras_schedules import WarmUpSchedule


@dataclass(frozen=True)
class OneCycle:
    """A learning rate that rises in a line to its peak and falls along half a cosine to almost nothing.

    Smith & Topin 2018, "Super-Convergence", section 3, with the cosine in place of its straight fall; the momentum
    is not cycled, for Keras's optimisers hold it fixed.

    Args:
        max_learning_rate: Highest learning rate.
        warmup_fraction: Share of the training in which it rises, from 0 to below 1.
        start: Learning rate at the first step, as a share of the peak.
        end: Learning rate at the last step, as a share of the peak.

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
        _check(self, "max_learning_rate", self.max_learning_rate, above=0.0)
        _check(self, "warmup_fraction", self.warmup_fraction, below=1.0)
        _check(self, "start", self.start, most=1.0)
        _check(self, "end", self.end, most=1.0)

    def build(self, steps: int, steps_per_epoch: int = 1) -> keras.optimizers.schedules.LearningRateSchedule:
        """Return Keras's schedule for a training of so many steps."""
        rise = round(self.warmup_fraction * steps)
        warm = {
            "initial_learning_rate": self.start * self.max_learning_rate,
            "warmup_target": self.max_learning_rate,
            "warmup_steps": rise,
        }
        begin = warm if rise else {"initial_learning_rate": self.max_learning_rate}
        return keras.optimizers.schedules.CosineDecay(decay_steps=max(steps - rise, 1), alpha=self.end, **begin)


@dataclass(frozen=True)
class StepDecay:
    """A learning rate that is multiplied by a factor at given shares of the training, as in most papers of the 2010s.

    Args:
        learning_rate: Learning rate at the beginning.
        milestones: Shares of the training at which it falls, ascending between 0 and 1.
        gamma: What it is multiplied by each time.

    Raises:
        ValueError: A number is out of its range, or the shares do not ascend.

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
        _check(self, "learning_rate", self.learning_rate, above=0.0)
        _check(self, "gamma", self.gamma, above=0.0)
        object.__setattr__(self, "milestones", tuple(self.milestones))
        if (
            not self.milestones
            or any(not 0 < share < 1 for share in self.milestones)
            or list(self.milestones) != sorted(set(self.milestones))
        ):
            raise ValueError(
                f"StepDecay: milestones must be shares of the training that ascend between 0 and 1, received {self.milestones}\n"
                "  hint: milestones=(0.5, 0.75)"
            )

    def build(self, steps: int, steps_per_epoch: int = 1) -> keras.optimizers.schedules.LearningRateSchedule:
        """Return Keras's schedule for a training of so many steps."""
        rates = [self.learning_rate * self.gamma**power for power in range(len(self.milestones) + 1)]
        last = [
            round(share * steps) - 1 for share in self.milestones
        ]  # steps at the rate before: Keras's bounds belong to it
        return keras.optimizers.schedules.PiecewiseConstantDecay(last, rates)


@dataclass(frozen=True)
class WarmUp:
    """A learning rate that rises in a line before it is what it would be: another schedule's, or a number.

    Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2.

    Args:
        schedule: A number, a Keras schedule or one of these values: the learning rate once it is warm. Its own steps
            count from the first step of the training.
        epochs: Passes over the data in which it rises; parts of one are allowed.
        start_factor: Share of the learning rate at the first step.

    Raises:
        ValueError: A number is out of its range.
        TypeError: `schedule` is no learning rate.

    Examples:
        >>> import deepkit as dk
        >>> rate = dk.WarmUp(0.1, epochs=2).build(steps=100, steps_per_epoch=10)
        >>> [round(float(rate(step)), 3) for step in (0, 10, 20, 99)]
        [0.0, 0.05, 0.1, 0.1]
    """

    schedule: Any
    epochs: float = field(default=1.0, kw_only=True)
    start_factor: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        _check(self, "epochs", self.epochs, above=0.0)
        _check(self, "start_factor", self.start_factor, most=1.0)
        if isinstance(self.schedule, int | float):
            _check(self, "schedule", self.schedule, above=0.0)
        elif not is_rate(self.schedule):
            raise TypeError(f"WarmUp: schedule must be a number or a schedule, received {type(self.schedule).__name__}")

    def build(self, steps: int, steps_per_epoch: int = 1) -> keras.optimizers.schedules.LearningRateSchedule:
        """Return the schedule for a training of so many steps, so many of them in an epoch."""
        rise = max(round(self.epochs * steps_per_epoch), 1)
        if isinstance(self.schedule, int | float):  # a cosine that does not fall: Keras opens the file without deepkit
            begin = {"initial_learning_rate": self.start_factor * self.schedule, "warmup_target": self.schedule}
            return keras.optimizers.schedules.CosineDecay(decay_steps=1, alpha=1.0, warmup_steps=rise, **begin)
        return WarmUpSchedule(as_schedule(self.schedule, steps, steps_per_epoch), rise, self.start_factor)


def is_rate(value: Any) -> bool:
    """Tell whether a value is a learning rate: a number, a Keras schedule or one of the values here."""
    kinds = (int, float, keras.optimizers.schedules.LearningRateSchedule, OneCycle, StepDecay, WarmUp)
    return isinstance(value, kinds) and not isinstance(value, bool)


def as_schedule(rate: Any, steps: int, steps_per_epoch: int) -> Any:
    """Return a number or a Keras schedule as it is, and one of the values here as Keras's schedule."""
    return rate.build(steps, steps_per_epoch) if isinstance(rate, OneCycle | StepDecay | WarmUp) else rate


def with_rate(optimizer: Any, rate: Any, steps_per_epoch: int | None, epochs: int) -> Any:
    """Return a fresh copy of an optimiser that has this learning rate.

    Args:
        optimizer: A Keras optimiser or its name; Adam where None.
        rate: A number, a Keras schedule, or a value such as `OneCycle`.
        steps_per_epoch: Batches in an epoch, None where they are not known beforehand.
        epochs: Of the whole training.

    Raises:
        TypeError: The rate is none.
        ValueError: The rate is a share of a training whose steps are not known.
    """
    if not is_rate(rate):
        raise TypeError(
            f"learning_rate: expected a number or a schedule, received {type(rate).__name__}\n"
            "  hint: learning_rate=1e-3, or learning_rate=dk.OneCycle(0.4)"
        )
    if steps_per_epoch is None and isinstance(rate, OneCycle | StepDecay | WarmUp):
        raise ValueError(
            f"learning_rate={rate}: the data does not say how many batches an epoch has\n"
            "  hint: dataset.apply(tf.data.experimental.assert_cardinality(steps)), or a Keras schedule of steps"
        )
    made = keras.optimizers.get("adam" if optimizer is None else optimizer)
    steps = steps_per_epoch or 1
    return _copied(made, as_schedule(rate, epochs * steps, steps))


def _copied(optimizer: Any, rate: Any) -> Any:
    """Return a fresh copy of an optimiser with another rate; one that scales the loss has it inside."""
    config = optimizer.get_config()
    if "inner_optimizer" in config:
        config["inner_optimizer"] = keras.optimizers.serialize(_copied(optimizer.inner_optimizer, rate))
    else:
        config["learning_rate"] = rate
    return type(optimizer).from_config(config)


def _check(value: Any, name: str, number: Any, *, above: float | None = None, **bounds: float) -> None:
    """Raise where a number is out of its range: above, or from 0; below or at most a bound."""
    below, most = bounds.get("below", math.inf), bounds.get("most", math.inf)
    fits = isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
    if fits and (number > above if above is not None else number >= 0) and number < below and number <= most:
        return
    low = f"above {above:g}" if above is not None else "from 0"
    high = f" to below {below:g}" if below < math.inf else f" to {most:g}" if most < math.inf else ""
    raise ValueError(f"{type(value).__name__}: {name} must be a number {low}{high}, received {number!r}")
