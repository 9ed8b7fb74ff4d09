"""Residual networks: the weights of the papers, the layouts of Keras, and a short training."""

import numpy as np
import pytest
from keras import layers

import deepkit as dk
from recipes.vision import resnet, resnet_in_keras
from tests.recipes.counting import counts, symbolic


@pytest.mark.parametrize(
    ("depth", "trainable", "total"),
    [  # as in torchvision; as Keras counts, with the statistics of the normalizations
        (18, 11_689_512, 11_699_112),
        (34, 21_797_672, 21_814_696),
        (50, 25_557_032, 25_610_152),
        (101, 44_549_160, 44_654_504),
        (152, 60_192_808, 60_344_232),
    ],
)
def test_counts_of_the_networks_of_table_1(depth, trainable, total):
    assert counts(resnet.resnet(depth), (224, 224, 3)) == (trainable, total)


@pytest.mark.parametrize(
    ("definition", "trainable", "total"),
    [
        (resnet.cifar_resnet(8), 75_290, 75_770),
        (resnet.cifar_resnet(20), 269_722, 271_098),
        (resnet.cifar_plain(20), 269_722, 271_098),
        (resnet.cifar_resnet(20, shortcut="auto"), 272_474, 274_042),
        (resnet.cifar_resnet(32), 464_154, 466_426),
        (resnet.cifar_resnet(44), 658_586, 661_754),
        (resnet.cifar_resnet(56), 853_018, 857_082),
        (resnet.cifar_resnet(110), 1_727_962, 1_736_058),
        (resnet.preactivated(164), 1_703_258, 1_727_482),
    ],
    ids=lambda value: value.name if isinstance(value, dk.Block) else "",
)
def test_counts_of_the_networks_for_cifar(definition, trainable, total):
    assert counts(definition, (32, 32, 3)) == (trainable, total)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("definition", "trainable", "total"),
    [
        (resnet.cifar_resnet(1202), 19_421_274, 19_510_906),
        (resnet.cifar_plain(1202), 19_421_274, 19_510_906),
        (resnet.preactivated(1001), 10_327_706, 10_476_922),
    ],
    ids=lambda value: value.name if isinstance(value, dk.Block) else "",
)
def test_counts_of_the_networks_with_a_thousand_layers(definition, trainable, total):
    assert counts(definition, (32, 32, 3)) == (trainable, total)


@pytest.mark.slow
def test_a_network_of_a_thousand_layers_computes():
    model = resnet.preactivated(1001).build((32, 32, 3))
    assert np.isfinite(model(np.zeros((1, 32, 32, 3), "float32")).numpy()).all()


def test_option_a_adds_no_weights_to_the_plain_network_but_computes_another_function():
    plain, residual = resnet.cifar_plain(8).build((32, 32, 3)), resnet.cifar_resnet(8).build((32, 32, 3))
    residual.set_weights(plain.get_weights())
    x = np.random.default_rng(0).random((2, 32, 32, 3)).astype("float32")
    assert np.abs(plain(x) - residual(x)).max() > 1e-3


def test_the_stages_have_the_shapes_of_table_1():
    model = symbolic(resnet.resnet50(), (224, 224, 3))
    last_layers = [layer for layer in model.layers if layer.name.endswith(".activation") and "residual" in layer.name]
    sizes = {layer.name.split(".")[0]: layer.output.shape[1:] for layer in last_layers if layer.name.count(".") == 2}
    assert sizes == {
        "stage1": (56, 56, 256),
        "stage2": (28, 28, 512),
        "stage3": (14, 14, 1024),
        "stage4": (7, 7, 2048),
    }


@pytest.mark.parametrize(
    ("make", "total"),
    [
        (lambda: resnet_in_keras.version1(50), 25_636_712),
        (lambda: resnet_in_keras.version1(101), 44_707_176),
        (lambda: resnet_in_keras.version1(152), 60_419_944),
        (lambda: resnet_in_keras.version2(50), 25_613_800),
        (lambda: resnet_in_keras.version2(101), 44_675_560),
        (lambda: resnet_in_keras.version2(152), 60_380_648),
    ],
)
def test_counts_of_the_layouts_of_keras(make, total):
    assert counts(make(), (224, 224, 3))[1] == total


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: resnet.resnet(51), "resnet: depth must be one of 18, 34, 50, 101, 152, received 51"),
        (
            lambda: resnet.cifar_resnet(22),
            r"must be 6n\+2 in a network for CIFAR, received 22\n  hint: use cifar_resnet\(20\)",
        ),
        (lambda: resnet.preactivated(163), r"must be 9n\+2 .*, received 163\n  hint: use preactivated\(164\)"),
        (lambda: resnet.cifar_plain(2), r"must be 6n\+2 .*, received 2\n  hint: use cifar_plain\(8\)"),
        (lambda: resnet.Config(depth=21), r"must be 6n\+2 .*, received 21\n  hint: use --depth 20"),
        (lambda: resnet.cifar_resnet("20"), r"must be 6n\+2 .*, received '20'\n  hint: use cifar_resnet\(20\)"),
        (lambda: resnet.preactivated(164.0), r"must be 9n\+2 .*, received 164\.0\n  hint: use preactivated\(164\)"),
        (lambda: resnet_in_keras.version1(18), "keras.applications has no ResNet of 18 layers"),
    ],
)
def test_an_impossible_depth_raises(make, expected):
    with pytest.raises(dk.DefinitionError, match=expected):
        make()


def test_default_settings_depend_on_the_schedule():
    one_cycle, paper = resnet.Config(), resnet.Config(schedule="paper", depth=110)
    assert (one_cycle.epochs, one_cycle.learning_rate, one_cycle.weight_decay) == (50, 0.2, 5e-4)
    assert (paper.epochs, paper.learning_rate, paper.weight_decay) == (182, 0.1, 1e-4)
    assert resnet.learning_rate(one_cycle) == dk.OneCycle(0.2)
    assert resnet.learning_rate(paper) == dk.WarmUp(dk.StepDecay(0.1), epochs=1, start_factor=0.1)
    assert resnet.Config(epochs=3, learning_rate=0.5).epochs == 3
    assert resnet.Config(weight_decay=0.0).weight_decay == 0


def test_an_unknown_choice_raises():
    with pytest.raises(ValueError, match=r"kind must be one of .*, received 'Plain'; did you mean 'plain'?"):
        resnet.Config(kind="Plain")
    with pytest.raises(ValueError, match="schedule must be one of 'one-cycle', 'paper', received 'x'"):
        resnet.Config(schedule="x")


def test_the_deviation_of_the_warm_up_applies_only_with_a_warm_up():
    steps, short = resnet.Config(schedule="paper", depth=110), resnet.Config(schedule="paper")
    assert set(resnet.RECIPE.deviations_for(steps)) - set(resnet.RECIPE.deviations_for(short)) == {4}


def test_images_are_scaled_to_mean_0_and_standard_deviation_1():
    model = resnet.definition(resnet.Config(kind="plain", depth=8)).build((32, 32, 3))
    scaling = next(layer for layer in model.layers if isinstance(layer, layers.Rescaling))
    np.testing.assert_allclose(
        scaling(np.array([0.475, 0.725, 0.225])), [0, 1, -1], atol=1e-6
    )  # mean, mean ± one standard deviation
