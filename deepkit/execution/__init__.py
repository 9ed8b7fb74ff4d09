"""Execution: the plan a model is built and trained under, and `fit`, which trains, keeps and resumes it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepkit.execution.errors import CheckpointError, DivergedError, ExportError, RunDirError, TokenIdError
    from deepkit.execution.export import Exported
    from deepkit.execution.fit import Run, fit
    from deepkit.execution.learning_rate import LearningRateTest, find_learning_rate
    from deepkit.execution.measure import Measurement
    from deepkit.execution.plan import Plan, plan

_HOMES = {
    "Plan": "plan",
    "plan": "plan",
    "Run": "fit",
    "fit": "fit",
    "CheckpointError": "errors",
    "DivergedError": "errors",
    "RunDirError": "errors",
    "ExportError": "errors",
    "TokenIdError": "errors",
    "Exported": "export",
    "Measurement": "measure",
    "find_learning_rate": "learning_rate",
    "LearningRateTest": "learning_rate",
}

__all__ = [
    "plan", "Plan", "fit", "Run", "Measurement", "Exported",
    "CheckpointError", "DivergedError", "RunDirError", "ExportError",
    "TokenIdError",
    "find_learning_rate", "LearningRateTest",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'deepkit.execution' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"deepkit.execution.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
