"""Run directories: their files, their config and plan, and errors that lose nothing."""

import dataclasses
import errno
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.errors import CheckpointError, DivergedError, RunDirError
from deepkit.execution import devices
from deepkit.execution.plan import Measurement
from deepkit.training import checkpoint
from deepkit.training.run_dir import RunDir, stored_plan
from tests.execution.crashing import images, network


def train(folder, epochs=2, net=None, **kwargs):
    return dk.fit(net or network(), images(64), epochs=epochs, run_dir=folder, verbose=0, **kwargs)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != ".lock"}


def test_files_of_a_finished_run(tmp_path):
    run = train(tmp_path / "deep" / "run")
    names = {path.name for path in run.run_dir.iterdir()} - {".lock"}
    assert names == {
        "config.json",
        "checkpoint.zip",
        "checkpoint.previous.zip",
        "history.json",
        "history.csv",
        "result.json",
        "model.keras",
        "report.html",
        "figures",
    }
    assert json.loads((run.run_dir / "history.json").read_text()) == run.history
    assert (run.run_dir / "history.csv").read_text().splitlines()[0] == "epoch,accuracy,loss"
    config = json.loads((run.run_dir / "config.json").read_text())
    assert config["definition"] == repr(network())
    assert config["plan"]["seed"] == 0
    saved = keras.models.load_model(run.run_dir / "model.keras")
    for x, y in zip(saved.get_weights(), run.model.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_another_config_raises_with_the_differences(tmp_path):
    train(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(RunDirError, match=r"holds a run with another config(.|\n)*dropout=0.5(.|\n)*dropout=0.2"):
        train(tmp_path, net=network(dropout=0.2))
    with pytest.raises(RunDirError, match=r"plan.seed: stored 0, now 1"):
        train(tmp_path, plan=dk.plan(seed=1))
    with pytest.raises(RunDirError, match=r"optimizer: stored .*Adam.*, now .*SGD"):
        train(tmp_path, optimizer="sgd")
    with pytest.raises(RunDirError, match=r"the stored run; a schedule such as dk.OneCycle depends on epochs"):
        train(tmp_path, learning_rate=dk.OneCycle(0.4))
    assert contents(tmp_path) == before


def test_a_run_keeps_the_plan_it_began_with(tmp_path):
    measurement = Measurement("precision", "bfloat16", 5.0, (4.0, 6.0), 0.7, "kept")
    plan = dk.plan(precision="bfloat16", seed=3).replace(reason="measured", precision="bfloat16")
    plan = dataclasses.replace(plan, measurements=(measurement,))
    assert stored_plan(tmp_path) is None
    first = train(tmp_path, epochs=1, plan=plan)
    assert (first.plan.precision, first.measurements) == ("bfloat16", (measurement,))
    assert "<td>bfloat16</td>" in first.report.read_text()
    stored = stored_plan(tmp_path)
    assert (stored, stored.measurements, stored.reasons) == (plan, plan.measurements, plan.reasons)
    for requested in (None, dk.plan(precision="bfloat16", seed=3)):
        run = train(tmp_path, epochs=2, plan=requested)
        assert (run.plan, run.measurements, run.resume) == (first.plan, first.measurements, "exact")
    with pytest.raises(RunDirError, match=r"plan.precision: stored bfloat16, now float32"):
        train(tmp_path, plan=dk.plan(seed=3))
    with dk.plan(seed=4), pytest.raises(RunDirError, match=r"plan.seed: stored 3, now 4"):
        train(tmp_path)


def test_a_stored_plan_for_a_missing_device_raises(tmp_path, monkeypatch):
    train(tmp_path, plan=dk.plan(devices="CPU:0"))
    monkeypatch.setattr(devices, "available", lambda: ("CPU:1", "GPU:0"))
    with pytest.raises(RunDirError, match="holds a run on CPU:0, and TensorFlow offers CPU:1, GPU:0 here"):
        train(tmp_path)


@pytest.mark.parametrize(
    "damage",
    ["{", "[3]", "{}", '{"requested_plan": [3]}', '{"requested_plan": {"devices": 3}}']
    + [f'{{"requested_plan": {{"measurements": {rows}}}}}' for rows in ('[{"speed": 1}]', "[3]", "3")],
)
def test_a_damaged_config_raises(tmp_path, damage):
    train(tmp_path, epochs=1)
    (tmp_path / "config.json").write_text(damage)
    with pytest.raises(RunDirError, match=r"config.json is damaged .*\n  hint: restore the file from a backup, or use"):
        train(tmp_path, epochs=1)


def test_a_damaged_result_raises(tmp_path):
    train(tmp_path, epochs=1)
    (tmp_path / "result.json").write_text('{"epochs": 1}')
    with pytest.raises(RunDirError, match=r"result.json is damaged \('stopped' is missing\)"):
        train(tmp_path, epochs=1)


@pytest.mark.parametrize("damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b"", lambda raw: b"garbage" * 99])
def test_a_damaged_checkpoint_raises_and_nothing_is_deleted(tmp_path, damage):
    train(tmp_path, epochs=2)
    newest = tmp_path / checkpoint.NAME
    newest.write_bytes(damage(newest.read_bytes()))
    before = contents(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        train(tmp_path, epochs=3)
    assert "is not a complete checkpoint" in str(caught.value)
    assert "to resume from epoch 1: the previous checkpoint is intact" in str(caught.value)
    assert contents(tmp_path) == before
    (tmp_path / checkpoint.PREVIOUS).replace(newest)  # as the hint says
    assert train(tmp_path, epochs=3).epochs == 3


def test_a_flipped_byte_is_detected(tmp_path):
    train(tmp_path)
    newest = tmp_path / checkpoint.NAME
    raw = bytearray(newest.read_bytes())
    raw[len(raw) // 2] ^= 1
    newest.write_bytes(bytes(raw))
    with pytest.raises(CheckpointError, match="is not a complete checkpoint"):
        train(tmp_path, epochs=3)


def test_a_path_that_cannot_be_a_directory_raises_before_training(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunDirError, match=r"cannot be written: .*; nothing was trained"):
            train(folder)
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_directory_that_is_not_writable_raises_before_training(tmp_path, monkeypatch):
    def refuse(path, content):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr("deepkit.utils.files.atomic_write", refuse)
    with pytest.raises(RunDirError, match="Read-only file system; nothing was trained"):
        train(tmp_path)


def test_a_full_disk_loses_nothing_and_the_run_resumes_later(tmp_path, monkeypatch):
    save = checkpoint.save

    def full(folder, state):
        if state.epoch == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(folder, state)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save", full)
        with pytest.raises(RunDirError, match="No space left on device; epoch 2 is not saved, earlier epochs are"):
            train(tmp_path, epochs=3)
    assert checkpoint.load(tmp_path).epoch == 1
    resumed, uninterrupted = train(tmp_path, epochs=3), train(tmp_path / "other", epochs=3)
    assert resumed.history == uninterrupted.history


def test_a_checkpoint_is_written_atomically(tmp_path, monkeypatch):
    train(tmp_path)
    before = contents(tmp_path)[checkpoint.NAME]
    state = checkpoint.load(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(errno.EIO, "cut")))
    with pytest.raises(OSError, match="cut"):
        checkpoint.save(tmp_path, state)
    assert (tmp_path / checkpoint.NAME).read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if "unfinished" in path.name]


def test_a_second_process_raises(tmp_path):
    code = f"""
import deepkit as dk
from tests.execution.test_run_dir import train
try:
    train({str(tmp_path)!r})
except OSError as error:
    print(error)
"""
    with RunDir(tmp_path).lock():
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"is in use by process {os.getpid()}" in process.stdout
    assert train(tmp_path).epochs == 2  # the lock is released


def diverging(tmp_path, activation):
    x, y = images(64)
    x[40] = np.nan
    net = dk.Sequential([dk.MLP([4], activation=activation), dk.Classifier(2)])
    with pytest.raises(DivergedError) as caught:
        dk.fit(net, tf.data.Dataset.from_tensor_slices((x, y)).batch(16), epochs=3, run_dir=tmp_path, verbose=0)
    stored = checkpoint.load(tmp_path)
    assert (caught.value.epoch, stored.epoch) == (1, 0)
    assert all(np.all(np.isfinite(value)) for _, value in stored.variables["model"])
    assert not (tmp_path / "model.keras").exists()
    return str(caught.value)


def test_a_loss_that_is_nan(tmp_path):
    text = diverging(tmp_path, "tanh")
    assert "the loss became nan in epoch 1, step" in text
    assert "data: expected finite numbers in x, received NaN or infinity in batch 3" in text
    assert "hint: fill the missing values or remove these examples" in text


def test_weights_that_are_nan_although_the_loss_is_finite(tmp_path):
    assert "the weight mlp.dense/kernel became NaN or infinite in epoch 1" in diverging(tmp_path, "relu")


def test_a_diverged_model_is_restored_to_its_last_good_state(tmp_path):
    class SetRateToNaN(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                self.model.optimizer.learning_rate.assign(float("nan"))

    model = network().build((6, 6, 1))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(DivergedError, match="the model is back at the end of epoch 2"):
        dk.fit(model, images(64), epochs=5, batch_size=16, run_dir=tmp_path, callbacks=[SetRateToNaN()], verbose=0)
    stored = checkpoint.load(tmp_path)
    for variable, (path, value) in zip(model.variables, stored.variables["model"], strict=True):
        np.testing.assert_array_equal(variable, value, err_msg=path)


@pytest.mark.parametrize("name", ["report.html", "history.csv", "checkpoint.previous.zip", "figures/plot.png", ".lock"])
def test_files_of_another_program_are_not_overwritten(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("of another program")
    (tmp_path / "notes.txt").write_text("a note")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunDirError, match=rf"would overwrite {name.split('/')[0]}; nothing was written\n  hint: use"):
        train(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / name).read_text() == "of another program"


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ('{"name": "of another program"}', r"would overwrite config\.json, model\.keras"),
        ("not JSON", r"config\.json is damaged"),
        ("[1]", r"config\.json is damaged"),
    ],
)
def test_the_config_of_another_program_is_not_overwritten(tmp_path, config, text):
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "model.keras").mkdir()
    for function in (train, stored_plan):
        with pytest.raises(RunDirError, match=text):
            function(tmp_path)
    assert (tmp_path / "config.json").read_text() == config
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.keras"]


def test_other_files_in_a_run_dir_are_unchanged(tmp_path, no_report):
    (tmp_path / "notes.txt").write_text("a note")
    (tmp_path / ".unfinished-12-essay").write_text("an essay")
    process = subprocess.Popen(["true"])
    process.wait()
    (tmp_path / f".deepkit-unfinished-{process.pid}-model.keras").write_text("half a model")
    (tmp_path / ".lock").write_text("4711")  # of a process that was killed before it wrote anything else
    train(tmp_path, epochs=1)
    assert (tmp_path / "notes.txt").read_text() == "a note"
    assert (tmp_path / ".unfinished-12-essay").read_text() == "an essay"
    assert not list(tmp_path.glob(".deepkit-*"))


@pytest.mark.parametrize(
    ("path", "error", "text"),
    [
        ("", ValueError, r"run_dir must be the path of a directory, received ''\n  hint: use run_dir='runs/first'"),
        ("  ", ValueError, "run_dir must be the path of a directory"),
        (3, TypeError, r"run_dir must be a string or a pathlib.Path, received 3\n  hint: use run_dir='runs/first'"),
        (b"run", TypeError, r"run_dir must be a string or a pathlib.Path, received b'run'"),
        (["run"], TypeError, r"run_dir must be a string or a pathlib.Path, received \['run'\]"),
    ],
)
def test_a_run_dir_that_is_not_a_path(path, error, text):
    with pytest.raises(error, match=text):
        train(path)


def test_a_run_dir_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(RunDirError, match="it is a file, not a directory; nothing was trained\n  hint: pass the path"):
        train(tmp_path / "file")
