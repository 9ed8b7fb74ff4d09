"""Hooks of the documentation: frames of figures, and titles and descriptions of pages."""

import importlib
from types import SimpleNamespace

import pytest

figures_hook = importlib.import_module("docs.page_figures_hook")
heads_hook = importlib.import_module("docs.page_heads_hook")

SVG = b'<?xml version="1.0"?><svg height="30pt" width="60.2pt" viewBox="0 0 60 30"></svg>'
IMAGE = '<img alt="a" src="executed/a.svg">'


def make_page(path, title="Guide"):
    folder = path.removesuffix(".md")
    file = SimpleNamespace(src_uri=path, dest_uri=f"{folder}/index.html")
    return SimpleNamespace(file=file, title=title, meta={})


def framed(html, address="guide/executed/a.svg", path="guide.md"):
    files = [SimpleNamespace(dest_uri=address, content_bytes=SVG)]
    return figures_hook.on_page_content(html, page=make_page(path), config=None, files=files)


def test_a_figure_has_a_frame_with_its_natural_width_and_a_link():
    assert framed(f"<p>{IMAGE}</p>") == (
        '<div class="figure figure-diagram" style="--natural-width: 80px">'
        f'<a href="executed/a.svg" title="Open the figure">{IMAGE}</a></div>'
    )


@pytest.mark.parametrize(
    "html", [f"<p>text {IMAGE}</p>", '<p><img alt="a" src="https://example.org/a.svg"></p>', "<p><img alt='a'></p>"]
)
def test_other_images_are_unchanged(html):
    assert framed(html) == html


def test_the_figures_of_cards_are_unchanged():
    assert framed(f"<p>{IMAGE}</p>", path="recipes/index.md") == f"<p>{IMAGE}</p>"


def test_the_first_paragraph_is_the_description():
    page = make_page("guide.md")
    html = (
        '<h1>Guide</h1><p><a class="notebook-link">Download</a></p><p>Use <code>"fit"</code> &amp; go.</p><p>More.</p>'
    )
    assert heads_hook.on_page_content(html, page=page, config=None, files=[]) == html
    assert page.meta == {"description": "Use &quot;fit&quot; &amp; go."}


def test_a_long_description_ends_after_a_word():
    text = heads_hook.first_paragraph(f"<p>{'word ' * 100}</p>")
    assert text.endswith("word ...")
    assert len(text) <= heads_hook.DESCRIPTION_LENGTH + 4


def test_an_api_page_has_a_title_of_its_own():
    page = make_page("api/data.md", title="Data")
    heads_hook.on_page_content("<p>Text.</p>", page=page, config=None, files=[])
    assert page.meta["title"] == "Data (API)"
    without_groups = "# Data\n\n::: dk.load\n"
    assert heads_hook.on_page_markdown(without_groups, page=page, config=None, files=[]) == without_groups


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "    options:\n      heading_level: 3\n"),
        ("    options: { members: [] }\n", "    options: { heading_level: 3, members: [] }\n"),
        ("    options:\n      members: []\n", "    options:\n      heading_level: 3\n      members: []\n"),
    ],
)
def test_an_object_of_a_group_keeps_its_options(options, expected):
    page, heading = make_page("api/data.md"), "# Data\n\n## Files\n\n"
    markdown = f"{heading}::: dk.load\n{options}::: dk.save\n"
    result = heads_hook.on_page_markdown(markdown, page=page, config=None, files=[])
    assert result.startswith(f"{heading}::: dk.load\n{expected}::: dk.save\n    options:\n      heading_level: 3\n")
