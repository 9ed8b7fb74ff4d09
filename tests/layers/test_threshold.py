"""The threshold unit: outputs, truth tables, and errors for every way to request its gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.layers import Threshold
from tests.layers import checks

ERROR = "Threshold: a gradient was requested, but the derivative of the step function is 0 or does not exist"
HINT = 'hint: use a smooth activation such as layers.Activation("sigmoid")'
X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], "float32")


def unit(weights, bias):
    model = dk.Sequential([keras.layers.Dense(1), Threshold()]).build((2,))
    model.set_weights([np.array(weights, "float32")[:, None], np.array([bias], "float32")])
    return np.asarray(model(X))[:, 0].tolist()


def test_the_output_is_1_from_the_threshold_on():
    x = np.array([[-np.inf, 0.49, 0.5, 0.51, np.inf, np.nan]], "float32")
    assert np.asarray(Threshold(0.5)(x)).tolist() == [[0, 0, 1, 1, 1, 0]]


def test_and_or_and_not_are_threshold_units():
    assert unit([1, 1], -1.5) == [0, 0, 0, 1]
    assert unit([1, 1], -0.5) == [0, 1, 1, 1]
    assert unit([-1, 0], 0.5) == [1, 1, 0, 0]


def test_config_saving_precision_and_masks(tmp_path):
    checks.assert_config_round_trip(Threshold(-1.5))
    checks.assert_saved_and_cloned(Threshold(0.25), checks.data(3, 4), tmp_path)
    checks.assert_precision(lambda dtype: Threshold(dtype=dtype), checks.data(3, 4))
    checks.assert_same_under_xla(Threshold(), checks.data(3, 4))
    checks.assert_mask_passes(Threshold(), 4)


def eager_gradient():
    return checks.gradient(Threshold(), X)


def graph_gradient():
    return tf.function(lambda x: tf.gradients(Threshold()(x), x))(tf.constant(X))


@tf.function
def tape_in_a_graph(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = Threshold()(x)
    return tape.gradient(y, x)


@tf.function(jit_compile=True)
def tape_under_xla(x):
    return tape_in_a_graph(x)


@pytest.mark.parametrize(
    "request_gradient",
    [
        eager_gradient,
        graph_gradient,
        lambda: tape_in_a_graph(tf.constant(X)),
        lambda: tape_under_xla(tf.constant(X)),
    ],
    ids=["eager", "graph", "tape in a graph", "XLA"],
)
def test_a_request_of_the_gradient_raises_an_error_with_a_hint(request_gradient):
    with pytest.raises(ValueError, match=f"(?s){ERROR}.*{HINT.replace('(', '.').replace(')', '.')}"):
        request_gradient()


def network():
    return dk.Sequential([keras.layers.Dense(3), Threshold(), keras.layers.Dense(1)])


@pytest.mark.parametrize("arguments", [{}, {"run_eagerly": True}], ids=str)
def test_fit_of_keras_raises_the_error(arguments):
    model = network().build((2,))
    model.compile("sgd", "mse", **arguments)
    with pytest.raises(ValueError, match=ERROR):
        model.fit(X, X[:, 0], verbose=0)


def test_fit_of_deepkit_raises_the_error():
    with pytest.raises(ValueError, match=ERROR):
        dk.fit(network(), X, X[:, 0], loss="mse", verbose=0)


def test_layers_after_a_threshold_train():
    model = dk.Sequential([Threshold(0.5), keras.layers.Dense(1)]).build((2,))
    model.compile(keras.optimizers.SGD(0.5), "mse")
    losses = model.fit(X, X.sum(1), epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 4


@pytest.mark.slow
def test_keras_exports_a_model_with_a_threshold(tmp_path):
    model = network().build((2,))
    model.export(tmp_path / "export", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "export")  # `serve` alone does not keep its variables
    np.testing.assert_allclose(loaded.serve(X), model(X), rtol=1e-6)


@pytest.mark.parametrize("threshold", [None, float("nan"), "high"])
def test_a_threshold_that_is_not_finite_is_refused(threshold):
    with pytest.raises(ValueError, match=r"Threshold: threshold must be a number, received .*\n  hint: use Threshold"):
        Threshold(threshold)


@pytest.mark.parametrize(("threshold", "dtype"), [(1e39, "float32"), (70000.0, "float16"), (0.1, "float16")])
def test_a_threshold_is_compared_in_the_dtype_of_the_layer(threshold, dtype):
    x = (
        np.array([[0.0, threshold, np.inf]]).astype(dtype)
        if threshold < 1
        else np.array([[0.0, np.inf, np.inf]], dtype)
    )
    assert np.asarray(Threshold(threshold, dtype=dtype)(x)).tolist() == [[0.0, 1.0, 1.0]]
