"""Dates: settings, networks, the alignment, and a short training."""

import dataclasses

import numpy as np
import pytest

import deepkit as dk
from deepkit.models.alignment import AttentionMap
from recipes.sequence import dates, generated_pairs


@pytest.mark.parametrize("variant", ["dates", "reversed"])
def test_the_networks_differ_only_in_the_attention(variant):
    attending, plain = (dates.converter(variant, score) for score in ("additive", None))
    assert dataclasses.replace(attending, attention=None, name=plain.name) == plain
    units = dates.UNITS
    attention = units * units + 2 * units * units + units + 3 * units * units  # W, U, v; and W of [context; output]
    assert attending.build().count_params() - plain.build().count_params() == attention
    assert eval(repr(attending), {"dk": dk}) == attending


def test_default_epochs_depend_on_the_variant():
    assert dates.Config().epochs == dates.DEFAULTS["dates"]["epochs"]
    assert dates.Config(variant="reversed").epochs == dates.DEFAULTS["reversed"]["epochs"]
    assert dates.Config(variant="reversed", epochs=2).epochs == 2
    with pytest.raises(ValueError, match="variant must be one of 'dates', 'reversed', received 'date'"):
        dates.Config(variant="date")


@pytest.mark.parametrize("variant", ["dates", "reversed"])
def test_the_vocabulary_has_an_id_for_every_character(variant):
    data = dates.load_data(dates.Config(variant=variant, num_pairs=2_000))
    assert (data.train.num_examples, data.validation.num_examples, data.test.num_examples) == (1_800, 200, 2_000)
    characters = set("".join(generated_pairs.texts_of(data.train, 1_800)[0]).lower())
    assert len(characters) + 2 <= dates.CHARACTERS[variant]


class Maps:
    """A model with given attention weights."""

    def __init__(self, *weights):
        self.maps = [AttentionMap(np.array(array, "float32"), [], []) for array in weights]

    def attention_maps(self, sources, targets):
        return self.maps


def test_the_alignment_is_that_of_the_reverse_order():
    end = [1, 0, 0]  # where the attention looks at the end of a target is not counted
    mirrored = [[0.1, 0.2, 0.7], [0, 1, 0], [0.6, 0.4, 0], end]
    in_order = [[1, 0, 0], [0, 1, 0], [0, 0, 1], end]
    assert dates.alignment(Maps(mirrored), [], []) == 100
    assert dates.alignment(Maps(in_order), [], []) == pytest.approx(100 / 3)
    assert dates.alignment(Maps(mirrored, [[1.0], [1.0]]), [], []) == 100


def test_every_example_of_the_figures_has_known_characters():
    for variant, examples in dates.EXAMPLES.items():
        data = dates.load_data(dates.Config(variant=variant, num_pairs=2_000))
        characters = set("".join(generated_pairs.texts_of(data.train, 1_800)[0]).lower())
        assert set("".join(examples).lower()) <= characters


@pytest.mark.slow
def test_dates_are_converted_after_three_epochs():
    config = dates.Config(epochs=3)
    data = dates.load_data(config)
    run = dates.train_one(config, "with attention", data)
    assert generated_pairs.exact_match(run.model, data.test, 1_000) > 97
