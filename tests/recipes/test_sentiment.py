"""Sentiment: the counts of the tutorial's network, settings, made-up reviews and one short training."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.training import text_vocabulary as text
from recipes.sequence import sentiment


def trainable(part):
    return sum(int(np.prod(weight.shape)) for weight in part.trainable_weights)


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


def test_the_others_differ_in_what_their_names_say():
    forward, pooled = (sentiment.sentiment(variant).build() for variant in ("forward", "pooled"))
    assert {type(layer) for layer in forward.layers} & {layers.LSTM, layers.Bidirectional} == {layers.LSTM}
    assert pooled.get_layer("classifier.dense").input.shape == (None, 256)


def test_settings_follow_the_variant_unless_given():
    assert sentiment.Config().length == 200
    assert sentiment.Config(variant="pooled").length == 400
    assert sentiment.Config(variant="pooled", dropout=0.0, epochs=1).dropout == 0.0
    assert sentiment.Config(length=7).length == 7


def test_what_is_no_choice_is_refused():
    with pytest.raises(ValueError, match=r"variant must be one of .*, received 'lstm'"):
        sentiment.Config(variant="lstm")
    with pytest.raises(ValueError, match="data must be one of 'imdb', 'sst2', received 'amazon'"):
        sentiment.Config(data="amazon")
    with pytest.raises(dk.DefinitionError, match="one of bilstm, pooled, forward, received 'lstm'\\n  hint: sentiment"):
        sentiment.sentiment("lstm")


def test_made_up_reviews_are_judged_by_their_definition():
    x, y = sentiment.made_up(sentiment.Config(), 200).train.arrays()
    good = {"good", "fine", "lovely", "great"}
    bad = {"bad", "dull", "awful", "poor"}
    for line, label in zip(x, y, strict=True):
        words = [*line.decode().split(), ""]
        signs = [
            (1 if word in good else -1) * (-1 if after == "not" else 1)
            for word, after in itertools.pairwise(words)
            if word in good | bad
        ]
        assert (sum(signs) > 0) == label
        assert sum(signs)
    assert 0.3 < y.mean() < 0.7


def test_definitions_print_as_the_code_that_makes_them():
    for variant in ("bilstm", "pooled", "forward"):
        net = sentiment.sentiment(variant, dropout=0.3)
        assert eval(repr(net), {"dk": dk, "layers": layers, "keras": keras}) == net


@pytest.mark.slow
def test_a_smoke_run_on_made_up_reviews(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.setattr("deepkit.data.download.is_reachable", lambda *a, **k: False)
    config = sentiment.Config.smoke(variant="pooled", length=12, data_dir=tmp_path / "nothing")
    report = dk.recipe.run(sentiment.RECIPE, config)
    assert not report.comparable
    printed = capsys.readouterr().out.lower()
    assert "standing in for imdb_reviews" in printed
    assert "not comparable" in printed


def test_the_pictures_of_a_network(tmp_path, monkeypatch):
    config = sentiment.Config(variant="forward", length=8, num_examples=64, data_dir=tmp_path)
    data = sentiment.made_up(config, 300)
    monkeypatch.setattr(sentiment, "load_data", lambda config, verbose: data)
    model = sentiment.sentiment("forward", words=30, length=8).build()
    text.adapt(model, data.train)
    outcome = dk.recipe.Result(measured={}, data="", comparable=False, model=model)
    assert len(sentiment.draw(config, [outcome])) == 2


def test_pictures_are_drawn_of_texts():
    words, right = np.arange(1, 101), np.arange(100) % 2 == 0
    assert len(sentiment.by_length(words, right).axes[0].patches) == 5
    sure = sentiment.by_confidence(np.array([0, 0, 1]), np.array([3.0, -1.0, 20.0])).axes[0]
    assert [sum(bar.get_height() for bar in group) for group in sure.containers] == [2, 1]  # of each kind, in the range


@pytest.mark.slow
def test_two_passes_over_imdb_come_near(tfds_dir, tmp_path):
    config = sentiment.Config(data_dir=tfds_dir, run_dir=tmp_path / "run")
    outcome = sentiment.train(config.repeats()[0])
    assert outcome.comparable
    assert outcome.measured["test accuracy"] > 84
    again = keras.models.load_model
    outcome.model.save(tmp_path / "m.keras")
    logits = again(tmp_path / "m.keras")(tf.constant(["A wonderful, moving film.", "Dull, and far too long."]))
    assert float(logits[0, 0]) > float(logits[1, 0])
