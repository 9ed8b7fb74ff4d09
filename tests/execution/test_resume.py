"""Bit-exact resume: a run that was stopped ends with the weights of an uninterrupted run."""

import signal
import subprocess
import sys
import traceback

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.errors import RunDirError
from deepkit.training import checkpoint
from tests.execution import crashing


def process(*arguments):
    command = [sys.executable, "-m", "tests.execution.crashing", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def assert_same_state(first, second):
    """Compare the whole state of two runs: weights, seed generators, optimizer, history, callbacks."""
    a, b = checkpoint.load(first), checkpoint.load(second)
    assert (a.epoch, a.history) == (b.epoch, b.history)
    assert a.variables.keys() == b.variables.keys()
    for group in a.variables:
        for (path, x), (_, y) in zip(a.variables[group], b.variables[group], strict=True):
            np.testing.assert_array_equal(x, y, err_msg=path)
    for x, y in zip(a.callbacks, b.callbacks, strict=True):
        assert x.keys() == y.keys()
        for name in x:
            keras.tree.map_structure(np.testing.assert_array_equal, x[name], y[name])


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    done = process(folder, 4)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.mark.slow
def test_a_run_killed_within_an_epoch_ends_with_the_same_weights(uninterrupted, tmp_path):
    killed = process(tmp_path, 4, 8 * 2 + 5)  # eight steps per epoch: in the third epoch
    assert killed.returncode == -signal.SIGKILL
    assert checkpoint.load(tmp_path).epoch == 2
    assert not (tmp_path / "model.keras").exists()
    resumed = process(tmp_path, 4)
    assert resumed.stdout.strip().endswith("exact"), resumed.stderr[-2000:]
    assert_same_state(uninterrupted, tmp_path)
    ours, theirs = (keras.models.load_model(folder / "model.keras") for folder in (tmp_path, uninterrupted))
    for x, y in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_finished_run_continues_with_more_epochs(uninterrupted, tmp_path):
    assert crashing.train(tmp_path, 2).epochs == 2
    more = crashing.train(tmp_path, 4)
    assert (more.epochs, more.resume) == (4, "exact")
    assert_same_state(uninterrupted, tmp_path)


def test_ctrl_c_saves_the_finished_epochs_and_prints_how_to_resume(uninterrupted, tmp_path, monkeypatch, capsys):
    def interrupt(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(keras.callbacks.EarlyStopping, "on_epoch_begin", interrupt)
        with pytest.raises(KeyboardInterrupt) as caught:
            crashing.train(tmp_path, 4)
    assert "Repeat the same call to resume" in capsys.readouterr().out
    assert not any("keras" in entry.filename for entry in traceback.extract_tb(caught.value.__traceback__))
    assert checkpoint.load(tmp_path).epoch == 1
    crashing.train(tmp_path, 4)
    assert_same_state(uninterrupted, tmp_path)


def test_a_resumed_run_prints_its_last_epoch(tmp_path, capsys):
    net, data = dk.Classifier(2), dk.data.points("circle", 40)
    for epochs in (1, 2):
        dk.fit(net, data, epochs=epochs, run_dir=tmp_path, verbose=2)
    assert capsys.readouterr().out.count(f"resuming {tmp_path} after epoch 1\n") == 1


def test_a_finished_run_is_returned_without_training(tmp_path, monkeypatch, capsys):
    first = crashing.train(tmp_path, 2)
    monkeypatch.setattr(keras.Model, "train_on_batch", None)
    monkeypatch.setattr("deepkit.training.training_run.train", None)
    again = crashing.train(tmp_path, 2)
    assert "holds a finished run of 2 epochs" in capsys.readouterr().out
    assert (again.history, again.epochs) == (first.history, 2)
    for x, y in zip(first.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


class Custom(keras.callbacks.Callback):
    """A callback that may have any state."""


def test_a_run_that_cannot_resume_exactly_says_why(tmp_path):
    x, y = crashing.images(32)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    run = dk.fit(crashing.network(), dataset, run_dir=tmp_path / "a", verbose=0)
    assert run.resume.startswith("approximate because deepkit cannot know the order of a tf.data.Dataset")
    run = dk.fit(crashing.network(), (x, y), run_dir=tmp_path / "b", callbacks=[Custom()], verbose=0)
    assert run.resume == "approximate because the state of Custom, if any, is not saved"
    run = dk.fit(crashing.network(), (x, y), run_dir=tmp_path / "c", plan=dk.plan(deterministic=False), verbose=0)
    assert run.resume == "approximate because the plan is not deterministic"


def test_a_compiled_model_resumes_after_a_callback_changed_its_learning_rate(tmp_path):
    model = crashing.network().build((6, 6, 1))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    def call(epochs):
        reduce_rate = keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=1, min_delta=100.0)
        return dk.fit(model, crashing.images(64), epochs=epochs, run_dir=tmp_path, callbacks=[reduce_rate], verbose=0)

    call(3)
    assert float(model.optimizer.learning_rate) < 1e-3
    assert call(4).epochs == 4


def test_a_model_that_is_compiled_again_resumes(tmp_path):
    def call(epochs):
        model = crashing.network().build((6, 6, 1))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, metrics=["accuracy"])
        return dk.fit(model, crashing.images(64), epochs=epochs, run_dir=tmp_path, verbose=0)

    call(1)
    assert call(2).epochs == 2


@pytest.mark.parametrize("has_input", [True, False])
def test_a_compiled_sequential_model_resumes_in_the_same_process(has_input, tmp_path, no_report):
    x, y = np.ones((16, 3), "float32"), np.arange(16) % 2

    def call(epochs, units=4):
        layers = [keras.layers.Dense(units, "softmax"), keras.layers.Dense(2), keras.layers.Softmax()]
        model = keras.Sequential([keras.Input((3,)), *layers] if has_input else layers)
        model.compile("sgd", "sparse_categorical_crossentropy")
        return dk.fit(model, (x, y), epochs=epochs, run_dir=tmp_path, plan=dk.plan(seed=0), verbose=0)

    assert call(1).resume == "exact"
    run = call(2)
    assert (run.epochs, run.resume) == (2, "exact")
    with pytest.raises(RunDirError):
        call(3, units=5)
