"""A machine without GPUs, and runs without a report."""

from __future__ import annotations

import pytest

from deepkit.execution import devices


@pytest.fixture
def no_gpu(monkeypatch):
    """Let TensorFlow offer one CPU only, whatever devices this machine has."""
    monkeypatch.setattr(devices, "available", lambda: ("CPU:0",))


@pytest.fixture
def no_report(monkeypatch):
    """Write no report at the end of a run, which takes longer than training a small net."""
    monkeypatch.setattr("deepkit.training.run_report.write", lambda *args: None)
