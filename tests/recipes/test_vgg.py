"""VGG: weights of every configuration, and the shapes of table 1."""

import pytest
from keras import layers

import deepkit as dk
from recipes.vision import vgg
from tests.recipes.counting import counts, multiply_adds, symbolic

IMAGE = (224, 224, 3)


@pytest.mark.parametrize(
    ("net", "trainable", "num_multiply_adds"),
    [
        (vgg.vgg11, 132_863_336, 7_609_090_048),
        (vgg.vgg13, 133_047_848, 11_308_466_176),
        (vgg.vgg16_1x1, 133_638_952, 11_770_888_192),
        (vgg.vgg16, 138_357_544, None),  # keras.applications, torchvision
        (vgg.vgg19, 143_667_240, None),
    ],
)
def test_counts_of_the_configurations(net, trainable, num_multiply_adds):
    assert counts(net(), IMAGE) == (trainable, trainable)
    if num_multiply_adds is not None:
        assert multiply_adds(net(), IMAGE) == num_multiply_adds


@pytest.mark.parametrize(
    ("net", "shape", "trainable", "total"),
    [
        (vgg.vgg16(include_top=False), IMAGE, 14_714_688, 14_714_688),
        (vgg.vgg19(include_top=False), IMAGE, 20_024_384, 20_024_384),
        (vgg.vgg16(norm="batch"), IMAGE, 138_365_992, 138_374_440),  # torchvision counts the trainable ones
        (vgg.vgg16_cifar(), (32, 32, 3), 14_728_266, 14_736_714),
    ],
)
def test_counts_of_the_variants(net, shape, trainable, total):
    assert counts(net, shape) == (trainable, total)


@pytest.mark.parametrize("depth", vgg.CONFIGURATIONS)
def test_the_name_is_the_number_of_layers_with_weights(depth):
    model = symbolic(vgg.vgg(depth), IMAGE)
    assert sum(bool(layer.weights) for layer in model.layers) == int(str(depth).split("_")[0])
    assert model.name == f"vgg{depth}"
    sizes = [model.get_layer(f"stage{i}.pool").output.shape[1:] for i in range(1, 6)]
    assert sizes == [(112, 112, 64), (56, 56, 128), (28, 28, 256), (14, 14, 512), (7, 7, 512)]


def test_configuration_c_has_1x1_convolutions_in_its_last_three_stages():
    kernels = [c.kernel_size[0] for c in symbolic(vgg.vgg16_1x1(), IMAGE).layers if isinstance(c, layers.Conv2D)]
    assert kernels == [3, 3, 3, 3, 3, 3, 1, 3, 3, 1, 3, 3, 1]


def test_batch_normalization_is_between_convolution_and_activation():
    model = symbolic(vgg.vgg11(norm="batch"), (32, 32, 3))
    kinds = [type(layer).__name__ for layer in model.layers[1:5]]
    assert (kinds, model.name) == (["Conv2D", "BatchNormalization", "Activation", "MaxPooling2D"], "vgg11_bn")


def test_definitions_survive_repr_and_yaml(tmp_path):
    for net in (vgg.vgg16(), vgg.vgg16_1x1(norm="batch", activation="softmax"), vgg.vgg16_cifar()):
        assert eval(repr(net), {"dk": dk, "layers": layers}) == net
        dk.dump(net, tmp_path / "net.yaml")
        assert dk.load(tmp_path / "net.yaml") == net


def test_an_unknown_configuration_raises():
    with pytest.raises(dk.DefinitionError) as error:
        vgg.vgg(12)
    assert str(error.value) == "vgg: depth must be one of 11, 13, '16_1x1', 16, 19, received 12\n  hint: use vgg(16)"


def test_an_image_that_is_too_small_raises():
    with pytest.raises(dk.DefinitionError) as error:
        symbolic(vgg.vgg16(), (28, 28, 3))
    assert error.value.path == "stage5.pool"
    assert str(error.value).startswith('padding="valid" with pool_size=2 needs')
    assert "at least 2x2, received 1x1x512" in str(error.value)
    assert "larger input" in str(error.value)
