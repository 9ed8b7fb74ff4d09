"""Figures: their content, checked on their arrays and axes."""

import io

import keras
import numpy as np
import pytest
from keras import layers
from matplotlib.image import imread

import deepkit as dk
from deepkit.visualize.classification import confusion_matrix, misclassified_examples
from deepkit.visualize.figures import png_bytes
from deepkit.visualize.filter_images import filter_images


def pixel_classifier():
    """Return a model of 2x2 images whose logits are the first three pixels."""
    model = dk.Classifier(3, dense={"use_bias": False}).build((2, 2, 1))
    model.set_weights([np.eye(4, 3, dtype="float32") * 10])
    return model


IMAGES = np.eye(4, dtype="float32")[[0, 1, 2, 0, 1]].reshape(5, 2, 2, 1)
LABELS = np.array([0, 1, 2, 1, 2])  # the last two are misclassified: 1 as 0, 2 as 1


def test_a_confusion_matrix_has_true_classes_as_rows():
    expected = [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    assert confusion_matrix(pixel_classifier(), (IMAGES, LABELS)).tolist() == expected
    assert confusion_matrix(pixel_classifier(), (IMAGES, np.eye(3)[LABELS])).tolist() == expected
    assert (
        confusion_matrix(pixel_classifier(), dk.data.from_arrays(IMAGES, LABELS, shuffle=False).train).tolist()
        == expected
    )
    [axes, *_] = dk.visualize.confusion(pixel_classifier(), (IMAGES, LABELS), class_names=["a", "b", "c"]).axes
    assert axes.get_title() == "2 of 5 misclassified"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Predicted label", "True label")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]


def test_a_model_with_one_output_has_two_classes():
    model = dk.Classifier(1).build((1,))
    model.set_weights([np.ones((1, 1)), np.zeros(1)])
    x, y = np.array([[-2.0], [3.0], [1.0]]), np.array([0, 1, 0])
    assert confusion_matrix(model, (x, y)).tolist() == [[1, 1], [0, 1]]


def test_the_largest_loss_comes_first():
    model = pixel_classifier()
    x = np.concatenate([IMAGES, 0.5 * IMAGES[:1]])
    y = np.concatenate([LABELS, [2]])
    examples = misclassified_examples(model, (x, y), count=10)
    assert [(example.label, example.prediction) for example in examples] == [(1, 0), (2, 1), (2, 0)]
    assert examples[0].loss >= examples[1].loss > examples[2].loss
    [axes] = dk.visualize.misclassified(model, (x, y), count=1).axes
    assert axes.get_title() == "true: 1\npredicted: 0\nconfidence: 100%"


def test_no_misclassified_images_are_reported_in_the_title():
    figure = dk.visualize.misclassified(pixel_classifier(), (IMAGES[:3], LABELS[:3]))
    assert figure.axes[0].get_title() == "no misclassified images"


def test_labels_out_of_range_and_inputs_that_are_not_images_raise():
    with pytest.raises(ValueError, match=r"expected one class in \[0, 3\) per example"):
        dk.visualize.confusion(pixel_classifier(), (IMAGES, LABELS + 1))
    with pytest.raises(ValueError, match="expected images"):
        dk.visualize.misclassified(dk.Classifier(2).build((3,)), (np.zeros((2, 3)), np.array([0, 1])))


def test_curves_have_a_panel_per_metric_and_the_loss_first():
    history = {"accuracy": [0.1, 0.2], "loss": [2.0, 1.0], "val_loss": [2.1, 1.5], "val_accuracy": [0.1, 0.1]}
    figure = dk.visualize.curves(history)
    assert [axes.get_title() for axes in figure.axes] == ["Loss", "Accuracy"]
    assert {axes.get_xlabel() for axes in figure.axes} == {"Epoch"}
    assert [list(line.get_ydata()) for line in figure.axes[0].lines] == [[2.0, 1.0], [2.1, 1.5]]
    with pytest.raises(ValueError, match="expected a history of at least one epoch"):
        dk.visualize.curves({})


def test_curves_accept_the_history_of_keras():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(np.zeros((4, 2)), np.zeros((4, 1)), epochs=2, verbose=0)
    assert len(dk.visualize.curves(history).axes[0].lines[0].get_ydata()) == 2


def test_filters_of_a_convolution_are_its_kernel():
    model = dk.ConvStack(5, num_convs=2).build((8, 8, 3))
    images = filter_images(model)
    assert images.shape == (5, 3, 3, 3)
    np.testing.assert_array_equal(images[2], np.asarray(model.layers[1].kernel)[..., 2])
    assert len(dk.visualize.filters(model, "conv_block2.conv").axes) == 5


def test_filters_of_a_dense_layer_on_an_image_are_images():
    model = dk.MLP([6, 6]).build((4, 5, 1))
    np.testing.assert_array_equal(filter_images(model)[1].reshape(-1), np.asarray(model.layers[2].kernel)[:, 1])
    with pytest.raises(ValueError, match="received 'dense2', a Dense\n  hint: use one of dense1"):
        dk.visualize.filters(model, "dense2")


def test_filters_of_a_tied_dense_layer_on_an_image_are_images():
    model = dk.Autoencoder(dk.MLP([3]), tied_weights=True).build((4, 5, 1))
    kernel = np.asarray(model.get_layer("encoder.mlp.dense").kernel)
    np.testing.assert_array_equal(filter_images(model), kernel.T.reshape(3, 4, 5, 1))


def test_filters_of_a_nested_model_are_found():
    inner = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="inside")])
    assert filter_images(dk.Sequential([inner, dk.Classifier(2)]).build(), "inside").shape == (4, 3, 3, 3)


def test_a_model_without_drawable_filters_raises():
    with pytest.raises(ValueError, match="expected a model with a convolution"):
        dk.visualize.filters(dk.MLP([3]).build((4,)))


def test_a_figure_is_saved_without_temporary_files(tmp_path):
    figure = dk.visualize.curves({"loss": [1.0, 0.5]})
    path = dk.visualize.save(figure, tmp_path / "deep" / "curves.png")
    assert imread(path).ndim == 3
    assert imread(io.BytesIO(png_bytes(figure))).shape == imread(path).shape
    assert [p.name for p in path.parent.iterdir()] == ["curves.png"]
