"""Callbacks that contradict the training: errors before it starts."""

import keras
import numpy as np
import pytest

import deepkit as dk

X = np.random.default_rng(3).random((16, 3)).astype("float32")
Y = np.arange(16) % 2
NET = dk.Sequential([dk.Classifier(2)])


class HalveEachEpoch(keras.callbacks.LearningRateScheduler):
    """A subclass with its own schedule."""

    def __init__(self):
        super().__init__(lambda epoch, rate: rate / 2)


@pytest.mark.parametrize(
    ("arguments", "callback", "names"),
    [
        ({"learning_rate": dk.OneCycle(0.1)}, keras.callbacks.ReduceLROnPlateau("loss"), "ReduceLROnPlateau"),
        (
            {"optimizer": keras.optimizers.SGD(keras.optimizers.schedules.PolynomialDecay(0.1, 9))},
            HalveEachEpoch(),
            "HalveEachEpoch .*PolynomialDecay",
        ),
    ],
)
def test_a_schedule_and_a_callback_that_sets_the_learning_rate(arguments, callback, names, tmp_path):
    with pytest.raises(ValueError, match=rf"callbacks: {names}(.|\n)*hint: leave the callback out, or use a number"):
        dk.fit(NET, (X, Y), callbacks=[callback], run_dir=tmp_path / "run", verbose=0, **arguments)
    assert not (tmp_path / "run").exists()


def test_a_callback_that_restores_the_model_and_a_run_dir(tmp_path):
    backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
    with pytest.raises(ValueError, match=r"BackupAndRestore restores the model by itself(.|\n)*hint: leave"):
        dk.fit(NET, (X, Y), callbacks=[backup], run_dir=tmp_path / "run", verbose=0)


@pytest.mark.parametrize(
    ("cls", "name"),
    [(keras.callbacks.ModelCheckpoint, "model.keras"), (keras.callbacks.CSVLogger, "history.csv")],
)
def test_a_callback_that_would_write_a_file_of_the_run(cls, name, tmp_path):
    with pytest.raises(ValueError, match=rf"would write a file of the run\n  hint: use another name than {name}"):
        dk.fit(NET, (X, Y), callbacks=[cls(str(tmp_path / name))], run_dir=tmp_path, verbose=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verbose", ["yes", 3, None, 1.5])
def test_an_invalid_verbose(verbose):
    for function in (dk.fit, dk.find_learning_rate, dk.autotune):
        with pytest.raises(ValueError, match="verbose must be one of 'auto', 0, 1, 2, received"):
            function(NET, (X, Y), verbose=verbose)
