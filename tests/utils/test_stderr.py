"""Capturing standard error."""

import faulthandler
import os
import sys

from deepkit.utils.stderr import capture_stderr


def test_lines_are_captured_without_progress_messages(capfd):
    with capture_stderr() as lines:
        os.write(2, b"I0000 00:00:1 port.cc:153] oneDNN\n")
        os.write(2, b"E0000 00:00:1 x.cc:1] broken\n")
        print("from Python", file=sys.__stderr__, flush=True)
        assert lines == []
    assert lines == [b"E0000 00:00:1 x.cc:1] broken\n", b"from Python\n"]
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def test_the_fault_handler_is_restored():
    was_enabled = faulthandler.is_enabled()
    with capture_stderr():
        assert faulthandler.is_enabled()
    assert faulthandler.is_enabled() == was_enabled
