"""The text that a terminal shows: carriage returns and backspaces applied, escape sequences removed."""

from __future__ import annotations

import re

ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*(?:\x07|\x1b\\)|[@-Z\\-_])")
START_UP = re.compile(
    r"[IWEF]\d{4} \d\d:\d\d:\d|WARNING: All log messages before absl|To enable the following instructions: "
)
PROGRESS_BAR = re.compile(r"^(\d+/\d+) (?:━+|-) [\d:]+s? (?:- )?[\d.]+[mu]?s/(?:step|epoch)")


def shown_text(text: str) -> str:
    """Return the final state of each line of a text that was written to a terminal."""
    lines = [_shown_line(line).rstrip() for line in ESCAPE.sub("", text).split("\n")]
    return "\n".join(lines).strip("\n")


def _shown_line(line: str) -> str:
    """Return the final state of a line: a carriage return moves to its beginning, a backspace one place back."""
    cells: list[str] = []
    position = 0
    for character in line:
        if character == "\r":
            position = 0
        elif character == "\b":
            position = max(position - 1, 0)
        else:
            cells[position : position + 1] = [character]
            position += 1
    return "".join(cells)


def without_durations(text: str) -> str:
    """Remove the bars and durations that Keras prints for each epoch, which differ from run to run.

    Lines without metrics, as `predict` prints them, are removed.
    """
    lines = [(line, PROGRESS_BAR.sub(r"\1", line)) for line in text.split("\n")]
    return "\n".join(short for line, short in lines if short == line or " - " in short)


def without_startup_messages(text: str) -> str:
    """Remove the lines that C++ code of TensorFlow logs, which have the time and depend on the machine."""
    return "\n".join(line for line in text.split("\n") if not START_UP.match(line))


def shorten(text: str, counts: tuple[int, int] | None) -> str:
    """Return the first and last lines of a text, with an ellipsis in place of the others.

    Args:
        text: The text.
        counts: Numbers of first and last lines; None returns the whole text.
    """
    lines = text.split("\n")
    if counts is None or len(lines) <= sum(counts):
        return text
    first, last = counts
    return "\n".join([*lines[:first], "...", *lines[len(lines) - last :]])
