"""Local response normalization: equality with a loop and with TensorFlow's implementation."""

import numpy as np
import pytest
import tensorflow as tf

from deepkit.layers import LocalResponseNormalization
from tests.layers import checks


def loop(x, radius, bias, alpha, beta):
    y = np.zeros(x.shape)
    channels = x.shape[-1]
    for i in range(channels):
        neighbors = x[..., max(0, i - radius) : min(channels, i + radius + 1)].astype("float64")
        y[..., i] = x[..., i] / (bias + alpha * (neighbors**2).sum(-1)) ** beta
    return y


@pytest.mark.parametrize("radius", [0, 1, 2, 20])
@pytest.mark.parametrize("shape", [(3, 7), (2, 4, 7), (2, 3, 4, 7), (2, 2, 3, 2, 7)])
def test_equals_a_loop_in_both_data_formats(shape, radius):
    x = checks.data(*shape, scale=3)
    expected = loop(x, radius, 1.5, 0.2, 0.6)
    kwargs = {"depth_radius": radius, "bias": 1.5, "alpha": 0.2, "beta": 0.6}
    np.testing.assert_allclose(LocalResponseNormalization(**kwargs)(x), expected, rtol=1e-5, atol=1e-6)
    first = LocalResponseNormalization(**kwargs, data_format="channels_first")
    y = np.asarray(first(np.ascontiguousarray(np.moveaxis(x, -1, 1))))
    np.testing.assert_allclose(np.moveaxis(y, 1, -1), expected, rtol=1e-5, atol=1e-6)


def test_the_defaults_are_those_of_the_paper_and_equal_tensorflow():
    x = checks.data(2, 4, 4, 9, scale=100)
    expected = tf.nn.local_response_normalization(x, depth_radius=2, bias=2, alpha=1e-4, beta=0.75)
    np.testing.assert_allclose(LocalResponseNormalization()(x), expected, rtol=1e-5)


def test_a_small_channel_beside_large_ones_is_exact():
    x = np.array([[1e4, 1e4, 0, 0, 1e-3, 0, 0]], "float32")
    y = np.asarray(LocalResponseNormalization(1, bias=1e-6, alpha=1.0, beta=0.5)(x))
    np.testing.assert_allclose(y[0, 4], 1e-3 / np.sqrt(1e-6 + 1e-6), rtol=1e-5)


def test_squares_do_not_overflow_half_precision():
    x = np.full((1, 5), 1000.0, "float16")
    y = LocalResponseNormalization(dtype="mixed_float16")(x)
    assert y.dtype == "float16"
    np.testing.assert_allclose(np.asarray(y), loop(np.float32(x), 2, 2.0, 1e-4, 0.75), rtol=2e-3)


def test_double_precision_is_kept():
    x = checks.data(2, 6).astype("float64")
    y = LocalResponseNormalization(alpha=0.5, dtype="float64")(x)
    np.testing.assert_allclose(y, loop(x, 2, 2.0, 0.5, 0.75), rtol=1e-14)


def test_gradients_equal_those_of_tensorflow_and_are_finite_at_zero():
    kwargs = {"depth_radius": 2, "bias": 1.0, "alpha": 0.3, "beta": 0.75}
    x = checks.data(2, 3, 3, 7)
    x[0] = 0
    expected = checks.gradient(lambda x: tf.nn.local_response_normalization(x, **kwargs), x)
    np.testing.assert_allclose(checks.gradient(LocalResponseNormalization(**kwargs), x), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(expected[0], 1)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_shapes_and_xla(data_format):
    layer = LocalResponseNormalization(1, alpha=0.1, data_format=data_format)
    checks.assert_symbolic_shape(layer, checks.data(2, 5, 6, 4))
    checks.assert_same_under_xla(layer, checks.data(2, 5, 6, 4))


def test_masks_config_and_files(tmp_path):
    checks.assert_mask_passes(LocalResponseNormalization(alpha=0.5), features=4)
    checks.assert_config_round_trip(
        LocalResponseNormalization(3, bias=1, alpha=0, beta=0.5, data_format="channels_first")
    )
    checks.assert_saved_and_cloned(LocalResponseNormalization(), checks.data(2, 3, 3, 4), tmp_path)
    checks.assert_precision(lambda dtype: LocalResponseNormalization(alpha=0.5, dtype=dtype), checks.data(2, 3, 3, 4))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: LocalResponseNormalization(-1),
            "LocalResponseNormalization: depth_radius must be an integer of at least 0, received -1\n"
            "  hint: use depth_radius=2 for sums over five channels",
        ),
        (
            lambda: LocalResponseNormalization(bias=0),
            "LocalResponseNormalization: bias must be a number above 0, received 0\n"
            "  hint: use bias=2.0; bias=0 divides by zero if all channels are zero",
        ),
        (
            lambda: LocalResponseNormalization(alpha=-1e-4),
            "LocalResponseNormalization: alpha must be a number from 0, received -0.0001\n  hint: use alpha=1e-4",
        ),
        (
            lambda: LocalResponseNormalization(data_format="NHWC"),
            "LocalResponseNormalization: data_format must be one of 'channels_last', 'channels_first', received 'NHWC'"
            '\n  hint: use data_format="channels_last"',
        ),
        (
            lambda: LocalResponseNormalization().build((None, 4, None)),
            "LocalResponseNormalization: axis -1 of the input must have a known size, received the shape "
            "(None, 4, None)\n  hint: use a keras.Input, or a build shape, with a number on that axis",
        ),
    ],
)
def test_invalid_arguments_are_refused(make, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        make()
    assert str(caught.value) == text
