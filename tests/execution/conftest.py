"""A machine without GPUs."""

from __future__ import annotations

import pytest

from deepkit.execution import devices


@pytest.fixture
def no_gpu(monkeypatch):
    """Let TensorFlow offer one CPU only, whatever devices this machine has."""
    monkeypatch.setattr(devices, "available", lambda: ("CPU:0",))
