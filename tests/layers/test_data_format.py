"""Layers under `channels_first`: the outputs equal those of `channels_last` with moved axes."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from deepkit import layers as dkl
from tests.layers import checks

LAYERS = {
    "table": lambda **kwargs: dkl.TableConv2D([(0, 1), (1, 2)], 3, activation="tanh", **kwargs),
    "subsampling": lambda **kwargs: dkl.Subsampling2D(2, activation="tanh", **kwargs),
    "l2_pooling": lambda **kwargs: dkl.L2Pooling(2, **kwargs),
    "weighted_pooling": lambda **kwargs: dkl.WeightedAveragePooling(3, padding="same", **kwargs),
    "local_response": lambda **kwargs: dkl.LocalResponseNormalization(1, alpha=0.1, **kwargs),
    "channel_max": lambda **kwargs: dkl.ChannelMax(3, **kwargs),
}
each_layer = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)


@pytest.fixture
def channels_first():
    """Set Keras's image data format for a test."""
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


def equal_outputs(first, x):
    """Check a layer in channels-first format against the same layer in channels-last format, with equal weights."""
    last = type(first).from_config({**first.get_config(), "data_format": "channels_last"})
    last.build(x.shape)
    moved = np.moveaxis(x, -1, 1)
    outputs = first(moved)
    last.set_weights(first.get_weights())
    np.testing.assert_allclose(np.moveaxis(outputs, 1, -1), last(x), rtol=1e-5, atol=1e-6)
    checks.assert_symbolic_shape(first, moved)


@each_layer
def test_the_argument_sets_the_data_format(make):
    layer = make(data_format="channels_first")
    equal_outputs(layer, checks.data(2, 7, 6, 3))
    checks.assert_config_round_trip(layer)


@each_layer
@pytest.mark.usefixtures("channels_first")
def test_the_default_is_the_setting_of_keras(make):
    layer = make()
    assert layer.data_format == "channels_first"
    equal_outputs(layer, checks.data(2, 7, 6, 3))


@pytest.mark.usefixtures("channels_first")
def test_a_network_of_deepkit_and_keras_layers_is_channels_first():
    net = [layers.MaxPooling2D(2), dkl.TableConv2D([(0,), (1, 2)], 3), dkl.Subsampling2D(2), dk.Classifier(2)]
    model = dk.Sequential(net).build((3, 12, 12))
    assert [layer.output.shape[1:] for layer in model.layers[2:4]] == [(2, 4, 4), (2, 2, 2)]
    assert model(checks.data(2, 3, 12, 12)).shape == (2, 2)


def test_a_layer_saved_without_a_data_format_loads():
    config = dkl.Subsampling2D(2).get_config()
    del config["data_format"]
    assert dkl.Subsampling2D.from_config(config).data_format == "channels_last"


@each_layer
def test_an_unknown_data_format_is_refused(make):
    with pytest.raises(
        ValueError, match="data_format must be one of 'channels_last', 'channels_first', received 'NCHW'"
    ):
        make(data_format="NCHW")


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((3, 2, 9), "needs at least that many rows and columns, received 2x9"),
        ((2, 5, 5), "table names input map 2, received 2 channels"),
    ],
)
def test_a_table_convolution_checks_the_axes_of_its_data_format(shape, text):
    layer = dkl.TableConv2D([(0, 1), (1, 2)], 3, data_format="channels_first")
    with pytest.raises(ValueError, match=text):
        layer(keras.Input(shape))
