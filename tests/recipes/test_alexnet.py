"""AlexNet: the weights of the paper, its two halves, and gradients of grouped convolutions."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from recipes.vision import alexnet
from tests.recipes.counting import counts, multiply_adds, symbolic

IMAGE = (227, 227, 3)


def test_weight_counts():
    # Caffe's bvlc_alexnet and CaffeNet have these; the paper says 60 million
    assert counts(alexnet.alexnet(), IMAGE) == (60_965_224, 60_965_224)
    assert multiply_adds(alexnet.alexnet(), IMAGE) == 724_406_816
    assert counts(alexnet.single_tower(), IMAGE) == (62_378_344, 62_378_344)


def test_unit_counts_are_those_of_the_paper():
    model = symbolic(alexnet.alexnet(), IMAGE)
    units = [layer.output.shape[1:] for layer in model.layers if layer.weights]
    assert units[:5] == [(55, 55, 96), (27, 27, 256), (13, 13, 384), (13, 13, 384), (13, 13, 256)]
    assert sum(int(np.prod(shape)) for shape in units) == 659_272  # about 650,000 in figure 2


def test_layers_have_the_order_of_section_3_5():
    names = [layer.name.split(".")[-1] for layer in symbolic(alexnet.alexnet(), IMAGE).layers[1:]]
    lrn = "local_response_normalization"
    assert names == [
        *("conv", "activation", f"{lrn}1", "pool1", "conv", "activation", f"{lrn}2", "pool2"),
        *("conv", "activation", "conv", "activation", "conv", "activation", "pool5", "flatten"),
        *("dense1", "activation1", "dropout1", "dense2", "activation2", "dropout2", "dense"),
    ]


def test_each_half_sees_only_its_own_maps():
    model = alexnet.alexnet(num_classes=2).build((67, 67, 3))
    conv = model.get_layer("conv2.conv")
    halves = [keras.layers.Conv2D(128, 5, padding="same") for _ in range(2)]
    x = np.random.default_rng(0).normal(size=(1, 7, 7, 96)).astype("float32")
    for i, half in enumerate(halves):
        half.build((None, 7, 7, 48))
        half.set_weights([conv.kernel[..., 128 * i : 128 * (i + 1)], conv.bias[128 * i : 128 * (i + 1)]])
    expected = np.concatenate([half(x[..., 48 * i : 48 * (i + 1)]) for i, half in enumerate(halves)], axis=-1)
    np.testing.assert_allclose(conv(x), expected, rtol=1e-4, atol=1e-5)


def test_grouped_convolutions_have_gradients_on_a_cpu_with_and_without_xla():
    model = dk.ConvBlock(4, norm=None, conv={"groups": 2}).build((6, 6, 4))
    x = keras.ops.convert_to_tensor(np.random.default_rng(0).normal(size=(2, 6, 6, 4)).astype("float32"))

    def gradient():
        with tf.GradientTape() as tape:
            loss = keras.ops.sum(keras.ops.square(model(x)))
        return tape.gradient(loss, model.trainable_weights)

    for gradients in (tf.function(gradient)(), tf.function(gradient, jit_compile=True)()):
        for a, b in zip(gradients, gradient(), strict=True):
            assert float(keras.ops.max(keras.ops.abs(b))) > 0
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_weights_are_initialized_as_in_section_5():
    model = alexnet.alexnet(num_classes=2).build((67, 67, 3))
    with_ones = [layer.name for layer in model.layers if layer.weights and np.all(layer.bias == 1)]
    assert with_ones == [
        *("conv2.conv", "conv4.conv", "conv5.conv", "fc.dense1", "fc.dense2"),
    ]
    for layer in model.layers:
        if layer.weights:
            assert float(np.std(layer.kernel)) == pytest.approx(0.01, rel=0.05)


def test_the_repr_of_a_definition_is_its_code():
    for net in (alexnet.alexnet(), alexnet.single_tower(num_classes=10, activation="softmax")):
        assert eval(repr(net), {"dk": dk, "layers": layers, "keras": keras, "initializers": keras.initializers}) == net


def test_an_image_that_is_too_small_raises():
    with pytest.raises(dk.DefinitionError, match=r"at least 3x3, received 2x2x256\n(.*\n)*  hint: ") as error:
        symbolic(alexnet.alexnet(), (59, 59, 3))
    assert error.value.path == "pool5"
