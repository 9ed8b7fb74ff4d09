from __future__ import annotations

import numpy as np
import pytest

import deepkit as dk
from deepkit.teaching import tape
from recipes.basics import backpropagation, gradient_cost
from recipes.basics.derivatives import DERIVATIVES, LOSSES


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_example_network_reproduces_the_printed_outputs():
    outputs = backpropagation.example_outputs()
    np.testing.assert_allclose(list(outputs.values()), [0.61770, 0.82914, 0.51181, 0.85440], atol=5e-5)
    assert [round(value, 2) for value in outputs.values()] == [0.62, 0.83, 0.51, 0.85]


@pytest.mark.parametrize("activation", DERIVATIVES)
def test_deltas_and_gradients_equal_those_of_tensorflow(activation, rng):
    assert len(LOSSES) == 5
    for loss in LOSSES:
        assert backpropagation.compare_deltas(loss, activation, rng) < 1e-12


def test_a_gradient_equals_central_differences(rng):
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    weights = [rng.normal(size=(3, 4)), rng.normal(size=(4, 2))]

    def loss():
        return np.mean((backpropagation.forward(x, weights, np.tanh)[1][-1] - y) ** 2)

    inputs, sums = backpropagation.forward(x, weights, np.tanh)
    delta = LOSSES["squared error"][1](sums[-1], y) / len(x)
    _, gradients = backpropagation.backpropagate(inputs, sums, weights, delta, DERIVATIVES["tanh"][1])
    for w, gradient in zip(weights, gradients, strict=True):
        for index in np.ndindex(w.shape):
            values = []
            for change in (1e-5, -2e-5):
                w[index] += change
                values.append(loss())
            w[index] += 1e-5
            assert (values[0] - values[1]) / 2e-5 == pytest.approx(gradient[index], abs=1e-8)


def test_the_derivative_of_relu_is_zero_at_zero():
    assert DERIVATIVES["ReLU"][1](np.zeros(1), np.zeros(1)) == 0


@pytest.mark.parametrize(
    ("point", "value", "gradient"),
    [
        ((0.5, 0.3), 7.34680307, (21.61867585, -56.03703240)),
        ((1, 2), 2819.41353694, (7.51830796, 11592.48389399)),
    ],
)
def test_the_tape_has_eight_correct_digits(point, value, gradient):
    trace = tape.Trace(backpropagation.notes_function, *point)
    np.testing.assert_allclose([trace.value, *trace.gradient], [value, *gradient], rtol=0, atol=5e-9)
    assert backpropagation.compare_tape()["difference, tape"] < 1e-12


def test_the_sum_over_time_equals_the_gradient_of_keras(rng):
    difference, norms = backpropagation.compare_time_steps(rng, seed=0)
    assert difference < 1e-12
    assert len(norms) == backpropagation.TIME_STEPS
    assert norms[-1] == 0  # the state before the first step is 0
    assert norms[-2] < norms[0]


def test_layers_and_weights(rng):
    assert backpropagation.compare_layer(rng) < 1e-12
    assert backpropagation.compare_derivatives(rng) < 1e-12
    collapse = backpropagation.collapse(rng)
    assert collapse["rank, linear"] == 5 < collapse["rank, ReLU"]
    assert collapse["difference, one matrix"] < 1e-12
    assert max(backpropagation.symmetries(rng).values()) < 1e-12


def test_the_tape_counts_at_most_five_times_the_operations(rng):
    ratios = [gradient_cost.counted_ratio(depth, rng) for depth in (2, 8)]
    assert 4 < ratios[0] < ratios[1] < 5


def test_the_figures_draw_recorded_curves():
    curve = dk.recipe.Curve([2, 32], [2.0, 2.5])
    curves = {"time ratio": curve, "counted ratio": curve, "contributions": curve}
    results = [dk.recipe.Result(measured={}, data="", curves=curves)] * 2
    figures = backpropagation.draw_curves(backpropagation.Config(), results)
    assert [len(figure.axes) for figure in figures.values()] == [2, 6]


@pytest.mark.slow
def test_the_gradient_costs_less_than_five_times_the_function(rng):
    ratios = [gradient_cost.time_ratio(depth, 5, rng) for depth in (4, 32)]
    assert max(ratios) < 5
