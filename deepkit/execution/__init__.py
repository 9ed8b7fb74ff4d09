"""Execution: the plan under which a model is built and trained."""

from __future__ import annotations

from deepkit.execution.measurement import Measurement
from deepkit.execution.plan import Plan, plan

__all__ = ["plan", "Plan", "Measurement"]


def __dir__() -> list[str]:
    return sorted(__all__)
