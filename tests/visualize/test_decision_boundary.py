"""The decision boundary: its position for constructed models, the task of the outputs, errors and artists."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from matplotlib.contour import ContourSet
from numpy.testing import assert_allclose

import deepkit as dk
from deepkit.visualize import arrays

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 2)).astype("float32")
Y = (X @ [1.0, -2.0] > 0.5).astype(int)


def linear(*weights, bias=(0.0,), activation=None):
    """Return a model with one dense layer of two features and these weights, one list per unit."""
    model = keras.Sequential([keras.Input((2,)), layers.Dense(len(weights), activation=activation)], name="linear")
    model.set_weights([np.array(weights, "float32").T, np.array(bias, "float32")])
    return model


def boundary_points(figure):
    """Return the points of all lines between classes."""
    contours = [artist for artist in figure.axes[0].get_children() if isinstance(artist, ContourSet)]
    return np.concatenate([path.vertices for contour in contours for path in contour.get_paths()])


@pytest.mark.parametrize(("activation", "tolerance"), [(None, 1e-6), ("sigmoid", 2e-3), ("tanh", 2e-3)])
def test_the_boundary_of_a_linear_model_is_its_line(activation, tolerance):
    model = linear([1.0, -2.0], bias=[-0.5], activation=activation)
    labels = 2 * Y - 1 if activation == "tanh" else Y
    figure = dk.visualize.decision_boundary(model, (X, labels))
    line = boundary_points(figure)
    assert len(line) > 50
    assert_allclose(line @ [1.0, -2.0], 0.5, atol=tolerance)
    assert figure.axes[0].get_title() == "100.0% of 60 points are classified correctly"


def test_the_boundaries_of_three_classes_are_where_their_scores_are_equal():
    weights, bias = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]), np.array([0.0, 0.3, 0.1])
    labels = (X @ weights.T + bias).argmax(axis=1)
    figure = dk.visualize.decision_boundary(linear(*weights, bias=bias), (X, labels), class_names=["a", "b", "c"])
    scores = np.sort(boundary_points(figure) @ weights.T + bias, axis=1)
    assert_allclose(scores[:, 2], scores[:, 1], atol=0.02)  # near the point of three classes a line is cut off
    assert np.mean(np.abs(scores[:, 2] - scores[:, 1]) < 1e-5) > 0.9
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "c"]
    points = figure.axes[0].collections[-3:]
    assert [len(collection.get_offsets()) for collection in points] == np.bincount(labels).tolist()
    assert len({tuple(collection.get_facecolor()[0]) for collection in points}) == 3
    assert figure.alt_text.startswith("The input plane of linear in the colors of the predicted classes a, b, c,")


def test_the_arrays_have_the_second_feature_along_the_first_axis():
    regions = arrays.decision_boundary(linear([1.0, -2.0], bias=[-0.5]), (X, Y), resolution=7)
    assert regions.scores.shape == (7, 7, 1)
    expected = regions.x1[None, :] - 2 * regions.x2[:, None] - 0.5
    assert_allclose(regions.scores[..., 0], expected, atol=1e-5)
    assert_allclose(regions.probabilities[..., 1], 1 / (1 + np.exp(-expected)), atol=1e-6)
    assert_allclose(regions.probabilities.sum(axis=-1), 1)
    assert np.array_equal(regions.classes, expected > 0)
    assert regions.threshold == 0
    assert regions.class_values == (0, 1)
    assert regions.x1[0] < X[:, 0].min() < X[:, 0].max() < regions.x1[-1]
    assert np.array_equal(regions.predictions, Y)
    assert np.array_equal(regions.points, X)


@pytest.mark.parametrize(
    ("labels", "activation", "loss", "threshold", "has_probabilities"),
    [
        ((0, 1), None, None, 0.0, True),
        ((0, 1), "sigmoid", None, 0.5, True),
        ((0, 1), "sigmoid", "binary_crossentropy", 0.5, True),
        ((0, 1), None, keras.losses.BinaryCrossentropy(from_logits=True), 0.0, True),
        ((0, 1), None, "mse", 0.5, False),
        ((0, 1), "tanh", "hinge", 0.0, False),
        ((-1, 1), None, "squared_hinge", 0.0, False),
        ((-1, 1), None, None, 0.0, False),
        ((-1, 1), "tanh", "mse", 0.0, False),
        ((0, 1), "relu", None, 0.0, False),
    ],
)
def test_the_threshold_follows_from_labels_activation_and_loss(labels, activation, loss, threshold, has_probabilities):
    model = linear([3.0, 1.0], activation=activation)
    if loss is not None:
        model.compile("sgd", loss)
    regions = arrays.decision_boundary(model, (X, np.array(labels)[Y]), resolution=5)
    assert regions.threshold == threshold
    assert (regions.probabilities is not None) == has_probabilities
    assert regions.class_values == labels
    assert np.array_equal(regions.labels, Y)


def test_scores_of_a_hinge_loss_are_not_converted_to_probabilities():
    model = linear([1.0, 0.0], [0.0, 1.0], bias=[0.0, 0.0])
    labels = (X[:, 1] > X[:, 0]).astype(int)
    assert arrays.decision_boundary(model, (X, labels), resolution=5).probabilities is not None
    model.compile("sgd", "categorical_hinge")
    regions = arrays.decision_boundary(model, (X, np.eye(2)[labels]), resolution=5)
    assert regions.probabilities is None
    assert np.array_equal(regions.predictions, labels)
    assert boundary_points(dk.visualize.decision_boundary(model, (X, np.eye(2)[labels]))).shape[1] == 2


def test_a_regression_is_a_surface():
    targets = X @ [1.0, -2.0]
    regions = arrays.decision_boundary(linear([1.0, -2.0], bias=[0.5]), (X, targets), resolution=5)
    assert regions.classes is None
    assert regions.class_values == ()
    assert_allclose(regions.predictions - regions.labels, 0.5, atol=1e-5)
    figure = dk.visualize.decision_boundary(linear([1.0, -2.0], bias=[0.5]), (X, targets[:, None]), resolution=20)
    assert figure.axes[0].get_title() == "Root mean squared error 0.5 (60 points)"
    assert figure.axes[1].get_ylabel() == "Predicted value"
    assert_allclose(figure.axes[0].collections[-1].get_array(), targets, atol=1e-5)


def test_a_gaussian_is_drawn_by_its_mean():
    model = dk.Regressor(1, distribution="gaussian").build((2,))
    regions = arrays.decision_boundary(model, (X, X[:, 0]), resolution=3)
    assert regions.scores.shape == (3, 3, 1)
    assert_allclose(regions.predictions, model.predict(X, verbose=0)[:, 0, 0], atol=1e-6)


def test_a_constant_prediction_has_no_boundary():
    figure = dk.visualize.decision_boundary(linear([0.0, 0.0], bias=[1.0]), (X, Y), resolution=5)
    assert not [artist for artist in figure.axes[0].get_children() if isinstance(artist, ContourSet)]


def test_data_are_read_in_order_and_without_advancing_an_epoch():
    data = dk.data.from_arrays(X, Y, batch_size=16, seed=3)
    model = linear([1.0, -2.0], bias=[-0.5])
    first = next(iter(dk.data.from_arrays(X, Y, batch_size=16, seed=3).train))
    for source in (data, data.train, data.train.in_order(), (X.tolist(), Y.tolist())):
        regions = arrays.decision_boundary(model, source, resolution=5)
        assert_allclose(regions.points, X)
    assert_allclose(next(iter(data.train))[0], first[0])


def test_a_subset_of_the_points_is_the_same_in_each_call():
    model = linear([1.0, -2.0])
    subsets = [arrays.decision_boundary(model, (X, Y), resolution=5, num_points=20).points for _ in range(2)]
    assert np.array_equal(*subsets)
    assert len(np.unique(subsets[0], axis=0)) == 20


def test_models_with_other_inputs_raise():
    hint = r"\n  hint: use two features, such as x\[:, \[0, 1\]\]"
    with pytest.raises(ValueError, match=r"expected two input features, \S+ takes inputs of shape \(3,\)" + hint):
        dk.visualize.decision_boundary(dk.Classifier(2).build((3,)), (np.zeros((4, 3)), [0, 1, 0, 1]))
    inputs = [keras.Input((1,)), keras.Input((1,))]
    model = keras.Model(inputs, layers.Concatenate()(inputs), name="two")
    with pytest.raises(ValueError, match=r"two takes inputs of shape \(1,\), \(1,\)"):
        dk.visualize.decision_boundary(model, (X, Y))
    with pytest.raises(ValueError, match=r"received <ndarray of shape \(60, 3\) and dtype float64>" + hint):
        dk.visualize.decision_boundary(linear([1.0, 1.0]), (np.zeros((60, 3)), Y))
    with pytest.raises(TypeError, match=r"expected a keras.Model, received Classifier\n  hint: use definition.build"):
        dk.visualize.decision_boundary(dk.Classifier(2), (X, Y))


def test_labels_that_do_not_fit_the_output_raise():
    model = linear([1.0, 1.0], activation="sigmoid")
    model.compile("sgd", "binary_crossentropy")
    with pytest.raises(ValueError, match=r"expected two classes as labels, received values from 0 to 2"):
        dk.visualize.decision_boundary(model, (X, np.arange(60) % 3))
    with pytest.raises(
        ValueError, match=r"expected one number per example as label, received .*\n  hint: linear has one"
    ):
        dk.visualize.decision_boundary(model, (X, np.eye(3)[np.arange(60) % 3]))
    two_outputs = linear([1.0, 0.0], [0.0, 1.0], bias=[0.0, 0.0])
    with pytest.raises(ValueError, match=r"expected one class in \[0, 2\) per example"):
        dk.visualize.decision_boundary(two_outputs, (X, 2 * Y - 1))
    with pytest.raises(ValueError, match=r"received 2 numbers per label\n  hint: draw one output at a time"):
        dk.visualize.decision_boundary(two_outputs, (X, X))
    with pytest.raises(ValueError, match=r"expected a label for each example, received .* and .*"):
        dk.visualize.decision_boundary(two_outputs, (X, Y[:7]))
    with pytest.raises(TypeError, match="received None as labels"):
        dk.visualize.decision_boundary(two_outputs, (X, None))


def test_other_wrong_arguments_raise():
    model = linear([1.0, 1.0])
    with pytest.raises(ValueError, match="resolution must be an integer of at least 2, received 1"):
        dk.visualize.decision_boundary(model, (X, Y), resolution=1)
    with pytest.raises(ValueError, match=r"expected a name for each of 2 classes, received \['a'\]"):
        dk.visualize.decision_boundary(model, (X, Y), resolution=5, class_names=["a"])
    with pytest.raises(ValueError, match="expected finite numbers as inputs"):
        dk.visualize.decision_boundary(model, (np.full((60, 2), np.nan), Y))
    with pytest.raises(ValueError, match="expected at least one example, received none"):
        dk.visualize.decision_boundary(model, (np.zeros((0, 2)), np.zeros(0)))


def test_a_notebook_stores_the_description():
    figure = dk.visualize.decision_boundary(linear([1.0, 1.0]), (X, Y), resolution=5)
    content, metadata = figure._repr_png_()
    assert content.startswith(b"\x89PNG")
    assert metadata == {"alt": figure.alt_text}


def with_nan(definition, shape=(2,)):
    model = definition.build(shape)
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    return model


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x, y: (with_nan(dk.Classifier(1)), (x, y)), ValueError, "the output of classifier is NaN or infinite"),
        (lambda x, y: (linear([1.0, 0.0]), (x * 1e300, y)), ValueError, "expected finite numbers as inputs"),
        (lambda x, y: (linear([1.0, 0.0]), None), TypeError, "expected data with labels, received None"),
        (lambda x, y: (linear([1.0, 0.0]), 3), TypeError, "expected data with labels, received 3"),
        (
            lambda x, y: (linear([1.0, 0.0]), x),
            TypeError,
            "expected batches \\(x, y\\), received a ndarray without labels",
        ),
        (
            lambda x, y: (linear([1.0, 0.0]), tf.data.Dataset.from_tensor_slices((x, y))),
            ValueError,
            "expected batches \\(x, y\\), received a single example without a batch axis",
        ),
    ],
)
def test_values_that_cannot_be_drawn_raise(call, error, text):
    x, y = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1])
    with pytest.raises(error, match=f"(?s)decision_boundary: {text}.*hint: "):
        dk.visualize.decision_boundary(*call(x, y), resolution=5)


@pytest.mark.parametrize("names", [None, 3, [1, 2], "ab"])
def test_names_of_classes_are_a_list_of_texts(names):
    with pytest.raises(ValueError, match="expected a name for each of 2 classes, received"):
        dk.visualize.decision_boundary(linear([1.0, 0.0]), (np.eye(2), [0, 1]), resolution=5, class_names=names)
