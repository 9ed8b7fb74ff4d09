"""Both directions: the generated sequences, the ceiling by enumeration, and short trainings."""

import itertools

import numpy as np
import pytest

import deepkit as dk
from recipes.sequence import both_directions as recipe

EXAMPLES = recipe.generate(2000, np.random.default_rng(0))


def test_each_half_has_one_key_and_the_label_is_the_larger_one():
    half = recipe.HALF_LENGTH
    is_key = EXAMPLES.tokens < recipe.NUM_KEYS
    np.testing.assert_array_equal(is_key[:, :half].sum(1), 1)
    np.testing.assert_array_equal(is_key[:, half + 1 :].sum(1), 1)
    np.testing.assert_array_equal(EXAMPLES.tokens[:, half], recipe.GAP)
    np.testing.assert_array_equal(EXAMPLES.tokens[is_key].reshape(-1, 2), EXAMPLES.keys)
    np.testing.assert_array_equal(EXAMPLES.labels, EXAMPLES.keys.max(1))
    assert np.delete(is_key, half, axis=1).any(axis=0).all()  # at every step of some sequence


def test_the_ceiling_is_that_of_the_best_guess_for_each_key():
    for num_keys in (2, 3, 8):
        labels = {a: [max(a, b) for b in range(num_keys)] for a in range(num_keys)}
        best = [max(values.count(guess) for guess in range(num_keys)) for values in labels.values()]
        assert recipe.ceiling(num_keys) == pytest.approx(sum(best) / num_keys**2)
        assert [values.count(a) for a, values in labels.items()] == best  # the key itself is a best guess
    pairs = itertools.product(range(recipe.NUM_KEYS), repeat=2)
    assert recipe.ceiling() == np.mean([max(a, b) == a for a, b in pairs]) == 0.5625


def test_one_direction_reads_the_half_before_the_gap():
    model = recipe.network("forward").build((41,))
    changed = EXAMPLES.tokens[:4].copy()
    changed[:, 21:] = EXAMPLES.tokens[4:8, 21:]
    np.testing.assert_array_equal(model(EXAMPLES.tokens[:4]), model(changed))
    changed[:, :20] = EXAMPLES.tokens[4:8, :20]
    assert np.abs(np.asarray(model(EXAMPLES.tokens[:4])) - np.asarray(model(changed))).min() > 0


def test_both_directions_read_both_halves_and_backward_data_is_reversed():
    model = recipe.network("both directions").build((41,))
    changed = EXAMPLES.tokens[:4].copy()
    changed[:, 40] = recipe.NUM_KEYS + (changed[:, 40] + 1) % recipe.NUM_FILLERS
    assert np.abs(np.asarray(model(EXAMPLES.tokens[:4])) - np.asarray(model(changed))).max() > 0
    splits = dict.fromkeys(("train", "validation", "test"), EXAMPLES)
    data = recipe.load_data(recipe.Config(), "backward", splits)
    np.testing.assert_array_equal(data.test.unscaled_arrays(), EXAMPLES.tokens[:, ::-1])
    np.testing.assert_array_equal(data.test.labels_in_memory, EXAMPLES.labels)


@pytest.mark.thorough
def test_one_direction_stays_below_its_ceiling_and_two_directions_solve_the_task(capsys, tmp_path):
    report = dk.recipe.run(recipe.RECIPE, recipe.Config(seeds=1, run_dir=tmp_path))
    measured = {name: metric.mean for name, metric in report.measured.items()}
    assert measured["test accuracy, both directions"] >= 99
    for name in recipe.ONE_DIRECTION:
        assert measured[f"test accuracy, {name}"] == pytest.approx(measured["ceiling"], abs=1)
    assert len(report.figures) == 1
