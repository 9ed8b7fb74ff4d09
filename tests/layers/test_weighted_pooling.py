"""Weighted average pooling: equality with a loop, borders, limits of sigma, and errors."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from deepkit.layers import WeightedAveragePooling
from tests.layers import checks


def loop(x, pool, strides, padding, sigma):
    """Return the weighted mean of the elements in each window; channels last."""
    sizes = x.shape[1:-1]
    if padding == "valid":
        output_sizes = [(n - k) // s + 1 for n, k, s in zip(sizes, pool, strides, strict=True)]
        starts = [0] * len(sizes)
    else:
        output_sizes = [-(-n // s) for n, s in zip(sizes, strides, strict=True)]
        windows = zip(output_sizes, strides, pool, sizes, strict=True)
        starts = [-(max((o - 1) * s + k - n, 0) // 2) for o, s, k, n in windows]
    y = np.zeros((x.shape[0], *output_sizes, x.shape[-1]))
    for position in itertools.product(*map(range, output_sizes)):
        total = 0.0
        for offset in itertools.product(*map(range, pool)):
            axes = zip(starts, position, strides, offset, strict=True)
            place = [start + i * stride + o for start, i, stride, o in axes]
            if any(not 0 <= i < n for i, n in zip(place, sizes, strict=True)):
                continue
            scales = [k / 4 if sigma is None else sigma for k in pool]
            pairs = zip(offset, pool, scales, strict=True)
            distance = sum(((o - (k - 1) / 2) / scale) ** 2 for o, k, scale in pairs)
            weight = np.exp(-distance / 2)
            y[(slice(None), *position)] += weight * x[(slice(None), *place)]
            total += weight
        y[(slice(None), *position)] /= total
    return y


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("shape", "pool", "strides", "sigma"),
    [
        ((2, 7, 3), (3,), (2,), None),
        ((2, 7, 3), (5,), (1,), 0.7),
        ((2, 7, 6, 3), (3, 4), (1, 3), None),
        ((2, 6, 6, 2), (5, 5), (2, 2), 2.0),
        ((1, 4, 4, 3, 2), (3, 2, 3), (2, 1, 2), None),
    ],
)
def test_equals_a_loop_in_both_data_formats(shape, pool, strides, sigma, padding):
    x = checks.data(*shape)
    expected = loop(x, pool, strides, padding, sigma)
    layer = WeightedAveragePooling(pool, strides=strides, padding=padding, sigma=sigma)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-6)
    first = WeightedAveragePooling.from_config({**layer.get_config(), "data_format": "channels_first"})
    y = np.asarray(first(np.ascontiguousarray(np.moveaxis(x, -1, 1))))
    np.testing.assert_allclose(np.moveaxis(y, 1, -1), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_a_large_sigma_is_average_pooling_and_a_small_one_takes_the_center(padding):
    x = checks.data(2, 6, 6, 3)
    average = layers.AveragePooling2D(3, 1, padding)(x)
    wide = WeightedAveragePooling(3, strides=1, padding=padding, sigma=1e4)
    np.testing.assert_allclose(wide(x), average, rtol=1e-5, atol=1e-6)
    center = x if padding == "same" else x[:, 1:-1, 1:-1]
    narrow = WeightedAveragePooling(3, strides=1, padding=padding, sigma=1e-3)
    np.testing.assert_allclose(narrow(x), center, rtol=1e-6)


def test_two_elements_have_equal_weights_however_small_sigma_is():
    x = checks.data(1, 4, 2)
    np.testing.assert_allclose(
        WeightedAveragePooling(2, sigma=1e-4)(x), layers.AveragePooling1D(2)(x), rtol=1e-6, atol=1e-7
    )


def test_the_mean_of_a_constant_is_the_constant():
    ones = np.ones((1, 5, 5, 2), "float32")
    for padding in ("valid", "same"):
        np.testing.assert_allclose(WeightedAveragePooling(3, strides=2, padding=padding)(ones), 1.0, rtol=1e-6)


def test_weights_decrease_with_the_distance_from_the_center():
    impulse = np.zeros((1, 5, 5, 1), "float32")
    weights = np.zeros((5, 5))
    for row, column in np.ndindex(5, 5):
        x = impulse.copy()
        x[0, row, column] = 1
        weights[row, column] = WeightedAveragePooling(5)(x)[0, 0, 0, 0]
    distances = np.hypot(*np.mgrid[-2:3, -2:3]).reshape(-1)
    order = np.argsort(distances, kind="stable")
    assert np.all(np.diff(weights.reshape(-1)[order]) <= 1e-7)
    assert weights.sum() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_shapes_xla_gradients_and_precision(padding):
    x = checks.data(2, 7, 6, 3)
    layer = WeightedAveragePooling(3, strides=2, padding=padding)
    checks.assert_symbolic_shape(layer, x)
    checks.assert_same_under_xla(layer, x)
    checks.assert_precision(lambda dtype: WeightedAveragePooling(3, padding=padding, dtype=dtype), x)
    gradient = checks.gradient(lambda x: layer(x), x)
    assert gradient.sum() == pytest.approx(np.prod(layer(x).shape), rel=1e-4)  # the weights of a window sum to 1


def test_config_saving_and_cloning(tmp_path):
    checks.assert_config_round_trip(WeightedAveragePooling((3, 2), strides=1, padding="same", sigma=0.5))
    checks.assert_saved_and_cloned(WeightedAveragePooling(3, padding="same"), checks.data(2, 5, 5, 2), tmp_path)


def test_an_autoencoder_mirrors_it():
    for pooling in (WeightedAveragePooling(3, strides=2, padding="same"), dk.layers.L2Pooling(2)):
        assert dk.Autoencoder([dk.ConvBlock(2), pooling]).build((8, 8, 1)).output_shape == (None, 8, 8, 1)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: WeightedAveragePooling(0),
            "WeightedAveragePooling: pool_size must be a positive integer, received 0\n"
            "  hint: use WeightedAveragePooling(2)",
        ),
        (
            lambda: WeightedAveragePooling(3, sigma=0),
            "WeightedAveragePooling: sigma must be a number above 0, received 0\n"
            "  hint: use sigma=1.0, or None for a quarter of the pool size",
        ),
        (
            lambda: WeightedAveragePooling(3, padding="full"),
            "WeightedAveragePooling: padding must be one of 'valid', 'same', received 'full'\n"
            '  hint: use padding="same"',
        ),
        (
            lambda: WeightedAveragePooling((3, 2))(keras.Input((4, 1))),
            "WeightedAveragePooling: pool_size=(3, 2) has 2 numbers, the input has 1 spatial axes\n"
            "  hint: use pool_size=3 for all axes",
        ),
        (
            lambda: dk.Sequential([WeightedAveragePooling(5)]).build((4, 4, 1)),
            'padding="valid" with pool_size=5 needs an input of at least 5x5, received 4x4x1',
        ),
    ],
)
def test_wrong_arguments_are_refused(make, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        make()
    assert str(caught.value).startswith(text)
