"""Squeeze-and-excitation and separable convolutions compared with their equations."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk


def random_images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_each_channel_is_scaled_by_a_gate_computed_from_the_averages_of_all():
    model = dk.SqueezeExcitation(ratio=2).build((5, 5, 4))
    x = random_images(2, 5, 5, 4)
    squeeze, excite = model.get_layer("squeeze"), model.get_layer("excite")
    gates = np.asarray(excite(np.maximum(squeeze(x.mean(axis=(1, 2))), 0)))
    np.testing.assert_allclose(model(x), x * gates[:, None, None, :], rtol=1e-5, atol=1e-6)
    assert squeeze.units == 2


def test_the_inner_layer_has_at_least_one_unit():
    assert dk.SqueezeExcitation(ratio=16).build((5, 5, 3)).get_layer("squeeze").units == 1


def test_squeeze_excitation_under_channels_first():
    keras.config.set_image_data_format("channels_first")
    try:
        model = dk.SqueezeExcitation(ratio=2).build((4, 5, 5))
    finally:
        keras.config.set_image_data_format("channels_last")
    assert model.get_layer("reshape").target_shape == (4, 1, 1)
    assert model.output_shape == (None, 4, 5, 5)


def test_without_norm_and_activation_it_equals_the_separable_convolution_of_keras():
    model = dk.SeparableConvBlock(6, strides=2, norm=None, activation=None, depthwise={"use_bias": False}).build(
        (8, 8, 3)
    )
    reference = keras.Sequential([keras.Input((8, 8, 3)), layers.SeparableConv2D(6, 3, 2, padding="same")])
    reference.set_weights(model.get_weights())
    x = random_images(2, 8, 8, 3)
    np.testing.assert_allclose(model(x), reference(x), rtol=1e-5, atol=1e-6)


def test_a_separable_block_is_the_unit_of_mobilenet():
    model = dk.SeparableConvBlock(64).build((8, 8, 32))
    assert [layer.name for layer in model.layers[1:]] == [
        "depthwise", "norm1", "activation1", "pointwise", "norm2", "activation2",
    ]  # fmt: skip
    assert model.count_params() == 9 * 32 + 4 * 32 + 32 * 64 + 4 * 64


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: dk.SqueezeExcitation(ratio=0), "SqueezeExcitation: ratio must be a positive integer, received 0"),
        (
            lambda: dk.SqueezeExcitation().build((5,)),
            "GlobalAveragePooling needs a sequence (steps, channels), an image (rows, columns, channels) or a volume, "
            "received (5,)",
        ),
        (
            lambda: dk.SqueezeExcitation().build((5, 5, None)),
            "the number of channels is unknown in (5, 5, None)\n"
            "  in    dk.SqueezeExcitation()\n"
            "  hint: use an input shape with fixed channels",
        ),
        (
            lambda: dk.SeparableConvBlock(4).build((4, 4, 4, 2)),
            "expected a sequence or an image, received (4, 4, 4, 2)",
        ),
        (
            lambda: dk.SeparableConvBlock(4, depthwise={"groups": 2}),
            "SeparableConvBlock(depthwise=...): keras.layers.DepthwiseConv2D takes no 'groups'",
        ),
    ],
)
def test_errors(make, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        make()
    assert text in str(caught.value)
