"""SIGTERM: a checkpoint after the current step, exit code 143, and a resumed run that ends as an undisturbed one."""

import os
import signal
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.errors import CheckpointError, DivergedError
from deepkit.training import checkpoint, graph_loop
from tests.execution import crashing
from tests.execution.test_resume import assert_same_state

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(50, 5)).astype("float32"), RANDOM.integers(0, 3, 50)
NET = dk.Sequential([layers.GaussianNoise(0.1), dk.Classifier(3)])


class Terminate(keras.callbacks.Callback):
    """Sends SIGTERM to its own process in a step, counted from 1 over all calls, or in the validation."""

    stateless = True

    def __init__(self):
        super().__init__()
        self.at, self.in_validation, self.batches = 0, False, []

    def on_train_batch_begin(self, batch, logs=None):
        if len(self.batches) + 1 == self.at:
            self.kill()

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(batch)

    def on_test_batch_end(self, batch, logs=None):
        if self.in_validation:
            self.kill()

    def kill(self):
        self.at, self.in_validation = 0, False
        os.kill(os.getpid(), signal.SIGTERM)


def pipeline(**arguments):
    return dk.data.from_arrays(X, Y, batch_size=8, validation=10, seed=3, **arguments)  # five steps


def train(folder, terminate, data=None, net=NET, steps_per_execution=1, extra=(), **arguments):
    plan = dk.plan(devices="CPU:0", seed=5, steps_per_execution=steps_per_execution)
    # a schedule that depends on the previous rate: its begin of an epoch must not count twice
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.9 * rate)
    log = keras.callbacks.CSVLogger(folder / "log.csv")
    stopping = keras.callbacks.EarlyStopping(monitor="loss", patience=9, restore_best_weights=True)
    callbacks = [schedule, log, stopping, terminate, *extra]
    arguments = {"epochs": 3, "run_dir": folder / "run", "callbacks": callbacks, "plan": plan, "verbose": 0} | arguments
    return dk.fit(net, pipeline() if data is None else data, **arguments)


ONE_HOT = dk.data.from_arrays(X, keras.utils.to_categorical(Y), batch_size=8, validation=10)
VAE = dk.VAE(dk.MLP([4]), latent_dim=2, decoder=dk.MLP([4]))
CASES = {
    "in memory": ({}, 7, (1, 2)),
    "first epoch": ({}, 3, (0, 3)),
    "read by tf.data": ({"data": pipeline(map=lambda x: x / 2)}, 7, (1, 2)),
    "steps of several epochs of the data": ({"data": pipeline(map=lambda x: x / 2), "steps_per_epoch": 7}, 13, (1, 6)),
    "steps_per_execution": ({"steps_per_execution": 2}, 5, (1, 4)),  # calls of 2, 2 and 1 steps
    "metrics": ({"data": ONE_HOT, "metrics": ["accuracy", keras.metrics.F1Score(average="macro")]}, 7, (1, 2)),
    "own training step": ({"net": VAE, "data": (np.float32(X > 0),), "batch_size": 10}, 7, (1, 2)),
    "no validation": ({"data": (X, Y), "batch_size": 10}, 7, (1, 2)),
    "last step": ({}, 5, (1, None)),  # the epoch is complete after its validation
}


SLOW = {"first epoch", "metrics", "own training step", "no validation"}


@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.slow] * (case in SLOW)) for case in CASES])
def test_a_terminated_run_ends_as_an_undisturbed_one(case, tmp_path, no_report, capsys):
    arguments, at, (epoch, step) = CASES[case]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    expected = train(tmp_path / "a", Terminate(), **arguments)
    terminate = Terminate()
    terminate.at = at
    with pytest.raises(SystemExit) as caught:
        train(tmp_path / "b", terminate, **arguments)
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    saved = "the finished epochs are" if step is None else f"step {step} of epoch {epoch + 1} is"
    assert f"stopped by SIGTERM; {saved} saved in {tmp_path / 'b' / 'run'}" in capsys.readouterr().out
    partial = checkpoint.load_summary(tmp_path / "b" / "run").partial_epoch
    assert (None if partial is None else partial.step) == step
    terminate.batches.clear()
    resumed = train(tmp_path / "b", terminate, **arguments)
    assert (resumed.resume, resumed.history) == (expected.resume, expected.history)
    assert_same_state(tmp_path / "a" / "run", tmp_path / "b" / "run")
    assert (tmp_path / "a" / "log.csv").read_text() == (tmp_path / "b" / "log.csv").read_text()
    if step is not None:  # callbacks see only the steps that are left
        k = arguments.get("steps_per_execution", 1)
        steps = arguments.get("steps_per_epoch", 5)
        rest = [min(batch, steps) - 1 for batch in range(k, steps + k, k)]
        assert terminate.batches == [batch for batch in rest if batch >= step] + rest * (2 - epoch)


def test_several_parts_of_an_epoch(tmp_path, no_report):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    train(tmp_path / "a", Terminate())
    terminate = Terminate()
    for step in (1, 2, 4):
        terminate.batches.clear()
        terminate.at = 2 if step == 4 else 1
        with pytest.raises(SystemExit):
            train(tmp_path / "b", terminate)
        assert checkpoint.load(tmp_path / "b" / "run").partial_epoch.step == step
    train(tmp_path / "b", terminate)
    assert_same_state(tmp_path / "a" / "run", tmp_path / "b" / "run")


def test_convolutions_with_augmentation_and_moving_statistics(tmp_path, no_report):
    def fit(folder):
        plan = dk.plan(devices="CPU:0", seed=5, steps_per_execution=3)
        data = crashing.data()
        return dk.fit(crashing.network(), data, epochs=2, run_dir=folder, plan=plan, callbacks=[terminate], verbose=0)

    terminate = Terminate()
    fit(tmp_path / "a")
    terminate.batches.clear()
    terminate.at = 2  # the second call takes the steps 3 to 5 of eight
    with pytest.raises(SystemExit):
        fit(tmp_path / "b")
    assert checkpoint.load(tmp_path / "b").partial_epoch.step == 6
    fit(tmp_path / "b")
    assert_same_state(tmp_path / "a", tmp_path / "b")


def test_a_validation_is_finished_first(tmp_path, no_report):
    terminate = Terminate()
    terminate.in_validation = True
    with pytest.raises(SystemExit):
        train(tmp_path, terminate)
    state = checkpoint.load(tmp_path / "run")
    assert (state.epoch, state.partial_epoch, state.stopped) == (1, None, False)
    assert "val_loss" in state.history


def test_data_of_unknown_order_keeps_the_last_complete_epoch(tmp_path, no_report, capsys):
    terminate = Terminate()
    terminate.at = 7
    with pytest.raises(SystemExit):
        train(tmp_path, terminate, data=tf.data.Dataset.from_tensor_slices((X, Y)).batch(10))
    state = checkpoint.load(tmp_path / "run")
    assert (state.epoch, state.partial_epoch) == (1, None)
    assert "the finished epochs are saved" in capsys.readouterr().out


def test_fewer_epochs_than_those_of_the_checkpoint_are_an_error(tmp_path, no_report):
    terminate = Terminate()
    terminate.at = 7
    with pytest.raises(SystemExit):
        train(tmp_path, terminate)
    with pytest.raises(CheckpointError, match=r"holds step 2 of epoch 2, and epochs=1 ends before it"):
        train(tmp_path, Terminate(), epochs=1)


def test_a_loop_that_cannot_continue_inside_an_epoch_is_an_error(tmp_path, no_report, monkeypatch):
    terminate = Terminate()
    terminate.at = 7
    with pytest.raises(SystemExit):
        train(tmp_path, terminate)
    monkeypatch.setattr(graph_loop, "is_supported", lambda model: False)
    with pytest.raises(CheckpointError, match="after step 2 of an epoch"):
        train(tmp_path, Terminate())


def test_a_diverged_step_is_not_saved(tmp_path, no_report):
    class Diverge(keras.callbacks.Callback):
        stateless = True

        def on_train_batch_end(self, batch, logs=None):
            if terminate.at == 0:
                self.model.trainable_variables[0].assign(np.full((5, 3), np.nan))

    terminate = Terminate()
    terminate.at = 7
    with pytest.raises(DivergedError):
        train(tmp_path, terminate, extra=[Diverge()])
    assert checkpoint.load(tmp_path / "run").partial_epoch is None


def test_a_handler_of_the_program_keeps_the_signal(tmp_path, no_report):
    received, previous = threading.Event(), signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: received.set())
    try:
        terminate = Terminate()
        terminate.at = 2
        run = train(tmp_path, terminate)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert received.is_set()
    assert run.epochs == 3
