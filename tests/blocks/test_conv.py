"""ConvBlock and ConvStack compared with Keras models, and their errors."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk


def configs(model):
    """Return the classes and configs of the layers, without names."""
    return [
        (type(layer), {key: value for key, value in layer.get_config().items() if key != "name"})
        for layer in model.layers
    ]


def test_a_stack_equals_a_keras_model():
    x = y = keras.Input((16, 16, 3))
    for _ in range(2):
        y = layers.Conv2D(8, 3, padding="same", use_bias=False)(y)
        y = layers.BatchNormalization(momentum=0.9)(y)
        y = layers.Activation("relu")(y)
    y = layers.MaxPooling2D(2)(y)
    assert configs(dk.ConvStack(8).build((16, 16, 3))) == configs(keras.Model(x, y))


def test_a_convolution_has_a_bias_unless_the_block_normalizes():
    def bias(**kwargs):
        return dk.ConvBlock(4, **kwargs).build((8, 8, 3)).get_layer(index=-1 if kwargs.get("order") else 1).use_bias

    assert not bias()
    assert bias(norm=None)
    assert not bias(order="norm-activation-conv")
    assert bias(conv={"use_bias": True})


@pytest.mark.parametrize(("shape", "kind"), [((9, 3), "Conv1D"), ((9, 9, 3), "Conv2D"), ((5, 5, 5, 3), "Conv3D")])
def test_the_rank_of_the_input_determines_the_convolution(shape, kind):
    assert type(dk.ConvBlock(4).build(shape).layers[1]).__name__ == kind


def test_further_arguments_are_passed_in_a_mapping():
    block = dk.ConvBlock(8, conv={"dilation_rate": 2, "groups": 4, "kernel_initializer": "he_normal"})
    layer = block.build((8, 8, 4)).layers[1]
    assert (layer.dilation_rate, layer.groups, type(layer.kernel_initializer).__name__) == ((2, 2), 4, "HeNormal")


def test_each_layer_has_its_own_copy_of_an_initializer_in_the_mapping():
    block = dk.ConvBlock(4, norm=None, conv={"kernel_initializer": keras.initializers.HeNormal()})
    model = dk.Repeat(block, num_repeats=2).build((8, 8, 4))
    first, second = (layer for layer in model.layers if isinstance(layer, layers.Conv2D))
    assert first.kernel_initializer is not second.kernel_initializer
    assert not np.array_equal(first.kernel, second.kernel)


def test_registered_functions_are_activations_and_lambdas_are_not():
    assert dk.ConvBlock(3, activation=keras.activations.gelu) == dk.ConvBlock(3, activation="gelu")
    model = dk.ConvBlock(3, activation=dk.layers.scaled_tanh).build((8, 8, 3))
    assert model.layers[-1].activation is dk.layers.scaled_tanh
    with pytest.raises(dk.DefinitionError, match="must be a function that a saved model can find by name"):
        dk.ConvBlock(3, activation=lambda x: x)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: dk.ConvBlock(-3), "ConvBlock: filters must be a positive integer, received -3"),
        (lambda: dk.ConvBlock(2.0), "filters must be a positive integer, received 2.0"),
        (lambda: dk.ConvBlock(3, kernel_size=0), "kernel_size must be a positive integer, received 0"),
        (lambda: dk.ConvBlock(3, strides=(1, 0)), "strides must be a positive integer, received 0"),
        (
            lambda: dk.ConvBlock(3, activation="rleu"),
            "activation must be an activation of Keras or a registered one, received 'rleu'",
        ),
        (lambda: dk.ConvBlock(3, norm="bach"), "norm must be one of 'batch', 'layer', None, received 'bach'"),
        (lambda: dk.ConvBlock(3, order="conv-norm"), "order must be one of"),
        (lambda: dk.ConvStack(3, num_convs=0), "ConvStack: num_convs must be a positive integer, received 0"),
        (lambda: dk.ConvStack(3, pool="maximum"), "pool must be one of 'max', 'avg', 'l2', None, received 'maximum'"),
        (lambda: dk.ConvBlock(3, conv={"paddin": "same"}), "takes no 'paddin'; did you mean 'padding'?"),
        (
            lambda: dk.ConvBlock(3, conv={"filters": 4}),
            "'filters' is set by the block\n  hint: pass filters= to the block if it takes it",
        ),
    ],
)
def test_invalid_arguments(make, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        make()
    assert text in str(caught.value)


def test_a_mapping_must_be_a_mapping():
    with pytest.raises(
        TypeError, match=r"ConvBlock\(conv=...\) takes a mapping of argument names to values, received 3"
    ):
        dk.ConvBlock(3, conv=3)


def test_a_vector_is_refused():
    with pytest.raises(dk.DefinitionError, match=r"Conv needs a sequence(.|\n)*hint: add layers.Reshape"):
        dk.ConvBlock(3).build((784,))


def test_channels_first_is_respected():
    keras.config.set_image_data_format("channels_first")
    try:
        model = dk.ConvBlock(4).build((3, 8, 8))
    finally:
        keras.config.set_image_data_format("channels_last")
    assert (model.layers[2].axis, model.output_shape) == (1, (None, 4, 8, 8))
