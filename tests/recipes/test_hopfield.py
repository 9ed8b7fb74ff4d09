import numpy as np
import pytest

from recipes.generative import hopfield


@pytest.mark.slow
def test_a_small_network_remembers_few_patterns_and_forgets_many():
    config = hopfield.Config(units=100, seeds=1)
    result = hopfield.train(config)
    overlaps = dict(zip(result.curves["overlap"].x, result.curves["overlap"].y, strict=True))
    assert overlaps[0.06] > 0.95
    assert overlaps[0.20] < overlaps[0.06] - 0.1
    assert result.measured["energy increases"] == 0
    assert set(result.measured) == set(hopfield.METRICS)
    (figure,) = hopfield.draw_curves(config, [result]).values()
    assert [len(axes.lines) for axes in figure.axes] == [3, 2]


def test_the_overlap_of_equal_and_opposite_states():
    states = np.array([[1, -1, 1, 1]])
    assert hopfield.overlap(states, states) == 1
    assert hopfield.overlap(states, -states) == -1
    assert hopfield.overlap(states, np.array([[1, 1, 1, -1]])) == 0


def test_digits_have_different_classes_and_two_values():
    digits = hopfield.load_digits(seed=0)
    assert digits.shape == (8, 16, 16)
    assert set(np.unique(digits)) == {-1, 1}
    assert len({digit.tobytes() for digit in digits}) == 8


@pytest.mark.thorough
def test_ten_draws_show_the_critical_load():
    results = [hopfield.train(config) for config in hopfield.Config().repeats()]
    overlaps = {load: np.mean([result.measured[f"overlap, load {load:.2f}"] for result in results])
                for load in hopfield.MEASURED_LOADS}  # fmt: skip
    assert overlaps[0.10] >= 0.99
    assert overlaps[0.17] < 0.90
    assert overlaps[0.20] < 0.75
