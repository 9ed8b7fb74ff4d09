"""The recorded results: one generated JSON file with a row per benchmark."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.pairs import Pair, Summary, Target, verdict
from deepkit.utils import files
from deepkit.utils.errors import format_value, message

FORMAT = 1
Content = TypeVar("Content")


class RecordsError(ValueError):
    """The file is not a results file."""


@dataclass(frozen=True)
class Row:
    """The result of one benchmark, and the machine it was measured on.

    Args:
        name: Name of the benchmark.
        left: Description of the left side.
        right: Description of the right side, the reference.
        unit: Unit of the numbers.
        target: Target of the median ratio, or None.
        pairs: The measured numbers; empty if there is a problem.
        problem: `""`, `"failed"` or `"not measured"`.
        reason: Reason of the problem.
        facts: Facts that the sides reported, such as versions.
        command: Command that measures this row.
        date: Day it was measured, as `2026-01-31`.
        hardware: Hardware of the machine.
        versions: Versions of the software.
    """

    name: str
    left: str
    right: str
    unit: str
    command: str
    date: str
    target: Target | None = None
    pairs: tuple[Pair, ...] = ()
    problem: str = ""
    reason: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def summary(self) -> Summary:
        """Return the summary of the pairs."""
        return Summary.of(self.pairs)

    def verdict(self) -> str:
        """Return `"met"`, `"missed"`, `"recorded"`, `"failed"` or `"not measured"`."""
        return self.problem or verdict(self.target, self.summary())


def load(path: Path) -> dict[str, Row]:
    """Return the recorded rows by name; an empty mapping if the file does not exist.

    Raises:
        RecordsError: The file exists and is not a results file.
    """
    return read(path, FORMAT, lambda content: {row["name"]: _row(row) for row in content["rows"]})


def read(path: Path, file_format: int, parse: Callable[[Mapping[str, Any]], dict[str, Content]]) -> dict[str, Content]:
    """Return what a file of results contains, by name; an empty mapping if the file does not exist.

    Args:
        path: The file.
        file_format: The format that is expected.
        parse: Function that converts the content of the file.

    Raises:
        RecordsError: The file has another format, or is not a file of results.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != file_format:
            problem = f"{path} has format {format_value(content['format'])}, expected {file_format}"
            raise RecordsError(message(problem, hint="delete it and record the results again"))
        return parse(content)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        problem = f"{path} is not a results file ({type(error).__name__}: {error}); it is left unchanged"
        raise RecordsError(message(problem, hint="restore it from version control")) from error


def _row(content: Mapping[str, Any]) -> Row:
    target = content["target"] and Target(**content["target"])
    return Row(**{**content, "target": target, "pairs": tuple((a, b) for a, b in content["pairs"])})


def merge(path: Path, row: Row) -> None:
    """Write one row to the file; it replaces an earlier row of the same name.

    Raises:
        RecordsError: The file exists and is not a results file.
        OSError: The file cannot be written.
    """
    rows = {**load(path), row.name: row}
    content = {"format": FORMAT, "rows": [_plain(rows[name]) for name in sorted(rows)]}
    files.atomic_write(path, _text(content))


def _plain(row: Row) -> dict[str, Any]:
    rounded = [[float(f"{number:.5g}") for number in pair] for pair in row.pairs]
    return {**asdict(row), "pairs": rounded}


def _text(content: Mapping[str, Any]) -> str:
    """Return JSON with each pair on one line, for short diffs."""
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    return re.sub(r"\[\s+([-+.\deE]+),\s+([-+.\deE]+)\s+\]", r"[\1, \2]", text)


def without_paths(text: str) -> str:
    """Return the first line of a message, with file names instead of absolute paths.

    Examples:
        >>> without_paths("OSError: /home/me/nets/x.py is gone")
        'OSError: x.py is gone'
    """
    line = text.strip().splitlines()[0] if text.strip() else "no message"
    return re.sub(r"(?<![\w.])/(?:[\w.+@-]+/)+", "", line)


def command_line(name: str, pairs: int) -> str:
    """Return the command that measures a row."""
    return f"python -m benchmarks {name} --pairs {pairs}"
