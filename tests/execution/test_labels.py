"""Labels that do not fit the head or the loss of a definition: errors before the first step or in the batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.errors import LabelError, RunDirError
from deepkit.training import batch_checks, checkpoint
from deepkit.training.compile import compile_definition
from deepkit.training.fit_arguments import DataArguments
from deepkit.training.run_dir import RunDir
from deepkit.training.text_labels import encode_text_labels
from deepkit.training.user_data import make_training_data

PLAN = dk.plan(devices="CPU:0", seed=0)
X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
STEPS = np.random.default_rng(0).normal(size=(24, 5, 4)).astype("float32")
TWO, THREE = np.arange(24) % 2, np.arange(24) % 3
ONE_HOT = np.eye(3)[THREE]
MULTI_HOT = np.maximum(ONE_HOT, np.eye(3)[TWO])
NAMES = np.array(["wolf", "bear", "lynx"])
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
CATEGORICAL = keras.losses.CategoricalCrossentropy(from_logits=True)


def compile_for(head, y, x=X, loss=None, validation_data=None, body=()):
    """Compile a definition for data as `fit` does before the first step; return the compiled model and the data."""
    net = head if isinstance(head, dk.Functional) else dk.Sequential([*body, head])
    data = make_training_data(DataArguments(x, y, batch_size=8, validation_data=validation_data), PLAN)
    data = encode_text_labels(net, data, loss, verbose=0)
    with PLAN:
        return compile_definition(net, data, PLAN, None, loss, [] if loss else None), data


def label_error(*args, **kwargs):
    with pytest.raises(LabelError) as caught:
        compile_for(*args, **kwargs)
    return caught.value


def dataset(x, y, batch_size=8):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(batch_size)


def fit(net, data, **kwargs):
    return dk.fit(net, data, **{"verbose": 0, "plan": PLAN, **kwargs})


def test_the_message_names_the_expected_labels_the_first_wrong_one_and_the_conversion():
    assert str(label_error(dk.Classifier(3), THREE + 1)) == (
        "labels: expected class indices from 0 to 2 for dk.Classifier(3), received 3 (first at index 2)\n"
        "  at    data\n"
        "  hint: use y - 1"
    )


@pytest.mark.parametrize(
    ("num_classes", "y", "received", "hint"),
    [
        (2, 2 * TWO - 1, "-1 (first at index 0)", "use (y + 1) // 2"),
        (2, THREE + 1, "2 (first at index 1)", "use y - 1 and dk.Classifier(3)"),
        (2, THREE.astype("float32"), "2 (first at index 2)", "use dk.Classifier(3)"),
        (3, THREE - 1, "-1 (first at index 0)", "use y + 1 if -1 is a class"),
        (2, THREE - 1, "-1 (first at index 0)", "use y + 1 and dk.Classifier(3) if -1 is a class"),
        (3, 7 * THREE, "7 (first at index 1)", "use np.unique(y, return_inverse=True)[1]"),
        (3, 0.5 * THREE, "0.5 (first at index 1)", "use dk.Classifier(1) for the probability of one class"),
        (3, THREE + 0.5, "0.5 (first at index 0)", "use whole numbers for classes, or dk.Regressor()"),
        (3, np.where(X[:, 0] > 9, 0, 1_000_003), "1000003 (first at index 0)", "use np.unique(y"),
    ],
)
def test_class_indices_out_of_range(num_classes, y, received, hint):
    error = label_error(dk.Classifier(num_classes), y)
    assert f"for dk.Classifier({num_classes}), received {received}" in error.problem
    assert error.hint.startswith(hint)


@pytest.mark.parametrize(
    ("y", "received", "hint"),
    [
        (2 * TWO - 1, "-1 (first at index 0)", "use (y + 1) // 2"),
        (TWO + 1, "2 (first at index 1)", "use y - 1"),
        (255 * TWO, "255 (first at index 1)", "use y == 255"),
        (THREE, "2 (first at index 2)", "use dk.Classifier(3), or 0 and 1 as labels"),
        (X[:, 0] - 5, "-4.87427", "use 0 and 1 as labels, or dk.Regressor() for a continuous target"),
    ],
)
def test_binary_labels_out_of_range(y, received, hint):
    error = label_error(dk.Classifier(1), y)
    assert f"expected labels from 0 to 1 for dk.Classifier(1), received {received}" in error.problem
    assert error.hint == hint


@pytest.mark.parametrize(
    ("head", "y", "received", "hint"),
    [
        (dk.Classifier(3), MULTI_HOT, "a row with the sum 2 (first at index 2)", 'activation="sigmoid") for several'),
        (dk.Classifier(3), -ONE_HOT, "-1 (first at index 0)", "use probabilities of at least 0"),
        (dk.Classifier(3), 0 * ONE_HOT, "a row with the sum 0", "remove the examples without a class"),
        (dk.Classifier(3), 0.9 * ONE_HOT, "a row with the sum 0.9", "divide each row by its sum"),
        (dk.Classifier(3, activation="sigmoid"), 2 * MULTI_HOT, "2 (first", "use 0 or 1 for each output"),
    ],
)
def test_rows_out_of_range(head, y, received, hint):
    error = label_error(head, y)
    assert f"received {received}" in error.problem
    assert hint in error.hint


@pytest.mark.parametrize(
    ("head", "y", "expected", "received", "hint"),
    [
        (dk.Classifier(1), X[:, :2], "(batch, 1) or (batch,)", "(batch, 2)", "dk.Classifier(2), or the labels y[:, 1"),
        (dk.Classifier(1), ONE_HOT, "(batch, 1) or (batch,)", "(batch, 3)", "use dk.Classifier(3)"),
        (dk.Classifier(4), ONE_HOT, "(batch,) or (batch, 1)", "(batch, 3)", "use dk.Classifier(3)"),
        (dk.Classifier(3, activation="sigmoid"), THREE, "(batch, 3)", "(batch,)", "use dk.Classifier(3) for one class"),
        (dk.Classifier(4, activation="sigmoid"), MULTI_HOT, "(batch, 4)", "(batch, 3)", 'dk.Classifier(3, activ'),
        (dk.Regressor(), X, "(batch, 1) or (batch,)", "(batch, 4)", "use dk.Regressor(4)"),
        (dk.Regressor(2), X[:, :1], "(batch, 2)", "(batch, 1)", "use dk.Regressor(), or labels of shape (batch, 2)"),
        (dk.Regressor(2), X[:, 0], "(batch, 2)", "(batch,)", "use dk.Regressor(), or labels of shape (batch, 2)"),
        (dk.Regressor(), X[:, :1, None], "(batch, 1) or (batch,)", "(batch, 1, 1)", "use labels of shape (batch, 1)"),
    ],
)  # fmt: skip
def test_labels_of_another_shape(head, y, expected, received, hint):
    error = label_error(head, y)
    assert f"of shape {expected} for {head!r}, received shape {received}" in error.problem
    assert hint in error.hint


def test_labels_of_each_step_for_a_network_that_returns_the_last_one():
    error = label_error(dk.Regressor(), STEPS[..., 0], STEPS, body=[dk.Recurrent("gru", 3)])
    assert "received shape (batch, 5)" in error.problem
    assert error.hint == (
        "set return_sequences=True in the recurrent block before the head, and dk.Regressor(pool=None) for one output "
        "per step, or use dk.Regressor(5)"
    )
    head = dk.Classifier(3, pool=None)
    error = label_error(head, THREE, STEPS)
    assert "of shape (batch, 5) or (batch, 5, 1) for dk.Classifier(3, pool=None)" in error.problem
    assert error.hint.startswith('use dk.Classifier(3, pool="avg") for one output per example')


def tagger(length=3, *, return_sequences=True):
    """Return the blocks before the head of a network that tags each word of a text."""
    embedding = layers.Embedding(9, 4, mask_zero=True)
    reader = dk.BiLSTM(3, return_sequences=return_sequences)
    return [dk.Text(9, output_sequence_length=length), embedding, reader]


TEXTS, TAGS = ["a b", "c b a"] * 12, np.array([[0, 1, 0], [1, 1, 0]] * 12)


def test_tags_of_words_may_be_names():
    compiled, data = compile_for(dk.Classifier(2, pool=None), np.array(["x", "y"])[TAGS], TEXTS, body=tagger())
    assert data.class_names == ("x", "y")
    assert compiled.model.output_shape == (None, 3, 2)


@pytest.mark.parametrize(
    ("body", "y", "hint"),
    [
        (tagger(None), TAGS, "use dk.Text(..., output_sequence_length=3)"),
        (
            tagger(),
            np.array([[0, 1, -1], [1, 1, 0]] * 12),
            "use class 0 at padded steps: they do not count if they are",
        ),
        (tagger(), np.array([["x", "y", ""], ["y", "y", "x"]] * 12), "use a class name in place of '' at padded steps"),
        (tagger(return_sequences=False), TAGS, "set return_sequences=True in the recurrent block before the head"),
    ],
)
def test_tags_that_do_not_fit_the_words(body, y, hint):
    assert hint in label_error(dk.Classifier(2, pool=None), y, TEXTS, body=body).hint


@pytest.mark.parametrize(
    ("head", "y", "x"),
    [
        (dk.Classifier(9), 4.0 * THREE, X),
        (dk.Classifier(3), THREE[:, None].astype("uint8"), X),
        (dk.Classifier(2), TWO == 1, X),
        (dk.Classifier(3), 0.9 * ONE_HOT + 0.1 / 3, X),
        (dk.Classifier(1), TWO == 1, X),
        (dk.Classifier(1), 0.3 * TWO[:, None], X),
        (dk.Classifier(3, activation="sigmoid"), MULTI_HOT, X),
        (dk.Classifier(3, pool=None), np.stack([THREE] * 5, 1), STEPS),
        (dk.Classifier(1, pool=None), np.stack([TWO] * 5, 1), STEPS),
        (dk.Regressor(), X[:, 0], X),
        (dk.Regressor(2), X[:, :2], X),
        (dk.Regressor(pool=None), STEPS[..., 0], STEPS),
    ],
)
def test_labels_that_fit_are_checked_once(head, y, x):
    compiled, data = compile_for(head, y, x, validation_data=(x, y))
    assert compiled.label_checks == ((), ())
    assert batch_checks.check_batches(data.train, compiled.model) is data.train


@pytest.mark.parametrize(
    ("loss", "output", "y", "problem", "hint"),
    [
        (SPARSE, dk.Classifier(3), THREE + 1, "from 0 to 2 for SparseCategoricalCrossentropy with dk.C", "use y - 1"),
        ("crossentropy", dk.Classifier(3), THREE + 1, "received 3", "use y - 1"),
        (SPARSE, dk.Classifier(3), ONE_HOT, "received shape (batch, 3)", "use y.argmax(axis=-1), or the loss"),
        (CATEGORICAL, dk.Classifier(3), THREE, "of shape (batch, 3)", "use keras.utils.to_categorical(y, 3)"),
        (CATEGORICAL, dk.Classifier(3), MULTI_HOT, "a row with the sum 2", 'use dk.Classifier(3, activation="sig'),
        ("sparse_categorical_crossentropy", layers.Dense(2, "softmax"), THREE, "received 2", "use an output of 3"),
        ("binary_crossentropy", layers.Dense(1, "sigmoid"), 2 * TWO - 1, "received -1", "use (y + 1) // 2"),
        ("mse", layers.Dense(1), X, "mean_squared_error with an output of shape (batch, 1)", "use labels of shape"),
        (keras.losses.Huber(), dk.Regressor(2), X[:, :1], "for Huber with dk.Regressor(2)", "use dk.Regressor()"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_a_stock_loss(loss, output, y, problem, hint):
    error = label_error(output, y, loss=loss)
    assert problem in error.problem
    assert error.hint.startswith(hint)


def test_labels_for_other_losses_are_accepted():
    ignoring = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    compile_for(dk.Classifier(3), THREE - 1 + (THREE == 0), loss=ignoring)
    compile_for(dk.Classifier(3), 0 * ONE_HOT, loss=CATEGORICAL)
    compile_for(dk.Classifier(3), X, loss=lambda y_true, y_pred: keras.ops.sum(y_true) * keras.ops.mean(y_pred))


def test_generalized_crossentropy_would_broadcast_a_column():
    loss = keras.losses.CategoricalGeneralizedCrossEntropy()
    error = label_error(dk.Classifier(3, activation="softmax"), THREE[:, None], loss=loss)
    assert "of shape (batch,) for" in error.problem


@pytest.mark.parametrize(
    "data", [X, (X,), tf.data.Dataset.from_tensor_slices(X).batch(8)], ids=["x", "(x,)", "dataset"]
)
def test_missing_labels(data):
    with pytest.raises(LabelError) as caught:
        fit(dk.Sequential([dk.Classifier(2)]), data)
    assert caught.value.problem == "labels: expected labels for dk.Classifier(2), received inputs only"
    assert caught.value.hint == "pass (x, y), or a dataset of (x, y)"


def test_missing_labels_for_a_loss():
    error = label_error(layers.Dense(1), None, loss="mse")
    assert "expected finite numbers for mean_squared_error" in error.problem


def test_labels_are_not_checked_if_the_model_learns_from_its_inputs():
    net = dk.Autoencoder([layers.Dense(2)], activation=None)
    assert compile_for(net, 1000 * ONE_HOT)[0].label_checks == ((), ())


def test_compiled_models_are_not_checked():
    model = dk.Classifier(3).build((4,))
    model.compile("sgd", keras.losses.MeanSquaredError())
    assert fit(model, (X, X[:, :1])).epochs == 1


def test_a_dataset_with_more_classes_than_the_head():
    data = dk.data.load("digits", verbose=False)
    with pytest.raises(LabelError) as caught:
        fit(dk.Sequential([dk.Classifier(5)]), data)
    assert "received 5 (first at index" in caught.value.problem
    assert caught.value.hint == "use dk.Classifier(10)"
    with pytest.raises(LabelError) as caught:
        fit(dk.Sequential([dk.Classifier(5)]), data.head(3))
    assert caught.value.problem == "labels: dk.Classifier(5) has 5 classes, received data with 10 classes"


def test_a_dataset_with_fewer_named_classes_than_the_head():
    data = dk.data.load("digits", verbose=False)
    with pytest.raises(LabelError) as caught:
        fit(dk.Sequential([dk.Classifier(12)]), data)
    assert caught.value.problem == "labels: dk.Classifier(12) has 12 classes, received data with 10 classes"
    assert caught.value.hint == "use dk.Classifier(10)"


@pytest.mark.parametrize(
    ("train", "validation", "problem", "hint"),
    [
        (THREE, None, "expected labels like those of the training data, received inputs only", "data=(x, y)"),
        (THREE, ONE_HOT, "received shape (batch, 3)", "use y.argmax(axis=-1), as the training labels are class ind"),
        (ONE_HOT, THREE, "received shape (batch,)", "use keras.utils.to_categorical(y, 3), as the training labels are"),
        (THREE, THREE + 1, "received 3 (first at index 2)", "use y - 1"),
        (THREE, NAMES[THREE], "expected numbers like the training labels, received text", "of the same kind"),
    ],
)  # fmt: skip
def test_validation_labels_of_another_kind(train, validation, problem, hint):
    data = (X,) if validation is None else (X, validation)
    error = label_error(dk.Classifier(3), train, validation_data=data)
    assert problem in error.problem
    assert error.path == "validation_data"
    assert hint in error.hint


def test_validation_labels_of_another_rank_for_any_loss():
    def loss(y_true, y_pred):
        return keras.ops.square(y_true - y_pred)

    error = label_error(dk.Classifier(3), THREE, loss=loss, validation_data=(X, ONE_HOT))
    assert error.problem == "labels: expected shape (batch,) like the training labels, received (batch, 3)"


def test_separate_arrays_have_labels_as_the_training_data_has():
    with pytest.raises(ValueError, match="validation must be x alone, as the training data has no labels"):
        dk.data.from_arrays(X, validation=(X, TWO))
    assert dk.data.from_arrays(X, validation=(X,)).validation.element_spec.shape == (None, 4)


def two_outputs():
    nodes = {"age": ("x", [dk.Regressor()]), "kind": ("x", [dk.Classifier(3)])}
    return dk.Functional(inputs={"x": dk.Input((4,))}, nodes=nodes, outputs=["age", "kind"])


def test_labels_by_name_of_the_output():
    x = {"x": X}
    error = label_error(two_outputs(), {"age": X[:, 0], "kind": THREE + 1}, x)
    assert (error.path, error.hint) == ("data['kind']", "use y - 1")
    error = label_error(two_outputs(), {"age": X, "kind": THREE}, x)
    assert (error.path, error.hint[:19]) == ("data['age']", "use dk.Regressor(4)")
    _, data = compile_for(two_outputs(), {"age": X[:, 0], "kind": NAMES[THREE]}, x)
    assert data.class_names == {"kind": ("bear", "lynx", "wolf")}
    np.testing.assert_array_equal(data.train.labels_in_memory["kind"], np.array([2, 0, 1])[THREE])


def test_a_batch_of_a_dataset_with_a_wrong_label(tmp_path):
    y = np.where(np.arange(24) == 13, 3, THREE)
    with pytest.raises(LabelError) as caught:
        fit(dk.Sequential([dk.Classifier(3)]), dataset(X, y), run_dir=tmp_path)
    assert str(caught.value) == (
        "labels: expected class indices from 0 to 2 for dk.Classifier(3), received 3 (at index 5 of a batch); in epoch "
        f"1, the model is back at the start of training, saved in {tmp_path / checkpoint.NAME}\n"
        "  at    data\n"
        "  hint: use dk.Classifier(4); a changed setting needs a new run_dir"
    )
    assert checkpoint.load(tmp_path).epoch == 0


def check_batches(head, x, y, **kwargs):
    """Run the checks of the batches of a dataset, and return the explained error."""
    batches = dataset(x, y)
    if kwargs:
        batches = batches.map(lambda x, y: (x, tf.ensure_shape(tf.py_function(lambda y: y, [y], y.dtype), **kwargs)))
    net = dk.Sequential([head])
    with PLAN:
        compiled = compile_definition(net, make_training_data(DataArguments(batches), PLAN), PLAN, None, None, None)
    checks = compiled.label_checks
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        list(batch_checks.check_batches(batches, compiled.model, checks.train))
    return batch_checks.explain_error(caught.value, compiled.model, checks, 2, None)


@pytest.mark.parametrize(
    ("head", "y", "problem", "hint"),
    [
        (dk.Classifier(2), 2 * TWO - 1, "received -1 (at index 0 of a batch)", "use (y + 1) // 2"),
        (dk.Classifier(3), THREE + 1, "received 3 (at index 2", "use y - 1 if the classes are numbered from 1, else"),
        (dk.Classifier(3), THREE + 0.5, "received 0.5 (at index 0", "use whole numbers"),
        (dk.Classifier(3), MULTI_HOT, "received a row with the sum 2 (at index 2", 'use dk.Classifier(3, activation'),
        (dk.Classifier(1), np.nan * X[:, 0], "received nan (at index 0", "remove the examples whose label is NaN"),
        (dk.Regressor(), np.where(THREE == 1, np.inf, 0), "received inf (at index 1", "remove the examples whose"),
    ],
)  # fmt: skip
def test_batches_are_checked_in_the_pipeline(head, y, problem, hint):
    error = check_batches(head, X, y)
    assert problem in error.problem
    assert "in epoch 2, the model is back at the end of epoch 1" in error.problem
    assert error.hint.startswith(hint)


def test_labels_whose_shape_the_dataset_does_not_know():
    error = check_batches(dk.Regressor(), X, X, shape=[None, None])
    assert "of shape (batch, 1) or (batch,) for dk.Regressor(), received shape (batch, 4)" in error.problem
    assert "use dk.Regressor(4)" in error.hint
    unknown = dataset(X, THREE).map(lambda x, y: (x, tf.py_function(lambda y: y, [y], y.dtype)))
    with pytest.raises(LabelError, match=r"expected a known rank, received .* labels of unknown shape") as caught:
        fit(dk.Sequential([dk.Classifier(3)]), unknown)
    assert "tf.ensure_shape" in caught.value.hint
    with pytest.raises(LabelError, match="expected a known last axis"):
        check_batches(dk.Classifier(3), X, ONE_HOT, shape=[None, None])


def test_text_labels_of_a_dataset():
    with pytest.raises(LabelError, match="received text") as caught:
        fit(dk.Sequential([dk.Classifier(3)]), dataset(X, NAMES[THREE]))
    assert "keras.layers.StringLookup(vocabulary=class_names" in caught.value.hint
    with pytest.raises(LabelError, match="received text") as caught:
        fit(dk.Sequential([dk.Classifier(3, activation="sigmoid")]), (X, np.stack([NAMES[THREE]] * 2, axis=1)))
    assert "MultiLabelBinarizer" in caught.value.hint


def test_integer_targets_of_a_regression_need_no_check_of_each_batch():
    data = make_training_data(DataArguments(dataset(X, THREE)), PLAN)
    with PLAN:
        compiled = compile_definition(dk.Sequential([dk.Regressor()]), data, PLAN, None, None, None)
    assert compiled.label_checks == ((), ())


def test_labels_of_a_learning_rate_test_are_checked():
    with pytest.raises(LabelError, match="received 3"):
        dk.find_learning_rate(dk.Sequential([dk.Classifier(3)]), dataset(X, THREE + 1), plan=PLAN, steps=10, verbose=0)


def test_text_labels_are_encoded_in_sorted_order(capsys):
    net, validation = dk.Sequential([dk.Classifier(3)]), np.array(["lynx", "bear"])[TWO]
    run = fit(net, (X, NAMES[THREE]), validation_data=(X, validation), verbose=2)
    line = "labels: 3 class names, encoded in sorted order as 0 to 2: 'bear', 'lynx', 'wolf'"
    assert line in capsys.readouterr().out
    assert run.class_names == ("bear", "lynx", "wolf")
    _, data = compile_for(dk.Classifier(3), NAMES[THREE], validation_data=(X, validation))
    np.testing.assert_array_equal(data.train.labels_in_memory, np.searchsorted(run.class_names, NAMES[THREE]))
    np.testing.assert_array_equal(data.validation.labels_in_memory, 1 - TWO)


@pytest.mark.slow  # writes reports
def test_a_finished_run_has_the_class_names(tmp_path):
    net = dk.Sequential([dk.Classifier(3)])
    fit(net, (X, NAMES[THREE]), run_dir=tmp_path)
    assert fit(net, (X, NAMES[THREE]), run_dir=tmp_path).class_names == ("bear", "lynx", "wolf")
    assert RunDir(tmp_path).config()["data"]["class_names"] == ["bear", "lynx", "wolf"]
    with pytest.raises(RunDirError, match=r"data\.class_names"):
        fit(net, (X, np.char.upper(NAMES[THREE])), run_dir=tmp_path)


@pytest.mark.parametrize("y", [NAMES[TWO].astype(object), NAMES[TWO].astype("S"), tf.constant(NAMES[TWO])])
def test_text_labels_of_other_dtypes(y):
    _, data = compile_for(dk.Classifier(1), y)
    assert data.class_names == ("bear", "wolf")
    np.testing.assert_array_equal(data.train.labels_in_memory, 1 - TWO)


@pytest.mark.parametrize(
    ("head", "y", "validation", "path", "problem", "hint"),
    [
        (dk.Classifier(4), NAMES[THREE], None, "data", "expected 4 class names for dk.Classifier(4), received 3: 'b",
         "use dk.Classifier(3)"),
        (dk.Classifier(1), NAMES[THREE], None, "data", "expected 2 class names for dk.Classifier(1), received 3",
         "use dk.Classifier(3)"),
        (dk.Classifier(2), NAMES[TWO], NAMES[THREE], "validation_data", "'bear', 'wolf', received 'lynx' (first",
         "remove the examples of other classes"),
        (dk.Classifier(2), NAMES[TWO], TWO, "validation_data", "expected text like the training labels, received",
         "use the class names as labels in both"),
        (dk.Regressor(), NAMES[TWO], None, "data", "expected finite numbers for dk.Regressor(), received text",
         'convert the labels to numbers: y.astype("float32")'),
    ],
)  # fmt: skip
def test_text_labels_that_do_not_fit(head, y, validation, path, problem, hint):
    error = label_error(head, y, validation_data=None if validation is None else (X, validation))
    assert problem in error.problem
    assert error.path == path
    assert error.hint.startswith(hint)


def test_text_labels_for_a_loss_of_class_indices():
    _, data = compile_for(layers.Dense(3, "softmax"), NAMES[THREE], loss="sparse_categorical_crossentropy")
    assert data.class_names == ("bear", "lynx", "wolf")


def test_text_targets_of_a_translation_are_unchanged():
    net = dk.Seq2Seq(dk.Text(6), encoder=dk.BiLSTM(2), decoder=dk.Recurrent("lstm", 4))
    texts = np.array(["a b", "b a"] * 4)
    data = make_training_data(DataArguments(texts, texts, batch_size=4), PLAN)
    assert encode_text_labels(net, data, None, 0) is data


def test_class_names_of_a_named_dataset():
    data = dk.data.load("iris", verbose=False)
    run = fit(dk.Sequential([dk.Classifier(3)]), data)
    assert run.class_names == data.class_names == ("setosa", "versicolor", "virginica")


@pytest.mark.parametrize("loss", ["hinge", keras.losses.squared_hinge, keras.losses.Hinge()])
@pytest.mark.parametrize("head", [dk.Classifier(1), dk.Classifier(1, loss="hinge")])
def test_a_hinge_with_a_binary_head_expects_labels_that_its_accuracy_accepts(head, loss):
    error = label_error(head, 2 * TWO - 1, loss=loss)
    assert "expected labels 0 or 1 for " in str(error)
    assert "received -1 (first at index 0)" in str(error)
    assert error.hint == "use (y + 1) // 2"
    compile_for(head, TWO, loss=loss)
    compile_for(dk.Regressor(), 2 * TWO - 1, loss=loss)


def test_tags_as_one_string_for_each_text_are_refused_with_the_conversion():
    texts, tags = ["the dog runs", "dogs run", "run"], ["DET NOUN VERB", "NOUN VERB", "VERB"]
    net = dk.Sequential([dk.Text(9), layers.Embedding(9, 4, mask_zero=True), dk.Classifier(4, pool=None)])
    with pytest.raises(LabelError, match=r"expected 4 class names .*, received 3: 'DET NOUN VERB'") as caught:
        dk.fit(net, texts, tags, epochs=1, verbose=0)
    assert "[tags.split() for tags in y], padding='post', dtype=object, value='DET')" in caught.value.hint
    rows = keras.utils.pad_sequences([text.split() for text in tags], padding="post", dtype=object, value="DET")
    text = dk.Text(9, output_sequence_length=rows.shape[1])
    net = dk.Sequential([text, layers.Embedding(9, 4, mask_zero=True), dk.Classifier(3, pool=None)])
    assert dk.fit(net, texts, rows, epochs=1, verbose=0).class_names == ("DET", "NOUN", "VERB")
