"""Character model: the counted model and pieces of a text."""

import itertools

import numpy as np
import pytest

import deepkit as dk
from recipes.sequence import character_model

TEXT = "to be, or not to be, that is the question: to be"


def test_the_five_gram_probabilities_of_all_characters_have_sum_one():
    model = character_model.FiveGramModel(TEXT)
    characters = [*sorted(set(TEXT)), "Z"]  # the last one stands for all that do not occur
    for context in ("", "t", "o be", "xyzw", "to b", "zo b"):
        assert sum(model.probability(context, character) for character in characters) == pytest.approx(1)


def test_the_five_gram_model_is_that_of_witten_and_bell():
    model = character_model.FiveGramModel("aab")
    uniform = 1 / 3
    unigram = (2 + 2 * uniform) / (3 + 2)  # of "a": it occurs 2 of 3 times, among 2 distinct characters
    assert model.probability("", "a") == pytest.approx(unigram)
    assert model.probability("a", "a") == pytest.approx((1 + 2 * unigram) / (2 + 2))
    assert model.probability("b", "a") == pytest.approx(unigram)  # nothing follows "b"
    bits = model.bits("aab")
    assert bits[1] == pytest.approx(-np.log2((1 + 2 * unigram) / (2 + 2)))


@pytest.mark.parametrize(("length", "overlap"), [(8, 0), (8, 4), (100, 50)])
def test_pieces_cover_the_text_with_their_overlap(length, overlap):
    parts = character_model.pieces(TEXT, length, overlap)
    assert parts[0] + "".join(part[overlap:] for part in parts[1:]) == TEXT
    for one, other in itertools.pairwise(parts):
        assert len(one) == length
        assert one[length - overlap :] == other[:overlap]


def test_each_character_is_measured_once_with_enough_context():
    class Model:
        def token_log_likelihoods(self, parts):
            self.parts = parts
            return [-np.log(2) * np.arange(len(part)) for part in parts]  # the number of characters before, in bits

    bits = character_model.bits_of(Model(), TEXT, context=6)
    assert len(bits) == len(TEXT)
    assert bits[:12].tolist() == pytest.approx(list(range(12)))
    assert bits[12:].min() == pytest.approx(6)


def test_the_decoders_predict_no_end():
    for decoder in ("gru", "transformer"):
        net = character_model.definition(character_model.Config(decoder=decoder))
        assert not net.predict_end
        assert eval(repr(net), {"dk": dk}) == net
