"""Data without a batch: an error before anything is reported as trained."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk

X = np.random.default_rng(2).random((24, 3)).astype("float32")
Y = np.arange(24) % 2
NET = dk.Sequential([dk.Classifier(2)])
ARRAYS = tf.data.Dataset.from_tensor_slices((X, Y))
EMPTY = ARRAYS.batch(32, drop_remainder=True)
FILTERED = ARRAYS.filter(lambda x, y: y > 1).batch(8)  # its number of batches is unknown


@pytest.mark.parametrize("data", [EMPTY, FILTERED])
def test_data_without_a_batch(data, tmp_path):
    with pytest.raises(ValueError, match=r"data: the dataset has no batch(.|\n)*hint: pass a dataset with at least"):
        dk.fit(NET, data, epochs=3, run_dir=tmp_path / "run", verbose=0)
    assert not [path for path in (tmp_path / "run").glob("*") if path.name in ("model.keras", "result.json")]
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_known_number_of_batches_is_checked_before_anything_is_written(tmp_path):
    for arguments in ({"x": EMPTY}, {"x": X, "y": Y, "validation_data": EMPTY}):
        with pytest.raises(ValueError, match="the dataset has no batch"):
            dk.fit(NET, run_dir=tmp_path / "run", verbose=0, **arguments)
    assert not (tmp_path / "run").exists()


def test_validation_data_without_a_batch(tmp_path):
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    with pytest.raises(ValueError, match=r"validation_data: the dataset has no batch.* nothing to evaluate"):
        dk.fit(NET, (X, Y), validation_data=FILTERED, callbacks=[log], run_dir=tmp_path / "run", verbose=0)
    assert (tmp_path / "log.csv").read_text() == ""  # no epoch is reported
    assert not (tmp_path / "run" / "result.json").exists()


def test_data_that_can_be_read_only_once():
    batches = iter([(X[:8], Y[:8]), (X[8:], Y[8:])])
    spec = (tf.TensorSpec((None, 3)), tf.TensorSpec((None,), tf.int64))
    data = tf.data.Dataset.from_generator(lambda: batches, output_signature=spec)
    with pytest.raises(ValueError, match=r"data: the dataset has no batch in epoch 2(.|\n)*hint: let the function"):
        dk.fit(NET, data, epochs=3, verbose=0)


@pytest.mark.parametrize("data", [EMPTY, FILTERED])
def test_the_range_test_and_autotune_refuse_data_without_a_batch(data):
    with pytest.raises(ValueError, match="data: the dataset has no batch"):
        dk.find_learning_rate(NET, data, verbose=0)
    with pytest.raises(ValueError, match="data: the dataset has no batch"):
        dk.autotune(NET, data, verbose=0)


def test_pretraining_refuses_data_without_an_example():
    with pytest.raises(ValueError, match="dataset is empty"):
        dk.pretrain([2], FILTERED, verbose=0)
    with pytest.raises(ValueError, match="has no examples"):
        dk.pretrain([2], X[:0], verbose=0)
