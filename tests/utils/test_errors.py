"""The layout of error messages, and short texts for any value."""

import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.utils.errors import (
    MAX_CODE_LINES,
    MAX_VALUE_LENGTH,
    StructuredError,
    did_you_mean,
    did_you_mean_or_list,
    format_value,
    make_error,
    message,
)


def test_a_message_has_problem_path_code_and_hint():
    assert message("the problem") == "the problem"
    assert message("the problem", path="a.b", code="dk.MLP([3])", hint="use 4") == (
        "the problem\n  at    a.b\n  in    dk.MLP([3])\n  hint: use 4"
    )
    assert message("the problem", code=dk.MLP([3])) == "the problem\n  in    dk.MLP([3])"


def test_lines_of_code_are_aligned_and_limited():
    code = "\n".join(f"line {i}" for i in range(20))
    _, *lines = message("the problem", code=code).split("\n")
    assert lines[:2] == ["  in    line 0", "        line 1"]
    assert len(lines) == MAX_CODE_LINES
    assert lines[-1] == "        ..."


def test_an_error_keeps_its_parts_and_can_be_pickled():
    error = dk.DefinitionError("the problem", path="a", code="dk.MLP([3])", hint="use 4")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is dk.DefinitionError
    assert str(copy) == str(error) == message("the problem", path="a", code="dk.MLP([3])", hint="use 4")
    assert (copy.problem, copy.path, copy.code, copy.hint) == ("the problem", "a", "dk.MLP([3])", "use 4")


@pytest.mark.parametrize("kind", [ValueError, StructuredError, dk.DefinitionError])
def test_any_error_can_have_the_layout(kind):
    error = make_error(kind, "the problem", hint="use 4")
    assert type(error) is kind
    assert str(error) == "the problem\n  hint: use 4"


def test_an_array_is_described_and_never_printed():
    array = np.broadcast_to(np.float32(0), (100_000_000,))
    assert format_value(array) == "<ndarray of shape (100000000,) and dtype float32>"
    assert format_value({"x": [array]}) == "{'x': [<ndarray of shape (100000000,) and dtype float32>]}"


class RaisingShape:
    @property
    def shape(self):
        raise RuntimeError

    def __repr__(self):
        return "RaisingShape()"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(1.5), "1.5"),
        (np.bool_(True), "True"),
        (np.ndarray, "<class 'numpy.ndarray'>"),
        (tf.constant(3.0), "<EagerTensor scalar of dtype float32>"),
        (tf.TensorSpec(None), "<TensorSpec of unknown shape and dtype float32>"),
        (keras.KerasTensor((None, 3)), "<KerasTensor of shape (None, 3) and dtype float32>"),
        (list(range(1000)), "[0, 1, 2, 3, 4, 5, ...]"),
        (RaisingShape(), "RaisingShape()"),
        ("a", "'a'"),
        (None, "None"),
    ],
)
def test_texts_of_values(value, text):
    assert format_value(value) == text


@pytest.mark.parametrize(
    "value", ["x" * 1000, b"x" * 1000, 10**400, [np.zeros(3)] * 20, dict.fromkeys(range(9), "x" * 50)]
)
def test_texts_of_values_are_short(value):
    assert len(format_value(value)) <= MAX_VALUE_LENGTH
    assert "..." in format_value(value)


def test_integers_with_more_digits_than_python_prints():
    assert format_value(10**5000) == "<int of 16,610 bits>"


def test_suggestions():
    assert did_you_mean("sise", ["size", "units"]) == "; did you mean 'size'?"
    assert did_you_mean("zzz", ["size", "units"]) == ""
    assert did_you_mean_or_list("sise", ["size", "units"]) == "; did you mean 'size'?"
    assert did_you_mean_or_list("zzz", ["size", "units"]) == "; it takes size, units"
    assert did_you_mean_or_list("zzz", []) == "; it takes nothing"
