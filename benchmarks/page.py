"""The page of the documentation that the recorded results give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.catalogue import BENCHMARKS, HEADINGS, Benchmark
from benchmarks.pairs import LEAST
from benchmarks.records import Row

HEAD = f"""\
<!-- Written by `python -m benchmarks` from benchmarks/results.json. Do not edit: a test compares them. -->

# Benchmarks

`make bench` measures everything on this page and writes it, in a quarter of an hour or so on two cores. No figure here
is typed.

## How to read it

- Two sides are measured in turn, A B, B A, A B and so on, in at least {LEAST} pairs, after a round that does not
  count. Each pair gives a ratio, ours over theirs. **Ratio** is the median, with the quartiles in brackets; **range**
  goes from the least pair to the most.
- For times a ratio below 1 means that ours is faster; for rates (images/s), one above 1.
- What disturbs a machine for longer than a pair disturbs both sides alike: ratios hold where seconds do not. The last
  two figures are the medians of each side, and hold for the machine they were measured on.
- The first row is a net timed against itself: how far it strays from 1.00 is what this machine and method cannot tell
  apart.
- A target is *met* or *missed* by the unrounded median alone; without a target a ratio is *recorded*. *Not measured*
  says what the machine lacks, *failed* what went wrong.
- Sides that would change one another (determinism, XLA, another framework) run in processes of their own, and one
  stands still while the other is measured.
- All of it runs on the processor; a GPU is hidden from both sides. The machine must have nothing else to do.
- Pixels are random numbers: what a step costs does not depend on them.
"""
TABLE = (
    "| ours | theirs | target | ratio (quartiles) | range | ours | theirs | verdict |",
    "|---|---|---|---:|---:|---:|---:|---|",
)


def render(rows: Mapping[str, Row], benchmarks: Sequence[Benchmark] = BENCHMARKS) -> str:
    """Return the page as Markdown: what was recorded, under the headings, notes and commentary of the catalogue."""
    parts = [HEAD]
    for heading in HEADINGS:
        group = [benchmark for benchmark in benchmarks if benchmark.group == heading]
        if group:
            parts += [f"## {heading}\n", *TABLE, *(_line(b, rows.get(b.name)) for b in group), ""]
            parts += _remarks(group, rows)
    return "\n".join([*parts, *_machines([rows[b.name] for b in benchmarks if b.name in rows])])


def _line(benchmark: Benchmark, row: Row | None) -> str:
    if row is None:
        return _cells(benchmark.left, benchmark.right, benchmark.target or "", "", "", "", "", "not recorded yet")
    target = row.target or ""
    if row.problem:
        return _cells(row.left, row.right, target, "", "", "", "", f"{row.problem}: {row.why}")
    summary = row.summary()
    ratio = summary.ratio
    return _cells(
        row.left,
        row.right,
        target,
        f"**{_number(ratio.median)}** ({_number(ratio.lower)} to {_number(ratio.upper)})",
        f"{_number(ratio.least)} to {_number(ratio.most)}",
        f"{_number(summary.left)} {row.unit}",
        f"{_number(summary.right)} {row.unit}",
        conclusion(row),
    )


def conclusion(row: Row) -> str:
    """Return the verdict of a measured row; where the plan chose, also what it chose and what was faster."""
    text = row.verdict()
    if "chosen" not in row.facts:
        return text
    faster = row.left if row.summary().ratio.median < 1 else row.right
    return f"{text}: chosen {row.facts['chosen']}, faster {faster}, {'right' if text == 'met' else 'wrong'}"


def _remarks(group: Sequence[Benchmark], rows: Mapping[str, Row]) -> list[str]:
    """Return what is measured in each row and, marked as such, what the author says to a miss."""
    lines = []
    for benchmark in group:
        row = rows.get(benchmark.name)
        facts = "; ".join(f"{name}: {text}" for name, text in row.facts.items() if name != "chosen") if row else ""
        said = " ".join(filter(None, [benchmark.note, f"({facts})" if facts else ""]))
        if said:
            lines.append(f"- `{benchmark.name}`: {said}")
        if benchmark.reason and row is not None and row.verdict() == "missed":
            lines.append(f"- `{benchmark.name}`, **commentary** (the author's, not measured): {benchmark.reason}")
    return [*lines, ""] if lines else []


def _machines(rows: Sequence[Row]) -> list[str]:
    """Return on what the rows were measured, rows of one day and machine together."""
    if not rows:
        return []
    together: dict[str, list[Row]] = {}
    for row in rows:
        together.setdefault(_machine(row), []).append(row)
    lines = ["## Measured on\n"]
    for machine, group in together.items():
        names = "all rows" if len(group) == len(rows) else ", ".join(f"`{row.name}`" for row in group)
        lines.append(f"- {machine}: {names}")
    return [*lines, "", *_commands(rows), ""]


def _machine(row: Row) -> str:
    hardware = (f"{text} cores" if name == "cores" else text for name, text in row.hardware.items())
    return ", ".join([row.date, *hardware, *(f"{name} {version}" for name, version in row.versions.items())])


def _commands(rows: Sequence[Row]) -> list[str]:
    commands = [row.command for row in rows]
    return ["Each row again:", "", "```console", *(f"$ {command}" for command in commands), "```"]


def _number(value: float) -> str:
    """Return a figure in three digits or so: 0.97, 12.3, 4,321."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _cells(*cells: object) -> str:
    return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"
