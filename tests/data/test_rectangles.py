"""Generated rectangles: the label follows from the pixels, the data is a function of the arguments, and errors."""

import numpy as np
import pytest

import deepkit as dk


def measured_sizes(images):
    """Return height and width of the area that the white pixels span, and check that they are its border."""
    sizes = []
    for image in images[..., 0]:
        rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        (top, bottom), (left, right) = rows[[0, -1]], columns[[0, -1]]
        expected = np.zeros_like(image)
        expected[top : bottom + 1, left : right + 1] = image.max()
        expected[top + 1 : bottom, left + 1 : right] = 0
        np.testing.assert_array_equal(image, expected)
        sizes.append((bottom - top + 1, right - left + 1))
    return np.array(sizes)


@pytest.mark.parametrize("image_size", [4, 28])
def test_the_label_is_whether_the_rectangle_is_wider_than_tall(image_size):
    data = dk.data.rectangles(1500, num_test=300, image_size=image_size, seed=1)
    for split, count in ((data.train, 1500), (data.test, 300)):
        x, y = split.arrays()
        assert (x.shape, x.dtype, y.dtype) == ((count, image_size, image_size, 1), "float32", "int64")
        assert set(np.unique(x)) == {0, 1}
        heights, widths = measured_sizes(x).T
        np.testing.assert_array_equal(y, widths > heights)
        assert np.abs(widths - heights).min() == 3
        assert (heights.min(), widths.max()) == (1, image_size)
        assert y.mean() == pytest.approx(0.5, abs=0.1)


def test_every_position_of_a_size_occurs():
    x, _ = dk.data.rectangles(3000, image_size=5, seed=2).train.arrays()
    sizes = measured_sizes(x)
    corners = [np.argwhere(image[..., 0])[0].tolist() for image in x[(sizes == (1, 4)).all(1)]]
    assert sorted({tuple(corner) for corner in corners}) == [(row, column) for row in range(5) for column in (0, 1)]


def test_rectangles_are_functions_of_the_arguments_and_the_test_is_independent():
    state = str(np.random.get_state())
    first, second, other = (dk.data.rectangles(50, seed=seed, validation=10) for seed in (2, 2, 3))
    for name in ("train", "validation", "test"):
        prints = [getattr(data, name).fingerprint for data in (first, second, other)]  # of the contents
        assert prints[0] == prints[1] != prints[2]
    assert str(np.random.get_state()) == state
    assert first.train.fingerprint != first.test.fingerprint
    assert (first.train.num_examples, first.validation.num_examples, first.test.num_examples) == (40, 10, 50)
    assert (first.class_names, first.num_classes, first.name) == (("tall", "wide"), 2, "rectangles")


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"num_examples": 0}, ValueError, "rectangles: num_examples must be a positive integer, received 0\n  hint: "),
        ({"num_test": -1}, ValueError, "rectangles: num_test must be a positive integer, received -1"),
        ({"image_size": 3}, ValueError, "rectangles: image_size must be an integer of at least 4, received 3"),
        ({"image_size": 1000}, ValueError, "rectangles: image_size must be at most 256, received 1000"),
        ({"seed": -1}, ValueError, "seed must be an integer of at least 0"),
        ({"validation": "some"}, TypeError, "validation must be a number of examples"),
    ],
)
def test_wrong_arguments_are_named(settings, error, text):
    with pytest.raises(error) as caught:
        dk.data.rectangles(**settings)
    assert str(caught.value).startswith(text)
