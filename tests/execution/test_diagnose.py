"""`diagnose`: each rule with its numbers, the errors of the baseline, stored runs, display, and errors."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.definition.objective import Head
from deepkit.teaching import diagnose
from deepkit.training.baseline_errors import baseline_errors
from deepkit.training.diagnose import diagnose_history
from deepkit.training.diagnosis_display import diagnosis_fragment
from deepkit.training.training_data import PipelineData

HALF = {"error rate": 0.5}
ABOVE = "is above 25.0 %, half the baseline error"
BELOW = "is at most 25.0 %, half the baseline error"


def accuracies(training, validation=()):
    history = {"loss": [1.0] * len(training), "accuracy": list(training)}
    return history | ({"val_loss": [1.0] * len(validation), "val_accuracy": list(validation)} if validation else {})


@pytest.mark.parametrize(
    ("history", "arguments", "rule", "explanation", "suggestion"),
    [
        (
            accuracies([0.6, 0.7], [0.7, 0.7]), {}, "bad on training data",
            "the training error 30.0 % is above 25.0 %, half the baseline error",
            "train for more epochs: the training error still falls",
        ),
        (
            accuracies([0.8, 0.7]), {}, "bad on training data",
            "the training error 30.0 % is above 25.0 %, half the baseline error",
            "try a new architecture: more units or layers, or another activation such as ReLU",
        ),
        (
            accuracies([0.5]), {}, "bad on training data",
            f"the training error 50.0 % {ABOVE}, and not below the baseline error 50.0 %",
            "check that inputs and labels belong together, and that the inputs are scaled",
        ),
        (
            accuracies([0.7]), {}, "bad on training data",
            "the training error 30.0 % is above 25.0 %, half the baseline error",
            "train for more than one epoch",
        ),
        (
            accuracies([0.9, 0.95], [0.9, 0.92]), {"target": 0.01}, "bad on training data",
            "the training error 5.0 % is above the target 1.0 %",
            "train for more epochs: the training error still falls",
        ),
        (
            accuracies([0.9, 1.0], [0.9, 0.86]), {}, "bad on validation data",
            f"the training error 0.0 % {BELOW}; the validation error 14.0 % exceeds it "
            "by 14.0 %, more than 5.0 %, a tenth of the baseline error",
            "use more training examples, or augment them; dk.teaching.required_examples(run.model) is a rule of thumb",
        ),
        (
            accuracies([0.9, 1.0], [0.5, 0.4]), {"target": 0.02}, "bad on validation data",
            "the training error 0.0 % is at most the target 2.0 %; the validation error 60.0 % is above the target, "
            "and not below the baseline error 50.0 %",
            "check that inputs and labels belong together, and that the inputs are scaled",
        ),
        (
            accuracies([0.99], [0.97]), {"target": 0.02}, "bad on validation data",
            "the training error 1.0 % is at most the target 2.0 %; the validation error 3.0 % is above the target",
            "use more training examples, or augment them; dk.teaching.required_examples(run.model) is a rule of thumb",
        ),
        (
            accuracies([0.9, 1.0], [0.9, 0.96]), {}, "good",
            f"the training error 0.0 % {BELOW}; the validation error 4.0 % exceeds it by "
            "4.0 %, at most 5.0 %, a tenth of the baseline error",
            "evaluate the test data, once: run.evaluate(data.test)",
        ),
        (
            accuracies([0.9], [0.95]), {}, "good",
            f"the training error 10.0 % {BELOW}; the validation error 5.0 % does not "
            "exceed it",
            "evaluate the test data, once: run.evaluate(data.test)",
        ),
        (
            accuracies([0.99], [0.985]), {"target": 0.02}, "good",
            "the training error 1.0 % is at most the target 2.0 %; the validation error 1.5 % is at most the target",
            "evaluate the test data, once: run.evaluate(data.test)",
        ),
        (
            accuracies([1.0]), {}, "no validation data",
            "the training error 0.0 % is at most 25.0 %, half the baseline error",
            "pass validation_data= or validation_split=0.2 to dk.fit, which shows whether the network overfits",
        ),
        (
            accuracies([0.7], [0.7]), {"baseline": 0.9}, "good",
            "the training error 30.0 % is at most 45.0 %, half the baseline error; the validation error 30.0 % does "
            "not exceed it",
            "evaluate the test data, once: run.evaluate(data.test)",
        ),
        (
            {"loss": [2.0, 0.5], "val_loss": [1.0, 0.7]}, {}, "nothing to compare with",
            "the training error 0.5 cannot be judged without a target or a baseline error",
            "call dk.teaching.diagnose(run, target=0.05), with the error to reach, or with baseline=",
        ),
        (
            {"loss": [2.0, math.nan], "accuracy": [0.5, 0.1]}, {}, "diverged", "the training loss is nan",
            "use a smaller learning rate, such as that of dk.find_learning_rate",
        ),
        (
            accuracies([1.0], [1.0]) | {"val_loss": [math.inf]}, {}, "diverged", "the validation loss is inf",
            "use a smaller learning rate, such as that of dk.find_learning_rate",
        ),
    ],
)  # fmt: skip
def test_each_rule(history, arguments, rule, explanation, suggestion):
    diagnosis = diagnose_history(history, HALF, **arguments)
    assert diagnosis.rule == rule
    assert diagnosis.explanation == explanation
    assert diagnosis.suggestions[0] == suggestion
    assert diagnosis.epochs == len(history["loss"])


def test_early_stopping_is_suggested_with_the_best_epoch():
    suggestions = diagnose_history(accuracies([0.9, 0.99, 1.0], [0.8, 0.85, 0.8]), HALF).suggestions
    assert suggestions[1].startswith(
        "stop early: the validation error was lowest in epoch 2 (15.0 %); keras.callbacks."
    )
    assert any("dropout" in text for text in suggestions)
    assert any("L2" in text for text in suggestions)
    still_falling = diagnose_history(accuracies([0.9, 0.99, 1.0], [0.8, 0.85, 0.86]), HALF).suggestions
    assert not any("stop early" in text for text in still_falling)


def test_a_regression_far_from_the_mean_of_its_labels_suggests_to_standardize_them():
    diagnosis = diagnose_history({"loss": [9e6], "mae": [3000.0]}, {"mean absolute error": 25.0})
    assert diagnosis.suggestions[0].startswith("standardize the labels")
    diagnosis = diagnose_history({"loss": [9.0], "mae": [30.0]}, {"mean absolute error": 25.0})
    assert diagnosis.suggestions[0].startswith("check that inputs and labels belong together")


def test_a_regression_is_diagnosed_by_its_error():
    baselines = {"mean squared error": 4.0, "mean absolute error": 1.6}
    history = {"loss": [2.0, 1.0], "mae": [1.0, 0.7], "val_loss": [2.0, 1.0], "val_mae": [1.0, 0.9]}
    diagnosis = diagnose_history(history, baselines)
    assert (diagnosis.rule, diagnosis.measure) == ("bad on validation data", "mean absolute error")
    assert "the validation error 0.9 exceeds it by 0.2, more than 0.16" in diagnosis.explanation
    assert diagnose_history(history | {"mse": [0.5, 0.1], "val_mse": [0.5, 0.2]}, baselines).rule == "good"


def test_text_and_repr():
    diagnosis = diagnose_history(accuracies([0.9, 1.0], [0.9, 0.96]), HALF)
    assert str(diagnosis).splitlines() == [
        f"good after 2 epochs: {diagnosis.explanation}",
        "  error rate: training 0.0 %, validation 4.0 %, baseline 50.0 %",
        "  - evaluate the test data, once: run.evaluate(data.test)",
    ]
    assert repr(diagnosis) == "<Diagnosis: good; error rate: training 0.0 %, validation 4.0 %, baseline 50.0 %>"
    assert diagnosis == diagnose_history(accuracies([0.9, 1.0], [0.9, 0.96]), HALF)


X = np.random.default_rng(0).normal(size=(60, 3)).astype("float32")
CLASSES = np.array([0] * 30 + [1] * 20 + [2] * 10)


def baselines(labels, head):
    data = PipelineData(dk.data.from_arrays(X, labels).train, None, "arrays")
    return baseline_errors(data, {} if head is None else {"": head})


@pytest.mark.parametrize("labels", [CLASSES, CLASSES[:, None], CLASSES.astype("float32")])
def test_the_baseline_of_classes_is_the_most_frequent_class(labels):
    assert baselines(labels, Head("multiclass", 3)) == {"error rate": 0.5}


def test_the_baseline_of_other_labels_of_classes():
    one_hot = np.eye(3, dtype="float32")[CLASSES]
    assert baselines(one_hot, Head("multiclass", 3, one_hot=True)) == {"error rate": 0.5}
    assert baselines(CLASSES == 0, Head("binary", 1)) == {"error rate": 0.5}
    labels = np.stack([CLASSES == 2, CLASSES > 0], axis=1).astype("int32")
    assert baselines(labels, Head("multilabel", 2)) == {"error rate": pytest.approx((1 / 6 + 1 / 2) / 2)}


def test_the_baseline_of_a_regression_is_the_mean():
    labels = np.random.default_rng(1).normal(3, 2, (60, 2))
    errors = baselines(labels, Head("regression", 2))
    assert errors["mean squared error"] == pytest.approx(labels.var(axis=0).mean(), rel=1e-5)
    assert errors["mean absolute error"] == pytest.approx(np.abs(labels - labels.mean(0)).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("labels", "head"),
    [
        (CLASSES, None),  # a custom loss
        (np.tile(CLASSES[:, None], 4), Head("multiclass", 3)),  # a class for each position
        (np.ones((60, 4)), Head("regression", 1)),
        ({"a": CLASSES, "b": CLASSES}, Head("multiclass", 3)),
    ],
)
def test_other_labels_have_no_baseline(labels, head):
    assert baselines(labels, head) == {}


def fit(y, head, **arguments):
    return dk.fit(dk.Sequential([head]), X, y, epochs=1, verbose=0, **arguments)


def test_a_run_and_the_stored_run_have_the_same_diagnosis(tmp_path, no_report):
    names = np.array(["cat", "dog", "owl"])[CLASSES]
    run = fit(names, dk.Classifier(3), run_dir=tmp_path / "run", validation_data=(X, names))
    diagnosis = diagnose(run)
    assert diagnosis.baseline_error == 0.5
    assert diagnosis.training_error == pytest.approx(1 - run.history["accuracy"][-1])
    assert diagnosis.validation_error == pytest.approx(1 - run.history["val_accuracy"][-1])
    loaded = dk.load_run(run.run_dir)
    assert loaded.baseline_errors == run.baseline_errors
    assert diagnose(loaded) == diagnosis
    assert diagnose(dataclasses.replace(run, baseline_errors={}), baseline=0.5) == diagnosis


def test_a_run_without_labels_in_memory_and_without_validation_data():
    y = X.sum(axis=1)
    batches = tf.data.Dataset.from_tensor_slices((X, y)).batch(20)
    run = dk.fit(dk.Sequential([dk.Regressor()]), batches, epochs=1, verbose=0)
    diagnosis = diagnose(run)
    assert (diagnosis.rule, diagnosis.measure) == ("nothing to compare with", "mean absolute error")
    assert diagnosis.baseline_error is None
    assert diagnose(run, target=100).rule == "no validation data"


def test_a_notebook_and_a_report_display_the_diagnosis():
    run = fit(CLASSES, dk.Classifier(3))
    page = diagnose(run)._repr_html_()
    assert "The display failed" not in page
    history = accuracies([0.9, 1.0], [0.9, 0.8])
    fragment = diagnosis_fragment(dataclasses.replace(run, history=history))
    for text in (
        "Bad on validation data.",
        "baseline error rate",
        "50.0 %",
        "<li>use more training",
        "lowest in epoch 1",
    ):
        assert text in fragment
    assert diagnosis_fragment(dataclasses.replace(run, history={"generator_loss": [1.0]})) == ""
    assert diagnosis_fragment(dataclasses.replace(run, history={})) == ""


@pytest.mark.parametrize("name", ["baseline", "target"])
@pytest.mark.parametrize("value", [90, -0.1, "0.1", math.nan])
def test_an_error_rate_out_of_range_is_refused(name, value):
    with pytest.raises(
        ValueError, match=f"diagnose: {name} must be a number from 0 to 1, .*\n  hint: pass a fraction: 0.1"
    ):
        diagnose_history(accuracies([0.5]), HALF, **{name: value})


def test_a_negative_target_of_a_loss_is_refused():
    with pytest.raises(ValueError, match="diagnose: target must be a number from 0, received -1\n  hint: pass a loss"):
        diagnose_history({"loss": [0.5]}, {}, target=-1)


def test_other_objects_are_refused():
    with pytest.raises(
        TypeError, match=r"diagnose: expected a run, received History\n  hint: pass the run that dk.fit"
    ):
        diagnose(keras.callbacks.History())
    with pytest.raises(ValueError, match="the run has no finished epoch\n  hint: pass a run"):
        diagnose_history({"loss": []}, {})
    with pytest.raises(ValueError, match="expected a loss or an accuracy in the history, received f1\n  hint: pass"):
        diagnose_history({"f1": [0.5]}, {})
