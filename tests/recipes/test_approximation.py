from __future__ import annotations

import numpy as np
import pytest

from deepkit.recipe import Result
from deepkit.recipe.curves import Curve
from recipes.basics import approximation
from recipes.basics.approximation import Config, grid, rings, wave


@pytest.mark.parametrize("units", [2, 16, 64])
def test_the_constructed_network_interpolates(units):
    model = approximation.constructed_network(wave, units)
    knots = np.linspace(-1, 1, units + 1)[:, None]
    np.testing.assert_allclose(model(knots), wave(knots), atol=1e-5)
    x = grid(1, 501)
    expected = np.interp(x[:, 0], knots[:, 0], wave(knots)[:, 0])
    np.testing.assert_allclose(np.asarray(model(x))[:, 0], expected, atol=1e-5)


def test_the_error_of_the_constructed_network_is_within_its_bound():
    curvature = (2 * np.pi) ** 2 + 0.5 * (5 * np.pi) ** 2  # at least the largest second derivative
    for units in (16, 32, 64, 128):
        error = approximation.sup_error(approximation.constructed_network(wave, units), wave, grid(1, 4001))
        assert error <= (2 / units) ** 2 / 8 * curvature


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_networks_of_all_depths_have_about_as_many_weights(depth):
    for num_weights in approximation.NUM_WEIGHTS:
        units = approximation.units_for(num_weights, depth)
        count = approximation.network(units, depth).build((2,)).count_params()
        assert count == pytest.approx(num_weights, rel=0.15)


def test_targets_and_grids():
    assert grid(2, 3).tolist() == [[-1, -1], [0, -1], [1, -1], [-1, 0], [0, 0], [1, 0], [-1, 1], [0, 1], [1, 1]]
    np.testing.assert_allclose(rings(np.array([[0.0, 0.0], [1.0, 1.0]])), [[1.0], [np.cos(3 * np.pi)]])
    np.testing.assert_allclose(wave(np.array([[0.25]])), [[1 + 0.5 * np.sin(1.25 * np.pi)]])


def test_the_figure_has_one_line_for_each_curve():
    names = ["wave, constructed", "wave, trained", "rings, 1 layer", "rings, 2 layers", "rings, 3 layers"]
    results = [Result(measured={}, data="", curves=dict.fromkeys(names, Curve([1, 2], [0.5, y]))) for y in (0.1, 0.4)]
    (figure,) = approximation.draw_curves(Config(), results).values()
    left, right = figure.axes
    assert [line.get_label() for line in right.lines if line.get_label()[0] != "_"] == [
        "1 layer",
        "2 layers",
        "3 layers",
    ]
    np.testing.assert_allclose(left.lines[0].get_ydata(), [0.5, 0.25])  # mean


@pytest.mark.slow
def test_a_wider_network_has_a_smaller_error():
    narrow, wide = (
        approximation.fit(approximation.network(units), wave, Config(), grid(1, 201), grid(1, 2001))
        for units in (2, 32)
    )
    assert wide < narrow / 4
