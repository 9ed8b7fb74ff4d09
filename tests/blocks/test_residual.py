"""The three shortcuts: what they compute, what they weigh, and what they refuse."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk


def basic(filters, strides=1, **kwargs):
    return dk.Residual([dk.ConvBlock(filters, strides=strides), dk.ConvBlock(filters, activation=None)], **kwargs)


def images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def silence(model):
    """Set the last normalisation of the body to zero, so that the body says nothing."""
    [norm] = [layer for layer in model.layers if layer.name.endswith("conv_block2.norm")]
    norm.gamma.assign(np.zeros(norm.gamma.shape))


def test_with_a_silent_body_the_identity_is_left():
    model = basic(3, activation=None).build((8, 8, 3))
    silence(model)
    x = images(2, 8, 8, 3)
    np.testing.assert_array_equal(model(x), x)


def test_with_a_silent_body_option_a_subsamples_and_pads_with_zeros():
    model = basic(8, strides=2, shortcut="pad", activation=None).build((7, 8, 3))
    silence(model)
    x = images(2, 7, 8, 3)
    expected = np.pad(x[:, ::2, ::2], [(0, 0), (0, 0), (0, 0), (0, 5)])
    np.testing.assert_array_equal(model(x), expected)


def test_option_a_has_no_weights_and_option_b_has_a_projection():
    pad, project = (basic(8, strides=2, shortcut=s).build((8, 8, 3)) for s in ("pad", "projection"))
    assert project.count_params() - pad.count_params() == 3 * 8 + 4 * 8


def test_auto_is_the_identity_where_shapes_are_equal_else_a_projection():
    assert not [w for w in basic(3).build((8, 8, 3)).weights if "shortcut" in w.path]
    assert [w for w in basic(4).build((8, 8, 3)).weights if "shortcut" in w.path]
    assert [w for w in basic(3, shortcut="projection").build((8, 8, 3)).weights if "shortcut" in w.path]


@pytest.mark.parametrize("strides", [1, 2, 3, (2, 1)])
def test_the_stride_of_the_body_is_found_with_and_without_known_sizes(strides):
    fixed = basic(4, strides=strides, shortcut="projection").build((12, 12, 3))
    free = basic(4, strides=strides, shortcut="projection").build((None, None, 3))
    [conv] = [layer for layer in free.layers if layer.name == "shortcut.conv"]
    assert conv.strides == (strides if isinstance(strides, tuple) else (strides, strides))
    free.set_weights(fixed.get_weights())
    x = images(2, 12, 12, 3)
    np.testing.assert_allclose(free(x), fixed(x), atol=1e-5)


def test_a_projection_has_no_bias():
    model = basic(8, norm=None).build((8, 8, 3))
    assert [layer.use_bias for layer in model.layers if layer.name == "shortcut.conv"] == [False]


def test_a_projection_takes_further_arguments():
    he = {"kernel_initializer": "he_normal"}
    image, vector = basic(8, conv=he).build((8, 8, 3)), dk.Residual(dk.MLP([9]), conv=he).build((5,))
    for layer in (image.get_layer("shortcut.conv"), vector.get_layer("shortcut.dense")):
        assert type(layer.kernel_initializer) is keras.initializers.HeNormal
    with pytest.raises(ValueError, match=r"Residual\(conv=...\): 'strides' is an argument of the block itself"):
        basic(8, conv={"strides": 2})


@pytest.mark.parametrize(
    ("make", "shape", "text"),
    [
        (lambda: basic(4, shortcut="identity"), (8, 8, 3), 'shortcut="identity" cannot turn 8x8x3 into 8x8x4'),
        (lambda: basic(2, shortcut="pad"), (8, 8, 3), 'shortcut="pad" cannot take 3 channels down to 2'),
        (lambda: dk.Residual(dk.ConvBlock(3, conv={"padding": "valid"})), (8, 8, 3), "which no stride of a shortcut"),
        (lambda: dk.Residual(layers.Flatten()), (8, 8, 3), "the axes differ in number"),
    ],
)
def test_shortcuts_that_cannot_be(make, shape, text):
    with pytest.raises(dk.DefinitionError) as caught:
        make().build(shape)
    assert text in str(caught.value)
    assert caught.value.place == "shortcut"


def test_an_unknown_shortcut():
    with pytest.raises(dk.DefinitionError, match="shortcut must be one of 'auto', 'identity', 'projection', 'pad'"):
        dk.Residual(dk.ConvBlock(3), shortcut="A")


def test_resnet20_has_the_parameters_of_the_paper():
    # He et al. 2016, table 6: 0.27M; 269,722 trainable counted with option A shortcuts
    stages = [basic(16 * 2**i, strides=2 if i and not j else 1, shortcut="pad") for i in range(3) for j in range(3)]
    model = dk.Sequential([dk.ConvBlock(16), *stages, dk.Classifier(10, pool="avg")]).build((32, 32, 3))
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == 269_722


@pytest.mark.parametrize(("size", "stride"), [(9, 4), (13, 5), (7, 7), (28, 11)])
def test_the_shortcut_takes_the_stride_of_the_body_at_odd_sizes(size, stride):
    model = dk.Residual(dk.ConvBlock(4, strides=stride)).build((size, size, 4))
    assert model.get_layer("shortcut.conv").strides == (stride, stride)


def test_a_body_without_padding_is_refused_at_every_size():
    for size in (5, 28):
        with pytest.raises(dk.DefinitionError, match="which no stride of a shortcut does"):
            dk.Residual(dk.ConvBlock(4, conv={"padding": "valid"})).build((size, size, 4))


@pytest.mark.parametrize("width", [4, 6])
def test_behind_a_mask_of_unknown_length(width):
    body = layers.LSTM(width, return_sequences=True)
    net = dk.Sequential(
        [layers.Embedding(9, 4, mask_zero=True), dk.Residual(body, norm=None), dk.Classifier(2, pool="avg")]
    )
    model = net.build((None,))
    short = np.array([[1, 2, 3]])
    np.testing.assert_allclose(model(np.pad(short, [(0, 0), (0, 2)])), model(short), atol=1e-6)


def test_padded_vectors_under_channels_first():
    keras.config.set_image_data_format("channels_first")
    try:
        model = dk.Residual(dk.MLP([8], activation=None), shortcut="pad").build((4,))
    finally:
        keras.config.set_image_data_format("channels_last")
    x = images(2, 4)
    expected = np.maximum(np.pad(x, [(0, 0), (0, 4)]) + np.asarray(model.get_layer("mlp.dense")(x)), 0)
    np.testing.assert_allclose(model(x), expected, rtol=1e-6)
