"""Calibration of predicted Gaussians: the coverage of their intervals, its figure, and errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk

calibration = dk.visualize.arrays.calibration
RNG = np.random.default_rng(0)
X = np.zeros((4000, 1), "float32")
NOISE = RNG.normal(size=(4000, 2))


def model_with(mean, stddev):
    """Return a model that predicts the same Gaussians for every input."""
    model = dk.Regressor(len(mean), distribution="gaussian").build((1,))
    zeros = np.zeros((1, len(mean)))
    weights = {"mean": mean, "log_variance": 2 * np.log(stddev)}
    for name, bias in weights.items():
        model.get_layer(name).set_weights([zeros, np.asarray(bias)])
    return model


def test_the_coverage_of_a_calibrated_an_overconfident_and_an_underconfident_output():
    y = [5, -3] + [2, 1] * NOISE
    result = calibration(model_with([5, -3], [2, 1]), (X, y))
    np.testing.assert_allclose(result.coverage, np.stack([result.levels] * 2, 1), atol=0.03)
    assert result.num_labels == 4000
    low, high = calibration(model_with([5, -3], [1, 2]), (X, y)).coverage.T
    middle = result.levels < 0.95
    assert (low < result.levels - 0.02).all()
    assert (high[middle] > result.levels[middle] + 0.02).all()


def test_the_coverage_counts_labels_inside_the_interval():
    y = np.array([0.0, 0.9, -0.9, 1.1, 3.0])
    result = calibration(model_with([0], [1]), (X[:5], y))
    assert result.at(0.68) == 0.6
    assert result.at(0.95) == 0.8
    assert result.summary() == "68% intervals contain 60.0% of the labels, 95% intervals contain 80.0% of the labels"


def test_batches_weights_and_columns_give_the_same_coverage():
    model, y = model_with([0], [1]), NOISE[:, 0]
    expected = calibration(model, (X, y)).coverage
    batches = tf.data.Dataset.from_tensor_slices((X, y[:, None], np.ones(4000))).batch(999)
    np.testing.assert_array_equal(calibration(model, batches).coverage, expected)


def test_one_output_of_several():
    inputs = keras.Input((1,), name="x")
    model = keras.Model(inputs, {"a": dk.Regressor(distribution="gaussian")(inputs), "b": dk.Classifier(2)(inputs)})
    y = {"a": NOISE[:, 0], "b": np.zeros(4000, int)}
    assert calibration(model, (X, y), output="a").at(0.68) == pytest.approx(0.68, abs=0.03)
    with pytest.raises(ValueError, match=r"expected one output, received a, b\n  hint: pass output='a'"):
        calibration(model, (X, y))
    with pytest.raises(ValueError, match=r"there is no output 'c'; the names are a, b"):
        calibration(model, (X, y), output="c")


def test_the_figure_has_a_curve_for_each_output():
    [axes] = dk.visualize.calibration(model_with([0, 0], [1, 1]), (X, NOISE)).axes
    assert [line.get_label() for line in axes.lines] == ["calibrated", "output 0", "output 1"]
    assert "68% intervals contain" in axes.get_title()
    zeros = [0.0] * 12
    [axes] = dk.visualize.calibration(model_with(zeros, [1.0] * 12), (X[:9], np.zeros((9, 12)))).axes
    assert [line.get_label() for line in axes.lines] == ["calibrated", "model"]


@pytest.mark.parametrize(
    ("y", "problem"),
    [
        (NOISE, r"expected numbers of shape \(256, 1\) as labels, received <ndarray of shape \(256, 2\)"),
        (
            np.full(4000, "a"),
            r"expected numbers of shape \(256, 1\) as labels, received <ndarray of shape \(256,\) and",
        ),
    ],
)
def test_labels_that_do_not_fit(y, problem):
    with pytest.raises(ValueError, match=f"calibration: {problem}"):
        calibration(model_with([0], [1]), (X, y))


def test_models_without_a_standard_deviation():
    with pytest.raises(
        ValueError, match=r"expected an output of shape \(batch, units, 2\).*\n  hint: use dk.Regressor"
    ):
        dk.visualize.calibration(dk.Regressor(2).build((1,)), (X, NOISE))
    reshaped = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2), keras.layers.Reshape((1, 2))])
    with pytest.raises(ValueError, match="expected positive standard deviations, received 0"):
        dk.visualize.calibration(reshaped, (X, NOISE[:, 0]))
    with pytest.raises(ValueError, match="calibration: the model has one output without a name, received output='a'"):
        calibration(model_with([0], [1]), (X, NOISE[:, 0]), output="a")
    with pytest.raises(ValueError, match="expected at least one batch, received none"):
        calibration(model_with([0], [1]), [])


def test_a_regression_has_no_confusion_matrix():
    with pytest.raises(
        ValueError, match=r"expected a classifier, regressor predicts a mean and .*\n  hint: use dk.vis"
    ):
        dk.visualize.confusion(model_with([0], [1]), (X, np.zeros((4000, 1), int)))
