"""Recorded results as Markdown: the table of a README, and a page for each recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepkit.recipe import discovery, results
from deepkit.recipe.discovery import RecipeEntry
from deepkit.recipe.report import STAND_IN, Measured, format_claimed, format_duration, format_number
from deepkit.recipe.results import Record, ResultsError
from deepkit.utils import files
from deepkit.utils.errors import message

if TYPE_CHECKING:
    from deepkit.recipe.contract import Recipe

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
PACKAGE = "recipes"


def render_table(records: Mapping[str, Record], entries: Sequence[RecipeEntry]) -> str:
    """Return the recipe table of a README, with a row for each recorded metric that has a claim.

    A record without claims gets a row for its first metric, a recipe without records a row that says so. Stale
    results have a mark, with their reason in a footnote.

    Args:
        records: Recorded results by key.
        entries: The recipes to list, with or without results.
    """
    lines = [
        "| recipe | paper | what | published | measured | time | command |",
        "|---|---|---|---:|---:|---:|---|",
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
    return _table_row(f"`{entry.name}`", entry.year, entry.summary, "", "not recorded yet", "", command)


def _record_rows(record: Record, mark: str) -> list[str]:
    rows = []
    for metric in record["metrics"]:
        rows += [_metric_row(record, metric, mark, claim) for claim in record["claims"] if claim["metric"] == metric]
    return rows or [_metric_row(record, next(iter(record["metrics"])), mark)]


def _metric_row(record: Record, metric: str, mark: str, claim: Mapping[str, Any] | None = None) -> str:
    """Return the row of one metric of a record, with a claim if there is one, and the mark of a stale result."""
    setting, claimed = record["data"].partition(":")[0], ""
    if claim:
        setting, claimed = claim["setting"], f"{_claimed_value(claim)} ({claim['where']})"
    measured = _measured_text(record, metric)
    if not record["comparable"]:
        measured += f" ({STAND_IN}: {record['data']})"
    if mark:
        measured += f" {mark}"
    time, command = format_duration(sum(record["seconds"])), f"`{record['command']}`"
    recipe = f"`{record['recipe']}`"
    return _table_row(recipe, record["paper"], f"{metric}, {setting}", claimed, measured, time, command)


def _table_row(*cells: object) -> str:
    texts = ("" if cell is None else str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(texts)} |"


def _claimed_value(claim: Mapping[str, Any]) -> str:
    return format_claimed(claim["value"], claim["unit"])


def _measured_text(record: Record, metric: str) -> str:
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


def render_page(name: str) -> str:
    """Return the documentation page of one recipe as Markdown; imports the recipe, writes nothing.

    Paths of figures are relative to the folder of the results file.

    Raises:
        UnknownRecipe: There is no recipe of this name.
        BrokenRecipe: The module of the recipe cannot be imported.
    """
    entry = discovery.entry(name)
    recipe = entry.load()
    records = results.load(results.results_file(entry.module)).values()
    measured = [record for record in records if record["recipe"] == name]
    return "\n".join([*_introduction(entry, recipe), *_measurements(measured), *_deviations(recipe)]) + "\n"


def _introduction(entry: RecipeEntry, recipe: Recipe) -> list[str]:
    claims = []
    for claim in recipe.claims:
        value = format_claimed(claim.value, claim.unit)
        claims.append(_table_row(claim.metric, value, claim.where, claim.setting, claim.note or ""))
    return [
        f"# {entry.name}",
        f"\n{entry.summary}\n",
        *(f"- {paper.cite()}" for paper in (recipe.paper, *recipe.related)),
        f"\nThe whole recipe is one module, `{entry.module.replace('.', '/')}.py`.",
        f"\n```console\n$ deepkit run {entry.name}\n$ deepkit run {entry.name} --help\n```",
        "\n## Metrics\n",
        *(f"- **{metric}**: {meaning}" for metric, meaning in recipe.metrics.items()),
        "\n## Published values\n",
        "| metric | value | source | setting | note |\n|---|---:|---|---|---|",
        *(claims or ["| | none | | | |"]),
    ]


def _measurements(records: Sequence[Record]) -> list[str]:
    lines = ["\n## Measured values"]
    for record in records:
        lines += [*_measurement(record), *_figures(record)]
    return lines if records else [*lines, "\nNothing is recorded yet."]


def _measurement(record: Record) -> list[str]:
    hardware, versions = record["hardware"], record["versions"]
    rows = []
    for metric, measured in record["metrics"].items():
        claimed = "; ".join(_claimed_value(claim) for claim in record["claims"] if claim["metric"] == metric)
        values = ", ".join(format_number(value) for value in measured["values"])
        rows.append(_table_row(metric, claimed, _measured_text(record, metric), values))
    return [
        f"\n### `{record['command']}`\n",
        "| metric | published | measured (mean ± standard deviation) | per seed |\n|---|---:|---:|---|",
        *rows,
        *([] if record["comparable"] else [f"\n**Stand-in data: {STAND_IN}.**"]),
        *([f"\n**Stale, not recorded again yet: {record['stale']}.**"] if record.get("stale") else []),
        f"\n- data: {record['data']}",
        f"- seeds: {', '.join(map(str, record['seeds']))}",
        f"- time: {format_duration(sum(record['seconds']))} for all seeds, {record['date']}",
        f"- hardware: {hardware['cpu']}, {hardware['cores']} cores, {hardware['memory']}, GPU {hardware['gpu']}",
        f"- versions: {', '.join(f'{name} {version}' for name, version in versions.items())}",
        f"- deviations that apply: {', '.join(record['deviations']) or 'none'}",
        *(f"- {note}" for note in record["notes"]),
    ]


def _figures(record: Record) -> list[str]:
    return [f"\n![{caption}]({path})\n\n*{caption}*" for caption, path in record["figures"].items()]


def _deviations(recipe: Recipe) -> list[str]:
    texts = [deviation if isinstance(deviation, str) else deviation.text for deviation in recipe.deviations]
    numbered = [f"{number}. {text}" for number, text in enumerate(texts, start=1)]
    return ["\n## Deviations from the paper\n", *(numbered or ["None."])]
