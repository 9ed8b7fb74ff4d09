"""Templates: the weights of each class as images, and errors."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from deepkit.visualize import arrays


def test_a_template_has_the_weights_of_its_class():
    model = dk.Classifier(3).build((4, 5, 1))
    kernel = np.asarray(model.layers[-1].kernel)
    images = arrays.templates(model)
    assert images.shape == (3, 4, 5, 1)
    for number in range(3):
        np.testing.assert_array_equal(images[number].reshape(-1), kernel[:, number])
    figure = dk.visualize.templates(model, class_names=["a", "b", "c"])
    axes = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in axes] == ["a", "b", "c"]
    limit = np.abs(kernel).max()
    for ax, image in zip(axes, images, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), image[..., 0])
        assert ax.images[0].get_clim() == pytest.approx((-limit, limit))
    assert figure.axes[-1].get_ylabel() == "Weight"
    assert figure.alt_text == "The weights of classifier as images, one for each class: a, b, c."


def test_a_template_in_color_is_rescaled_over_its_channels():
    model = dk.Classifier(7).build((4, 4, 3))
    images = arrays.templates(model)
    figure = dk.visualize.templates(model)
    assert len(figure.axes) == 7
    for ax, image in zip(figure.axes, images, strict=True):
        expected = (image - image.min()) / (image.max() - image.min())
        np.testing.assert_allclose(ax.images[0].get_array(), expected, atol=1e-6)


def test_an_image_shape_is_needed_for_flat_inputs():
    model = dk.Classifier(2).build((12,))
    with pytest.raises(ValueError, match=r"takes 12 values, .* unknown\n  hint: pass image_shape=\(2, 2, 3\)"):
        dk.visualize.templates(model)
    assert arrays.templates(model, image_shape=(3, 4)).shape == (2, 3, 4, 1)
    assert arrays.templates(model, image_shape=[2, 2, 3]).shape == (2, 2, 2, 3)
    with pytest.raises(ValueError, match=r"image_shape \(5, 4\) has 20 values, and the layer 'dense' takes 12"):
        dk.visualize.templates(model, image_shape=(5, 4))
    with pytest.raises(ValueError, match=r"image_shape must be \(rows, columns\) .*, received 12"):
        dk.visualize.templates(model, image_shape=12)
    with pytest.raises(ValueError, match=r"expected images of one or three channels, received \(2, 3, 2\)"):
        dk.visualize.templates(model, image_shape=(2, 3, 2))


def test_a_single_output_is_the_template_of_the_second_class():
    model = dk.Classifier(1).build((4, 4, 1))
    assert dk.visualize.templates(model, class_names=["cat", "dog"]).axes[0].get_title() == "dog"
    assert dk.visualize.templates(model).axes[0].get_title() == "1"


def test_a_model_must_have_one_dense_layer_or_a_layer_is_named():
    model = dk.Sequential([dk.MLP([4]), dk.Classifier(2)], name="net").build((3, 3, 1))
    with pytest.raises(ValueError, match=r"net has 2\n  hint: pass layer= with one of 'mlp.dense', 'classifier.dense'"):
        dk.visualize.templates(model)
    assert arrays.templates(model, layer="mlp.dense").shape == (4, 3, 3, 1)
    with pytest.raises(ValueError, match=r"received 'mlp\.flatten', a Flatten"):
        dk.visualize.templates(model, layer="mlp.flatten")
    convolutions = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(2, 3)], name="convolutions")
    with pytest.raises(ValueError, match="convolutions does not have a dense layer"):
        dk.visualize.templates(convolutions)
    with pytest.raises(ValueError, match="expected a name for each of 2 classes"):
        dk.visualize.templates(model, layer="classifier.dense", image_shape=(2, 2), class_names=["a"])


def test_weights_that_are_nan_raise():
    model = dk.Classifier(2).build((2, 2))
    model.set_weights([np.full((4, 2), np.nan), np.zeros(2)])
    with pytest.raises(ValueError, match="templates: expected finite weights"):
        dk.visualize.templates(model)
