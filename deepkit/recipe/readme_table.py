"""Recorded results as Markdown: the table of a README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepkit.recipe import discovery, results
from deepkit.recipe.discovery import RecipeEntry
from deepkit.recipe.report import STAND_IN, Measured, format_claimed
from deepkit.recipe.results import Record, ResultsError
from deepkit.utils import files
from deepkit.utils.durations import format_duration
from deepkit.utils.errors import message

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
PACKAGE = "recipes"
LECTURE_NOTES = "lecture notes"  # the beginning of `where` of a claim that the notes state, not the paper
_MAX_ROWS = 2  # of one run: the page of the recipe has all


def render_table(records: Mapping[str, Record], entries: Sequence[RecipeEntry]) -> str:
    """Return the recipe table of a README, with a row for each of the first two claims of a recorded run.

    A record without claims gets a row for its first metric, a recipe without records a row that says so. Stale
    results have a mark, with their reason in a footnote.

    Args:
        records: Recorded results by key.
        entries: The recipes to list, with or without results.
    """
    lines = [
        "| command | measures | published | measured |",
        "|---|---|---|---|",
    ]
    marks: dict[str, str] = {}  # of stale results, by reason
    for entry in entries:
        rows: list[str] = []
        for record in records.values():
            if record["recipe"] == entry.name:
                rows += _record_rows(record, _stale_mark(record, marks))
        lines += rows or [_unrecorded_row(entry)]
    footnotes = [f"\n{mark} Stale, not recorded again yet: {reason}." for reason, mark in marks.items()]
    return "\n".join([*lines, *footnotes])


def _stale_mark(record: Record, marks: dict[str, str]) -> str:
    """Return the mark of a stale record, which is added to `marks` by its reason; empty for another record."""
    reason = record.get("stale")
    return marks.setdefault(reason, "†" * (len(marks) + 1)) if reason else ""


def _unrecorded_row(entry: RecipeEntry) -> str:
    command = f"`deepkit run {entry.name}`"
    return table_row(command, f"{entry.summary} ({entry.year})", "", "not recorded yet")


def _record_rows(record: Record, mark: str) -> list[str]:
    rows = []
    for metric in record["metrics"]:
        rows += [_metric_row(record, metric, mark, claim) for claim in record["claims"] if claim["metric"] == metric]
    return rows[:_MAX_ROWS] or [_metric_row(record, next(iter(record["metrics"])), mark)]


def _metric_row(record: Record, metric: str, mark: str, claim: Mapping[str, Any] | None = None) -> str:
    """Return the row of one metric of a record, with a claim if there is one, and the mark of a stale result."""
    setting, claimed, source = record["data"].partition(":")[0], "", f" ({record['paper']})"
    if claim:
        setting, claimed = claim["setting"], f"{claimed_value(claim)} ({claim['where']})"
        if claim["where"].startswith(LECTURE_NOTES):
            source = ""  # the claim is not that of the paper
    measured = f"{measured_text(record, metric)} in {format_duration(sum(record['seconds']))}"
    if not record["comparable"]:
        measured += f" ({STAND_IN}: {record['data']})"
    if mark:
        measured += f" {mark}"
    command = f"`{record['command']}`"
    return table_row(command, f"{metric}, {setting}{source}", claimed, measured)


def table_row(*cells: object) -> str:
    """Return a row of a Markdown table; None is an empty cell."""
    texts = ("" if cell is None else str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(texts)} |"


def claimed_value(claim: Mapping[str, Any]) -> str:
    """Return the value of a recorded claim with its unit."""
    return format_claimed(claim["value"], claim["unit"])


def measured_text(record: Record, metric: str) -> str:
    """Return the mean and the standard deviation of a recorded metric, and the number of seeds."""
    values = tuple(record["metrics"][metric]["values"])
    text = Measured(values).text(record.get("units", {}).get(metric, ""))
    if " of " in text:
        return text
    return f"{text} ({len(values)} seed{'s' * (len(values) > 1)})"


def replace_table(readme: str, table: str) -> str:
    """Return the text of a README with the table between its markers replaced.

    Raises:
        ResultsError: The text does not have each marker once, in order.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or readme.index(BEGIN) > readme.index(END):
        problem = "the file does not have the markers of the results table"
        raise ResultsError(message(problem, hint=f"add one line {BEGIN} and, after it, one line {END}"))
    before, _, rest = readme.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def recipe_table(package: str = PACKAGE) -> str:
    """Return the table of all recipes of one package, from its results file."""
    entries = [entry for entry in discovery.entries() if entry.module.partition(".")[0] == package]
    records = results.load(results.results_file(entries[0].module)) if entries else {}
    return render_table(records, entries)


def write(readme: Path, *, package: str = PACKAGE) -> bool:
    """Update the table of a README; return whether the file changed."""
    old = readme.read_text(encoding="utf-8")
    new = replace_table(old, recipe_table(package))
    if new != old:
        files.atomic_write(readme, new)
    return new != old


def check(readme: Path, *, package: str = PACKAGE) -> None:
    """Raise if the table of a README differs from the recorded results.

    Raises:
        ResultsError: The table is out of date.
    """
    text = readme.read_text(encoding="utf-8")
    if replace_table(text, recipe_table(package)) != text:
        problem = f"the table in {readme} is out of date"
        raise ResultsError(message(problem, hint=f"run `deepkit results --write {readme}`"))
