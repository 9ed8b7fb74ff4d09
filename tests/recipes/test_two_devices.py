"""Recipes on two logical CPUs, in a process of their own."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_two_devices_train_like_one():
    command = [sys.executable, "-m", "tests.recipes.two_devices"]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr[-3000:]
    assert "all equal, strings refused" in completed.stdout
