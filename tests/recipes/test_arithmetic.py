"""Arithmetic: data, networks, the weights of the paper, and a short training."""

import dataclasses
import math

import pytest

import deepkit as dk
from recipes.sequence import arithmetic, generated_pairs


def test_the_network_of_the_paper_has_384_million_weights():
    counts = arithmetic.count_weights(arithmetic.network_of_the_paper())
    lstm = 4 * 4 * (1_000 + 1_000) * 1_000  # layers, gates, and the weights of inputs and state
    assert counts["recurrent weights of the paper"] == 2 * lstm == 64_000_000
    embeddings, classifier = (160_000 + 80_000) * 1_000, 80_000 * 1_000
    assert counts["weights of the paper"] == embeddings + 2 * lstm + classifier == 384_000_000
    biases = 2 * 4 * 4 * 1_000 + 80_000
    assert counts["weights of the paper, with biases"] == 384_000_000 + biases == 384_112_000


def test_weights_are_counted_as_in_a_model_that_has_them():
    net = arithmetic.adder("reversed")
    weights = net.build().trainable_weights
    counts = arithmetic.count_weights(net)
    assert counts["weights of the paper, with biases"] == sum(math.prod(weight.shape) for weight in weights)
    biases = sum(weight.shape[0] for weight in weights if weight.name == "bias")
    assert counts["weights of the paper"] == counts["weights of the paper, with biases"] - biases


def test_the_networks_differ_only_in_the_direction_of_the_source():
    backward, forward = arithmetic.adder("reversed"), arithmetic.adder("forward")
    assert backward != forward
    assert dataclasses.replace(backward, reverse_source=False, name=forward.name) == forward
    assert arithmetic.definition(arithmetic.Config()) == backward
    assert eval(repr(backward), {"dk": dk}) == backward


def test_the_vocabulary_has_an_id_for_every_character():
    config = arithmetic.Config.smoke(num_pairs=200)
    data = arithmetic.load_data(config)
    assert (data.train.num_examples, data.validation.num_examples, data.test.num_examples) == (180, 20, 200)
    model = arithmetic.adder("forward").build()
    dk.adapt(model, data.train)
    assert set(model.source_text.get_vocabulary()) == {"", "[UNK]", "+", *"0123456789"}
    assert set(model.target_text.get_vocabulary()) <= {"", "[UNK]", *"0123456789"}
    assert len(model.source_text.get_vocabulary()) == arithmetic.CHARACTERS


class Answers:
    """A model that generates given texts."""

    def __init__(self, answers):
        self.answers = answers

    def translate(self, sources, **arguments):
        return [self.answers[source] for source in sources]


def test_an_answer_with_one_wrong_digit_is_no_match():
    test = dk.data.text_pairs("additions", 8).test
    sources, targets = generated_pairs.texts_of(test, 8)
    answers = dict(zip(sources, targets, strict=True))
    assert generated_pairs.exact_match(Answers(answers), test, 8) == 100
    answers[sources[0]] = targets[0][:-1]
    answers[sources[1]] = targets[1] + "0"
    assert generated_pairs.exact_match(Answers(answers), test, 8) == 75
    assert generated_pairs.exact_match(Answers(answers), test, 2) == 0


@pytest.mark.slow
def test_sums_of_two_digits_are_learned_from_two_thousand_pairs():
    config = arithmetic.Config(num_digits=2, num_pairs=2_400, epochs=30, batch_size=32)
    data = arithmetic.load_data(config)
    run = arithmetic.train_one(config, "reversed", data)
    assert generated_pairs.exact_match(run.model, data.test, 1_000) > 90
