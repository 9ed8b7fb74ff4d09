"""CSV logs and event files: after a resume every epoch has one entry, and foreign content is unchanged."""

import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.training import checkpoint, csv_log
from deepkit.training.callback_state import CallbackStates
from deepkit.training.event_files import EventFiles

X = np.random.default_rng(4).random((32, 3)).astype("float32")
Y = np.arange(32) % 2


class Log(keras.callbacks.CSVLogger):
    """A logger of the user's."""


def train(folder, epochs, callbacks, **kwargs):
    net = dk.Sequential([dk.Classifier(2)])
    return dk.fit(net, (X, Y), epochs=epochs, run_dir=folder / "run", callbacks=callbacks, verbose=0, **kwargs)


def epochs_in(path, separator=","):
    return [line.split(separator)[0] for line in path.read_text().splitlines()]


def test_a_log_continues_after_a_resume(tmp_path, no_report):
    before = "epoch;accuracy;loss;val_accuracy;val_loss\n0;1;1;NA;NA\n1;1;1;NA;NA\n"
    (tmp_path / "appended.csv").write_text(before)
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    for epochs in (1, 3):
        train(tmp_path, epochs, [log, Log(tmp_path / "appended.csv", separator=";", append=True)])
    assert epochs_in(tmp_path / "log.csv") == ["epoch", "0", "1", "2"]
    assert epochs_in(tmp_path / "appended.csv", ";") == ["epoch", "0", "1", "0", "1", "2"]
    assert (tmp_path / "appended.csv").read_text().startswith(before)
    assert (log.append, log.append_header) == (False, True)  # the logger itself is unchanged


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("epoch,loss\n0,1\n1,1\n", "2,1\n3,1\n", "epoch,loss\n0,1\n1,1\n"),
        ("# a note\nepoch,loss\n7,1\n8,1\n0,1\n1,1\n", "2,1\n", "# a note\nepoch,loss\n7,1\n8,1\n0,1\n1,1\n"),
        ("epoch,loss\n0,1\n1,1\n", "# a note\n2,1\n", "epoch,loss\n0,1\n1,1\n# a note\n"),
        ("epoch,loss\n10,1\n11,1\n", "1", "epoch,loss\n10,1\n11,1\n"),  # a row that was cut
        ("epoch,loss\n0,1\n1,1\n", "", "epoch,loss\n0,1\n1,1\n"),
    ],
)
def test_rows_after_the_checkpoint_are_removed(before, after, expected, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(before)
    log = keras.callbacks.CSVLogger(path)
    state = csv_log.capture(log)
    path.write_text(before + after)
    first = int(before.splitlines()[-1].split(",")[0]) + 1
    with csv_log.continued(log, state, first):
        assert log.append
    assert path.read_text() == expected


def test_a_log_that_was_edited_loses_only_its_last_rows(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss\n0,1\n1,1\n")
    log = keras.callbacks.CSVLogger(path)
    state = csv_log.capture(log)
    path.write_text("epoch,loss\n5,1\n0,0.5\n1,1\n2,1\n")
    with csv_log.continued(log, state, 2):
        pass
    assert path.read_text() == "epoch,loss\n5,1\n0,0.5\n1,1\n"


def test_a_new_run_overwrites_its_log_as_keras_does(tmp_path):
    (tmp_path / "log.csv").write_text("epoch,loss\n0,1\n")
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    with CallbackStates([log], [], 0).continued_logs():
        assert not log.append


def tags(folder):
    return [
        (value.tag, event.step)
        for path in sorted(folder.glob("*/events*"))
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
        for event in [tf.compat.v1.Event.FromString(record)]
        for value in event.summary.value
    ]


def write_event(board, tag, step):
    with board._train_writer.as_default():
        tf.summary.write(tag, tf.constant(1.0), step=step)


def board_in(folder):
    board = keras.callbacks.TensorBoard(folder, write_graph=False)
    board.set_model(keras.Sequential())
    return board


def test_events_after_the_checkpoint_are_removed_and_others_are_not(tmp_path):
    (tmp_path / "train").mkdir(parents=True)
    (tmp_path / "train" / "events.out.tfevents.1.other.1.v2").write_bytes(b"of another program")
    board = board_in(tmp_path)
    files = EventFiles(board, None)
    with files.continued():
        write_event(board, "epoch_loss", 0)
        state = files.capture()
        write_event(board, "epoch_loss", 1)
        board._close_writers()
    (name,) = state
    assert name.startswith("train/events.out.tfevents.")
    assert (tmp_path / name).stat().st_size > state[name]
    resumed = board_in(tmp_path)
    files = EventFiles(resumed, state)
    with files.continued():
        assert (tmp_path / name).stat().st_size == state[name]
        write_event(resumed, "epoch_loss", 1)
        assert len(files.capture()) == 2
        resumed._close_writers()
    (tmp_path / "train" / "events.out.tfevents.1.other.1.v2").unlink()
    assert tags(tmp_path) == [("epoch_loss", 0), ("epoch_loss", 1)]


def test_the_writers_are_closed_if_the_training_raises_an_error(tmp_path):
    board = board_in(tmp_path)

    def interrupted():
        with EventFiles(board, None).continued():
            write_event(board, "epoch_loss", 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert tags(tmp_path) == [("epoch_loss", 0)]


class Steps(keras.callbacks.TensorBoard):
    """Records the batches by which TensorBoard counts, and writes no events, which needs the tensorboard package."""

    steps: list[int] = []  # noqa: RUF012

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(self._global_train_batch)

    def on_epoch_end(self, epoch, logs=None):
        pass

    def on_test_end(self, logs=None):
        self._pop_writer()


def test_the_batches_of_an_event_file_continue_after_a_resume(tmp_path, no_report):
    Steps.steps.clear()
    for epochs in (1, 2, 3):
        plan = dk.plan(steps_per_execution=1)
        train(tmp_path, epochs, [Steps(tmp_path / "board", write_graph=False)], batch_size=16, plan=plan)
    assert Steps.steps == [1, 2, 3, 4, 5, 6]


def run_process(folder, *arguments):
    command = [sys.executable, "-m", "tests.execution.test_callback_logs", str(folder), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False).returncode


@pytest.mark.slow
def test_a_log_has_each_epoch_once_although_processes_were_killed(tmp_path):
    for epoch in (1, 3, 3):  # killed after the row was written, before the checkpoint
        assert run_process(tmp_path, 4, epoch) == -signal.SIGKILL
    assert epochs_in(tmp_path / "log.csv") == ["epoch", "0", "1", "2"]
    assert run_process(tmp_path, 4) == 0
    for name in ("log.csv", "appended.csv"):
        assert epochs_in(tmp_path / name) == ["epoch", "0", "1", "2", "3"]


def main(folder, epochs, killed_epoch="0"):
    """Train in a process that kills itself before it saves the checkpoint of an epoch."""
    save = checkpoint.save

    def save_or_kill(directory, state):
        if state.epoch == int(killed_epoch) > 0:
            os.kill(os.getpid(), signal.SIGKILL)
        save(directory, state)

    checkpoint.save = save_or_kill
    log = keras.callbacks.CSVLogger(f"{folder}/log.csv")
    appended = Log(f"{folder}/appended.csv", append=True)
    dk.fit(
        dk.Sequential([dk.Classifier(2)]),
        (X, Y),
        epochs=int(epochs),
        run_dir=f"{folder}/run",
        callbacks=[log, appended],
        verbose=0,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
