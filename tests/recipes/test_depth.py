"""Depth: nets of about one size, where each begins, and a smoke run of all of them."""

import math

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from recipes.vision import depth

DEPTHS = depth.Config().depths


def symbolic(net):
    """Return the model of a net, without making a weight."""
    with keras.StatelessScope(initialize_variables=False):
        return net.build((28, 28, 1))


def size(model):
    return sum(math.prod(weight.shape) for weight in model.weights)


def matrices(model):
    """Return how many hidden layers a net has."""
    dense = [layer for layer in model.layers if isinstance(layer, layers.Dense)]
    return sum(not layer.name.endswith("gate") for layer in dense) - 1  # the classifier is none


@pytest.mark.parametrize("layers_", [10, 50])
def test_all_kinds_have_the_depth_and_about_the_weights_of_the_plain_net(layers_):
    nets = {kind: symbolic(make(layers_)) for kind, make in depth.KINDS.items()}
    assert {kind: matrices(model) for kind, model in nets.items()} == dict.fromkeys(depth.KINDS, layers_)
    sizes = {kind: size(model) for kind, model in nets.items()}
    assert sizes["residual"] == sizes["plain"]
    assert abs(sizes["dense"] / sizes["plain"] - 1) < 0.03
    assert 0.8 < sizes["highway"] / sizes["plain"] < 1  # 50 units beside 71, as in the paper


def test_a_dense_layer_is_thinner_the_more_of_them_there_are():
    assert [depth.growth(n) for n in DEPTHS] == [27, 20, 16, 13]


def test_a_residual_net_begins_as_its_first_layer():
    model = depth.residual(10).build((6,))
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    first = keras.ops.relu(model.get_layer("mlp.dense")(x))
    np.testing.assert_allclose(model(x), model.get_layer("classifier.dense")(first), rtol=1e-5, atol=1e-6)


def test_a_plain_and_a_residual_layer_differ_only_by_what_passes():
    model = depth.residual(2).build((6,))
    kernel = np.random.default_rng(0).normal(size=(71, 71)).astype("float32")
    model.get_layer("repeat.residual.dense").set_weights([kernel, np.zeros(71)])
    x = np.random.default_rng(1).normal(size=(4, 6)).astype("float32")
    first = np.asarray(keras.ops.relu(model.get_layer("mlp.dense")(x)))
    expected = model.get_layer("classifier.dense")(np.maximum(first + first @ kernel, 0))
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-4)


def test_a_net_has_the_step_size_chosen_for_it_unless_one_is_given():
    rate = depth.optimizer("dense", 50, depth.Config(), steps=100).get_config()["learning_rate"]["config"]
    assert (rate["initial_learning_rate"], rate["decay_steps"]) == (depth.RATES["dense"][50], 100)
    near = depth.optimizer("plain", 60, depth.Config(), steps=100)
    assert float(near.learning_rate) == pytest.approx(depth.RATES["plain"][50])
    given = depth.optimizer("plain", 50, depth.Config(learning_rate=0.5, momentum=0.3), steps=100)
    assert (float(given.learning_rate), given.momentum) == (0.5, 0.3)


def test_every_net_has_a_step_size():
    assert {kind: tuple(rates) for kind, rates in depth.RATES.items()} == dict.fromkeys(depth.KINDS, DEPTHS)


@pytest.mark.parametrize("depths", [(), (1, 10)])
def test_depths_that_make_no_sense_are_refused(depths):
    with pytest.raises(ValueError, match=r"depths must be whole numbers of at least 2, received .*\n  hint: --depths"):
        depth.Config(depths=depths)


def test_definitions_are_values():
    for make in depth.KINDS.values():
        net = make(5)
        assert eval(repr(net), {"dk": dk, "layers": layers, "keras": keras}) == net
        assert dk.from_dict(dk.to_dict(net)) == net


def test_the_figure_has_a_line_a_kind_and_the_mean_of_the_repeats():
    config = depth.Config(depths=(50, 10), seeds=2)
    losses = [{f"training loss, {k} {d}": d * factor for k in depth.KINDS for d in (10, 50)} for factor in (1.0, 3.0)]
    outcomes = [dk.recipe.Result(measured=measured, data="none") for measured in losses]
    (figure,) = depth.draw(config, outcomes).values()
    line = figure.axes[0].lines[0]
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([10, 50], [20.0, 100.0])
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [*depth.KINDS, "knowing nothing"]
    assert figure.axes[0].get_yscale() == "log"


@pytest.mark.slow
def test_a_smoke_run_on_the_bundled_digits_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.setattr("deepkit.data.download.is_reachable", lambda *a, **k: False)
    monkeypatch.setattr(depth, "KINDS", {kind: depth.KINDS[kind] for kind in ("plain", "highway")})
    monkeypatch.setattr(depth, "COLOURS", {kind: depth.COLOURS[kind] for kind in ("plain", "highway")})
    config = depth.Config.smoke(depths=(2,), data_dir=tmp_path / "nothing", run_dir=tmp_path / "run")
    report = dk.recipe.run(depth.RECIPE, config)
    assert not report.comparable
    assert "not comparable" in capsys.readouterr().out.lower()
    kept = sorted(path.parent.name for path in (tmp_path / "run" / "seed0").glob("*/model.keras"))
    assert kept == ["highway2", "plain2"]
    assert (tmp_path / "run" / "picture1.png").exists()
    again = dk.recipe.run(depth.RECIPE, config)
    assert capsys.readouterr().out.count("holds a finished run") == 2
    assert {n: m.values for n, m in again.measured.items()} == {n: m.values for n, m in report.measured.items()}


@pytest.mark.slow
def test_a_smoke_run_on_mnist_trains_every_kind(tfds_dir, tmp_path):
    report = dk.recipe.run(depth.RECIPE, depth.Config.smoke(data_dir=tfds_dir, run_dir=tmp_path))
    assert report.comparable
    losses = [name for name in report.measured if name.startswith("training loss")]
    assert losses == [f"training loss, {kind} {n}" for n in (10, 20) for kind in depth.KINDS]


@pytest.mark.slow
def test_one_pass_tells_the_plain_net_of_50_layers_from_the_others(tfds_dir):
    measured = depth.train(depth.Config(epochs=1, depths=(50,), data_dir=tfds_dir)).measured
    losses = {kind: measured[f"training loss, {kind} 50"] for kind in depth.KINDS}
    assert losses.pop("plain") > 2 * max(losses.values())
