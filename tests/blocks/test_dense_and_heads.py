"""MLP, Classifier, Regressor and Repeat: shapes, parameter counts, objectives of heads, and errors."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk


def test_mlp_parameter_counts_of_the_papers():
    # LeCun et al. 1998: 784-300-100-10; Srivastava et al. 2014: 784-800-800-10
    counts = [
        dk.Sequential([dk.MLP(units), dk.Classifier(10)]).build((28, 28, 1)).count_params()
        for units in ([300, 100], [800, 800])
    ]
    assert counts == [266_610, 1_276_810]


def test_positions_are_kept_without_flattening_and_pooling():
    assert dk.MLP([5], flatten=False).build((6, 4)).output_shape == (None, 6, 5)
    assert dk.Classifier(5, pool=None).build((6, 4)).output_shape == (None, 6, 5)
    assert dk.MLP([5]).build((6, 4)).output_shape == (None, 5)


def test_an_unknown_size_cannot_be_flattened():
    with pytest.raises(dk.DefinitionError, match=r"a size is unknown(.|\n)*pool=\"avg\""):
        dk.Sequential([dk.Classifier(3)]).build((None, 4))


@pytest.mark.parametrize("block", [dk.MLP([4]), dk.Classifier(2)])
def test_token_ids_need_an_embedding(block):
    with pytest.raises(
        dk.DefinitionError, match=r"received token ids of shape \(None,\)(.|\n)*hint: add layers.Embedding"
    ):
        dk.Sequential([dk.Text(9, vocabulary=("a",)), block]).build()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: dk.MLP(300), r"units must be a list of integers, received 300\n  hint: use dk.MLP(units=[300])"),
        (lambda: dk.MLP([300, 0]), "units[1] must be a positive integer, received 0"),
        (lambda: dk.MLP([3], dropout=1.0), "dropout must be a fraction in [0, 1), received 1.0"),
        (lambda: dk.Classifier(0), "num_classes must be a positive integer, received 0"),
        (lambda: dk.Classifier(3, pool="mean"), "pool must be one of 'flatten', 'avg', 'max', None, received 'mean'"),
        (lambda: dk.Classifier(3, activation="relu"), "activation must be one of None, 'softmax', 'sigmoid'"),
        (lambda: dk.Classifier(3, dense={"dtype": "float16"}), "Classifier(dense=...): 'dtype' is set by the block"),
        (lambda: dk.Classifier(1, activation="softmax"), "Classifier: a softmax over one class is always 1"),
        (
            lambda: dk.Regressor(activation=layers.ReLU()),
            "Regressor: activation must be a name, a registered function or None, received <ReLU name=re_lu",
        ),
        (lambda: dk.Repeat(dk.MLP([3]), num_repeats=0), "num_repeats must be a positive integer, received 0"),
    ],
)
def test_invalid_arguments(make, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        make()
    assert text.replace(r"\n", "\n") in str(caught.value)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float32"])
def test_logits_are_float32_under_every_policy(policy):
    keras.config.set_dtype_policy(policy)
    model = dk.Sequential([dk.MLP([3]), dk.Classifier(3)]).build((4,))
    assert model(np.zeros((1, 4))).dtype == "float32"


@pytest.mark.parametrize(
    ("head", "labels", "loss"),
    [
        (dk.Classifier(10), (None,), "SparseCategoricalCrossentropy"),
        (dk.Classifier(10), (None, 1), "SparseCategoricalCrossentropy"),
        (dk.Classifier(10), (None, 10), "CategoricalCrossentropy"),
        (dk.Classifier(1), (None,), "BinaryCrossentropy"),
        (dk.Classifier(10, activation="sigmoid"), (None, 10), "BinaryCrossentropy"),
    ],
)
def test_the_objective_of_a_head_follows_its_classes_and_labels(head, labels, loss):
    objective = dk.Sequential([dk.MLP([3]), head]).objective((None, head.num_classes), labels)
    assert type(objective.loss).__name__ == loss
    assert objective.loss.get_config()["from_logits"] is (head.activation is None)
    assert [metric.name for metric in objective.metrics] == ["accuracy"]


def test_a_definition_without_a_head_has_no_objective():
    assert dk.Sequential([dk.MLP([3])]).objective((None, 3), (None,)) is None
    assert dk.Sequential([]).objective((None, 3), (None,)) is None


def test_binary_accuracy_of_logits_has_the_threshold_zero():
    [accuracy] = dk.Classifier(1).objective((None, 1), (None, 1)).metrics
    accuracy.update_state(np.array([[1], [0]]), np.array([[0.2], [-0.2]], "float32"))
    assert float(accuracy.result()) == 1.0


def test_repeat_equals_a_sequential_of_copies():
    unit = dk.ConvBlock(3)
    repeated = dk.Repeat([unit, unit], num_repeats=2).build((8, 8, 3))
    written = dk.Sequential([unit] * 4).build((8, 8, 3))
    assert [layer.name for layer in repeated.layers[1:]] == [layer.name for layer in written.layers[1:]]


def test_the_objective_of_a_regressor():
    objective = dk.Sequential([dk.MLP([3]), dk.Regressor(2)]).objective((None, 2), (None, 2))
    assert type(objective.loss).__name__ == "MeanSquaredError"
    assert [metric.name for metric in objective.metrics] == ["mae"]


def test_a_repeated_body_with_an_input_fixes_the_shape():
    body = dk.Sequential([dk.Input((4,)), dk.MLP([4])])
    assert dk.Repeat(body, num_repeats=2).build().input_shape == (None, 4)
