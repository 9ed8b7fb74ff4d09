from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from deepkit.cli import main as cli
from deepkit.recipe import discovery, groups
from deepkit.recipe.discovery import RecipeEntry, UnknownRecipe

ENTRIES = [
    RecipeEntry("circle", "ours.small.circle", "A circle.", 1998),
    RecipeEntry("line", "ours.small.line", "A line."),
    RecipeEntry("net", "ours.large.net", "A network."),
    RecipeEntry("alone", "alone", "A module without a package."),
]


@pytest.fixture(autouse=True)
def recipes(monkeypatch, tmp_path):
    for package, text in (("small", '"""Small things.\n\nMore."""\n'), ("large", "")):
        folder = tmp_path / "ours" / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(f"{text}raise RuntimeError('the package was imported')\n")
    (tmp_path / "ours" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(discovery, "entries", lambda: ENTRIES)


def test_the_groups_are_the_packages_and_nothing_is_imported():
    listed = {group.name: (group.summary, [entry.name for entry in group.entries]) for group in groups.groups()}
    assert listed == {
        "alone": ("", ["alone"]),
        "large": ("", ["net"]),
        "small": ("Small things.", ["circle", "line"]),
    }
    assert "ours.small" not in sys.modules


def test_an_unknown_group_raises_with_a_suggestion():
    with pytest.raises(
        UnknownRecipe, match="there is no group 'smalls'; did you mean 'small'\\?\n  hint: run `deepkit"
    ):
        groups.find_group("smalls")


def test_list_shows_all_groups_or_one(capsys):
    assert cli.main(["list"]) == 0
    output = capsys.readouterr().out
    assert all(entry.name in output for entry in ENTRIES)
    assert cli.main(["list", "small"]) == 0
    output = capsys.readouterr().out
    assert "small" in output
    assert "circle" in output
    assert "net" not in output
    assert cli.main(["list", "medium"]) == 2
    assert "there is no group 'medium'; the groups are" in capsys.readouterr().err


@pytest.fixture
def commands(monkeypatch):
    """Record the commands of a group in place of running them; the recipe `circle` fails."""
    calls = []

    def run_command(command, check):
        calls.append(command[1:])
        return SimpleNamespace(returncode=int("circle" in command))

    monkeypatch.setattr(subprocess, "run", run_command)
    return calls


def test_a_group_runs_each_recipe_in_a_process_and_goes_on_after_a_failure(commands, tmp_path, capsys):
    arguments = ["--quick", "--seeds", "1", "--run-dir", str(tmp_path)]  # 1 is not the default of every recipe
    assert cli.main(["run", "small", *arguments]) == 1
    assert commands == [
        ["-m", "deepkit", "run", name, *arguments, "--run-dir", str(tmp_path / name)] for name in ("circle", "line")
    ]
    output = capsys.readouterr().out
    assert "[2 of 2] deepkit run line" in output
    assert "failed: circle; run each alone with --traceback" in output


def test_a_group_without_flags_leaves_the_settings_of_its_recipes(commands):
    assert cli.main(["run", "large"]) == 0
    assert commands == [["-m", "deepkit", "run", "net"]]


def test_a_flag_that_not_all_recipes_have_is_refused(commands, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["run", "small", "--learning-rate", "1"])
    assert "Unrecognized options: --learning-rate" in capsys.readouterr().err
    assert commands == []


def test_a_file_that_cannot_be_recorded_is_refused_before_the_first_recipe(commands, tmp_path, capsys):
    assert cli.main(["run", "small", "--quick", "--record", str(tmp_path / "results.json")]) == 1
    assert "--quick is a smoke run, not a result, and is not recorded" in capsys.readouterr().err
    assert not commands


def test_a_name_close_to_a_group_is_suggested(commands, capsys):
    assert cli.main(["run", "smalls"]) == 2
    assert "there is no recipe 'smalls'; did you mean the group small?" in capsys.readouterr().err


def test_a_recipe_comes_before_a_group_of_its_name(commands, monkeypatch):
    loaded = []
    monkeypatch.setattr(cli, "_load_recipe", lambda args, command: loaded.append(args[0]) or sys.exit(0))
    with pytest.raises(SystemExit):
        cli.main(["run", "alone"])
    assert loaded == ["alone"]
