"""ConvBlock and ConvStack against hand-written Keras, and their errors."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk


def same_layers(ours, theirs):
    """Tell whether two models are equal layer by layer, but for names."""

    def configs(model):
        found = []
        for layer in model.layers:
            config = layer.get_config()
            config.pop("name")
            found.append((type(layer), config))
        return found

    return configs(ours) == configs(theirs)


def test_a_stack_equals_the_hand_written_one():
    x = y = keras.Input((16, 16, 3))
    for _ in range(2):
        y = layers.Conv2D(8, 3, padding="same", use_bias=False)(y)
        y = layers.BatchNormalization()(y)
        y = layers.Activation("relu")(y)
    y = layers.MaxPooling2D(2)(y)
    assert same_layers(dk.ConvStack(8).build((16, 16, 3)), keras.Model(x, y))


def test_a_convolution_has_a_bias_unless_its_block_normalises():
    def bias(**kwargs):
        return dk.ConvBlock(4, **kwargs).build((8, 8, 3)).get_layer(index=-1 if kwargs.get("order") else 1).use_bias

    assert not bias()
    assert bias(norm=None)
    assert not bias(order="norm-activation-conv")
    assert bias(conv={"use_bias": True})


@pytest.mark.parametrize(("shape", "kind"), [((9, 3), "Conv1D"), ((9, 9, 3), "Conv2D"), ((5, 5, 5, 3), "Conv3D")])
def test_the_rank_of_the_input_chooses_the_convolution(shape, kind):
    assert type(dk.ConvBlock(4).build(shape).layers[1]).__name__ == kind


def test_all_else_goes_through_the_mapping():
    block = dk.ConvBlock(8, conv={"dilation_rate": 2, "groups": 4, "kernel_initializer": "he_normal"})
    layer = block.build((8, 8, 4)).layers[1]
    assert (layer.dilation_rate, layer.groups, type(layer.kernel_initializer).__name__) == ((2, 2), 4, "HeNormal")


def test_an_initialiser_in_the_mapping_is_made_anew_for_each_layer():
    block = dk.ConvBlock(4, norm=None, conv={"kernel_initializer": keras.initializers.HeNormal()})
    model = dk.Repeat(block, num_repeats=2).build((8, 8, 4))
    first, second = (layer for layer in model.layers if isinstance(layer, layers.Conv2D))
    assert first.kernel_initializer is not second.kernel_initializer
    assert not np.array_equal(first.kernel, second.kernel)


def test_registered_functions_are_activations_and_lambdas_are_not():
    assert dk.ConvBlock(3, activation=keras.activations.gelu) == dk.ConvBlock(3, activation="gelu")
    model = dk.ConvBlock(3, activation=dk.layers.scaled_tanh).build((8, 8, 3))
    assert model.layers[-1].activation is dk.layers.scaled_tanh
    with pytest.raises(dk.DefinitionError, match="has no name that a saved model could find it by"):
        dk.ConvBlock(3, activation=lambda x: x)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: dk.ConvBlock(-3), "ConvBlock: filters must be a positive integer, received -3"),
        (lambda: dk.ConvBlock(2.0), "filters must be a positive integer, received 2.0"),
        (lambda: dk.ConvBlock(3, kernel_size=0), "kernel_size must be a positive integer, received 0"),
        (lambda: dk.ConvBlock(3, strides=(1, 0)), "strides must be a positive integer, received 0"),
        (lambda: dk.ConvBlock(3, activation="rleu"), "activation 'rleu' is neither Keras's nor registered"),
        (lambda: dk.ConvBlock(3, norm="bach"), "norm must be one of 'batch', 'layer', None, received 'bach'"),
        (lambda: dk.ConvBlock(3, order="conv-norm"), "order must be one of"),
        (lambda: dk.ConvStack(3, num_convs=0), "ConvStack: num_convs must be a positive integer, received 0"),
        (lambda: dk.ConvStack(3, pool="maximum"), "pool must be one of 'max', 'avg', 'l2', None, received 'maximum'"),
        (lambda: dk.ConvBlock(3, conv={"paddin": "same"}), "takes no 'paddin'; did you mean 'padding'?"),
        (lambda: dk.ConvBlock(3, conv={"filters": 4}), "'filters' is an argument of the block itself"),
    ],
)
def test_bad_arguments(make, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        make()
    assert text in str(caught.value)


def test_a_mapping_must_be_a_mapping():
    with pytest.raises(TypeError, match=r"ConvBlock\(conv=...\) takes a mapping of arguments, received int 3"):
        dk.ConvBlock(3, conv=3)


def test_a_vector_is_no_image():
    with pytest.raises(dk.DefinitionError, match=r"Conv needs a sequence(.|\n)*hint: layers.Reshape"):
        dk.ConvBlock(3).build((784,))


def test_channels_first_is_honoured():
    keras.config.set_image_data_format("channels_first")
    try:
        model = dk.ConvBlock(4).build((3, 8, 8))
    finally:
        keras.config.set_image_data_format("channels_last")
    assert (model.layers[2].axis, model.output_shape) == (1, (None, 4, 8, 8))
