"""Patterns: textbook networks layer by layer, lists and repeats, names, and the loss."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from deepkit.definition.sequential import as_body
from deepkit.layers import L2Pooling, LocalResponseNormalization
from deepkit.pattern.from_pattern import Pattern, from_pattern

NAMESPACE = {"dk": SimpleNamespace(from_pattern=from_pattern)}
CS231N = "[(CONV-RELU)*N-POOL?]*M-(FC-RELU)*K-SOFTMAX"
ARGUMENTS = {"N": 2, "M": 3, "K": 1, "pool": True, "filters": [32, 64, 128], "units": [256], "num_classes": 10}
ALEXNET = (
    "CONV11x11x96/4v-RELU-LRN-POOL3/2-CONV5x5x256-RELU-LRN-POOL3/2-(CONV3x3x384-RELU)*2-"
    "CONV3x3x256-RELU-POOL3/2-(FC4096-RELU-DROPOUT0.5)*2-FC1000-SOFTMAX"
)


def relu():
    return layers.Activation("relu")


def conv(filters, size=3, **kwargs):
    return [layers.Conv2D(filters, size, **{"padding": "same", **kwargs}), relu()]


def softmax(num_classes):
    return layers.Dense(num_classes, activation="softmax")


def vgg(*blocks):
    """Simonyan & Zisserman's network from the filters of its convolutions."""
    body = [layer for block in blocks for layer in [*(x for n in block for x in conv(n)), layers.MaxPooling2D(2)]]
    dense = [layer for _ in range(2) for layer in (layers.Dense(4096), relu())]
    return [*body, layers.Flatten(), *dense, softmax(1000)]


def vgg_text(*counts):
    widths = (64, 128, 256, 512, 512)
    body = "-".join(f"(CONV3x3x{width}-RELU)*{n}-POOL" for width, n in zip(widths, counts, strict=True))
    return f"{body}-(FC4096-RELU)*2-FC1000-SOFTMAX"


def vgg_blocks(*counts):
    return [[width] * n for width, n in zip((64, 128, 256, 512, 512), counts, strict=True)]


# name: pattern, arguments, input shape, the same layers in Keras, parameters
TEXTBOOK = {
    # LeCun et al. 1998 in its modern form: padded input, fully connected C3, softmax
    "lenet": (
        "CONV5x5x6-TANH-AVGPOOL-CONV5x5x16v-TANH-AVGPOOL-(FC-TANH)*2-FC10-SOFTMAX",
        {"units": [120, 84]},
        (28, 28, 1),
        lambda: [
            *(layers.Conv2D(6, 5, padding="same"), layers.Activation("tanh"), layers.AveragePooling2D(2)),
            *(layers.Conv2D(16, 5), layers.Activation("tanh"), layers.AveragePooling2D(2), layers.Flatten()),
            *(layers.Dense(120), layers.Activation("tanh"), layers.Dense(84), layers.Activation("tanh"), softmax(10)),
        ],
        61_706,
    ),
    # Caffe's LeNet, examples/mnist/lenet.prototxt
    "caffe_lenet": (
        "CONV5x5x20v-POOL-CONV5x5x50v-POOL-FC500-RELU-SOFTMAX10",
        {},
        (28, 28, 1),
        lambda: [
            *(layers.Conv2D(20, 5), layers.MaxPooling2D(2), layers.Conv2D(50, 5), layers.MaxPooling2D(2)),
            *(layers.Flatten(), layers.Dense(500), relu(), softmax(10)),
        ],
        431_080,
    ),
    # keras.io, "Simple MNIST convnet"
    "keras_mnist": (
        "CONV32v-RELU-POOL-CONV64v-RELU-POOL-FLATTEN-DROPOUT0.5-SOFTMAX",
        {"num_classes": 10},
        (28, 28, 1),
        lambda: [
            *(*conv(32, padding="valid"), layers.MaxPooling2D(2), *conv(64, padding="valid"), layers.MaxPooling2D(2)),
            *(layers.Flatten(), layers.Dropout(0.5), softmax(10)),
        ],
        34_826,
    ),
    # cs231n, "Convolutional Networks: layer patterns"
    "cs231n": (
        CS231N,
        ARGUMENTS,
        (32, 32, 3),
        lambda: [
            *(layer for n in (32, 64, 128) for layer in [*conv(n), *conv(n), layers.MaxPooling2D(2)]),
            *(layers.Flatten(), layers.Dense(256), relu(), softmax(10)),
        ],
        814_122,
    ),
    # cs231n, the same section: INPUT -> FC, a linear classifier, N = M = K = 0
    "cs231n_linear": (
        "INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC",
        {"N": 0, "M": 0, "K": 0, "num_classes": 10},
        (32, 32, 3),
        lambda: [layers.Flatten(), layers.Dense(10)],
        30_730,
    ),
    # ConvNetJS's CIFAR-10 demo, demo/cifar10.html
    "convnetjs": (
        "CONV5x5x16-RELU-POOL, (CONV5x5x20-RELU-POOL)*2, SOFTMAX10",
        {},
        (32, 32, 3),
        lambda: [
            *(layer for n in (16, 20, 20) for layer in [*conv(n, 5), layers.MaxPooling2D(2)]),
            *(layers.Flatten(), softmax(10)),
        ],
        22_466,
    ),
    # Krizhevsky et al. 2012 as one tower without groups; the paper's two towers have 60,965,224
    "alexnet": (
        ALEXNET,
        {},
        (227, 227, 3),
        lambda: [
            *(*conv(96, 11, strides=4, padding="valid"), LocalResponseNormalization(), layers.MaxPooling2D(3, 2)),
            *(*conv(256, 5), LocalResponseNormalization(), layers.MaxPooling2D(3, 2)),
            *(*conv(384), *conv(384), *conv(256), layers.MaxPooling2D(3, 2), layers.Flatten()),
            *(layer for _ in range(2) for layer in (layers.Dense(4096), relu(), layers.Dropout(0.5))),
            softmax(1000),
        ],
        62_378_344,
    ),
    # Simonyan & Zisserman 2014, table 1: A, B, D and E
    "vgg11": (vgg_text(1, 1, 2, 2, 2), {}, (224, 224, 3), lambda: vgg(*vgg_blocks(1, 1, 2, 2, 2)), 132_863_336),
    "vgg13": (vgg_text(2, 2, 2, 2, 2), {}, (224, 224, 3), lambda: vgg(*vgg_blocks(2, 2, 2, 2, 2)), 133_047_848),
    "vgg16": (vgg_text(2, 2, 3, 3, 3), {}, (224, 224, 3), lambda: vgg(*vgg_blocks(2, 2, 3, 3, 3)), 138_357_544),
    "vgg19": (vgg_text(2, 2, 4, 4, 4), {}, (224, 224, 3), lambda: vgg(*vgg_blocks(2, 2, 4, 4, 4)), 143_667_240),
    # LeCun et al. 1998: the input is a vector
    "mlp": (
        "(FC-RELU)*2-SOFTMAX10",
        {"units": [300, 100]},
        (784,),
        lambda: [layers.Dense(300), relu(), layers.Dense(100), relu(), softmax(10)],
        266_610,
    ),
}


def configs(model):
    """Return the class and the config, without the name, of each layer."""
    result = []
    for layer in model.layers:
        if not isinstance(layer, layers.InputLayer):
            config = layer.get_config()
            result.append((type(layer), {key: value for key, value in config.items() if key != "name"}))
    return result


@pytest.mark.parametrize("name", TEXTBOOK)
def test_a_textbook_network_has_the_layers_of_the_keras_model(name):
    text, arguments, shape, keras_layers, num_parameters = TEXTBOOK[name]
    with keras.StatelessScope(initialize_variables=False):  # creates no weights: VGG has 138 million
        model = from_pattern(text, **arguments).build(shape)
        expected = keras.Sequential([keras.Input(shape), *keras_layers()])
        assert configs(model) == configs(expected)
        assert model.count_params() == expected.count_params() == num_parameters


def test_outputs_equal_those_of_the_keras_model_with_the_same_weights():
    text, arguments, shape, keras_layers, _ = TEXTBOOK["convnetjs"]
    model = from_pattern(text, **arguments).build(shape)
    expected = keras.Sequential([keras.Input(shape), *keras_layers()])
    expected.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    np.testing.assert_array_equal(model(x), expected(x))


PLAIN_ACTIVATIONS = ("RELU", "ELU", "SELU", "GELU", "SILU", "MISH", "SIGMOID", "TANH", "SOFTPLUS", "SOFTSIGN")
ONE_LAYER = [
    ("CONV64", {}, layers.Conv2D(64, 3, padding="same", name="conv")),
    ("CONV64v", {}, layers.Conv2D(64, 3, name="conv")),
    ("CONV", {"filters": 8, "kernel_size": 5}, layers.Conv2D(8, 5, padding="same", name="conv")),
    ("CONV8/2", {"kernel_size": 1}, layers.Conv2D(8, 1, strides=2, padding="same", name="conv")),
    ("CONV1x7x64/2s", {}, layers.Conv2D(64, (1, 7), strides=2, padding="same", name="conv")),
    ("POOL", {}, layers.MaxPooling2D(2, name="pool")),
    ("POOLs", {}, layers.MaxPooling2D(2, padding="same", name="pool")),
    ("POOL3/2", {}, layers.MaxPooling2D(3, 2, name="pool")),
    ("POOL3x2", {}, layers.MaxPooling2D((3, 2), name="pool")),
    ("MAXPOOL3v", {}, layers.MaxPooling2D(3, name="maxpool")),
    ("AVGPOOL3/1s", {}, layers.AveragePooling2D(3, 1, padding="same", name="avgpool")),
    ("L2POOL", {}, L2Pooling((2, 2), name="l2pool")),
    ("L2POOL3/2", {}, L2Pooling((3, 3), strides=2, name="l2pool")),
    ("GAP", {}, layers.GlobalAveragePooling2D(name="gap")),
    ("BN", {}, layers.BatchNormalization(momentum=0.9, name="bn")),
    ("LRN", {}, LocalResponseNormalization(depth_radius=2, bias=2.0, alpha=1e-4, beta=0.75, name="lrn")),
    ("DROPOUT.25", {}, layers.Dropout(0.25, name="dropout")),
    ("DROPOUT", {"rate": 0.5}, layers.Dropout(0.5, name="dropout")),
    ("FLATTEN", {}, layers.Flatten(name="flatten")),
    ("RELU6", {}, layers.Activation("relu6", name="relu6")),
    ("SWISH", {}, layers.Activation("silu", name="swish")),
    ("LEAKYRELU", {}, layers.LeakyReLU(name="leakyrelu")),
    ("LEAKYRELU0.1", {}, layers.LeakyReLU(0.1, name="leakyrelu")),
    *((kind, {}, layers.Activation(kind.lower(), name=kind.lower())) for kind in PLAIN_ACTIVATIONS),
    ("FC8-RELU", {}, [dk.MLP([8], activation=None, name="fc"), layers.Activation("relu", name="relu")]),
    ("FC8", {}, dk.Classifier(8, name="fc")),
    ("FC", {"num_classes": 8}, dk.Classifier(8, name="fc")),
    ("FC8-SOFTMAX", {}, dk.Classifier(8, activation="softmax", name="fc")),
    ("FC-SOFTMAX", {"num_classes": 8}, dk.Classifier(8, activation="softmax", name="fc")),
    ("SOFTMAX8", {}, dk.Classifier(8, activation="softmax", name="softmax")),
    (
        "FC4*2-SOFTMAX",
        {},
        [dk.MLP([4], activation=None, name="fc1"), dk.Classifier(4, activation="softmax", name="fc2")],
    ),
    (
        "FC4-SIGMOID-RELU",
        {},
        [
            dk.MLP([4], activation=None, name="fc"),
            *(layers.Activation(name, name=name) for name in ("sigmoid", "relu")),
        ],
    ),
    ("FC1-SIGMOID", {}, dk.Classifier(1, activation="sigmoid", name="fc")),
    ("INPUT8x8x3-RELU", {}, [dk.Input((8, 8, 3)), layers.Activation("relu", name="relu")]),
]


@pytest.mark.parametrize(("text", "arguments", "expected"), ONE_LAYER, ids=[text for text, _, _ in ONE_LAYER])
def test_the_layer_of_an_atom(text, arguments, expected):
    assert from_pattern(text, **arguments).layers == as_body(expected, "expected")


@pytest.mark.parametrize(
    "text",
    [
        "(CONV4-RELU)*2-POOL",
        "[CONV4-RELU]*2,POOL",
        "( CONV4 -> RELU ) * 2 -> POOL",
        "(CONV4 - RELU)*2 -\n   POOL\n",
        "CONV3x3x4s-RELU-(CONV4-RELU)-POOL2/2v",
        "((CONV4*N-RELU)*2-POOL)*N",
    ],
)
def test_equivalent_notations(text):
    arguments = {"N": 1} if "*N" in text else {}
    net, plain = from_pattern(text, **arguments), from_pattern("CONV4-RELU-CONV4-RELU-POOL")
    assert configs(net.build((8, 8, 1))) == configs(plain.build((8, 8, 1)))


def names(text, shape=(16, 16, 3), **arguments):
    return [layer.name for layer in from_pattern(text, **arguments).build(shape).layers[1:]]


def test_layers_are_named_after_their_kind_and_nested_repeats_are_stages():
    assert names("(CONV4-RELU)*2-POOL-FC8-RELU-SOFTMAX2") == [
        *("conv1", "relu1", "conv2", "relu2", "pool", "fc.flatten", "fc.dense", "relu3", "softmax.dense"),
    ]
    assert names("[(CONV-RELU)*N-POOL]*2-GAP-FC2", N=2, filters=[4, 8]) == [
        *("stage1.conv1", "stage1.relu1", "stage1.conv2", "stage1.relu2", "stage1.pool"),
        *("stage2.conv1", "stage2.relu1", "stage2.conv2", "stage2.relu2", "stage2.pool"),
        *("gap", "fc.dense"),
    ]
    assert names("[[CONV4*1-RELU]*2]*1-[RELU*2]*2") == [
        *("stage1.stage1.conv", "stage1.stage1.relu", "stage1.stage2.conv", "stage1.stage2.relu"),
        *("stage2.relu1", "stage2.relu2", "stage3.relu1", "stage3.relu2"),
    ]


def test_a_sequential_of_its_layers_is_the_same_network():
    net = from_pattern(CS231N, **ARGUMENTS)
    sequential, pattern = dk.Sequential(net.layers).build((16, 16, 3)), net.build((16, 16, 3))
    assert configs(sequential) == configs(pattern)
    assert [w.path for w in sequential.weights] == [w.path for w in pattern.weights]


def filters(text, **arguments):
    model = from_pattern(text, **arguments).build((8, 8, 1))
    return [layer.filters for layer in model.layers if isinstance(layer, layers.Conv2D)]


def test_a_list_belongs_to_the_outermost_repeat_of_its_length():
    nested = "[CONV*N]*M"
    assert filters(nested, N=2, M=3, filters=[1, 2, 3]) == [1, 1, 2, 2, 3, 3]
    assert filters(nested, N=2, M=3, filters=[1, 2]) == [1, 2, 1, 2, 1, 2]
    assert filters(nested, N=2, M=2, filters=[1, 2]) == [1, 1, 2, 2]
    assert filters(nested, N=2, M=3, filters=5) == [5] * 6
    assert filters("CONV7-[(CONV-RELU)*2]*1", filters=[4]) == [7, 4, 4]
    sizes = from_pattern("CONV*2", filters=[1, 2], kernel_size=[5, 3]).build((8, 8, 1))
    assert [layer.kernel_size for layer in sizes.layers[1:]] == [(5, 5), (3, 3)]


def test_an_argument_decides_whether_an_optional_item_is_built():
    text = "(CONV4-BN?-(RELU-DROPOUT)?-POOL?)*2"
    others = {"relu": False, "pool": [True, False]}
    assert names(text, bn=True, **others) == ["conv1", "bn1", "pool", "conv2", "bn2"]
    assert names(text, bn=False, **others) == ["conv1", "pool", "conv2"]
    assert names("CONV4-POOL*2?", pool=True) == ["conv", "pool1", "pool2"]
    assert names("CONV4-POOL*2?", pool=False) == ["conv"]


def test_arguments_of_items_that_are_left_out_are_optional():
    assert names("(CONV-DROPOUT?)*N-RELU", N=0) == ["relu"]
    assert names("(CONV-DROPOUT?)*N-RELU", N=0, filters=[8, 9], kernel_size=5, dropout=True, rate=0.5) == ["relu"]
    assert names("FC*K-SOFTMAX", K=0, units=[1, 2], num_classes=2) == ["softmax.flatten", "softmax.dense"]


def test_an_input_in_the_text_sets_the_input_shape():
    net = from_pattern("INPUT8x8x3 -> CONV4 -> RELU")
    assert net.build().input_shape == (None, 8, 8, 3)
    assert net.build((8, 8, 3)).output_shape == (None, 8, 8, 4)
    assert from_pattern("INPUT-CONV4").input_spec() is None


def test_patterns_compare_by_value():
    net = from_pattern(CS231N, **ARGUMENTS)
    assert net == from_pattern(CS231N, **dict(reversed(ARGUMENTS.items()))) == Pattern(CS231N, net.arguments)
    assert hash(net) == hash(from_pattern(CS231N, **{**ARGUMENTS, "filters": (32, 64, 128)}))
    assert net != from_pattern(CS231N, **{**ARGUMENTS, "N": 1})
    assert net != from_pattern(CS231N, **ARGUMENTS, name="net")
    assert net != from_pattern(CS231N.replace("-", ","), **ARGUMENTS)


def test_repr_is_the_call_that_creates_it():
    net = from_pattern("(FC-RELU)*N-SOFTMAX", units=[8, 4], num_classes=3, N=2, name="small")
    expected = 'dk.from_pattern("(FC-RELU)*N-SOFTMAX", N=2, num_classes=3, units=[8, 4], name="small")'
    assert repr(net) == expected
    assert eval(repr(net), NAMESPACE) == net
    assert net.build((5,)).name == "small"


def test_a_pattern_is_an_element_like_any_other_block():
    net = dk.Sequential(
        [from_pattern("(CONV4-RELU)*2-POOL"), dk.Residual(from_pattern("CONV4-RELU")), dk.Classifier(2)]
    )
    assert [layer.name for layer in net.build((8, 8, 1)).layers[1:4]] == [
        "pattern.conv1",
        "pattern.relu1",
        "pattern.conv2",
    ]
    output = from_pattern("CONV4-RELU", name="body")(keras.Input((8, 8, 1)))
    assert output.shape == (None, 8, 8, 4)


@pytest.mark.parametrize(
    ("text", "loss", "from_logits"),
    [
        ("FC8-RELU-FC3-SOFTMAX", keras.losses.SparseCategoricalCrossentropy, False),
        ("FC8-RELU-SOFTMAX3", keras.losses.SparseCategoricalCrossentropy, False),
        ("FC8-RELU-FC3", keras.losses.SparseCategoricalCrossentropy, True),
        ("[(FC8-RELU)*1-FC3]*2", keras.losses.SparseCategoricalCrossentropy, True),
        ("FC8-RELU-FC1-SIGMOID", keras.losses.BinaryCrossentropy, False),
    ],
)
def test_a_dense_layer_at_the_end_is_a_classifier(text, loss, from_logits):
    net = from_pattern(text)
    objective = net.objective((None, 3), (None,))
    assert type(objective.loss) is loss
    assert objective.loss.get_config()["from_logits"] is from_logits
    assert [metric.name for metric in objective.metrics] == ["accuracy"]
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert net.build((5,)).output.dtype == "float32"


def test_other_last_layers_have_no_objective():
    assert from_pattern("CONV4-RELU").objective((None, 8, 8, 4), (None,)) is None
    assert from_pattern("FC4-SIGMOID-RELU").objective((None, 4), (None,)) is None


def test_fit_uses_its_loss_and_metrics():
    x = np.random.default_rng(0).normal(size=(16, 4, 4, 1)).astype("float32")
    run = dk.fit(from_pattern("CONV2-RELU-SOFTMAX2"), (x, np.arange(16) % 2), epochs=1, verbose=0)
    assert set(run.history) == {"loss", "accuracy"}


def test_channels_first():
    keras.config.set_image_data_format("channels_first")
    try:
        model = from_pattern("CONV4-BN-LRN-L2POOL-GAP-FC8-BN-RELU-FC2").build((3, 8, 8))
    finally:
        keras.config.set_image_data_format("channels_last")
    assert [layer.gamma.shape for layer in model.layers if isinstance(layer, layers.BatchNormalization)] == [(4,), (8,)]
