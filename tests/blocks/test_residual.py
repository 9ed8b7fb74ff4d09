"""Residual connections: the three shortcuts, their weights and their errors."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk


def basic(filters, strides=1, **kwargs):
    return dk.Residual([dk.ConvBlock(filters, strides=strides), dk.ConvBlock(filters, activation=None)], **kwargs)


def random_images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def zero_body(model):
    """Set the scale of the last normalization of the body to zero, so that the output of the body is zero."""
    [norm] = [layer for layer in model.layers if layer.name.endswith("conv_block2.norm")]
    norm.gamma.assign(np.zeros(norm.gamma.shape))


def test_a_residual_with_a_zero_body_is_the_identity():
    model = basic(3, activation=None).build((8, 8, 3))
    zero_body(model)
    x = random_images(2, 8, 8, 3)
    np.testing.assert_array_equal(model(x), x)


def test_option_a_with_a_zero_body_subsamples_and_pads_with_zeros():
    model = basic(8, strides=2, shortcut="pad", activation=None).build((7, 8, 3))
    zero_body(model)
    x = random_images(2, 7, 8, 3)
    expected = np.pad(x[:, ::2, ::2], [(0, 0), (0, 0), (0, 0), (0, 5)])
    np.testing.assert_array_equal(model(x), expected)


def test_option_a_has_no_weights_and_option_b_has_a_projection():
    pad, project = (basic(8, strides=2, shortcut=s).build((8, 8, 3)) for s in ("pad", "projection"))
    assert project.count_params() - pad.count_params() == 3 * 8 + 4 * 8


def test_auto_is_the_identity_if_the_shapes_are_equal_else_a_projection():
    assert not [w for w in basic(3).build((8, 8, 3)).weights if "shortcut" in w.path]
    assert [w for w in basic(4).build((8, 8, 3)).weights if "shortcut" in w.path]
    assert [w for w in basic(3, shortcut="projection").build((8, 8, 3)).weights if "shortcut" in w.path]


@pytest.mark.parametrize("strides", [1, 2, 3, (2, 1)])
def test_strides_are_read_from_the_layers_or_passed(strides):
    body = basic(4, strides=strides).body
    fixed = dk.Residual(body, shortcut="projection").build((12, 12, 3))
    free = dk.Residual(body, strides=strides, shortcut="projection").build((None, None, 3))
    for model in (fixed, free):
        expected = strides if isinstance(strides, tuple) else (strides, strides)
        assert model.get_layer("shortcut.conv").strides == expected
    free.set_weights(fixed.get_weights())
    x = random_images(2, 12, 12, 3)
    np.testing.assert_allclose(free(x), fixed(x), atol=1e-5)


def test_a_projection_has_no_bias():
    model = basic(8, norm=None).build((8, 8, 3))
    assert [layer.use_bias for layer in model.layers if layer.name == "shortcut.conv"] == [False]


def test_further_arguments_of_a_projection():
    he = {"kernel_initializer": "he_normal"}
    image, vector = basic(8, conv=he).build((8, 8, 3)), dk.Residual(dk.MLP([9]), conv=he).build((5,))
    for layer in (image.get_layer("shortcut.conv"), vector.get_layer("shortcut.dense")):
        assert type(layer.kernel_initializer) is keras.initializers.HeNormal
    with pytest.raises(ValueError, match=r"Residual\(conv=...\): 'strides' is set by the block"):
        basic(8, conv={"strides": 2})


@pytest.mark.parametrize(
    ("make", "shape", "text"),
    [
        (lambda: basic(4, shortcut="identity"), (8, 8, 3), 'shortcut="identity" cannot map 8x8x3 to 8x8x4'),
        (lambda: basic(2, shortcut="pad"), (8, 8, 3), 'shortcut="pad" cannot reduce 3 channels to 2'),
        (
            lambda: dk.Residual(dk.ConvBlock(3, conv={"padding": "valid"})),
            (8, 8, 3),
            "the body maps 8x8x3 to 6x6x3, which strides of (1, 1) do not",
        ),
        (
            lambda: dk.Residual(layers.Flatten()),
            (8, 8, 3),
            "the body maps 8x8x3 to 192, which has another number of axes",
        ),
    ],
)
def test_shortcuts_that_do_not_fit_the_body(make, shape, text):
    with pytest.raises(dk.DefinitionError) as caught:
        make().build(shape)
    assert text in str(caught.value)
    assert caught.value.path == "shortcut"


def test_an_unknown_shortcut():
    with pytest.raises(dk.DefinitionError, match="shortcut must be one of 'auto', 'identity', 'projection', 'pad'"):
        dk.Residual(dk.ConvBlock(3), shortcut="A")


def test_resnet20_has_the_parameters_of_the_paper():
    # He et al. 2016, table 6: 0.27M; 269,722 trainable counted with option A shortcuts
    stages = [basic(16 * 2**i, strides=2 if i and not j else 1, shortcut="pad") for i in range(3) for j in range(3)]
    model = dk.Sequential([dk.ConvBlock(16), *stages, dk.Classifier(10, pool="avg")]).build((32, 32, 3))
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == 269_722


@pytest.mark.parametrize(("size", "stride"), [(9, 4), (13, 5), (7, 7), (28, 11), (None, 3)])
def test_strides_are_those_of_the_layers_even_if_smaller_ones_fit_the_sizes(size, stride):
    model = dk.Residual(dk.ConvBlock(4, strides=stride)).build((size, size, 4))
    assert model.get_layer("shortcut.conv").strides == (stride, stride)


def inner_model(size, stride=1):
    """A body whose strides no layer shows."""
    return keras.Sequential([layers.Input((size, size, 3)), layers.Conv2D(4, 3, stride, padding="same")], name="inner")


def test_the_strides_of_a_model_are_read_from_the_sizes():
    model = dk.Residual(inner_model(8, stride=2)).build((8, 8, 3))
    assert model.get_layer("shortcut.conv").strides == (2, 2)


def test_a_model_of_unknown_sizes_needs_strides():
    with pytest.raises(dk.DefinitionError) as error:
        dk.Residual(inner_model(None)).build((None, None, 3))
    assert str(error.value) == (
        "the strides of the body are unknown: it maps ?x?x3 to ?x?x4\n"
        "  at    shortcut\n"
        "  in    dk.Residual(<Sequential 'inner' with its state>)\n"
        "  hint: pass strides= to dk.Residual: 1 for a body that keeps the sizes"
    )
    passed = dk.Residual(inner_model(None), strides=1).build((None, None, 3))
    assert passed.output_shape == (None, None, None, 4)
    assert dk.Residual(dk.MLP([9])).build((5,)).output_shape == (None, 9)  # a vector has no spatial axes


@pytest.mark.parametrize(
    ("strides", "text"),
    [
        (1, "the body maps 8x8x3 to 4x4x4, which strides of (1, 1) do not"),
        ((2, 1), "the body maps 8x8x3 to 4x4x4, which strides of (2, 1) do not"),
        ((2,), "strides=(2,) has another number of axes than the input 8x8x3"),
    ],
)
def test_strides_that_contradict_the_sizes(strides, text):
    body = [dk.ConvBlock(4, strides=2), dk.ConvBlock(4, activation=None)]
    with pytest.raises(dk.DefinitionError) as error:
        dk.Residual(body, strides=strides).build((8, 8, 3))
    assert error.value.problem == text
    assert error.value.path == "shortcut"


def test_strides_that_contradict_the_one_known_size():
    with pytest.raises(dk.DefinitionError, match=r"maps \?x8x3 to \?x4x4, which strides of \(1, 1\) do not"):
        dk.Residual(dk.ConvBlock(4, strides=2), strides=1).build((None, 8, 3))


@pytest.mark.parametrize("size", [5, 28])
def test_a_body_without_padding_contradicts_its_strides_at_every_size(size):
    body = dk.ConvBlock(4, conv={"padding": "valid"})
    with pytest.raises(dk.DefinitionError, match=r"which strides of \(1, 1\) do not"):
        dk.Residual(body, strides=1).build((size, size, 4))
    with pytest.raises(dk.DefinitionError, match=r"which strides of \(1, 1\) do not"):
        dk.Residual(body).build((size, size, 4))


@pytest.mark.parametrize("width", [4, 6])
def test_a_residual_passes_the_mask_of_a_sequence_of_unknown_length(width):
    body = layers.LSTM(width, return_sequences=True)
    net = dk.Sequential(
        [layers.Embedding(9, 4, mask_zero=True), dk.Residual(body, strides=1, norm=None), dk.Classifier(2, pool="avg")]
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
    x = random_images(2, 4)
    expected = np.maximum(np.pad(x, [(0, 0), (0, 4)]) + np.asarray(model.get_layer("mlp.dense")(x)), 0)
    np.testing.assert_allclose(model(x), expected, rtol=1e-6)
