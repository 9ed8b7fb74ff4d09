"""The module of every recipe as a program: a quick run without prepared data, a network or a run directory."""

import json

import pytest

from tests.recipes.every import CASES, ENTRY_POINTS, run_every


@pytest.fixture(scope="module")
def quick_runs(tmp_path_factory):
    """Run every recipe in one process, because a process imports TensorFlow for longer than many of them train."""
    folder = tmp_path_factory.mktemp("quick")
    run_every("quick", folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_a_quick_run_is_marked(name, quick_runs):
    result = json.loads((quick_runs / f"{name}.json").read_text())
    assert result["code"] == 0, result["errors"][-3000:]
    printed = " ".join(result["printed"].split()).lower()
    assert "smoke run, not a result" in printed
    stand_in = CASES[name].stand_in  # the case with the default data
    assert ("standing in for" in printed, "not comparable with the paper" in printed) == (stand_in, stand_in)
