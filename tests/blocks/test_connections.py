"""Bottlenecks, dense connections and highways: their equations, and the parameter counts of their papers."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk

PRE_ACTIVATION = "norm-activation-conv"
HEAD = (layers.BatchNormalization(), layers.ReLU(), dk.Classifier(10, pool="avg"))


def random_array(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def num_trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def stem(filters):
    return dk.ConvBlock(filters, norm=None, activation=None, conv={"use_bias": False})


def resnet164_preactivated():
    stages = [(16, 1), (32, 2), (64, 2)]
    units = [
        dk.Bottleneck(filters, strides=strides if not i else 1, order=PRE_ACTIVATION)
        for filters, strides in stages
        for i in range(18)
    ]
    return dk.Sequential([stem(16), *units, *HEAD])


def densenet(per_stage, growth, first, *, bottleneck, compression):
    layer = dk.ConvBlock(growth, order=PRE_ACTIVATION)
    body = [dk.ConvBlock(4 * growth, kernel_size=1, order=PRE_ACTIVATION), layer] if bottleneck else layer
    stage, transition = dk.DenselyConnected(body, num_repeats=per_stage), dk.Transition(compression=compression)
    return dk.Sequential([stem(first), stage, transition, stage, transition, stage, *HEAD])


def test_preactivated_resnet_164_has_its_parameter_count():
    model = resnet164_preactivated().build((32, 32, 3))
    assert (num_trainable(model), model.count_params()) == (1_703_258, 1_727_482)


@pytest.mark.parametrize(
    ("net", "counts"),
    [
        (densenet(12, 12, 16, bottleneck=False, compression=1.0), (1_019_722, 1_037_818)),
        (densenet(16, 12, 24, bottleneck=True, compression=0.5), (769_162, 793_150)),
    ],
    ids=["L40", "BC L100"],
)
def test_densenet_has_its_parameter_count(net, counts):
    model = net.build((32, 32, 3))
    assert (num_trainable(model), model.count_params()) == counts


@pytest.mark.parametrize(("num_repeats", "count"), [(9, 85_660), (19, 136_660)])
def test_a_highway_network_has_its_parameter_count(num_repeats, count):
    net = dk.Sequential([dk.MLP([50]), dk.Repeat(dk.Highway(), num_repeats=num_repeats), dk.Classifier(10)])
    assert net.build((28, 28, 1)).count_params() == count


def test_a_bottleneck_equals_a_residual_of_three_convolutions():
    short = dk.Bottleneck(4, strides=2, conv={"kernel_initializer": "he_normal", "groups": 2})
    he = {"kernel_initializer": "he_normal"}
    body = [
        dk.ConvBlock(4, kernel_size=1, conv=he),
        dk.ConvBlock(4, strides=2, conv=he | {"groups": 2}),
        dk.ConvBlock(16, kernel_size=1, activation=None, conv=he),
    ]
    long = dk.Residual(body, conv=he)
    assert configs(short.build((8, 8, 6))) == configs(long.build((8, 8, 6)))


def test_a_preactivated_bottleneck_ends_with_the_addition():
    model = dk.Bottleneck(2, order=PRE_ACTIVATION).build((8, 8, 3))
    assert model.layers[-1].name == "add"
    assert not [layer.name for layer in model.layers if layer.name == "shortcut.norm"]


@pytest.mark.parametrize(("order", "first"), [(PRE_ACTIVATION, "activation"), ("activation-norm-conv", "norm")])
def test_a_preactivated_projection_has_the_input_of_the_first_convolution(order, first):
    model = dk.Bottleneck(2, strides=2, order=order, conv={"kernel_initializer": "he_normal"}).build((8, 8, 3))
    expected = model.get_layer(first).output
    for name in ("shortcut.conv", "conv_block1.conv"):
        assert model.get_layer(name).input is expected
        assert type(model.get_layer(name).kernel_initializer) is keras.initializers.HeNormal
    assert [layer.name for layer in model.layers[-3:]] == ["shortcut.conv", "conv_block3.conv", "add"]


def test_a_preactivated_unit_that_ends_in_its_norm():
    model = dk.Bottleneck(2, order="activation-conv-norm").build((8, 8, 3))
    assert model.get_layer("shortcut.conv").input is model.get_layer("activation").output
    assert "conv_block3.norm" in [layer.name for layer in model.layers]
    assert "conv_block3.activation" not in [layer.name for layer in model.layers]


def configs(model):
    return [(layer.name, layer.get_config()) for layer in model.layers[1:]]


def test_each_densely_connected_layer_receives_all_outputs_before_it():
    model = dk.DenselyConnected(dk.ConvBlock(2, norm=None, activation=None), num_repeats=3).build((5, 5, 3))
    x = random_array(2, 5, 5, 3)
    features = x
    for i in (1, 2, 3):
        features = np.concatenate([features, model.get_layer(f"conv_block{i}.conv")(features)], axis=-1)
    np.testing.assert_allclose(model(x), features, rtol=1e-6)


def test_densely_connected_bodies_of_several_layers_are_numbered_as_one():
    names = [
        layer.name
        for layer in dk.DenselyConnected([dk.ConvBlock(2), dk.ConvBlock(2)], num_repeats=2).build((5, 5, 3)).layers
    ]
    assert "sequential2.conv_block1.conv" in names
    assert "concat2" in names


@pytest.mark.parametrize(
    ("channels", "compression", "expected"), [(7, 0.5, 3), (100, 0.29, 29), (6, 1.0, 6), (6, 1, 6)]
)
def test_a_transition_rounds_the_number_of_channels_down(channels, compression, expected):
    assert dk.Transition(compression=compression).build((8, 8, channels)).output_shape == (None, 4, 4, expected)


def test_a_highway_equals_its_equation():
    model = dk.Highway(activation="tanh").build((4,))
    x = random_array(3, 4)
    transform, gate = model.get_layer("transform"), model.get_layer("gate")
    h, t = np.tanh(np.asarray(transform(x))), np.asarray(gate(x))
    np.testing.assert_allclose(model(x), t * h + (1 - t) * x, rtol=1e-5, atol=1e-6)


def test_a_highway_is_initially_near_the_identity():
    model = dk.Repeat(dk.Highway(transform_bias=-20.0), num_repeats=10).build((6, 6, 2))
    x = random_array(2, 6, 6, 2)
    np.testing.assert_allclose(model(x), x, atol=1e-4)
    assert float(dk.Highway().build((3,)).get_layer("gate").bias[0]) == -2.0


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: dk.Highway(dk.MLP([3])).build((4,)),
            "the transform maps 4 to 3, but a highway keeps the shape\n"
            "  in    dk.Highway(dk.MLP([3]))\n"
            "  hint: add a layer before the highway that changes the width",
        ),
        (lambda: dk.Highway(transform_bias="low"), "Highway: transform_bias must be a number, received 'low'"),
        (
            lambda: dk.Highway(gate={"use_bias": False}),
            "'use_bias' is set by the block\n  hint: pass use_bias= to the block if it takes it, or leave it out",
        ),
        (lambda: dk.Highway(transform_bias=float("nan")), "Highway: transform_bias must be a number, received nan"),
        (
            lambda: dk.ConvBlock(4, conv={"data_format": "channels_first"}),
            "ConvBlock(conv=...): the data format is set for the whole model, received data_format='channels_first'\n"
            '  hint: use keras.config.set_image_data_format("channels_first")',
        ),
        (
            lambda: dk.Transition(compression=0),
            "Transition: compression must be a number above 0 and at most 1, received 0",
        ),
        (lambda: dk.Transition(compression=0.1).build((8, 8, 5)), "compression=0.1 keeps none of 5 channels"),
        (
            lambda: dk.Transition(pool="sum"),
            "Transition: pool must be one of 'max', 'avg', 'l2', None, received 'sum'\n"
            "  hint: use a layer such as layers.MaxPooling2D(3, 2) for any other",
        ),
        (
            lambda: dk.DenselyConnected(dk.ConvBlock(2, strides=2), num_repeats=2).build((8, 8, 3)),
            "expected tensors of the same sizes except for the channels, received [8x8x3, 4x4x2]\n"
            "  in    dk.DenselyConnected(dk.ConvBlock(2, strides=2), num_repeats=2)\n"
            '  hint: use padding="same" and the same strides everywhere',
        ),
        (
            lambda: dk.DenselyConnected(dk.ConvBlock(2), num_repeats=10**9),
            "DenselyConnected: num_repeats must be at most 10,000, received 1000000000",
        ),
        (lambda: dk.Bottleneck(0), "Bottleneck: filters must be a positive integer, received 0"),
        (lambda: dk.Bottleneck(4, order="conv"), "Bottleneck: order must be one of 'conv-norm-activation',"),
        (
            lambda: dk.Bottleneck(4, conv={"groups": 3}).build((8, 8, 4)),
            "The number of filters must be evenly divisible by the number of groups. Received: groups=3, filters=4.\n"
            "  at    conv_block2\n",
        ),
    ],
)
def test_errors(make, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        make()
    assert text in str(caught.value)


@pytest.mark.parametrize("block", [dk.Transition(), dk.Highway(), dk.DenselyConnected(dk.ConvBlock(2), num_repeats=2)])
def test_channels_first_has_the_same_weights(block):
    last = block.build((6, 6, 4))
    keras.config.set_image_data_format("channels_first")
    try:
        first = block.build((4, 6, 6))
    finally:
        keras.config.set_image_data_format("channels_last")
    assert [w.shape for w in first.weights] == [w.shape for w in last.weights]
    assert first.output_shape[1] == last.output_shape[-1]


def test_a_highway_over_single_steps_passes_a_mask():
    net = dk.Sequential(
        [layers.Embedding(9, 4, mask_zero=True), dk.Highway(kernel_size=1), dk.Classifier(2, pool="avg")]
    )
    model = net.build((None,))
    short = np.array([[1, 2, 3]])
    np.testing.assert_allclose(model(np.pad(short, [(0, 0), (0, 2)])), model(short), atol=1e-6)


def test_too_many_nested_repetitions_raise_an_error():
    inner = dk.DenselyConnected(layers.Activation("relu"), num_repeats=2)
    net = dk.Repeat(dk.Repeat(dk.Sequential([]), num_repeats=1000), num_repeats=1000)
    assert inner.build((4,)).output_shape == (None, 16)
    with pytest.raises(dk.DefinitionError, match="the model has more than 100,000 blocks"):
        net.build((4,))
