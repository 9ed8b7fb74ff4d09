"""Execution: the plan that a model is built and trained under."""

from __future__ import annotations

from deepkit.execution.plan import Measurement, Plan, plan

__all__ = ["plan", "Plan", "Measurement"]
