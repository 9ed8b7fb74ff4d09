"""Run directories: damaged, missing and swapped files are named; a kill between two writes is not damage."""

import contextlib
import errno
import json
import os
import re
import resource
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from deepkit.errors import CheckpointError, RunDirError
from deepkit.training import checkpoint, stored_config
from deepkit.training.run_dir import RunDir
from tests.execution.test_resume import assert_same_state

X = np.random.default_rng(0).random((32, 3)).astype("float32")
Y = np.arange(32) % 2


def train(folder, epochs=2):
    net = dk.Sequential([layers.Normalization(), dk.MLP([4], dropout=0.5), dk.Classifier(2)])
    return dk.fit(net, (X, Y), epochs=epochs, run_dir=folder, plan=dk.plan(seed=3), verbose=0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return the directories of two finished runs of the same config, and one of a finished run with more epochs."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("deepkit.training.run_report.write", lambda *args: None)
        train(folder / "first", 2)
        train(folder / "second", 2)
        shutil.copytree(folder / "first", folder / "longer")
        train(folder / "longer", 3)
    return folder


@pytest.fixture(params=["finished", "interrupted"])
def run(runs, tmp_path, request):
    """Return the directory of a run with two epochs: with its result, or as it was before the result was written."""
    folder = tmp_path / "run"
    shutil.copytree(runs / "first", folder)
    if request.param == "interrupted":
        for name in ("result.json", "model.keras"):
            (folder / name).unlink()
    return folder


def finished(runs, tmp_path):
    return Path(shutil.copytree(runs / "first", tmp_path / "finished"))


def error(folder):
    """Return the error of a call in the directory, which changes no file."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises((RunDirError, CheckpointError)) as caught, RunDir(folder).lock():
        pass
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    after.pop(folder / ".lock", None)
    before.pop(folder / ".lock", None)
    assert after == before
    return caught.value


def flip(path, position=0.5):
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 1
    path.write_bytes(content)


FILES = ("config.json", "preprocessing.json", "checkpoint.zip", "history.json")


def test_an_intact_run_raises_nothing(run):
    with RunDir(run).lock() as directory:
        content = directory.verify()
    assert content.checkpoint.epoch == 2
    assert (content.result is None) == (not (run / "model.keras").exists())


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "replace", "directory"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file(run, name, damage):
    path = run / name
    content = path.read_bytes()
    if damage == "directory":
        path.unlink()
        path.mkdir()
    elif damage == "flip":
        path.write_bytes(content.replace(b"0", b"1", 1) if name != "checkpoint.zip" else content.replace(b"0.", b"1."))
    else:
        path.write_bytes({"truncate": content[: len(content) // 2], "empty": b"", "replace": b"{}"}[damage])
    caught = error(run)
    assert str(path) in caught.problem
    assert caught.hint
    assert damage != "directory" or re.search("it is a directory|is a directory, expected", caught.problem)


@pytest.mark.parametrize("name", FILES[:3])
def test_a_file_of_another_run_with_the_same_config(runs, run, name):
    shutil.copy(runs / "second" / name, run / name)
    if name == "preprocessing.json":  # the same data gives the same statistics
        with RunDir(run).lock():
            return
    caught = error(run)
    assert f"{run / name} belongs to another run than" in caught.problem
    assert isinstance(caught, CheckpointError if name == "checkpoint.zip" else RunDirError)


def test_statistics_of_other_data_are_named(run):
    path = run / "preprocessing.json"
    states = json.loads(path.read_text())
    path.write_text(json.dumps(states).replace("0.", "1."))
    assert error(run).problem == f"run_dir: {path} is damaged (its checksum is not the one in config.json)"


@pytest.mark.parametrize("name", FILES[:3])
def test_a_missing_file(run, name):
    (run / name).unlink()
    (run / checkpoint.PREVIOUS).unlink()
    caught = error(run)
    assert f"{run / name} is missing, although" in caught.problem
    assert caught.hint == "restore the file from a backup, or use another run_dir"


@pytest.mark.parametrize(
    ("missing", "evidence"),
    [
        ((), "result.json is that of a finished run of 2 epochs and checkpoint.zip is that of a run after 2 epochs"),
        (("result.json",), "checkpoint.zip is that of a run after 2 epochs"),
        (("checkpoint.zip", "checkpoint.previous.zip"), "result.json is that of a finished run of 2 epochs"),
    ],
)
def test_a_missing_config_is_named_before_the_model_is_built(runs, tmp_path, missing, evidence):
    folder = finished(runs, tmp_path)
    for name in ("config.json", *missing):
        (folder / name).unlink()
    with pytest.raises(RunDirError) as caught:
        train(folder)
    assert str(caught.value) == (
        f"run_dir: {folder / 'config.json'} is missing, although {evidence}; nothing was changed\n"
        "  hint: restore the file from a backup, or use another run_dir"
    )


def test_a_run_of_an_earlier_version_is_named(runs, tmp_path):
    folder = finished(runs, tmp_path)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for name in ("run_id", "checksums", "checksum"):
        del config[name]
    path.write_text(json.dumps(config))
    caught = error(folder)
    assert caught.problem == (
        f"run_dir: {folder} holds a run of an earlier version of deepkit, which wrote no checksums; nothing was changed"
    )
    assert caught.hint == "use another run_dir, or continue with that version"


def test_a_link_to_a_missing_file_is_not_overwritten(tmp_path):
    (tmp_path / "model.keras").symlink_to("missing.keras")
    with pytest.raises(RunDirError, match=r"would overwrite model\.keras; nothing was written"):
        train(tmp_path)
    assert os.readlink(tmp_path / "model.keras") == "missing.keras"


def test_a_run_that_begins_during_the_check_is_not_a_foreign_file(runs, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    is_run = stored_config.is_run

    def begin(path):
        shutil.copytree(runs / "first", folder)
        return is_run(path)

    monkeypatch.setattr(stored_config, "is_run", begin)
    RunDir(folder).check_files()


def test_all_checkpoints_are_missing(run):
    for name in (checkpoint.NAME, checkpoint.PREVIOUS):
        (run / name).unlink()
    is_finished = (run / "result.json").exists()
    evidence = "result.json is that of a finished run of 2 epochs" if is_finished else "history.json lists finished"
    assert f"{run / checkpoint.NAME} is missing, although {evidence}" in error(run).problem


def test_a_swapped_checkpoint_names_the_previous_one_if_that_belongs_to_the_run(runs, run):
    newest, previous = run / checkpoint.NAME, run / checkpoint.PREVIOUS
    shutil.copy(runs / "second" / checkpoint.NAME, newest)
    assert error(run).hint == f"run `mv {previous} {newest}`, to resume from epoch 1: the previous checkpoint is intact"
    shutil.copy(runs / "second" / checkpoint.PREVIOUS, previous)
    assert "belong" in error(run).problem


def test_a_checkpoint_with_nan_is_refused(run):
    path = run / checkpoint.NAME
    stored = checkpoint.load(run)
    stored.variables["model"][-1] = (stored.variables["model"][-1][0], np.full(2, np.nan, "float32"))
    checkpoint.save(run, stored)
    with RunDir(run).lock() as directory, pytest.raises(CheckpointError) as caught:
        directory.load_checkpoint()
    assert f"{path} holds NaN or infinity in the weight" in caught.value.problem
    assert "to resume from epoch 2: the previous checkpoint is intact" in caught.value.hint


def test_a_damaged_model(runs, tmp_path):
    folder = finished(runs, tmp_path)
    flip(folder / "model.keras")
    caught = error(folder)
    assert caught.problem == (
        f"run_dir: {folder / 'model.keras'} is damaged (its checksum is not the one in result.json)"
    )
    assert caught.hint == "move it away: the same call writes it again from the checkpoint"


def test_a_directory_in_place_of_the_model(runs, tmp_path):
    folder = finished(runs, tmp_path)
    (folder / "model.keras").unlink()
    (folder / "model.keras").mkdir()
    caught = error(folder)
    assert caught.problem == f"run_dir: {folder / 'model.keras'} is damaged (it is a directory)"
    assert caught.hint == "move it away: the same call writes it again from the checkpoint"


def test_a_swapped_model_and_its_hint(runs, tmp_path, capsys, no_report):
    folder = finished(runs, tmp_path)
    weights = keras.models.load_model(folder / "model.keras").get_weights()
    shutil.copy(runs / "longer" / "model.keras", folder / "model.keras")
    with pytest.raises(RunDirError) as caught:
        train(folder)
    assert str(caught.value) == (
        f"run_dir: {folder / 'model.keras'} is not the model that the run saved: its checksum is not the one in "
        "result.json, so it was replaced, for instance by the model of another run\n"
        "  hint: move it away: the same call writes it again from the checkpoint"
    )
    (folder / "model.keras").unlink()  # as the hint says
    run = train(folder)
    assert f"{folder / 'model.keras'} is missing: it is written again from checkpoint.zip" in capsys.readouterr().out
    loaded = keras.models.load_model(folder / "model.keras")
    for expected, value, saved in zip(weights, run.model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(value, expected)
        np.testing.assert_array_equal(saved, expected)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text.replace('"epochs": 2', '"epochs": 3'), "its content does not have the checksum in it"),
        (lambda text: text[:50], "Expecting|Unterminated|delimiter"),
        (lambda text: "", "Expecting value"),
        (lambda text: "[1]", "expected a JSON object, received list"),
        (lambda text: "{}", "'epochs' is missing"),
        (lambda text: text.replace("checksum", "sum"), "it has no checksum"),
        (lambda text: "[" * 100_000, "maximum recursion depth"),
    ],
)
def test_a_damaged_result(runs, tmp_path, damage, reason):
    folder = finished(runs, tmp_path)
    path = folder / "result.json"
    path.write_text(damage(path.read_text()))
    caught = error(folder)
    assert caught.problem.startswith(f"run_dir: {path} is damaged (")
    assert any(part in caught.problem for part in reason.split("|"))
    assert caught.hint == "move it away: the same call writes it again from the checkpoint"


def test_a_result_of_another_run(runs, tmp_path):
    folder = finished(runs, tmp_path)
    shutil.copy(runs / "second" / "result.json", folder / "result.json")
    assert error(folder).problem == (
        f"run_dir: {folder / 'result.json'} belongs to another run than config.json, checkpoint.zip and "
        "checkpoint.previous.zip; nothing was changed"
    )


def test_a_missing_history_is_written_again(runs, run, capsys):
    for name in ("history.json", "history.csv"):
        (run / name).unlink()
    with RunDir(run).lock():
        pass
    assert (
        f"history.json and history.csv missing in {run}: written again from checkpoint.zip" in capsys.readouterr().out
    )
    for name in ("history.json", "history.csv"):
        assert (run / name).read_bytes() == (runs / "first" / name).read_bytes()


def test_a_kill_between_the_two_renames_of_a_checkpoint_is_printed(run, capsys):
    (run / checkpoint.NAME).unlink()
    with RunDir(run).lock() as directory:
        assert directory.load_checkpoint().epoch == 1
    assert (
        "checkpoint.zip is missing, as after a kill while it was written: checkpoint.previous.zip replaces it, with "
        "the state after epoch 1" in capsys.readouterr().out
    )


def test_a_finished_run_whose_user_returned_to_the_previous_checkpoint(runs, tmp_path, no_report, capsys):
    folder = finished(runs, tmp_path)
    (folder / checkpoint.PREVIOUS).replace(folder / checkpoint.NAME)
    (folder / "history.csv").unlink()
    run = train(folder)
    assert (run.epochs, len(run.history["loss"])) == (2, 2)
    assert run.seconds == json.loads((folder / "result.json").read_text())["seconds"]
    for name in ("history.json", "history.csv"):
        assert (folder / name).read_bytes() == (runs / "first" / name).read_bytes()
    assert f"history.csv missing in {folder}: written again from result.json" in capsys.readouterr().out


class Snapshots:
    """Copies a run directory before every rename and removal in it: the states that a kill can leave.

    The state after a rename is that before the next one, which can have an additional temporary file.
    """

    def __init__(self, folder, target):
        self.folder, self.target, self.paths = folder, target, []

    def recording(self, function):
        def call(*args, **kwargs):
            self.paths.append(self.target / f"{len(self.paths):03}-{Path(args[-1]).name}")
            shutil.copytree(self.folder, self.paths[-1])
            return function(*args, **kwargs)

        return call

    @contextlib.contextmanager
    def record(self):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(os, "replace", self.recording(os.replace))
            patched.setattr(os, "unlink", self.recording(os.unlink))
            yield


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory):
    """Return the states of a run of two epochs that continues with a third one."""
    folder = tmp_path_factory.mktemp("recorded")
    recorder = Snapshots(folder / "run", folder / "snapshots")
    with recorder.record():
        train(folder / "run", 2)
        train(folder / "run", 3)
    return recorder


def test_no_kill_between_two_writes_looks_like_damage(snapshots, tmp_path):
    written = {path.name.partition("-")[2] for path in snapshots.paths}
    assert {
        "config.json",
        "preprocessing.json",
        "checkpoint.zip",
        "history.csv",
        "model.keras",
        "result.json",
    } <= written
    assert len(snapshots.paths) > 30
    for path in snapshots.paths:
        folder = tmp_path / path.name
        shutil.copytree(path, folder)
        with RunDir(folder).lock() as directory:
            directory.load_checkpoint()
            directory.fitted_states()
            directory.verify()
        assert not list(folder.glob(".deepkit-*"))


@pytest.mark.slow
def test_a_run_killed_between_any_two_writes_ends_with_the_same_state(snapshots, tmp_path, no_report):
    for path in snapshots.paths:
        folder = tmp_path / path.name
        shutil.copytree(path, folder)
        run = train(folder, 3)
        assert run.epochs == 3
        assert_same_state(folder, snapshots.folder)
        loaded = keras.models.load_model(folder / "model.keras")
        for value, expected in zip(loaded.get_weights(), run.model.get_weights(), strict=True):
            np.testing.assert_array_equal(value, expected)
        assert (folder / "history.json").read_bytes() == (snapshots.folder / "history.json").read_bytes()


def fail_to_write(monkeypatch, name):
    """Let the disk be full while a file with a name is written."""
    fsync = os.fsync

    def fail(descriptor):
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)


CONSEQUENCES = {
    "config.json": "the config of the run is not saved, and nothing was trained",
    "preprocessing.json": "the preprocessing layers are not saved, and nothing was trained",
    "checkpoint.zip": "epoch 0 is not saved, earlier epochs are",
    "history.json": "epoch 0 is saved, its history is only in the checkpoint",
    "history.csv": "epoch 0 is saved, its history is only in the checkpoint",
    "model.keras": "the last checkpoint is complete",
    "result.json": "the last checkpoint is complete",
    "curves.png": "the model is saved, its report is not",
    "report.html": "the model is saved, its report is not",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CONSEQUENCES)
def test_a_full_disk_while_a_file_is_written(runs, tmp_path, monkeypatch, name):
    with monkeypatch.context() as patched:
        fail_to_write(patched, name)
        with pytest.raises(RunDirError) as caught:
            train(tmp_path)
    assert str(caught.value) == (
        f"run_dir: writing to {tmp_path} failed: No space left on device; {CONSEQUENCES[name]}\n"
        "  hint: free space on the disk and repeat the call: it resumes from there"
    )
    assert not list(tmp_path.rglob(".deepkit-*"))
    assert train(tmp_path).report is not None
    assert_same_state(tmp_path, runs / "first")


def test_an_error_of_hdf5_on_a_full_disk_is_a_disk_error(tmp_path):
    text = "Unable to flush file (file write failed: errno = 28, error message = 'No space left on device')"
    directory = RunDir(tmp_path)
    expected = "failed: No space left on device; nothing is saved\n  hint: free space"
    with pytest.raises(RunDirError, match=expected), directory.convert_disk_errors("nothing is saved"):
        raise RuntimeError(text)
    with pytest.raises(RuntimeError, match="another reason"), directory.convert_disk_errors("nothing is saved"):
        raise RuntimeError("another reason")


@contextlib.contextmanager
def limited_file_size(size):
    """Let writes beyond a size fail, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_real_write_error_of_the_model_keeps_the_earlier_end(runs, tmp_path, no_report):
    folder = finished(runs, tmp_path)
    before = {name: (folder / name).read_bytes() for name in ("model.keras", "result.json")}
    size = (folder / "checkpoint.zip").stat().st_size + 2000
    assert size < len(before["model.keras"])
    with limited_file_size(size), pytest.raises(RunDirError) as caught:
        train(folder, 3)
    assert f"writing to {folder} failed: File too large; the last checkpoint is complete" in caught.value.problem
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert train(folder, 3).epochs == 3
    assert_same_state(folder, runs / "longer")


def test_a_real_write_error_of_the_config(tmp_path):
    with limited_file_size(100), pytest.raises(RunDirError, match="failed: File too large; the config of the run is"):
        train(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock"]
