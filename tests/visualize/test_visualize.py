"""Pictures: what they show is checked on the arrays and the axes they are made of."""

import io

import keras
import numpy as np
import pytest
from keras import layers
from matplotlib.image import imread

import deepkit as dk
from deepkit.visualize.classification import confusion_matrix, worst
from deepkit.visualize.figures import png
from deepkit.visualize.weights import filter_images


def picker():
    """Return a model of 2x2 images whose logits are the first three pixels."""
    model = dk.Classifier(3, dense={"use_bias": False}).build((2, 2, 1))
    model.set_weights([np.eye(4, 3, dtype="float32") * 10])
    return model


IMAGES = np.eye(4, dtype="float32")[[0, 1, 2, 0, 1]].reshape(5, 2, 2, 1)
LABELS = np.array([0, 1, 2, 1, 2])  # the last two are named wrongly: 0 for 1, 1 for 2


def test_a_confusion_matrix_counts_right_classes_in_rows():
    expected = [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    assert confusion_matrix(picker(), (IMAGES, LABELS)).tolist() == expected
    assert confusion_matrix(picker(), (IMAGES, np.eye(3)[LABELS])).tolist() == expected
    assert confusion_matrix(picker(), dk.data.from_arrays(IMAGES, LABELS, shuffle=False).train).tolist() == expected
    [axes, *_] = dk.visualize.confusion(picker(), (IMAGES, LABELS), class_names=["a", "b", "c"]).axes
    assert axes.get_title() == "2 of 5 wrong"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]


def test_a_yes_or_no_model_has_two_classes():
    model = dk.Classifier(1).build((1,))
    model.set_weights([np.ones((1, 1)), np.zeros(1)])
    x, y = np.array([[-2.0], [3.0], [1.0]]), np.array([0, 1, 0])
    assert confusion_matrix(model, (x, y)).tolist() == [[1, 1], [0, 1]]


def test_the_worst_mistakes_come_first():
    model = picker()
    x = np.concatenate([IMAGES, 0.5 * IMAGES[:1]])
    y = np.concatenate([LABELS, [2]])
    found = worst(model, (x, y), count=10)
    assert [(m.label, m.guess) for m in found] == [(1, 0), (2, 1), (2, 0)]
    assert found[0].surprise >= found[1].surprise > found[2].surprise
    assert [a.get_title().split("\n")[0] for a in dk.visualize.misclassified(model, (x, y), count=1).axes] == [
        "1, named 0"
    ]


def test_no_mistakes_are_said_so():
    figure = dk.visualize.misclassified(picker(), (IMAGES[:3], LABELS[:3]))
    assert figure.axes[0].get_title() == "no mistakes"


def test_labels_that_are_no_classes_are_refused():
    with pytest.raises(ValueError, match=r"expected one class in \[0, 3\) an example"):
        dk.visualize.confusion(picker(), (IMAGES, LABELS + 1))
    with pytest.raises(ValueError, match="expected images"):
        dk.visualize.misclassified(dk.Classifier(2).build((3,)), (np.zeros((2, 3)), np.array([0, 1])))


def test_curves_have_a_panel_a_metric_and_the_loss_first():
    history = {"accuracy": [0.1, 0.2], "loss": [2.0, 1.0], "val_loss": [2.1, 1.5], "val_accuracy": [0.1, 0.1]}
    figure = dk.visualize.curves(history)
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy"]
    assert [list(line.get_ydata()) for line in figure.axes[0].lines] == [[2.0, 1.0], [2.1, 1.5]]
    with pytest.raises(ValueError, match="the history has no epoch"):
        dk.visualize.curves({})


def test_curves_take_what_keras_returns():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(np.zeros((4, 2)), np.zeros((4, 1)), epochs=2, verbose=0)
    assert len(dk.visualize.curves(history).axes[0].lines[0].get_ydata()) == 2


def test_filters_of_a_convolution_are_its_kernel():
    model = dk.ConvStack(5, num_convs=2).build((8, 8, 3))
    pictures = filter_images(model)
    assert pictures.shape == (5, 3, 3, 3)
    np.testing.assert_array_equal(pictures[2], np.asarray(model.layers[1].kernel)[..., 2])
    assert len(dk.visualize.filters(model, "conv_block2.conv").axes) == 5


def test_filters_of_a_dense_layer_on_an_image_are_images():
    model = dk.MLP([6, 6]).build((4, 5, 1))
    np.testing.assert_array_equal(filter_images(model)[1].reshape(-1), np.asarray(model.layers[2].kernel)[:, 1])
    with pytest.raises(ValueError, match="the weights of 'dense2', a Dense, are no pictures; mlp has dense1"):
        dk.visualize.filters(model, "dense2")


def test_filters_of_a_tied_dense_layer_on_an_image_are_images():
    model = dk.Autoencoder(dk.MLP([3]), tied_weights=True).build((4, 5, 1))
    kernel = np.asarray(model.get_layer("encoder.mlp.dense").kernel)
    np.testing.assert_array_equal(filter_images(model), kernel.T.reshape(3, 4, 5, 1))


def test_filters_of_a_nested_model_are_found():
    inner = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="inside")])
    assert filter_images(dk.Sequential([inner, dk.Classifier(2)]).build(), "inside").shape == (4, 3, 3, 3)


def test_a_model_without_pictures_says_so():
    with pytest.raises(ValueError, match="pictures need a convolution"):
        dk.visualize.filters(dk.MLP([3]).build((4,)))


def test_a_figure_is_saved_whole(tmp_path):
    figure = dk.visualize.curves({"loss": [1.0, 0.5]})
    path = dk.visualize.save(figure, tmp_path / "deep" / "curves.png")
    assert imread(path).ndim == 3
    assert imread(io.BytesIO(png(figure))).shape == imread(path).shape
    assert [p.name for p in path.parent.iterdir()] == ["curves.png"]
