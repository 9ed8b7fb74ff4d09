"""Hidden spaces and linear probes: positions, deformed grids, accuracies, errors."""

import keras
import numpy as np
import pytest
from keras import layers
from matplotlib.collections import LineCollection
from numpy.testing import assert_allclose
from sklearn.decomposition import PCA

import deepkit as dk
from deepkit.visualize import arrays

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
X = np.repeat(CORNERS, 5, axis=0)
XOR = (X[:, 0] != X[:, 1]).astype(int)


def xor_network():
    """Return the network of Goodfellow et al. 2016, section 6.1: two rectified units and one output."""
    net = dk.Sequential([dk.MLP([2]), dk.Classifier(1)], name="xor")
    model = net.build((2,))
    model.set_weights([np.ones((2, 2)), np.array([0.0, -1.0]), np.array([[1.0], [-2.0]]), np.array([-0.5])])
    return model


def test_the_probes_of_the_xor_network_separate_its_hidden_layer():
    accuracies = dk.visualize.linear_probes(xor_network(), (X, XOR))
    assert list(accuracies) == ["input", "mlp.activation", "classifier.dense"]
    assert accuracies["input"] <= 0.75
    assert accuracies["mlp.activation"] == accuracies["classifier.dense"] == 1.0


def test_two_units_are_drawn_as_they_are_and_one_unit_as_a_strip():
    spaces = arrays.hidden_space(xor_network(), (X, XOR), probes=True)
    hidden = np.maximum(0, X.sum(axis=1, keepdims=True) + np.array([0.0, -1.0]))
    assert [space.num_units for space in spaces] == [2, 2, 1]
    assert_allclose(spaces[0].positions, X)
    assert_allclose(spaces[1].positions, hidden)
    assert_allclose(spaces[2].positions, hidden @ [[1.0], [-2.0]] - 0.5)
    assert spaces[1].explained_variance is None
    assert np.array_equal(spaces[1].labels, XOR)
    figure = dk.visualize.hidden_space(xor_network(), (X, XOR), probes=True, class_names=["equal", "different"])
    titles = [ax.get_title().split("\n") for ax in figure.axes]
    assert [title[0] for title in titles] == ["input", "mlp.activation", "classifier.dense"]
    assert titles[1][1] == "2 units, linear probe 100.0%"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["equal", "different"]
    points = figure.axes[2].collections
    assert_allclose(points[1].get_offsets()[:, 0], spaces[2].positions[XOR == 1, 0])
    assert np.ptp(points[1].get_offsets()[:, 1]) > 0.5
    assert figure.alt_text.endswith("classifier.dense (1 unit, linear probe 100.0%).")


def test_three_units_are_projected_onto_their_principal_components():
    model = dk.Sequential([dk.MLP([5], activation="tanh"), dk.Classifier(1)]).build((2,))
    x = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
    space = arrays.hidden_space(model, (x, x[:, 0] > 0), layers=["mlp.activation"])[0]
    hidden = np.tanh(x @ np.asarray(model.layers[1].kernel)).astype("float64")
    pca = PCA(2).fit(hidden)
    assert_allclose(np.abs(space.positions), np.abs(pca.transform(hidden)), atol=1e-4)
    assert_allclose(space.explained_variance, pca.explained_variance_ratio_, atol=1e-5)
    [ax] = dk.visualize.hidden_space(model, (x, x[:, 0] > 0), layers=["mlp.activation"]).axes
    assert ax.get_xlabel() == f"Component 1 ({space.explained_variance[0]:.0%})"


def test_a_code_of_two_units_is_drawn_beside_two_principal_components():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3, 3, 1)).astype("float32") * np.arange(1, 10).reshape(3, 3, 1), np.arange(60) % 3
    model = dk.Autoencoder(dk.MLP([4, 2], activation="tanh")).build((3, 3, 1))
    components, code = arrays.hidden_space(model, (x, y), layers=["code", "pca"], probes=True)
    assert [(space.layer, space.num_units) for space in (components, code)] == [("pca", 2), ("code", 2)]
    rows = x.reshape(60, 9).astype("float64")
    pca = PCA(2).fit(rows)
    assert_allclose(np.abs(components.positions), np.abs(pca.transform(rows)), atol=1e-4)
    encoder = keras.Model(model.input, model.get_layer("code").output)
    assert_allclose(code.positions, encoder.predict(x, verbose=0), atol=1e-5)
    figure = dk.visualize.hidden_space(model, (x, y), layers=["pca", "code"])
    assert [ax.get_xlabel() for ax in figure.axes] == ["Component 1", "Unit 1"]
    assert figure.axes[0].get_title() == "pca\n2 components"
    assert "pca (2 components)" in figure.alt_text
    on_plane = pca.inverse_transform(pca.transform(rows)).reshape(x.shape)
    probe = dk.visualize.linear_probes(model, (x, y), test_data=(on_plane, y), layers=["pca"])
    assert probe == dk.visualize.linear_probes(model, (x, y), layers=["pca"])  # the components are those of the data


def test_a_layer_named_pca_is_a_layer():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(3, name="pca"), layers.Dense(1)])
    [space] = arrays.hidden_space(model, (X, XOR), layers=["pca"])
    assert space.num_units == 3
    with pytest.raises(
        ValueError, match=r"'pca' needs at least two examples of two features.*\n  hint: leave 'pca' out"
    ):
        dk.visualize.hidden_space(dk.Classifier(2).build((1,)), (X[:, :1], XOR), layers=["pca"])


def test_the_grid_is_deformed_as_the_points_are():
    matrix, bias = np.array([[1.0, 2.0], [0.5, -1.0]], "float32"), np.array([0.1, 0.2], "float32")
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2, activation="tanh"), layers.Dense(3)])
    model.layers[0].set_weights([matrix, bias])
    spaces = arrays.hidden_space(model, (X, XOR), grid=True)
    assert_allclose(spaces[1].grid, np.tanh(spaces[0].grid @ matrix + bias), atol=1e-5)
    assert spaces[2].grid is None
    [rotated] = arrays.hidden_space(model, (X, XOR), grid=True, layers=["pca"])
    pca = PCA(2).fit(X)
    assert_allclose(
        np.abs(rotated.grid), np.abs(pca.transform(spaces[0].grid.reshape(-1, 2)).reshape(rotated.grid.shape))
    )
    straight = spaces[0].grid
    is_vertical = np.ptp(straight[..., 0], axis=1) < 1e-6
    is_horizontal = np.ptp(straight[..., 1], axis=1) < 1e-6
    assert is_vertical.sum() == is_horizontal.sum() == len(straight) / 2
    figure = dk.visualize.hidden_space(model, (X, XOR), grid=True)
    lines = [[item for item in ax.collections if isinstance(item, LineCollection)] for ax in figure.axes]
    assert [len(collections) for collections in lines] == [1, 1, 0]


def test_default_layers_are_drawn_after_normalization_and_activation():
    net = dk.Sequential([dk.ConvBlock(2), dk.MLP([4, 3], norm="batch", dropout=0.5), dk.Classifier(2)])
    model = net.build((4, 4, 1))
    x = np.random.default_rng(0).normal(size=(12, 4, 4, 1)).astype("float32")
    spaces = arrays.hidden_space(model, (x, np.arange(12) % 2))
    layers_and_units = [(space.layer, space.num_units) for space in spaces]
    expected = [("input", 16), ("conv_block.activation", 32), ("mlp.activation1", 4), ("mlp.activation2", 3)]
    assert layers_and_units == [*expected, ("classifier.dense", 2)]


def test_layers_of_a_nested_model_have_paths():
    inner = keras.Sequential([keras.Input((2,)), layers.Dense(3, activation="relu", name="hidden")], name="inner")
    model = keras.Sequential([keras.Input((2,)), inner, layers.Dense(1, name="output")])
    assert list(dk.visualize.linear_probes(model, (X, XOR))) == ["input", "inner/hidden", "output"]
    assert list(dk.visualize.linear_probes(model, (X, XOR), layers=["hidden", "input"])) == ["input", "inner/hidden"]


def test_probes_are_tested_with_other_examples():
    random = np.random.default_rng(0)
    train, test = ((random.normal(size=(60, 100)).astype("float32"), random.integers(0, 2, 60)) for _ in range(2))
    model = dk.Classifier(2).build((100,))
    assert dk.visualize.linear_probes(model, train)["input"] == 1.0  # more units than examples
    assert dk.visualize.linear_probes(model, train, test_data=test)["input"] < 0.7


def test_labels_may_be_signed_one_hot_or_texts():
    model, names = xor_network(), np.array(["no", "yes"])[XOR]
    for labels in (2 * XOR - 1, np.eye(2)[XOR], names, XOR[:, None].astype("float32")):
        accuracies = dk.visualize.linear_probes(model, (X, labels), layers=["mlp.activation"])
        assert accuracies == {"mlp.activation": 1.0}
    figure = dk.visualize.hidden_space(model, (X, 2 * XOR - 1), layers=["input"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["-1", "1"]


def test_names_of_classes_come_from_the_data():
    data = dk.data.load("iris", verbose=False)
    figure = dk.visualize.hidden_space(dk.Classifier(3).build((4,)), data, layers=["input"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(data.class_names)


def test_wrong_arguments_raise():
    model = xor_network()
    with pytest.raises(
        ValueError, match=r"expected one class per example as label.*\n  hint: pass integers, or np.dig"
    ):
        dk.visualize.hidden_space(model, (X, X[:, 0] + 0.5))
    with pytest.raises(ValueError, match="linear_probes: expected examples of two or more classes, all labels are 0"):
        dk.visualize.linear_probes(model, (X, np.zeros(20)))
    with pytest.raises(ValueError, match=r"layers must be a list of names.*\n  hint: pass layers=\['mlp'\]"):
        dk.visualize.hidden_space(model, (X, XOR), layers="mlp")
    with pytest.raises(ValueError, match=r"xor does not have the layer 'mlp.dens'; did you mean 'mlp.dense'"):
        dk.visualize.hidden_space(model, (X, XOR), layers=["mlp.dens"])
    with pytest.raises(ValueError, match=r"a grid needs two input features, received .*\n  hint: use grid=False"):
        dk.visualize.hidden_space(dk.Classifier(2).build((3,)), (np.eye(3), [0, 1, 1]), grid=True)
    with pytest.raises(ValueError, match=r"takes a batch of shape \(batch, 2\), received \(3, 3\)"):
        dk.visualize.hidden_space(model, (np.eye(3), [0, 1, 1]))
    with pytest.raises(TypeError, match=r"hidden_space: expected a keras\.Model"):
        dk.visualize.hidden_space(dk.Classifier(2), (X, XOR))


def test_more_layers_than_a_row_holds_raise():
    model = dk.MLP([2] * 11).build((2,))
    with pytest.raises(ValueError, match=r"has 12\n  hint: select some of them, such as layers=\['input', 'activ"):
        dk.visualize.hidden_space(model, (X, XOR))


@pytest.mark.parametrize(
    ("y", "text"),
    [
        (np.array([0, 10**12]), "expected classes below 100,000 as labels, received 1000000000000"),
        (np.array([0, np.inf]), "expected one class per example"),
        (np.array([0, 1e30]), "expected one class per example"),
        (np.array([0, 1j]), "expected one class per example"),
        (np.array(["a", None], object), "expected one class per example"),
        (np.array(["2020-01-01"] * 2, "datetime64[D]"), "expected one class per example"),
    ],
)
def test_labels_that_are_not_classes_raise(y, text):
    model = dk.Classifier(2).build((2,))
    for function in (dk.visualize.hidden_space, dk.visualize.linear_probes):
        with pytest.raises(ValueError, match=f"(?s){text}.*hint: "):
            function(model, (np.eye(2), y))


def test_outputs_that_are_nan_raise():
    model, x = dk.Classifier(2).build((2,)), np.eye(2)
    with pytest.raises(ValueError, match="linear_probes: the output of the layer 'input' is NaN"):
        dk.visualize.linear_probes(model, (x, [0, 1]), test_data=(x * np.nan, [0, 1]))
    with pytest.raises(ValueError, match="linear_probes: expected labels of one kind"):
        dk.visualize.linear_probes(model, (x, [0, 1]), test_data=(x, ["a", "b"]))
    with pytest.raises(ValueError, match="linear_probes: test_data has labels that data does not have: 2\n  hint: "):
        dk.visualize.linear_probes(model, (x, [0, 1]), test_data=(x, [0, 2]))
    model.set_weights([np.full((2, 2), np.nan), np.zeros(2)])
    with pytest.raises(ValueError, match="hidden_space: the output of the layer 'dense' is NaN"):
        dk.visualize.hidden_space(model, (x, [0, 1]))
