"""Checks of arguments: each returns a plain Python value, or raises an error with the received value.

NumPy numbers and booleans are accepted. `name` is the name of the argument in the message: `"ConvBlock: filters"`.
"""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Sequence
from typing import TypeVar

from deepkit.utils.errors import did_you_mean, format_value, make_error

Choice = TypeVar("Choice")

MAX_INTEGER = 2**63 - 1  # the largest integer of TensorFlow


def is_integer(value: object) -> bool:
    """Return whether a value is a Python or NumPy integer; booleans are not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Return whether a value is a finite Python or NumPy number; booleans and complex numbers are not."""
    if is_integer(value):
        return True  # `math.isfinite` raises for an integer above the largest float
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def is_flag(value: object) -> bool:
    """Return whether a value is a Python or NumPy boolean."""
    return isinstance(value, bool) or (type(value).__name__ in ("bool", "bool_") and type(value).__module__ == "numpy")


def check_integer(
    value: object,
    name: str,
    *,
    minimum: int = 1,
    maximum: int | None = None,
    error: type[Exception] = ValueError,
    hint: str = "",
) -> int:
    """Return an integer of at least `minimum` and at most `maximum`, by default the largest of 64 bits."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or int(value) < minimum:
        kind = "a positive integer" if minimum == 1 else f"an integer of at least {minimum}"
        raise make_error(error, f"{name} must be {kind}, received {format_value(value)}", hint=hint)
    number = int(value)
    maximum = MAX_INTEGER if maximum is None else maximum
    if number > maximum:
        raise make_error(error, f"{name} must be at most {maximum:,}, received {format_value(number)}", hint=hint)
    return number


def check_number(
    value: object,
    name: str,
    *,
    above: float | None = None,
    minimum: float | None = None,
    below: float | None = None,
    maximum: float | None = None,
    error: type[Exception] = ValueError,
    hint: str = "",
) -> float:
    """Return a finite number in a range: `above` and `below` are exclusive, `minimum` and `maximum` inclusive."""
    if isinstance(value, numbers.Real) and is_number(value):
        number = int(value) if isinstance(value, numbers.Integral) else float(value)
        if (
            (above is None or number > above)
            and (minimum is None or number >= minimum)
            and (below is None or number < below)
            and (maximum is None or number <= maximum)
        ):
            if abs(number) <= sys.float_info.max:
                return number
            problem = f"{name} must be a number that a float can hold, received {format_value(value)}"
            raise make_error(error, problem, hint=hint)
    bounds = _bounds(above, minimum, below, maximum)
    raise make_error(error, f"{name} must be a number{bounds}, received {format_value(value)}", hint=hint)


def check_fraction(value: object, name: str, *, error: type[Exception] = ValueError, hint: str = "") -> float:
    """Return a number of at least 0 and below 1."""
    if isinstance(value, numbers.Real) and is_number(value):
        number = int(value) if isinstance(value, numbers.Integral) else float(value)
        if 0 <= number < 1:
            return float(number)
    raise make_error(error, f"{name} must be a fraction in [0, 1), received {format_value(value)}", hint=hint)


def check_discount(value: object, name: str) -> float:
    """Return a discount of rewards with which every sum of rewards is finite: at least 0 and below 1."""
    hint = "use a discount such as 0.95; with 1, the value of a policy that never ends is infinite"
    return check_fraction(value, name, hint=hint)


def check_flag(value: object, name: str, *, error: type[Exception] = ValueError, hint: str = "") -> bool:
    """Return a boolean."""
    if not is_flag(value):
        raise make_error(error, f"{name} must be True or False, received {format_value(value)}", hint=hint)
    return bool(value)


def check_choice(
    value: object,
    name: str,
    choices: Sequence[Choice],
    *,
    error: type[Exception] = ValueError,
    hint: str = "",
) -> Choice:
    """Return the choice that equals the value and has its type; the error suggests the closest one."""
    plain = _as_python_value(value)
    for choice in choices:
        if type(choice) is type(plain) and choice == plain:
            return choice
    expected = ", ".join(repr(choice) for choice in choices)
    problem = f"{name} must be one of {expected}, received {format_value(value)}{did_you_mean(value, choices)}"
    raise make_error(error, problem, hint=hint)


def _as_python_value(value: object) -> object:
    """Return a NumPy boolean, integer or string as a Python value, and any other value unchanged."""
    if is_flag(value):
        return bool(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    return str(value) if isinstance(value, str) else value


def _bounds(above: float | None, minimum: float | None, below: float | None, maximum: float | None) -> str:
    """Return a range for a message: `" from 0 to below 1"`, `" above 0 and at most 1"`."""
    if above is not None:
        lower, inclusive, exclusive = f" above {above:g}", " and at most", " and below"
    elif minimum is not None:
        lower, inclusive, exclusive = f" from {minimum:g}", " to", " to below"
    else:
        lower, inclusive, exclusive = "", " of at most", " below"
    if below is not None:
        return f"{lower}{exclusive} {below:g}"
    if maximum is not None:
        return f"{lower}{inclusive} {maximum:g}"
    return lower
