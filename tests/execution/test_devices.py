"""Two devices compute what one computes, or say why they would not."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_two_devices_equal_one_or_refuse(tmp_path):
    command = [sys.executable, "-m", "tests.execution.two_devices", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "all equal, all refused" in done.stdout, done.stderr[-3000:]
