"""Tagging: the grammar, the ceilings, masked steps, reversed sentences, and a short training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from recipes.sequence import tagging as recipe

SENTENCES = recipe.Sentences.draw(1500, np.random.default_rng(0))


def test_tags_follow_from_the_words_and_from_the_parts_of_the_verb():
    kinds = {word: kind for kind, words in recipe.WORDS.items() for word in words}
    for text, row in zip(SENTENCES.texts[:300], SENTENCES.tags, strict=False):
        words = text.split()
        tags = [recipe.TAGS[number] for number in row[: len(words)]]
        assert not row[len(words) :].any()
        for clause in " ".join(words).split(" und "):
            (verb,), (particle,) = (
                [word for word in clause.split() if word in choices] for choices in (recipe.VERBS, recipe.PARTICLES)
            )
            assert clause.split()[1] == verb
            assert clause.split()[-1] == particle
            assert particle + recipe.VERBS[verb][0] in tags
        expected = [kinds[word] for word in words if word in kinds]
        assert [tag for word, tag in zip(words, tags, strict=True) if word in kinds] == expected


def test_lengths_and_tags_cover_the_grammar():
    lengths = [len(text.split()) for text in SENTENCES.texts]
    assert min(lengths) == 5
    assert 20 < max(lengths) <= recipe.MAX_LENGTH
    assert set(np.unique(SENTENCES.tags)) == set(range(len(recipe.TAGS)))
    assert sum(recipe.PARTICLES.values()) == pytest.approx(1)
    assert sum(probability for _, probability in recipe.VERBS.values()) == pytest.approx(1)


def test_the_ceilings_are_those_of_the_most_frequent_verb_and_particle():
    masks = SENTENCES.masks()
    num_words = sum(len(text.split()) for text in SENTENCES.texts)
    assert sum(mask.sum() for mask in masks.values()) == num_words
    ceilings = recipe.ceilings(masks)
    tags = np.array(recipe.TAGS)[SENTENCES.tags]
    of_verbs = np.char.startswith(tags[masks["verbs"]], "auf")  # a forward network guesses the particle "auf"
    of_particles = np.char.endswith(tags[masks["particles"]], "machen")  # a backward one guesses "macht"
    assert 1 - (1 - of_verbs.mean()) * len(of_verbs) / num_words == pytest.approx(ceilings["forward"], abs=0.005)
    assert 1 - (1 - of_particles.mean()) * len(of_verbs) / num_words == pytest.approx(ceilings["backward"], abs=0.005)


def test_backward_sentences_are_reversed_and_their_padding_stays_at_the_end():
    assert list(recipe.reverse_texts(np.array(["er macht auf"]))) == ["auf macht er"]
    tags = np.array([[3, 4, 5, 0, 0], [1, 2, 3, 4, 5]])
    texts = np.array(["a b c", "a b c d e"])
    np.testing.assert_array_equal(recipe.reverse_words(texts, tags), [[5, 4, 3, 0, 0], [5, 4, 3, 2, 1]])
    np.testing.assert_array_equal(recipe.reverse_words(texts, recipe.reverse_words(texts, tags)), tags)


@pytest.fixture(scope="module")
def tagger():
    model = recipe.tagger("both directions").build()
    dk.adapt(model, tf.data.Dataset.from_tensors(tf.constant(SENTENCES.texts)))
    return model


def test_the_tags_of_padding_do_not_count(tagger):
    tagger.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    texts, tags = SENTENCES.texts[:40], SENTENCES.tags[:40]
    is_word = np.any(list(SENTENCES.masks().values()), axis=0)[:40]
    assert 0.2 < is_word.mean() < 0.8
    other_tags = np.where(is_word, tags, 7)
    results = [
        tagger.evaluate(tf.constant(texts), values, verbose=0, return_dict=True) for values in (tags, other_tags)
    ]
    assert results[0] == results[1]
    predicted = np.argmax(tagger(tf.constant(texts)), axis=-1)
    assert results[0]["accuracy"] == pytest.approx((predicted == tags)[is_word].mean(), abs=1e-6)


@pytest.mark.thorough
def test_the_networks_reach_their_ceilings(capsys, tmp_path):
    report = dk.recipe.run(recipe.RECIPE, recipe.Config(seeds=1, run_dir=tmp_path))
    measured = {name: metric.mean for name, metric in report.measured.items()}
    assert measured["test accuracy, both directions"] >= 99
    for name in ("forward", "backward"):
        assert measured[f"test accuracy, {name}"] == pytest.approx(measured[f"ceiling, {name}"], abs=1)
    assert len(report.figures) == 1
