"""The layers of LeNet-5: equality with NumPy, weight counts and errors."""

import keras
import numpy as np
import pytest

from deepkit import layers as dkl

# LeCun et al. 1998, table I, by output map
TABLE = [
    *[tuple((m + i) % 6 for i in range(3)) for m in range(6)],
    *[tuple((m + i) % 6 for i in range(4)) for m in range(6)],
    *[(m, m + 1, (m + 3) % 6, (m + 4) % 6) for m in range(3)],
    tuple(range(6)),
]


def images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_the_third_layer_of_lenet_has_1516_weights():
    layer = dkl.TableConv2D(TABLE, 5)
    layer.build((None, 14, 14, 6))
    assert layer.count_params() == 1_516


def test_table_convolution_equals_a_loop():
    layer = dkl.TableConv2D([(0, 2), (1,)], 3, bias_initializer="ones")
    x = images(2, 5, 6, 3)
    y = np.asarray(layer(x))
    kernel = np.asarray(layer.kernel)
    for row in range(3):
        for column in range(4):
            window = x[:, row : row + 3, column : column + 3]
            first = (window[..., [0, 2]] * kernel[..., :2]).sum((1, 2, 3)) + 1
            second = (window[..., 1] * kernel[..., 2]).sum((1, 2)) + 1
            np.testing.assert_allclose(y[:, row, column], np.stack([first, second], -1), rtol=1e-4, atol=1e-5)


def test_a_full_table_is_an_ordinary_convolution():
    layer = dkl.TableConv2D([(0, 1, 2)] * 4, 3)
    x = images(2, 5, 5, 3)
    y = layer(x)
    kernel = np.moveaxis(np.asarray(layer.kernel).reshape(3, 3, 4, 3), 2, 3)
    np.testing.assert_allclose(y, keras.ops.conv(x, kernel), rtol=1e-5, atol=1e-5)


def test_each_map_is_initialized_with_its_own_number_of_inputs():
    layer = dkl.TableConv2D([(0,), (0, 1, 2, 3)], 5, kernel_initializer=dkl.FanInUniform(2.4))
    layer.build((None, 8, 8, 4))
    kernel = np.abs(np.asarray(layer.kernel))
    assert 0.8 * 2.4 / 25 < kernel[..., 0].max() <= 2.4 / 25
    assert 0.8 * 2.4 / 100 < kernel[..., 1:].max() <= 2.4 / 100


def test_an_image_smaller_than_the_kernels_of_a_table_is_refused():
    with pytest.raises(ValueError, match=r"kernel_size=5 needs at least that many rows and columns, received 4x9"):
        dkl.TableConv2D(TABLE, 5)(keras.Input((4, 9, 6)))


@pytest.mark.parametrize("initializer", ["glorot_uniform", keras.initializers.HeNormal(seed=1)])
def test_every_map_of_a_table_starts_with_a_different_kernel(initializer):
    layer = dkl.TableConv2D([(0, 1), (1, 2), (0, 2)], 3, kernel_initializer=initializer)
    layer.build((None, 8, 8, 3))
    first, second, third = (np.asarray(layer.kernel)[..., 2 * i : 2 * i + 2] for i in range(3))
    assert not np.any(first == second)
    assert not np.any(second == third)


def test_subsampling_equals_numpy():
    layer = dkl.Subsampling2D(2, activation=dkl.scaled_tanh)
    x = images(2, 5, 6, 3)
    layer(x)
    layer.coefficient.assign([0.1, 0.2, 0.3])
    layer.bias.assign([1.0, 0.0, -1.0])
    sums = x[:, :4].reshape(2, 2, 2, 3, 2, 3).sum((2, 4))
    expected = 1.7159 * np.tanh(2 / 3 * (sums * [0.1, 0.2, 0.3] + [1, 0, -1]))
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-6)


def test_rbf_units_return_squared_distances():
    centers = images(4, 6)
    x = images(3, 6) + 1
    expected = ((x[:, None] - centers[None]) ** 2).sum(-1)
    np.testing.assert_allclose(dkl.RBF(centers)(x), expected, rtol=1e-4)


def test_rbf_centers_are_not_weights():
    layer = dkl.RBF(images(4, 6))
    layer.build((None, 6))
    assert layer.weights == []


def test_scaled_tanh_passes_through_one():
    np.testing.assert_allclose(dkl.scaled_tanh(np.array([1.0, -1.0, 1e6], "float32")), [1.0, -1.0, 1.7159], atol=1e-4)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: dkl.TableConv2D([(0,), ()], 3), "every row of table must name an input map"),
        (lambda: dkl.TableConv2D([(0, 3)], 3)(images(1, 5, 5, 3)), "table names input map 3, received 3 channels"),
        (lambda: dkl.Subsampling2D(0), "pool_size must be a positive integer, received 0"),
        (lambda: dkl.Subsampling2D(True), "pool_size must be a positive integer, received True"),
        (lambda: dkl.RBF([1.0, 2.0]), r"centers must have the shape (units, features), received (2,)"),
        (lambda: dkl.RBF([[1.0, 2.0]])(images(1, 3)), "the centers have 2 features, received 3"),
    ],
)
def test_invalid_arguments_are_refused(make, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        make()
    assert text in str(caught.value)


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "3"])
def test_a_kernel_size_that_is_not_a_positive_integer_is_refused(size):
    with pytest.raises(ValueError, match="TableConv2D: kernel_size must be a positive integer, received"):
        dkl.TableConv2D([(0,)], size)
