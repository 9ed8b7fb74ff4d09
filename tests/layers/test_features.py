"""Quadratic and polar features: equality with scikit-learn and NumPy, names, gradients and errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.preprocessing import PolynomialFeatures

import deepkit as dk
from deepkit.layers import PolarFeatures, QuadraticFeatures
from tests.layers import checks


@pytest.mark.parametrize("num_features", [1, 2, 5])
def test_quadratic_features_and_their_names_equal_those_of_scikit_learn(num_features):
    x = checks.data(4, num_features)
    expected = PolynomialFeatures(2, include_bias=False).fit(x)
    layer = QuadraticFeatures()
    np.testing.assert_allclose(layer(x), expected.transform(x), rtol=1e-6)
    assert layer.feature_names() == expected.get_feature_names_out().tolist()


def test_names_of_the_user_and_the_bias_make_six_weights_of_a_logistic_unit():
    layer = QuadraticFeatures()
    model = keras.Sequential([keras.Input((2,)), layer, keras.layers.Dense(1)])
    assert layer.feature_names(["height", "age"]) == ["height", "age", "height^2", "height age", "age^2"]
    assert model.count_params() == 6


def test_a_linear_unit_on_quadratic_features_is_a_circle():
    model = dk.Sequential([QuadraticFeatures(), keras.layers.Dense(1)]).build((2,))
    model.set_weights([np.array([[0.0], [0.0], [-1.0], [0.0], [-1.0]]), np.array([2.0])])
    x = checks.data(50, 2, scale=2.0)
    np.testing.assert_array_equal(np.asarray(model(x))[:, 0] >= 0, (x.astype("float64") ** 2).sum(1) <= 2)


def test_quadratic_features_of_every_step_keep_the_mask():
    checks.assert_symbolic_shape(QuadraticFeatures(), checks.data(2, 5, 3))
    checks.assert_mask_passes(QuadraticFeatures(), 3)


def test_polar_coordinates_give_the_point_back_in_all_quadrants():
    x = np.array([[2.0, 1.0], [-2.0, 1.0], [-2.0, -1.0], [2.0, -1.0], [0.0, 3.0], [-3.0, 0.0]], "float32")
    radius, angle = np.asarray(PolarFeatures()(x)).T
    np.testing.assert_allclose(radius * [np.cos(angle), np.sin(angle)], x.T, atol=1e-6)
    np.testing.assert_allclose(angle, np.arctan2(x[:, 1], x[:, 0]), rtol=1e-6)
    assert len(set(angle.round(3))) == 6  # arctan(y / x) is equal for opposite points


def test_the_gradients_of_polar_features_are_finite_also_at_the_origin():
    x = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, -2.0]], "float32")
    by_radius = checks.gradient(lambda x: PolarFeatures()(x)[:, 0], x)
    by_angle = checks.gradient(lambda x: PolarFeatures()(x)[:, 1], x)
    np.testing.assert_allclose(by_radius, [[0.6, 0.8], [0, 0], [0, -1]], atol=1e-6)
    np.testing.assert_allclose(by_angle, [[-4 / 25, 3 / 25], [0, 0], [0.5, 0]], atol=1e-6)
    np.testing.assert_array_equal(PolarFeatures()(x)[1], [0, 0])


def test_polar_features_under_xla_and_in_half_precision():
    x = checks.data(5, 2)
    checks.assert_same_under_xla(PolarFeatures(), x)
    checks.assert_precision(lambda dtype: PolarFeatures(dtype=dtype), x)
    large = np.array([[300.0, 400.0]], "float16")  # a square of 160,000; the largest float16 is 65,504
    assert float(PolarFeatures(dtype="mixed_float16")(large)[0, 0]) == 500


def test_configs_saving_and_cloning(tmp_path):
    for layer in (QuadraticFeatures(name="squares"), PolarFeatures()):
        checks.assert_config_round_trip(layer)
        checks.assert_saved_and_cloned(layer, checks.data(3, 2), tmp_path)


def three_names():
    layer = QuadraticFeatures()
    layer.build((None, 3))
    return layer.feature_names(["a", "b"])


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: PolarFeatures()(np.zeros((4, 3), "float32")),
            "PolarFeatures: expected points (batch, 2), received the shape (4, 3)\n"
            "  hint: pass the columns x and y alone, for example x[:, :2], and concatenate other features afterwards",
        ),
        (
            lambda: PolarFeatures()(keras.Input((None,))),
            "PolarFeatures: expected points (batch, 2), received the shape (None, None)",
        ),
        (
            lambda: QuadraticFeatures()(keras.Input((None,))),
            "QuadraticFeatures: axis -1 of the input must have a known size, received the shape (None, None)",
        ),
        (
            lambda: QuadraticFeatures().feature_names(),
            "QuadraticFeatures.feature_names: the layer is not built, so the number of features is unknown\n"
            "  hint: call the layer on data first, or layer.build((None, 2))",
        ),
        (
            three_names,
            "QuadraticFeatures.feature_names: expected 3 names, received ['a', 'b']\n"
            "  hint: pass one name for each input feature",
        ),
    ],
)
def test_wrong_inputs_are_refused(call, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        call()
    assert str(caught.value).startswith(text)


def test_a_definition_names_the_path_of_polar_features_of_three_columns():
    with pytest.raises(dk.DefinitionError, match=r"(?s)expected points \(batch, 2\).*at    polar_features"):
        dk.Sequential([PolarFeatures(), dk.Classifier(1)]).build((3,))


@pytest.mark.parametrize("point", [[1e20, 1e20], [1e-25, 0.0], [0.0, 1e-25], [-1e-30, 1e-30], [3e38, 1.0]])
def test_polar_features_of_very_large_and_small_points(point):
    x = tf.Variable([point])
    with tf.GradientTape() as tape:
        radius, angle = tf.unstack(PolarFeatures()(x)[0])
    np.testing.assert_allclose(radius, np.hypot(*point), rtol=1e-6)
    np.testing.assert_allclose(angle, np.arctan2(point[1], point[0]), rtol=1e-6, atol=1e-37)
    expected = np.array(point) / np.hypot(*point)
    np.testing.assert_allclose(tape.gradient(radius, x)[0], expected, rtol=1e-5, atol=1e-37)


@pytest.mark.parametrize("names", ["ab", [1, 2], 3])
def test_names_of_features_are_a_list_of_texts(names):
    layer = QuadraticFeatures()
    layer.build((None, 2))
    with pytest.raises(ValueError, match="expected 2 names, received"):
        layer.feature_names(names)


def test_no_features_have_no_names():
    layer = QuadraticFeatures()
    layer.build((None, 0))
    assert layer.feature_names() == []


def test_products_that_float16_cannot_hold_are_refused():
    layer = QuadraticFeatures(dtype="float16")
    np.testing.assert_array_equal(layer(np.array([[255.0, 2.0]])), [[255, 2, 65024, 510, 4]])
    problem = "a product is NaN or exceeds 65,504, the largest number of float16\n  hint: scale the features"
    with pytest.raises(ValueError, match=problem):
        layer(np.array([[256.0, 2.0]]))
    model = dk.Sequential([QuadraticFeatures(dtype="mixed_float16")]).build((2,))
    with pytest.raises(tf.errors.InvalidArgumentError, match=problem):
        model.predict(np.array([[256.0, 2.0]]), verbose=0)
    assert float(QuadraticFeatures(dtype="float32")(np.array([[256.0, 2.0]]))[0, 2]) == 65536
