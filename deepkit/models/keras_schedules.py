"""Registered learning-rate schedules: two for optimizers that do not step at every batch, and a linear warm-up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import keras

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


class _BatchSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule inside another one, for an optimizer that does not step at every batch.

    Args:
        schedule: A Keras schedule.
        batches: Number of batches per step.
    """

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, batches: int) -> None:
        super().__init__()
        self.schedule, self.batches = schedule, batches

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "batches": self.batches}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Create the schedule from its arguments."""
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["batches"])


@keras.saving.register_keras_serializable(package="deepkit")
class PerStepSchedule(_BatchSchedule):
    """A schedule for an optimizer that steps once every k batches, at the last of them.

    Args:
        schedule: A Keras schedule that counts batches.
        batches: Number of batches per step.

    Examples:
        >>> import keras
        >>> from deepkit.models.keras_schedules import PerStepSchedule
        >>> decay = keras.optimizers.schedules.PolynomialDecay(
        ...     1.0, decay_steps=10, end_learning_rate=0.0
        ... )
        >>> round(
        ...     float(PerStepSchedule(decay, 5)(1)), 3
        ... )  # the second step is at the tenth batch, number 9
        0.1
    """

    def __call__(self, step: Tensor | int) -> Tensor:
        """Return the learning rate at a step, counted from 0."""
        return self.schedule((step + 1) * self.batches - 1)


@keras.saving.register_keras_serializable(package="deepkit")
class PerUpdateSchedule(_BatchSchedule):
    """A schedule that counts the updates of an optimizer that accumulates the gradients of several batches.

    Keras calls the schedule of such an optimizer with the number of batches.

    Args:
        schedule: A Keras schedule that counts updates.
        batches: Number of batches per update.

    Examples:
        >>> import keras
        >>> from deepkit.models.keras_schedules import PerUpdateSchedule
        >>> decay = keras.optimizers.schedules.PolynomialDecay(
        ...     1.0, decay_steps=10, end_learning_rate=0.0
        ... )
        >>> rate = PerUpdateSchedule(decay, 4)
        >>> [round(float(rate(batch)), 1) for batch in (0, 3, 4, 7, 8)]
        [1.0, 1.0, 0.9, 0.9, 0.8]
    """

    def __call__(self, step: Tensor | int) -> Tensor:
        """Return the learning rate at a batch, counted from 0."""
        return self.schedule(keras.ops.floor_divide(step, self.batches))


def with_per_step_schedule(optimizer: keras.optimizers.Optimizer, batches: int) -> keras.optimizers.Optimizer:
    """Return a copy of an optimizer whose schedule counts batches; with a constant rate return the optimizer itself.

    Args:
        optimizer: The optimizer, which steps once every `batches` batches.
        batches: Number of batches per step.
    """
    copy = type(optimizer).from_config(optimizer.get_config())
    inner = getattr(copy, "inner_optimizer", copy)  # of a LossScaleOptimizer
    rate = inner.get_config()["learning_rate"]
    schedule = keras.saving.deserialize_keras_object(rate) if isinstance(rate, dict) else None
    if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        return optimizer
    inner.learning_rate = PerStepSchedule(schedule, batches)
    return copy


@keras.saving.register_keras_serializable(package="deepkit")
class WarmUpSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Another schedule, multiplied in the first steps by a factor that rises linearly to 1; `dk.WarmUp` creates it.

    Args:
        schedule: A Keras schedule.
        warmup_steps: Number of steps after which the schedule is no longer scaled.
        start_factor: Factor at the first step; it rises linearly to 1.
    """

    def __init__(
        self, schedule: keras.optimizers.schedules.LearningRateSchedule, warmup_steps: int, start_factor: float = 0.0
    ) -> None:
        super().__init__()
        self.schedule, self.warmup_steps, self.start_factor = schedule, warmup_steps, start_factor

    def __call__(self, step: Tensor | int) -> Tensor:
        """Return the learning rate at a step, counted from 0."""
        step = keras.ops.cast(step, "float32")
        factor = keras.ops.minimum(self.start_factor + (1 - self.start_factor) * step / self.warmup_steps, 1.0)
        return factor * self.schedule(step)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "warmup_steps": self.warmup_steps, "start_factor": self.start_factor}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> WarmUpSchedule:
        """Create the schedule from its arguments."""
        return cls(**{**config, "schedule": keras.saving.deserialize_keras_object(config["schedule"])})
