"""Rules of primitives: each computes the value of a variable, and its derivative with respect to each parent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

Rule: TypeAlias = Callable[..., Sequence[float]]  # of the values of the parents
Slope: TypeAlias = Callable[[float, float], float]  # of x and of the value z at x: dz/dx


def quotient(x: float, y: float) -> tuple[float, float, float]:
    """Return x / y, computed as the product of x and 1 / y, and its derivatives with respect to x and y."""
    reciprocal = 1 / y
    value = x * reciprocal
    return value, reciprocal, -value * reciprocal


def power(p: float) -> Rule:
    """Return the rule of x^p; x^0 is the constant 1, also at 0."""
    return lambda x: (math.pow(x, p), p * math.pow(x, p - 1) if p else 0.0)


def chain(function: Callable[[float], float], slope: Slope, a: float, b: float) -> Rule:
    """Return the rule of z = function(a x + b) by the chain rule; `slope` returns the derivative of the function."""

    def rule(x: float) -> tuple[float, float]:
        argument = a * x + b
        z = function(argument)
        return z, a * slope(argument, z)

    return rule
