"""A training that was killed goes on as if it had never stopped: to the last bit."""

import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.training import checkpoint
from tests.execution import crashing


def process(*arguments):
    command = [sys.executable, "-m", "tests.execution.crashing", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def same_state(one, other):
    """Compare everything that two runs keep: weights, seed generators, optimiser, history, callbacks."""
    a, b = checkpoint.load(one), checkpoint.load(other)
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
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    done = process(folder, 4)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def test_killed_in_the_middle_of_an_epoch_it_ends_with_the_same_bits(undisturbed, tmp_path):
    killed = process(tmp_path, 4, 8 * 2 + 5)  # eight steps an epoch: in the third
    assert killed.returncode == -signal.SIGKILL
    assert checkpoint.load(tmp_path).epoch == 2
    assert not (tmp_path / "model.keras").exists()
    gone_on = process(tmp_path, 4)
    assert gone_on.stdout.strip().endswith("exact"), gone_on.stderr[-2000:]
    same_state(undisturbed, tmp_path)
    ours, theirs = (keras.models.load_model(folder / "model.keras") for folder in (tmp_path, undisturbed))
    for x, y in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_finished_run_goes_on_when_asked_for_more(undisturbed, tmp_path):
    assert crashing.train(tmp_path, 2).epochs == 2
    more = crashing.train(tmp_path, 4)
    assert (more.epochs, more.resume) == (4, "exact")
    same_state(undisturbed, tmp_path)


def test_ctrl_c_keeps_the_finished_epochs_and_says_how_to_go_on(undisturbed, tmp_path, monkeypatch, capsys):
    def interrupt(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(keras.callbacks.EarlyStopping, "on_epoch_begin", interrupt)
        with pytest.raises(KeyboardInterrupt):
            crashing.train(tmp_path, 4)
    assert "The same call goes on from there" in capsys.readouterr().out
    assert checkpoint.load(tmp_path).epoch == 1
    crashing.train(tmp_path, 4)
    same_state(undisturbed, tmp_path)


def test_a_finished_run_is_returned_without_training(tmp_path, monkeypatch, capsys):
    first = crashing.train(tmp_path, 2)
    monkeypatch.setattr(keras.Model, "train_on_batch", None)
    monkeypatch.setattr("deepkit.training.fit.train", None)
    again = crashing.train(tmp_path, 2)
    assert "holds a finished run of 2 epochs" in capsys.readouterr().out
    assert (again.history, again.epochs) == (first.history, 2)
    for x, y in zip(first.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


class Mine(keras.callbacks.Callback):
    """A callback that may have any state."""


def test_what_cannot_be_exact_is_called_approximate(tmp_path):
    x, y = crashing.images(32)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    run = dk.fit(crashing.network(), dataset, run_dir=tmp_path / "a", verbose=0)
    assert run.resume.startswith("approximate because deepkit cannot know the order of a tf.data.Dataset")
    run = dk.fit(crashing.network(), (x, y), run_dir=tmp_path / "b", callbacks=[Mine()], verbose=0)
    assert run.resume == "approximate because a state that Mine may have is not kept"
    run = dk.fit(crashing.network(), (x, y), run_dir=tmp_path / "c", plan=dk.plan(deterministic=False), verbose=0)
    assert run.resume == "approximate because the plan is not deterministic"


def test_a_compiled_model_goes_on_after_a_callback_moved_its_rate(tmp_path):
    model = crashing.network().build((6, 6, 1))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    def call(epochs):
        moved = keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=1, min_delta=100.0)
        return dk.fit(model, crashing.images(64), epochs=epochs, run_dir=tmp_path, callbacks=[moved], verbose=0)

    call(3)
    assert float(model.optimizer.learning_rate) < 1e-3
    assert call(4).epochs == 4


def test_a_model_compiled_anew_goes_on(tmp_path):
    def call(epochs):
        model = crashing.network().build((6, 6, 1))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, metrics=["accuracy"])
        return dk.fit(model, crashing.images(64), epochs=epochs, run_dir=tmp_path, verbose=0)

    call(1)
    assert call(2).epochs == 2
