"""The momentum of batch normalization that a block adds by name."""

import keras
import pytest
from keras import layers

import deepkit as dk

BODY = [dk.ConvBlock(4, strides=2), dk.ConvBlock(4, activation=None)]
DEFINITIONS = {
    "conv_block": dk.ConvBlock(4),
    "conv_block_before": dk.ConvBlock(4, order="norm-activation-conv"),
    "conv_stack": dk.ConvStack(4),
    "separable_conv_block": dk.SeparableConvBlock(4),
    "residual": dk.Residual(BODY),
    "bottleneck": dk.Bottleneck(4, strides=2),
    "transition": dk.Transition(),
    "mlp": dk.MLP([4], norm="batch"),
    "pattern": dk.from_pattern("CONV4-BN-RELU-FC4-BN-RELU-FC2-SOFTMAX"),
    "autoencoder": dk.Autoencoder([dk.ConvStack(4, num_convs=1), dk.MLP([3], norm="batch")]),
    "vae": dk.VAE(dk.MLP([4], norm="batch"), latent_dim=2, decoder=dk.MLP([4], norm="batch")),
    "gan": dk.GAN(
        [dk.MLP([4], norm="batch"), dk.Regressor(128), layers.Reshape((8, 8, 2))],
        [dk.ConvBlock(2), dk.Classifier(1)],
        latent_dim=2,
    ),
}


def batch_norms(model):
    return [layer for layer in model._flatten_layers() if isinstance(layer, layers.BatchNormalization)]


@pytest.mark.parametrize("name", DEFINITIONS)
def test_batch_normalization_by_name_has_momentum_0_9_and_the_epsilon_of_keras(name):
    norms = batch_norms(DEFINITIONS[name].build((8, 8, 2)))
    assert norms
    assert {(norm.momentum, norm.epsilon) for norm in norms} == {(0.9, layers.BatchNormalization().epsilon)}


def test_the_momentum_holds_for_channels_first():
    previous = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        (norm,) = batch_norms(dk.ConvBlock(4).build((2, 8, 8)))
    finally:
        keras.config.set_image_data_format(previous)
    assert (norm.momentum, norm.axis) == (0.9, 1)


def test_a_layer_keeps_its_momentum_and_its_mirror_has_it_too():
    norm = layers.BatchNormalization(momentum=0.7, epsilon=0.01)
    model = dk.Autoencoder([dk.MLP([6], norm=norm), dk.MLP([3])]).build((8,))
    assert [(layer.momentum, layer.epsilon) for layer in batch_norms(model)] == [(0.7, 0.01)] * 2
    pattern = dk.Sequential([dk.Sequential([layers.BatchNormalization()]), dk.Classifier(2)])
    assert [layer.momentum for layer in batch_norms(pattern.build((8,)))] == [0.99]
