"""Generated points: their labels follow from the definition of each kind, and they are functions of the arguments."""

import numpy as np
import pytest
from keras import layers
from sklearn.datasets import make_moons
from sklearn.linear_model import LogisticRegression

import deepkit as dk
from deepkit.data.point_generators import KINDS, MODE_CENTERS, MODE_RADIUS

CLASS_KINDS = [name for name, kind in KINDS.items() if kind.class_names]


def split_arrays(data):
    return [array for split in (data.train, data.test) for array in (split.unscaled_arrays(), split.labels_in_memory)]


def norm(x):
    return np.linalg.norm(x.astype("float64"), axis=-1)


RULES = {
    "quadrants": lambda x: x[:, 0] * x[:, 1] < 0,
    "annulus": lambda x: (norm(x) >= 1) & (norm(x) <= 2),
    "three_modes": lambda x: norm(x[:, None] - MODE_CENTERS).min(1) <= MODE_RADIUS,
    "circle": lambda x: (x.astype("float64") ** 2).sum(1) <= 2,
}


@pytest.mark.parametrize("kind", RULES)
def test_labels_follow_from_the_points(kind):
    x, y, test_x, test_y = split_arrays(dk.data.points(kind, 3000, seed=3))
    np.testing.assert_array_equal(y, RULES[kind](x))
    np.testing.assert_array_equal(test_y, RULES[kind](test_x))
    expected = np.pi * 2 / 16 if kind == "circle" else 0.5
    assert y.mean() == pytest.approx(expected, abs=0.03 if kind == "circle" else 0)


@pytest.mark.parametrize("kind", CLASS_KINDS)
def test_shapes_dtypes_names_and_independent_test_points(kind):
    data = dk.data.points(kind, 40, seed=5, validation=0.25, batch_size=8)
    x, y, test_x, test_y = split_arrays(data)
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((30, 2), "float32", (30,), "int64")
    assert (test_x.shape, test_y.shape, data.validation.num_examples) == ((40, 2), (40,), 10)
    assert (data.num_classes, data.class_names, data.input_shape) == (2, KINDS[kind].class_names, (2,))
    assert set(y) == set(test_y) == {0, 1}
    assert not {tuple(row) for row in x} & {tuple(row) for row in test_x}
    assert data.source == "generated"


@pytest.mark.parametrize("kind", KINDS)
def test_points_are_functions_of_the_arguments(kind):
    state = str(np.random.get_state())
    first, second, other = (dk.data.points(kind, 50, seed=seed) for seed in (2, 2, 3))
    for name in ("train", "test"):
        prints = [getattr(data, name).fingerprint for data in (first, second, other)]  # of the contents
        assert prints[0] == prints[1] != prints[2]
    assert first.train.fingerprint != first.test.fingerprint
    assert str(np.random.get_state()) == state


@pytest.mark.parametrize("margin", [0.01, 0.5, 4.0])
def test_clouds_are_separated_by_the_line_with_the_margin(margin):
    data = dk.data.points("clouds", 400, seed=7, margin=margin)
    line = data.separator
    assert np.linalg.norm(line.weights) == pytest.approx(1)
    arrays = split_arrays(data)
    for x, y in (arrays[:2], arrays[2:]):
        scores = x.astype("float64") @ line.weights + line.bias
        np.testing.assert_array_equal(scores > 0, y)
        assert np.abs(scores).min() >= margin
    x = arrays[0]
    assert line.radius == pytest.approx(norm(x).max())
    assert line.radius <= margin + 2.01
    assert line.margin == pytest.approx(np.abs(x @ np.array(line.weights)).min())
    assert line.max_updates == pytest.approx((line.radius**2 + 1) / line.margin**2)
    assert dk.data.points("clouds", seed=8).separator.weights != line.weights
    assert dk.data.points("circle").separator is None


def test_spirals_are_two_arms_rotated_by_half_a_turn():
    x, y = split_arrays(dk.data.points("spirals", 1000, noise=0))[:2]
    radius, angle = norm(x), np.arctan2(x[:, 1], x[:, 0])
    position = (radius - 0.2) / 1.8
    turns = (angle - np.pi * y) / (2 * np.pi) - 1.5 * position
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-4)
    assert LogisticRegression().fit(x, y).score(x, y) < 0.75


def test_moons_are_those_of_scikit_learn():
    x, y = split_arrays(dk.data.points("moons", 100, noise=0))[:2]
    expected, labels = make_moons(100, noise=0, shuffle=False)
    for label in (0, 1):
        np.testing.assert_allclose(
            np.sort(x[y == label], axis=0), np.sort(expected[labels == label], axis=0), atol=1e-6
        )


def test_a_polynomial_is_the_same_for_every_seed_and_has_the_noise():
    for seed in (0, 1):
        x, y = split_arrays(dk.data.points("polynomial", 500, seed=seed, degree=4, noise=0))[:2]
        np.testing.assert_allclose(y, np.cos(4 * np.arccos(x.astype("float64"))), atol=1e-5)
    data = dk.data.points("polynomial", 4000, noise=0.3)
    x, y = split_arrays(data)[:2]
    assert (x.shape, y.shape, y.dtype, data.num_classes, data.degree) == ((4000, 1), (4000, 1), "float32", None, 3)
    assert np.std(y - (4 * x**3 - 3 * x)) == pytest.approx(0.3, rel=0.05)


def test_the_summary_names_kind_seed_arguments_and_generator():
    assert dk.data.points("moons", 30, seed=4).describe() == (
        "moons (seed 4, noise 0.1, sklearn.datasets.make_moons): 30 train, 30 test; generated"
    )
    summary = dk.data.points("clouds", 30, margin=0.25, validation=3).summary()
    assert summary == "clouds (seed 0, margin 0.25, numpy.random.default_rng): 27 train, 3 validation, 30 test"
    assert repr(dk.data.points("circle", 8)) == (
        "<Data circle (seed 0, numpy.random.default_rng): 8 train, 8 test; generated>"
    )


@pytest.mark.slow
def test_fit_resumes_and_predicts_class_names(tmp_path):
    data = dk.data.points("circle", 200, seed=1)
    net = dk.Sequential([dk.layers.QuadraticFeatures(), dk.Classifier(1)])
    dk.fit(net, data, epochs=1, run_dir=tmp_path / "run", verbose=0)
    resumed = dk.fit(net, dk.data.points("circle", 200, seed=1), epochs=2, run_dir=tmp_path / "run", verbose=0)
    assert (resumed.resume, resumed.epochs) == ("exact", 2)
    labels, _ = resumed.predict(data.test)
    assert set(labels) <= {"outside", "inside"}


@pytest.mark.slow
def test_a_regression_of_a_polynomial():
    net = dk.Sequential([layers.Dense(8, activation="tanh"), dk.Regressor()])
    history = dk.fit(net, dk.data.points("polynomial", 100), epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]


def scatter_colors(figure):
    return [collection.get_label() for collection in figure.axes[0].collections]


def test_show_draws_points_by_class_and_a_curve():
    data = dk.data.points("three_modes", 300, seed=2)
    figure = data.show(100, split="test")
    assert scatter_colors(figure) == ["between the modes", "in a mode"]
    assert sum(len(collection.get_offsets()) for collection in figure.axes[0].collections) == 100
    line, dots = dk.data.points("polynomial", 50, degree=2).show().axes[0].lines
    np.testing.assert_allclose(line.get_ydata(), 2 * line.get_xdata() ** 2 - 1, atol=1e-12)
    assert len(dots.get_xdata()) == 50
    assert "The first training examples of three_modes" in data._repr_html_()
    assert scatter_colors(data.head(20).show()) == ["between the modes", "in a mode"]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: dk.data.points("spiral"),
            ValueError,
            "points: kind must be one of 'quadrants', 'annulus', 'three_modes', 'circle', 'spirals', 'moons', "
            "'clouds', 'polynomial', received 'spiral'; did you mean 'spirals'?\n"
            '  hint: use dk.data.points("circle")',
        ),
        (
            lambda: dk.data.points("circle", margin=0.5),
            ValueError,
            "points: 'circle' takes no margin, received margin=0.5\n"
            "  hint: leave margin out; it is an argument of 'clouds'",
        ),
        (
            lambda: dk.data.points("quadrants", noise=0.1),
            ValueError,
            "points: 'quadrants' takes no noise, received noise=0.1\n"
            "  hint: leave noise out; it is an argument of 'spirals', 'moons', 'polynomial'",
        ),
        (
            lambda: dk.data.points("clouds", margin=-1),
            ValueError,
            "points: margin must be a number above 0, received -1\n  hint: use margin=0.5",
        ),
        (
            lambda: dk.data.points("moons", noise=-0.1),
            ValueError,
            "points: noise must be a number from 0, received -0.1",
        ),
        (
            lambda: dk.data.points("polynomial", degree=0.5),
            ValueError,
            "points: degree must be a positive integer, received 0.5\n  hint: use degree=3",
        ),
        (
            lambda: dk.data.points("circle", 1),
            ValueError,
            "points: num_points must be an integer of at least 2, received 1\n  hint: use num_points=1000",
        ),
        (
            lambda: dk.data.points("moons", noise=1e39),
            ValueError,
            "points: noise must be at most 1e+30, received 1e+39\n  hint: use a number of the order of 1",
        ),
        (
            lambda: dk.data.points("clouds", margin=10**400),
            ValueError,
            "points: margin must be at most 1e+30, received",
        ),
        (lambda: dk.data.points("circle", seed=-1), ValueError, "seed must be an integer of at least 0"),
        (lambda: dk.data.points("circle", batch_size=0), ValueError, "batch_size must be a positive integer"),
        (lambda: dk.data.points("circle", validation="some"), TypeError, "validation must be a number of examples"),
        (
            lambda: dk.data.points("circle").show(split="tset"),
            ValueError,
            "show: split must be one of 'train', 'test', received 'tset'; did you mean 'test'?",
        ),
    ],
)
def test_wrong_arguments_are_named(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(text)
