"""The recorded results: one generated JSON file, a row a benchmark, from which everything else follows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.pairs import Pair, Summary, Target, verdict
from deepkit.utils import files as _files

FORMAT = 1


class RecordsError(ValueError):
    """A results file that is not one."""


@dataclass(frozen=True)
class Row:
    """What one benchmark came to, and on what.

    Args:
        name: Of the benchmark.
        left: What was timed.
        right: What it was set beside.
        unit: Of the figures.
        target: Where the median ratio should lie, or None.
        pairs: The figures; none where there is a problem.
        problem: `""`, `"failed"` or `"not measured"`.
        why: The problem, in words.
        facts: What the sides said about themselves.
        command: What measures this row again.
        date: Day it was measured, as `2026-01-31`.
        hardware: Of the machine.
        versions: Of the software.
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
    why: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def summary(self) -> Summary:
        """Return what the pairs come to."""
        return Summary.of(self.pairs)

    def verdict(self) -> str:
        """Return `"met"`, `"missed"`, `"recorded"`, `"failed"` or `"not measured"`."""
        return self.problem or verdict(self.target, self.summary())


def load(path: Path) -> dict[str, Row]:
    """Return the recorded rows by name; none where there is no such file.

    Raises:
        RecordsError: The file is there and is not a results file.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise RecordsError(f"{path} has format {content['format']!r}, expected {FORMAT}\n  hint: recording it anew")
        return {row["name"]: _row(row) for row in content["rows"]}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise RecordsError(
            f"{path} is not a results file ({type(error).__name__}: {error}); it is left as it is\n"
            "  hint: restoring it from version control"
        ) from error


def _row(content: Mapping[str, Any]) -> Row:
    target = content["target"] and Target(**content["target"])
    return Row(**{**content, "target": target, "pairs": tuple((a, b) for a, b in content["pairs"])})


def merge(path: Path, row: Row) -> None:
    """Put one row into the file, in the place of an earlier one of its name; all others stay as they are.

    Raises:
        RecordsError: The file is there and is not a results file.
        OSError: It cannot be written.
    """
    rows = {**load(path), row.name: row}
    content = {"format": FORMAT, "rows": [_plain(rows[name]) for name in sorted(rows)]}
    _files.write(path, _text(content))


def _plain(row: Row) -> dict[str, Any]:
    rounded = [[float(f"{figure:.5g}") for figure in pair] for pair in row.pairs]
    return {**asdict(row), "pairs": rounded}


def _text(content: Mapping[str, Any]) -> str:
    """Return JSON with a pair on one line, so that a diff stays short."""
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    return re.sub(r"\[\s+([-+.\deE]+),\s+([-+.\deE]+)\s+\]", r"[\1, \2]", text)


def without_paths(text: str) -> str:
    """Return one line of a message, its absolute paths cut down to their last part.

    Examples:
        >>> without_paths("OSError: /home/me/nets/x.py is gone")
        'OSError: x.py is gone'
    """
    line = text.strip().splitlines()[0] if text.strip() else "no message"
    return re.sub(r"(?<![\w.])/(?:[\w.+@-]+/)+", "", line)


def command(name: str, pairs: int) -> str:
    """Return what measures a row again."""
    return f"python -m benchmarks {name} --pairs {pairs}"
