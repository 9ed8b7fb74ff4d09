"""Gaussian sampling: distribution of the draws, gradients through a draw, and inference."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk

MEAN, LOG_VARIANCE = [[0.5, -1.0]], [[0.0, -1.4]]


def draw(num_samples, seed=0, count=1):
    layer = dk.layers.GaussianSampling(num_samples, seed=seed)
    return layer([tf.repeat(tf.constant(moment), count, axis=0) for moment in (MEAN, LOG_VARIANCE)], training=True)


def test_draws_have_the_mean_and_the_variance_of_the_input():
    z = np.asarray(draw(40_000))[0]
    error = 5 / np.sqrt(len(z))  # five standard errors, in units of the standard deviation
    deviation = np.exp(np.array(LOG_VARIANCE[0]) / 2)
    np.testing.assert_allclose((z.mean(0) - MEAN[0]) / deviation, 0, atol=error)
    np.testing.assert_allclose(z.std(0) / deviation, 1, atol=error)


def test_the_gradient_through_a_draw_is_that_of_the_expectation():
    # E[a z^2 + b z] = a (mean^2 + variance) + b mean, and variance = sigma^2
    a, b = 1.5, -0.7
    mean, sigma = tf.constant([[0.8]]), tf.constant([[0.6]])
    layer = dk.layers.GaussianSampling(40_000, seed=1)
    with tf.GradientTape() as tape:
        tape.watch([mean, sigma])
        z = layer([mean, 2 * tf.math.log(sigma)], training=True)
        value = tf.reduce_mean(a * z**2 + b * z)
    by_mean, by_sigma = tape.gradient(value, [mean, sigma])
    # the gradient of a draw is (2 a z + b) and (2 a z + b) * noise: five standard errors of their means
    np.testing.assert_allclose(by_mean, 2 * a * 0.8 + b, atol=5 * 2 * a * 0.6 / 200)
    np.testing.assert_allclose(by_sigma, 2 * a * 0.6, atol=5 * 4 / 200)


def test_inference_returns_the_mean():
    inputs = {"mean": tf.constant(MEAN), "log_variance": tf.constant(LOG_VARIANCE)}
    np.testing.assert_array_equal(dk.layers.GaussianSampling()(inputs), MEAN)
    np.testing.assert_array_equal(dk.layers.GaussianSampling(3)(inputs), [MEAN * 3])


def test_a_seed_is_reproducible_and_every_call_draws_new_numbers():
    layer = dk.layers.GaussianSampling(seed=4)
    pair = [tf.constant(MEAN), tf.constant(LOG_VARIANCE)]
    first, second = np.asarray(layer(pair, training=True)), np.asarray(layer(pair, training=True))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(dk.layers.GaussianSampling(seed=4)(pair, training=True), first)
    assert not np.array_equal(draw(1, count=2)[0], draw(1, count=2)[1])


def test_num_samples_adds_an_axis():
    shapes = [dk.layers.GaussianSampling(n).compute_output_shape([(None, 4, 2)] * 2) for n in (None, 1, 3)]
    assert shapes == [(None, 4, 2), (None, 1, 4, 2), (None, 3, 4, 2)]
    assert draw(3, count=5).shape == (5, 3, 2)


def test_it_compiles_under_xla_and_keeps_the_dtype_of_its_inputs():
    layer = dk.layers.GaussianSampling(seed=4, dtype="mixed_bfloat16")
    pair = [tf.constant(MEAN), tf.constant(LOG_VARIANCE)]
    compiled = tf.function(lambda: layer(pair, training=True), jit_compile=True)
    z = compiled()
    assert (z.dtype, z.shape) == (tf.bfloat16, (1, 2))


def test_the_config_restores_the_layer():
    layer = dk.layers.GaussianSampling(3, seed=4)
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (restored.num_samples, restored.seed) == (3, 4)


@pytest.mark.parametrize("num_samples", [0, -1, 2.5, True])
def test_num_samples_must_be_a_positive_integer(num_samples):
    with pytest.raises(ValueError, match="samples must be a positive integer, received") as error:
        dk.layers.GaussianSampling(num_samples)
    assert "hint: use GaussianSampling()" in str(error.value)


def test_a_single_tensor_is_refused():
    with pytest.raises(ValueError, match=r"expected the mean and the log variance, received .*\n.*dk\.GaussianHead"):
        dk.layers.GaussianSampling()(tf.zeros((2, 3)))


def test_mean_and_log_variance_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"must have one shape, received \(3,\) and \(1,\)"):
        dk.layers.GaussianSampling()([tf.zeros((2, 3)), tf.zeros((2, 1))])
