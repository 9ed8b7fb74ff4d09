"""A learning rate for a network that learns from some of the batches only."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="deepkit")
class PerStepSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule of batches, for an optimiser that takes one step in so many batches, at the last of them.

    Args:
        schedule: A Keras schedule that counts batches.
        batches: Batches for each step.

    Examples:
        >>> import keras
        >>> from deepkit.models.keras_schedules import PerStepSchedule
        >>> decay = keras.optimizers.schedules.PolynomialDecay(1.0, decay_steps=10, end_learning_rate=0.0)
        >>> round(float(PerStepSchedule(decay, 5)(1)), 3)  # the second step is at the tenth batch, number 9
        0.1
    """

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, batches: int) -> None:
        super().__init__()
        self.schedule, self.batches = schedule, batches

    def __call__(self, step: Any) -> Any:
        """Return the learning rate at a step, counted from 0."""
        return self.schedule((step + 1) * self.batches - 1)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "batches": self.batches}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PerStepSchedule:
        """Make it from its arguments."""
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["batches"])


def per_step(optimizer: keras.optimizers.Optimizer, batches: int) -> keras.optimizers.Optimizer:
    """Return a copy of an optimiser whose schedule counts batches; one with a fixed rate is returned as it is."""
    copied = type(optimizer).from_config(optimizer.get_config())
    inner = getattr(copied, "inner_optimizer", copied)  # of one that scales losses
    rate = inner.get_config()["learning_rate"]
    found = keras.saving.deserialize_keras_object(rate) if isinstance(rate, dict) else None
    if not isinstance(found, keras.optimizers.schedules.LearningRateSchedule):
        return optimizer
    inner.learning_rate = PerStepSchedule(found, batches)
    return copied


@keras.saving.register_keras_serializable(package="deepkit")
class WarmUpSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """The Keras schedule that `WarmUp` makes of another one: the first steps scale it.

    Args:
        schedule: A Keras schedule.
        warmup_steps: Steps until it is whole.
        start_factor: Share of it at the first step.
    """

    def __init__(self, schedule: Any, warmup_steps: int, start_factor: float = 0.0) -> None:
        super().__init__()
        self.schedule, self.warmup_steps, self.start_factor = schedule, warmup_steps, start_factor

    def __call__(self, step: Any) -> Any:
        """Return the learning rate at a step, counted from 0."""
        step = keras.ops.cast(step, "float32")
        share = keras.ops.minimum(self.start_factor + (1 - self.start_factor) * step / self.warmup_steps, 1.0)
        return share * self.schedule(step)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "warmup_steps": self.warmup_steps, "start_factor": self.start_factor}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WarmUpSchedule:
        """Make it from its arguments."""
        return cls(**{**config, "schedule": keras.saving.deserialize_keras_object(config["schedule"])})
