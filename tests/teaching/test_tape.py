"""The tape: the lecture's example to 8 digits, random expressions against other methods, costs, display and errors."""

import math
import random
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from deepkit.teaching import tape


def example(w1, w2, functions=tape):
    z1 = w1 / w2
    z2 = functions.sin(2 * math.pi * z1)
    z3 = functions.exp(2 * w2)
    z4 = 3 * z1 - z3
    z5 = z2 + z4
    return z4 * z5


@pytest.mark.parametrize(
    ("point", "value", "gradient"),
    [
        ((0.5, 0.3), 7.34680307, (21.61867585, -56.03703240)),
        ((1.0, 2.0), 2819.41353694, (7.51830796, 11592.48389399)),
    ],
)
def test_the_function_of_the_lecture_notes_to_eight_digits(point, value, gradient):
    trace = tape.Trace(example, *point)
    assert trace.value == pytest.approx(value, abs=5e-9)
    assert trace.gradient == pytest.approx(gradient, abs=5e-9)
    assert trace.value == pytest.approx(example(*point), rel=1e-14)


def test_the_trace_has_the_numbering_of_the_lecture_notes():
    trace = tape.Trace(example, 0.5, 0.3)
    assert [(z.name, z.text, z.kind) for z in trace.variables] == [
        ("z1", "w1 / w2", "product"),
        ("z2", "sin(6.28319 z1)", "function"),
        ("z3", "exp(2 w2)", "function"),
        ("z4", "3 z1 - z3", "affine"),
        ("z5", "z2 + z4", "affine"),
        ("z6", "z4 * z5", "product"),
    ]
    z1, z2, _, z4, z5, z6 = trace.variables
    assert (z6.derivative, z5.derivative, z2.derivative) == (1.0, z4.value, z4.value)
    assert z4.derivative == z4.value + z5.value
    assert z1.derivative == pytest.approx(2 * math.pi * math.cos(2 * math.pi * z1.value) * z4.value + 3 * z4.derivative)


def test_the_table_of_a_trace():
    trace = tape.Trace(lambda w1, w2: 3 * w1 - tape.exp(w1 * w2), 2.0, 0.0)
    assert str(trace).splitlines() == [
        "    primitive  kind           value        df/dz",
        "w1             input     2.00000000   3.00000000",
        "w2             input     0.00000000  -2.00000000",
        "z1  w1 * w2    product   0.00000000  -1.00000000",
        "z2  exp(z1)    function  1.00000000  -1.00000000",
        "z3  3 w1 - z2  affine    5.00000000   1.00000000",
        "f = z3: 4 operations for the value, 14 with the gradient, 3.50 times as many",
    ]
    assert repr(trace) == "<Trace: f(2, 0) = 5.00000000, 3 intermediate variables>"


def test_a_notebook_displays_the_table():
    page = tape.Trace(example, 0.5, 0.3)._repr_html_()
    assert page.startswith('<div class="deepkit"')
    assert "The display failed" not in page
    for text in ("sin(6.28319 z1)", "7.34680307", "-56.03703240", "3.50 times as many", "df/dz"):
        assert text in page


@pytest.mark.parametrize(
    ("expression", "texts"),
    [
        (lambda x: -x + 1, ["-w1 + 1"]),
        (lambda x: 0.5 - 2 * x, ["-2 w1 + 0.5"]),
        (lambda x: (x + x) - 3, ["w1 + w1", "z1 - 3"]),
        (lambda x: 2 / x, ["w1^-1", "2 z1"]),
        (lambda x: x**0.5 / 4, ["w1^0.5", "0.25 z1"]),
        (lambda x: tape.log(1 + x) - x, ["log(w1 + 1)", "z1 - w1"]),
        (lambda x: sum([x, 2 * x, x * x]), ["w1 * w1", "w1 + 2 w1", "z2 + z1"]),
        (lambda x: np.float64(2) * x - np.float32(0.5), ["2 w1 - 0.5"]),
        (lambda x: np.float64(1) / x + np.float64(1) * (np.float64(3) - x), ["w1^-1", "z1 - w1 + 3"]),
        (lambda x: x, []),
    ],
)
def test_each_operation_is_a_primitive(expression, texts):
    trace = tape.Trace(expression, 1.5)
    assert [z.text for z in trace.variables] == texts
    assert trace.value == pytest.approx(expression(1.5))
    difference = (expression(1.5 + 1e-6) - expression(1.5 - 1e-6)) / 2e-6
    assert trace.gradient == (pytest.approx(difference, rel=1e-6),)


def test_an_expression_that_is_used_twice_is_one_variable():
    def function(x):
        y = 2 * x + 1
        return y * y

    assert [z.text for z in tape.Trace(function, 1.0).variables] == ["2 w1 + 1", "z1 * z1"]


# operations with a value and a derivative everywhere, so that every combination of them has both
STEPS = (
    lambda f, x, y: x + y,
    lambda f, x, y: 3 * x - y / 2 + 1,
    lambda f, x, y: x * y,
    lambda f, x, y: x / (2 + f.sin(y)),
    lambda f, x, y: 1 / (1 + x**2),
    lambda f, x, y: f.sin(2 * x - 0.5),
    lambda f, x, y: f.cos(-x),
    lambda f, x, y: f.tanh(x * y),
    lambda f, x, y: f.sigmoid(x),
    lambda f, x, y: f.exp(f.tanh(x)),
    lambda f, x, y: f.log(1.5 + f.cos(x)),
    lambda f, x, y: f.sqrt(1 + y**2),
    lambda f, x, y: (3 + f.sin(x)) ** -1.5,
)


def random_function(seed):
    """Return a function of three inputs, in which each step combines two earlier values."""
    rng = random.Random(seed)
    steps = [(rng.choice(STEPS), rng.randrange(3 + i), rng.randrange(3 + i)) for i in range(8)]

    def function(*inputs, functions=tape):
        values = list(inputs)
        for step, i, j in steps:
            values.append(step(functions, values[i], values[j]))
        return values[-1] + values[-2] * values[-3]

    return function, [rng.uniform(-1.5, 1.5) for _ in range(3)]


@pytest.mark.parametrize("seed", range(50))
def test_random_functions_equal_central_differences_and_the_bound_holds(seed):
    function, point = random_function(seed)
    trace = tape.Trace(function, *point)
    assert trace.value == pytest.approx(function(*point), rel=1e-12)
    for i, derivative in enumerate(trace.gradient):
        above, below = ([*point[:i], point[i] + h, *point[i + 1 :]] for h in (1e-5, -1e-5))
        assert derivative == pytest.approx((function(*above) - function(*below)) / 2e-5, rel=1e-5, abs=1e-7)
    assert trace.function_operations < trace.gradient_operations <= 5 * trace.function_operations


@pytest.mark.parametrize("seed", range(5))
def test_random_functions_equal_gradient_tape(seed):
    function, point = random_function(seed)
    inputs = [tf.Variable(x, dtype="float64") for x in point]
    with tf.GradientTape() as gradient_tape:
        value = function(*inputs, functions=tf.math)
    gradient = gradient_tape.gradient(value, inputs, unconnected_gradients="zero")
    trace = tape.Trace(function, *point)
    assert trace.value == pytest.approx(float(value), rel=1e-12)
    assert trace.gradient == pytest.approx([float(x) for x in gradient], rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("num_inputs", [1, 10, 50])
@pytest.mark.parametrize(
    "function",
    [
        lambda *x: math.prod(x[1:], start=x[0]),
        lambda *x: sum(x[1:], start=x[0] + x[0]),
        lambda *x: tape.tanh(sum((0.1 * y for y in x), start=0.0)),
        lambda *x: sum(y**3 for y in x),
        lambda *x: sum(tape.cos(y) / (1 + y * y) for y in x),
    ],
)
def test_the_gradient_takes_at_most_five_times_the_operations_for_any_number_of_inputs(function, num_inputs):
    trace = tape.Trace(function, *[0.5] * num_inputs)
    assert trace.gradient_operations <= 5 * trace.function_operations


FUNCTIONS = "use the functions of deepkit.teaching.tape"


@pytest.mark.parametrize(
    ("function", "operation", "hint"),
    [
        (lambda x: abs(x), "abs", r"use tape.sqrt\(z \*\* 2\)"),
        (lambda x: max(x, 0.0), "a comparison, as in if and max,?", "compare z.value"),
        (lambda x: x if x > 0 else -x, "a comparison, as in if and max", "compare z.value"),
        (lambda x: x if 2 * x else -x, "a comparison, as in if and max", "compare z.value"),
        (lambda x: x if x == 1 else -x, "a comparison, as in if and max", "compare z.value"),
        (lambda x: x // 2, "rounding to integers", "use z itself, or z.value"),
        (lambda x: 7 % x, "rounding to integers", "use z itself"),
        (lambda x: round(x * x), "rounding to integers", "use z itself"),
        (lambda x: math.floor(x), "rounding to integers", "use z itself"),
        (lambda x: math.sin(x), "a function of another module", FUNCTIONS),
        (lambda x: np.sin(x), "np.sin", FUNCTIONS),
        (lambda x: np.ones(1) @ x, "np.matmul", FUNCTIONS),
        (lambda x: 2**x, "a variable exponent", r"use tape.exp\(math.log\(2\) \* z\)"),
        (lambda x: x**x, "a variable exponent", r"use tape.exp\(y \* tape.log\(x\)\)"),
    ],
)
def test_an_operation_that_is_not_a_primitive_is_refused(function, operation, hint):
    with pytest.raises(TypeError, match=f"^{operation} is not a primitive of a trace; .*\n  hint: {hint}"):
        tape.Trace(function, 0.5)


@pytest.mark.parametrize(
    ("function", "received"),
    [
        (lambda x: x + "1", "'1'"),
        (lambda x: x * True, "True"),
        (lambda x: x * math.nan, "nan"),
        (lambda x: x + 1j, "1j"),
        (lambda x: tape.sin([x]), r"\[w1\]"),
        (lambda x: np.ones(3) * x, r"<ndarray of shape \(3,\) and dtype float64>"),
    ],
)
def test_a_constant_must_be_a_finite_number(function, received):
    with pytest.raises(TypeError, match=f"combines variables and finite numbers, received {received}\n  hint: use one"):
        tape.Trace(function, 0.5)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda x: 1 / (x - x), r"z1\^-1 .* at z1 = 0"),
        (lambda x: x / (0 * x), r"w1 / z1 .* at w1 = 0, z1 = 0"),
        (tape.log, r"log\(w1\) .* at w1 = 0"),
        (tape.sqrt, r"sqrt\(w1\) .* at w1 = 0"),
        (lambda x: (x - 1) ** 0.5, r"z1\^0.5 .* at z1 = -1"),
        (lambda x: tape.exp(1000 + x), r"exp\(w1 \+ 1000\) .* at w1 = 0"),
        (lambda x: (x + 1e200) ** 1 * (x + 1e200), r"z2 \* z3 .* at z2 = 1e\+200, z3 = 1e\+200"),
    ],
)
def test_a_point_without_a_value_or_a_derivative_is_refused(function, text):
    with pytest.raises(ValueError, match=f"{text}\n  hint: choose another point"):
        tape.Trace(function, 0.0)


def test_division_by_the_constant_zero_is_refused():
    with pytest.raises(ValueError, match="a variable cannot be divided by 0\n  hint: use a divisor"):
        tape.Trace(lambda x: x / 0, 1.0)


@pytest.mark.parametrize("output", [3.0, None, (1.0, 2.0)])
def test_the_function_must_return_a_variable(output):
    with pytest.raises(TypeError, match=r"must return one value computed from its inputs, received .*\n  hint: return"):
        tape.Trace(lambda x: output, 1.0)


def test_variables_of_two_traces_are_refused():
    other = tape.Trace(example, 0.5, 0.3).output
    with pytest.raises(ValueError, match="w1 and z6 belong to different traces\n  hint: use only the arguments"):
        tape.Trace(lambda x: x + other, 1.0)
    with pytest.raises(TypeError, match="returned a variable of another trace\n  hint: use only the arguments"):
        tape.Trace(lambda x: other, 1.0)


def test_the_function_and_the_point_are_checked():
    with pytest.raises(TypeError, match=r"expected a function, received 0.5\n  hint: pass Trace\(f, w1, w2\)"):
        tape.Trace(0.5, example)
    with pytest.raises(TypeError, match=r"expected finite numbers as inputs, received \[0.5, 0.3\]\n  hint: .*\*point"):
        tape.Trace(example, [0.5, 0.3])
    with pytest.raises(ValueError, match="expected at least one input, received none\n  hint: pass"):
        tape.Trace(lambda: 1.0)


def test_the_module_is_short_and_imports_neither_keras_nor_tensorflow():
    with open(tape.__file__) as file:
        assert len(file.readlines()) < 150
    code = (
        "import sys; from deepkit.teaching import tape; assert not {'keras', 'tensorflow', 'numpy'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_power_of_zero_is_a_constant_and_unary_plus_has_no_effect():
    assert tape.Trace(lambda w: w**0 + +w, 0.0).gradient == (1.0,)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: tape.log(-1), ValueError, "tape.log has no finite value at -1"),
        (lambda: tape.Trace(lambda w: w * tape.exp(1000), 1.0), ValueError, "tape.exp has no finite value at 1000"),
        (lambda: tape.Trace(lambda w: w * 10**400, 1.0), TypeError, "a trace combines variables and finite numbers"),
        (
            lambda: tape.Trace(lambda w: w, 10**400),
            TypeError,
            "Trace: expected finite numbers as inputs, received 1000",
        ),
        (lambda: tape.Trace(lambda w: w @ w, 1.0), TypeError, "an operation of arrays is not a primitive"),
        (lambda: tape.Trace(lambda w: w[0], 1.0), TypeError, "an operation of arrays is not a primitive"),
        (
            lambda: tape.Trace(lambda w: np.exp(np.array([w])), 1.0),
            TypeError,
            "an operation of arrays is not a primitive",
        ),
    ],
)
def test_constants_and_arrays_that_a_trace_cannot_hold(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(text)
    assert "hint: " in str(caught.value)


def test_a_finished_trace_records_no_further_variables():
    trace = tape.Trace(lambda a, b: a * b, 2.0, 3.0)
    table = str(trace)
    with pytest.raises(ValueError, match="w1 belongs to a trace that is finished"):
        trace.inputs[0] * trace.inputs[1]
    assert str(trace) == table
