from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from deepkit.recipe import Claim, discovery, pages, readme_table, results, run
from deepkit.recipe.command import parse_config
from deepkit.recipe.discovery import RecipeEntry
from deepkit.recipe.readme_table import BEGIN, END
from tests.recipe_fakes import Config, Trainer, fake, install

ROOT = Path(__file__).parents[1]
ENTRY = RecipeEntry("fake", "mine.fake", "A fake.", 1843)
README = f"# Title\n\n{BEGIN}\nold\n{END}\n\nrest\n"


def record(path: Path, config: Config, trainer: Trainer | None = None) -> dict[str, dict]:
    results.record(path, run(fake(trainer), config), today=lambda: datetime.date(2020, 1, 2))
    return results.load(path)


def test_the_table_has_a_row_per_claim_and_per_recipe_without_records(tmp_path):
    records = record(tmp_path / "results.json", Config(seeds=3))
    table = readme_table.render_table(records, [ENTRY, RecipeEntry("other", "mine.other", "Another | one.", 1990)])
    row, other = table.splitlines()[2:]
    assert row == (
        "| `deepkit run fake --seeds 3` | error, plain (Lovelace et al. 1843) | 0.95 % (Table 1, p. 5) "
        "| 0.830 ± 0.026 % (3 seeds) in 6.0 s |"
    )
    assert other == "| `deepkit run other` | Another \\| one. (1990) |  | not recorded yet |"


def test_a_record_without_claims_has_a_row(tmp_path):
    results.record(tmp_path / "r.json", run(fake(claims=()), Config()))
    table = readme_table.render_table(results.load(tmp_path / "r.json"), [ENTRY])
    (row,) = table.splitlines()[2:]
    assert row == "| `deepkit run fake` | error, MNIST (Lovelace et al. 1843) |  | 0.8 (1 seed) in 2.0 s |"


def test_a_claim_of_the_lecture_notes_is_not_attributed_to_the_paper(tmp_path):
    claim = Claim(metric="error", value=0.95, where="lecture notes, errors", setting="plain")
    results.record(tmp_path / "r.json", run(fake(claims=(claim,)), Config()))
    (row,) = readme_table.render_table(results.load(tmp_path / "r.json"), [ENTRY]).splitlines()[2:]
    assert row.startswith("| `deepkit run fake` | error, plain | 0.95 (lecture notes, errors) |")


def test_stand_in_data_is_marked_in_the_table(tmp_path):
    table = readme_table.render_table(record(tmp_path / "r.json", Config(), Trainer(comparable=False)), [ENTRY])
    assert "0.8 % (1 seed) in 2.0 s (not comparable with the paper: bundled digits, in place of mnist)" in table


def test_write_and_check_a_readme(tmp_path, monkeypatch):
    package = install(monkeypatch, tmp_path, fake='"""A fake."""\n')
    readme = tmp_path / "README.md"
    readme.write_text(README)
    with pytest.raises(results.ResultsError, match=r"README.md is out of date\n  hint: run `deepkit results --write"):
        readme_table.check(readme, package="mine")
    assert readme_table.write(readme, package="mine")
    readme_table.check(readme, package="mine")
    assert not readme_table.write(readme, package="mine")
    assert readme.read_text().startswith("# Title\n")
    assert readme.read_text().endswith("\n\nrest\n")
    record(package / "results.json", Config())
    with pytest.raises(results.ResultsError, match="out of date"):
        readme_table.check(readme, package="mine")


@pytest.mark.parametrize("text", ["", BEGIN, END + BEGIN, README + END])
def test_a_readme_without_its_markers_raises(text):
    with pytest.raises(
        results.ResultsError,
        match=r"the file does not have the markers of the results table\n  hint: add one line <!-- results:begin -->",
    ):
        readme_table.replace_table(text, "table")


def test_a_page_shows_claims_measurements_and_figures(tmp_path, monkeypatch):
    package = install(monkeypatch, tmp_path, fake='"""A fake."""\n')
    (package / "__init__.py").write_text("")
    (package / "fake.py").write_text('"""A fake."""\nfrom tests.recipe_fakes import fake\nRECIPE = fake()\n')
    page = pages.render_page("fake")
    assert "Nothing is recorded yet." in page
    run(fake(), Config(seeds=3, record=package / "results.json"))
    page = pages.render_page("fake")
    assert "Stale" not in page
    results.mark_stale(package / "results.json", ["fake"], REASON)
    assert f"\n\n**Stale, not recorded again yet: {REASON}.**\n" in pages.render_page("fake")
    for text in (
        "# A fake\n\n",
        "(1843). *A Title*.",
        "$ deepkit run fake",
        "- **error**: test error",
        "`deepkit run fake --seeds 3`\n\n| metric | published | measured |\n",
        "| error | 0.95 % (Table 1, p. 5; plain) | 0.830 ± 0.026 % (3 seeds) |",
        "| loss | – | 1.5 ± 0 (3 seeds) |",
        "Published, not recorded yet:\n\n",
        "| error | 0.8 % (Table 2, p. 6; distorted) | not recorded yet |",
        "| `--rate` | Step size. | `0.1` |",
        "| error | 0.8, 0.84, 0.85 |",
        "- seeds: 0, 1, 2",
        "- deviations that apply: 1, 2, 3",
        "2. ReLU, not tanh (p. 3).",
        "![An empty figure](figures/fake-",
    ):
        assert text in page


def test_the_recorded_declarations_equal_those_of_the_recipes(tmp_path):
    copy = tmp_path / "results.json"
    copy.write_bytes((ROOT / "recipes" / "results.json").read_bytes())
    assert results.refresh(copy, lambda recipe, flags: parse_config(recipe, flags, prog="")) == []


def test_the_readme_is_up_to_date():
    readme = ROOT / "README.md"
    if BEGIN not in readme.read_text(encoding="utf-8"):
        pytest.skip("README.md has no recipe table yet")
    readme_table.check(readme)


REASON = "recorded with another optimizer"


def two_records(path: Path) -> Path:
    record(path, Config(distort=True))
    record(path, Config(seeds=3))
    return path


def test_a_stale_result_has_a_mark_and_a_footnote_until_it_is_recorded_again(tmp_path):
    path = two_records(tmp_path / "r.json")
    before = results.load(path)
    assert results.mark_stale(path, ["deepkit run fake --seeds 3"], f"{REASON}.") == ["deepkit run fake --seeds 3"]
    stale = results.load(path)
    assert [record.pop("stale", None) for record in stale.values()] == [REASON, None]
    assert stale == before  # the numbers stay
    table = readme_table.render_table(results.load(path), [ENTRY, RecipeEntry("other", "mine.other", "Another.", 1990)])
    assert table.splitlines()[2:] == [
        "| `deepkit run fake --seeds 3` | error, plain (Lovelace et al. 1843) | 0.95 % (Table 1, p. 5) "
        "| 0.830 ± 0.026 % (3 seeds) in 6.0 s † |",
        "| `deepkit run fake --distort` | error, distorted (Lovelace et al. 1843) | 0.8 % (Table 2, p. 6) "
        "| 0.8 % (1 seed) in 2.0 s |",
        "| `deepkit run other` | Another. (1990) |  | not recorded yet |",
        "",
        f"† Stale, not recorded again yet: {REASON}.",
    ]
    again = readme_table.render_table(record(path, Config(seeds=2)), [ENTRY])
    assert "†" not in again
    assert "| 0.820 ± 0.028 % (2 seeds) in 4.0 s |" in again


def test_each_reason_has_its_mark(tmp_path):
    path = two_records(tmp_path / "r.json")
    results.mark_stale(path, ["fake"], REASON)
    results.mark_stale(path, ["deepkit run fake --distort"], "recorded with other data")
    table = readme_table.render_table(results.load(path), [ENTRY])
    assert "(3 seeds) in 6.0 s † |" in table
    assert "(1 seed) in 2.0 s †† |" in table
    assert table.endswith(
        f"\n\n† Stale, not recorded again yet: {REASON}.\n\n†† Stale, not recorded again yet: recorded with other data."
    )


@pytest.mark.parametrize(
    ("names", "reason", "text"),
    [
        (["fake"], " ", 'a stale result needs a reason, received an empty one\n  hint: use --reason "recorded'),
        ([], REASON, "expected results to mark as stale, received none\n  hint: use --records lenet"),
        (["fake", "fkae"], REASON, "has no result of 'fkae'; did you mean 'fake'\\?\n  hint: use the name of a recipe"),
    ],
)
def test_nothing_is_marked_without_a_reason_or_for_an_unknown_name(names, reason, text, tmp_path):
    path = two_records(tmp_path / "r.json")
    before = path.read_bytes()
    with pytest.raises(results.ResultsError, match=text):
        results.mark_stale(path, names, reason)
    assert path.read_bytes() == before


def test_the_recorded_results_that_are_stale_by_momentum_have_batch_normalization():
    from keras import layers

    records = results.load(ROOT / "recipes" / "results.json").values()
    stale = [record for record in records if "momentum 0.99" in record.get("stale", "")]
    for recorded in stale:
        recipe = discovery.entry(recorded["recipe"]).load()
        model = recipe.build(parse_config(recipe, recorded["command"].split()[3:], prog=""))
        assert {layer.momentum for layer in model.layers if isinstance(layer, layers.BatchNormalization)} == {0.9}
