"""Recorded results as Markdown: the table of a README, and a page for each recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepkit.recipe import discovery as catalogue
from deepkit.recipe import results
from deepkit.recipe.report import STAND_IN, Measured, duration, figure
from deepkit.recipe.results import Record
from deepkit.utils import files as _files

if TYPE_CHECKING:
    from deepkit.recipe.contract import Recipe

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
PACKAGE = "recipes"


def render_table(recorded: Mapping[str, Record], entries: Sequence[catalogue.Entry]) -> str:
    """Return the recipe table of a README: a row for each recorded metric that has a claim, and one at least.

    A record without any claim shows its first metric; a recipe without any record says so.

    Args:
        recorded: Recorded results by key.
        entries: The recipes to list, with or without results.
    """
    lines = [
        "| recipe | paper | what | published | measured | time | command |",
        "|---|---|---|---:|---:|---:|---|",
    ]
    for entry in entries:
        own = [r for r in recorded.values() if r["recipe"] == entry.name]
        lines += [row for r in own for row in _rows(r)] or [_unrecorded(entry)]
    return "\n".join(lines)


def _unrecorded(entry: catalogue.Entry) -> str:
    return _row(f"`{entry.name}`", entry.year, entry.summary, "", "not recorded yet", "", _code(entry.name))


def _rows(r: Record) -> list[str]:
    claimed = [(name, claim) for name in r["metrics"] for claim in r["claims"] if claim["metric"] == name]
    return [_recorded(r, name, claim) for name, claim in claimed] or [_recorded(r, next(iter(r["metrics"])))]


def _recorded(r: Record, name: str, claim: Mapping[str, Any] | None = None) -> str:
    """Return the row of one metric of a record, beside a claim if there is one."""
    setting = claim["setting"] if claim else r["data"].partition(":")[0]
    shown = _measured(r, name) + ("" if r["comparable"] else f" ({STAND_IN}: {r['data']})")
    says = f"{_says(claim)} ({claim['where']})" if claim else ""
    cells = (f"{name}, {setting}", says, shown, duration(sum(r["seconds"])), f"`{r['command']}`")
    return _row(f"`{r['recipe']}`", r["paper"], *cells)


def _row(*cells: object) -> str:
    texts = ("" if cell is None else str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(texts)} |"


def _code(name: str) -> str:
    return f"`deepkit run {name}`"


def _says(claim: Mapping[str, Any]) -> str:
    value = claim["value"]
    return value if isinstance(value, str) else f"{value:g} {claim['unit']}".rstrip()


def _measured(r: Record, name: str) -> str:
    values = tuple(r["metrics"][name]["values"])
    text = Measured(values).text(r.get("units", {}).get(name, ""))
    return text if " of " in text else f"{text} ({len(values)} seed{'s' * (len(values) > 1)})"


def put(readme: str, table: str) -> str:
    """Return a README's text with the table between its markers replaced.

    Raises:
        ResultsError: If the markers are not there, once each and in order.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or readme.index(BEGIN) > readme.index(END):
        raise results.ResultsError(f"the file needs one {BEGIN} and, after it, one {END}")
    before, _, rest = readme.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def table_of(package: str = PACKAGE) -> str:
    """Return the table of all recipes of one package, from its own results file."""
    own = [e for e in catalogue.entries() if e.module.partition(".")[0] == package]
    recorded = results.load(results.file_of(own[0].module)) if own else {}
    return render_table(recorded, own)


def write(readme: Path, *, package: str = PACKAGE) -> bool:
    """Bring a README's table up to date; return whether anything changed."""
    old = readme.read_text(encoding="utf-8")
    new = put(old, table_of(package))
    if new != old:
        _files.write(readme, new)
    return new != old


def check(readme: Path, *, package: str = PACKAGE) -> None:
    """Raise if a README's table is not what the recorded results give.

    Raises:
        ResultsError: If it is out of date.
    """
    old = readme.read_text(encoding="utf-8")
    if put(old, table_of(package)) != old:
        raise results.ResultsError(f"the table in {readme} is out of date; try `deepkit results --write {readme}`")


def render_page(name: str) -> str:
    """Return the documentation page of one recipe as Markdown; imports the recipe, writes nothing.

    Pictures are named relative to the results file's folder, as `file_of` gives it.

    Raises:
        UnknownRecipe: If there is no such recipe.
        BrokenRecipe: If its module cannot be imported.
    """
    entry = catalogue.entry(name)
    recipe = entry.load()
    own = [r for r in results.load(results.file_of(entry.module)).values() if r["recipe"] == name]
    return "\n".join([*_head(entry, recipe), *_results(own), *_deviations(recipe)]) + "\n"


def _head(entry: catalogue.Entry, recipe: Recipe) -> list[str]:
    claims = [_row(c.metric, _says(vars(c)), c.where, c.setting, c.note or "") for c in recipe.claims]
    return [
        f"# {entry.name}",
        f"\n{entry.summary}\n",
        *(f"- {paper.cite()}" for paper in (recipe.paper, *recipe.related)),
        f"\nAll of it is one module, `{entry.module.replace('.', '/')}.py`.",
        f"\n```console\n$ deepkit run {entry.name}\n$ deepkit run {entry.name} --help\n```",
        "\n## What the numbers mean\n",
        *(f"- **{metric}**: {meaning}" for metric, meaning in recipe.metrics.items()),
        "\n## What is published\n",
        "| number | value | where | setting | note |\n|---|---:|---|---|---|",
        *(claims or ["| | none | | | |"]),
    ]


def _results(own: Sequence[Record]) -> list[str]:
    lines = ["\n## Measured"]
    for r in own:
        lines += [*_measurement(r), *_pictures(r)]
    return lines if own else [*lines, "\nNothing is recorded yet."]


def _measurement(r: Record) -> list[str]:
    machine_ = r["hardware"]
    warning = [] if r["comparable"] else [f"\n**Stand-in data: {STAND_IN}.**"]
    rows = []
    for name, metric in r["metrics"].items():
        claims = [c for c in r["claims"] if c["metric"] == name]
        values = ", ".join(figure(value) for value in metric["values"])
        rows.append(_row(name, "; ".join(_says(c) for c in claims), _measured(r, name), values))
    return [
        f"\n### `{r['command']}`\n",
        "| number | published | measured (mean ± standard deviation) | per seed |\n|---|---:|---:|---|",
        *rows,
        *warning,
        f"\n- data: {r['data']}",
        f"- seeds: {', '.join(map(str, r['seeds']))}",
        f"- time: {duration(sum(r['seconds']))} for all seeds, {r['date']}",
        f"- hardware: {machine_['cpu']}, {machine_['cores']} cores, {machine_['memory']}, GPU {machine_['gpu']}",
        f"- versions: {', '.join(f'{k} {v}' for k, v in r['versions'].items())}",
        f"- deviations that apply: {', '.join(r['deviations']) or 'none'}",
        *(f"- {note}" for note in r["notes"]),
    ]


def _pictures(r: Record) -> list[str]:
    return [f"\n![{caption}]({path})\n\n*{caption}*" for caption, path in r["pictures"].items()]


def _deviations(recipe: Recipe) -> list[str]:
    texts = [d if isinstance(d, str) else d.text for d in recipe.deviations]
    numbered = [f"{n}. {text}" for n, text in enumerate(texts, start=1)]
    return ["\n## Deviations from the paper\n", *(numbered or ["None."])]
