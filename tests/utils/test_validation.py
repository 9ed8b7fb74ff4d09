"""Checks of arguments return plain Python values, and name the argument and the received value."""

import math
from fractions import Fraction

import numpy as np
import pytest

import deepkit as dk
from deepkit.utils.validation import (
    check_choice,
    check_flag,
    check_fraction,
    check_integer,
    check_number,
    is_flag,
    is_integer,
    is_number,
)

HUGE = 10**400  # above the largest float


def error_of(check, *args, **kwargs) -> str:
    with pytest.raises(ValueError, match="must be") as error:
        check(*args, **kwargs)
    return str(error.value)


@pytest.mark.parametrize("value", [0, 3, np.int64(3), np.uint8(3), HUGE])
def test_integers(value):
    assert is_integer(value)
    assert is_number(value)


@pytest.mark.parametrize("value", [True, np.bool_(True), 3.0, np.float32(3), "3", None, np.array(3), [3]])
def test_values_that_are_not_integers(value):
    assert not is_integer(value)


@pytest.mark.parametrize("value", [1.5, np.float32(1.5), Fraction(1, 2)])
def test_numbers(value):
    assert is_number(value)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, np.float32("nan"), True, np.bool_(False), 1j, "1", np.array(1.0)]
)
def test_values_that_are_not_numbers(value):
    assert not is_number(value)


def test_flags():
    assert is_flag(True)
    assert is_flag(np.bool_(False))
    assert not is_flag(1)
    assert not is_flag(np.array(True))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (check_integer(np.int64(3), "n"), 3),
        (check_integer(0, "n", minimum=0), 0),
        (check_number(np.float32(0.5), "n"), 0.5),
        (check_number(np.int32(2), "n"), 2),
        (check_fraction(np.float64(0.25), "n"), 0.25),
        (check_fraction(0, "n"), 0.0),
        (check_flag(np.bool_(True), "n"), True),
        (check_choice("a", "n", ["a", "b"]), "a"),
        (check_choice(None, "n", ["a", None]), None),
    ],
)
def test_the_result_is_a_plain_python_value(result, expected):
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("check", "value", "kwargs", "message"),
    [
        (check_integer, 0, {}, "n must be a positive integer, received 0"),
        (check_integer, True, {}, "n must be a positive integer, received True"),
        (check_integer, -1, {"minimum": 0}, "n must be an integer of at least 0, received -1"),
        (check_integer, 2000, {"maximum": 1000}, "n must be at most 1,000, received 2000"),
        (check_number, "1", {}, "n must be a number, received '1'"),
        (check_number, 0, {"above": 0}, "n must be a number above 0, received 0"),
        (check_number, math.nan, {"minimum": 0}, "n must be a number from 0, received nan"),
        (check_number, 2, {"minimum": 0, "maximum": 1}, "n must be a number from 0 to 1, received 2"),
        (check_number, 1, {"above": 0, "below": 1}, "n must be a number above 0 and below 1, received 1"),
        (check_number, 2, {"below": 1}, "n must be a number below 1, received 2"),
        (check_number, 2, {"maximum": 1}, "n must be a number of at most 1, received 2"),
        (check_fraction, 1, {}, "n must be a fraction in [0, 1), received 1"),
        (check_flag, 1, {}, "n must be True or False, received 1"),
    ],
)
def test_the_message_names_the_argument_and_the_value(check, value, kwargs, message):
    assert error_of(check, value, "n", **kwargs) == message
    assert error_of(check, value, "n", hint="use 2", **kwargs) == f"{message}\n  hint: use 2"


def test_a_wrong_choice():
    assert error_of(check_choice, "vali", "padding", ["same", "valid"]) == (
        "padding must be one of 'same', 'valid', received 'vali'; did you mean 'valid'?"
    )
    assert error_of(check_choice, 1, "n", [True]) == "n must be one of True, received 1"


def test_a_large_array_is_not_printed():
    array = np.broadcast_to(np.int8(1), (100_000_000,))
    expected = "received <ndarray of shape (100000000,) and dtype int8>"
    for check in (check_integer, check_number, check_fraction, check_flag):
        assert error_of(check, array, "n").endswith(expected)
    assert error_of(check_choice, array, "n", ["a"]).endswith(expected)


def test_the_class_of_the_error():
    with pytest.raises(dk.DefinitionError):
        check_integer(0, "n", error=dk.DefinitionError)


def test_a_number_above_the_largest_float_is_refused():
    assert "n must be a number that a float can hold, received 1000" in error_of(check_number, HUGE, "n", minimum=0)
    assert "n must be a number of at most 1, received 1000" in error_of(check_number, HUGE, "n", maximum=1)
