from __future__ import annotations

import sys

import pytest

from deepkit.recipe import discovery as catalogue
from tests.recipe_fakes import install

GOOD = '"""What it shows.\n\nMore."""\nraise RuntimeError("imported")\nPAPER = Paper(title="T", year=1998)\n'


def test_the_list_reads_recipes_without_importing_them(tmp_path, monkeypatch):
    install(monkeypatch, tmp_path, good=GOOD, broken="def (:\n")
    broken, good = catalogue.entries()
    assert (good.name, good.summary, good.year, good.problem) == ("good", "What it shows.", 1998, "")
    assert "invalid syntax" in broken.problem
    assert "mine" not in sys.modules


def test_a_missing_module_is_listed_with_its_problem():
    entry = catalogue.describe("gone", "no_such_package.at_all")
    assert entry.problem == "module no_such_package.at_all has no source file"


def test_year_may_be_positional():
    entry = catalogue.describe("xor", "recipes.basics.xor")
    assert entry.year == 1986
    assert entry.summary.startswith("XOR by two layers")


def test_year_is_read_from_a_module_of_papers_without_importing_it(tmp_path, monkeypatch):
    papers = 'raise RuntimeError("imported")\nLOVELACE_1843 = Paper(title="T", year=1843)\n'
    recipe = "from mine import papers as library\nPAPER = library.{}\n"
    unknown = "from elsewhere import papers\nPAPER = papers.LOVELACE_1843\n"
    install(
        monkeypatch,
        tmp_path,
        papers=papers,
        good=recipe.format("LOVELACE_1843"),
        missing=recipe.format("TURING_1936"),
        unknown=unknown,
    )
    years = {entry.name: entry.year for entry in catalogue.entries()}
    assert years == {"good": 1843, "missing": None, "papers": None, "unknown": None}
    assert "mine" not in sys.modules


def test_an_unknown_name_suggests_close_ones(tmp_path, monkeypatch):
    install(monkeypatch, tmp_path, lenet=GOOD, xor=GOOD)
    with pytest.raises(catalogue.UnknownRecipe, match=r"no recipe is called 'lenett'; did you mean lenet\?"):
        catalogue.entry("lenett")
    with pytest.raises(catalogue.UnknownRecipe, match="there are: lenet, xor"):
        catalogue.entry("zzzzzz")


def test_a_recipe_that_cannot_be_imported_says_why(tmp_path, monkeypatch):
    package = install(monkeypatch, tmp_path, bad="import no_such_thing\n", empty="")
    (package / "__init__.py").write_text("")
    with pytest.raises(catalogue.BrokenRecipe, match=r"'bad': importing mine.bad failed: ModuleNotFoundError"):
        catalogue.load("bad")
    with pytest.raises(catalogue.BrokenRecipe, match=r"mine\.empty declares no RECIPE"):
        catalogue.load("empty")
