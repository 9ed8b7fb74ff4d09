"""Tests of every recipe: a training that was interrupted, a new process, and the declarations."""

import io
import json
import zipfile
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import yaml

from deepkit.recipe import Deviation, applies
from deepkit.training import checkpoint
from tests.recipes.every import CASES, ENTRY_POINTS, RESUMED, ROOT, run_every

each_case = pytest.mark.parametrize("name", CASES)
each_resumed_case = pytest.mark.parametrize("name", RESUMED)
each_recipe = pytest.mark.parametrize("name", ENTRY_POINTS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train every case, and copy its folder within the second epoch of one of its trainings."""
    folder = tmp_path_factory.mktemp("recipes")
    runs, copies, finished = folder / "runs", folder / "copies", folder / "finished"
    runs.mkdir()
    run_every("train", runs, copies)
    runs.rename(finished)
    copies.rename(runs)  # the config of a run can have its path
    return SimpleNamespace(runs=finished, copies=runs)


@pytest.fixture(scope="module")
def resumed(trained):
    """Inspect the copied folders, and finish their trainings."""
    unfinished = {}
    for name in RESUMED:
        checkpoints = [path.parent for path in sorted((trained.copies / name).rglob("checkpoint.zip"))]
        epochs = [checkpoint.load(path).epoch for path in checkpoints if not (path / "model.keras").exists()]
        finished = len(list((trained.copies / name).rglob("model.keras")))
        unfinished[name] = SimpleNamespace(epochs=epochs, finished=finished)
    run_every("resume", trained.copies)
    return SimpleNamespace(folder=trained.copies, unfinished=unfinished)


@pytest.fixture(scope="module")
def loaded(trained):
    run_every("load", trained.runs)
    return trained.runs


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
def test_resumed_run_is_bit_exact(name, trained, resumed):
    case, unfinished, uninterrupted = CASES[name], resumed.unfinished[name], trained.runs
    assert (unfinished.finished, unfinished.epochs) == (case.copied - 1, [1])
    finished = report(resumed.folder, name)
    assert finished["measured"] == report(uninterrupted, name)["measured"]
    assert finished["trainings"] == case.trainings - unfinished.finished  # finished trainings are not repeated
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
    paths = sorted((loaded / name).rglob("model.keras"))
    outcomes = [path.with_name("loaded.txt").read_text() for path in paths]
    expected = dict.fromkeys(("vae", "gan", "helmholtz", "rbm"), "samples, outputs")
    expected |= dict.fromkeys(("translation", "arithmetic", "dates"), "translations")
    expected |= {"character_model": "texts", "captions": "captions"}
    expected_outcomes = [expected.get(CASES[name].recipe, "outputs")] * CASES[name].trainings
    if CASES[name].recipe in ("dbn", "deep_autoencoder"):  # a deep belief network, then networks with its layers
        expected_outcomes[[path.parent.name for path in paths].index("pretraining")] = "samples, outputs"
    assert outcomes == expected_outcomes


@pytest.mark.slow
@each_case
def test_measured_metrics_are_explained_and_drawn(name, trained):
    recipe, content = CASES[name].load(), report(trained.runs, name)
    measured = base_names(content["measured"])
    assert measured <= base_names(recipe.metrics)
    claims = recipe.claims_for(CASES[name].config(trained.runs, name))
    assert base_names(claim.metric for claim in claims) <= measured
    assert all(np.all(np.isfinite(values)) for values in content["measured"].values())
    assert content["figures"]
    assert min(content["figures"].values()) > 1000  # bytes
    assert content["comparable"] is not CASES[name].stand_in


@pytest.mark.slow
@each_recipe
def test_every_explained_metric_is_measured(name, trained):
    cases = [key for key, case in CASES.items() if case.recipe == name]
    measured = [metric for key in cases for metric in report(trained.runs, key)["measured"]]
    assert base_names(measured) == base_names(CASES[cases[0]].load().metrics)


def base_names(metrics):
    """Return the names of metrics without their variants: "test error" of "test error, plain 10"."""
    return {metric.partition(", ")[0] for metric in metrics}


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
