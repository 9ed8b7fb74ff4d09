"""What every recipe must stand: a kill in mid-training, a new process, the command line, and its own declarations."""

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
from tests.recipes.every import CASES, POINTS, ROOT

each_case = pytest.mark.parametrize("name", CASES)
each_recipe = pytest.mark.parametrize("name", POINTS)


def process(empty, *arguments):
    """Run a module where no data is prepared and no network answers."""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    environment = {**os.environ, **nowhere, "TFDS_DATA_DIR": str(empty), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=empty, env=environment)


def train(folder, names, killed=0):
    return process(folder, "tests.recipes.every", "train", folder, killed, *names)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    done = train(folder, CASES)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def gone_on(tmp_path_factory):
    """Kill every case in its middle, note what it left, and run the same again."""
    folder = tmp_path_factory.mktemp("killed")
    left = {}
    for name, case in CASES.items():
        killed = train(folder, [name], case.killed)
        checkpoints = [path.parent for path in sorted((folder / name).rglob("checkpoint.zip"))]
        epochs = [checkpoint.load(path).epoch for path in checkpoints if not (path / "model.keras").exists()]
        whole = len(list((folder / name).rglob("model.keras")))
        left[name] = SimpleNamespace(process=killed, epochs=epochs, whole=whole)
    done = train(folder, CASES)
    assert done.returncode == 0, done.stderr[-3000:]
    return SimpleNamespace(folder=folder, left=left)


@pytest.fixture(scope="module")
def loaded(undisturbed):
    done = process(undisturbed, "tests.recipes.every", "load", undisturbed, *CASES)
    assert done.returncode == 0, done.stderr[-3000:]
    return undisturbed


def report(folder, name):
    error = folder / name / "error.txt"
    assert not error.exists(), error.read_text()
    return json.loads((folder / name / "report.json").read_text())


def weights(path):
    """Return everything that a saved model keeps in numbers: weights, seed generators, its optimisers."""
    found = {}

    def keep(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(keep)
    return found


def test_every_recipe_has_a_case():
    assert {case.recipe for case in CASES.values()} == set(POINTS)


@pytest.mark.slow
@each_case
def test_killed_in_mid_training_it_ends_with_the_same_bits(name, undisturbed, gone_on):
    case, left = CASES[name], gone_on.left[name]
    assert left.process.returncode == -signal.SIGKILL, left.process.stderr[-3000:]
    assert (left.whole, left.epochs) == (case.killed - 1, [1])
    assert report(gone_on.folder, name)["measured"] == report(undisturbed, name)["measured"]
    paths = sorted((undisturbed / name).rglob("model.keras"))
    assert len(paths) == case.trainings
    for path in paths:
        place = path.relative_to(undisturbed)
        ours, theirs = weights(gone_on.folder / place), weights(path)
        assert ours.keys() == theirs.keys()
        for variable in theirs:
            np.testing.assert_array_equal(ours[variable], theirs[variable], err_msg=f"{place}: {variable}")


@pytest.mark.slow
@each_case
def test_what_is_saved_answers_the_same_in_a_new_process(name, loaded):
    report(loaded, name)
    said = [path.with_name("loaded.txt").read_text() for path in sorted((loaded / name).rglob("model.keras"))]
    expected = {"vae": "samples, outputs", "gan": "samples, outputs", "translation": "translations"}
    assert said == [expected.get(CASES[name].recipe, "outputs")] * CASES[name].trainings


@pytest.mark.slow
@each_case
def test_what_is_measured_is_explained_and_drawn(name, undisturbed):
    recipe, found = CASES[name].load(), report(undisturbed, name)
    kinds = {metric.partition(", ")[0] for metric in recipe.metrics}  # "test error, plain 10" is as "test error, ..."
    assert {metric.partition(", ")[0] for metric in found["measured"]} <= kinds
    claimed = {claim.metric for claim in recipe.claims_for(CASES[name].config(undisturbed, name))}
    assert {metric.partition(", ")[0] for metric in claimed} <= {m.partition(", ")[0] for m in found["measured"]}
    assert all(np.all(np.isfinite(values)) for values in found["measured"].values())
    assert found["pictures"]
    assert min(found["pictures"].values()) > 1000  # bytes
    assert found["comparable"] is not CASES[name].stand_in


@pytest.mark.slow
@each_recipe
def test_quick_from_the_command_line_says_what_it_is(name, tmp_path):
    done = process(tmp_path, POINTS[name], "--quick")
    assert done.returncode == 0, done.stderr[-3000:]
    printed = " ".join(done.stdout.split()).lower()
    assert "smoke run, not a result" in printed
    stand_in = any(case.stand_in for case in CASES.values() if case.recipe == name)
    assert ("standing in for" in printed, "not comparable with the paper" in printed) == (stand_in, stand_in)


@pytest.mark.slow
def test_two_devices_train_as_one(tmp_path):
    done = process(tmp_path, "tests.recipes.two_devices")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "all equal, strings refused" in done.stdout


@each_recipe
def test_what_is_declared_can_apply(name):
    recipe = next(case for case in CASES.values() if case.recipe == name).load()
    assert recipe.name == name
    assert recipe.deviations
    assert recipe.draw is not None
    conditional = [part for part in (*recipe.claims, *recipe.deviations) if not isinstance(part, str)]
    for part in conditional:
        assert applies(part.when, recipe.config(**part.when)), part
    texts = [part.text if isinstance(part, Deviation) else part for part in recipe.deviations]
    assert all(text.strip() for text in (*texts, *recipe.metrics.values()))


def test_every_recipe_has_a_page():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    (pages,) = [section["Recipes"] for section in nav if "Recipes" in section]
    there = {path for page in pages if isinstance(page, dict) for path in page.values()}
    assert {f"recipes/{name}.md" for name in POINTS} <= there
