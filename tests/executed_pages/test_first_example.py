"""README.md and the landing page share their first example, its output and its image."""

import re
from pathlib import Path

import pytest

from docs import first_example
from docs.first_example import BEGIN, END, with_output

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
COMMAND = "run 'make docs-outputs' and commit README.md and docs"


def test_the_readme_begins_with_the_example_of_the_landing_page():
    code = re.search(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[1]
    assert code == first_example.landing_page().executed[0].code


def test_the_readme_shows_the_output_of_its_first_example():
    output = first_example.output_of_example(first_example.landing_page())
    assert with_output(README, output) == README, COMMAND


def test_the_image_is_of_the_first_example():
    page = first_example.landing_page()
    assert first_example.image_sha256() == first_example.example_sha256(page), COMMAND
    assert first_example.IMAGE.stat().st_size < 200_000
    assert f"](docs/images/{first_example.IMAGE.name})" in README


def test_the_output_replaces_what_is_between_the_comments():
    text = f"a\n{BEGIN}\nold\n{END}\nb\n"
    assert with_output(text, "new") == f"a\n{BEGIN}\n```text\nnew\n```\n{END}\nb\n"


def test_the_readme_is_short_and_its_links_lead_to_files():
    results = re.search(r"<!-- results:begin -->.*?<!-- results:end -->", README, re.DOTALL)[0]
    assert len(README.splitlines()) - len(results.splitlines()) < 130
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert len(targets) > 20
    missing = [target for target in targets if not (Path(__file__).parents[2] / target).is_file()]
    assert missing == []


@pytest.mark.slow
def test_the_first_example_prints_the_committed_output():
    from docs.executed_pages.committed import read_outputs
    from docs.executed_pages.workers import execute_pages

    page = first_example.landing_page()
    committed = read_outputs(page, first_example.DOCS_DIR).outputs[1][0].text
    (result,) = execute_pages([page], num_workers=1).values()
    lines, expected = (text.splitlines() for text in (result.outputs[1][0].text, committed))
    numbers = re.compile(r"\d+\.\d+")
    assert [numbers.sub("", line) for line in lines] == [numbers.sub("", line) for line in expected]
    assert float(lines[-1].split()[-1]) == pytest.approx(float(expected[-1].split()[-1]), abs=0.02)
