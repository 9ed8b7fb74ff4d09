"""The numbers that the lecture notes print, by document and topic: computed again with deepkit and the recipes.

A printed number is text, so that its digits give the tolerance: half a unit of the last digit. A number without a
decimal point is exact.

Tests of the recipes check the rest: the weights of AlexNet, VGG, GoogLeNet and LeNet-5, which the notes only name, the
gradients of recurrent networks and all deltas (`test_backpropagation`), gradient estimators, and errors after training.
"""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from deepkit.teaching import tape
from recipes import papers
from recipes.basics import (
    backpropagation,
    convolution,
    critical_points,
    gradient_cost,
    hard_cases,
    identity_838,
    linear_classifier,
    threshold_units,
    xor,
)
from recipes.basics.derivatives import DERIVATIVES, LOSSES, sigmoid, softmax
from tests.note_examples import (
    POLICY_NETWORK,
    autodiff,
    circle_weights,
    convolutions,
    correct_labels,
    crossentropy,
    dropped,
    examples_per_weight,
    first_sums,
    four_pixels,
    gate,
    map_size,
    normalized,
    num_layers,
    num_recurrent_weights,
    num_weights,
    outputs_of_code,
    pattern_layers,
    required_for_lenet_5,
    shapes,
    sigmoid_network,
    third_state,
    values,
    years,
)
from tests.recipes.counting import counts

PRINTED = {
    # 004: linear classifiers
    "004-linear-classifier-image": ("3072 10 10", lambda: shapes(linear_classifier.linear(), (32, 32, 3))),
    "004-linear-classifier-score-cat": ("-96.8", lambda: four_pixels()["score, cat"]),
    "004-linear-classifier-score-dog": ("437.9", lambda: four_pixels()["score, dog"]),
    "004-linear-classifier-scaled-image": ("0.00000", lambda: four_pixels()["difference of f(cx) and c f(x)"]),
    "004-crossentropy-powers": ("24.5 164. 0.18", lambda: keras.ops.exp(linear_classifier.SCORES)[0]),
    "004-crossentropy-probabilities": ("0.13 0.87 0.00", lambda: softmax(linear_classifier.SCORES)[0]),
    "004-crossentropy-loss": ("2.04", lambda: four_pixels()["softmax loss, cat"]),
    "004-crossentropy-minimum": ("0.000", lambda: crossentropy([[100.0, 0.0, 0.0]])),
    "004-crossentropy-initial-loss": (
        "2.3",
        lambda: crossentropy(0.01 * np.random.default_rng(0).normal(size=(20, 10))),
    ),
    "004-hard-cases-quadrants": ("1.0000", lambda: correct_labels("quadrants", lambda x, y: x * y < 0)),
    "004-hard-cases-annulus": (
        "1.0000",
        lambda: correct_labels("annulus", lambda x, y: (np.hypot(x, y) >= 1) & (np.hypot(x, y) <= 2)),
    ),
    # 004: networks
    "004-digits-inputs": ("256", lambda: shapes(linear_classifier.mlp((300, 100)), (16, 16, 1))[0]),
    "004-network-first-sums": ("4 -2", first_sums),
    "004-network-first-layer": ("0.98 0.12", lambda: sigmoid(first_sums())),
    "004-network-outputs-at-1-and-minus-1": (
        "0.62 0.83",
        lambda: values(sigmoid_network(), "f(1, -1), output 1", "f(1, -1), output 2"),
    ),
    "004-network-outputs-at-0-and-0": (
        "0.51 0.85",
        lambda: values(sigmoid_network(), "f(0, 0), output 1", "f(0, 0), output 2"),
    ),
    "004-training-examples-five-to-ten-times": ("5 10", lambda: [examples_per_weight(a) for a in (0.8, 0.9)]),
    "004-activations-leaky-relu": ("-0.1 1.0", lambda: DERIVATIVES["leaky ReLU"][0](np.array([-1.0, 1.0]))),
    # 004: convolutional networks
    "004-convolution-6-filters": ("28 28 6", lambda: map_size(6, (32, 32, 3))),
    "004-convolution-5-filters": ("28 28 5", lambda: map_size(5, (32, 32, 3))),
    "004-max-pooling": (
        "6 8 3 4",
        lambda: values(convolutions(), *(f"max pooling ({i}, {j})" for i in (1, 2) for j in (1, 2))),
    ),
    # 001
    "001-dropout-share": ("0.50", lambda: dropped(0.5)[0]),
    "001-derivative-of-relu": ("0 0 1", lambda: DERIVATIVES["ReLU"][1](np.array([-1.0, 0.0, 1.0]), None)),
    # 002: representation
    "002-truth-table-or": ("0 1 1 1", lambda: gate("OR")),
    "002-truth-table-and": ("0 0 0 1", lambda: gate("AND")),
    "002-xor-two-layers": ("0 1 1 0", lambda: threshold_units.xor()(threshold_units.ROWS)),
    "002-identity-hidden-units": ("8 3", lambda: shapes(identity_838.definition(identity_838.Config()), (8,))[:2]),
    "002-identity-constructed": ("8", lambda: identity_838.count_correct(identity_838.constructed_network())),
    "002-identity-learned-codes": ("8", lambda: outputs_of_code([4, 1, 2, 7, 0, 3, 5, 6])),
    "002-circle-25-weights": ("25 25", lambda: [circle_weights(3, 3), circle_weights(4, 2)]),
    "002-circle-labels": ("1.0000", lambda: correct_labels("circle", lambda x1, x2: x1**2 + x2**2 <= 2)),
    # 002: backpropagation, dropout
    "002-gradient-cost-factor": ("5.", lambda: gradient_cost.counted_ratio(8, np.random.default_rng(0))),
    "002-baur-strassen-and-griewank": ("1983 2008", lambda: years(papers.BAUR_1983, papers.GRIEWANK_2008)),
    "002-backpropagation-output-delta": ("4", lambda: LOSSES["squared error"][1](np.array([[3.0]]), np.array([[1.0]]))),
    "002-initialization-zero-gradient": (
        "0.000000",
        lambda: critical_points.example_gradients(np.zeros((1, 12)), np.ones((1, 3)), np.ones(1))[1].max(),
    ),
    "002-dropout-hidden-share": ("0.50", lambda: dropped(0.5)[0]),
    "002-dropout-input-share": ("0.20", lambda: dropped(0.2)[0]),
    # 002: convolution
    "002-1d-convolution-output-3": ("-1", lambda: convolutions()["1-D output 3"]),
    "002-2d-convolution": ("4 3", lambda: values(convolutions(), "2-D output (1, 1)", "2-D output (1, 2)")),
    "002-3d-convolution-size": ("28 28 7", lambda: map_size(7, (32, 32, 3))),  # d - (k - 1), with M filters
    "002-neuron-3072-weights": (
        "3072",
        lambda: shapes(dk.Sequential([layers.Flatten(), layers.Dense(1)]), (32, 32, 3))[0],
    ),
    # 003
    "003-weights-fully-connected": ("1600000000", lambda: num_weights()["weights, fully connected"]),
    "003-weights-feature-maps": ("2500", lambda: num_weights()["weights, 100 feature maps"]),
    "003-policy-network-layers": ("13", lambda: num_layers(POLICY_NETWORK, (19, 19, 48), layers.Conv2D)),
    "003-feature-planes": ("48 49", lambda: np.add(sum((3, 1, *[8] * 5, *[1] * 4)), (0, 1))),
    "003-noise-ratio": (
        "0.30",
        lambda: np.mean(dk.layers.MaskingNoise(0.3)(np.ones((1, 100_000)), training=True) == 0),
    ),
    # 000
    "000-quadratic-features": ("2 3 4 6 9", lambda: dk.layers.QuadraticFeatures()(np.array([[2.0, 3.0]]))[0]),
    "000-xor-from-and-and-or": ("4", lambda: xor.count_correct(xor.constructed_network())),
    "000-timeline": (
        "1943 1969 1986 2006",
        lambda: years(papers.MCCULLOCH_1943, papers.MINSKY_1969, papers.RUMELHART_1986, papers.HINTON_2006),
    ),
    "000-cited-years": (
        "1991 1992 2014 2015 2016 2017",
        lambda: years(
            *(papers.HORNIK_1991, papers.WILLIAMS_1992, papers.KINGMA_2014),
            *(papers.SRIVASTAVA_2015, papers.HE_2016, papers.HUANG_2017),
        ),
    ),
}

# values that the notes print wrong, or that a wrong formula of the notes returns: printed, right, computed
MISTAKES = {
    "004-bias-trick-score-ship": ("61.95", "60.75", lambda: four_pixels()["score, ship"]),
    "004-feature-transform-angle": (  # of (-1, -1): arctan(y / x) loses the half-plane
        "0.785",
        "-2.356",
        lambda: dk.layers.PolarFeatures()(np.array([[-1.0, -1.0]]))[0, 1],
    ),
    "002-identity-designed-code": ("8", "7", lambda: outputs_of_code([1, 5, 5, 0, 4, 2, 3, 6])),  # 101 stands twice
    "002-circle-logistic-loss": (  # of y = 1 and f = 2: the exponent is -y f
        "2.127",
        "0.127",
        lambda: hard_cases.LOSS(np.ones((1, 1)), np.full((1, 1), 2.0)),
    ),
    "002-autodiff-first-print": ("-1.6565", "7.3468", lambda: autodiff().value),  # without the outer parentheses
    "002-autodiff-derivative-of-product": (  # z4 + z5 at z2 = 1 and z4 = 3; the notes print z4 + z5^2
        "19",
        "7",
        lambda: tape.Trace(lambda z2, z4: (z2 + z4) * z4, 1.0, 3.0).gradient[1],
    ),
    "002-1d-convolution-output-1": ("2", "1", lambda: convolutions()["1-D output 1"]),
    "003-recurrent-third-state": ("0.9277", "0.5663", lambda: third_state(1.0, 0.0, 0.0)),  # printed with x1
}

# values that follow from a printed formula or printed inputs
IMPLIED = {
    "004-bias-trick-score-ship-without-bias": ("61.95", lambda: four_pixels()["score, ship without bias"]),
    "004-hinge-loss": ("2.900", lambda: four_pixels()["hinge loss, cat"]),
    "004-crossentropy-loss-digits": ("2.04035", lambda: four_pixels()["softmax loss, cat"]),
    "004-crossentropy-log-10": ("2.302585", lambda: crossentropy(np.zeros((1, 10)))),
    "004-regularization-l2": ("12.8425", lambda: keras.regularizers.L2(1.0)(linear_classifier.WEIGHTS)),
    "004-regularization-l1": ("8.45", lambda: keras.regularizers.L1(1.0)(linear_classifier.WEIGHTS)),
    "004-regularization-elastic-net": (  # beta = 0.5
        "14.87125",
        lambda: keras.regularizers.L1L2(1.0, 0.5)(linear_classifier.WEIGHTS),
    ),
    "004-activations-elu": ("-0.6321 1.0000", lambda: DERIVATIVES["ELU"][0](np.array([-1.0, 1.0]))),
    "004-training-examples-lenet-5": ("600000", required_for_lenet_5),
    "004-convolution-weights-6-filters": ("456", lambda: num_weights()["weights, 6 filters"]),
    "004-pattern-N1-M2-K0": ("2 2 1", lambda: pattern_layers(1, 2, 0)),
    "004-pattern-N5-M3-K2": ("15 3 3", lambda: pattern_layers(5, 3, 2)),
    "001-mean-squared-error": ("2433.33", lambda: four_pixels()["mean squared error, grades"]),
    "001-derivative-of-sigmoid-at-0": ("0.25", lambda: DERIVATIVES["sigmoid"][1](0.0, sigmoid(0.0))),
    "001-derivative-of-tanh-at-0": ("1.00", lambda: DERIVATIVES["tanh"][1](0.0, np.tanh(0.0))),
    "001-dropout-scale": ("2.00", lambda: dropped(0.5)[1]),  # Keras scales in training, by 1 / (1 - rate)
    "002-xor-best-unit": ("3", lambda: threshold_units.best_unit(threshold_units.OUTPUTS["XOR"])),
    "002-circle-first-layer-of-25-weights": (  # of 7 units: 2-3-3-1 and 2-4-2-1 alone
        "3 4",
        lambda: [units for units in range(1, 6) if circle_weights(units, 6 - units) == 25],
    ),
    "002-dropout-input-scale": ("1.25", lambda: dropped(0.2)[1]),
    "002-autodiff-value": ("7.34680307", lambda: autodiff().value),
    "002-autodiff-gradient": ("21.61867585 -56.03703240", lambda: autodiff().gradient),
    "002-autodiff-value-at-1-and-2": ("2819.41353694", lambda: autodiff((1.0, 2.0)).value),
    "002-autodiff-gradient-at-1-and-2": ("7.51830796 11592.48389399", lambda: autodiff((1.0, 2.0)).gradient),
    "002-1d-convolution": ("1 3 -1 -1", lambda: values(convolutions(), *(f"1-D output {i}" for i in (1, 2, 3, 4)))),
    "002-2d-convolution-rows": (
        "2 4 3 2 3 4",
        lambda: values(convolutions(), *(f"2-D output ({i}, {j})" for i in (2, 3) for j in (1, 2, 3))),
    ),
    "002-filters-sums": ("0 0 0 0 0 1 1 1", lambda: [np.sum(kernel) for kernel in convolution.GALLERY.values()]),
    "003-policy-network-weights": ("3882433", lambda: counts(POLICY_NETWORK, (19, 19, 48))[0]),
    "003-lstm-weights-without-biases": ("2400", lambda: num_recurrent_weights(layers.LSTM(20, use_bias=False))),
    "003-lstm-weights-of-keras": ("2480", lambda: num_recurrent_weights(layers.LSTM(20))),  # 4 (d h + h^2 + h)
    "000-quadratic-logistic-unit-weights": (
        "6",
        lambda: counts(dk.Sequential([dk.layers.QuadraticFeatures(), dk.Classifier(1)]), (2,))[0],
    ),
    "000-hyperplane-distance": (  # |w x + b| / |w|; the notes leave out |w|
        "0.000000",
        lambda: hard_cases.distance_error(np.array([[3.0], [4.0]]), np.array([-2.0]), np.array([[1.0, 1.0]])),
    ),
    "000-linear-network-collapses": (
        "0.000000",
        lambda: backpropagation.collapse(np.random.default_rng(0))["difference, one matrix"],
    ),
    "000-numpy-layer": ("0.000000", lambda: backpropagation.compare_layer(np.random.default_rng(0))),
    "000-batch-normalization": ("0.000 1.000", normalized),
}


def read(printed):
    """Return printed numbers, and the tolerance of each."""
    texts = printed.split()
    tolerances = [0.5 * 10.0 ** -len(text.partition(".")[2]) if "." in text else 0.0 for text in texts]
    return np.array(texts, float), np.array(tolerances)


def agree(computed, printed):
    numbers, tolerances = read(printed)
    computed = np.ravel(np.asarray(computed, "float64"))
    return computed.shape == numbers.shape and np.allclose(computed, numbers, rtol=1e-9, atol=tolerances)


@pytest.mark.parametrize(("printed", "compute"), PRINTED.values(), ids=PRINTED)
def test_a_printed_number_is_right(printed, compute):
    computed = compute()
    assert agree(computed, printed), f"computed {computed}, printed {printed}"


@pytest.mark.parametrize(("printed", "right", "compute"), MISTAKES.values(), ids=MISTAKES)
def test_a_printed_number_is_wrong(printed, right, compute):
    computed = compute()
    assert agree(computed, right), f"computed {computed}, expected {right}"
    assert not agree(computed, printed)


@pytest.mark.parametrize(("expected", "compute"), IMPLIED.values(), ids=IMPLIED)
def test_a_number_follows_from_the_notes(expected, compute):
    computed = compute()
    assert agree(computed, expected), f"computed {computed}, expected {expected}"


def test_the_printed_argument_of_dropout_is_called_rate():  # 001, regularization
    with pytest.raises(TypeError):
        layers.Dropout(p=0.5)


def test_powers_are_products_and_not_affine():  # 002, automatic differentiation
    trace = tape.Trace(lambda z1, z4: z1**3 * z4**2, 1.0, 2.0)
    assert {z.kind for z in trace.variables} == {"product"}
    assert [z.kind for z in autodiff().variables if z.text.startswith("3 ")] == ["affine"]
