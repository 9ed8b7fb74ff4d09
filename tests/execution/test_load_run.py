"""`load_run`: finished and interrupted runs, read from their directories without a change."""

import hashlib
import shutil

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from deepkit.errors import CheckpointError, RunDirError
from deepkit.training.directory_lock import DirectoryLock

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
NAMES = np.array(["rose", "aster", "tulip"])[np.arange(40) % 3]


class Stop(keras.callbacks.Callback):
    """Press Ctrl-C after an epoch."""

    def __init__(self, epochs=2):
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epochs:
            raise KeyboardInterrupt


def train(run_dir, x=X, y=NAMES, head=None, epochs=1, **kwargs):
    net = dk.Sequential([layers.Normalization(), dk.Classifier(3)]) if head is None else head
    return dk.fit(net, x, y, epochs=epochs, run_dir=run_dir, verbose=0, **kwargs)


def interrupt(run_dir, epochs=2, **kwargs):
    with pytest.raises(KeyboardInterrupt):
        train(run_dir, epochs=5, callbacks=[Stop(epochs)], **kwargs)


def contents(folder):
    """Return size, time and checksum of each file."""
    result = {}
    for path in sorted(folder.rglob("*")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        result[path] = (path.stat().st_size, path.stat().st_mtime_ns, digest)
    return result


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return train(folder, epochs=2)


@pytest.fixture(scope="module")
def interrupted_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("interrupted")
    interrupt(folder)
    return folder


def test_a_finished_run_is_loaded_without_a_change(finished, capsys):
    before = contents(finished.run_dir)
    run = dk.load_run(str(finished.run_dir))
    assert run.finished
    for name in ("history", "plan", "run_dir", "report", "resume", "epochs", "class_names"):
        assert getattr(run, name) == getattr(finished, name), name
    assert run.seconds == pytest.approx(finished.seconds, abs=1e-3)
    for mine, theirs in zip(run.predict(X), finished.predict(X), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert run.evaluate(X, NAMES) == pytest.approx(finished.evaluate(X, NAMES))
    assert contents(finished.run_dir) == before
    assert repr(run).startswith("<Run sequential: finished after 2 epochs")
    assert capsys.readouterr().out == ""


def test_an_interrupted_run_has_the_model_of_its_newest_checkpoint(interrupted_dir, finished, capsys):
    before = contents(interrupted_dir)
    run = dk.load_run(interrupted_dir)
    message = "holds an interrupted run: its model is that after epoch 2, from checkpoint.zip"
    assert message in capsys.readouterr().out
    assert not run.finished
    assert (run.epochs, run.history, run.class_names) == (2, finished.history, finished.class_names)
    for mine, theirs in zip(run.model.get_weights(), finished.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert run.evaluate(X, NAMES) == pytest.approx(finished.evaluate(X, NAMES))
    assert contents(interrupted_dir) == before
    assert repr(run).startswith("<Run sequential: interrupted after 2 epochs")


@pytest.mark.slow
def test_a_damaged_checkpoint_is_replaced_by_the_previous_one(interrupted_dir, tmp_path, capsys):
    folder = shutil.copytree(interrupted_dir, tmp_path / "run")
    path = folder / "checkpoint.zip"
    path.write_bytes(path.read_bytes()[:-20])
    run = dk.load_run(folder)
    output = capsys.readouterr().out
    assert f"{path} is not a complete checkpoint" in output
    assert "its model is that after epoch 1, from checkpoint.previous.zip" in output
    assert (run.epochs, len(run.history["loss"])) == (1, 1)
    (folder / "checkpoint.previous.zip").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is not a complete checkpoint"):
        dk.load_run(folder)


@pytest.mark.slow
def test_a_finished_run_that_was_continued_and_interrupted(tmp_path):
    train(tmp_path, epochs=1, callbacks=[Stop(3)])
    interrupt(tmp_path, 3)
    run = dk.load_run(tmp_path)
    assert (run.finished, run.epochs) == (False, 3)


def test_the_fitted_layers_of_an_interrupted_run_are_restored(tmp_path, capsys):
    texts = ["a b", "c d", "b"] * 4
    head = dk.Sequential([dk.Text(20), layers.Embedding(20, 4), dk.Classifier(3, pool="avg")])
    interrupt(tmp_path, 1, x=texts, y=["x", "y", "z"] * 4, head=head)
    run = dk.load_run(tmp_path)
    vocabulary = next(layer for layer in run.model.layers if isinstance(layer, layers.TextVectorization))
    assert set(vocabulary.get_vocabulary(include_special_tokens=False)) == {"a", "b", "c", "d"}
    assert set(run.predict(["a b", "c"]).labels) <= {"x", "y", "z"}


@pytest.mark.slow
def test_the_conversions_of_the_data_are_stored(tmp_path):
    data = dk.data.load("digits", verbose=False).head(64)
    run = dk.fit(dk.Sequential([dk.Classifier(10)]), data, run_dir=tmp_path / "scaled", verbose=0)
    images = np.round(data.test.arrays()[0] * 255).astype("uint8")
    loaded = dk.load_run(tmp_path / "scaled")
    np.testing.assert_allclose(loaded.predict(images).probabilities, run.predict(data.test).probabilities, rtol=1e-4)
    assert loaded.prediction == run.prediction
    data = dk.data.from_arrays(X, NAMES, map=lambda x: 2 * x)
    dk.fit(dk.Sequential([dk.Classifier(3)]), data, run_dir=tmp_path / "mapped", verbose=0)
    with pytest.raises(ValueError, match=r"a map function, which a run directory cannot store\n  hint: pass dk\.data"):
        dk.load_run(tmp_path / "mapped").predict(X)


def test_a_directory_that_is_in_use_is_refused(interrupted_dir):
    lock = DirectoryLock(interrupted_dir)
    lock.acquire()
    try:
        with pytest.raises(RunDirError, match="is in use by another call in this process"):
            dk.load_run(interrupted_dir)
    finally:
        lock.release()


def test_a_directory_without_a_run_is_refused(tmp_path):
    hint = "\n  hint: pass the run_dir of a call of dk.fit"
    with pytest.raises(RunDirError) as caught:
        dk.load_run(tmp_path / "missing")
    problem = f"run_dir: {tmp_path / 'missing'} cannot be loaded: there is no such directory"
    assert str(caught.value) == problem + hint
    assert not (tmp_path / "missing").exists()
    with pytest.raises(RunDirError) as caught:
        dk.load_run(tmp_path)
    assert str(caught.value) == f"run_dir: {tmp_path} is not the directory of a run: it is empty{hint}"
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunDirError, match=r"is not the directory of a run: it holds no config\.json"):
        dk.load_run(tmp_path)
    with pytest.raises(RunDirError, match="cannot be loaded: it is a file"):
        dk.load_run(tmp_path / "notes.txt")


def test_a_run_without_a_finished_epoch_is_refused(tmp_path):
    interrupt(tmp_path, 0)
    with pytest.raises(RunDirError, match=r"a run without a finished epoch\n  hint: repeat the call of dk\.fit"):
        dk.load_run(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "result.json", "model.keras"])
def test_a_damaged_file_is_named(finished, tmp_path, name):
    folder = shutil.copytree(finished.run_dir, tmp_path / "run")
    path = folder / name
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(RunDirError) as caught:
        dk.load_run(folder)
    assert f"run_dir: {path} is damaged" in str(caught.value)


def test_a_missing_model_is_loaded_from_the_checkpoint(finished, tmp_path, capsys):
    folder = shutil.copytree(finished.run_dir, tmp_path / "run")
    (folder / "model.keras").unlink()
    run = dk.load_run(folder)
    assert "model.keras is missing: the model is loaded from a checkpoint" in capsys.readouterr().out
    np.testing.assert_array_equal(run.predict(X).probabilities, finished.predict(X).probabilities)


@pytest.mark.slow
def test_a_run_with_several_optimizers_is_evaluated(tmp_path):
    adam = keras.optimizers.Adam
    rates = keras.optimizers.OptimizerMap(adam(1e-2), {"head.*": adam(1e-6)})
    net = dk.Sequential([dk.MLP([8]), dk.Classifier(3, name="head")])
    run = dk.fit(net, X, NAMES, optimizer=keras.optimizers.MultiOptimizer(rates), run_dir=tmp_path, verbose=0)
    assert dk.load_run(tmp_path).evaluate(X, NAMES) == pytest.approx(run.evaluate(X, NAMES))


@pytest.mark.slow
def test_a_class_that_keras_cannot_find_is_named(tmp_path):
    class Unregistered(layers.Layer):
        def call(self, x):
            return x

    head = dk.Sequential([Unregistered(), dk.Classifier(3)])
    train(tmp_path / "finished", head=head)
    interrupt(tmp_path / "interrupted", 1, head=head)
    for name in ("finished", "interrupted"):
        with pytest.raises(
            RunDirError, match=r"Could not locate class 'Unregistered'[\s\S]*\n  hint: import the module"
        ):
            dk.load_run(tmp_path / name)
