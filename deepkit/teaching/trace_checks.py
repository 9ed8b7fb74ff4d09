"""Checks of an evaluation trace: numbers, the point, the output, and operations that are not primitives."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from deepkit.utils.errors import format_value, make_error
from deepkit.utils.validation import is_integer, is_number

Class = TypeVar("Class")

_PRIMITIVES = "affine transformations, products and powers, and differentiable functions of one variable"
_FUNCTIONS = "use the functions of deepkit.teaching.tape, such as tape.sin(z)"
_ROUNDED = "rounding to integers", "use z itself, or z.value for a number that is not differentiated"
_COMPARED = "a comparison, as in if and max", "compare z.value; the trace then holds for the branch of this point"
_EXCLUDED = {  # the special methods of Python, and the reason in the error message
    ("__abs__",): ("abs", "use tape.sqrt(z ** 2) at points where z is not 0"),
    ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__bool__"): _COMPARED,
    ("__floordiv__", "__rfloordiv__", "__mod__", "__rmod__", "__divmod__", "__rdivmod__"): _ROUNDED,
    ("__round__", "__int__", "__index__", "__floor__", "__ceil__", "__trunc__"): _ROUNDED,
    ("__matmul__", "__rmatmul__", "__getitem__", "__len__", "__iter__", "exp", "log", "sqrt", "sin", "cos", "tanh"): (
        "an operation of arrays",
        "use one scalar variable for each number of a vector, and tape.exp(z) for each of them",
    ),
    ("__rpow__",): ("a variable exponent", "use tape.exp(math.log(2) * z) for 2 ** z"),
    ("__float__", "__complex__"): ("a function of another module", f"{_FUNCTIONS}, or z.value for a number"),
}


def exclude_other_operations(cls: type[Class]) -> type[Class]:
    """Return a class with methods that raise an error for operations that are not primitives."""
    for names, (operation, hint) in _EXCLUDED.items():
        for name in names:
            setattr(cls, name, _refuse(operation, hint))
    setattr(cls, "__array_ufunc__", _numpy_function)  # noqa: B010
    setattr(cls, "__pos__", lambda expression: expression)  # noqa: B010
    return cls


def _refuse(operation: str, hint: str) -> Callable[..., NoReturn]:
    def method(self: object, *others: object) -> NoReturn:
        raise make_error(TypeError, _not_a_primitive(operation), hint=hint)

    return method


def _not_a_primitive(operation: str) -> str:
    return f"{operation} is not a primitive of a trace; the primitives are {_PRIMITIVES}"


def _numpy_function(expression: Any, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """Compute `np.float64(2) * z` as `2.0 * z`; raise an error for a function such as `np.sin`."""
    operators = {"add": "__radd__", "subtract": "__rsub__", "multiply": "__rmul__", "divide": "__rtruediv__"}
    if ufunc.__name__ in operators and len(inputs) == 2 and inputs[1] is expression:
        return getattr(expression, operators[ufunc.__name__])(inputs[0])
    raise make_error(TypeError, _not_a_primitive(f"np.{ufunc.__name__}"), hint=_FUNCTIONS)


def number(value: Any) -> float:
    """Return a constant in an expression as a float."""
    if _is_float(value):
        return float(value)
    problem = f"a trace combines variables and finite numbers, received {format_value(value)}"
    raise make_error(TypeError, problem, hint="use one scalar variable for each number of a vector")


def _is_float(value: Any) -> bool:
    """Return whether a value is a finite number that a float can hold."""
    return is_number(value) and (not is_integer(value) or abs(int(value)) <= sys.float_info.max)


def constant(name: str, function: Callable[[float], float], value: Any) -> float:
    """Return the value of a function of one variable for a constant."""
    try:
        return function(number(value))
    except (ArithmeticError, ValueError):  # of `math`: outside the domain, or an overflow
        problem = f"tape.{name} has no finite value at {format_value(value)}"
        raise make_error(
            ValueError, problem, hint="use a number of its domain, with a value that a float can hold"
        ) from None


def divisor(value: Any) -> float:
    """Return a constant that is not 0 as a float."""
    if number(value) == 0:
        raise make_error(ValueError, "a variable cannot be divided by 0", hint="use a divisor other than 0")
    return number(value)


def exponent(value: Any) -> float:
    """Return a constant exponent as a float."""
    if hasattr(value, "variable"):
        hint = "use tape.exp(y * tape.log(x)) for x ** y"
        raise make_error(TypeError, _not_a_primitive("a variable exponent"), hint=hint)
    return number(value)


def point(function: object, values: Sequence[Any]) -> tuple[float, ...]:
    """Return the inputs of a function as floats."""
    if not callable(function):
        problem = f"Trace: expected a function, received {format_value(function)}"
        raise make_error(TypeError, problem, hint="pass Trace(f, w1, w2) with the function and its inputs")
    for value in values:
        if not _is_float(value):
            problem = f"Trace: expected finite numbers as inputs, received {format_value(value)}"
            raise make_error(TypeError, problem, hint="pass Trace(f, *point) for a point that is a list")
    if not values:
        problem = "Trace: expected at least one input, received none"
        raise make_error(ValueError, problem, hint="pass Trace(f, w1, w2) with the inputs of the function")
    return tuple(float(value) for value in values)


def output(trace: object, value: Any) -> Any:
    """Return the output of a function, a value of its trace."""
    variable = getattr(value, "variable", None)
    if variable is not None and variable.trace is trace:
        return value
    problem = f"Trace: the function must return one value computed from its inputs, received {format_value(value)}"
    hint = "return the output, a scalar variable"
    if variable is not None:
        problem, hint = "Trace: the function returned a variable of another trace", "use only the arguments of f"
    raise make_error(TypeError, problem, hint=hint)


def common_trace(variables: Sequence[Any]) -> Any:
    """Return the trace to which all variables belong."""
    if any(variable.trace is not variables[0].trace for variable in variables):
        names = " and ".join(variable.name for variable in variables)
        problem = f"{names} belong to different traces"
        raise make_error(ValueError, problem, hint="use only the arguments of the function, and numbers")
    if hasattr(variables[0].trace, "output"):
        problem = f"{variables[0].name} belongs to a trace that is finished, which records no further variables"
        raise make_error(ValueError, problem, hint="compute in the function of the trace, or with the numbers z.value")
    return variables[0].trace


def evaluate(rule: Callable[..., Sequence[float]], parents: Sequence[Any], text: str) -> Sequence[float]:
    """Return the value and the partial derivatives of a primitive, all finite."""
    try:
        result = rule(*(x.value for x in parents))
    except (ArithmeticError, ValueError):  # of `math`: outside the domain, or an overflow
        result = (math.nan,)
    if not all(map(math.isfinite, result)):
        values = ", ".join(f"{x.name} = {x.value:g}" for x in parents)
        problem = f"{text} has no finite value, or no finite derivative, at {values}"
        raise make_error(ValueError, problem, hint="choose another point, at which the function is differentiable")
    return result
