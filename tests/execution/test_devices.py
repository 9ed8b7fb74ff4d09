"""Two devices compute the same as one, or an error explains why they would not."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_two_devices_equal_one_or_raise(tmp_path):
    command = [sys.executable, "-m", "tests.execution.two_devices", str(tmp_path / "run")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "all equal, all refused" in result.stdout, result.stderr[-3000:]
