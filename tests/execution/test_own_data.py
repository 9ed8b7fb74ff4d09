"""What users train on their own arrays, each in a few lines: the results reach an accuracy, and resume and load."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk

RNG = np.random.default_rng(1)
X = RNG.normal(size=(400, 8)).astype("float32")
TRAINING = {"validation_split": 0.25, "learning_rate": 0.01, "verbose": 0}


def test_several_labels_for_an_example():
    y = (X[:, :3] + X[:, 3:6] > 0).astype(int)
    net = dk.Sequential([dk.MLP([32]), dk.Classifier(3, activation="sigmoid")])
    run = dk.fit(net, X, y, epochs=8, metrics=["accuracy", "auc"], **TRAINING)
    assert run.history["val_auc"][-1] > 0.95
    assert run.history["val_accuracy"][-1] > 0.85


def test_three_targets_of_a_regression():
    y = np.stack([X[:, 0] + X[:, 1], 2 * X[:, 2], X[:, 3] - X[:, 4]], axis=1)
    run = dk.fit(dk.Sequential([dk.MLP([32]), dk.Regressor(3)]), X, y, epochs=10, **TRAINING)
    assert run.history["val_mae"][-1] < 0.3  # the mean of |y| is 1.1
    assert run.model.predict(X[:2], verbose=0).shape == (2, 3)


def test_class_weights_find_rare_examples():
    y = (X[:, 0] + 0.5 * RNG.normal(size=400) > 1.6).astype(int)  # one example of 13
    net = dk.Sequential([dk.MLP([8]), dk.Classifier(2)])
    recall = []
    for class_weight in (None, "balanced"):
        run = dk.fit(net, X, y, epochs=4, class_weight=class_weight, **TRAINING)
        predicted = run.model.predict(X, verbose=0).argmax(1)
        recall.append(np.mean(predicted[y == 1]))
    assert recall[1] > max(0.8, recall[0])


def test_two_learning_rates_for_fine_tuning(tmp_path):
    keras.utils.set_random_seed(0)
    base = keras.Sequential([keras.Input((8,)), layers.Dense(16, activation="relu")], name="base")
    initial = base.get_weights()[0].copy()
    net = dk.Sequential([base, dk.Classifier(2)])
    adam = keras.optimizers.Adam
    rates = keras.optimizers.OptimizerMap(adam(1e-2), {"base/.*": adam(1e-6)})
    optimizer = keras.optimizers.MultiOptimizer(rates)
    arguments = {"optimizer": optimizer, "validation_split": 0.25, "run_dir": tmp_path, "verbose": 0}
    dk.fit(net, X, (X[:, 0] > 0).astype(int), epochs=2, **arguments)
    run = dk.fit(net, X, (X[:, 0] > 0).astype(int), epochs=4, **arguments)
    moved = np.abs(base.get_weights()[0] - initial).max()
    assert 0 < moved < 1e-4
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), run.model.predict(X, verbose=0))


@pytest.mark.parametrize("labels", [["no", "yes"], [b"no", b"yes"]])
def test_text_labels(labels):
    run = dk.fit(
        dk.Sequential([dk.Classifier(2)]), X, np.array(labels)[(X[:, 0] > 0).astype(int)], epochs=12, **TRAINING
    )
    assert run.class_names == ("no", "yes")
    assert run.history["val_accuracy"][-1] > 0.9
