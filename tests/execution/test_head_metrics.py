"""Metrics follow the head: values as in scikit-learn, for logits and probabilities, and errors for the others."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import losses, metrics
from sklearn.metrics import accuracy_score, f1_score, log_loss, precision_score, recall_score, roc_auc_score

import deepkit as dk
from deepkit.definition.objective import Head
from deepkit.training.head_metrics import adapt_metrics
from deepkit.training.metric_rules import Output, adapt_metric

BINARY, MULTILABEL, CLASSES = Head("binary", 1, True), Head("multilabel", 4, True), Head("multiclass", 4, True)
ONE_HOT, NUMBERS = Head("multiclass", 4, True, one_hot=True), Head("regression", 2)
BINARY_P, MULTILABEL_P, CLASSES_P, ONE_HOT_P = (
    Head(head.task, head.units, False, head.one_hot) for head in (BINARY, MULTILABEL, CLASSES, ONE_HOT)
)


def data(labels):
    """Return 96 examples whose labels depend on the inputs, with noise."""
    generator = np.random.default_rng(4)
    x = generator.normal(size=(96, 5)).astype("float32")
    scores = x[:, :3] + generator.normal(size=(96, 3))
    y = {"binary": scores[:, 0] > 0.3, "multilabel": scores > 0.3, "classes": scores.argmax(1)}[labels]
    return x, y.astype("int32" if labels == "classes" else "float32")


def fit(head, x, y, **kwargs):
    net = dk.Sequential([dk.MLP([6]), head], name="net")
    settings = {"epochs": 2, "optimizer": keras.optimizers.Adam(0.05), "plan": dk.plan(seed=0), "verbose": 0}
    return dk.fit(net, (x, y), **settings | kwargs)


def sigmoid(logits):
    return 1 / (1 + np.exp(-np.float64(logits)))


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def adapt(chosen, head, label_rank=2):
    inputs = keras.Input((5,))
    model = keras.Model(inputs, keras.layers.Dense(head.units if head else 1)(inputs))
    return adapt_metrics(chosen, head, model, tf.TensorSpec([None] * label_rank))


def evaluate(chosen, head, y, outputs):
    """Return the value of each metric, adapted to the head."""
    adapted, _ = adapt(chosen, head, y.ndim)
    results = {}
    for item in adapted:
        metric = keras.metrics.get(item)
        metric.update_state(y, outputs)
        results[item if isinstance(item, str) else item.name] = np.asarray(metric.result())
    return results


def test_metrics_of_a_binary_head_after_training_evaluation_and_loading(tmp_path):
    x, y = data("binary")
    chosen = ["accuracy", metrics.Recall(name="recall"), metrics.AUC(name="auc"), metrics.BinaryCrossentropy("bce")]
    run = fit(dk.Classifier(1), x, y, metrics=chosen, validation_data=(x, y))
    logits = run.model.predict(x, verbose=0)[:, 0]
    results = run.model.evaluate(x, y, verbose=0, return_dict=True)
    assert set(results) == {"accuracy", "recall", "auc", "bce", "loss"}
    assert results["accuracy"] == pytest.approx(accuracy_score(y, logits > 0))
    assert results["recall"] == pytest.approx(recall_score(y, logits > 0))
    assert results["bce"] == pytest.approx(log_loss(y, sigmoid(logits)), rel=1e-5)
    assert results["auc"] == pytest.approx(roc_auc_score(y, logits), abs=0.01)
    assert results == pytest.approx({name: run.history[f"val_{name}"][-1] for name in results})
    run.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(x, y, verbose=0, return_dict=True) == pytest.approx(results)


@pytest.mark.parametrize("from_logits", [True, False])
def test_metrics_of_a_binary_head(from_logits):
    x, y = data("binary")
    y, logits = y[:, None], x[:, :1] - 0.2
    p = sigmoid(logits)
    predicted = p > 0.5
    chosen = ["accuracy", "precision", metrics.Recall(name="recall"), metrics.AUC(name="auc"), "ce", "binary_accuracy"]
    chosen += [metrics.TruePositives(name="tp"), metrics.FalseNegatives(name="fn"), metrics.BinaryCrossentropy("bce")]
    chosen += [metrics.BinaryAccuracy("strict", threshold=0.7), metrics.BinaryIoU(name="iou", target_class_ids=[1])]
    results = evaluate(chosen, Head("binary", 1, from_logits), y, logits if from_logits else p)
    assert results.pop("auc") == pytest.approx(roc_auc_score(y, p), abs=0.01)
    expected = {
        "accuracy": accuracy_score(y, predicted),
        "precision": precision_score(y, predicted),
        "recall": recall_score(y, predicted),
        "ce": log_loss(y, p),
        "binary_accuracy": accuracy_score(y, predicted),
        "tp": (predicted * y).sum(),
        "fn": (~predicted * y).sum(),
        "bce": log_loss(y, p),
        "strict": accuracy_score(y, p > 0.7),
        "iou": (predicted * y).sum() / np.maximum(predicted, y).sum(),
    }
    assert results == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("from_logits", [True, False])
def test_metrics_of_a_multilabel_head(from_logits):
    x, y = data("multilabel")
    logits = x[:, :3] * 1.5
    p = sigmoid(logits)
    chosen = ["acc", metrics.AUC(multi_label=True, num_labels=3, name="auc"), metrics.Recall(class_id=1, name="recall")]
    chosen += [metrics.Precision(top_k=1, name="top"), "ce"]
    if not from_logits:
        chosen += [metrics.F1Score(name="f1"), metrics.MeanSquaredError(name="brier")]
    results = evaluate(chosen, Head("multilabel", 3, from_logits), y, logits if from_logits else p)
    assert results["acc"] == pytest.approx(accuracy_score(y.ravel(), p.ravel() > 0.5))
    assert results["auc"] == pytest.approx(roc_auc_score(y, p), abs=0.01)
    assert results["recall"] == pytest.approx(recall_score(y[:, 1], p[:, 1] > 0.5))
    assert results["top"] == pytest.approx(y[np.arange(96), p.argmax(1)].mean())
    assert results["ce"] == pytest.approx(log_loss(y.ravel(), p.ravel()), rel=1e-5)
    if not from_logits:
        np.testing.assert_allclose(results["f1"], f1_score(y, p > 0.5, average=None), rtol=1e-5)
        assert results["brier"] == pytest.approx(((p - y) ** 2).mean(), rel=1e-5)


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("one_hot", [False, True])
def test_metrics_of_a_multiclass_head(from_logits, one_hot):
    x, classes = data("classes")
    y, logits = keras.utils.to_categorical(classes, 3) if one_hot else classes, x[:, :3] * 1.5
    p = softmax(logits)
    predicted = p.argmax(1)
    chosen = [
        "accuracy",
        "ce",
        metrics.SparseCategoricalCrossentropy(name="sparse"),
        metrics.CategoricalAccuracy("one"),
    ]
    chosen += [metrics.SparseTopKCategoricalAccuracy(2, name="top"), metrics.MeanIoU(3, name="iou")]
    if one_hot:
        chosen += [metrics.F1Score(average="macro", name="f1"), metrics.Recall(top_k=1, class_id=2, name="recall")]
    if one_hot and not from_logits:
        chosen += [metrics.AUC(multi_label=True, name="auc"), metrics.Precision(name="precision")]
    results = evaluate(chosen, Head("multiclass", 3, from_logits, one_hot), y, logits if from_logits else p)
    assert results["accuracy"] == results["one"] == pytest.approx(accuracy_score(classes, predicted))
    assert results["ce"] == results["sparse"] == pytest.approx(log_loss(classes, p), rel=1e-5)
    assert results["top"] == pytest.approx(np.mean([c in row.argsort()[1:] for c, row in zip(classes, p, strict=True)]))
    both = [((predicted == i) & (classes == i)).sum() / ((predicted == i) | (classes == i)).sum() for i in range(3)]
    assert results["iou"] == pytest.approx(np.mean(both), rel=1e-5)
    if one_hot:
        assert results["f1"] == pytest.approx(f1_score(classes, predicted, average="macro"), rel=1e-5)
        assert results["recall"] == pytest.approx(recall_score(classes == 2, predicted == 2))
    if one_hot and not from_logits:
        assert results["auc"] == pytest.approx(roc_auc_score(y, p), abs=0.01)
        assert results["precision"] == pytest.approx((y * (p > 0.5)).sum() / (p > 0.5).sum())


def test_metrics_of_several_outputs(capsys):
    x, classes = data("classes")
    y = {"digit": classes, "sign": (x[:, 0] > 0).astype("float32"), "size": x[:, 1:2]}
    net = dk.Functional(
        inputs={"x": dk.Input((5,))},
        nodes={
            "digit": ("x", [dk.Classifier(3)]),
            "sign": ("x", [dk.Classifier(1)]),
            "size": ("x", [dk.Regressor()]),
        },
        outputs=["digit", "sign", "size"],
    )
    chosen = {"sign": [metrics.Recall(name="recall"), "accuracy"], "digit": "accuracy", "size": ["mae"]}
    run = dk.fit(net, (x, y), metrics=chosen, verbose=2)
    printed = capsys.readouterr().out
    assert "metrics['sign']: recall counts logits above 0 as positive\n" in printed
    assert "metrics['digit']" not in printed
    results = run.model.evaluate(x, y, verbose=0, return_dict=True)
    outputs = run.model.predict(x, verbose=0)
    assert results["digit_accuracy"] == pytest.approx(accuracy_score(classes, outputs["digit"].argmax(1)))
    assert results["sign_recall"] == pytest.approx(recall_score(y["sign"], outputs["sign"][:, 0] > 0))
    assert results["sign_accuracy"] == pytest.approx(accuracy_score(y["sign"], outputs["sign"][:, 0] > 0))


def test_metrics_of_several_outputs_by_position_or_name():
    heads = {"b": BINARY, "a": NUMBERS}
    inputs = keras.Input((5,))
    model = keras.Model(inputs, {name: keras.layers.Dense(head.units)(inputs) for name, head in heads.items()})
    labels = {name: tf.TensorSpec((None, head.units)) for name, head in heads.items()}
    adapted, messages = adapt_metrics([["mae"], metrics.Recall(name="recall")], heads, model, labels)
    assert (list(adapted), adapted["a"]) == (["a", "b"], ["mae"])  # Keras sorts the names of outputs
    assert adapted["b"][0].get_config()["thresholds"] == 0.0
    assert messages == ("metrics['b']: recall counts logits above 0 as positive",)
    assert adapt_metrics([None, "auc"], heads, model, labels)[0].keys() == {"b"}
    assert adapt_metrics([], heads, model, labels) == ([], ())
    with pytest.raises(ValueError, match="there is no output 'aa'; did you mean 'a'") as caught:
        adapt_metrics({"aa": ["mae"]}, heads, model, labels)
    assert "hint: use the names of the outputs: b, a" in str(caught.value)
    with pytest.raises(ValueError, match=r"expected a mapping by output name \(b, a\), received \['mae'\]") as caught:
        adapt_metrics("mae", heads, model, labels)
    assert "hint: pass metrics={'b': [...]}" in str(caught.value)
    with pytest.raises(ValueError, match=r"metrics\['a'\]: 'accuracy' is a metric of classes, but the head") as caught:
        adapt_metrics({"a": "accuracy"}, heads, model, labels)
    assert "hint: use 'mae', or dk.Classifier(2) for classes" in str(caught.value)


SIGMOID = 'use dk.Classifier(4, activation="sigmoid")'
SOFTMAX = 'use dk.Classifier(4, activation="softmax")'
TO_CATEGORICAL = "use one-hot labels: keras.utils.to_categorical(y, 4)"


def output(head, **kwargs):
    activation = "linear" if head.from_logits or head is NUMBERS else "sigmoid"
    label_rank = 1 if head in (CLASSES, CLASSES_P) else 2
    return Output(
        head, **{"argument": "metrics", "rank": 2, "label_rank": label_rank, "activation": activation} | kwargs
    )


@pytest.mark.parametrize(
    ("head", "metric", "changes", "text"),
    [
        (BINARY, metrics.BinaryAccuracy(), {"threshold": 0.0}, "counts logits above 0 as positive"),
        (BINARY, metrics.Precision(thresholds=[0.5]), {"thresholds": [0.0]}, "counts logits above 0 as positive"),
        (
            BINARY,
            metrics.BinaryAccuracy(threshold=0.2),
            {"threshold": pytest.approx(np.log(0.25))},
            "counts logits above -1.386 as positive, which are probabilities above 0.2",
        ),
        (MULTILABEL, metrics.AUC(), {"from_logits": True}, "is computed from logits (from_logits=True)"),
        (
            MULTILABEL_P,
            metrics.F1Score(),
            {"threshold": 0.5},
            "counts probabilities above 0.5 as positive (threshold=0.5)",
        ),
        (
            ONE_HOT,
            metrics.IoU(4, [1]),
            {"sparse_y_true": False, "sparse_y_pred": False},
            "compares the most probable class with the label (sparse_y_pred=False, sparse_y_true=False)",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_adapted_metric_differs_in_its_arguments_only(head, metric, changes, text):
    adapted, change = adapt_metric(metric, output(head))
    assert type(adapted) is type(metric)
    assert change == text
    assert adapted.get_config() == metric.get_config() | changes


@pytest.mark.parametrize(
    ("head", "metric"),
    [
        (BINARY, metrics.Recall(thresholds=0)),
        (BINARY, metrics.BinaryAccuracy(threshold=-1.5)),
        (BINARY, metrics.Hinge()),
        (BINARY, metrics.Mean()),
        (BINARY_P, metrics.Precision(thresholds=[0.0, 0.3, 1.0])),
        (BINARY_P, metrics.F1Score(threshold=0.4)),
        (BINARY_P, metrics.SensitivityAtSpecificity(0.5)),
        (MULTILABEL_P, metrics.MeanSquaredError()),
        (ONE_HOT, metrics.F1Score()),
        (ONE_HOT, metrics.Precision(top_k=2, class_id=3)),
        (ONE_HOT_P, metrics.KLDivergence()),
        (NUMBERS, metrics.R2Score(class_aggregation=None)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_metric_that_fits_is_not_changed(head, metric):
    assert adapt_metric(metric, output(head)) == (metric, "")


@pytest.mark.parametrize(
    ("head", "metric", "problem", "hint"),
    [
        (MULTILABEL, metrics.Precision([0.3, 0.5]), "has thresholds=[0.3, 0.5], which are probabilities, but", SIGMOID),
        (MULTILABEL, metrics.F1Score(), "needs a threshold between 0 and 1, but", f"{SIGMOID} with threshold=0.5"),
        (MULTILABEL, metrics.PrecisionAtRecall(0.5), "searches thresholds from 0 to 1, which are prob", SIGMOID),
        (
            MULTILABEL,
            metrics.MeanSquaredError(),
            "compares the outputs with the labels, as probabilities, but",
            SIGMOID,
        ),
        (MULTILABEL, metrics.CategoricalAccuracy(), "its classes do not exclude each other", "use 'accuracy'"),
        (MULTILABEL, metrics.CategoricalCrossentropy(), "compares the most probable class", "use 'crossentropy'"),
        (MULTILABEL, metrics.CategoricalHinge(), "compares classes that exclude", "use keras.metrics.Hinge()"),
        (MULTILABEL, metrics.Recall(class_id=4), "has class_id=4, but the head has 4 classes", "class_id from 0 to 3"),
        (MULTILABEL, metrics.Recall(top_k=5), "has top_k=5, but the head has 4 classes", "use a smaller top_k"),
        (MULTILABEL, metrics.AUC(multi_label=True, num_labels=3), "has num_labels=3", "use num_labels=4, or leave"),
        (MULTILABEL, metrics.MeanIoU(2), "compares classes that exclude each other", "use keras.metrics.BinaryIoU()"),
        (BINARY, metrics.SparseCategoricalAccuracy(), "but the head has one output", "use 'accuracy'"),
        (BINARY, metrics.Accuracy(), "counts outputs that equal their label exactly", "use 'accuracy'"),
        (BINARY, metrics.Recall(class_id=0), "has class_id=0, but the head has one output", "leave class_id out"),
        (BINARY_P, metrics.BinaryCrossentropy(from_logits=True), "has from_logits=True, but", "leave from_logits out"),
        (BINARY_P, metrics.BinaryAccuracy(threshold=0), "has the threshold 0, but", "a threshold between 0 and 1"),
        (CLASSES, metrics.Recall(), "compares each of the 4 outputs with its label, but the labels", TO_CATEGORICAL),
        (CLASSES_P, metrics.AUC(), "but the labels are class indices", TO_CATEGORICAL),
        (CLASSES_P, metrics.F1Score(), "but the labels are class indices", TO_CATEGORICAL),
        (CLASSES_P, metrics.MeanAbsoluteError(), "but the labels are class indices", TO_CATEGORICAL),
        (CLASSES_P, metrics.OneHotIoU(4, [0]), "but the labels are class indices", TO_CATEGORICAL),
        (CLASSES_P, metrics.BinaryAccuracy(), "but the labels are class indices", "use 'accuracy'"),
        (CLASSES, metrics.TopKCategoricalAccuracy(), "has k=5, but the head has 4 classes", "use a smaller k"),
        (
            CLASSES,
            metrics.CategoricalCrossentropy(label_smoothing=0.1),
            "with label_smoothing=0.1 needs one-hot",
            "to_cat",
        ),
        (CLASSES, metrics.MeanIoU(3), "has num_classes=3, but the head has 4 classes", "use num_classes=4"),
        (ONE_HOT, metrics.Recall(), "compares the probability of each class with its label, but", SOFTMAX),
        (ONE_HOT, metrics.AUC(), "compares the probability of each class with its label, but", SOFTMAX),
        (ONE_HOT, metrics.BinaryCrossentropy(), "but the head returns logits", "use 'crossentropy'"),
        (ONE_HOT, metrics.SparseCategoricalCrossentropy(ignore_class=0), "needs class indices", "use y.argmax(-1)"),
        (NUMBERS, metrics.CategoricalAccuracy(), "is a metric of classes, but the head predicts numbers", "use 'mae'"),
        (NUMBERS, metrics.Precision(), "is a metric of classes, but the head predicts numbers", "dk.Classifier(2)"),
        (NUMBERS, metrics.KLDivergence(), "expects probabilities, but the head is linear", "set an activation"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, metrics.Metric) else "",
)
def test_a_metric_that_does_not_fit_raises_an_error(head, metric, problem, hint):
    with pytest.raises(ValueError, match="hint:") as caught:
        adapt_metric(metric, output(head))
    first, last = str(caught.value).splitlines()
    assert first.startswith(f"metrics: {type(metric).__name__} ")
    assert problem in first
    assert last.startswith("  hint: ")
    assert hint in last


@pytest.mark.parametrize("from_logits", [True, False])
def test_the_binary_crossentropy_of_labels_without_the_last_axis(from_logits):
    x, y = data("binary")
    logits = x[:, :1]
    adapted, messages = adapt(
        ["ce", metrics.BinaryCrossentropy(label_smoothing=0.2)], Head("binary", 1, from_logits), 1
    )
    values = [np.mean(loss(y, logits if from_logits else sigmoid(logits))) for loss in adapted]
    assert values[0] == pytest.approx(log_loss(y, sigmoid(logits)), rel=1e-5)
    assert adapted[1].get_config()["label_smoothing"] == 0.2
    assert len(messages) == from_logits


@pytest.mark.parametrize("metric", [metrics.KLDivergence(), metrics.Hinge(), metrics.F1Score(threshold=0.5)])
def test_labels_of_another_rank_are_not_broadcast(metric):
    with pytest.raises(ValueError, match="expects labels of rank 2, as the output, received") as caught:
        adapt_metric(metric, output(BINARY_P, label_rank=1))
    assert str(caught.value).endswith("hint: add an axis to the labels: y[..., None]")


def test_an_f_score_needs_one_row_per_example():
    with pytest.raises(ValueError, match=r"F1Score needs an output \(batch, classes\), but its rank is 3"):
        adapt_metric(metrics.F1Score(threshold=0.5), output(MULTILABEL_P, rank=3, label_rank=3))


def test_a_sigmoid_regressor_may_have_metrics_of_probabilities():
    recall = metrics.Recall()
    assert adapt_metric(recall, output(NUMBERS, activation="sigmoid")) == (recall, "")


class SigmoidRecall(metrics.Recall):
    """A metric of the user that computes probabilities from logits."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(y_true, keras.ops.sigmoid(y_pred), sample_weight)


class NamedRecall(metrics.Recall):
    """A subclass that only changes a default."""

    def __init__(self, name="hits", **kwargs):
        super().__init__(name=name, **kwargs)


class FixedRecall(metrics.Recall):
    """A subclass that does not accept thresholds."""

    def __init__(self, name="fixed"):
        super().__init__(name=name)

    def get_config(self):
        return {"name": self.name}


def count_positive(y_true, y_pred):
    return keras.ops.sum(y_pred)


def test_metrics_and_functions_of_the_user_are_not_changed():
    for metric in (SigmoidRecall(), metrics.MeanMetricWrapper(count_positive)):
        assert adapt_metric(metric, output(BINARY)) == (metric, "")
    adapted, _ = adapt_metric(NamedRecall(), output(BINARY))
    assert (type(adapted), adapted.name, adapted.thresholds) == (NamedRecall, "hits", [0.0])
    with pytest.raises(ValueError, match=r"FixedRecall must have thresholds=0\.0 for this head") as caught:
        adapt_metric(FixedRecall(), output(BINARY))
    assert "hint: accept thresholds in its __init__ and return it from get_config, or override" in str(caught.value)


def test_functions_and_classes_of_keras_are_adapted():
    chosen = [metrics.binary_accuracy, losses.binary_crossentropy, metrics.FalsePositives, count_positive]
    adapted, messages = adapt(chosen, BINARY)
    assert [metric.get_config().get("threshold") for metric in adapted[:1]] == [0.0]
    assert adapted[1].get_config()["from_logits"] is True
    assert adapted[2].get_config()["thresholds"] == 0.0
    assert adapted[3] is count_positive
    assert [metric.name for metric in adapted[:2]] == ["binary_accuracy", "binary_crossentropy"]
    assert messages[:2] == (
        "metrics: binary_accuracy counts logits above 0 as positive",
        "metrics: binary_crossentropy is computed from logits (from_logits=True)",
    )
    assert adapt([metrics.mean_absolute_error, "mse"], NUMBERS) == ([metrics.mean_absolute_error, "mse"], ())
    for loss in (losses.BinaryFocalCrossentropy(), losses.binary_focal_crossentropy):
        with pytest.raises(ValueError, match="BinaryFocalCrossentropy expects probabilities"):
            adapt([loss], BINARY)


def test_names_select_the_metric_of_the_head():
    def configs(head):
        return [(type(metric).__name__, metric.name) for metric in adapt(["acc", "crossentropy"], head)[0]]

    assert configs(MULTILABEL) == [("BinaryAccuracy", "acc"), ("BinaryCrossentropy", "crossentropy")]
    assert configs(ONE_HOT) == [("CategoricalAccuracy", "acc"), ("CategoricalCrossentropy", "crossentropy")]
    assert configs(CLASSES) == [("SparseCategoricalAccuracy", "acc"), ("SparseCategoricalCrossentropy", "crossentropy")]
    adapted, messages = adapt("accuracy", BINARY)
    assert (adapted[0].threshold, messages) == (0.0, ())


@pytest.mark.parametrize("head", [BINARY, None])
def test_an_unknown_name_has_a_suggestion(head):
    with pytest.raises(ValueError, match="Keras has no metric 'recalls'; did you mean 'recall'") as caught:
        adapt(["recalls"], head)
    assert str(caught.value).endswith("hint: pass a metric such as keras.metrics.Recall()")
    if head is None:
        with pytest.raises(ValueError, match="'ce' requires a definition with a classifier as its head"):
            adapt(["accuracy", "ce"], head)
    with pytest.raises(ValueError, match="the metric 'precision_at_recall' requires arguments") as caught:
        adapt(["precision_at_recall"], head)
    assert str(caught.value).endswith("hint: pass keras.metrics.PrecisionAtRecall(...)")


def test_names_of_losses():
    x, y = data("binary")
    loss = fit(dk.Classifier(1), x, y, loss="crossentropy", epochs=1).model.loss
    assert (type(loss), loss.from_logits) == (losses.BinaryCrossentropy, True)
    with pytest.raises(ValueError, match="loss: Keras has no loss 'binary_crosentropy'; did you mean 'binary_cross"):
        fit(dk.Classifier(1), x, y, loss="binary_crosentropy")
    with pytest.raises(ValueError, match=r"loss: Keras has no loss 'zzz.*\.\.\.") as caught:
        fit(dk.Classifier(1), x, y, loss="z" * 5000)
    assert len(str(caught.value)) < 300
    with pytest.raises(ValueError, match="loss: 'ce' requires a definition with a classifier as its head"):
        fit(dk.Regressor(), x, y, loss="ce")


@pytest.mark.parametrize("chosen", [{"a": ["mae"], "b": None}, {"a": ["mae", None]}, [["mae"], None]])
def test_none_stands_for_an_output_without_metrics(chosen):
    nodes = {name: ("input", [dk.Regressor()]) for name in ("a", "b")}
    x, y = data("binary")
    net = dk.Functional(inputs={"input": dk.Input((5,))}, nodes=nodes, outputs=["a", "b"])
    run = dk.fit(net, (x, dict.fromkeys(nodes, y[:, None])), metrics=chosen, verbose=0)
    assert [name for name in run.history if "mae" in name] == ["a_mae"]


@pytest.mark.parametrize("head", [BINARY, None])
def test_an_object_that_is_not_a_metric_is_refused(head):
    with pytest.raises(TypeError, match="metrics: expected a metric, a function or a name, received 3\n  hint: pass"):
        adapt([3], head)
    for metric, name in ((metrics.Mean(), "Mean"), (metrics.Sum, "Sum"), ("mean", "Mean")):
        with pytest.raises(ValueError, match=f"metrics: {name} reduces one value, but a metric compares labels"):
            adapt([metric], head)
