"""The identity of functions, classes and values: equal code has one identity, and any change another."""

import functools
import pathlib
import sys
import threading
from types import FunctionType

import keras
import numpy as np
import pytest

from deepkit.utils.function_identity import function_identity, identify, is_plain

FACTOR = 2.0


def scaled(x):
    return FACTOR * x


def halved(x):
    return scaled(x) / 4


def power(exponent):
    def function(x, offset=1):
        return x**exponent + offset

    return function


class Clip:
    """A callable object."""

    def __init__(self, limit, weights=None):
        self.limit, self.weights = limit, weights

    def __call__(self, x):
        return min(x, self.limit)

    def method(self, x):
        return -self(x)


def with_code(function, source):
    """Return a copy of a function whose body is that of a lambda."""
    code = source.__code__.replace(co_name=function.__name__, co_qualname=function.__qualname__)
    return FunctionType(code, function.__globals__, function.__name__)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (power(2), power(3)),
        (functools.partial(power, 2), functools.partial(power, 3)),
        (functools.partial(power, exponent=2), functools.partial(power, exponent=3)),
        (Clip(1), Clip(2)),
        (Clip(1).method, Clip(2).method),
        (Clip(1, np.ones(5)), Clip(1, np.zeros(5))),
        (power(np.arange(9)), power(np.arange(1, 10))),
        (power(power(2)), power(power(3))),
        (power(Clip(1)), power(Clip(2))),
        (power([1, {"a": 2}]), power([1, {"a": 3}])),
        (power(pathlib.Path("a")), power(pathlib.Path("b"))),
        (power(keras.initializers.Constant(1)), power(keras.initializers.Constant(2))),
        (power(keras.ops.convert_to_tensor([1.0])), power(keras.ops.convert_to_tensor([2.0]))),
    ],
)
def test_a_changed_value_changes_the_identity(first, second):
    assert function_identity(first) != function_identity(second)
    assert function_identity(first) == function_identity(first)
    assert not identify(first).unidentified


def test_a_changed_global_variable_changes_the_identity(monkeypatch):
    before = function_identity(halved), function_identity(scaled)
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 3.0)
    after = function_identity(halved), function_identity(scaled)
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_a_changed_function_that_is_called_changes_the_identity(monkeypatch):
    before = function_identity(halved)
    monkeypatch.setattr(sys.modules[__name__], "scaled", with_code(scaled, lambda x: x * FACTOR))
    assert function_identity(halved) != before


def test_a_changed_method_changes_the_identity_of_a_class_and_of_its_subclasses(monkeypatch):
    class Narrow(Clip):
        scale = 3

    before = identify(Narrow).text, identify(Clip(1)).text
    monkeypatch.setattr(Clip, "__call__", lambda self, x: max(x, self.limit))
    after = identify(Narrow).text, identify(Clip(1)).text
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_a_class_that_refers_to_itself_has_an_identity():
    class Tree:
        def __init__(self):
            super().__init__()
            self.child = Tree

    assert identify(Tree).text.startswith(f"{__name__}.")


def test_values_that_have_no_text_are_named():
    lock = threading.Lock()
    assert identify(power(lock)).unidentified == ("exponent (lock)",)
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    assert identify(power({"net": layer})).unidentified == ("exponent['net'] (Dense)",)


def test_functions_of_libraries_are_identified_by_their_names():
    assert function_identity(keras.losses.mean_squared_error).endswith(".mean_squared_error")
    assert " " not in identify(keras.layers.Dense).text


def test_plain_values():
    assert is_plain({"a": [1, (2.0, None)], "b": np.zeros(3)})
    assert not is_plain([1, object()])
