"""Sentiment: weights of the tutorial's network, settings, synthetic reviews, and a short training."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.training import adaptation as text
from recipes.sequence import sentiment


def trainable(layer):
    return sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)


def test_the_network_has_the_weights_of_the_tutorial_layer_by_layer():
    model = sentiment.sentiment().build()
    counts = {layer.name: trainable(layer) for layer in model.layers if layer.weights}
    assert counts == {
        "embedding": 2_560_000,
        "bilstm.bilstm1": 98_816,
        "bilstm.bilstm2": 98_816,
        "classifier.dense": 129,
    }
    assert trainable(model) == 2_757_761


def test_the_other_variants_have_one_direction_or_pooling():
    forward, pooled = (sentiment.sentiment(variant).build() for variant in ("forward", "pooled"))
    assert {type(layer) for layer in forward.layers} & {layers.LSTM, layers.Bidirectional} == {layers.LSTM}
    assert pooled.get_layer("classifier.dense").input.shape == (None, 256)


def test_default_settings_depend_on_the_variant():
    assert sentiment.Config().sequence_length == 200
    assert sentiment.Config(variant="pooled").sequence_length == 400
    assert sentiment.Config(variant="pooled", dropout=0.0, epochs=1).dropout == 0.0
    assert sentiment.Config(sequence_length=7).sequence_length == 7


def test_an_unknown_choice_raises():
    with pytest.raises(ValueError, match=r"variant must be one of .*, received 'lstm'"):
        sentiment.Config(variant="lstm")
    with pytest.raises(ValueError, match="data must be one of 'imdb', 'sst2', received 'amazon'"):
        sentiment.Config(data="amazon")
    with pytest.raises(
        dk.DefinitionError, match=r"one of 'bilstm', 'pooled', 'forward', received 'lstm'.*\n  hint: use"
    ):
        sentiment.sentiment("lstm")


def test_labels_of_synthetic_reviews_follow_from_their_words():
    x, y = sentiment.synthetic_reviews(sentiment.Config(), 200).train.arrays()
    positive = {"good", "fine", "lovely", "great"}
    negative = {"bad", "dull", "awful", "poor"}
    for line, label in zip(x, y, strict=True):
        words = [*line.decode().split(), ""]
        signs = [
            (1 if word in positive else -1) * (-1 if after == "not" else 1)
            for word, after in itertools.pairwise(words)
            if word in positive | negative
        ]
        assert (sum(signs) > 0) == label
        assert sum(signs)
    assert 0.3 < y.mean() < 0.7


def test_the_repr_of_a_definition_is_its_code():
    for variant in ("bilstm", "pooled", "forward"):
        net = sentiment.sentiment(variant, dropout=0.3)
        assert eval(repr(net), {"dk": dk, "layers": layers, "keras": keras}) == net


@pytest.mark.slow
def test_a_smoke_run_on_synthetic_reviews(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.setattr("deepkit.data.download.is_reachable", lambda *a, **k: False)
    config = sentiment.Config.smoke(variant="pooled", sequence_length=8, num_examples=96, data_dir=tmp_path / "nothing")
    report = dk.recipe.run(sentiment.RECIPE, config)
    assert not report.comparable
    printed = capsys.readouterr().out.lower()
    assert "standing in for imdb_reviews" in printed
    assert "not comparable" in printed


def test_figures_of_a_network(tmp_path, monkeypatch):
    config = sentiment.Config(variant="forward", sequence_length=8, num_examples=64, data_dir=tmp_path)
    data = sentiment.synthetic_reviews(config, 300)
    monkeypatch.setattr(sentiment, "load_data", lambda config, verbose: data)
    model = sentiment.sentiment("forward", vocabulary_size=30, sequence_length=8).build()
    text.adapt(model, data.train)
    result = dk.recipe.Result(measured={}, data="", comparable=False, model=model)
    assert len(sentiment.draw(config, [result])) == 2


def test_figures_of_accuracy_and_logits():
    num_words, correct = np.arange(1, 101), np.arange(100) % 2 == 0
    assert len(sentiment.draw_accuracy(num_words, correct).axes[0].patches) == 5
    axes = sentiment.draw_logits(np.array([0, 0, 1]), np.array([3.0, -1.0, 20.0])).axes[0]
    assert [sum(bar.get_height() for bar in group) for group in axes.containers] == [
        2,
        1,
    ]  # per class; clipped to the range


@pytest.mark.thorough
def test_two_epochs_on_imdb_reach_a_good_accuracy(tfds_dir, tmp_path):
    config = sentiment.Config(data_dir=tfds_dir, run_dir=tmp_path / "run")
    result = sentiment.train(config.repeats()[0])
    assert result.comparable
    assert result.measured["test accuracy"] > 84
    result.model.save(tmp_path / "m.keras")
    logits = keras.models.load_model(tmp_path / "m.keras")(
        tf.constant(["A wonderful, moving film.", "Dull, and far too long."])
    )
    assert float(logits[0, 0]) > float(logits[1, 0])
