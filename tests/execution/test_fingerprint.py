"""The fingerprint of a run: arguments and code of everything that defines it."""

import functools
import inspect
import json

import keras
import numpy as np
import pytest

import deepkit as dk
from deepkit.errors import RunDirError
from deepkit.training.config_difference import config_differences
from deepkit.training.describe import describe, fresh_copy
from deepkit.training.fingerprint import fingerprint
from deepkit.training.model_code import architecture_hash
from deepkit.utils.function_identity import identify
from deepkit.utils.object_config import complete_config

X = np.random.default_rng(1).random((32, 3)).astype("float32")
Y = np.arange(32) % 2


class Gain(keras.layers.Layer):
    """A layer of the user's."""

    def call(self, x):
        return 2 * x


class Wide(dk.Block):
    """A block of the user's."""

    units: int = dk.fields.integer(default=4)

    def add(self, x, builder):
        return builder.add_layer(x, "dense", keras.layers.Dense, self.units, activation="relu")


class Focal(keras.losses.Loss):
    """A loss whose config does not hold its argument."""

    def __init__(self, gamma=2.0):
        super().__init__()
        self.gamma = gamma

    def call(self, y_true, y_pred):
        return self.gamma * keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


class Decay(keras.callbacks.Callback):
    """A callback that stores its argument under another name, and has a state."""

    def __init__(self, factor):
        super().__init__()
        self.rate, self.seen = factor, []


def of(net=None, callbacks=(), **compile_args):
    net = net or dk.Sequential([dk.Classifier(2)])
    model = net.build((3,))
    model.compile("sgd", **{"loss": "mse", **compile_args})
    return fingerprint(net, model, callbacks)


def differing(first, second):
    return of(**first).differing(of(**second))


def schedule(rate):
    return keras.callbacks.LearningRateScheduler(lambda epoch, now: rate)


def power_loss(exponent):
    def loss(y_true, y_pred):
        return keras.ops.mean((y_true - y_pred) ** exponent, -1)

    return loss


CALLBACKS = [
    (schedule(0.1), schedule(0.2), "callbacks[0].schedule"),
    (keras.callbacks.EarlyStopping(patience=1), keras.callbacks.EarlyStopping(patience=2), "callbacks[0].patience"),
    (
        keras.callbacks.ReduceLROnPlateau("loss", factor=0.5),
        keras.callbacks.ReduceLROnPlateau("loss", factor=0.2),
        "callbacks[0].factor",
    ),
    (Decay(0.5), Decay(0.1), "callbacks[0].rate"),
    (
        keras.callbacks.LambdaCallback(on_epoch_end=power_loss(1)),
        keras.callbacks.LambdaCallback(on_epoch_end=power_loss(2)),
        "callbacks[0].on_epoch_end",
    ),
]


@pytest.mark.parametrize(("first", "second", "name"), CALLBACKS)
def test_another_argument_of_a_callback(first, second, name):
    assert differing({"callbacks": [first]}, {"callbacks": [second]}) == [name]
    assert not differing({"callbacks": [first]}, {"callbacks": [first]})


def test_paths_and_output_of_a_callback_are_not_compared(tmp_path):
    for make in (keras.callbacks.CSVLogger, keras.callbacks.TensorBoard):
        assert not differing({"callbacks": [make(tmp_path / "a")]}, {"callbacks": [make(tmp_path / "b")]})
    first, second = (
        keras.callbacks.ModelCheckpoint(tmp_path / f"{name}.keras", verbose=verbose)
        for name, verbose in (("a", 0), ("b", 1))
    )
    assert not differing({"callbacks": [first]}, {"callbacks": [second]})


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        (power_loss(2), power_loss(4), "loss"),
        (functools.partial(power_loss(2), y_pred=1), functools.partial(power_loss(2), y_pred=2), "loss"),
        (Focal(2.0), Focal(5.0), "loss.gamma"),
        (keras.losses.MeanSquaredError(), keras.losses.MeanSquaredError(reduction="sum"), "loss.reduction"),
    ],
)
def test_another_loss(first, second, name):
    assert differing({"loss": first}, {"loss": second}) == [name]
    assert not differing({"loss": first}, {"loss": first})


def test_another_metric():
    first, second = ({"metrics": ["accuracy", power_loss(exponent)]} for exponent in (1, 3))
    assert differing(first, second) == ["metrics[1]"]


@pytest.mark.parametrize("net", [dk.Sequential([Gain(), dk.Classifier(2)]), dk.Sequential([Wide(), dk.Classifier(2)])])
def test_changed_code_of_a_layer_or_a_block(net, monkeypatch):
    before = of(net)
    assert not before.differing(of(net))
    monkeypatch.setattr(Gain, "call", lambda self, x: 3 * x)
    monkeypatch.setattr(
        Wide, "add", lambda self, x, builder: builder.add_layer(x, "dense", keras.layers.Dense, 2 * self.units)
    )
    changed = before.differing(of(net))
    assert [name for name in changed if name.startswith(__name__)]


def test_the_function_of_an_activation_or_a_lambda_layer_counts():
    def first(x):
        return x + 1

    def second(x):
        return x + 2

    second.__name__, second.__qualname__ = first.__name__, first.__qualname__
    models = []
    for function in (first, second):
        layers = [keras.Input((3,)), keras.layers.Dense(2, activation=function), keras.layers.Lambda(function)]
        models.append(keras.Sequential(layers))
        models[-1].compile("sgd", "mse")
    a, b = (fingerprint(model, model, ()) for model in models)
    assert a.code["architecture"] == b.code["architecture"]
    assert len(a.differing(b)) == 1


def test_the_architecture_is_the_same_for_each_build_and_seed():
    net = dk.Sequential([keras.layers.Bidirectional(keras.layers.LSTM(2)), keras.layers.Dropout(0.5)])
    assert architecture_hash(net.build((4, 3))) == architecture_hash(net.build((4, 3)))
    other = dk.Sequential([keras.layers.Bidirectional(keras.layers.LSTM(2)), keras.layers.Dropout(0.4)])
    assert architecture_hash(net.build((4, 3))) != architecture_hash(other.build((4, 3)))


def test_values_that_cannot_be_compared_are_named():
    class Watch(keras.callbacks.Callback):
        def __init__(self, stream):
            super().__init__()
            self.stream = stream

    assert of(callbacks=[Watch(object())]).incomparable == ["callbacks[0].stream (object)"]


def test_differences_are_short_and_name_the_cause():
    versions = {"python": "3.11.4"}
    stored = {"plan": {"seed": 1}, "data": {"seed": 1, "validation": "a"}, "versions": versions}
    new = {"plan": {"seed": 2}, "data": {"seed": 2, "validation": "a"}, "versions": versions}
    assert config_differences(stored, new) == {"plan.seed": "    plan.seed: stored 1, now 2"}
    stored = {"definition": "a", "code": {"architecture": "1", "loss": "f 12"}, "versions": versions}
    new = {"definition": "b", "code": {"architecture": "2", "loss": "f 34"}, "versions": versions}
    assert list(config_differences(stored, new)) == ["definition", "loss"]
    assert list(config_differences(stored, new | {"versions": {"python": "3.12.0"}})) == ["definition"]
    stored = {"callbacks": ["EarlyStopping"], "arguments": {"callbacks[0].patience": "3"}}
    assert list(config_differences(stored, {"callbacks": [], "arguments": {}})) == ["callbacks"]
    stored, new = ({"loss": f"Focal(gamma={gamma})", "code": {"loss": "Focal 12"}} for gamma in (1, 2))
    assert "stored Focal(gamma=1); Focal 12, now Focal(gamma=2); Focal 12" in config_differences(stored, new)["loss"]
    long = config_differences({"loss": "x" * 500 + "1"}, {"loss": "x" * 500 + "2"})["loss"]
    assert len(long) < 250
    assert "xxx1" in long


def train(folder, epochs, **kwargs):
    net = dk.Sequential([dk.Classifier(2)])
    return dk.fit(net, (X, Y), epochs=epochs, run_dir=folder, verbose=0, **kwargs)


def test_a_run_resumes_with_equal_functions_and_refuses_others(tmp_path, no_report):
    seen = []

    def call(epochs, rate=0.1, validation=Y):
        append = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
        callbacks = [schedule(rate), append]
        return train(tmp_path, epochs, callbacks=callbacks, validation_data=(X, validation))

    call(1)
    with pytest.raises(RunDirError, match=r"callbacks\[0\].schedule: stored .*closure=\[0.1\], now .*closure=\[0.3\]"):
        call(2, rate=0.3)
    with pytest.raises(RunDirError, match=r"data.validation: stored \w+, now \w+\n  hint: use another run_dir"):
        call(2, validation=1 - Y)
    run = call(2)  # although the list, which the function reads, is another one
    assert seen == [0, 1]
    assert "the training itself changes callbacks[1].on_epoch_end" in run.resume
    assert json.loads((tmp_path / "config.json").read_text())["varying"] == ["callbacks[1].on_epoch_end"]


def test_a_loss_with_arguments_is_not_replaced_by_one_with_default_arguments():
    run = dk.fit(dk.Sequential([dk.Classifier(2)]), (X, Y), loss=Focal(5.0), verbose=0)
    assert run.model.loss.gamma == 5.0


def test_a_partial_as_a_loss_is_compared_although_keras_cannot_save_it(tmp_path, no_report, capsys):
    def call(epochs, from_logits=True):
        loss = functools.partial(keras.losses.sparse_categorical_crossentropy, from_logits=from_logits)
        return dk.fit(dk.Sequential([dk.Classifier(2)]), (X, Y), epochs=epochs, loss=loss, run_dir=tmp_path, verbose=2)

    assert call(1).resume == "exact"
    assert "model.keras is saved without optimizer, loss and metrics" in capsys.readouterr().out
    assert not keras.models.load_model(tmp_path / "model.keras").compiled
    with pytest.raises(RunDirError, match=r"loss: stored .*from_logits: True.*, now .*from_logits: False"):
        call(2, from_logits=False)
    assert call(2).epochs == 2


def _other_values(cls):
    """Return another value for each numeric and boolean argument of a class."""
    values = {}
    for name, parameter in inspect.signature(cls.__init__).parameters.items():
        default = parameter.default
        if isinstance(default, bool):
            values[name] = not default
        elif isinstance(default, int | float):
            values[name] = default / 2 if isinstance(default, float) and default else abs(default)
    return values


@pytest.mark.parametrize("module", [keras.losses, keras.metrics, keras.optimizers])
def test_a_copy_and_the_description_have_each_argument_of_a_keras_class(module):
    required = {"num_classes": 3, "target_class_ids": [0]}
    required |= dict.fromkeys(("recall", "precision", "sensitivity", "specificity"), 0.5)
    for cls in {getattr(module, name) for name in dir(module) if inspect.isclass(getattr(module, name))}:
        parameters = inspect.signature(cls.__init__).parameters
        needed = {name: required[name] for name in parameters if name in required}
        for name, value in _other_values(cls).items():
            if cls is keras.optimizers.LossScaleOptimizer or value == parameters[name].default:
                continue
            changed = cls(**needed, **{name: value})
            assert complete_config(fresh_copy(changed))[name] == pytest.approx(value), (cls, name)
            assert describe(changed) != describe(cls(**needed)), (cls, name)
            assert identify(complete_config(changed)) != identify(complete_config(cls(**needed))), (cls, name)


def test_every_keras_optimizer_is_copied():
    for cls in (getattr(keras.optimizers, name) for name in ("Adam", "AdamW", "Lion", "Muon", "Nadam", "SGD")):
        optimizer = cls(0.01, weight_decay=0.1)
        copy = fresh_copy(optimizer)
        assert copy is not optimizer
        assert copy.get_config() == optimizer.get_config()


def test_huber_trains_with_its_delta():
    net = dk.Sequential([dk.Regressor()])
    settings = {"optimizer": "sgd", "epochs": 1, "plan": dk.plan(seed=0), "verbose": 0}
    small, large = (
        dk.fit(net, (X, 9.0 * Y), loss=keras.losses.Huber(delta=delta), **settings).history["loss"][0]
        for delta in (0.25, 1.0)
    )
    assert small < large / 2
    assert describe(keras.losses.Huber(delta=0.25)) == "Huber(delta=0.25)"
    assert describe(keras.losses.Huber()) == "Huber()"
