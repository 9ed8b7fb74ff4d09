"""Highway networks: the weights of the papers, and initial values."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from recipes.vision.highway import cifar_highway, highway, mnist_highway, plain
from tests.recipes.counting import counts, symbolic

# depth: weights of the highway network with 50 units, and of its plain counterpart with 71
MNIST = {10: (85_660, 102_463), 20: (136_660, 153_583), 50: (289_660, 306_943), 100: (544_660, 562_543)}


def count(net, shape):
    """Return the number of weights."""
    return counts(net, shape)[1]


@pytest.mark.parametrize("depth", MNIST)
def test_counts_of_the_fully_connected_networks(depth):
    assert (count(highway(depth), (28, 28, 1)), count(plain(depth), (28, 28, 1))) == MNIST[depth]


@pytest.mark.parametrize(
    ("net", "shape", "expected", "step"),
    [  # "Training Very Deep Networks", table 1 in thousands; table 2 rounded
        (mnist_highway(16), (28, 28, 1), 39_000, 1_000),
        (mnist_highway(32), (28, 28, 1), 151_000, 1_000),
        (cifar_highway(11), (32, 32, 3), 236_000, 1_000),
        (cifar_highway(19), (32, 32, 3), 2_300_000, 100_000),
    ],
)
def test_convolutional_networks_have_about_the_weights_of_the_paper(net, shape, expected, step):
    assert abs(count(net, shape) - expected) < step


def test_exact_counts_of_the_convolutional_networks():
    mnist_and_cifar = [count(mnist_highway(16), (28, 28, 1)), count(cifar_highway(11), (32, 32, 3))]
    assert [*mnist_and_cifar, count(cifar_highway(19), (32, 32, 3))] == [38_730, 236_714, 2_308_810]


@pytest.mark.parametrize(("net", "depth"), [(cifar_highway(11), 11), (cifar_highway(19), 19)])
def test_the_depth_is_the_number_of_layers_with_weights(net, depth):
    model = symbolic(net, (32, 32, 3))
    kinds = [layer for layer in model.layers if isinstance(layer, layers.Conv2D | layers.Dense)]
    assert sum(not layer.name.endswith("gate") for layer in kinds) == depth


def test_a_highway_network_with_closed_gates_equals_its_first_layer():
    model = highway(20, transform_bias=-30.0).build((6,))
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    first = keras.ops.relu(model.get_layer("mlp.dense")(x))
    np.testing.assert_allclose(model(x), model.get_layer("classifier.dense")(first), rtol=1e-5, atol=1e-6)


def test_initial_biases_of_the_gates_are_those_of_the_paper():
    model = highway(3).build((6,))
    biases = [layer.bias.numpy() for layer in model.layers if layer.name.endswith("gate")]
    assert len(biases) == 2
    np.testing.assert_array_equal(biases, np.full((2, 50), -2.0))


def test_definitions_are_values():
    for net in (highway(10), plain(10), mnist_highway(16), cifar_highway(11)):
        assert eval(repr(net), {"dk": dk, "layers": layers, "keras": keras}) == net
        assert dk.from_dict(dk.to_dict(net)) == net


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: highway(1),
            "highway: depth must be an integer of at least 2, received 1\n  hint: use highway(10)",
        ),
        (lambda: plain("10"), "plain: depth must be a positive integer, received '10'\n  hint: use plain(10)"),
        (
            lambda: cifar_highway(12),
            "cifar_highway: depth must be 11 or 19, received 12\n  hint: use cifar_highway(19)",
        ),
        (
            lambda: cifar_highway(11).build((3, 3, 3)),
            'at least 2x2, received 1x1x32\n  at    pool2\n  in    layers.MaxPooling2D(name="pool2")\n  hint: ',
        ),
    ],
)
def test_errors_have_a_path_and_a_hint(make, text):
    with pytest.raises(dk.DefinitionError) as caught:
        make()
    assert text in str(caught.value)
