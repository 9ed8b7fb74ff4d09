from __future__ import annotations

import sys

import pytest

from deepkit.recipe import discovery
from tests.recipe_fakes import install

GOOD = '"""A good recipe.\n\nMore."""\nraise RuntimeError("imported")\nPAPER = Paper(title="T", year=1998)\n'


def test_entries_describe_recipes_without_importing_them(tmp_path, monkeypatch):
    install(monkeypatch, tmp_path, good=GOOD, broken="def (:\n")
    broken, good = discovery.entries()
    assert (good.name, good.summary, good.year, good.problem) == ("good", "A good recipe.", 1998, "")
    assert "invalid syntax" in broken.problem
    assert "mine" not in sys.modules


def test_the_entry_of_a_missing_module_has_its_problem():
    entry = discovery.describe("gone", "no_such_package.at_all")
    assert entry.problem == "module no_such_package.at_all has no source file"


def test_the_year_may_be_a_positional_argument():
    entry = discovery.describe("xor", "recipes.basics.xor")
    assert entry.year == 1986
    assert entry.summary.startswith("XOR by two layers")


def test_the_year_is_read_from_a_module_of_papers_without_importing_it(tmp_path, monkeypatch):
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
    years = {entry.name: entry.year for entry in discovery.entries()}
    assert years == {"good": 1843, "missing": None, "papers": None, "unknown": None}
    assert "mine" not in sys.modules


def test_an_unknown_name_raises_with_suggestions(tmp_path, monkeypatch):
    install(monkeypatch, tmp_path, lenet=GOOD, xor=GOOD)
    with pytest.raises(
        discovery.UnknownRecipe, match=r"there is no recipe 'lenett'; did you mean lenet\?\n  hint: run `deepkit list`"
    ):
        discovery.entry("lenett")
    with pytest.raises(discovery.UnknownRecipe, match="the recipes are: lenet, xor"):
        discovery.entry("zzzzzz")


def test_a_broken_recipe_raises_with_its_problem(tmp_path, monkeypatch):
    package = install(monkeypatch, tmp_path, bad="import no_such_thing\n", empty="")
    (package / "__init__.py").write_text("")
    with pytest.raises(discovery.BrokenRecipe, match=r"'bad': importing mine.bad failed: ModuleNotFoundError"):
        discovery.load("bad")
    with pytest.raises(discovery.BrokenRecipe, match=r"mine\.empty declares no RECIPE"):
        discovery.load("empty")
