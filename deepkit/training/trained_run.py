"""The result of a training: the trained model with its history and plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from deepkit.execution.plan import Measurement, Plan
from deepkit.utils.history import format_metric

if TYPE_CHECKING:
    from deepkit.data.dataset import ClassNames
    from deepkit.utils.types import History


@dataclass(frozen=True, eq=False)
class Run:
    """The result of a training.

    Args:
        model: The trained model.
        history: Loss and metrics of every epoch, by name, as in `keras.callbacks.History`. A metric with several
            values, such as `keras.metrics.F1Score()`, has a list of floats for each epoch.
        plan: The plan of the training.
        run_dir: The directory of the run, or None.
        report: The report in it, or None.
        resume: `"exact"`, or why a resumed run is only approximately equal to an uninterrupted one.
        seconds: Duration of training and validation, over all calls.
        epochs: Number of finished epochs, over all calls.
        class_names: Names of the classes by label, by name of the output if there are several; empty if unknown.
    """

    model: keras.Model
    history: History
    plan: Plan
    run_dir: Path | None
    report: Path | None
    resume: str
    seconds: float
    epochs: int
    class_names: ClassNames = ()

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """The timings from which `dk.autotune` chose the plan; empty if it did not."""
        return self.plan.measurements

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={format_metric(values[-1])}" for name, values in self.history.items() if values)
        return f"<Run {self.model.name}: {self.epochs} epochs in {self.seconds:.1f} s; {last}>"
