"""Checks of arguments: each returns the value as a plain Python value, or raises with what was received.

NumPy's numbers and booleans are accepted wherever Python's are. `name` is how the message names the argument:
`"ConvBlock: filters"`.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import TypeVar

from deepkit.utils.errors import did_you_mean, format_value, make_error

Choice = TypeVar("Choice")


def is_integer(value: object) -> bool:
    """Return whether a value is an integer of Python's or NumPy's; booleans are not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Return whether a value is a finite real number of Python's or NumPy's; booleans are not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def is_flag(value: object) -> bool:
    """Return whether a value is a boolean of Python's or NumPy's."""
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
    """Return an integer in a range; by default a positive one."""
    if not is_integer(value) or int(value) < minimum:  # type: ignore[call-overload]
        kind = "a positive integer" if minimum == 1 else f"an integer of at least {minimum}"
        raise make_error(error, f"{name} must be {kind}, received {format_value(value)}", hint=hint)
    number = int(value)  # type: ignore[call-overload]
    if maximum is not None and number > maximum:
        raise make_error(error, f"{name} must be at most {maximum:,}, received {format_value(number)}", hint=hint)
    return int(number)


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
    if is_number(value):
        number = int(value) if is_integer(value) else float(value)  # type: ignore[call-overload, arg-type]
        if (
            (above is None or number > above)
            and (minimum is None or number >= minimum)
            and (below is None or number < below)
            and (maximum is None or number <= maximum)
        ):
            return number
    bounds = _bounds(above, minimum, below, maximum)
    raise make_error(error, f"{name} must be a number{bounds}, received {format_value(value)}", hint=hint)


def check_fraction(value: object, name: str, *, error: type[Exception] = ValueError, hint: str = "") -> float:
    """Return a fraction from 0 to below 1."""
    if not is_number(value) or not 0 <= float(value) < 1:  # type: ignore[arg-type]
        raise make_error(error, f"{name} must be a fraction in [0, 1), received {format_value(value)}", hint=hint)
    return float(value)  # type: ignore[arg-type]


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
    """Return the one of the choices that equals the value and has its type; suggest the closest name otherwise."""
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
    expected = ", ".join(repr(choice) for choice in choices)
    problem = f"{name} must be one of {expected}, received {format_value(value)}{did_you_mean(value, choices)}"
    raise make_error(error, problem, hint=hint)


def _bounds(above: float | None, minimum: float | None, below: float | None, maximum: float | None) -> str:
    low = f" above {above:g}" if above is not None else f" from {minimum:g}" if minimum is not None else ""
    if below is not None:
        return f"{low} to below {below:g}" if low else f" below {below:g}"
    if maximum is not None:
        return f"{low} to {maximum:g}" if low else f" of at most {maximum:g}"
    return low
