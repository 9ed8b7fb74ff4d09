"""The page of the documentation with the recorded results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.catalog import BENCHMARKS, HEADINGS, INTRODUCTIONS, Benchmark
from benchmarks.charts import chart_path, measured, quantity_of
from benchmarks.pairs import MIN_PAIRS
from benchmarks.records import Row

COMMENT = "<!-- Written by `python -m benchmarks` from benchmarks/results.json. Do not edit: a test compares them. -->"
TITLE = """\
# Benchmarks

How fast is deepkit, compared with Keras, with PyTorch, and with the same model written by hand? Each line of a chart is
a ratio: the left side over the right side.
"""
LEGEND = """\
How to read a chart:

- The **circle** is the median of the ratio, the **thick bar** contains the middle half of the measurements, the **thin
  line** all of them.
- The **gray band** is the noise: a net compared with itself. A ratio inside it is not distinguishable from 1.
- A **black mark** is a target. Blue ratios meet it, orange ratios miss it, gray ones have none.
- For times, a ratio below 1 means that the left side is faster; for rates, such as images in a second, a ratio above 1.
"""
METHOD = f"""\
Two sides are measured in turn, A B, B A, A B and so on, in at least {MIN_PAIRS} pairs after a warm-up, and each pair
gives a ratio. A disturbance that lasts longer than a pair affects both sides, so ratios are more reliable than seconds.
Sides that would affect each other (determinism, XLA, another framework) run in separate processes, and one waits while
the other is measured. Everything runs on the CPU of an idle machine. Pixels are random numbers: the time of a step does
not depend on them. A verdict follows from the unrounded median.
"""
TABLE = ("| left | right | ratio (quartiles) | target |", "|---|---|---:|---|")
MEDIANS = ("| name | median left | median right | range of the ratio |", "|---|---:|---:|---:|")


def render(rows: Mapping[str, Row], benchmarks: Sequence[Benchmark] = BENCHMARKS) -> str:
    """Return the page as Markdown: a chart and a table for each group, with the notes of the catalog."""
    recorded = [rows[benchmark.name] for benchmark in benchmarks if benchmark.name in rows]
    lines = [COMMENT, "", TITLE, *_result(recorded), LEGEND]
    for heading in HEADINGS:
        group = [benchmark for benchmark in benchmarks if benchmark.group == heading]
        if group:
            lines += [f"## {heading}\n", f"{INTRODUCTIONS[heading]}\n", *_chart(heading, rows, benchmarks)]
            lines += [*TABLE, *(_table_row(benchmark, rows.get(benchmark.name)) for benchmark in group), ""]
            lines += _commentary(group, rows)
            lines += _collapsed("What is measured", [*_notes(group, rows), *_medians(heading, rows, benchmarks)])
    return "\n".join([*lines, "## Method\n", METHOD, *_machines(recorded)])


def _result(rows: Sequence[Row]) -> list[str]:
    """Return the number of targets that are met, and the names of those that are missed."""
    missed = [f"- {row.left} compared with {row.right}" for row in rows if row.verdict() == "missed"]
    num_met = sum(row.verdict() == "met" for row in rows)
    if not num_met + len(missed):
        return []
    text = f"{num_met} of {num_met + len(missed)} targets are met."
    return [f"{text} These are missed:\n", *missed, ""] if missed else [f"{text}\n"]


def _chart(heading: str, rows: Mapping[str, Row], benchmarks: Sequence[Benchmark]) -> list[str]:
    group = measured(heading, rows, benchmarks)
    if not group:
        return []
    medians = [row.summary().ratio.median for row in group]
    quantity = quantity_of(group[0].unit)
    alt_text = f"The ratios of {quantity} in the table below, from {_number(min(medians))} to {_number(max(medians))}."
    return [f"![{alt_text}]({chart_path(heading)}){{ .cell-figure }}\n"]


def _table_row(benchmark: Benchmark, row: Row | None) -> str:
    if row is None:
        return _cells(benchmark.left, benchmark.right, "not recorded yet", benchmark.target or "")
    if row.problem:
        return _cells(row.left, row.right, f"{row.problem}: {row.reason}", row.target or "")
    ratio = row.summary().ratio
    text = f"**{_number(ratio.median)}** ({_number(ratio.lower)} to {_number(ratio.upper)})"
    return _cells(row.left, row.right, text, _target(row))


def _target(row: Row) -> str:
    """Return the target of a measured row and whether it is met; empty without a target."""
    return "" if row.target is None else f"{str(row.target).partition(':')[0]}, {conclusion(row)}"


def conclusion(row: Row) -> str:
    """Return the verdict of a measured row; for a choice of `dk.autotune`, also this choice."""
    text = row.verdict()
    if "chosen" not in row.facts:
        return text
    return f"{text}: `dk.autotune` chose {row.facts['chosen']}"


def _commentary(group: Sequence[Benchmark], rows: Mapping[str, Row]) -> list[str]:
    """Return the author's commentary on each missed target, marked as such."""
    missed = [benchmark for benchmark in group if benchmark.name in rows and rows[benchmark.name].verdict() == "missed"]
    return [
        f"*Commentary on `{benchmark.name}`, not measured:* {benchmark.commentary}\n"
        for benchmark in missed
        if benchmark.commentary
    ]


def _notes(group: Sequence[Benchmark], rows: Mapping[str, Row]) -> list[str]:
    """Return the note on each row, with the facts that its sides reported."""
    lines = []
    for benchmark in group:
        row = rows.get(benchmark.name)
        facts = [f"{name}: {text}" for name, text in row.facts.items() if name != "chosen"] if row else []
        note = f"{benchmark.note} ({'; '.join(facts)})".lstrip() if facts else benchmark.note
        if note:
            lines.append(f"- `{benchmark.name}`: {note}")
    return [*lines, ""] if lines else []


def _medians(heading: str, rows: Mapping[str, Row], benchmarks: Sequence[Benchmark]) -> list[str]:
    """Return the table with the medians of both sides, which apply to the machine of the measurement only."""
    lines = []
    for row in measured(heading, rows, benchmarks):
        summary = row.summary()
        medians = [f"{_number(median)} {row.unit}" for median in (summary.left, summary.right)]
        spread = f"{_number(summary.ratio.minimum)} to {_number(summary.ratio.maximum)}"
        lines.append(_cells(f"`{row.name}`", *medians, spread))
    return [*MEDIANS, *lines, ""] if lines else []


def _machines(rows: Sequence[Row]) -> list[str]:
    """Return the machines of the rows, grouped by day and machine, and the commands."""
    if not rows:
        return []
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(_machine(row), []).append(row)
    lines = []
    for machine, group in groups.items():
        names = "all rows" if len(group) == len(rows) else ", ".join(f"`{row.name}`" for row in group)
        lines.append(f"- {machine}: {names}")
    commands = ["```console", *(f"$ {row.command}" for row in rows), "```", ""]
    repeat = "`make bench` measures everything again and writes this page; these commands measure single rows:\n"
    return [*_collapsed("Machines and commands", [*lines, "", repeat, *commands])]


def _machine(row: Row) -> str:
    hardware = (f"{text} cores" if name == "cores" else text for name, text in row.hardware.items())
    return ", ".join([row.date, *hardware, *(f"{name} {version}" for name, version in row.versions.items())])


def _collapsed(title: str, lines: Sequence[str]) -> list[str]:
    """Return a block that a reader opens."""
    return ["<details markdown>", f"<summary>{title}</summary>", "", *lines, "</details>", ""] if lines else []


def _number(value: float) -> str:
    """Return a number with two or three significant digits: 0.0062, 0.97, 12.3, 4,321."""
    if value >= 100:
        return f"{value:,.0f}"
    if value < 0.1:
        return f"{value:.2g}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _cells(*cells: object) -> str:
    return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"
