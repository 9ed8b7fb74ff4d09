"""Autotune on real models with a fake clock: the training that follows equals one under the same plan."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.execution.plan import current
from deepkit.training import autotune as autotune_module
from deepkit.training import benchmark, run_report, trial
from deepkit.training.fit_arguments import DataArguments
from deepkit.training.run_dir import RunDir
from deepkit.training.user_data import make_training_data
from tests.execution.crashing import images
from tests.execution.test_resume import assert_same_state


@pytest.fixture(autouse=True)
def few_steps(monkeypatch, no_gpu):
    """Take as few steps as a measurement needs."""
    monkeypatch.setattr(benchmark, "MAX_ROUND_STEPS", 1)
    monkeypatch.setattr(benchmark, "NUM_ROUNDS", 2)
    monkeypatch.setattr(benchmark, "MIN_CHECKED_STEPS", 2)
    monkeypatch.setattr(benchmark, "NUM_REDRAWS", 1)
    for section in ("curves_section", "model_section"):  # their figures take longer than the training
        monkeypatch.setattr(run_report, section, lambda *args: "")


def set_clock(monkeypatch, milliseconds):
    """Let the clock advance at each reading by the duration that a test determines for the current plan."""
    now = [0.0]

    def clock():
        random.random()  # must not change the training that follows
        now[0] += milliseconds(current()) / 1e3
        return now[0]

    monkeypatch.setattr(trial, "clock", clock)


def fast_bfloat16(plan):
    return (1.0 if "16" in plan.precision else 10.0) + (5.0 if plan.steps_per_execution == 1 else 0.0)


def fast_float32(plan):
    return 1.0 if plan.precision == "float32" else 10.0


def make_net(shared):
    return dk.Sequential(
        [
            dk.ConvBlock(4, norm=layers.BatchNormalization(momentum=0.01)),
            shared,
            dk.MLP([8], dropout=0.5),
            dk.Classifier(2),
        ],
        name="net",
    )


def layer_with_weights():
    """Return a built layer, which a definition uses as it is: all models of the definition share it."""
    layer = layers.Conv2D(3, 3, kernel_initializer=keras.initializers.GlorotUniform(seed=1), name="own")
    layer.build((None, 6, 6, 4))
    return layer


def make_data():
    return dk.data.from_arrays(*images(64), batch_size=16, augment=[dk.data.Shift(1)], seed=3)


def fit(net, plan, folder, epochs):
    return dk.fit(net, make_data(), epochs=epochs, plan=plan, run_dir=folder, optimizer="sgd", verbose=0)


def tune_and_fit(folder, epochs):
    net = make_net(layer_with_weights())
    plan = dk.autotune(net, make_data(), plan=dk.plan(seed=4), optimizer="sgd", run_dir=folder, verbose=0)
    return fit(net, plan, folder, epochs)


@pytest.mark.slow
def test_a_training_after_autotune_equals_one_under_the_same_plan_also_when_resumed(tmp_path, monkeypatch):
    set_clock(monkeypatch, fast_bfloat16)
    first = tune_and_fit(tmp_path / "tuned", epochs=1)
    chosen = dk.plan(precision="mixed_bfloat16", seed=4)
    assert first.plan == chosen
    verdicts = [(row.field, row.value, row.verdict) for row in first.plan.measurements]
    assert verdicts[0][0] == "jit_compile"
    assert verdicts[1:] == [
        ("precision", "float32", "takes 150% longer"),
        ("precision", "mixed_bfloat16", "chosen"),
        ("steps_per_execution", "16", "kept"),
        ("steps_per_execution", "1", "takes 500% longer in the first round"),
    ]
    set_clock(monkeypatch, fast_float32)  # would lead to another choice
    monkeypatch.setattr(autotune_module, "_Search", None)
    more = tune_and_fit(tmp_path / "tuned", epochs=2)
    assert (more.plan, more.resume, more.plan.measurements) == (chosen, "exact", first.plan.measurements)
    plain = fit(make_net(layer_with_weights()), chosen, tmp_path / "plain", epochs=2)
    assert_same_state(tmp_path / "tuned", tmp_path / "plain")
    configs = [RunDir(tmp_path / name).config() for name in ("tuned", "plain")]
    for config in configs:
        del config["requested_plan"], config["loading"]  # have the reasons and the measurements
    assert configs[0] == configs[1]
    page = more.report.read_text()
    assert "Measurements" in page
    assert "<td>mixed_bfloat16</td>" in page
    assert "Measurements" not in plain.report.read_text()


@pytest.mark.slow
def test_autotune_leaves_definition_data_and_random_state_unchanged(monkeypatch):
    set_clock(monkeypatch, fast_bfloat16)
    shared = layer_with_weights()
    weights = shared.get_weights()
    net, data = make_net(shared), make_data()

    def draws():
        return random.random(), np.random.rand(), float(keras.random.uniform(())), float(tf.random.uniform(()))

    def first_batch(data):
        return next(iter(data.train))[0].numpy()

    keras.utils.set_random_seed(5)
    draws()
    expected = draws()
    keras.utils.set_random_seed(5)
    draws()
    requested = dk.plan(jit_compile=False, steps_per_execution=1, seed=4)
    plan = dk.autotune(net, data, plan=requested, optimizer="sgd", verbose=0)
    assert plan.precision == "mixed_bfloat16"
    assert draws() == expected
    assert keras.config.dtype_policy().name == "float32"
    assert current() is None
    np.testing.assert_array_equal(first_batch(data), first_batch(make_data()))
    for before, after in zip(weights, shared.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


class WrongInBfloat16(layers.Layer):
    """Computes something else in bfloat16."""

    def call(self, x):
        return x * (3.0 if self.compute_dtype == "bfloat16" else 1.0)

    def compute_output_shape(self, shape):
        return shape


class NoXla(layers.Layer):
    """Does not support XLA."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_jit = False

    def call(self, x):
        return x

    def compute_output_shape(self, shape):
        return shape


def test_a_layer_that_computes_something_else_in_bfloat16_keeps_float32(monkeypatch, capsys):
    set_clock(monkeypatch, fast_bfloat16)
    net = dk.Sequential([dk.MLP([8]), WrongInBfloat16(), dk.Classifier(2)])
    plan = dk.autotune(net, images(64), plan=dk.plan(steps_per_execution=1))
    assert plan.precision == "float32"
    rejected = next(row for row in plan.measurements if row.value == "mixed_bfloat16")
    assert rejected.verdict.startswith("rejected: its loss is ")
    printed = capsys.readouterr().out
    assert "timing precision; this can take a minute or two" in printed
    assert f"  {rejected}\n" in printed


def test_a_layer_that_does_not_support_xla_rules_it_out(monkeypatch):
    monkeypatch.setattr("deepkit.execution.devices.is_deterministic", lambda: False)
    set_clock(monkeypatch, lambda plan: 1.0 if plan.jit_compile else 10.0)
    requested = dk.plan(precision="float32", steps_per_execution=1, deterministic=False)
    plan = dk.autotune(dk.Sequential([NoXla(), dk.Classifier(2)]), images(64), plan=requested, verbose=0)
    assert plan.measurements[1].verdict == "not measured: XLA does not support the layer no_xla"
    assert plan.jit_compile is False


def test_wrong_arguments_are_reported_at_once():
    with pytest.raises(ValueError, match="loss: "):
        dk.autotune(dk.Sequential([dk.MLP([3])]), images(64), verbose=0)


def test_a_compiled_model_is_not_measured(capsys):
    model = keras.Sequential([keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    requested = dk.plan(precision="float32")
    plan = dk.autotune(model, images(64), plan=requested)
    assert plan == requested
    assert [str(row) for row in plan.measurements] == [
        "jit_compile: not measured: the model is already compiled",
        "steps_per_execution: not measured: the model is already compiled",
    ]
    assert f"  {plan.measurements[0]}\n" in capsys.readouterr().out
    dk.fit(model, images(64), plan=plan, verbose=0)


def test_an_optimizer_that_cannot_be_copied_is_not_changed():
    class WithoutConfig(keras.optimizers.SGD):
        def __init__(self, rate):  # which get_config does not contain
            super().__init__(rate)

    optimizer, net = WithoutConfig(0.1), dk.Sequential([dk.Classifier(2)])
    plan = dk.autotune(net, images(64), optimizer=optimizer, verbose=0)
    assert not optimizer.built
    assert {row.verdict for row in plan.measurements} == {
        "not measured: WithoutConfig cannot be copied from its config, and the trials would change the optimizer"
    }
    assert dk.fit(net, images(64), plan=plan, optimizer=optimizer, verbose=0).model.optimizer is optimizer


def test_the_first_batches_of_the_run_are_used_without_a_smaller_last_one():
    plan = dk.plan()
    x, y = images(40)
    batches = trial.first_batches(make_training_data(DataArguments((x, y), batch_size=16), plan))
    inputs = [batch for batch, _ in batches.as_numpy_iterator()]
    assert [len(batch) for batch in inputs] == [16, 16]
    source = make_training_data(DataArguments((x, y), batch_size=16), plan).train.epochs().take(2)
    for batch, (expected, _) in zip(inputs, source.as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(batch, expected)
    assert len(list(trial.first_batches(make_training_data(DataArguments((x, y), batch_size=64), plan)))) == 1


def test_a_trial_restarts_at_every_training_and_restores_shared_layers(monkeypatch):
    set_clock(monkeypatch, lambda plan: 6.0)
    plan, shared = dk.plan(seed=1, steps_per_execution=1), layer_with_weights()
    data = make_training_data(DataArguments(images(48), batch_size=16), plan)
    compile_args = {"optimizer": keras.optimizers.SGD(1.0), "loss": None, "metrics": None}
    weights = shared.get_weights()
    model = trial.TrialModel(make_net(shared), data, plan, compile_args, trial.first_batches(data))
    assert model.is_random
    assert model.seconds_per_step(2) == pytest.approx(0.003)
    assert model.loss(2) == model.loss(2) != model.loss(2, draw=1)
    for before, after in zip(weights, shared.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_loss_of_a_model_is_its_loss_or_the_sum_of_its_losses():
    assert trial.reported_loss({"loss": 1.0, "d_loss": 5.0}) == 1.0
    assert trial.reported_loss({"d_loss": 1.0, "g_loss": 2.0, "accuracy": 0.5}) == 3.0
    with pytest.raises(ValueError, match="the training step reports no loss to compare, only accuracy"):
        trial.reported_loss({"accuracy": 0.5})
