"""Depth: networks of about the same size, their initial values, and a short training."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from recipes.vision import depth
from tests.recipes.counting import size, symbolic

DEPTHS = depth.Config().depths


def matrices(model):
    """Return the number of hidden layers."""
    dense = [layer for layer in model.layers if isinstance(layer, layers.Dense)]
    return sum(not layer.name.endswith("gate") for layer in dense) - 1  # without the classifier


@pytest.mark.parametrize("layers_", [10, 50])
def test_all_kinds_have_the_same_depth_and_about_the_weights_of_the_plain_network(layers_):
    nets = {kind: symbolic(make(layers_), (28, 28, 1)) for kind, make in depth.KINDS.items()}
    assert {kind: matrices(model) for kind, model in nets.items()} == dict.fromkeys(depth.KINDS, layers_)
    sizes = {kind: size(model.weights) for kind, model in nets.items()}
    assert sizes["residual"] == sizes["plain"]
    assert abs(sizes["dense"] / sizes["plain"] - 1) < 0.03
    assert 0.8 < sizes["highway"] / sizes["plain"] < 1  # 50 units compared with 71, as in the paper


def test_dense_layers_are_narrower_in_deeper_networks():
    assert [depth.growth(n) for n in DEPTHS] == [27, 20, 16, 13]


def test_a_residual_network_initially_equals_its_first_layer():
    model = depth.residual(10).build((6,))
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    first = keras.ops.relu(model.get_layer("mlp.dense")(x))
    np.testing.assert_allclose(model(x), model.get_layer("classifier.dense")(first), rtol=1e-5, atol=1e-6)


def test_a_residual_layer_adds_its_input():
    model = depth.residual(2).build((6,))
    kernel = np.random.default_rng(0).normal(size=(71, 71)).astype("float32")
    model.get_layer("repeat.residual.dense").set_weights([kernel, np.zeros(71)])
    x = np.random.default_rng(1).normal(size=(4, 6)).astype("float32")
    first = np.asarray(keras.ops.relu(model.get_layer("mlp.dense")(x)))
    expected = model.get_layer("classifier.dense")(np.maximum(first + first @ kernel, 0))
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-4)


def test_the_learning_rate_depends_on_the_network_by_default():
    rate = depth.optimizer("dense", 50, depth.Config(), steps_per_epoch=100).get_config()["learning_rate"]["config"]
    assert (rate["initial_learning_rate"], rate["decay_steps"]) == (depth.LEARNING_RATES["dense"][50], 100)
    near = depth.optimizer("plain", 60, depth.Config(), steps_per_epoch=100)
    assert float(near.learning_rate) == pytest.approx(depth.LEARNING_RATES["plain"][50])
    optimizer = depth.optimizer("plain", 50, depth.Config(learning_rate=0.5, momentum=0.3), steps_per_epoch=100)
    assert (float(optimizer.learning_rate), optimizer.momentum) == (0.5, 0.3)


def test_every_network_has_a_learning_rate():
    assert {kind: tuple(rates) for kind, rates in depth.LEARNING_RATES.items()} == dict.fromkeys(depth.KINDS, DEPTHS)


@pytest.mark.parametrize("depths", [(), (1, 10)])
def test_invalid_depths_raise(depths):
    with pytest.raises(ValueError, match=r"depths must be integers of at least 2, received .*\n  hint: use --depths"):
        depth.Config(depths=depths)


def test_definitions_are_values():
    for make in depth.KINDS.values():
        net = make(5)
        assert eval(repr(net), {"dk": dk, "layers": layers, "keras": keras}) == net
        assert dk.from_dict(dk.to_dict(net)) == net


def test_the_figure_has_one_line_per_kind_with_the_mean_of_the_repeats():
    config = depth.Config(depths=(50, 10), seeds=2)
    losses = [{f"training loss, {k} {d}": d * factor for k in depth.KINDS for d in (10, 50)} for factor in (1.0, 3.0)]
    results = [dk.recipe.Result(measured=measured, data="none") for measured in losses]
    (figure,) = depth.draw(config, results).values()
    line = figure.axes[0].lines[0]
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([10, 50], [20.0, 100.0])
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [*depth.KINDS, "chance"]
    assert figure.axes[0].get_yscale() == "log"


@pytest.mark.slow
def test_the_plain_network_of_50_layers_is_worse_than_the_others_after_one_epoch(tfds_dir):
    result = depth.train(depth.Config(epochs=1, depths=(50,), data_dir=tfds_dir))
    assert result.comparable
    losses = {kind: result.measured[f"training loss, {kind} 50"] for kind in depth.KINDS}
    assert losses.pop("plain") > 2 * max(losses.values())
