"""Masking noise and salt-and-pepper noise: replaced values, rate, seeds and inference."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.layers import MaskingNoise, SaltAndPepperNoise
from tests.layers import checks

BOTH = pytest.mark.parametrize("noise", [MaskingNoise, SaltAndPepperNoise])


def test_both_are_exported_by_deepkit_and_by_its_layers():
    assert dk.MaskingNoise is dk.layers.MaskingNoise
    assert dk.SaltAndPepperNoise is dk.layers.SaltAndPepperNoise


@BOTH
def test_inference_is_the_identity(noise):
    x = checks.data(4, 3, 3, 2)
    np.testing.assert_array_equal(noise(0.9)(x), x)
    np.testing.assert_array_equal(noise(0.9)(x, training=False), x)


def test_masking_sets_values_to_zero_and_does_not_scale_the_others():
    x = np.abs(checks.data(100, 20)) + 1
    y = np.asarray(MaskingNoise(0.3, seed=1)(x, training=True))
    unmasked = y != 0
    np.testing.assert_array_equal(y[unmasked], x[unmasked])  # dropout would have divided them by 0.7
    assert 0 < unmasked[0].sum() < 20  # values are drawn independently, not whole examples


def test_salt_and_pepper_sets_values_to_low_and_high():
    x = np.full((1000, 50), 0.5, "float32")
    y = np.asarray(SaltAndPepperNoise(0.4, low=-1, high=2, seed=1)(x, training=True))
    fractions = [float(np.mean(y == value)) for value in (-1, 0.5, 2)]
    assert sum(fractions) == 1
    np.testing.assert_allclose(fractions, [0.2, 0.6, 0.2], atol=4 * np.sqrt(0.24 / y.size))


@BOTH
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("rate", [0.003, 0.7])
def test_the_replaced_fraction_equals_the_rate_in_every_precision(noise, rate, dtype):
    n = 200_000
    y = noise(rate, seed=2, dtype=dtype)(np.full((n, 1), 0.5, "float32"), training=True)
    assert y.dtype == {"mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}.get(dtype, dtype)
    replaced = float(np.mean(np.asarray(tf.cast(y, "float32")) != 0.5))
    assert abs(replaced - rate) < 4 * np.sqrt(rate * (1 - rate) / n)


@BOTH
def test_a_seed_is_reproducible_and_every_call_draws_new_numbers(noise):
    x = np.full((64, 4), 0.5, "float32")
    first, second, other = noise(0.5, seed=5), noise(0.5, seed=5), noise(0.5, seed=6)
    a, b = np.asarray(first(x, training=True)), np.asarray(first(x, training=True))
    np.testing.assert_array_equal(second(x, training=True), a)
    assert np.any(a != b)
    assert np.any(np.asarray(other(x, training=True)) != a)


@BOTH
def test_the_seed_generator_holds_the_whole_random_state(noise):
    x = np.full((64, 4), 0.5, "float32")
    layer, other = noise(0.5, seed=5), noise(0.5, seed=7)
    layer(x, training=True)
    other.seed_generator.state.assign(layer.seed_generator.state)
    np.testing.assert_array_equal(other(x, training=True), layer(x, training=True))


@BOTH
def test_a_rate_of_zero_draws_nothing(noise):
    layer, x = noise(0), checks.data(4, 2)
    np.testing.assert_array_equal(layer(x, training=True), x)
    assert layer.variables == []


@BOTH
def test_replaced_values_have_no_gradient_even_if_they_are_infinite(noise):
    layer = noise(0.5, seed=4)
    gradient = checks.gradient(lambda x: layer(x, training=True), np.full((32, 2), np.inf, "float32"))
    assert set(gradient.ravel()) == {0.0, 1.0}
    y = np.asarray(layer(np.full((64, 1), np.inf, "float32"), training=True))
    assert np.isinf(y).any()
    assert np.isfinite(y).any()
    assert not np.isnan(y).any()


@BOTH
@pytest.mark.parametrize("compiled", [True, False])
def test_in_a_graph_of_unknown_sizes_and_under_xla(noise, compiled):
    layer = noise(0.5, seed=7)
    signature = [tf.TensorSpec([None, None], "float32")]
    function = tf.function(lambda x: layer(x, training=True), input_signature=signature, jit_compile=compiled)
    x = np.full((64, 3), 0.5, "float32")
    first, second = np.asarray(function(x)), np.asarray(function(x))
    assert set(first.ravel()) == ({0.0, 0.5} if noise is MaskingNoise else {0.0, 0.5, 1.0})
    assert np.any(first != second)


@BOTH
def test_shapes_masks_config_and_files(noise, tmp_path):
    checks.assert_symbolic_shape(noise(0.5), checks.data(2, 3, 4))
    checks.assert_mask_passes(noise(0.5), features=4)
    checks.assert_config_round_trip(noise(0.5, seed=3))
    checks.assert_saved_and_cloned(noise(0.5), checks.data(2, 3), tmp_path)
    checks.assert_precision(lambda dtype: noise(0.5, dtype=dtype), checks.data(2, 3))


def test_two_layers_of_one_definition_draw_independently():
    model = dk.Repeat(dk.MaskingNoise(0.5, seed=1), num_repeats=2).build((1,))
    unmasked = np.asarray(model(np.ones((2000, 1), "float32"), training=True)).mean()
    assert abs(unmasked - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 2000)  # with the same draws it would be one half


@BOTH
@pytest.mark.parametrize("rate", [1, -0.1, float("nan"), "0.5", None, True])
def test_invalid_rates_are_refused(noise, rate):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        noise(rate)
    assert str(caught.value) == (
        f"{noise.__name__}: rate must be a fraction in [0, 1), received {rate!r}\n  hint: use {noise.__name__}(0.25)"
    )


@pytest.mark.parametrize(("low", "high"), [(1, 0), (0, 0), (float("nan"), 1), ("0", 1), (False, True)])
def test_low_must_be_below_high(low, high):
    with pytest.raises(ValueError, match=f"low must be a number below high, received low={low!r}, high={high!r}"):
        SaltAndPepperNoise(0.5, low=low, high=high)


def test_a_loaded_model_draws_the_same_numbers(tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, SaltAndPepperNoise(0.5, low=-1, seed=9)(inputs))
    model.save(tmp_path / "model.keras")
    x = np.ones((64, 3), "float32")
    restored = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(restored(x, training=True), model(x, training=True))
