"""Hooks of the documentation: frames of figures, titles and descriptions of pages, and links of the API pages."""

import importlib
from types import SimpleNamespace

import pytest

links_hook = importlib.import_module("docs.api_links_hook")
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


class Pages:
    """The pages of a site, as MkDocs passes them to hooks."""

    def __init__(self, **contents):
        paths = {"tutorial": "tutorials/folder.md", "xor": "recipes/xor.md"}
        self.pages = [
            SimpleNamespace(src_uri=paths.get(name, f"{name}.md"), content_string=text, page=None)
            for name, text in contents.items()
        ]

    def documentation_pages(self):
        return self.pages

    def get_file_from_path(self, path):
        return next((page for page in self.pages if page.src_uri == path), None)


def linked(markdown, path="api/blocks.md", **contents):
    page = SimpleNamespace(file=SimpleNamespace(src_uri=path))
    return links_hook.on_page_markdown(markdown, page=page, config=None, files=Pages(**contents))


def fence(code):
    return f"```python\n{code}\n```\n"


def test_an_object_links_to_the_pages_that_use_it_tutorials_first():
    guide = f"# Guide\n\n{fence('import deepkit as dk')}\n{fence('dk.MLP([8])')}"
    code = "from deepkit import MLP as network\nnetwork([8])"
    tutorial = f"# Tutorial\n\n<!-- not executed: slow -->\n{fence(code)}"
    result = linked("::: deepkit.MLP\n    options: { members: [] }\n::: deepkit.GAN\n", guide=guide, tutorial=tutorial)
    assert result.startswith(
        "::: deepkit.MLP\n    options: { members: [] }\n\n"
        "Used in [Tutorial](../tutorials/folder.md), [Guide](../guide.md)\n{ .used-in }\n\n::: deepkit.GAN\n"
    )
    assert result.count("Used in") == 1


def test_the_module_of_a_recipe_is_read():
    assert "Used in [Xor](../recipes/xor.md)\n" in linked("::: deepkit.recipe.Recipe\n", xor="# Xor\n")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("deepkit.data.load.load", "dk.data.load('digits')"),
        ("deepkit.export.exporter.export", "dk.export(model)"),
        ("deepkit.fields.integer", "from deepkit import fields\nfields.integer()"),
        ("deepkit.visualize.arrays.confusion", "from deepkit.visualize import arrays\narrays.confusion(model, data)"),
    ],
)
def test_two_names_of_an_object_are_the_same(name, code):
    assert "Used in [Guide]" in linked(f"::: {name}\n", guide=f"# Guide\n\n{fence(code)}")


@pytest.mark.parametrize(
    "text", ["`dk.MLP([8])`", "```console\n$ dk.MLP\n```", fence("MLP([8])"), fence("dk.MLP(["), "```py\ndk.MLP\n```"]
)
def test_prose_and_code_that_is_not_python_are_no_uses(text):
    assert "Used in" not in linked("::: deepkit.MLP\n", guide=f"# Guide\n\n{text}\n")


def test_an_object_has_at_most_six_links():
    guides = {f"guide{number}": f"# Guide {number}\n\n{fence('dk.MLP([8])')}" for number in range(8)}
    guides["guide7"] += fence("dk.MLP([8]), dk.MLP([9])")
    line = linked("::: deepkit.MLP\n", **guides).splitlines()[2]
    assert line.count("](") == 6
    assert line.startswith("Used in [Guide 7]")  # with the most uses


def test_only_api_pages_have_links():
    assert linked("::: deepkit.MLP\n", path="guide.md", guide=fence("dk.MLP([8])")) == "::: deepkit.MLP\n"
