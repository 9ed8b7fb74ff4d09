"""Classifiers with a hinge loss: the head decides labels, metrics and predictions, which are not probabilities."""

import keras
import numpy as np
import pytest
from keras import layers, metrics

import deepkit as dk
from deepkit.errors import LabelError
from deepkit.training.predictions import ScorePrediction
from tests.execution.test_labels import compile_for

X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
TWO, THREE = np.arange(24) % 2, np.arange(24) % 3
NAMES = np.array(["owl", "cat", "dog"])
HINGE = dk.Classifier(3, loss="hinge")


# --- definitions ------------------------------------------------------------------------------------------------------


def test_a_classifier_with_a_hinge_loss_is_a_value():
    assert repr(HINGE) == 'dk.Classifier(3, loss="hinge")'
    assert dk.Classifier(3, loss="crossentropy") == dk.Classifier(3) != HINGE
    assert dk.from_dict(dk.to_dict(HINGE)) == HINGE
    assert dk.to_dict(HINGE)["loss"] == "hinge"
    assert "loss" not in dk.to_dict(dk.Classifier(3))
    assert "loss: hinge" in dk.dump(HINGE)


def test_a_pattern_ends_in_a_support_vector_machine(tmp_path):
    net = dk.from_pattern("FC8-RELU-FC3", loss="hinge")
    assert net.layers[-1] == dk.Classifier(3, loss="hinge", name="fc2")
    assert repr(net) == 'dk.from_pattern("FC8-RELU-FC3", loss="hinge")'
    dk.dump(net, tmp_path / "net.yaml")
    assert dk.load(tmp_path / "net.yaml") == net
    assert dk.from_pattern("FC8-SOFTMAX3", loss="crossentropy").layers[-1].loss == "crossentropy"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: dk.Classifier(3, loss="hinge", activation="softmax"),
            "Classifier: loss=\"hinge\" compares scores of any sign, and activation='softmax' returns probabilities\n"
            "  hint: leave out activation or loss",
        ),
        (
            lambda: dk.Classifier(3, loss="hing"),
            "Classifier: loss must be one of 'crossentropy', 'hinge', received 'hing'; did you mean 'hinge'?\n"
            '  hint: use loss="hinge", or pass loss= to dk.fit',
        ),
        (
            lambda: dk.from_pattern("FC8-SOFTMAX3", loss="hinge"),
            'loss="hinge" compares scores of any sign, and a softmax returns probabilities',
        ),
        (
            lambda: dk.from_pattern("CONV8-RELU", loss="hinge"),
            "from_pattern: loss='hinge' is not used: the pattern does not end in a classifier",
        ),
        (
            lambda: dk.from_pattern("FC3", loss="l2"),
            "from_pattern: loss must be one of 'crossentropy', 'hinge', received 'l2'\n  hint: pass loss=\"hinge\"",
        ),
        (lambda: dk.Classifier(3, label_smoothing=0.1), "Classifier takes no 'label_smoothing'"),
    ],
)
def test_contradictions_are_refused(make, text):
    with pytest.raises(dk.DefinitionError) as caught:
        make()
    assert text in str(caught.value)


# --- losses and metrics -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "y", "loss", "metric"),
    [
        (HINGE, THREE, dk.losses.MulticlassHinge, metrics.SparseCategoricalAccuracy),
        (dk.Classifier(1, loss="hinge"), TWO, keras.losses.Hinge, metrics.BinaryAccuracy),
    ],
)
def test_the_head_selects_loss_and_accuracy(head, y, loss, metric):
    compiled, data = compile_for(head, y)
    assert type(compiled.model.loss) is loss
    compiled.model.evaluate(data.train, verbose=0)
    (accuracy,) = compiled.model.metrics[1].metrics
    assert type(accuracy) is metric
    assert getattr(accuracy, "threshold", 0) == 0
    assert compiled.prediction.heads[""].scores


def test_keras_converts_the_labels_0_and_1_of_one_class_to_signs():
    compiled, data = compile_for(dk.Classifier(1, loss="hinge"), TWO)
    scores = compiled.model.predict(X, verbose=0)[:, 0]
    expected = np.maximum(0, 1 - (2 * TWO - 1) * scores).mean()
    results = compiled.model.evaluate(data.train, verbose=0, return_dict=True)
    assert results["loss"] == pytest.approx(expected, rel=1e-5)
    assert results["accuracy"] == pytest.approx(np.mean((scores > 0) == TWO))


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("loss", [dk.losses.MulticlassHinge(), "categorical_hinge", keras.losses.SquaredHinge()])
def test_a_hinge_loss_of_probabilities_is_refused(activation, loss):
    y = keras.utils.to_categorical(THREE) if not isinstance(loss, dk.losses.MulticlassHinge) else THREE
    for head in (dk.Classifier(3, activation=activation), layers.Dense(3, activation)):
        with pytest.raises(
            ValueError, match=f"compares scores of any sign, .* ends in {activation} .probabilities."
        ) as e:
            compile_for(head, y, loss=loss)
        assert str(e.value).endswith("hint: use activation=None in the output layer, or a cross-entropy")


def adapted(metric, head=HINGE, y=THREE):
    compiled, data = compile_for(head, y)
    net = dk.Sequential([head])
    objective = net.objective(compiled.model.output_shape, tuple(data.label_spec.shape))
    from deepkit.training.head_metrics import adapt_metrics

    return adapt_metrics([metric], objective.head, compiled.model, data.label_spec)


def test_metrics_of_scores_have_the_threshold_0():
    binary = dk.Classifier(1, loss="hinge")
    (accuracy,), notes = adapted(metrics.BinaryAccuracy(), binary, TWO)
    assert (accuracy.threshold, notes) == (0, ("metrics: binary_accuracy counts scores above 0 as positive",))
    (precision,), notes = adapted(metrics.Precision(), binary, TWO)
    assert (precision.thresholds, notes) == ([0.0], ("metrics: precision counts scores above 0 as positive",))
    (top,), _ = adapted(metrics.SparseTopKCategoricalAccuracy(2))
    assert isinstance(top, metrics.SparseTopKCategoricalAccuracy)


@pytest.mark.parametrize(
    ("metric", "head", "text"),
    [
        ("crossentropy", HINGE, "metrics: 'crossentropy' is a metric of probabilities, but the head returns scores"),
        (
            metrics.SparseCategoricalCrossentropy(),
            HINGE,
            "metrics: SparseCategoricalCrossentropy compares the labels with probabilities, but the head returns",
        ),
        (
            metrics.BinaryCrossentropy(),
            dk.Classifier(1, loss="hinge"),
            "metrics: BinaryCrossentropy compares the labels with probabilities, but the head returns scores",
        ),
        (
            metrics.BinaryAccuracy(threshold=0.7),
            dk.Classifier(1, loss="hinge"),
            "metrics: BinaryAccuracy has the threshold 0.7, which is a probability, but the head returns scores",
        ),
    ],
)
def test_metrics_of_probabilities_are_refused(metric, head, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        adapted(metric, head, THREE if head is HINGE else TWO)
    assert str(caught.value).startswith(text)
    assert "hint: use 'accuracy', or" in str(caught.value) or "hint: use threshold=0" in str(caught.value)


def test_the_name_of_the_crossentropy_contradicts_the_head():
    with pytest.raises(ValueError, match="'crossentropy' contradicts loss=\"hinge\" of the classifier"):
        compile_for(HINGE, THREE, loss="crossentropy")


# --- labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "y", "problem", "hint"),
    [
        (HINGE, THREE - 1, "expected class indices from 0 to 2", "use y + 1"),
        (dk.Classifier(2, loss="hinge"), 2 * TWO - 1, "expected class indices from 0 to 1", "use (y + 1) // 2"),
        (dk.Classifier(1, loss="hinge"), 2 * TWO - 1, "expected labels 0 or 1", "use (y + 1) // 2"),
        (dk.Classifier(1, loss="hinge"), TWO * 0.5, "expected labels 0 or 1", "use 0 and 1 as labels"),
        (dk.Classifier(1, loss="hinge"), THREE, "expected labels 0 or 1", 'use dk.Classifier(3, loss="hinge")'),
        (HINGE, keras.utils.to_categorical(THREE), "expected class indices from 0 to 2", "use y.argmax(axis=-1)"),
    ],
)
def test_labels_that_do_not_fit_are_refused(head, y, problem, hint):
    with pytest.raises(LabelError) as caught:
        compile_for(head, y)
    assert problem in caught.value.problem
    assert caught.value.hint.startswith(hint)


# --- predictions ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_predicts_names_and_scores_also_after_loading(tmp_path):
    run = dk.fit(dk.Sequential([HINGE]), X, NAMES[THREE], epochs=1, run_dir=tmp_path / "run", verbose=0)
    outputs = run.model.predict(X, verbose=0)
    for predicting in (run, dk.load_run(tmp_path / "run")):
        labels, scores = predictions = predicting.predict(X)
        assert isinstance(predictions, ScorePrediction)
        np.testing.assert_allclose(scores, outputs, rtol=1e-5)
        assert labels.tolist() == [("cat", "dog", "owl")[i] for i in outputs.argmax(-1)]
        np.testing.assert_array_equal(np.argmax(predictions, -1), outputs.argmax(-1))
    assert repr(predictions).splitlines()[:2] == [
        "<ScorePrediction of 24 examples>",
        f"   0  {labels[0]} {outputs[0].max():.4g}",
    ]
    assert "%" not in repr(predictions)
    assert set(run.evaluate(X, NAMES[THREE])) == {"loss", "accuracy"}


def test_a_hinge_loss_that_was_passed_to_fit_predicts_scores_and_a_crossentropy_probabilities():
    hinge, _ = compile_for(dk.Classifier(3), THREE, loss=dk.losses.MulticlassHinge())
    dense, _ = compile_for(layers.Dense(3), THREE, loss=dk.losses.MulticlassHinge())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    crossentropy, _ = compile_for(HINGE, THREE, loss=loss)
    assert [compiled.prediction.heads[""].scores for compiled in (hinge, dense, crossentropy)] == [True, True, False]


def test_one_score_becomes_the_scores_of_two_classes():
    run = dk.fit(dk.Sequential([dk.Classifier(1, loss="hinge")]), X, NAMES[1 + TWO], epochs=1, verbose=0)
    labels, scores = run.predict(X)
    score = run.model.predict(X, verbose=0)[:, 0]
    np.testing.assert_allclose(scores, np.stack([-score, score], 1), rtol=1e-5)
    assert labels.tolist() == ["dog" if s > 0 else "cat" for s in score]


def test_figures_of_misclassified_images_show_differences_of_scores():
    model = dk.Classifier(3, loss="hinge").build((2, 2, 1))
    model.set_weights([np.zeros((4, 3)), np.array([0.5, -1.0, 3.0])])
    model.compile("sgd", dk.losses.MulticlassHinge())
    data = (np.ones((3, 2, 2, 1)), np.arange(3))
    examples = dk.visualize.arrays.misclassified(model, data)
    assert [(e.label, e.prediction, e.confidence, e.loss) for e in examples] == [(1, 2, None, 4.0), (0, 2, None, 2.5)]
    assert dk.visualize.misclassified(model, data).axes[0].get_title() == "true: 1\npredicted: 2\nscore +4"
    np.testing.assert_array_equal(dk.visualize.arrays.confusion(model, data)[:, 2], [1, 1, 1])
