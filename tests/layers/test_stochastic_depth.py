"""Stochastic depth: dropped branches, rate, seeds and inference."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.layers import StochasticDepth
from tests.layers import checks


def test_inference_is_the_identity():
    x = checks.data(4, 3, 3, 2)
    layer = StochasticDepth(0.9)
    np.testing.assert_array_equal(layer(x), x)
    np.testing.assert_array_equal(layer(x, training=False), x)


@pytest.mark.parametrize("shape", [(200,), (200, 3), (200, 4, 4, 2)])
def test_an_example_is_dropped_or_scaled_as_a_whole(shape):
    x = np.abs(checks.data(*shape)) + 1
    y = np.asarray(StochasticDepth(0.25, seed=1)(x, training=True))
    survives = y.reshape(200, -1)[:, 0] != 0
    np.testing.assert_array_equal(y[~survives], 0)
    np.testing.assert_allclose(y[survives], x[survives] / 0.75, rtol=1e-6)
    assert 0 < survives.sum() < 200


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("rate", [0.003, 0.2, 0.7])
def test_the_dropped_fraction_equals_the_rate_in_every_precision(rate, dtype):
    n = 200_000
    y = StochasticDepth(rate, seed=2, dtype=dtype)(np.ones((n, 1), "float32"), training=True)
    dropped = float(np.mean(np.asarray(tf.cast(y, "float32")) == 0))
    assert abs(dropped - rate) < 4 * np.sqrt(rate * (1 - rate) / n)


def test_the_mean_is_unchanged():
    y = StochasticDepth(0.5, seed=3)(np.ones((100_000, 1), "float32"), training=True)
    assert abs(float(np.mean(y)) - 1) < 4 / np.sqrt(100_000)


def test_a_seed_is_reproducible_and_every_call_draws_new_numbers():
    x = np.ones((64, 1), "float32")
    first, second, other = StochasticDepth(0.5, seed=5), StochasticDepth(0.5, seed=5), StochasticDepth(0.5, seed=6)
    a, b = np.asarray(first(x, training=True)), np.asarray(first(x, training=True))
    np.testing.assert_array_equal(second(x, training=True), a)
    assert np.any(a != b)
    assert np.any(np.asarray(other(x, training=True)) != a)


def test_infinite_values_are_dropped_too():
    x = np.full((64, 1), np.inf, "float32")
    y = np.asarray(StochasticDepth(0.5, seed=1)(x, training=True))
    assert set(y.ravel()) == {0.0, np.inf}


def test_a_rate_of_zero_draws_nothing():
    layer = StochasticDepth(0)
    x = checks.data(4, 2)
    np.testing.assert_array_equal(layer(x, training=True), x)
    assert layer.variables == []


def test_the_gradient_of_a_dropped_example_is_zero():
    layer, x = StochasticDepth(0.5, seed=4), np.zeros((32, 2), "float32")
    gradient = checks.gradient(lambda x: layer(x, training=True), x)
    assert set(gradient.ravel()) == {0.0, 2.0}
    np.testing.assert_array_equal(gradient[:, 0], gradient[:, 1])


def test_a_dropped_branch_leaves_the_shortcut():
    body = [layers.Dense(3, kernel_initializer="ones"), StochasticDepth(0.5, seed=1)]
    model = dk.Residual(body, activation=None, shortcut="identity").build((3,))
    x = np.ones((50, 3), "float32")
    y = np.asarray(model(x, training=True))
    assert {tuple(row) for row in y} == {(1.0,) * 3, (7.0,) * 3}  # 1, or 1 + 3 / (1 - 0.5)
    np.testing.assert_allclose(model(x), np.full((50, 3), 4.0))


def test_layers_of_one_definition_draw_independently():
    branch = dk.Residual(StochasticDepth(0.5, seed=1), activation=None)
    model = dk.Repeat(branch, num_repeats=2).build((1,))
    y = np.asarray(model(np.ones((200, 1), "float32"), training=True))
    assert set(y.ravel()) == {1.0, 3.0, 9.0}  # with the same draws, 3 would not occur


@pytest.mark.parametrize("compiled", [True, False])
def test_in_a_graph_of_unknown_sizes_and_under_xla(compiled):
    """XLA draws other numbers, as for every layer on `keras.random`, but from the same distribution."""
    layer = StochasticDepth(0.5, seed=7)
    signature = [tf.TensorSpec([None, None], "float32")]
    function = tf.function(lambda x: layer(x, training=True), input_signature=signature, jit_compile=compiled)
    first, second = np.asarray(function(np.ones((64, 3), "float32"))), np.asarray(function(np.ones((64, 3), "float32")))
    np.testing.assert_array_equal(first, first[:, :1].repeat(3, axis=1))
    assert set(first.ravel()) == {0.0, 2.0}
    assert np.any(first != second)


def test_shapes_masks_config_and_files(tmp_path):
    checks.assert_symbolic_shape(StochasticDepth(0.5), checks.data(2, 3, 4))
    checks.assert_mask_passes(StochasticDepth(0.5), features=4)
    checks.assert_config_round_trip(StochasticDepth(0.5, seed=3))
    checks.assert_saved_and_cloned(StochasticDepth(0.5), checks.data(2, 3), tmp_path)
    checks.assert_precision(lambda dtype: StochasticDepth(0.5, dtype=dtype), checks.data(2, 3))


def test_a_loaded_model_draws_the_same_numbers(tmp_path):
    inputs = keras.Input((1,))
    model = keras.Model(inputs, StochasticDepth(0.5, seed=9)(inputs))
    model.save(tmp_path / "model.keras")
    x = np.ones((64, 1), "float32")
    restored = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(restored(x, training=True), model(x, training=True))


@pytest.mark.parametrize("rate", [1, -0.1, float("nan"), "0.5", None, True])
def test_invalid_rates_are_refused(rate):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        StochasticDepth(rate)
    assert str(caught.value) == (
        f"StochasticDepth: rate must be a fraction in [0, 1), received {rate!r}\n  hint: use StochasticDepth(0.2)"
    )
