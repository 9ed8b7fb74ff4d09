"""Reverse-mode automatic differentiation of scalar functions in plain Python, written to be read.

An evaluation trace computes f(w1, ..., wd) step by step. Each intermediate variable z1, z2, ... is a primitive of
earlier variables: an affine transformation such as z4 = 3 z1 - z3, a product or a power of variables such as
z1 = w1 / w2, or a fixed differentiable function of one variable such as z3 = exp(2 w2).

The forward pass computes all values. The backward pass begins with df/df = 1 and visits the variables in reverse order:
by the chain rule, df/dz is the sum of df/dc * dc/dz over the variables c that are computed from z. Value and gradient
take at most five times the operations of the value, for any number of inputs (Baur & Strassen 1983, "The Complexity of
Partial Derivatives"; Griewank & Walther 2008, "Evaluating Derivatives", chapter 4).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from operator import mul
from typing import Any

from deepkit.teaching import trace_checks as checks
from deepkit.teaching.primitives import Rule, Slope, chain, power, quotient
from deepkit.teaching.trace_display import affine_text, trace_repr, trace_text
from deepkit.utils.display import Displayable


@checks.exclude_other_operations  # abs, comparisons, // and others raise an error with a hint
class Expression:
    """scale * variable + shift, which joins the primitive that uses it: exp(2 w2) is one primitive, not two."""

    def __init__(self, variable: Variable, scale: float = 1.0, shift: float = 0.0) -> None:
        self.variable, self.scale, self.shift = variable, scale, shift

    def __repr__(self) -> str:
        return affine_text([(self.scale, self.variable)], self.shift)

    def as_variable(self) -> Variable:
        """Return the variable that has this value; record the affine transformation if there is none yet."""
        if (self.scale, self.shift) != (1, 0):
            variable = affine([(self.scale, self.variable)], self.shift)
            self.variable, self.scale, self.shift = variable, 1.0, 0.0
        return self.variable

    def __add__(self, other: Expression | float) -> Expression:
        if not isinstance(other, Expression):
            return Expression(self.variable, self.scale, self.shift + checks.number(other))
        return affine([(self.scale, self.variable), (other.scale, other.variable)], self.shift + other.shift)

    def __mul__(self, other: Expression | float) -> Expression:
        if not isinstance(other, Expression):
            factor = checks.number(other)
            return Expression(self.variable, self.scale * factor, self.shift * factor)
        x, y = self.as_variable(), other.as_variable()
        return record("product", f"{x.name} * {y.name}", [x, y], lambda x, y: (x * y, y, x), 1)

    def __truediv__(self, other: Expression | float) -> Expression:
        if not isinstance(other, Expression):
            return self * (1 / checks.divisor(other))
        x, y = self.as_variable(), other.as_variable()
        return record("product", f"{x.name} / {y.name}", [x, y], quotient, 2, 2)

    def __pow__(self, other: Expression | float) -> Expression:
        x, p = self.as_variable(), checks.exponent(other)
        return record("product", f"{x.name}^{p:g}", [x], power(p), 1, 2)

    def __rtruediv__(self, other: Expression | float) -> Expression:
        return other * self**-1

    def __sub__(self, other: Expression | float) -> Expression:
        return self + -1 * other

    def __rsub__(self, other: Expression | float) -> Expression:
        return -1 * self + other

    def __neg__(self) -> Expression:
        return -1 * self

    __radd__, __rmul__ = __add__, __mul__


class Variable(Expression):
    """An input w1, w2, ... or an intermediate variable z1, z2, ... of a trace."""

    def __init__(self, trace: Trace, name: str, kind: str, text: str, value: float) -> None:
        super().__init__(self)
        self.trace, self.name, self.kind, self.text, self.value = trace, name, kind, text, value
        self.parents: list[tuple[Variable, float]] = []  # each variable x of the primitive, and dz/dx
        self.derivative = 0.0  # df/dz


class Trace(Displayable):
    """The evaluation trace of a function at a point, with its value and its gradient; `print` shows it as a table.

    Examples:
        >>> Trace(lambda w1, w2: 3 * w1 - exp(w1 * w2), 2.0, 0.0).gradient
        (3.0, -2.0)
    """

    def __init__(self, function: Callable[..., Any], *point: float) -> None:
        point = checks.point(function, point)
        self.inputs = [Variable(self, f"w{i}", "input", "", value) for i, value in enumerate(point, start=1)]
        self.variables: list[Variable] = []  # z1, z2, ..., in the order of evaluation
        self.function_operations = self.gradient_operations = 0  # for the value, for value and gradient
        output = checks.output(self, function(*self.inputs)).as_variable()  # the forward pass
        output.derivative = 1.0
        for z in reversed(self.variables):  # the backward pass
            for x, slope in z.parents:
                x.derivative += z.derivative * slope
                self.gradient_operations += 2
        self.output, self.value = output, output.value
        self.gradient = tuple(w.derivative for w in self.inputs)

    __str__, __repr__ = trace_text, trace_repr


def record(kind: str, text: str, parents: list[Variable], rule: Rule, cost: int, slopes_cost: int = 0) -> Variable:
    """Add a variable to the trace: `rule` computes its value, and its partial derivative for each of the parents."""
    trace = checks.common_trace(parents)
    value, *slopes = checks.evaluate(rule, parents, text)
    z = Variable(trace, f"z{len(trace.variables) + 1}", kind, text, value)
    z.parents = list(zip(parents, slopes, strict=True))
    trace.variables.append(z)
    trace.function_operations += cost
    trace.gradient_operations += cost + slopes_cost
    return z


def affine(terms: list[tuple[float, Variable]], b: float) -> Variable:
    """Record the affine transformation a1 x1 + b, or a1 x1 + a2 x2 + b."""
    factors, parents = [a for a, _ in terms], [x for _, x in terms]
    cost = max(1, len(terms) - 1 + sum(abs(a) != 1 for a in factors) + (b != 0))
    return record("affine", affine_text(terms, b), parents, lambda *x: (sum(map(mul, factors, x), b), *factors), cost)


def apply(name: str, function: Callable[[float], float], slope: Slope, slope_cost: int, x: Expression | float) -> Any:
    """Record a function of one variable; `slope` returns its derivative at x, where its value is z."""
    if not isinstance(x, Expression):
        return checks.constant(name, function, x)
    a, b, cost = x.scale, x.shift, 1 + (x.scale != 1) + (x.shift != 0)
    return record("function", f"{name}({x!r})", [x.variable], chain(function, slope, a, b), cost, slope_cost + (a != 1))


sin = partial(apply, "sin", math.sin, lambda x, z: math.cos(x), 1)
cos = partial(apply, "cos", math.cos, lambda x, z: -math.sin(x), 2)
tanh = partial(apply, "tanh", math.tanh, lambda x, z: 1 - z * z, 2)
exp = partial(apply, "exp", math.exp, lambda x, z: z, 0)
log = partial(apply, "log", math.log, lambda x, z: 1 / x, 1)
sqrt = partial(apply, "sqrt", math.sqrt, lambda x, z: 0.5 / z, 1)
sigmoid = partial(apply, "sigmoid", lambda x: 0.5 + 0.5 * math.tanh(0.5 * x), lambda x, z: z * (1 - z), 2)
