"""Generated curves: their points, their gray values, the data as a function of the arguments, and errors."""

import numpy as np
import pytest

import deepkit as dk


def test_a_curve_passes_through_its_three_points_within_the_margin():
    x, y = dk.data.curves(300, num_test=40, seed=1).train.arrays()
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((300, 28, 28, 1), "float32", (300, 6), "float32")
    assert (x.min(), x.max()) == (0, 1)
    assert x[:, 0].max() < 0.1  # the outer pixels
    assert (y.min() >= 2, y.max() <= 25) == (True, True)
    rows, columns = np.round(y.reshape(300, 3, 2)).astype(int).transpose(2, 0, 1)
    for corner in (0, 1, 2):
        values = x[np.arange(300), rows[:, corner], columns[:, corner], 0]
        assert np.median(values) > (0.8 if corner == 1 else 0.3)  # a line fades at its ends
        assert values.min() > 0.15


def test_a_straight_curve_has_the_gray_values_of_its_profile():
    from deepkit.data.curve_images import LINE_WIDTH, _render

    points = np.array([[[10.0, 3.0], [10.0, 14.0], [10.0, 25.0]]])
    image = _render(points)[0] / 255
    profile = np.exp(-0.5 * ((np.arange(28) - 10) / LINE_WIDTH) ** 2)
    np.testing.assert_allclose(image[:, 14], profile, atol=0.003)
    assert image[10, 25] == pytest.approx(0.5, abs=0.01)  # half of the line
    np.testing.assert_allclose(_render(points[:, ::-1])[0] / 255, image, atol=0.005)


def test_curves_are_functions_of_the_arguments_and_the_test_is_independent():
    state = str(np.random.get_state())
    first, second, other = (dk.data.curves(50, seed=seed, validation=10) for seed in (2, 2, 3))
    for name in ("train", "validation", "test"):
        prints = [getattr(data, name).fingerprint for data in (first, second, other)]  # of the contents
        assert prints[0] == prints[1] != prints[2]
    assert str(np.random.get_state()) == state
    assert (first.train.num_examples, first.validation.num_examples, first.test.num_examples) == (40, 10, 25)
    assert (first.name, first.num_classes) == ("curves", None)
    assert dk.data.curves(1).test.num_examples == 1


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"num_examples": 0}, ValueError, "curves: num_examples must be a positive integer, received 0\n  hint: "),
        ({"num_test": -1}, ValueError, "curves: num_test must be a positive integer, received -1"),
        ({"seed": -1}, ValueError, "seed must be an integer of at least 0"),
        ({"validation": "some"}, TypeError, "validation must be a number of examples"),
    ],
)
def test_wrong_arguments_are_named(settings, error, text):
    with pytest.raises(error) as caught:
        dk.data.curves(**settings)
    assert str(caught.value).startswith(text)
