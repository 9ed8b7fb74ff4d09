"""The pages of the tab Start: links lead to pages and headings, terms are sorted, variables are documented."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
START = (
    "index.md",
    "install.md",
    "first_model.md",
    "coming_from_keras.md",
    "glossary.md",
    "troubleshooting.md",
    "citing.md",
)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
CODE = re.compile(r"^ *(`{3,}).*?^ *\1", re.MULTILINE | re.DOTALL)
TERM = re.compile(r"^(\S.*)\n:   ((?:.|\n(?=    ))+)", re.MULTILINE)


def read(name):
    return (DOCS / name).read_text(encoding="utf-8")


def anchors(name):
    """Return the ids of the headings of a page, as Python-Markdown makes them."""
    ids = set()
    for heading in re.findall(r"^#+ (.*)$", CODE.sub("", read(name)), re.MULTILINE):
        text, _, explicit = heading.partition(" { #")
        ids.add(explicit.rstrip(" }") or re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower()))
    return ids


def test_the_tab_has_the_pages_in_the_order_of_reading():
    text = re.search(r"^nav:\n(?:  .*\n)+", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)[0]
    (start,) = [item["Start"] for item in yaml.safe_load(text)["nav"] if "Start" in item]
    assert [page if isinstance(page, str) else next(iter(page.values())) for page in start] == list(START)


@pytest.mark.parametrize("name", START)
def test_links_lead_to_pages_and_headings(name):
    text = CODE.sub("", read(name))
    links = LINK.findall(text)
    assert links
    for page, anchor in links:
        is_generated = page.startswith("recipes/")
        assert is_generated or not page or (DOCS / page).is_file(), page
        assert is_generated or not anchor or anchor in anchors(page or name), f"{page}#{anchor}"


@pytest.mark.parametrize("name", START)
def test_no_line_of_a_fence_is_cut(name):
    fences = [match[0] for match in CODE.finditer(read(name))]
    assert [line for fence in fences for line in fence.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", [name for name in START if name not in ("index.md", "glossary.md")])
def test_a_page_ends_with_what_to_read_next(name):
    assert re.findall(r"^## (.*)$", CODE.sub("", read(name)), re.MULTILINE)[-1] == "Read next"


def test_the_terms_of_the_glossary_are_sorted_and_link_a_page():
    terms = TERM.findall(read("glossary.md"))
    names = [name for name, _ in terms]
    assert len(names) > 40
    assert names == sorted(set(names), key=str.casefold)
    for name, text in terms:
        assert LINK.search(text), name
        assert len(re.findall(r"[.?!](?:\s|$)", LINK.sub("", text))) <= 4, name


def test_the_glossary_has_the_terms_of_deepkit():
    names = {name for name, _ in TERM.findall(read("glossary.md"))}
    assert names >= {
        "block", "claim", "data", "definition", "deviation", "head", "pattern", "pipeline", "plan", "recipe", "run",
        "run directory",
    }  # fmt: skip


def test_the_extras_and_variables_are_on_the_page_about_the_installation():
    page = read("install.md")
    extras = re.search(
        r"^\[project.optional-dependencies\]\n(.*?)^\[", (ROOT / "pyproject.toml").read_text(), re.M | re.S
    )
    for extra in re.findall(r"^(\w+) = ", extras[1], re.MULTILINE):
        assert f"| `{extra}` |" in page
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "deepkit").rglob("*.py")]
    for variable in {name for source in sources for name in re.findall(r'"(DEEPKIT_[A-Z_]+)"', source)}:
        assert f"| `{variable}` |" in page
