"""The course: each page has its items, and each item names a recipe, metric, figure, guide or test that exists."""

import importlib
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

course_hook = importlib.import_module("docs.course_hook")

ROOT = Path(__file__).parent.parent
PAGES = {path.stem: path for path in (ROOT / "docs" / "course").glob("*.md")}
ITEMS = course_hook.read_table()
RUNS = course_hook.recorded_runs()
KEYS = {"title", "pages", "recipe", "command", "metrics", "figure", "guide", "test"}


def named_items(name):
    return course_hook.ITEM.findall(PAGES[name].read_text(encoding="utf-8"))


def test_every_item_is_on_its_pages():
    names = {name for item in ITEMS.values() for name in item["pages"]}
    assert names == set(PAGES) - {"index"}
    for name in names:
        expected = {identifier for identifier, item in ITEMS.items() if name in item["pages"]}
        assert sorted(named_items(name)) == sorted(expected), name


def test_the_navigation_has_every_page():
    text = re.search(r"^nav:\n(?:  .*\n)+", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)[0]
    (course,) = [tab["Course"] for tab in yaml.safe_load(text)["nav"] if "Course" in tab]
    paths = [path for entry in course for path in (entry.values() if isinstance(entry, dict) else [entry])]
    assert sorted(paths) == sorted(f"course/{name}.md" for name in PAGES)


@pytest.mark.parametrize("identifier", ITEMS)
def test_an_item_names_only_what_exists(identifier):
    item = ITEMS[identifier]
    assert set(item) <= KEYS
    assert len(item["pages"]) == len(set(item["pages"])) > 0
    block = course_hook.render_item(identifier, item, RUNS)
    assert f'id="{identifier.lower()}"' in block
    assert f"**{item['title']}**" in block
    assert (ROOT / item.get("test", "tests")).exists()
    for path in re.findall(r"\]\(\.\./recipes/(figures/\S+?)\)\{ \.figure", block):
        assert (ROOT / "recipes" / path).is_file()


def test_titles_are_unique():
    titles = [item["title"] for item in ITEMS.values()]
    assert len(titles) == len(set(titles))


def make_run(**changes):
    metrics = {"accuracy": {"values": [98.0, 99.0]}, "loss": {"values": [0.5, 0.25]}}
    claims = [{"metric": "accuracy", "value": 97.5, "unit": "%"}]
    run = {"command": "deepkit run xor", "metrics": metrics, "units": {"accuracy": "%"}, "claims": claims}
    return {**run, "figures": {"Two lines": "figures/xor-1.png"}, "comparable": True, **changes}


def test_a_recipe_shows_its_values_and_its_figure():
    item = {"title": "XOR", "recipe": "xor", "metrics": ["accuracy", "loss"], "figure": 1}
    lines = course_hook.render_item("B3", item, {"xor": [make_run()]}).splitlines()
    assert lines[0] == '<div class="course-item" id="b3" markdown>'
    image = "![Two lines](../recipes/figures/xor-1-small.png){ loading=lazy }"
    assert f'[{image}](../recipes/figures/xor-1.png){{ .figure title="Open the figure" }}' in lines
    assert "**XOR**" in lines
    assert any(line.startswith("Recipe: [") and line.endswith("](../recipes/xor.md)") for line in lines)
    (accuracy, loss) = [line for line in lines if line.startswith("- ")]
    assert accuracy.startswith("- accuracy: **98.5")
    assert accuracy.endswith("(2 seeds)**; published: 97.5 %")
    assert loss.startswith("- loss: **0.38")
    assert "published" not in loss


def test_stale_and_stand_in_values_have_a_mark():
    item = {"title": "XOR", "recipe": "xor", "metrics": ["loss"]}
    block = course_hook.render_item("B3", item, {"xor": [make_run(stale="another optimizer", comparable=False)]})
    assert f"; stale; {course_hook.STAND_IN}" in block


def test_the_command_selects_the_run():
    runs = {
        "xor": [make_run(), make_run(command="deepkit run xor --units 3", metrics={"loss": {"values": [0.0, 0.0]}})]
    }
    item = {"title": "XOR", "recipe": "xor", "command": "deepkit run xor --units 3", "metrics": ["loss"]}
    assert "loss: **0 " in course_hook.render_item("B3", item, runs)


def test_guides_tests_and_items_to_come():
    guide = {"title": "Stopping", "guide": "training.md#early-stopping"}
    assert "Guide: [Early stopping](../training.md#early-stopping)" in course_hook.render_item("B16", guide, {})
    test = {"title": "A test", "test": "tests/test_course.py"}
    assert "Test: `tests/test_course.py`" in course_hook.render_item("B1", test, {})
    linked = course_hook.render_item("B1", test, {}, "https://example.org/blob/main")
    assert "Test: [`tests/test_course.py`](https://example.org/blob/main/tests/test_course.py)" in linked
    block = course_hook.render_item("B1", {"title": "Later"}, {})
    assert block.startswith('<div class="course-item course-item-to-come"')
    assert "To come." in block


def test_the_list_of_items_to_come_links_their_pages():
    items = {
        "B1": {"title": "Later", "pages": ["first_networks", "foundations"]},
        "B2": {"title": "Now", "pages": ["foundations"], "guide": "data.md"},
    }
    first = "[Linear classifiers and first networks](first_networks.md#b1)"
    assert course_hook.list_to_come(items) == f"- Later ({first}; [Foundations](foundations.md#b1))"


@pytest.mark.parametrize(
    ("markdown", "item", "expected"),
    [
        ("<!-- item: B01 -->", {"title": "XOR"}, "unknown item 'B01'; did you mean 'B1'"),
        ("<!-- item: B1 -->\n\n<!-- item: B1 -->", {"title": "XOR"}, "item 'B1' is on the page 2 times"),
        ("<!-- item: B1 -->", {"title": "XOR", "recipe": "or"}, "recipe 'or' has no recorded run of `deepkit run or`"),
        ("<!-- item: B1 -->", {"title": "XOR", "recipe": "xor", "metrics": ["los"]}, "metric 'los' is not recorded"),
        ("<!-- item: B1 -->", {"title": "XOR", "recipe": "xor", "figure": 2}, "figure 2 is not recorded"),
        ("<!-- item: B1 -->", {"title": "XOR", "recipe": "xor", "command": "deepkit run or"}, "no recorded run of"),
        ("<!-- item: B1 -->", {"title": "XOR", "recipe": "xor", "guide": "data.md"}, "received recipe and guide"),
        ("<!-- item: B1 -->", {"title": "XOR", "guide": "data.md#epochs"}, "data.md has no section 'epochs'"),
    ],
)
def test_a_wrong_item_raises(markdown, item, expected):
    with pytest.raises(course_hook.CourseError, match="hint: ") as error:
        course_hook.replace_items(markdown, "course/index.md", {"B1": item}, {"xor": [make_run()]})
    assert expected in str(error.value)


def test_an_error_is_logged_for_a_strict_build(caplog):
    page = SimpleNamespace(file=SimpleNamespace(src_uri="course/foundations.md"))
    config = SimpleNamespace(repo_url="")
    markdown = "<!-- item: X99 -->"
    assert course_hook.on_page_markdown(markdown, page, config, files=[]) == markdown
    assert "unknown item 'X99'" in caplog.text
    page.file.src_uri = "data.md"
    caplog.clear()
    assert course_hook.on_page_markdown(markdown, page, config, files=[]) == markdown
    assert not caplog.text
