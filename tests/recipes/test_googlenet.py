"""GoogLeNet: weights and shapes of table 1, with and without auxiliary classifiers."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from recipes.vision import googlenet
from tests.recipes.counting import counts, multiply_adds, symbolic

IMAGE = (224, 224, 3)


def test_weight_counts():
    # Caffe's bvlc_googlenet
    assert counts(googlenet.googlenet(), IMAGE) == (6_998_552, 6_998_552)
    assert multiply_adds(googlenet.googlenet(), IMAGE) == 1_582_671_872
    assert counts(googlenet.googlenet_with_heads()) == (13_378_280, 13_378_280)
    assert counts(googlenet.googlenet_bn(), IMAGE) == (7_005_832, 7_020_392)


def test_shapes_are_those_of_table_1():
    model = symbolic(googlenet.googlenet(), IMAGE)
    shapes = {name: model.get_layer(f"{name}.concat").output.shape[1:] for name in
              ("inception3a", "inception3b", "inception4a", "inception4d", "inception4e", "inception5b")}  # fmt: skip
    assert shapes == {
        "inception3a": (28, 28, 256),
        "inception3b": (28, 28, 480),
        "inception4a": (14, 14, 512),
        "inception4d": (14, 14, 528),
        "inception4e": (14, 14, 832),
        "inception5b": (7, 7, 1024),
    }


def test_it_has_22_layers_and_5x5_convolutions():
    model = symbolic(googlenet.googlenet(), IMAGE)
    convs = {layer.name: layer.kernel_size[0] for layer in model.layers if isinstance(layer, layers.Conv2D)}
    assert len(convs) == 3 + 9 * 6
    assert convs["inception3a.5x5.conv_block2.conv"] == 5
    assert 3 + 2 * len(googlenet.MODULES) + 1 == 22


@pytest.fixture(scope="module")
def trained():
    """Return a run of a narrow network with heads, its images, and its definition without heads."""
    keras.utils.set_random_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(googlenet, "MODULES", dict.fromkeys(("3b", "4a", "4d", "4e"), (2, 2, 2, 2, 2, 2)))
        net = googlenet.googlenet_with_heads(num_classes=3, input_shape=(80, 80, 3))
        net_without_heads = googlenet.googlenet(num_classes=3)
    x = np.random.default_rng(0).normal(size=(2, 80, 80, 3)).astype("float32")
    data = (x, googlenet.labels(np.array([0, 1])))
    sgd = keras.optimizers.SGD(0.01)
    run = dk.fit(net, data, batch_size=2, optimizer=sgd, loss_weights=googlenet.LOSS_WEIGHTS, verbose=0)
    return run, x, net_without_heads


def test_the_losses_of_the_heads_have_a_weight_of_three_tenths(trained):
    last = {name: values[-1] for name, values in trained[0].history.items()}
    weighted = [last[f"{name}_loss"] * weight for name, weight in googlenet.LOSS_WEIGHTS.items()]
    assert googlenet.LOSS_WEIGHTS == {"classifier": 1.0, "auxiliary1": 0.3, "auxiliary2": 0.3}
    assert last["loss"] == pytest.approx(sum(weighted), rel=1e-4)


def test_a_trained_network_without_its_heads_equals_the_definition_without_heads(trained, tmp_path):
    run, x, net_without_heads = trained
    model = googlenet.without_heads(run.model)
    rebuilt = net_without_heads.build((80, 80, 3))
    assert (model.name, [w.path for w in model.weights]) == ("googlenet", [w.path for w in rebuilt.weights])
    np.testing.assert_array_equal(model(x), run.model(x)["classifier"])
    rebuilt.set_weights(model.get_weights())
    np.testing.assert_array_equal(model(x), rebuilt(x))
    model.save(tmp_path / "used.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "used.keras")(x), model(x))


def test_removing_heads_from_a_network_without_heads_raises():
    with pytest.raises(
        ValueError, match=r"expected the outputs classifier, auxiliary1, auxiliary2\n  hint: pass a model"
    ):
        googlenet.without_heads(symbolic(googlenet.googlenet(num_classes=2), (32, 32, 3)))


def test_definitions_survive_repr_and_yaml(tmp_path):
    for net in (googlenet.googlenet(), googlenet.googlenet_bn(num_classes=10), googlenet.googlenet_with_heads()):
        assert eval(repr(net), {"dk": dk, "layers": layers}) == net
        dk.dump(net, tmp_path / "net.yaml")
        assert dk.load(tmp_path / "net.yaml") == net


def test_an_image_that_is_too_small_for_the_heads_raises():
    with pytest.raises(dk.DefinitionError, match="at least 5x5, received 4x4x512") as error:
        symbolic(googlenet.googlenet_with_heads(input_shape=(64, 64, 3)))
    assert error.value.path.startswith("auxiliary1.")
