"""`fit`: defaults from the definition, arguments, and errors."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.training.errors import RunDirError


def vectors(count=48, features=4):
    x = np.random.default_rng(0).random((count, features)).astype("float32")
    return x, (x.sum(1) > features / 2).astype("int32")


def net(num_classes=2):
    return dk.Sequential([dk.MLP([8]), dk.Classifier(num_classes)], name="net")


def fit(definition=None, data=None, **kwargs):
    return dk.fit(definition or net(), vectors() if data is None else data, **{"verbose": 0, **kwargs})


def test_default_loss_metrics_and_optimizer_come_from_the_definition(capsys):
    run = fit(verbose=2)
    assert type(run.model.optimizer) is keras.optimizers.Adam
    assert set(run.history) == {"loss", "accuracy"}
    printed = capsys.readouterr().out
    for text in ("net: 58 parameters", "Adam", "SparseCategoricalCrossentropy", "accuracy"):
        assert text in printed


def test_arguments_replace_the_defaults():
    arguments = {"optimizer": "sgd", "metrics": ["sparse_categorical_accuracy"]}
    probabilities = dk.Sequential([dk.MLP([8]), dk.Classifier(2, activation="softmax")], name="net")
    run = fit(probabilities, loss="sparse_categorical_crossentropy", **arguments)
    assert type(run.model.optimizer) is keras.optimizers.SGD
    assert set(run.history) == {"loss", "sparse_categorical_accuracy"}
    plan, logits = dk.plan(seed=1), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert fit(plan=plan, loss=logits).history == fit(plan=plan).history


SPARSE = (
    "loss: SparseCategoricalCrossentropy expects probabilities (from_logits=False), but the output layer "
    "'classifier.dense' is linear (logits)\n"
    "  hint: use the default loss, or keras.losses.SparseCategoricalCrossentropy(from_logits=True)"
)


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        keras.losses.sparse_categorical_crossentropy,
        keras.losses.SparseCategoricalCrossentropy(),
    ],
)
def test_a_loss_of_probabilities_raises_for_logits(loss):
    wrapped = dk.Sequential([net(), layers.Activation("linear", dtype="float32")])
    with pytest.raises(ValueError, match=r"the output layer 'net\.classifier\.dense' is linear"):
        fit(wrapped, loss=loss)
    with pytest.raises(ValueError, match="expects probabilities") as caught:
        fit(loss=loss)
    assert str(caught.value) == SPARSE


def test_a_loss_of_probabilities_raises_for_a_keras_layer_and_for_one_of_several_outputs():
    with pytest.raises(
        ValueError, match=r"dense' is linear \(logits\)\n  hint: use keras\.losses\.BinaryCrossentropy"
    ) as caught:
        fit(dk.Sequential([layers.Dense(1)]), loss="binary_crossentropy")
    assert "default loss" not in str(caught.value)  # the definition does not have a default loss
    x, y = vectors()
    losses = {"left": "mse", "right": "sparse_categorical_crossentropy"}
    with pytest.raises(
        ValueError, match=r"loss\['right'\]: SparseCategorical.* the output layer 'right.dense' is linear"
    ):
        fit(two_heads(), (x, {"left": y, "right": y}), loss=losses)


def test_losses_of_outputs_that_may_be_probabilities_are_accepted():
    ends = [layers.Dense(1, activation="sigmoid")], [dk.Classifier(1), layers.Activation("sigmoid")], [layers.ReLU()]
    for end in ends:
        fit(dk.Sequential([dk.MLP([4]), layers.Dense(1), *end]), loss="binary_crossentropy")
    fit(dk.Sequential([layers.Dense(2)]), (vectors()[0], vectors()[0][:, :2]), loss="mse")


def test_each_fit_uses_a_fresh_optimizer():
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    first, second = fit(optimizer=optimizer), fit(optimizer=optimizer)
    assert first.model.optimizer is not optimizer
    assert int(optimizer.iterations) == 0
    assert float(first.model.optimizer.momentum) == 0.9
    assert first.history == second.history


def test_the_seed_determines_the_result():
    first, same, other = (fit(plan=dk.plan(seed=seed)).history["loss"] for seed in (1, 1, 2))
    assert first == same != other


def test_one_hot_labels_use_categorical_crossentropy():
    x, y = vectors()
    run = fit(data=(x, np.eye(2, dtype="float32")[y]))
    assert isinstance(run.model.loss, keras.losses.CategoricalCrossentropy)


def test_validation_data_comes_from_the_data_or_from_the_argument():
    x, y = vectors()
    assert "val_loss" in fit(data=dk.data.from_arrays(x, y, validation=16)).history
    assert "val_loss" in fit(validation_data=(x[:8], y[:8])).history
    assert "val_loss" not in fit().history


def test_the_current_plan_is_used():
    with dk.plan(seed=9) as plan:
        assert fit().plan.seed == plan.seed == 9


def test_arrays_have_batches_of_32_by_default_as_in_keras():
    run = fit(data=vectors(count=80))
    assert int(run.model.optimizer.iterations) == 3


def test_the_last_call_of_an_epoch_takes_the_steps_that_are_left():
    ends = []
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: ends.append(batch))
    run = fit(batch_size=8, epochs=2, plan=dk.plan(steps_per_execution=4), callbacks=[callback])
    assert run.plan.steps_per_execution == 4
    assert ends == [3, 5, 3, 5]
    assert int(run.model.optimizer.iterations) == 12


def test_a_compiled_model_is_trained_without_compiling_it_again():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    run = fit(model, epochs=2)
    assert run.model is model
    assert len(run.history["loss"]) == 2


def test_a_tf_dataset_and_regression():
    x, _ = vectors()
    dataset = tf.data.Dataset.from_tensor_slices((x, x[:, :1])).batch(16)
    run = fit(dk.Sequential([dk.MLP([1], activation=None)]), dataset, loss="mse", epochs=2)
    assert len(run.history["loss"]) == 2


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: fit(epochs=0), ValueError, "epochs must be a positive integer, received 0"),
        (lambda: fit(object()), TypeError, "expected a definition or a compiled keras.Model, received object"),
        (lambda: fit(dk.Classifier), TypeError, "received the class Classifier"),
        (lambda: fit(data=3), TypeError, "x: expected a dk.data Data, a tf.data.Dataset or arrays, received 3"),
        (lambda: fit(plan="fast"), TypeError, "plan: expected a Plan, received str"),
        (lambda: fit(callbacks=keras.callbacks.History()), TypeError, "callbacks: expected a list"),
        (lambda: fit(callbacks=["early"]), TypeError, "callbacks: expected Keras callbacks, received 'early'"),
        (lambda: fit(optimizer="adamm"), ValueError, "adamm"),
        (
            lambda: fit(dk.Sequential([dk.MLP([3])])),
            ValueError,
            "loss: the definition has no head that defines a loss: dk.Sequential([dk.MLP([3]",
        ),
        (
            lambda: fit(dk.Sequential([dk.MLP([3], dense={"kernel_regularizer": "l2"})])),
            ValueError,
            "loss: the definition has no head that defines a loss: dk.Sequential([dk.MLP([3]",
        ),
        (
            lambda: fit(keras.Sequential([keras.Input((4,)), layers.Dense(2)])),
            ValueError,
            "the model 'sequential' is not compiled",
        ),
        (lambda: fit(batch_size=0), ValueError, "batch_size must be a positive integer, received 0"),
    ],
)
def test_invalid_arguments_raise(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def test_an_infinite_dataset_and_a_batch_size_for_a_dataset_raise():
    dataset = tf.data.Dataset.from_tensor_slices(vectors()).batch(16)
    with pytest.raises(ValueError, match="the dataset is infinite, so its epochs have no end"):
        fit(data=dataset.repeat())
    with pytest.raises(ValueError, match=r"a tf\.data\.Dataset, has its own batches"):
        fit(data=dataset, batch_size=8)


def test_a_definition_that_does_not_fit_the_data_raises():
    with pytest.raises(dk.DefinitionError, match="Conv needs a sequence"):
        fit(dk.Sequential([dk.ConvBlock(3), dk.Classifier(2)]))


def test_a_compiled_model_keeps_its_own_loss():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="loss: a compiled model is trained with its own"):
        fit(model, loss="mae")


def compiled(loss="sparse_categorical_crossentropy"):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, activation="softmax")], name="compiled")
    model.compile("sgd", loss)
    return model


def test_x_and_y_are_passed_as_in_keras():
    x, y = vectors()
    plan = dk.plan(seed=0)
    expected = fit(data=(x, y), plan=plan).history
    arrays = dk.data.from_arrays(x, y)
    calls = [
        ((x, y), {}),
        ((x,), {"y": y}),
        ((), {"x": x, "y": y}),
        (((x, y),), {}),
        ((arrays,), {}),
        (((x, y, None),), {}),
    ]
    for positional, named in calls:
        assert dk.fit(net(), *positional, plan=plan, verbose=0, **named).history == expected
    run = dk.fit(compiled(), x, y, validation_data=[x[:8], y[:8]], verbose=0)
    assert set(run.history) == {"loss", "val_loss"}


def test_sample_weights_of_arrays_equal_those_of_a_dataset():
    x, y = vectors()
    weights = (np.arange(len(x)) < 16).astype("float32")
    plan = dk.plan(seed=0)
    weighted = fit(data=tf.data.Dataset.from_tensors((x, y, weights)), plan=plan)
    subset = fit(data=tf.data.Dataset.from_tensors((x[:16], y[:16])), plan=plan)
    assert weighted.history["loss"][0] == pytest.approx(subset.history["loss"][0] * 16 / len(x), rel=1e-5)
    for arguments in ({"data": (x, y, weights)}, {"data": (x, y), "sample_weight": weights[:, None]}):
        run = fit(plan=plan, batch_size=48, validation_data=(x, y, weights), **arguments)
        assert run.history["loss"][0] == pytest.approx(weighted.history["loss"][0], rel=1e-5)
        assert (
            run.history["val_loss"][0] != fit(plan=plan, batch_size=48, validation_data=(x, y)).history["val_loss"][0]
        )


def test_sample_weights_of_one_output_leave_the_others():
    x, y = vectors()
    weights, plan = np.linspace(0, 2, len(x)), dk.plan(seed=0)
    labels = {"left": y, "right": y}
    arguments = {"plan": plan, "batch_size": 48}
    plain = fit(two_heads(), (x, labels), **arguments).history
    left = fit(two_heads(), (x, labels), sample_weight={"left": weights}, **arguments).history
    both = fit(two_heads(), (x, labels), sample_weight=weights, **arguments).history
    assert left["right_loss"] == plain["right_loss"] != both["right_loss"]
    assert left["left_loss"] == both["left_loss"] != plain["left_loss"]


def test_weights_per_step_of_a_sequence():
    x = np.random.default_rng(0).random((16, 5, 3)).astype("float32")
    y, weights = (x.sum(-1) > 1.5).astype("int32"), np.ones((16, 5))
    weights[:, 3:] = 0
    net = dk.Sequential([layers.LSTM(4, return_sequences=True), dk.Classifier(2, pool=None)])
    plan = dk.plan(seed=0)
    run = dk.fit(net, x, y, sample_weight=weights, batch_size=16, plan=plan, verbose=0)
    short = dk.fit(net, x[:, :3], y[:, :3], batch_size=16, plan=plan, verbose=0)
    assert run.history["loss"][0] == pytest.approx(short.history["loss"][0] * 3 / 5, rel=1e-5)


ONES = np.ones(48)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"sample_weight": ONES[:40]}, ValueError, "for each of 48 examples, received an array of shape (40,)"),
        (
            {"sample_weight": -ONES},
            ValueError,
            "must be numbers of at least 0, received -1 at index 0 (48 of 48 weights)",
        ),
        ({"sample_weight": np.where(np.arange(48) == 7, np.nan, 1)}, ValueError, "received nan at index 7 (1 of 48"),
        ({"sample_weight": 0 * ONES}, ValueError, "sample_weight: all weights are 0"),
        ({"sample_weight": ["a"] * 48}, TypeError, "sample_weight must be an array of numbers, received ['a'"),
        ({"sample_weight": 2.0}, ValueError, "one weight for each of 48 examples, received 2.0"),
        ({"sample_weight": {0: 1.0, 1: 2.0}}, ValueError, "pass sample_weight=array, or class_weight"),
        ({"data": (*vectors(), ONES), "sample_weight": ONES}, ValueError, "x contains sample weights too"),
        ({"data": vectors()[0], "sample_weight": ONES}, ValueError, "sample_weight needs labels, and y is None"),
        (
            {"data": dk.data.from_arrays(*vectors()), "y": ONES},
            ValueError,
            "y: expected arrays as x, received a dk.data Data",
        ),
        (
            {"data": dk.data.from_arrays(*vectors()), "sample_weight": ONES},
            ValueError,
            "hint: pass sample_weight to dk.data.from_arrays",
        ),
        (
            {"data": tf.data.Dataset.from_tensors(vectors()), "sample_weight": ONES},
            ValueError,
            "hint: leave sample_weight out, and let the dataset yield (x, y, sample_weight)",
        ),
        ({"data": (1, 2, 3, 4)}, TypeError, "expected (x, y) or (x, y, sample_weight), received a tuple of 4"),
        ({"data": "mnist"}, TypeError, "x: expected a dk.data Data, a tf.data.Dataset or arrays, received 'mnist'"),
        ({"y": 3}, TypeError, "y: expected arrays, received 3"),
        ({"validation_data": "x"}, TypeError, "validation_data: expected a dk.data Data, a tf.data.Dataset or arrays"),
        (
            {"validation_data": (*vectors(), ONES[:4])},
            ValueError,
            "validation_data sample_weight must have one weight for each of 48 examples",
        ),
    ],
)
def test_invalid_labels_and_weights_raise(arguments, error, text):
    data = arguments.pop("data", vectors()[0])
    if "y" not in arguments and isinstance(data, np.ndarray) and "needs labels" not in text:
        arguments["y"] = vectors()[1]
    with pytest.raises(error) as caught:
        fit(data=data, **arguments)
    assert text in str(caught.value)
    assert "hint: " in str(caught.value)


def two_heads():
    heads = {"left": ("x", dk.Classifier(2)), "right": ("x", dk.Classifier(2))}
    return dk.Functional(inputs={"x": dk.Input((4,))}, nodes=heads, outputs=["left", "right"])


def test_loss_weights_apply_to_outputs_by_name(tmp_path):
    x, y = vectors()
    data, plan = (x, {"left": y, "right": 1 - y}), dk.plan(seed=0)
    arguments = {"run_dir": tmp_path / "run", "plan": plan, "batch_size": 16}  # all batches have the same size
    run = fit(two_heads(), data, loss_weights={"right": 0.25}, **arguments)
    left, right = (run.history[f"{name}_loss"][0] for name in ("left", "right"))
    assert run.history["loss"][0] == pytest.approx(left + 0.25 * right, rel=1e-5)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["loss"].endswith("weighted by {'left': 1.0, 'right': 0.25}")
    with pytest.raises(RunDirError, match="weighted by"):
        fit(two_heads(), data, **arguments)


@pytest.mark.parametrize("weights", [{"rihgt": 0.3}, [1, 0.3], {"right": -1}, {"right": "a third"}])
def test_invalid_loss_weights(weights):
    x, y = vectors()
    with pytest.raises(ValueError, match=r"numbers of at least 0 by output name \(left, right\), received .*"):
        fit(two_heads(), (x, {"left": y, "right": y}), loss_weights=weights)


def test_loss_weights_need_named_outputs():
    with pytest.raises(ValueError, match="loss_weights: net has no named outputs"):
        fit(loss_weights={"classifier": 0.3})


def test_the_dtype_policy_is_restored_after_an_error():
    with pytest.raises(ValueError, match="loss"):
        fit(dk.Sequential([dk.MLP([3])]), plan=dk.plan(precision="mixed_bfloat16"))
    assert keras.config.dtype_policy().name == "float32"
