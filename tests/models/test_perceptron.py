"""The perceptron: equality with Rosenblatt's rule in a loop, convergence, counter, resume, saving and errors."""

import functools

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.errors import LabelError
from deepkit.models import PerceptronModel

X = np.random.default_rng(0).normal(size=(24, 2)).astype("float32")
Y = (X @ [1.0, -2.0] + 0.2 > 0).astype("int64")
CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")


def loop(x, y, learning_rate=1.0, epochs=1):
    """Return weights, bias and the number of mistakes of each epoch, one example at a time."""
    weights, bias, counts = np.zeros(x.shape[1]), 0.0, []
    for _ in range(epochs):
        counts.append(0)
        for features, label in zip(x.astype("float64"), y, strict=True):
            prediction = float(weights @ features + bias >= 0)
            weights += learning_rate * (label - prediction) * features
            bias += learning_rate * (label - prediction)
            counts[-1] += int(label != prediction)
    return weights, bias, counts


@functools.cache
def compiled(stop_when_converged=False):
    """Return a compiled model with two inputs, whose weights `train` resets."""
    model = dk.Perceptron(stop_when_converged=stop_when_converged).build((2,))
    model.compile()
    return model


def train(x, y, epochs=1, stop_when_converged=False, **kwargs):
    model = compiled(stop_when_converged)
    for variable in model.variables:
        variable.assign(np.zeros(variable.shape))
    history = model.fit(x, y, epochs=epochs, shuffle=False, verbose=0, **kwargs).history
    return model, history


# --- the rule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 5, 24])
def test_equals_a_loop_over_the_examples_for_every_batch_size(batch_size):
    y = (np.arange(24) // 5 + np.arange(24)) % 2  # not separable
    weights, bias, counts = loop(X, y, epochs=3)
    model, history = train(X, y, epochs=3, batch_size=batch_size)
    np.testing.assert_allclose(model.unit.kernel[:, 0], weights, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.unit.bias, [bias], rtol=1e-5, atol=1e-5)
    assert history["updates"] == counts
    assert int(model.num_updates) == sum(counts)
    np.testing.assert_allclose(history["accuracy"], 1 - np.array(counts) / 24, rtol=1e-6)


def test_the_learning_rate_scales_the_weights():
    model = dk.fit(dk.Perceptron(learning_rate=0.25), X, Y, batch_size=24, shuffle=False, verbose=0).model
    unscaled, _ = train(X, Y, batch_size=24)
    np.testing.assert_allclose(model.unit.kernel, 0.25 * np.asarray(unscaled.unit.kernel), rtol=1e-5)
    assert int(model.num_updates) == int(unscaled.num_updates)


@pytest.mark.parametrize(("labels", "name"), [([0, 0, 0, 1], "AND"), ([0, 1, 1, 1], "OR"), ([1, 1, 0, 0], "NOT")])
def test_truth_tables_are_learned(labels, name):
    model, history = train(CORNERS, np.array(labels), epochs=50, stop_when_converged=True)
    assert history["updates"][-1] == 0 < len(history["updates"]) < 50
    assert model.predict(CORNERS, verbose=0)[:, 0].tolist() == labels
    assert model.evaluate(CORNERS, np.array(labels), verbose=0, return_dict=True) == {"accuracy": 1.0}


def test_xor_is_a_cycle():
    labels = np.array([0, 1, 1, 0])
    _, history = train(CORNERS, labels, epochs=12, stop_when_converged=True)
    assert history["updates"] == loop(CORNERS, labels, epochs=12)[2]
    assert min(history["updates"]) > 0
    for epochs in (4, 5):  # every epoch ends with the same weights
        weights, bias, _ = loop(CORNERS, labels, epochs=epochs)
        np.testing.assert_array_equal([*weights, bias], [*loop(CORNERS, labels, epochs=12)[0], bias])


@pytest.mark.parametrize("margin", [0.05, 1.0])
def test_updates_stay_within_the_bound_of_novikoff(margin):
    for seed in range(2):
        data = dk.data.points("clouds", 100, seed=seed, margin=margin)
        x, y = data.train.arrays()
        model, history = train(x, y, epochs=200, stop_when_converged=True, batch_size=100)
        assert history["updates"][-1] == 0
        assert 0 < int(model.num_updates) <= data.separator.max_updates


def test_the_decision_function_is_the_score():
    model, _ = train(X, Y, epochs=3)
    scores = model.decision_function(X)
    np.testing.assert_allclose(
        scores, X @ np.asarray(model.unit.kernel)[:, 0] + model.unit.bias[0], rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(model.predict(X, verbose=0)[:, 0], scores >= 0)


# --- definitions ------------------------------------------------------------------------------------------------------


def test_it_is_a_value_that_builds_a_keras_model():
    net = dk.Perceptron(learning_rate=0.5)
    assert repr(net) == "dk.Perceptron(learning_rate=0.5)"
    assert dk.from_dict(dk.to_dict(net)) == net != dk.Perceptron()
    model = dk.Sequential([dk.layers.QuadraticFeatures(), net], name="conic").build((2,))
    assert isinstance(model, PerceptronModel)
    assert [layer.name for layer in model.layers[1:]] == [
        "quadratic_features", "perceptron.dense", "perceptron.threshold",
    ]  # fmt: skip
    assert (model.name, model.learning_rate, model.output_shape) == ("conic", 0.5, (None, 1))
    assert model.unit.count_params() == 6
    assert dk.Sequential([[dk.Perceptron()]]).build((4, 4, 1)).unit.kernel.shape == (16, 1)


@pytest.mark.slow
def test_quadratic_features_make_a_circle_separable():
    radius = np.linalg.norm(X, axis=1)
    x = X * np.where(radius > 1, 1.5, 0.7)[:, None] ** np.ones(2, "float32")
    y = (np.linalg.norm(x, axis=1) > 1).astype(int)
    net = dk.Sequential([dk.layers.QuadraticFeatures(), dk.Perceptron(stop_when_converged=True)])
    run = dk.fit(net, x, y, epochs=300, batch_size=24, verbose=0)
    assert run.history["updates"][-1] == 0
    assert run.epochs < 300
    assert run.evaluate(x, y) == {"accuracy": 1.0}


# --- training with dk.fit ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_resumed_run_equals_a_whole_one_and_has_its_counter(tmp_path):
    data = dk.data.points("moons", 60, noise=0.3)
    dk.fit(dk.Perceptron(), data, epochs=2, run_dir=tmp_path / "run", verbose=0)
    resumed = dk.fit(dk.Perceptron(), data, epochs=4, run_dir=tmp_path / "run", verbose=0)
    whole = dk.fit(dk.Perceptron(), data, epochs=4, verbose=0)
    assert resumed.resume == "exact"
    assert resumed.history == whole.history
    assert int(resumed.model.num_updates) == sum(whole.history["updates"]) > 0
    for weight, expected in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)
    labels, scores = dk.load_run(tmp_path / "run").predict(data.test)
    assert set(labels) <= {"upper moon", "lower moon"}
    np.testing.assert_array_equal(scores[:, 1], resumed.model.predict(data.test.arrays()[0], verbose=0)[:, 0])


def test_a_saved_model_continues_with_its_counter(tmp_path):
    model, _ = train(X, Y, epochs=2)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, PerceptronModel)
    assert (loaded.learning_rate, loaded.stop_when_converged) == (1.0, False)
    assert int(loaded.num_updates) == int(model.num_updates) > 0
    loaded.fit(X, Y, shuffle=False, verbose=0)
    model.fit(X, Y, shuffle=False, verbose=0)
    for weight, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.slow
def test_metrics_and_validation_data(capsys):
    run = dk.fit(dk.Perceptron(), X, Y, validation_data=(X, Y), metrics=["recall"], epochs=1)
    assert set(run.history) == {"accuracy", "updates", "recall", "val_accuracy", "val_recall"}
    assert "optimizer none; loss that of PerceptronModel; metrics" in capsys.readouterr().out


@pytest.mark.slow
def test_features_that_are_not_trained_are_random_units():
    net = dk.Sequential([layers.Dense(30, "relu", trainable=False), dk.Perceptron()])
    model = net.build((2,))
    model.compile()
    before = model.layers[1].get_weights()
    model.fit(X, Y, verbose=0)
    assert int(model.num_updates) > 0
    for weight, expected in zip(model.layers[1].get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "problem", "hint"),
    [
        (2 * Y - 1, "expected labels 0 or 1 for dk.Perceptron(), received -1", "use (y + 1) // 2"),
        (np.arange(24) % 3, "received 2 (first at index 2)", "use dk.Classifier(3), or 0 and 1 as labels"),
        (np.eye(2)[Y], "received shape (batch, 2)", "use labels of shape (batch, 1) or (batch,)"),
        (None, "received inputs only", "pass (x, y), or a dataset of (x, y)"),
        (Y * 0.5, "expected labels 0 or 1", "use 0 and 1 as labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(y, problem, hint):
    with pytest.raises(LabelError) as caught:
        dk.fit(dk.Perceptron(), X, y, verbose=0)
    assert problem in caught.value.problem
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("y", "text"),
    [
        (2 * Y - 1, "y: a perceptron expects the labels 0 and 1, received [-1, 1]\n  hint: use (y + 1) // 2"),
        (
            np.arange(24) % 3,
            "y: a perceptron expects the labels 0 and 1, received [0, 1, 2]\n"
            "  hint: use dk.Classifier(3) for 3 classes, or the labels y == c for one class c",
        ),
    ],
)
def test_fit_of_keras_checks_arrays_of_labels(y, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        compiled().fit(X, y, verbose=0)
    assert str(caught.value) == text


def test_fit_of_keras_checks_labels_of_a_dataset_batch_by_batch():
    batches = tf.data.Dataset.from_tensors((X, 2 * Y - 1))
    with pytest.raises(ValueError, match="a perceptron expects the labels 0 and 1, received other numbers\n  hint: "):
        compiled().fit(batches, verbose=0, shuffle=False)


def functional():
    return dk.Functional(inputs={"x": dk.Input((2,))}, nodes={"p": ("x", dk.Perceptron())}, outputs="p")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: dk.Perceptron(learning_rate=0),
            "Perceptron: learning_rate must be a number above 0, received 0\n"
            "  hint: use dk.Perceptron(learning_rate=1.0)",
        ),
        (
            lambda: dk.Sequential([dk.MLP([4]), dk.Perceptron()]).build((2,)),
            "the perceptron rule does not train the layers before the unit, such as mlp.dense/kernel\n"
            "  in    dk.Perceptron()\n  hint: set trainable=False in these layers for fixed features",
        ),
        (
            lambda: dk.fit(dk.Perceptron(), X, Y, optimizer="sgd", verbose=0),
            "optimizer: a perceptron learns by its own rule, received ",
        ),
        (
            lambda: dk.fit(dk.Perceptron(), X, Y, loss="mse", verbose=0),
            "loss: a perceptron learns by its own rule, received 'mse'\n"
            "  hint: leave loss out; dk.Perceptron(learning_rate=1.0) sets the learning rate",
        ),
        (
            lambda: dk.fit(dk.Perceptron(), X, Y, class_weight="balanced", verbose=0),
            "sample_weight: the perceptron rule has no weights of examples\n"
            "  hint: leave sample_weight and class_weight out",
        ),
        (
            lambda: dk.fit(functional(), X, Y, verbose=0),
            "net: a dk.Perceptron has its own training step, but Functional 'functional' does not\n"
            "  hint: make it the last element of a dk.Sequential that is the whole definition",
        ),
        (
            lambda: dk.find_learning_rate(dk.Perceptron(), X, Y, verbose=0),
            "net: PerceptronModel 'perceptron' has no optimizer with a learning rate to test\n",
        ),
        (
            lambda: PerceptronModel(x := keras.Input((2,)), layers.Dense(1)(x)),
            "PerceptronModel: expected a Dense(1) and a Threshold at the end, received 'dense",
        ),
    ],
)
def test_wrong_uses_are_refused(call, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        call()
    assert str(caught.value).startswith(text)


def test_several_devices_are_refused():
    model = compiled()
    with pytest.raises(ValueError, match=r"(?s)one example after the other, which several devices cannot share.*hint:"):
        PerceptronModel.compile(_OnTwoDevices(model))


class _OnTwoDevices:
    """A model that reports two devices."""

    def __init__(self, model):
        self.distribute_strategy = type("Strategy", (), {"num_replicas_in_sync": 2})()


def test_positional_callbacks_and_lists_of_labels():
    model = dk.Perceptron(stop_when_converged=True).build((2,))
    model.compile()
    callback = keras.callbacks.History()
    model.fit(X, Y.tolist(), 8, 2, 0, [callback])
    assert len(callback.epoch) <= 2
    assert callback.epoch


@pytest.mark.parametrize("y", [tf.constant(2 * Y - 1), pd.Series(2 * Y - 1), pd.Series(np.where(Y, "a", "b"))])
def test_labels_of_tensors_and_tables_are_checked(y):
    for call in (compiled().fit, compiled().evaluate):
        with pytest.raises(ValueError, match=r"(?s)a perceptron expects the labels 0 and 1, received .*hint: "):
            call(X, y, verbose=0)
    for call in (compiled().train_on_batch, lambda x, y: compiled().fit(X, Y, validation_data=(x, y), verbose=0)):
        with pytest.raises(ValueError, match=r"(?s)a perceptron expects the labels 0 and 1, received .*hint: "):
            call(X, y)


def test_weights_that_become_nan_are_an_error():
    with pytest.raises(ValueError, match=r"(?s)the weights are NaN or infinite after epoch 1\n  hint: "):
        compiled().fit(np.full_like(X, np.nan), Y, verbose=0)


def test_xla_which_checks_no_labels_makes_the_weights_nan():
    model = compiled()
    tf.function(model.train_step, jit_compile=True)((tf.constant(X), tf.constant(2 * Y - 1)))
    assert np.isnan(model.unit.get_weights()[0]).all()
