from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from deepkit.recipe import discovery as catalogue
from deepkit.recipe import pages as results_pages
from deepkit.recipe import results, run
from deepkit.recipe.command import config_from
from deepkit.recipe.pages import BEGIN, END
from tests.recipe_fakes import Config, Trainer, fake, install

ROOT = Path(__file__).parents[1]
ENTRY = catalogue.Entry("fake", "mine.fake", "A fake.", 1843)
README = f"# Title\n\n{BEGIN}\nold\n{END}\n\nrest\n"


def record(path: Path, config: Config, trainer: Trainer | None = None) -> dict[str, dict]:
    results.record(path, run(fake(trainer), config), today=lambda: datetime.date(2020, 1, 2))
    return results.load(path)


def test_the_table_has_a_row_a_claim_and_a_row_for_the_unrecorded(tmp_path):
    every = record(tmp_path / "results.json", Config(seeds=3))
    table = results_pages.render_table(every, [ENTRY, catalogue.Entry("other", "mine.other", "Another | one.", 1990)])
    row, other = table.splitlines()[2:]
    assert row == (
        "| `fake` | Lovelace et al. 1843 | error, plain | 0.95 % (Table 1, p. 5) "
        "| 0.830 ± 0.026 % (3 seeds) | 6.0 s | `deepkit run fake --seeds 3` |"
    )
    assert other == "| `other` | 1990 | Another \\| one. |  | not recorded yet |  | `deepkit run other` |"


def test_a_record_that_no_paper_speaks_of_has_a_row_of_its_own(tmp_path):
    results.record(tmp_path / "r.json", run(fake(claims=()), Config()))
    table = results_pages.render_table(results.load(tmp_path / "r.json"), [ENTRY])
    (row,) = table.splitlines()[2:]
    assert row == "| `fake` | Lovelace et al. 1843 | error, MNIST |  | 0.8 (1 seed) | 2.0 s | `deepkit run fake` |"


def test_a_stand_in_is_marked_in_the_table(tmp_path):
    table = results_pages.render_table(record(tmp_path / "r.json", Config(), Trainer(comparable=False)), [ENTRY])
    assert "0.8 % (1 seed) (not comparable with the paper: bundled digits, in place of mnist)" in table


def test_write_and_check_a_readme(tmp_path, monkeypatch):
    package = install(monkeypatch, tmp_path, fake='"""A fake."""\n')
    readme = tmp_path / "README.md"
    readme.write_text(README)
    with pytest.raises(results.ResultsError, match="out of date; try `deepkit results --write"):
        results_pages.check(readme, package="mine")
    assert results_pages.write(readme, package="mine")
    results_pages.check(readme, package="mine")
    assert not results_pages.write(readme, package="mine")
    assert readme.read_text().startswith("# Title\n")
    assert readme.read_text().endswith("\n\nrest\n")
    record(package / "results.json", Config())
    with pytest.raises(results.ResultsError, match="out of date"):
        results_pages.check(readme, package="mine")


@pytest.mark.parametrize("text", ["", BEGIN, END + BEGIN, README + END])
def test_a_readme_without_its_markers_is_refused(text):
    with pytest.raises(results.ResultsError, match="needs one <!-- results:begin -->"):
        results_pages.put(text, "table")


def test_a_page_tells_all_of_a_recipe(tmp_path, monkeypatch):
    package = install(monkeypatch, tmp_path, fake='"""A fake."""\n')
    (package / "__init__.py").write_text("")
    (package / "fake.py").write_text('"""A fake."""\nfrom tests.recipe_fakes import fake\nRECIPE = fake()\n')
    bare = results_pages.render_page("fake")
    assert "Nothing is recorded yet." in bare
    run(fake(), Config(seeds=3, record=package / "results.json"))
    page = results_pages.render_page("fake")
    assert "| loss |  | 1.5 ± 0 (3 seeds)" in page
    for text in (
        "# fake\n\nA fake.\n",
        "(1843). A Title.",
        "$ deepkit run fake",
        "- **error**: test error",
        "| error | 0.8 % | Table 2, p. 6 | distorted | 82 errors |",
        "| error | 0.95 % | 0.830 ± 0.026 % (3 seeds) | 0.8, 0.84, 0.85 |",
        "- seeds: 0, 1, 2",
        "- deviations that apply: 1, 2, 3",
        "2. ReLU, not tanh (p. 3).",
        "![An empty picture](pictures/fake-",
    ):
        assert text in page


def test_the_projects_results_are_in_the_recipes_words(tmp_path):
    copy = tmp_path / "results.json"
    copy.write_bytes((ROOT / "recipes" / "results.json").read_bytes())
    assert results.refresh(copy, lambda recipe, flags: config_from(recipe, flags, prog="")) == []


def test_the_projects_readme_is_up_to_date():
    readme = ROOT / "README.md"
    if BEGIN not in readme.read_text(encoding="utf-8"):
        pytest.skip("README.md has no recipe table yet")
    results_pages.check(readme)
