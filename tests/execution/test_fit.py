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
    return dk.fit(definition or net(), data or vectors(), **{"verbose": 0, **kwargs})


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


def test_steps_per_execution_divide_the_epoch():
    run = fit(batch_size=8)
    assert run.plan.steps_per_execution == 6
    assert dict(run.plan.reasons)["steps_per_execution"] == "16 does not divide the 6 steps of an epoch, 6 does"
    assert int(run.model.optimizer.iterations) == 6


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
        (lambda: fit(data=3), TypeError, "data: expected a dk.data Data, a tf.data.Dataset or a pair of arrays"),
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


def test_an_endless_dataset_and_a_batch_size_for_a_dataset_raise():
    dataset = tf.data.Dataset.from_tensor_slices(vectors()).batch(16)
    with pytest.raises(ValueError, match="the dataset is endless, so its epochs have no end"):
        fit(data=dataset.repeat())
    with pytest.raises(ValueError, match=r"a tf\.data\.Dataset has its own batches"):
        fit(data=dataset, batch_size=8)


def test_a_definition_that_does_not_fit_the_data_raises():
    with pytest.raises(dk.DefinitionError, match="Conv needs a sequence"):
        fit(dk.Sequential([dk.ConvBlock(3), dk.Classifier(2)]))


def test_a_compiled_model_keeps_its_own_loss():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="loss: a compiled model is trained with its own"):
        fit(model, loss="mae")


def test_sample_weights_come_in_a_dataset():
    x, y = vectors()
    weights = (np.arange(len(x)) < 16).astype("float32")
    plan = dk.plan(seed=0)
    with pytest.raises(
        TypeError, match=r"received a tuple of 3\n  hint: pass .* or a tf\.data\.Dataset of \(x, y, sample_weight\)"
    ):
        fit(data=(x, y, weights))
    weighted = fit(data=tf.data.Dataset.from_tensors((x, y, weights)), plan=plan)
    subset = fit(data=tf.data.Dataset.from_tensors((x[:16], y[:16])), plan=plan)
    assert weighted.history["loss"][0] == pytest.approx(subset.history["loss"][0] * 16 / len(x), rel=1e-5)


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
