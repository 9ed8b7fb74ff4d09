"""The page of the documentation with the recorded results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.catalog import BENCHMARKS, HEADINGS, Benchmark
from benchmarks.pairs import MIN_PAIRS
from benchmarks.records import Row

INTRODUCTION = f"""\
<!-- Written by `python -m benchmarks` from benchmarks/results.json. Do not edit: a test compares them. -->

# Benchmarks

`make bench` runs all benchmarks of this page and writes it, in about a quarter of an hour on two cores. Every number
comes from a recorded measurement.

## How to read it

- Two sides are measured in turn, A B, B A, A B and so on, in at least {MIN_PAIRS} pairs after a warm-up. Each pair
  gives a ratio, left side over right side. **Ratio** is the median, with the quartiles in brackets; **range** goes from
  the smallest to the largest ratio. The right side is the reference.
- For times a ratio below 1 means that the left side is faster; for rates (images/s), a ratio above 1.
- A disturbance that lasts longer than a pair affects both sides, so ratios are more reliable than seconds. The columns
  **median left** and **median right** apply to the machine of the measurement only.
- The first row compares a net with itself: its distance from 1.00 is the precision of this method on this machine.
- A target is *met* or *missed* by the unrounded median; a ratio without a target is *recorded*. *Not measured* states
  what the machine lacks, *failed* states the error.
- Sides that would affect each other (determinism, XLA, another framework) run in separate processes, and one waits
  while the other is measured.
- Everything runs on the CPU; GPUs are hidden from both sides. The machine must be idle.
- Pixels are random numbers: the time of a step does not depend on them.
"""
TABLE = (
    "| left | right | target | ratio (quartiles) | range | median left | median right | verdict |",
    "|---|---|---|---:|---:|---:|---:|---|",
)


def render(rows: Mapping[str, Row], benchmarks: Sequence[Benchmark] = BENCHMARKS) -> str:
    """Return the page as Markdown: recorded rows under the headings, notes and commentary of the catalog."""
    lines = [INTRODUCTION]
    for heading in HEADINGS:
        group = [benchmark for benchmark in benchmarks if benchmark.group == heading]
        if group:
            lines += [f"## {heading}\n", *TABLE]
            lines += [_table_row(benchmark, rows.get(benchmark.name)) for benchmark in group]
            lines += ["", *_remarks(group, rows)]
    recorded = [rows[benchmark.name] for benchmark in benchmarks if benchmark.name in rows]
    return "\n".join([*lines, *_machines(recorded)])


def _table_row(benchmark: Benchmark, row: Row | None) -> str:
    if row is None:
        return _cells(benchmark.left, benchmark.right, benchmark.target or "", "", "", "", "", "not recorded yet")
    target = row.target or ""
    if row.problem:
        return _cells(row.left, row.right, target, "", "", "", "", f"{row.problem}: {row.reason}")
    summary = row.summary()
    ratio = summary.ratio
    return _cells(
        row.left,
        row.right,
        target,
        f"**{_number(ratio.median)}** ({_number(ratio.lower)} to {_number(ratio.upper)})",
        f"{_number(ratio.minimum)} to {_number(ratio.maximum)}",
        f"{_number(summary.left)} {row.unit}",
        f"{_number(summary.right)} {row.unit}",
        conclusion(row),
    )


def conclusion(row: Row) -> str:
    """Return the verdict of a measured row; for a choice of the plan, also the choice and the faster side."""
    text = row.verdict()
    if "chosen" not in row.facts:
        return text
    faster = row.left if row.summary().ratio.median < 1 else row.right
    return f"{text}: the plan chose {row.facts['chosen']}, {faster} was faster"


def _remarks(group: Sequence[Benchmark], rows: Mapping[str, Row]) -> list[str]:
    """Return the note on each row and, marked as such, the author's commentary on a missed target."""
    lines = []
    for benchmark in group:
        row = rows.get(benchmark.name)
        note = benchmark.note
        facts = [f"{name}: {text}" for name, text in row.facts.items() if name != "chosen"] if row else []
        if facts:
            note = f"{note} ({'; '.join(facts)})".lstrip()
        if note:
            lines.append(f"- `{benchmark.name}`: {note}")
        if benchmark.commentary and row is not None and row.verdict() == "missed":
            lines.append(f"- `{benchmark.name}`, **commentary** (the author's, not measured): {benchmark.commentary}")
    return [*lines, ""] if lines else []


def _machines(rows: Sequence[Row]) -> list[str]:
    """Return the machines of the rows, grouped by day and machine, and the commands."""
    if not rows:
        return []
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(_machine(row), []).append(row)
    lines = ["## Measured on\n"]
    for machine, group in groups.items():
        names = "all rows" if len(group) == len(rows) else ", ".join(f"`{row.name}`" for row in group)
        lines.append(f"- {machine}: {names}")
    return [*lines, "", *_commands(rows), ""]


def _machine(row: Row) -> str:
    hardware = (f"{text} cores" if name == "cores" else text for name, text in row.hardware.items())
    return ", ".join([row.date, *hardware, *(f"{name} {version}" for name, version in row.versions.items())])


def _commands(rows: Sequence[Row]) -> list[str]:
    commands = [row.command for row in rows]
    return ["Commands of the rows:", "", "```console", *(f"$ {command}" for command in commands), "```"]


def _number(value: float) -> str:
    """Return a number with about three significant digits: 0.97, 12.3, 4,321."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _cells(*cells: object) -> str:
    return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"
