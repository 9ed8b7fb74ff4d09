"""Hook of MkDocs that shows the items of the course: the recipe, guide or test that demonstrates each claim.

A line `<!-- item: B1 -->` in a page below `course/` becomes the item of this ID in `course/items.toml`: a recipe with
its measured values and a figure, a guide or a test; an item with none of them is to come.
"""

import functools
import logging
import re
import tomllib
from pathlib import Path

from deepkit.recipe import discovery, results
from deepkit.recipe.pages import title_of
from deepkit.recipe.readme_table import claimed_value, measured_text
from deepkit.recipe.report import STAND_IN
from deepkit.utils.errors import did_you_mean_or_list, format_value, message

log = logging.getLogger("mkdocs.plugins.course")  # a strict build counts its errors
ROOT = Path(__file__).parent.parent
TABLE = ROOT / "docs" / "course" / "items.toml"
RESULTS = ROOT / "recipes" / "results.json"
ITEM = re.compile(r"^<!-- item: (\S+) -->$", re.MULTILINE)
ITEMS_TO_COME = "<!-- items to come -->"
TARGETS = ("recipe", "guide", "test")


class CourseError(ValueError):
    """A page or the table of the course names something that does not exist; a strict build fails."""


def on_page_markdown(markdown, page, config, files):
    """Replace the comments of a page of the course by items."""
    if not page.file.src_uri.startswith("course/"):
        return markdown
    source_url = f"{config.repo_url.rstrip('/')}/blob/main" if config.repo_url else ""
    items, records = read_table(), recorded_runs()
    markdown = markdown.replace(ITEMS_TO_COME, list_to_come(items))
    try:
        return replace_items(markdown, page.file.src_uri, items, records, source_url)
    except CourseError as error:
        log.error("%s", error)
        return markdown


def read_table(path=TABLE):
    """Return the items by ID."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def recorded_runs(path=RESULTS):
    """Return the recorded runs of each recipe, those with a published value first."""
    runs = {}
    for record in sorted(results.load(path).values(), key=lambda record: not record["claims"]):
        runs.setdefault(record["recipe"], []).append(record)
    return runs


def replace_items(markdown, path, items, records, source_url=""):
    """Replace each comment of an item.

    Args:
        markdown: Text of the page.
        path: Path of the page, for error messages.
        items: The items by ID.
        records: Recorded runs by recipe.
        source_url: Address of the repository's files; empty for no links to tests.

    Raises:
        CourseError: The page names an unknown item, or an item twice, or the item's recipe or metric is not recorded.
    """
    identifiers = ITEM.findall(markdown)
    for identifier in identifiers:
        if identifier not in items:
            problem = f"unknown item {format_value(identifier)}{did_you_mean_or_list(identifier, sorted(items))}"
            raise CourseError(message(problem, path=path, hint="use an ID of docs/course/items.toml, or add it there"))
        if identifiers.count(identifier) > 1:
            problem = f"item {format_value(identifier)} is on the page {identifiers.count(identifier)} times"
            raise CourseError(message(problem, path=path, hint="remove all but one of its comments"))
    return ITEM.sub(lambda match: render_item(match[1], items[match[1]], records, source_url), markdown)


def render_item(identifier, item, records, source_url=""):
    """Return the block of one item as Markdown.

    Raises:
        CourseError: The item's recipe, metric or figure is not recorded, or it has more than one target.
    """
    targets = [target for target in TARGETS if target in item]
    if len(targets) > 1:
        problem = f"expected one of recipe, guide and test, received {' and '.join(targets)}"
        raise CourseError(message(problem, path=identifier, hint="keep the one that shows the claim"))
    if "recipe" in item:
        body = render_recipe(identifier, item, records)
    elif "guide" in item:
        body = f"**{item['title']}**\n\nGuide: [{guide_title(item['guide'])}](../{item['guide']})"
    elif "test" in item:
        link = f"[`{item['test']}`]({source_url}/{item['test']})" if source_url else f"`{item['test']}`"
        body = f"**{item['title']}**\n\nTest: {link}"
    else:
        body = f"**{item['title']}**\n\nTo come."
    kind = "" if targets else " course-item-to-come"
    return f'<div class="course-item{kind}" id="{identifier.lower()}" markdown>\n\n{body}\n\n</div>'


def render_recipe(identifier, item, records):
    """Return the figure, the link and the measured values of an item that a recipe demonstrates."""
    name = item["recipe"]
    runs = [run for run in records.get(name, []) if item.get("command", run["command"]) == run["command"]]
    if not runs:
        command = item.get("command", f"deepkit run {name}")
        problem = f"recipe {format_value(name)} has no recorded run of `{command}`"
        hint = f"record it with `{command} --record recipes/results.json`, or correct docs/course/items.toml"
        raise CourseError(message(problem, path=identifier, hint=hint))
    values = [f"- {measured_value(identifier, runs, metric)}" for metric in item.get("metrics", [])]
    parts = [f"**{item['title']}**", f"Recipe: [{recipe_title(name)}](../recipes/{name}.md)", "\n".join(values)]
    if "figure" in item:
        parts.insert(0, figure(identifier, runs, item["figure"]))
    return "\n\n".join(part for part in parts if part)


@functools.cache
def recipe_title(name):
    """Return the title of a recipe's page."""
    return title_of(discovery.entry(name).summary)


def measured_value(identifier, runs, metric):
    """Return the measured value of a metric from the first run that has it, and its published value."""
    run = next((run for run in runs if metric in run["metrics"]), None)
    if run is None:
        choices = sorted({name for run in runs for name in run["metrics"]})
        problem = f"metric {format_value(metric)} is not recorded{did_you_mean_or_list(metric, choices)}"
        hint = "use a metric of the recipe's record in recipes/results.json"
        raise CourseError(message(problem, path=identifier, hint=hint))
    text = f"{metric}: **{measured_text(run, metric)}**"
    published = [claimed_value(claim) for claim in run["claims"] if claim["metric"] == metric]
    if published:
        text += f"; published: {', '.join(published)}"
    if run.get("stale"):
        text += "; stale"
    return text if run["comparable"] else f"{text}; {STAND_IN}"


def figure(identifier, runs, number):
    """Return a small image of a recorded figure, counted from 1 through the runs of the recipe, with a link to it."""
    figures = [(caption, path) for run in runs for caption, path in run["figures"].items()]
    if not 1 <= number <= len(figures):
        problem = f"figure {number} is not recorded, expected 1 to {len(figures)}"
        raise CourseError(message(problem, path=identifier, hint="use the number of a figure of the recipe's page"))
    caption, path = figures[number - 1]
    image = f"![{caption}](../recipes/{small_figure(path)}){{ loading=lazy }}"
    return f'[{image}](../recipes/{path}){{ .figure title="Open the figure" }}'


def small_figure(path):
    """Return the path of the small image that `docs/hooks.py` makes of a figure."""
    return f"{path.removesuffix('.png')}-small.png"


def guide_title(guide):
    """Return the heading of a page: its title, or the heading of the section that its link names."""
    path, _, anchor = guide.partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / path).read_text(encoding="utf-8"), re.MULTILINE)
    for heading in headings:
        if not anchor or slug(heading) == anchor:
            return heading
    problem = f"the guide {path} has no section {format_value(anchor)}"
    raise CourseError(message(problem, hint="use the anchor of one of its headings"))


def slug(heading):
    """Return the anchor that MkDocs gives to a heading."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def list_to_come(items):
    """Return the items without a recipe, guide or test, each with links to the pages that name it."""
    lines = []
    for identifier, item in items.items():
        if not set(TARGETS) & set(item):
            links = [f"[{guide_title(f'course/{name}.md')}]({name}.md#{identifier.lower()})" for name in item["pages"]]
            lines.append(f"- {item['title']} ({'; '.join(links)})")
    return "\n".join(lines)
