"""NaN in the inputs, and invalid sample weights, of data whose batches are not arrays in memory."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk

NET = dk.Sequential([dk.MLP([4]), dk.Classifier(3)])  # its ReLU turns NaN into 0
RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(24, 4)).astype("float32"), np.arange(24) % 3
X_NAN = np.where(np.arange(24)[:, None] == 20, np.nan, X).astype("float32")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return dk.fit(NET, X, Y, run_dir=tmp_path_factory.mktemp("runs") / "first", verbose=0)


def batches(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(8)


def fails(error, *texts):
    return pytest.raises(error, match="(?s)" + ".*".join(texts))


@pytest.mark.parametrize(
    ("make", "position"),
    [
        (lambda: X_NAN, r"first at index 20, in 1 of 24 examples"),
        (lambda: batches(X_NAN), r"at index 4 of a batch"),
        (lambda: iter([X, X_NAN]), r"at index 20 of a batch"),
    ],
)
def test_predict_refuses_nan_that_the_model_would_hide(run, make, position):
    with fails(ValueError, "x: expected finite numbers in x, received nan", position, "hint: fill the missing values"):
        run.predict(make())


def test_a_loaded_run_refuses_nan(run):
    with fails(ValueError, "x: expected finite numbers in x, received nan"):
        dk.load_run(run.run_dir).predict(X_NAN)


@pytest.mark.parametrize("data", [(X_NAN, Y), (batches(X_NAN, Y),)])
def test_evaluate_refuses_nan(run, data):
    with fails(ValueError, "x: expected finite numbers in x, received nan"):
        run.evaluate(*data)


def test_validation_batches_with_nan():
    received = r"validation_data: expected finite numbers in x, received nan \(at index 4 of a batch\); in epoch 1, "
    with fails(ValueError, received, "the model is back at the start of training"):
        dk.fit(NET, X, Y, validation_data=batches(X_NAN, Y), verbose=0)


@pytest.mark.parametrize("weight", [-1, np.nan, np.inf])
def test_weights_in_batches(run, weight):
    weights = np.where(np.arange(24) == 17, weight, 1).astype("float32")
    received = rf"received {weight} \(at index 1 of a batch\)"
    with fails(ValueError, "x: expected weights of at least 0 as sample_weight, ", received, "hint: use 0"):
        run.evaluate(batches(X, Y, weights))


def test_weights_in_training_and_validation_batches():
    data = batches(X, Y, -np.ones(24, "float32"))
    with fails(ValueError, "data: expected weights of at least 0 as sample_weight, received -1 "):
        dk.fit(NET, data, verbose=0)
    with fails(ValueError, "validation_data: expected weights of at least 0 as sample_weight, received -1 "):
        dk.fit(NET, X, Y, validation_data=data, verbose=0)


def test_missing_values_that_a_layer_fills_are_accepted():
    rows = {"a": [1.0, None, 2.0, 4.0] * 6, "b": [0.0, 1.0, 5.0, 3.0] * 6, "y": ["no", "yes"] * 12}
    data = dk.data.from_table(rows, target="y", verbose=False)
    run = dk.fit(dk.Sequential([dk.TableEncoder(), dk.Classifier(2)]), data, verbose=0)
    assert len(run.predict(batches(dict(data.columns.convert(rows)))).labels) == 24


def test_a_compiled_model_receives_nan_unchanged():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    run = dk.fit(model, X, X[:, :1], verbose=0)
    assert np.isnan(run.predict(X_NAN)[20])
