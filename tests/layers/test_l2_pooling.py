"""L2 pooling: equality with a loop, borders, gradients at zero and precision."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from deepkit.layers import L2Pooling
from tests.layers import checks


def loop(x, pool, strides, padding):
    """Return the root of the sum of squares over the elements in each window; channels last."""
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
        begins = [start + i * s for start, i, s in zip(starts, position, strides, strict=True)]
        window = tuple(slice(max(b, 0), b + k) for b, k in zip(begins, pool, strict=True))
        axes = tuple(range(1, x.ndim - 1))
        y[(slice(None), *position)] = np.sqrt((x[(slice(None), *window)].astype("float64") ** 2).sum(axes))
    return y


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("shape", "pool", "strides"),
    [
        ((2, 7, 3), (3,), (2,)),
        ((2, 7, 3), (2,), (3,)),
        ((2, 7, 6, 3), (2, 2), (2, 2)),
        ((2, 7, 6, 3), (3, 4), (1, 3)),
        ((2, 5, 4, 3, 2), (3, 2, 2), (2, 1, 2)),
    ],
)
def test_equals_a_loop_in_both_data_formats(shape, pool, strides, padding):
    x = checks.data(*shape)
    expected = loop(x, pool, strides, padding)
    np.testing.assert_allclose(L2Pooling(pool, strides=strides, padding=padding)(x), expected, rtol=1e-5)
    first = L2Pooling(pool, strides=strides, padding=padding, data_format="channels_first")
    y = np.asarray(first(np.ascontiguousarray(np.moveaxis(x, -1, 1))))
    np.testing.assert_allclose(np.moveaxis(y, 1, -1), expected, rtol=1e-5)


def test_one_integer_applies_to_all_axes_and_strides_default_to_the_pool_size():
    for shape in ((1, 6, 2), (1, 6, 6, 2), (1, 6, 6, 6, 2)):
        x = checks.data(*shape)
        pool = (3,) * (len(shape) - 2)
        np.testing.assert_array_equal(L2Pooling(3)(x), L2Pooling(pool, strides=pool)(x))


def test_a_window_at_the_border_sums_only_elements_of_the_input():
    y = np.asarray(L2Pooling(3, strides=1, padding="same")(np.ones((1, 4, 4, 1), "float32")))
    np.testing.assert_allclose(y[0, 0, :, 0] ** 2, [4, 6, 6, 4], rtol=1e-5)
    np.testing.assert_allclose(y[0, 1, :, 0] ** 2, [6, 9, 9, 6], rtol=1e-5)


def test_a_window_of_one_is_the_absolute_value():
    x = checks.data(2, 4, 4, 3)
    np.testing.assert_allclose(L2Pooling(1)(x), np.abs(x), rtol=1e-6)


def test_the_gradient_is_the_input_over_the_output_and_zero_at_zero():
    x = checks.data(1, 4, 4, 1)
    x[0, :2, :2] = 0
    x[0, 2, 2] = 0
    y = np.asarray(L2Pooling(2)(x)).repeat(2, axis=1).repeat(2, axis=2)
    expected = np.divide(x, y, out=np.zeros_like(x), where=y > 0)
    np.testing.assert_allclose(checks.gradient(L2Pooling(2), x), expected, rtol=1e-5)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_the_gradient_of_an_all_zero_input_is_zero(padding):
    x = np.zeros((1, 5, 5, 2), "float32")
    np.testing.assert_array_equal(checks.gradient(L2Pooling(2, padding=padding), x), x)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_shapes_and_xla(padding, data_format):
    layer = L2Pooling(3, strides=2, padding=padding, data_format=data_format)
    checks.assert_symbolic_shape(layer, checks.data(2, 7, 8, 6))
    checks.assert_same_under_xla(layer, checks.data(2, 7, 8, 6))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_a_model_of_unknown_size_equals_one_of_known_size(data_format):
    shape = (7, 9, 2) if data_format == "channels_last" else (2, 7, 9)
    inputs = keras.Input((None, None, 2) if data_format == "channels_last" else (2, None, None))
    layer = L2Pooling((3, 2), strides=(2, 3), padding="same", data_format=data_format)
    x = checks.data(2, *shape)
    model = keras.Model(inputs, layer(inputs))
    np.testing.assert_allclose(model.predict(x, verbose=0), layer(x), rtol=1e-6)


def test_gradients_through_unknown_sizes_under_xla():
    layer = L2Pooling(3, strides=2, padding="same")
    signature = [tf.TensorSpec((None, None, None, 2), "float32")]

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tape.gradient(y, x)

    x = checks.data(2, 5, 6, 2)
    compiled, plain = (tf.function(gradient, input_signature=signature, jit_compile=jit)(x) for jit in (True, False))
    np.testing.assert_allclose(compiled, plain, rtol=1e-4, atol=1e-6)


def test_squares_do_not_overflow_half_precision():
    x = np.full((1, 2, 2, 1), 1000.0, "float16")  # a square of a million; the largest float16 is 65,504
    y = L2Pooling(2, dtype="mixed_float16")(x)
    assert y.dtype == "float16"
    np.testing.assert_allclose(np.asarray(y), [[[[2000.0]]]])


def test_double_precision_is_kept():
    x = np.full((1, 3, 1), 1 / 3)
    np.testing.assert_allclose(L2Pooling(3, dtype="float64")(x), [[[np.sqrt(1 / 3)]]], rtol=1e-15)


def test_config_saving_cloning_and_half_precision(tmp_path):
    checks.assert_config_round_trip(L2Pooling((2, 3), strides=1, padding="same", data_format="channels_first"))
    checks.assert_saved_and_cloned(L2Pooling((2, 3), padding="same"), checks.data(2, 5, 5, 2), tmp_path)
    checks.assert_precision(lambda dtype: L2Pooling(2, padding="same", dtype=dtype), checks.data(2, 5, 5, 2))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: L2Pooling(0), "L2Pooling: pool_size must be a positive integer, received 0\n  hint: use L2Pooling(2)"),
        (
            lambda: L2Pooling((2, 2.5)),
            "L2Pooling: pool_size must be a positive integer, received 2.5\n  hint: use L2Pooling(2)",
        ),
        (
            lambda: L2Pooling(2, strides=-1),
            "L2Pooling: strides must be a positive integer, received -1\n  hint: use L2Pooling(2)",
        ),
        (
            lambda: L2Pooling(2, padding="full"),
            "L2Pooling: padding must be one of 'valid', 'same', received 'full'\n  hint: use padding=\"same\"",
        ),
        (
            lambda: L2Pooling((2, 3))(np.zeros((1, 4, 1), "float32")),
            "L2Pooling: pool_size=(2, 3) has 2 numbers, the input has 1 spatial axes\n"
            "  hint: use pool_size=2 for all axes",
        ),
        (
            lambda: L2Pooling(2, strides=(1, 3))(keras.Input((4, 4, 4, 1))),
            "L2Pooling: strides=(1, 3) has 2 numbers, the input has 3 spatial axes\n  hint: use strides=1 for all axes",
        ),
    ],
)
def test_invalid_arguments_are_refused(make, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        make()
    assert str(caught.value) == text


def test_an_input_without_spatial_axes_is_refused():
    with pytest.raises(ValueError, match="expected min_ndim=3, found ndim=2"):
        L2Pooling(2)(np.zeros((2, 3), "float32"))
