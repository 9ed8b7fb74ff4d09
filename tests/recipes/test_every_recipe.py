"""Tests of every recipe: a kill during training, a new process, the command line, and the declarations."""

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import yaml

from deepkit.recipe import Deviation, applies
from deepkit.training import checkpoint
from tests.recipes.every import CASES, ENTRY_POINTS, RESUMED, ROOT

each_case = pytest.mark.parametrize("name", CASES)
each_resumed_case = pytest.mark.parametrize("name", RESUMED)
each_recipe = pytest.mark.parametrize("name", ENTRY_POINTS)


def run_module(empty, *arguments):
    """Run a module without prepared data and without a network."""
    no_proxy = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    environment = {**os.environ, **no_proxy, "TFDS_DATA_DIR": str(empty), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=empty, env=environment)


def train(folder, names, killed=0):
    return run_module(folder, "tests.recipes.every", "train", folder, killed, *names)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    completed = train(folder, CASES)
    assert completed.returncode == 0, completed.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """Kill every case during training, inspect its folder, and run it again."""
    folder = tmp_path_factory.mktemp("killed")
    killed_runs = {}
    for name in RESUMED:
        killed = train(folder, [name], CASES[name].killed)
        checkpoints = [path.parent for path in sorted((folder / name).rglob("checkpoint.zip"))]
        epochs = [checkpoint.load(path).epoch for path in checkpoints if not (path / "model.keras").exists()]
        finished = len(list((folder / name).rglob("model.keras")))
        killed_runs[name] = SimpleNamespace(process=killed, epochs=epochs, finished=finished)
    completed = train(folder, RESUMED)
    assert completed.returncode == 0, completed.stderr[-3000:]
    return SimpleNamespace(folder=folder, killed_runs=killed_runs)


@pytest.fixture(scope="module")
def loaded(uninterrupted):
    completed = run_module(uninterrupted, "tests.recipes.every", "load", uninterrupted, *RESUMED)
    assert completed.returncode == 0, completed.stderr[-3000:]
    return uninterrupted


def report(folder, name):
    error = folder / name / "error.txt"
    assert not error.exists(), error.read_text()
    return json.loads((folder / name / "report.json").read_text())


def variables_of(path):
    """Return all variables of a saved model: weights, seed generators and optimizers."""
    variables = {}

    def collect(name, item):
        if isinstance(item, h5py.Dataset):
            variables[name] = item[()]

    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(collect)
    return variables


def test_every_recipe_has_a_case():
    assert {case.recipe for case in CASES.values()} == set(ENTRY_POINTS)


@pytest.mark.slow
@each_resumed_case
def test_resumed_run_is_bit_exact(name, uninterrupted, resumed):
    case, killed = CASES[name], resumed.killed_runs[name]
    assert killed.process.returncode == -signal.SIGKILL, killed.process.stderr[-3000:]
    assert (killed.finished, killed.epochs) == (case.killed - 1, [1])
    assert report(resumed.folder, name)["measured"] == report(uninterrupted, name)["measured"]
    paths = sorted((uninterrupted / name).rglob("model.keras"))
    assert len(paths) == case.trainings
    for path in paths:
        relative_path = path.relative_to(uninterrupted)
        actual, expected = variables_of(resumed.folder / relative_path), variables_of(path)
        assert actual.keys() == expected.keys()
        for variable in expected:
            np.testing.assert_array_equal(actual[variable], expected[variable], err_msg=f"{relative_path}: {variable}")


@pytest.mark.slow
@each_resumed_case
def test_saved_model_predicts_the_same_in_a_new_process(name, loaded):
    report(loaded, name)
    outcomes = [path.with_name("loaded.txt").read_text() for path in sorted((loaded / name).rglob("model.keras"))]
    expected = dict.fromkeys(("vae", "gan"), "samples, outputs")
    expected |= dict.fromkeys(("translation", "arithmetic", "dates"), "translations")
    expected |= {"character_model": "texts", "captions": "captions"}
    assert outcomes == [expected.get(CASES[name].recipe, "outputs")] * CASES[name].trainings


@pytest.mark.slow
@each_case
def test_measured_metrics_are_explained_and_drawn(name, uninterrupted):
    recipe, content = CASES[name].load(), report(uninterrupted, name)
    explained = {metric.partition(", ")[0] for metric in recipe.metrics}  # "test error" of "test error, plain 10"
    assert {metric.partition(", ")[0] for metric in content["measured"]} <= explained
    claimed = {claim.metric for claim in recipe.claims_for(CASES[name].config(uninterrupted, name))}
    assert {metric.partition(", ")[0] for metric in claimed} <= {m.partition(", ")[0] for m in content["measured"]}
    assert all(np.all(np.isfinite(values)) for values in content["measured"].values())
    assert content["figures"]
    assert min(content["figures"].values()) > 1000  # bytes
    assert content["comparable"] is not CASES[name].stand_in


@pytest.mark.slow
@each_recipe
def test_quick_run_from_the_command_line_is_marked(name, tmp_path):
    completed = run_module(tmp_path, ENTRY_POINTS[name], "--quick")
    assert completed.returncode == 0, completed.stderr[-3000:]
    printed = " ".join(completed.stdout.split()).lower()
    assert "smoke run, not a result" in printed
    stand_in = any(case.stand_in for case in CASES.values() if case.recipe == name)
    assert ("standing in for" in printed, "not comparable with the paper" in printed) == (stand_in, stand_in)


@pytest.mark.slow
def test_two_devices_train_like_one(tmp_path):
    completed = run_module(tmp_path, "tests.recipes.two_devices")
    assert completed.returncode == 0, completed.stderr[-3000:]
    assert "all equal, strings refused" in completed.stdout


@each_recipe
def test_every_declaration_applies_to_some_config(name):
    recipe = next(case for case in CASES.values() if case.recipe == name).load()
    assert recipe.name == name
    assert recipe.deviations
    assert recipe.draw or recipe.draw_curves
    conditional = [item for item in (*recipe.claims, *recipe.deviations) if not isinstance(item, str)]
    for item in conditional:
        assert applies(item.when, recipe.config(**item.when)), item
    texts = [item.text if isinstance(item, Deviation) else item for item in recipe.deviations]
    assert all(text.strip() for text in (*texts, *recipe.metrics.values()))


def test_every_recipe_has_a_page():
    settings = (ROOT / "mkdocs.yml").read_text().replace("!ENV", "")  # a tag of MkDocs
    nav = yaml.safe_load(settings)["nav"]
    (entries,) = [section["Recipes"] for section in nav if "Recipes" in section]
    assert {f"recipes/{name}.md" for name in ENTRY_POINTS} <= pages_below(entries)


def pages_below(entry):
    """Return the paths of all pages of an entry of the navigation, which may have groups."""
    if isinstance(entry, str):
        return {entry}
    children = entry.values() if isinstance(entry, dict) else entry
    return set().union(*map(pages_below, children))
