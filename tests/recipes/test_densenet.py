"""DenseNet: weights of every network of the paper, and the output of Keras with the same weights."""

import math

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from recipes.vision.densenet import cifar_densenet, densenet, densenet121, densenet161, densenet264
from tests.recipes.counting import size, symbolic

IMAGENET = {  # Huang et al. 2017, table 1: from keras.applications; 264 by the same sum
    121: (7_978_856, 8_062_504),
    169: (14_149_480, 14_307_880),
    201: (20_013_928, 20_242_984),
    264: (33_337_704, 33_736_232),
}
CIFAR = {  # table 2, which rounds to 1.0M, 7.0M, 27.2M, 0.8M, 15.3M and 25.6M
    (40, 12, False): (1_019_722, 1_037_818),
    (100, 12, False): (6_979_642, 7_096_858),
    (100, 24, False): (27_249_082, 27_480_346),
    (100, 12, True): (769_162, 793_150),
    (250, 24, True): (15_324_406, 15_582_382),
    (190, 40, True): (25_624_430, 25_881_390),
}


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)  # building takes a second or more


def depth_of(model):
    return sum(isinstance(layer, layers.Conv2D | layers.Dense) for layer in model.layers)


@pytest.mark.parametrize("depth", [121, slow(169), slow(201), 264])
def test_counts_of_the_networks_for_imagenet(depth):
    model = symbolic(densenet(depth), (224, 224, 3))
    assert (size(model.trainable_weights), size(model.weights)) == IMAGENET[depth]
    assert depth_of(model) == (265 if depth == 264 else depth)  # the blocks of the paper have one more


def test_counts_of_the_widest_network():
    model = symbolic(densenet161(), (224, 224, 3))
    assert (size(model.trainable_weights), depth_of(model)) == (28_681_000, 161)


@pytest.mark.parametrize(("depth", "growth", "bc"), [net if net[0] < 150 else slow(*net) for net in CIFAR])
def test_counts_of_the_networks_for_cifar(depth, growth, bc):
    model = symbolic(cifar_densenet(depth, growth, bc=bc), (32, 32, 3))
    assert (size(model.trainable_weights), size(model.weights)) == CIFAR[depth, growth, bc]
    assert depth_of(model) == depth


def randomize(model, seed=0):
    """Set every weight, including the statistics of normalizations, to random values that keep outputs moderate."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        fan_in = math.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 100
        center = 1.0 if weight.path.endswith(("gamma", "variance")) else 0.0
        values = center + random.normal(scale=1 / math.sqrt(fan_in), size=weight.shape)
        weight.assign(np.abs(values) + 0.1 if weight.path.endswith("variance") else values)


def largest_difference(model, reference, side=64):
    randomize(reference)
    model.set_weights(reference.get_weights())
    x = np.random.default_rng(1).normal(size=(2, side, side, 3)).astype("float32")
    expected = np.asarray(reference(x))
    assert expected.std() > 1e-2  # a small output would be close to anything
    return float(np.abs(np.asarray(model(x)) - expected).max() / np.abs(expected).max())


def keras_densenet(depth, side=64):
    make = getattr(keras.applications, f"DenseNet{depth}")
    return make(weights=None, classes=10, classifier_activation=None, input_shape=(side, side, 3))


def test_output_equals_keras_with_the_same_weights():
    model, reference = densenet121(num_classes=10).build((64, 64, 3)), keras_densenet(121)
    assert model.count_params() == reference.count_params() == size(reference.weights)
    assert largest_difference(model, reference) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("depth", [169, 201])
def test_output_of_the_larger_networks_equals_keras_with_the_same_weights(depth):
    assert largest_difference(densenet(depth, num_classes=10).build((64, 64, 3)), keras_densenet(depth)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "shape"), [(densenet264(), (64, 64, 3)), (cifar_densenet(250, 24, bc=True), (32, 32, 3))]
)
def test_the_deepest_networks_build_and_compute(net, shape):
    y = np.asarray(net.build(shape)(np.ones((1, *shape), "float32")))
    assert y.shape[0] == 1
    assert np.isfinite(y).all()


def test_dropout_follows_every_convolution_except_the_first():
    model = cifar_densenet(16, 4, bc=True, dropout=0.2).build((8, 8, 3))
    kinds = [type(layer) for layer in model.layers if isinstance(layer, layers.Conv2D | layers.Dropout)]
    assert kinds == [layers.Conv2D, *[layers.Conv2D, layers.Dropout] * (2 * 6 + 2)]
    assert {layer.rate for layer in model.layers if isinstance(layer, layers.Dropout)} == {0.2}


def test_definitions_are_values():
    net = cifar_densenet(10, 4, dropout=0.1)
    assert net == cifar_densenet(10, 4, dropout=0.1) != cifar_densenet(10, 4)
    assert dk.from_dict(dk.to_dict(net)) == net
    assert eval(repr(net), {"dk": dk, "layers": layers, "keras": keras}) == net


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: densenet(120),
            "densenet: depth must be one of 121, 161, 169, 201, 264, received 120\n  hint: use densenet(121)",
        ),
        (lambda: densenet("B"), "received 'B'\n  hint: use densenet(121)"),
        (
            lambda: cifar_densenet(41, 12),
            "cifar_densenet: depth must be 4 more than a multiple of 3 (three blocks of layers, a stem, two "
            "transitions and a head), received 41\n  hint: use cifar_densenet(40, 12)",
        ),
        (lambda: cifar_densenet(1, 12), "received 1\n  hint: use cifar_densenet(7, 12)"),
        (lambda: cifar_densenet(102, 12, bc=True), "hint: use cifar_densenet(100, 12, bc=True)"),
        (
            lambda: symbolic(cifar_densenet(10, 4), (3, 3, 3)),
            "at least 2x2, received 1x1x32\n  at    transition2\n",
        ),
    ],
)
def test_errors_have_a_path_and_a_hint(make, text):
    with pytest.raises(dk.DefinitionError) as caught:
        make()
    assert text in str(caught.value)


def test_an_image_that_is_too_small_raises():
    with pytest.raises(dk.DefinitionError, match="at least 2x2, received 1x1x512") as caught:
        symbolic(densenet121(), (28, 28, 3))
    assert caught.value.path == "transition3"
    assert "one fewer pooling step before it" in caught.value.hint
