"""The energy over the steps of a recall: numbers, figure, errors."""

import keras
import numpy as np
import pytest

import deepkit as dk
from deepkit.visualize import arrays

PATTERNS = np.random.default_rng(0).choice([-1, 1], size=(6, 40))


def stored(patterns=PATTERNS[:3]):
    model = dk.Hopfield(40).build()
    model.store(patterns)
    return model


def test_the_lines_are_the_energies_of_the_states():
    model = stored()
    path = model.recall_path(PATTERNS, seed=0)
    energies = arrays.energy(model, path)
    assert energies.shape == (len(path), 6)
    np.testing.assert_array_equal(energies[-1], model.energy(path[-1]))
    axes = dk.visualize.energy(model, path).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Step", "Energy")
    for line, expected in zip(axes.lines, energies.T, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), np.arange(len(path)))
        np.testing.assert_array_equal(line.get_ydata(), expected)


class Sums(keras.Model):
    """A model of a user with an energy."""

    def energy(self, x):
        return keras.ops.sum(keras.ops.convert_to_tensor(x), axis=-1)


def test_any_model_with_an_energy_is_drawn():
    states = np.arange(24.0).reshape(4, 2, 3)
    np.testing.assert_array_equal(arrays.energy(Sums(), states), states.sum(axis=-1))


class OneNumber(keras.Model):
    """A model whose energy is a single number."""

    def energy(self, x):
        return np.sum(x)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: arrays.energy(dk.Hopfield(2), np.ones((1, 1, 2))),
            TypeError,
            "expected a keras.Model with a method energy, received Hopfield\n  hint: use model = dk.Hopfield(units)",
        ),
        (
            lambda: arrays.energy(stored(), PATTERNS),
            ValueError,
            "expected states (steps, batch, ...), received <ndarray of shape (6, 40)",
        ),
        (lambda: arrays.energy(stored(), np.ones((0, 1, 40))), ValueError, "hint: use states = model.recall_path(x)"),
        (
            lambda: arrays.energy(OneNumber(), np.ones((2, 3, 4))),
            ValueError,
            "an energy for each of 3 states, received",
        ),
    ],
)
def test_wrong_arguments_raise_errors(call, error, text):
    with pytest.raises(error) as raised:
        call()
    assert text in str(raised.value)
