"""LeNet-5: the weights of the paper layer by layer, and a short training."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from recipes.vision import lenet


def trainable(layer):
    return sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)


def test_the_modern_network_has_61706_weights():
    model = lenet.modern().build((28, 28, 1))
    kinds = [type(layer).__name__ for layer in model.layers[1:] if layer.weights]
    assert (trainable(model), kinds) == (61_706, ["Conv2D", "Conv2D", "Dense", "Dense", "Dense"])
    assert [trainable(layer) for layer in model.layers if layer.weights] == [156, 2_416, 48_120, 10_164, 850]


def test_the_original_has_the_weights_of_each_layer_of_the_paper():
    # LeCun et al. 1998, section II.B
    model = lenet.original().build((28, 28, 1))
    counts = {layer.name: trainable(layer) for layer in model.layers if layer.weights}
    assert counts == {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164}
    assert trainable(model) == 60_000


def test_the_original_has_the_maps_of_the_paper():
    model = lenet.original().build((28, 28, 1))
    shapes = {name: model.get_layer(name).output.shape[1:] for name in ("c1", "s2", "c3", "s4", "c5", "f6", "output")}
    assert shapes == {
        "c1": (28, 28, 6),
        "s2": (14, 14, 6),
        "c3": (10, 10, 16),
        "s4": (5, 5, 16),
        "c5": (120,),
        "f6": (84,),
        "output": (10,),
    }


def test_the_connection_table_is_that_of_the_paper():
    sizes = [len(row) for row in lenet.CONNECTIONS]
    assert sizes == [3] * 6 + [4] * 9 + [6]
    assert lenet.CONNECTIONS[4] == (4, 5, 0)
    assert lenet.CONNECTIONS[14] == (2, 3, 5, 0)
    seen = [sum(channel in row for row in lenet.CONNECTIONS) for channel in range(6)]
    assert seen == [10] * 6  # ten maps of C3 see each map of S2


def test_the_drawings_of_the_digits_differ():
    points = lenet.drawings()
    assert points.shape == (10, 84)
    assert set(np.unique(points)) == {-1.0, 1.0}
    distances = ((points[:, None] - points[None]) ** 2).sum(-1) / 4
    assert distances[~np.eye(10, dtype=bool)].min() >= 4  # pixels in which the most similar two differ


def test_default_settings_depend_on_the_variant():
    assert lenet.Config().epochs == 30
    assert lenet.Config(variant="original").epochs == 30
    assert lenet.Config(epochs=3, dropout=0.0).epochs == 3
    assert lenet.Config(dropout=0.0).dropout == 0.0
    with pytest.raises(ValueError, match="epochs must be a positive integer, received -3"):
        lenet.Config(epochs=-3)


def test_the_loss_is_cross_entropy_with_label_smoothing():
    logits = np.array([[2.0, 1.0, 0.0]], "float32")
    log_p = logits - np.log(np.exp(logits).sum())
    expected = -(0.3 / 3 * log_p.sum() + 0.7 * log_p[0, 1])
    loss = lenet.SmoothedCrossentropy(0.3)
    assert float(loss(np.array([1]), logits)) == pytest.approx(float(expected), rel=1e-6)
    assert lenet.SmoothedCrossentropy.from_config(loss.get_config()).smoothing == 0.3


def test_the_original_saves_and_loads(tmp_path):
    model = lenet.original().build((28, 28, 1))
    model.save(tmp_path / "lenet.keras")
    x = np.random.default_rng(0).random((2, 28, 28, 1)).astype("float32")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "lenet.keras")(x), model(x))


def test_the_repr_of_a_definition_is_its_code():
    for net in (lenet.modern(0.4), lenet.original()):
        assert eval(repr(net), {"dk": dk, "layers": layers, "keras": keras}) == net


def test_a_smoke_run_on_the_bundled_digits(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.setattr("deepkit.data.download.is_reachable", lambda *a, **k: False)
    config = lenet.Config.smoke(variant="original", data_dir=tmp_path / "nothing")
    report = dk.recipe.run(lenet.RECIPE, config)
    assert not report.comparable
    printed = capsys.readouterr().out.lower()
    assert "not comparable" in printed
    assert "smoke run" in printed


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["modern", "original"])
def test_three_epochs_on_mnist_reach_a_low_error(variant, tfds_dir, tmp_path):
    config = lenet.Config(variant=variant, epochs=3, data_dir=tfds_dir, run_dir=tmp_path / "run")
    result = lenet.train(config.repeats()[0])
    assert result.comparable
    assert result.measured["test error"] < 2.5
