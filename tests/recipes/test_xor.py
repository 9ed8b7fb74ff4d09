from __future__ import annotations

import keras
import numpy as np
import pytest

import deepkit as dk
from recipes.basics import xor


@pytest.mark.parametrize("seed", range(3))
def test_the_network_has_nine_parameters(seed):
    assert xor.RECIPE.build(xor.Config(seed=seed)).count_params() == 9


def test_constructed_weights_are_exact():
    output = np.asarray(xor.constructed_network()(xor.POINTS))
    np.testing.assert_array_equal(output, xor.LABELS)


def test_linear_hidden_units_cannot_compute_xor():
    model = xor.network("linear", "hard_sigmoid").build((2,))
    model.set_weights(xor.constructed_network().get_weights())
    assert xor.count_correct(model) < 4


def test_an_undecided_output_is_wrong():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, "sigmoid", kernel_initializer="zeros")])
    assert xor.count_correct(model) == 0


def test_every_batch_is_the_four_points():
    data = xor.load_data(xor.Config())
    x, y = next(iter(data.train))
    np.testing.assert_array_equal(x, xor.POINTS)
    np.testing.assert_array_equal(y, xor.LABELS)
    assert data.train.steps == xor.STEPS


def test_a_smoke_run_reports(capsys):
    report = dk.recipe.run(xor.RECIPE, xor.Config.smoke())
    assert [len(m.values) for m in report.measured.values()] == [2, 2, 2, 2]
    assert report.measured["constructed"].mean == 1.0
    assert "SMOKE RUN" in capsys.readouterr().out


def test_the_figure_shows_a_solved_and_an_unsolved_start():
    model = xor.constructed_network()
    results = [xor.Result(measured={"solved": s}, data="", model=model) for s in (0.0, 1.0)]
    (figure,) = xor.draw(xor.Config(), results).values()
    assert [axes.get_title() for axes in figure.axes] == ["solved: seed 1", "local minimum: seed 0"]
    (figure,) = xor.draw(xor.Config(), results[:1]).values()
    assert figure.axes[0].get_title() == "solved: none"


@pytest.mark.slow
def test_some_starts_solve_it_and_some_do_not():
    rate = dk.recipe.run(xor.RECIPE, xor.Config()).measured["solved"].mean
    assert 0.2 <= rate <= 0.8
