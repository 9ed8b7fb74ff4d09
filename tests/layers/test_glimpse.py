"""Glimpse: equality with a NumPy loop, locations, scales, dtypes, unknown sizes, saving and errors."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from deepkit.layers import Glimpse
from tests.layers import checks

IMAGES = np.random.default_rng(0).normal(size=(6, 9, 11, 2)).astype("float32")
LOCATIONS = np.random.default_rng(1).uniform(-1.2, 1.2, (6, 2)).astype("float32")


def loop(images, locations, size, num_scales=1, factor=2):
    """Return the patches, one pixel of one image at a time."""
    count, height, width, channels = images.shape
    patches = np.zeros((count, size, size, num_scales * channels))
    for i in range(count):
        for scale in range(num_scales):
            side = size * factor**scale
            left = int(np.floor((locations[i, 0] + 1) * width / 2 - side / 2 + 0.5))
            top = int(np.floor((locations[i, 1] + 1) * height / 2 - side / 2 + 0.5))
            for row in range(side):
                for column in range(side):
                    if 0 <= top + row < height and 0 <= left + column < width:
                        pixel = images[i, top + row, left + column] / factor ** (2 * scale)
                        cell = row // factor**scale, column // factor**scale
                        patches[i, *cell, scale * channels : (scale + 1) * channels] += pixel
    return patches


@pytest.mark.parametrize("size", [1, 3, 4, 9])
@pytest.mark.parametrize(("num_scales", "factor"), [(1, 2), (3, 2), (2, 3)])
def test_equals_a_loop(size, num_scales, factor):
    expected = loop(IMAGES, LOCATIONS, size, num_scales, factor)
    patches = Glimpse(size, num_scales, factor)([IMAGES, LOCATIONS])
    np.testing.assert_allclose(patches, expected, rtol=1e-5, atol=1e-5)


def test_x_is_to_the_right_and_y_downward():
    image = np.arange(64.0).reshape(1, 8, 8, 1)
    corners = np.array([[-0.75, -0.75], [0.75, -0.75], [-0.75, 0.75], [0.75, 0.75]])
    patches = np.asarray(Glimpse(2)([np.repeat(image, 4, axis=0), corners]))
    np.testing.assert_array_equal(patches[:, 0, 0, 0], [0, 6, 48, 54])
    np.testing.assert_array_equal(Glimpse(8)([image, np.zeros((1, 2))]), image)


def test_half_of_a_window_at_an_edge_is_zero():
    patch = np.asarray(Glimpse(4)([np.ones((1, 8, 8, 1)), np.array([[-1.0, 0.0]])]))[0, ..., 0]
    np.testing.assert_array_equal(patch, [[0, 0, 1, 1]] * 4)
    outside = Glimpse(4)([np.full((1, 8, 8, 1), np.nan), np.array([[-2.0, 3.0]])])
    np.testing.assert_array_equal(outside, np.zeros((1, 4, 4, 1)))


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_patches_have_the_compute_dtype_and_locations_are_not_rounded_to_it(dtype):
    layer = Glimpse(2, 2, dtype=dtype)
    images = np.random.default_rng(0).integers(0, 16, (1, 2, 4000, 1))  # sums and means are exact
    locations = np.array([[2 * 3001 / 4000 - 1, 0.0]], "float32")  # needs 12 bits
    patches = layer([tf.constant(images.astype("float32")), tf.constant(locations)])
    assert patches.dtype == layer.compute_dtype
    expected = loop(images.astype("float64"), locations, 2, 2)
    np.testing.assert_allclose(tf.cast(patches, "float64"), expected, rtol=1e-2)
    np.testing.assert_array_equal(tf.cast(patches, "float64")[..., 0], expected[..., 0])


def test_unknown_sizes_and_a_compiled_step():
    images, locations = keras.Input((None, None, 2)), keras.Input((2,))
    model = keras.Model([images, locations], Glimpse(3, 2)([images, locations]))
    assert model.output_shape == (None, 3, 3, 4)
    compiled = tf.function(model, jit_compile=True)
    expected = loop(IMAGES, LOCATIONS, 3, 2)
    for run in (model, compiled):
        np.testing.assert_allclose(run([IMAGES, LOCATIONS]), expected, rtol=1e-5, atol=1e-5)


def test_the_gradient_reaches_the_pixels_inside_and_no_location():
    images, locations = tf.constant(IMAGES), tf.constant(LOCATIONS)
    with tf.GradientTape() as tape:
        tape.watch([images, locations])
        total = tf.reduce_sum(Glimpse(3)([images, locations]))
    by_pixel, by_location = tape.gradient(total, [images, locations])
    np.testing.assert_array_equal(by_pixel, tf.cast(tf.convert_to_tensor(by_pixel) != 0, "float32"))
    assert float(tf.reduce_sum(tf.convert_to_tensor(by_pixel))) == np.sum(loop(np.ones_like(IMAGES), LOCATIONS, 3))
    assert by_location is None


def test_it_is_saved(tmp_path):
    images, locations = keras.Input((9, 11, 2)), keras.Input((2,))
    model = keras.Model([images, locations], Glimpse(3, num_scales=2, scale_factor=3)([images, locations]))
    model.save(tmp_path / "glimpse.keras")
    loaded = keras.models.load_model(tmp_path / "glimpse.keras")
    np.testing.assert_array_equal(loaded([IMAGES, LOCATIONS]), model([IMAGES, LOCATIONS]))
    assert loaded.layers[-1].window_sizes == (3, 9)


def test_a_glimpse_larger_than_the_image_is_an_error():
    with pytest.raises(
        ValueError, match="size=10 is larger than the image, received images of 9 by 11 pixels"
    ) as error:
        Glimpse(10, name="retina")([IMAGES, LOCATIONS])
    assert "at    retina\n" in str(error.value)
    assert "hint: use a size of at most 9; num_scales adds larger windows" in str(error.value)
    with pytest.raises(ValueError, match="received images of None by 11 pixels"):
        Glimpse(12)([keras.Input((None, 11, 2)), keras.Input((2,))])
    Glimpse(9, num_scales=3)([IMAGES, LOCATIONS])  # a larger window is filled with zeros


@pytest.mark.parametrize(
    ("inputs", "received"),
    [
        (IMAGES, r"received \(6, 9, 11, 2\)"),
        ([IMAGES], r"received \[\(6, 9, 11, 2\)\]"),
        ([LOCATIONS, IMAGES], r"received \[\(6, 2\), \(6, 9, 11, 2\)\]"),
        ([IMAGES, LOCATIONS[:, :1]], r"received \[\(6, 9, 11, 2\), \(6, 1\)\]"),
    ],
)
def test_other_inputs_are_errors(inputs, received):
    with pytest.raises(ValueError, match=received) as error:
        Glimpse(3)(inputs)
    assert "expected images (batch, height, width, channels) and locations (batch, 2)" in str(error.value)
    assert "hint: call the layer on a pair: glimpse([images, locations])" in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"size": 0}, "Glimpse: size must be a positive integer, received 0\n  hint: use Glimpse(8)"),
        ({"size": 2, "num_scales": 1.5}, "Glimpse: num_scales must be a positive integer, received 1.5"),
        ({"size": 2, "scale_factor": 0}, "use scale_factor=2, which doubles the window"),
    ],
)
def test_arguments_out_of_range_are_errors(arguments, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        Glimpse(**arguments)


def test_the_output_shape():
    layer = Glimpse(3, 2)
    assert layer.compute_output_shape([(None, None, 11, 2), (None, 2)]) == (None, 3, 3, 4)
    assert tuple(layer([IMAGES, LOCATIONS]).shape) == layer.compute_output_shape([IMAGES.shape, LOCATIONS.shape])
    checks.assert_config_round_trip(layer)


def test_a_location_that_is_nan_shows_nan_and_one_far_outside_zeros():
    locations = np.array([[np.nan, 0], [np.inf, 0], [-1e30, 0], [0, 0], [0, 1e12], [0, np.nan]])
    patches = np.asarray(Glimpse(3)([IMAGES, locations]))
    assert np.isnan(patches[[0, 5]]).all()
    np.testing.assert_array_equal(patches[[1, 2, 4]], 0)
    np.testing.assert_array_equal(patches[3], np.asarray(Glimpse(3)([IMAGES[3:4], locations[3:4]]))[0])


def test_another_number_of_locations_is_an_error():
    with pytest.raises(ValueError, match="expected a location for each image, received 6 images and 1 locations"):
        Glimpse(3)([IMAGES, LOCATIONS[:1]])
