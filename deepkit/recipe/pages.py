"""A documentation page for each recipe, and their overview, from the module of the recipe and its recorded results."""

from __future__ import annotations

import dataclasses
import html
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import keras

from deepkit.recipe import discovery, results
from deepkit.recipe.annotated_source import annotated_source
from deepkit.recipe.contract import Deviation
from deepkit.recipe.readme_table import claimed_value, measured_text, table_row
from deepkit.recipe.report import STAND_IN, format_number
from deepkit.recipe.settings import Settings
from deepkit.utils.durations import format_duration

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deepkit.recipe.annotated_source import Passage
    from deepkit.recipe.contract import Claim, Paper, Recipe
    from deepkit.recipe.discovery import RecipeEntry
    from deepkit.recipe.results import Record

    FormatCode = Callable[[str], str]


def render_page(
    name: str, *, source_url: str = "", diagrams: Sequence[str] = (), format_code: FormatCode | None = None
) -> str:
    """Return the documentation page of one recipe as Markdown; imports the recipe, writes nothing.

    The title, the idea with its equations and the commands are those of the module's docstring, the notes beside the
    source its docstrings and comments. Paths of figures are relative to the folder of the results file.

    Args:
        name: Name of the recipe.
        source_url: Address of the repository's files, to which the path of the module is added; empty for no link.
        diagrams: Paths of the diagrams of the network.
        format_code: Function that wraps lines of code for the page, or None.

    Raises:
        UnknownRecipe: There is no recipe of this name.
        BrokenRecipe: The module of the recipe cannot be imported.
    """
    entry = discovery.entry(name)
    recipe = entry.load()
    records = _records(entry)
    sections = [
        _introduction(entry, recipe, source_url),
        _values(recipe, records),
        _architecture(recipe, diagrams, format_code or str),
        _figures(records),
        _deviations(recipe),
        _variations(entry, recipe),
        _details(records),
        _references(recipe),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def network_diagrams(name: str) -> dict[str, Figure]:
    """Return the diagrams of the network of a recipe by title: of its submodels, if it is a subclassed model.

    A recipe without a single network has none.

    Raises:
        UnknownRecipe: There is no recipe of this name.
        BrokenRecipe: The module of the recipe cannot be imported.
    """
    from deepkit import visualize

    recipe = discovery.entry(name).load()
    if recipe.definition is None:
        return {}
    model = recipe.build(recipe.config())
    if isinstance(model, keras.Sequential) or hasattr(model, "output"):
        return {"network": visualize.diagram(model)}
    return {layer.name: visualize.diagram(layer) for layer in model.layers if isinstance(layer, keras.Model)}


def render_overview(entries: Sequence[RecipeEntry], thumbnails: Mapping[str, str]) -> str:
    """Return the cards of recipes as Markdown: a thumbnail, the title, and published and measured value of each.

    Args:
        entries: The recipes.
        thumbnails: Path of an image by the name of the recipe.
    """
    cards = "\n\n".join(_card(entry, thumbnails.get(entry.name, "")) for entry in entries)
    return f'<div class="recipe-cards" markdown>\n\n{cards}\n\n</div>\n'


def thumbnail_source(entry: RecipeEntry) -> str:
    """Return the path of the figure for the card of a recipe, relative to the results file; empty if there is none."""
    return next((path for record in _records(entry) for path in record["figures"].values()), "")


def title_of(summary: str) -> str:
    """Return the title of a recipe: the first line of its docstring up to the colon.

    Examples:
        >>> title_of(
        ...     "LeNet-5 on MNIST: an exact copy of the network of 1998, and a modern version."
        ... )
        'LeNet-5 on MNIST'
    """
    return summary.partition(":")[0].removesuffix(".")


def _records(entry: RecipeEntry) -> list[Record]:
    records = results.load(results.results_file(entry.module)).values()
    return [record for record in records if record["recipe"] == entry.name]


def _introduction(entry: RecipeEntry, recipe: Recipe, source_url: str) -> str:
    """Return the title, the citation, the idea and the command."""
    subtitle = entry.summary.partition(":")[2].strip()
    idea, commands = _docstring(recipe)
    path = f"{entry.module.replace('.', '/')}.py"
    source = f"[`{path}`]({source_url.rstrip('/')}/{path})" if source_url else f"`{path}`"
    lines = [
        "---\nhide: [toc]\n---",
        f"# {title_of(entry.summary)}",
        f"*{subtitle[:1].upper()}{subtitle[1:]}*" if subtitle else "",
        f"{_citation(recipe.paper)} · source: {source}",
        idea,
        "```console\n" + "\n".join(f"$ {command}" for command in commands or [f"deepkit run {entry.name}"]) + "\n```",
    ]
    return "\n\n".join(line for line in lines if line)


def _docstring(recipe: Recipe) -> tuple[str, list[str]]:
    """Return the paragraphs of the docstring of a recipe's module as Markdown, and the commands in it."""
    docstring = inspect.getdoc(sys.modules[recipe.train.__module__]) or ""
    commands = [line.strip() for line in docstring.splitlines() if line.startswith("    deepkit ")]
    body = docstring.partition("\n")[2]
    lines = [line for line in body.splitlines() if line.strip() not in commands]
    lines = [line.strip() if line.strip().startswith("$$") else line for line in lines]  # an equation, not code
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip(), commands


def _citation(paper: Paper) -> str:
    """Return the reference of a paper with a link on its title."""
    title = f"[{paper.title}]({paper.url})" if paper.url else f"*{paper.title}*"
    return f"{', '.join(paper.authors)} ({paper.year}). {title}. {paper.venue}."


def _values(recipe: Recipe, records: Sequence[Record]) -> str:
    """Return a table of published and measured values for each recorded run, those with a published value first."""
    runs = sorted(records, key=lambda record: not record["claims"])
    tables = [text for record in runs for text in (f"`{record['command']}`", _value_table(_recorded_rows(record)))]
    recorded = {(claim["metric"], claim["where"]) for record in records for claim in record["claims"]}
    missing = [claim for claim in recipe.claims if (claim.metric, claim.where) not in recorded]
    if missing:
        tables += ["Published, not recorded yet:", _value_table([_unrecorded_row(claim) for claim in missing])]
    meanings = [f"- **{metric}**: {meaning}" for metric, meaning in recipe.metrics.items()]
    notes = [] if records else ["Nothing is recorded yet."]
    notes += [f"**Stale, not recorded again yet: {reason}.**" for reason in _stale_reasons(records)]
    if any(not record["comparable"] for record in records):
        notes.append(f"**Stand-in data: {STAND_IN}.**")
    return "\n\n".join(["## Published and measured", *tables, *notes, "\n".join(meanings)])


def _value_table(rows: Sequence[str]) -> str:
    return "\n".join(["| metric | published | measured |", "|---|---|---|", *rows])


def _recorded_rows(record: Record) -> list[str]:
    """Return a row for each metric of a recorded run."""
    return [
        table_row(metric, _published(record, metric) or "–", measured_text(record, metric) + _mark(record))
        for metric in record["metrics"]
    ]


def _published(record: Record, metric: str) -> str:
    claims = [claim for claim in record["claims"] if claim["metric"] == metric]
    return "; ".join(f"{claimed_value(claim)} ({claim['where']}; {claim['setting']})" for claim in claims)


def _unrecorded_row(claim: Claim) -> str:
    value = claimed_value({"value": claim.value, "unit": claim.unit})
    return table_row(claim.metric, f"{value} ({claim.where}; {claim.setting})", "not recorded yet")


def _mark(record: Record) -> str:
    return ", stale" if record.get("stale") else ("" if record["comparable"] else ", stand-in data")


def _stale_reasons(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(record["stale"] for record in records if record.get("stale")))


def _architecture(recipe: Recipe, diagrams: Sequence[str], format_code: FormatCode) -> str:
    """Return the diagrams of the network, and its source beside the notes; of an experiment without one, its source."""
    images = [f"![Diagram of the layers of the recipe {recipe.name}]({path}){{ .diagram }}" for path in diagrams]
    parts = dict.fromkeys(passage for part in recipe.annotated_parts for passage in annotated_source(part))
    passages = [_passage(note, code, format_code) for note, code in _joined(parts)]
    heading = "## The network" if recipe.definition else "## The experiment"
    return "\n\n".join([heading, *images, *passages])


def _joined(passages: Iterable[Passage]) -> Iterator[tuple[str, str]]:
    """Yield note and code of each passage; consecutive passages without a note, such as constants, as one."""
    for has_note, group in itertools.groupby(passages, key=lambda passage: bool(passage.note)):
        if has_note:
            yield from ((passage.note, passage.code) for passage in group)
        else:
            yield "", "\n".join(passage.code.strip() for passage in group)


def _passage(note: str, code: str, format_code: FormatCode) -> str:
    """Return a passage of code beside its note."""
    return (
        '<div class="passage" markdown>\n'
        f'<div class="note" markdown>\n\n{note[:1].upper()}{note[1:]}\n\n</div>\n'
        f'<div class="code" markdown>\n\n```python\n{format_code(code).strip()}\n```\n\n</div>\n</div>'
    )


def _figures(records: Sequence[Record]) -> str:
    images = [
        f"![{caption}]({path})\n\n*{caption}* (`{record['command']}`)"
        for record in records
        for caption, path in record["figures"].items()
    ]
    return "\n\n".join(["## Figures", *images]) if images else ""


def _deviations(recipe: Recipe) -> str:
    texts = [item.text + _condition(item) if isinstance(item, Deviation) else item for item in recipe.deviations]
    numbered = "\n".join(f"{number}. {text}" for number, text in enumerate(texts, start=1))
    return f"## Deviations from the {recipe.paper.kind}\n\n{numbered or 'None.'}"


def _condition(deviation: Deviation) -> str:
    flags = ", ".join(f"`{name}={value!r}`" for name, value in deviation.when.items())
    return f" (with {flags})" if flags else ""


def _variations(entry: RecipeEntry, recipe: Recipe) -> str:
    """Return the settings of a recipe as flags, with their meaning: what a reader may try next."""
    common = {field.name for field in dataclasses.fields(Settings)}
    documentation = _field_documentation(recipe.config)
    rows = [
        table_row(f"`--{field.name.replace('_', '-')}`", documentation.get(field.name, ""), _default(field))
        for field in dataclasses.fields(recipe.config)
        if field.name not in common
    ]
    tasks = "\n".join(f"- {task}" for task in recipe.exercises)
    if not rows and not tasks:
        return ""
    parts = ["## Try next", tasks]
    if rows:
        parts += [
            f"Every setting is a flag of `deepkit run {entry.name}`:",
            "\n".join(["| flag | meaning | default |\n|---|---|---|", *rows]),
        ]
    return "\n\n".join(part for part in parts if part)


def _default(field: dataclasses.Field[object]) -> str:
    return "" if field.default is None or field.default is dataclasses.MISSING else f"`{field.default!r}`"


def _field_documentation(config: type) -> dict[str, str]:
    """Return the text below each field of a class of settings."""
    source = inspect.getsource(config)
    pattern = re.compile(r'^    (\w+):[^\n]*\n    """(.*?)"""', re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()) for name, text in pattern.findall(source)}


def _details(records: Sequence[Record]) -> str:
    """Return command, seeds, time, hardware and versions of each recorded run, which open on a click."""
    return "\n\n".join(["## Recorded runs", *map(_record_details, records)]) if records else ""


def _record_details(record: Record) -> str:
    hardware, versions = record["hardware"], record["versions"]
    rows = [
        table_row(metric, ", ".join(format_number(value) for value in measured["values"]))
        for metric, measured in record["metrics"].items()
    ]
    lines = [
        "| metric | per seed |\n|---|---|",
        *rows,
        "",
        f"- data: {record['data']}",
        f"- seeds: {', '.join(map(str, record['seeds']))}",
        f"- time: {format_duration(sum(record['seconds']))} for all seeds, {record['date']}",
        f"- hardware: {hardware['cpu']}, {hardware['cores']} cores, {hardware['memory']}, GPU {hardware['gpu']}",
        f"- versions: {', '.join(f'{name} {version}' for name, version in versions.items())}",
        f"- deviations that apply: {', '.join(record['deviations']) or 'none'}",
        *(f"- {note}" for note in record["notes"]),
    ]
    body = "\n".join(lines)
    return (
        f"<details markdown>\n<summary><code>{html.escape(record['command'])}</code></summary>\n\n{body}\n\n</details>"
    )


def _references(recipe: Recipe) -> str:
    papers = "\n".join(f"- {_citation(paper)}" for paper in (recipe.paper, *recipe.related))
    return f"## References\n\n{papers}"


def _card(entry: RecipeEntry, thumbnail: str) -> str:
    """Return the card of a recipe: a figure, its title as a link to its page, its result and its command."""
    image = f"![A figure of the recipe {entry.name}]({thumbnail})\n\n" if thumbnail else ""
    result = " · ".join(filter(None, (str(entry.year or ""), _comparison(_records(entry)))))
    body = f"**[{title_of(entry.summary)}]({entry.name}.md)**\n\n{result}\n\n`deepkit run {entry.name}`"
    return f'<div class="recipe-card" markdown>\n\n{image}{body}\n\n</div>'


def _comparison(records: Sequence[Record]) -> str:
    """Return published and measured value of the first claim that a recorded run measured."""
    for record in records:
        for claim in record["claims"]:
            metric, measured = claim["metric"], measured_text(record, claim["metric"]).partition(" (")[0]
            has_number = isinstance(claim["value"], int | float)
            return f"{metric} {claimed_value(claim)} → {measured}" if has_number else f"{metric} {measured}"
    return ""
