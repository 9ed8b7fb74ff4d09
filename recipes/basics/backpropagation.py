r"""Backpropagation: equal to automatic differentiation, at no more than five times the cost of the loss, at any depth.

A network is a chain of functions: layer l computes the sums s = W^T x of its inputs, and passes on x = g(s). How the
loss depends on the first weights follows from the chain rule, and most factors of one layer appear again in the layer
before it. Backpropagation computes them once, from the last layer to the first: the derivative of the loss with
respect to the sums of a layer, called delta, follows from the delta of the next layer, and each gradient is the product
of a delta and the inputs of the layer.

    $$ \delta^{(l)} = g'(s^{(l)}) \odot W^{(l+1)} \delta^{(l+1)} $$

    $$ \frac{\partial L}{\partial W^{(l)}} = x^{(l-1)} \delta^{(l)\top} $$

The recipe writes this in NumPy and compares it with `tf.GradientTape`: for five losses, for the derivatives of six
activations, and for a recurrent network, whose gradient is a sum over time steps. It measures what a gradient costs
(Baur & Strassen 1983), and two facts about weights: layers without a nonlinearity collapse to one matrix, and hidden
units can be permuted, or rescaled if they are ReLU, without any change of the output.

    deepkit run backpropagation
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from matplotlib.figure import Figure

from deepkit.recipe import Claim, Curve, Recipe, Result, Settings, main
from deepkit.teaching import tape
from deepkit.visualize.figures import BLUE, GRAY, ORANGE, PngFigure
from recipes import papers
from recipes.basics.bands import draw_range
from recipes.basics.derivatives import DERIVATIVES, LOSSES, sigmoid
from recipes.basics.gradient_cost import counted_ratio, time_ratio

PAPER = papers.RUMELHART_1986
EXAMPLE = {"f(1, -1)": (0.62, 0.83), "f(0, 0)": (0.51, 0.85)}  # printed outputs of the 2-2-2-2 network
CLAIMS = (
    *(
        Claim(
            metric=f"{name}, output {number}",
            value=value,
            tolerance=0.005,
            where="lecture notes, example of a neural network",
            setting="2-2-2-2, sigmoid",
        )
        for name, outputs in EXAMPLE.items()
        for number, value in enumerate(outputs, start=1)
    ),
    Claim(
        metric="time ratio, depth 32",
        value="a constant factor, e.g. five",
        where="lecture notes, time complexity of the gradient",
        setting="loss and gradient, in units of the loss",
        lower_is_better=True,
    ),
    Claim(
        metric="difference, permuted units",
        value="identical outputs",
        where="lecture notes, symmetry in the weights",
        setting="any activation",
        lower_is_better=True,
    ),
)
DEVIATIONS = (
    "The text of the notes prints the outputs of the 2-2-2-2 network, but not all of its weights; those of the second "
    "and third layer here reproduce both outputs.",
    "The first print of the example f of automatic differentiation lacks its outer parentheses; the later print is "
    "used. In the same example, df/dz4 is z4 + z5: the first term through z5, the second as a factor of z6.",
    "The notes illustrate affine transformations with z5 = z1^3 z4^2, which is a product of powers.",
    "The notes print s3 = tanh(U x1 + W s2) for the recurrent network; the input of step 3 is x3.",
    "The notes add w0 to a sum; here the weights of a constant input of 1 are the biases.",
    "The notes count operations. The recipe counts those of the plain-Python tape, and measures CPU seconds of "
    "TensorFlow.",
)
METRICS = {
    **{
        f"{name}, output {number}": "output of the 2-2-2-2 network for this input"
        for name in EXAMPLE
        for number in (1, 2)
    },
    "difference, NumPy layer": "largest difference between the layer that the notes write in NumPy and Keras's `Dense`",
    "difference, deltas of cross-entropy": "largest difference between the deltas and gradients of all layers and "
    "those of `tf.GradientTape`, for three activations; likewise for the other losses",
    "difference, derivatives": "largest difference between the formulas of six derivatives and `tf.GradientTape`",
    "difference, tape": "largest relative difference between value and gradient of the tape and TensorFlow, in float64",
    "f(0.5, 0.3) of the tape": "value of the example of automatic differentiation",
    "difference, sum over time": "largest difference between the sum over time steps and the gradient of `SimpleRNN`",
    "rank, linear": "dimension of the space of the outputs of a linear network 20-5-20-20; 5 is the smallest width",
    "rank, ReLU": "the same with ReLU; at most 20",
    "difference, one matrix": "largest difference between the linear network and the product of its matrices",
    "difference, permuted units": "largest change of the outputs if hidden units are permuted with their weights",
    "difference, rescaled units": "the same if the incoming weights of ReLU units are multiplied by factors from 0.1 "
    "to 10, and the outgoing weights divided by them",
    "time ratio, depth 32": "CPU seconds for loss and gradient over those for the loss alone, 32 layers of 256 units; "
    "it is smaller for 2 layers, because the first layer needs no derivative with respect to its inputs",
    "counted ratio, depth 32": "the same ratio in operations of the tape, 32 layers of 4 units; at most 5",
}

DEPTHS = (2, 4, 8, 16, 32)
TIME_STEPS = 20
EXAMPLE_WEIGHTS = (  # row 0: biases; row j: weights of input j
    np.array([[1.0, 0.0], [1.0, -1.0], [-2.0, 1.0]]),
    np.array([[0.0, 0.0], [2.0, -2.0], [-1.0, -1.0]]),
    np.array([[-2.0, 2.0], [3.0, -1.0], [-1.0, 4.0]]),
)


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Checks of gradients with random weights and data."""

    QUICK = {"seeds": 1, "timings": 2}

    seeds: int = 3
    """Number of repeats, each with its own weights and data."""
    timings: int = 9
    """Timings of each network, of which the fastest counts."""
    devices: int | str = "cpu"
    """Devices to compute on; these networks are too small for a GPU."""


def forward(x: np.ndarray, weights: Sequence, g: Callable) -> tuple[list, list]:
    """Return the inputs x of every layer, and their sums s; the last sums are the outputs of the network."""
    inputs, sums = [x], [x @ weights[0]]
    for w in weights[1:]:
        inputs.append(g(sums[-1]))
        sums.append(inputs[-1] @ w)
    return inputs, sums


def backpropagate(
    inputs: list, sums: list, weights: Sequence, delta: np.ndarray, derivative: Callable
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the deltas of all layers and the gradients of all weights, from the delta of the outputs."""
    deltas, gradients = [delta], [inputs[-1].T @ delta]
    for layer in reversed(range(len(weights) - 1)):  # from the last layer but one to the first
        delta = derivative(sums[layer], inputs[layer + 1]) * (delta @ weights[layer + 1].T)
        deltas.insert(0, delta)
        gradients.insert(0, inputs[layer].T @ delta)
    return deltas, gradients


def nn_layer(x: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Return the layer that the notes write in NumPy, with their names, for one example x."""
    s = np.dot(W.T, x)
    return np.maximum(s, 0)


def notes_function(w1: tape.Expression, w2: tape.Expression) -> tape.Expression:
    """Return the example of automatic differentiation in the notes."""
    z4 = 3 * (w1 / w2) - tape.exp(2 * w2)
    return (tape.sin(2 * math.pi * (w1 / w2)) + z4) * z4


def train(config: Config) -> Result:
    """Compare, measure and time with the weights and data of one repeat."""
    rng = np.random.default_rng(config.seed)
    measured = example_outputs()
    measured["difference, NumPy layer"] = compare_layer(rng)
    for loss in LOSSES:
        measured[f"difference, deltas of {loss}"] = max(
            compare_deltas(loss, g, rng) for g in ("sigmoid", "tanh", "ReLU")
        )
    measured["difference, derivatives"] = compare_derivatives(rng)
    measured |= compare_tape()
    difference, contributions = compare_time_steps(rng, config.seed)
    measured["difference, sum over time"] = difference
    measured |= collapse(rng) | symmetries(rng)
    timed = [time_ratio(depth, config.timings, rng) for depth in DEPTHS]
    counted = [counted_ratio(depth, rng) for depth in DEPTHS]
    for depth, number in ((DEPTHS[0], 0), (DEPTHS[-1], -1)):
        measured |= {f"time ratio, depth {depth}": timed[number], f"counted ratio, depth {depth}": counted[number]}
    curves = {
        "time ratio": Curve(DEPTHS, timed),
        "counted ratio": Curve(DEPTHS, counted),
        "contributions": Curve(range(TIME_STEPS - 1), contributions[:-1]),  # the first step has no state before it
    }
    return Result(measured=measured, data="random weights and inputs", curves=curves)


def example_outputs() -> dict[str, float]:
    """Return the outputs of the 2-2-2-2 sigmoid network of the notes."""
    outputs: dict[str, float] = {}
    for point in ((1, -1), (0, 0)):
        x = np.array(point, float)
        for w in EXAMPLE_WEIGHTS:
            x = sigmoid(w[0] + x @ w[1:])
        outputs |= {f"f({point[0]}, {point[1]}), output {number}": float(y) for number, y in enumerate(x, start=1)}
    return outputs


def compare_layer(rng: np.random.Generator) -> float:
    """Compare the NumPy layer of the notes with Keras's layer."""
    x, w = rng.normal(size=(32, 20)), 0.5 * (rng.random((20, 10)) - 0.5)
    layer = layers.Dense(10, activation="relu", use_bias=False, dtype="float64")
    layer.build((None, 20))
    layer.set_weights([w])
    return largest_difference([np.stack([nn_layer(example, w) for example in x])], [layer(x)])


def compare_deltas(loss: str, activation: str, rng: np.random.Generator) -> float:
    """Compare the deltas and gradients of a network 5-8-7-4 with those of TensorFlow."""
    x, y = rng.normal(size=(32, 5)), np.eye(4)[rng.integers(4, size=32)]
    x[:, 0] = 1  # its weights are the biases
    weights = [rng.normal(size=shape) / np.sqrt(shape[0]) for shape in ((5, 8), (8, 7), (7, 4))]
    (g, derivative), (function, output_delta) = DERIVATIVES[activation], LOSSES[loss]
    inputs, sums = forward(x, weights, lambda s: np.asarray(g(s)))
    delta = output_delta(sums[-1], y) / len(x)
    deltas, gradients = backpropagate(inputs, sums, weights, delta, derivative)
    with tf.GradientTape() as gradient_tape:
        variables = [tf.constant(w) for w in weights]
        gradient_tape.watch(variables)
        _, tensors = forward(tf.constant(x), variables, g)
        value = ops.mean(function(tf.constant(y), tensors[-1]))
    expected = gradient_tape.gradient(value, [*tensors, *variables])
    return largest_difference([*deltas, *gradients], expected)


def compare_derivatives(rng: np.random.Generator) -> float:
    """Compare the formulas of the derivatives with TensorFlow, at random points."""
    s = rng.normal(scale=3, size=1000)
    formulas, expected = [], []
    for g, derivative in DERIVATIVES.values():
        with tf.GradientTape() as gradient_tape:
            tensor = tf.constant(s)
            gradient_tape.watch(tensor)
            x = g(tensor)
        expected.append(gradient_tape.gradient(x, tensor))
        formulas.append(derivative(s, np.asarray(x)))
    return largest_difference(formulas, expected)


def compare_tape() -> dict[str, float]:
    """Compare value and gradient of the plain-Python tape with TensorFlow, for the example of the notes."""
    differences, values = [], []
    for point in ((0.5, 0.3), (1.0, 2.0)):
        trace = tape.Trace(notes_function, *point)
        with tf.GradientTape() as gradient_tape:
            w1, w2 = inputs = [tf.constant(value, "float64") for value in point]
            gradient_tape.watch(inputs)
            z4 = 3 * w1 / w2 - tf.exp(2 * w2)
            value = (tf.sin(2 * math.pi * w1 / w2) + z4) * z4
        expected = np.array([value, *gradient_tape.gradient(value, inputs)])
        differences.append(np.max(np.abs(np.array([trace.value, *trace.gradient]) / expected - 1)))
        values.append(trace.value)
    return {"difference, tape": float(max(differences)), "f(0.5, 0.3) of the tape": values[0]}


def compare_time_steps(rng: np.random.Generator, seed: int) -> tuple[float, list[float]]:
    """Compare the sum over time steps with Keras; return the difference, and the norm of each term over its lag.

    The recurrent weights W act at every step k. The term of k treats the state before it as a constant:
    dE/ds_T times the product of the ds_j/ds_(j-1) for j > k, times ds_k/dW.
    """
    x = rng.normal(size=(1, TIME_STEPS, 3))
    initializers = {
        "kernel_initializer": keras.initializers.GlorotUniform(seed),
        "recurrent_initializer": keras.initializers.Orthogonal(seed=seed),
    }
    layer = layers.SimpleRNN(8, return_sequences=True, dtype="float64", **initializers)
    layer.build(x.shape)
    with tf.GradientTape() as gradient_tape:
        outputs = layer(x)
        value = ops.sum(ops.square(outputs[0, -1]))  # E at the last step
    states, recurrent = np.asarray(outputs[0]), np.asarray(layer.cell.recurrent_kernel)
    total, norms, delta = np.zeros_like(recurrent), [], 2 * states[-1]  # delta: dE/ds_k
    for k in reversed(range(TIME_STEPS)):
        delta_sums = delta * (1 - states[k] ** 2)
        term = np.outer(states[k - 1] if k else np.zeros(8), delta_sums)
        total += term
        norms.append(float(np.linalg.norm(term)))
        delta = recurrent @ delta_sums
    return largest_difference([total], [gradient_tape.gradient(value, layer.cell.recurrent_kernel)]), norms


def collapse(rng: np.random.Generator) -> dict[str, float]:
    """Compare networks 20-5-20-20 with and without a nonlinearity."""
    x = rng.normal(size=(500, 20))
    weights = [rng.normal(size=shape) / np.sqrt(shape[0]) for shape in ((20, 5), (5, 20), (20, 20))]
    linear = forward(x, weights, lambda s: s)[1][-1]
    nonlinear = forward(x, weights, lambda s: np.maximum(s, 0))[1][-1]
    return {
        "rank, linear": float(np.linalg.matrix_rank(linear)),
        "rank, ReLU": float(np.linalg.matrix_rank(nonlinear)),
        "difference, one matrix": largest_difference([linear], [x @ np.linalg.multi_dot(weights)]),
    }


def symmetries(rng: np.random.Generator) -> dict[str, float]:
    """Permute the hidden units of a tanh network, and rescale those of a ReLU network."""
    x, first, second = rng.normal(size=(100, 6)), rng.normal(size=(6, 10)), rng.normal(size=(10, 3))
    order, factors = rng.permutation(10), 10 ** rng.uniform(-1, 1, size=10)
    pairs: dict[str, tuple[Callable, tuple]] = {
        "permuted": (np.tanh, (first[:, order], second[order])),
        "rescaled": (lambda s: np.maximum(s, 0), (first * factors, second / factors[:, None])),
    }
    return {
        f"difference, {change} units": largest_difference(
            [forward(x, (first, second), g)[1][-1]], [forward(x, weights, g)[1][-1]]
        )
        for change, (g, weights) in pairs.items()
    }


def largest_difference(arrays: Sequence, expected: Sequence) -> float:
    """Return the largest absolute difference between the numbers of two lists of arrays."""
    return float(max(np.max(np.abs(a - np.asarray(b))) for a, b in zip(arrays, expected, strict=True)))


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the cost of the gradient, the terms of the sum over time, and the activations."""
    figure = PngFigure(figsize=(9, 3.4), layout="constrained")
    cost, terms = figure.subplots(1, 2)
    for name, color, label in (("time ratio", BLUE, "CPU seconds"), ("counted ratio", ORANGE, "operations")):
        draw_range(cost, results, name, color=color, marker="o", markersize=4, label=label)
    cost.axhline(5, color=GRAY, linestyle=":", label="factor of five")
    cost.set(xscale="log", ylim=(0, 6), xlabel="layers", ylabel="loss and gradient / loss", title="cost of a gradient")
    cost.set_xticks(DEPTHS, DEPTHS)
    cost.minorticks_off()
    cost.legend(frameon=False, loc="lower right")
    draw_range(terms, results, "contributions", color=BLUE, marker="o", markersize=4)
    terms.set(
        yscale="log", xlabel="lag T - k (time steps)", ylabel="norm of the term of step k", xticks=range(0, 20, 4)
    )
    terms.set_title("recurrent network: terms of the gradient")
    return {
        "Loss and gradient cost at most five times the loss, at any depth; far time steps contribute less": figure,
        "Six activations (solid) and their derivatives (dashed)": draw_activations(),
    }


def draw_activations() -> Figure:
    """Draw the activations and their derivatives."""
    figure = PngFigure(figsize=(9, 4.2), layout="constrained")
    s = np.linspace(-3, 3, 300)
    for axes, (name, (g, derivative)) in zip(figure.subplots(2, 3, sharex=True).flat, DERIVATIVES.items(), strict=True):
        x = np.asarray(g(ops.convert_to_tensor(s)))
        axes.plot(s, x, color=BLUE)
        axes.plot(s, derivative(s, x), color=ORANGE, linestyle="--")
        axes.set(title=name, xlabel="s", ylim=(-1.2, 2.2))
        axes.grid(alpha=0.25)
    return figure


RECIPE = Recipe(
    name="backpropagation",
    paper=PAPER,
    related=(papers.BAUR_1983, papers.GRIEWANK_2008),
    config=Config,
    train=train,
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw_curves=draw_curves,
    annotated=(forward, backpropagate, compare_time_steps, notes_function),
    exercises=(
        "Add the Huber loss to `LOSSES`: its delta is s - y, limited to [-1, 1] and divided by the number of outputs.",
        "Print `tape.Trace(notes_function, 0.5, 0.3)`: which of the three kinds of primitive is each line?",
        "tanh is odd. Which further change of the weights in `symmetries` leaves its outputs the same?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
