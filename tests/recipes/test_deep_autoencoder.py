"""The deep autoencoder: weights, the learning rates of the machines, the AUC of codes, and what pretraining gives."""

import keras
import numpy as np
import pytest

import deepkit as dk
from recipes.generative import deep_autoencoder as recipe


@pytest.mark.parametrize(
    ("settings", "weights"),
    [({}, 2_837_314), ({"code_units": 2}, 2_823_286), ({"data": "curves"}, 842_340)],
)
def test_the_autoencoder_has_the_weights_of_the_paper(settings, weights):
    config = recipe.Config(**settings)
    model = recipe.RECIPE.build(config)
    assert model.count_params() == weights
    assert [claim.value for claim in recipe.RECIPE.claims_for(config) if claim.metric == "parameters"] == [weights]
    assert model.get_layer("code").output.shape == (None, config.code_units)


def test_the_random_start_is_the_network_of_the_pretrained_one():
    config = recipe.Config.smoke()
    unfolded = recipe.network(config).build((28, 28, 1)).unfold().build((28, 28, 1))
    random_start = recipe.definition(config).build((28, 28, 1))
    shapes = [[weight.shape for weight in model.get_weights()] for model in (unfolded, random_start)]
    assert shapes[0] == shapes[1]
    for model in (unfolded, random_start):
        for weight in model.weights:
            weight.assign(np.random.default_rng(weight.shape[0]).normal(size=weight.shape))
    x = np.random.default_rng(0).random((5, 28, 28, 1), "float32")
    np.testing.assert_allclose(unfolded(x), random_start(x), rtol=1e-4, atol=1e-5)
    code = keras.Model(random_start.input, random_start.get_layer("code").output)(x)
    assert np.asarray(code).min() < 0  # it is linear


def test_the_machine_at_the_top_has_its_learning_rate(monkeypatch):
    config = recipe.Config.smoke(pretraining_epochs=2, devices="cpu")
    x = np.random.default_rng(0).random((8, 28, 28, 1), "float32")
    rates = []

    class Recorder(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            rates.append((int(self.model.layer_in_training), float(self.model.optimizer.learning_rate)))

    def fit(config, net, data, **arguments):
        return dk.fit(net, data, plan=config.plan(), callbacks=[Recorder()], verbose=0, **arguments)

    monkeypatch.setattr(recipe.Config, "fit", fit)
    model = recipe.pretrain(config, dk.data.from_arrays(x, batch_size=4, seed=0))
    assert [rate for _, rate in rates] == pytest.approx([0.1] * 4 + [0.001] * 2)
    assert (model.top, int(model.layer_in_training)) == ("gaussian", 2)


def test_the_auc_is_one_for_separate_digits_and_chance_for_equal_codes():
    labels = np.repeat(np.arange(10), 30)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(300, 2))
    separate = noise + 100 * np.stack([labels, labels % 3], axis=1)
    assert recipe.mean_anomaly_auc(separate, labels, separate, labels) == 1
    assert recipe.mean_anomaly_auc(noise, labels, rng.normal(size=(300, 2)), labels) == pytest.approx(0.5, abs=0.05)


@pytest.mark.thorough
def test_pretraining_helps_and_both_are_better_than_the_components(tfds_dir, tmp_path):
    config = recipe.Config(pretraining_epochs=3, epochs=10, data_dir=tfds_dir, run_dir=tmp_path)
    measured = recipe.train(config).measured
    assert measured["test error, autoencoder"] < measured["test error, random start"]
    assert measured["test error, autoencoder"] < measured["test error, PCA"]
    assert measured["test error, PCA"] == pytest.approx(13.87, abs=0.1)
