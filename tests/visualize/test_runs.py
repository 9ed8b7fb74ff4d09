"""Functions of `dk.visualize` take a `Run` in place of its model."""

import inspect
import types

import keras
import numpy as np
import pytest

import deepkit as dk
from deepkit.visualize.model_inputs import is_run

X, Y = np.eye(3, dtype="float32").repeat(8, 0), np.repeat(["cat", "dog", "owl"], 8)


@pytest.fixture(scope="module")
def run():
    return dk.fit(dk.Classifier(3), X, Y, epochs=2, verbose=0)


@pytest.mark.parametrize("module", [dk.visualize, dk.visualize.arrays])
def test_every_function_of_a_model_takes_a_run(module):
    for name in module.__all__:
        function = getattr(module, name)
        if inspect.isfunction(function) and "model" in inspect.signature(function).parameters:
            assert hasattr(function, "__wrapped__"), name
            assert "A `Run` stands for its model." in function.__doc__, name


def test_a_run_gives_its_model_and_its_class_names(run):
    classes = np.repeat([0, 1, 2], 8)
    counts = dk.visualize.arrays.confusion(run.model, (X, classes))
    np.testing.assert_array_equal(dk.visualize.arrays.confusion(run, (X, classes)), counts)
    np.testing.assert_array_equal(dk.visualize.arrays.confusion(model=run, data=(X, Y)), counts)
    axes = dk.visualize.confusion(run, (X, classes)).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cat", "dog", "owl"]
    axes = dk.visualize.confusion(run, (X, classes), class_names=("a", "b", "c")).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]
    assert len(dk.visualize.curves(run).axes) == 2
    assert dk.visualize.diagram(run).axes


def test_runs_by_name(run):
    model = dk.Sequential([dk.Recurrent("gru", 2), dk.Regressor(1)]).build((4, 2))
    runs = {"a": types.SimpleNamespace(model=model), "b": model}
    lines = dk.visualize.gradient_over_lag(runs, np.ones((2, 4, 2), "float32")).axes[0].get_lines()
    np.testing.assert_array_equal(lines[0].get_ydata(), lines[1].get_ydata())


def test_a_definition_and_a_wrong_call_keep_their_errors():
    with pytest.raises(TypeError, match=r"expected a keras.Model, received Classifier\n  hint: use definition.build"):
        dk.visualize.confusion(dk.Classifier(3), (X, Y))
    with pytest.raises(TypeError, match=r"confusion.* missing 1 required positional argument: 'data'"):
        dk.visualize.confusion(dk.Classifier(3).build((3,)))
    model = keras.Sequential([keras.Input((3,))])
    model.model = model
    assert not is_run(model)
