"""`required_examples`: the numbers of the rule, its text, and errors."""

import pickle

import keras
import pytest

import deepkit as dk
from deepkit.teaching import required_examples
from recipes.vision import lenet


def test_lenet_5_requires_600_000_examples_for_an_accuracy_of_90_percent():
    number = required_examples(lenet.original(), 0.9, input_shape=(28, 28, 1))
    assert number == 600_000
    assert number.num_weights == 60_000
    assert repr(number) == "600,000 training examples: |W| / (1 - a) = 60,000 / (1 - 0.9)"
    assert str(number) == repr(number)


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [(0.5, 30), (0.8, 75), (0.9, 150), (0.95, 300), (0.99, 1500), (0.3, 22), (1e-9, 16)],
)
def test_the_rule_is_rounded_up(accuracy, expected):
    net = dk.Sequential([dk.Input((4,)), dk.Classifier(3)])  # 15 weights
    assert required_examples(net, accuracy) == expected


def test_the_number_is_an_integer():
    number = required_examples(dk.Classifier(3), input_shape=(4,))
    assert f"{number:,}" == "150"
    assert number // 10 == 15
    copy = pickle.loads(pickle.dumps(number))
    assert (copy, copy.num_weights, copy.accuracy) == (150, 15, 0.9)


def test_frozen_and_moving_weights_do_not_count():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5), keras.layers.BatchNormalization()])
    assert required_examples(model).num_weights == 4 * 5 + 5 + 10
    model.layers[0].trainable = False
    assert required_examples(model).num_weights == 10


@pytest.mark.parametrize("accuracy", [1, 1.0, 0, -0.5, 90, "0.9", True, float("nan")])
def test_an_accuracy_outside_0_to_1_is_refused(accuracy):
    text = r"required_examples: accuracy must be a number above 0 and below 1, received .*\n  hint: use a fraction such"
    with pytest.raises(ValueError, match=text):
        required_examples(dk.Classifier(3), accuracy, input_shape=(4,))


def test_other_models_are_refused():
    with pytest.raises(TypeError, match="expected a Keras model or a definition, received 60000\n  hint: pass "):
        required_examples(60_000)
    with pytest.raises(ValueError, match="'unbuilt' has no trainable weights\n  hint: build the model first"):
        required_examples(keras.Sequential([keras.layers.Dense(3)], name="unbuilt"))
    with pytest.raises(ValueError, match="input_shape belongs to a definition, received a Keras model\n  hint: leave"):
        required_examples(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]), input_shape=(4,))
    with pytest.raises(dk.DefinitionError, match="hint"):
        required_examples(dk.Classifier(3))


def test_an_accuracy_near_one_is_not_printed_as_one():
    number = required_examples(dk.Classifier(2), 0.999999999999, input_shape=(2,))
    assert str(number).endswith("6 / (1 - 0.999999999999)")
