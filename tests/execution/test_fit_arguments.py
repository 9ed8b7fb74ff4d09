"""Arguments of Keras's `fit`: validation_split, shuffle, steps, class weights, and sources of batches."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers
from sklearn.utils.class_weight import compute_class_weight

import deepkit as dk
from deepkit.errors import RunDirError

RNG = np.random.default_rng(3)
X = RNG.random((48, 4)).astype("float32")
Y = (X.sum(1) > 2.2).astype("int32")
NAMES = np.array(["no", "yes"])[Y]
DATASET = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
PLAN = dk.plan(seed=0)


def net(num_classes=2):
    return dk.Sequential([dk.MLP([8]), dk.Classifier(num_classes)])


def fit(x=X, y=None, definition=None, **kwargs):
    y = Y if y is None and isinstance(x, np.ndarray) else y
    return dk.fit(definition or net(), x, y, **{"plan": PLAN, "verbose": 0, **kwargs})


def weights_of(run):
    return np.concatenate([weight.ravel() for weight in run.model.get_weights()])


def two_inputs():
    return dk.Functional(
        inputs={"left": dk.Input((4,)), "right": dk.Input((4,))},
        nodes={
            "both": (["left", "right"], [dk.Merge("concat"), dk.MLP([4])]),
            "label": ("both", dk.Classifier(2)),
            "sum": ("both", dk.Regressor(1)),
        },
        outputs=["label", "sum"],
    )


@pytest.mark.parametrize("fraction", [0.25, 0.1, 1 / 3])
def test_validation_split_takes_the_same_examples_as_keras(fraction):
    seen = []

    class Recorder(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            self.count = 0

        def on_test_batch_end(self, batch, logs=None):
            seen.append(logs["loss"])

    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.optimizer.learning_rate = 0.0
    model.fit(X, Y, validation_split=fraction, batch_size=1, epochs=1, verbose=0, callbacks=[Recorder()])
    expected, seen = seen, []
    dk.fit(model, X, Y, validation_split=fraction, batch_size=1, verbose=0, callbacks=[Recorder()])
    assert seen == pytest.approx(expected, rel=1e-5)


def test_validation_data_of_an_array_and_of_its_split_are_equal():
    split = fit(validation_split=0.25, epochs=2)
    separate = fit(X[:36], Y[:36], validation_data=(X[36:], Y[36:]), epochs=2)
    assert split.history == separate.history


def test_shuffle_false_keeps_the_order_of_the_arrays():
    ordered = fit(shuffle=False, batch_size=16)
    batches = fit(DATASET)
    assert np.array_equal(weights_of(ordered), weights_of(batches))
    assert not np.array_equal(weights_of(ordered), weights_of(fit(batch_size=16)))


def test_lists_are_several_inputs_and_outputs_in_their_order():
    labels, weights = [Y, X[:, :1]], [np.ones(48), np.linspace(0, 1, 48)]
    by_name = dk.fit(
        two_inputs(),
        {"left": X, "right": -X},
        {"label": Y, "sum": X[:, :1]},
        sample_weight={"sum": weights[1]},
        validation_split=0.25,
        plan=PLAN,
        verbose=0,
    )
    by_order = dk.fit(two_inputs(), [X, -X], labels, sample_weight=weights, validation_split=0.25, plan=PLAN, verbose=0)
    assert by_order.history == by_name.history
    separate = dk.fit(two_inputs(), [X, -X], labels, validation_data=([X, -X], labels), plan=PLAN, verbose=0)
    assert "val_sum_loss" in separate.history


def test_a_list_of_one_array_is_one_input():
    assert fit([X], Y).history == fit().history


def test_pandas_objects_equal_their_arrays():
    frame = pd.DataFrame(X, columns=list("abcd"), index=range(100, 148))
    arguments = {"validation_split": 0.25, "sample_weight": np.linspace(0, 2, 48)}
    run = fit(frame, pd.Series(Y), **{**arguments, "sample_weight": pd.Series(arguments["sample_weight"])})
    assert run.history == fit(**arguments).history


@pytest.mark.parametrize("steps", [2, 4])
def test_steps_per_epoch_continue_in_the_next_epoch(steps):
    """48 examples are 3 batches of 16; after 12 batches, the same batches were used."""
    run = fit(batch_size=16, steps_per_epoch=steps, epochs=12 // steps)
    assert np.array_equal(weights_of(run), weights_of(fit(batch_size=16, epochs=4)))
    assert len(run.history["loss"]) == 12 // steps


def test_a_run_with_steps_per_epoch_resumes_exactly(tmp_path):
    arguments = {"batch_size": 16, "steps_per_epoch": 2}
    fit(**arguments, epochs=2, run_dir=tmp_path)
    resumed = fit(**arguments, epochs=5, run_dir=tmp_path)
    assert resumed.resume == "exact"
    assert np.array_equal(weights_of(resumed), weights_of(fit(**arguments, epochs=5)))
    with pytest.raises(RunDirError, match="steps_per_epoch"):
        fit(batch_size=16, steps_per_epoch=3, epochs=6, run_dir=tmp_path)


def test_an_infinite_dataset_needs_steps():
    run = fit(DATASET.repeat(), steps_per_epoch=2, epochs=3, validation_data=DATASET.repeat(), validation_steps=2)
    assert np.array_equal(weights_of(run), weights_of(fit(DATASET, epochs=2)))
    assert len(run.history["val_loss"]) == 3


def test_validation_steps_use_the_first_batches():
    run = fit(validation_data=(X, Y), batch_size=16, validation_steps=2)
    assert run.history == fit(validation_data=(X[:32], Y[:32]), batch_size=16).history


class Batches(keras.utils.PyDataset):
    def __init__(self, order=None, **kwargs):
        super().__init__(**kwargs)
        self.order = np.arange(48) if order is None else order
        self.calls = []

    def __len__(self):
        return 3

    def __getitem__(self, index):
        examples = self.order[16 * index : 16 * index + 16]
        return X[examples], Y[examples]

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")
        self.order = self.order[::-1]


def test_a_py_dataset_trains_as_in_keras():
    data, validation = Batches(), Batches()
    run = fit(data, validation_data=validation, epochs=3)
    assert data.calls == ["begin", "end"] * 3
    assert validation.calls == ["begin", "end"] * 3
    forward, backward = DATASET, tf.data.Dataset.from_tensor_slices((X[::-1], Y[::-1])).batch(16)
    expected = fit(forward.concatenate(backward).concatenate(forward), steps_per_epoch=3, epochs=3)
    assert np.array_equal(weights_of(run), weights_of(expected))


def batches(count=3):
    for start in range(0, 16 * count, 16):
        yield X[start % 48 : start % 48 + 16], Y[start % 48 : start % 48 + 16]


def test_generators_train_like_a_dataset():
    expected = weights_of(fit(DATASET, epochs=2))
    assert np.array_equal(weights_of(fit(batches, epochs=2)), expected)  # a new generator for each epoch
    assert np.array_equal(weights_of(fit(batches(6), steps_per_epoch=3, epochs=2)), expected)
    assert np.array_equal(weights_of(fit(batches(6), steps_per_epoch=2, epochs=3)), expected)


def test_a_dataset_of_unknown_length_counts_its_steps():
    """Keras executes a step after the last batch, in which TensorFlow may increase the iteration count."""
    unknown = DATASET.filter(lambda x, y: True)
    run = fit(unknown, epochs=2)
    assert int(run.model.optimizer.iterations) == 6
    assert np.array_equal(weights_of(run), weights_of(fit(DATASET, epochs=2)))


def test_an_error_of_the_generator_is_raised_itself():
    def broken():
        yield X[:16], Y[:16]
        yield X[:16], Y[:16]
        raise KeyError("the file is gone")

    with pytest.raises(KeyError, match="the file is gone"):
        fit(broken)


def test_balanced_class_weights_equal_those_of_scikit_learn(capsys):
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=Y)
    balanced = fit(class_weight="balanced", verbose=2)
    output = capsys.readouterr().out
    assert f"class weights: 0: {expected[0]:.4g} ({np.sum(Y == 0)} labels)" in output
    weighted = fit(sample_weight=expected[Y])
    assert balanced.history["loss"] == pytest.approx(weighted.history["loss"], rel=1e-6)
    assert fit(DATASET, class_weight="balanced").history["loss"] == pytest.approx(
        fit(DATASET, class_weight=dict(enumerate(expected))).history["loss"], rel=1e-6
    )


def test_class_weights_of_a_split_count_its_training_labels(capsys):
    fit(class_weight="balanced", validation_split=0.5, verbose=2)
    assert f"({np.sum(Y[:24] == 1)} labels)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("definition", "labels", "loss"),
    [
        (net(), NAMES, None),
        (net(1), Y, None),
        (net(1), Y[:, None].astype("float32"), None),
        (net(), np.eye(2)[Y], None),
        (dk.Sequential([dk.MLP([8]), layers.Dense(2)]), np.eye(2)[Y], keras.losses.CategoricalCrossentropy(True)),
    ],
    ids=["names", "binary", "column", "one-hot", "custom loss"],
)
def test_class_weights_of_each_kind_of_labels(definition, labels, loss):
    key = "yes" if labels is NAMES else 1
    weighted = fit(X, labels, definition, loss=loss, class_weight={key: 3.0})
    expected = fit(X, labels, definition, loss=loss, sample_weight=np.where(Y == 1, 3.0, 1.0))
    assert weighted.history["loss"] == pytest.approx(expected.history["loss"], rel=1e-6)


def test_class_weights_multiply_sample_weights_and_leave_the_validation():
    arguments = {"validation_data": (X, Y), "epochs": 2}
    run = fit(class_weight={1: 2.0}, sample_weight=np.linspace(0, 1, 48), **arguments)
    expected = fit(sample_weight=np.linspace(0, 1, 48) * np.where(Y == 1, 2.0, 1.0), **arguments)
    for name, values in expected.history.items():
        assert run.history[name] == pytest.approx(values, rel=1e-5)


def test_class_weights_of_the_steps_of_a_sequence():
    x = RNG.random((16, 5, 3)).astype("float32")
    y = (x.sum(-1) > 1.5).astype("int32")
    tagger = dk.Sequential([layers.LSTM(4, return_sequences=True), dk.Classifier(2, pool=None)])
    sample_weight = np.linspace(0, 1, 16)
    run = fit(x, y, tagger, class_weight={1: 2.0}, sample_weight=sample_weight)
    expected = fit(x, y, tagger, sample_weight=sample_weight[:, None] * np.where(y == 1, 2.0, 1.0))
    assert run.history["loss"] == pytest.approx(expected.history["loss"], rel=1e-5)


def test_other_class_weights_are_another_run(tmp_path):
    fit(class_weight={1: 2.0}, run_dir=tmp_path)
    fit(class_weight={0: 1.0, 1: 2.0}, run_dir=tmp_path)
    with pytest.raises(RunDirError, match="class_weights"):
        fit(class_weight={1: 3.0}, run_dir=tmp_path)


def test_a_compiled_model_takes_the_same_arguments():
    def compiled():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), layers.Dense(2, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    arguments = {"class_weight": {0: 1.0, 1: 2.0}, "shuffle": False, "epochs": 2, "verbose": 0}
    expected = compiled().fit(X, Y, **arguments).history
    history = dk.fit(compiled(), X, Y, **arguments, validation_split=0.0).history
    assert history["loss"] == pytest.approx(expected["loss"], rel=1e-5)


def test_find_learning_rate_autotune_and_pretrain_read_batches():
    result = dk.find_learning_rate(net(), batches, class_weight={1: 2.0}, steps=12, verbose=0)
    assert len(result.rates) == 12
    plan = dk.autotune(net(), DATASET.repeat(), steps_per_epoch=3, plan=dk.plan(precision="float32"), verbose=0)
    assert plan.measurements
    (layer,) = dk.pretrain([3], Batches(), epochs=1, verbose=0)
    assert layer.kernel.shape == (4, 3)


MULTI_LABEL = dk.Sequential([dk.MLP([4]), dk.Classifier(3, activation="sigmoid")])


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"initial_epoch": 2}, ValueError, "initial_epoch: epochs count from the beginning of the run, received 2"),
        ({"initial_epoch": np.zeros(2)}, ValueError, "initial_epoch: epochs count from the beginning of the run"),
        ({"x": X + 1j}, ValueError, "data: expected real numbers in x, received complex64: Keras drops the imaginary"),
        ({"x": {0: X}}, ValueError, "received a mapping with the keys 0"),
        ({"y": Y[:5]}, ValueError, "x and y must have the same number of examples, received [48, 5]"),
        ({"batch_size": 0}, ValueError, "batch_size must be a positive integer, received 0"),
        ({"sample_weight": np.full(48, 1e39)}, ValueError, "must be numbers that float32 can hold, received 1e+39"),
        ({"class_weight": {0: 1e39}}, ValueError, "class_weight[0] must be a number that float32 can hold"),
        ({"class_weight": {0: 10**400}}, ValueError, "class_weight[0] must be a number that float32 can hold"),
        ({"validation_split": 0.99}, ValueError, "leaves no training example of 48\n  hint: pass a smaller"),
        ({"validation_split": 20}, ValueError, "validation_split must be a fraction in [0, 1), received 20"),
        ({"validation_split": 0.2, "validation_data": (X, Y)}, ValueError, "were both passed"),
        ({"x": DATASET, "validation_split": 0.2}, ValueError, "expected arrays as x, received a tf.data.Dataset"),
        (
            {"x": dk.data.from_arrays(X, Y), "validation_split": 0.2},
            ValueError,
            "hint: pass validation= to the function of dk.data that returned it",
        ),
        ({"x": DATASET, "shuffle": False}, ValueError, "shuffle: expected arrays as x"),
        ({"shuffle": "batch"}, ValueError, "shuffle must be True or False, received 'batch'"),
        (
            {"y": np.arange(48) // 43, "validation_split": 0.1},
            ValueError,
            "validation_split=0.1 takes the last examples",
        ),
        ({"steps_per_epoch": 0}, ValueError, "steps_per_epoch must be a positive integer, received 0"),
        ({"validation_steps": 2}, ValueError, "validation_steps=2: there is no validation data"),
        (
            {"validation_data": DATASET, "validation_steps": 7},
            ValueError,
            "validation_steps=7: the validation data has 3 batches",
        ),
        ({"x": DATASET.repeat()}, ValueError, "hint: pass steps_per_epoch="),
        ({"validation_data": DATASET.repeat()}, ValueError, "hint: pass validation_steps="),
        ({"x": batches()}, ValueError, "data: the generator does not state its number of batches"),
        ({"x": Batches(), "batch_size": 4}, ValueError, "batch_size=4: the data, a Batches, has its own batches"),
        ({"x": Batches(), "y": Y}, ValueError, "y: expected arrays as x, received the Batches"),
        ({"x": list(X), "y": Y}, ValueError, "use np.stack(x) if each array is an example"),
        ({"class_weight": [1.0, 2.0]}, TypeError, "hint: pass dict(enumerate(weights)) for a list of weights"),
        ({"class_weight": "auto"}, TypeError, "expected a mapping or 'balanced', received 'auto'"),
        ({"class_weight": {2: 1.0}}, ValueError, "class_weight: the classes are 0 to 1, received 2"),
        ({"y": NAMES, "class_weight": {"Yes": 1.0}}, ValueError, "received 'Yes'; did you mean 'yes'?"),
        ({"class_weight": {1: -1.0}}, ValueError, "class_weight[1] must be a number of at least 0, received -1.0"),
        ({"class_weight": {0: 0, 1: 0}}, ValueError, "class_weight: all weights are 0"),
        ({"x": batches, "class_weight": "balanced"}, ValueError, "must read all labels before the training"),
        (
            {"y": X, "definition": dk.Sequential([dk.Regressor(4)]), "class_weight": "balanced"},
            ValueError,
            "class_weight: expected one class for each label, received numbers",
        ),
        (
            {"y": X[:, :3] > 0.5, "definition": MULTI_LABEL, "class_weight": {0: 2.0}},
            ValueError,
            "received several classes for an example",
        ),
        (
            {"x": [X, X], "y": [Y, X[:, :1]], "definition": two_inputs(), "class_weight": {0: 2.0}},
            ValueError,
            "class_weight: expected labels of one output, received several",
        ),
    ],
)
def test_invalid_arguments_raise(arguments, error, text):
    with pytest.raises(error) as caught:
        fit(**arguments)
    assert text in str(caught.value)
    assert "hint: " in str(caught.value)
