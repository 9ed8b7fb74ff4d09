"""Measuring for real, on a clock that tells what a test wants: the training after it is the one without it."""

import json
import random

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from deepkit.execution.plan import current
from deepkit.training import autotune as measure
from deepkit.training import benchmark as bench
from deepkit.training import run_report as report
from deepkit.training import trial
from deepkit.training.training_data import make_training_data
from tests.execution.crashing import images
from tests.execution.test_resume import assert_same_state


@pytest.fixture(autouse=True)
def quick(monkeypatch, no_gpu):
    """Take as few steps as measuring can do with."""
    monkeypatch.setattr(bench, "MOST_STEPS", 1)
    monkeypatch.setattr(bench, "ROUNDS", 2)
    monkeypatch.setattr(bench, "CHECKED", 2)
    monkeypatch.setattr(bench, "REDRAWS", 1)
    monkeypatch.setattr(report, "_pictures", lambda *args: iter(()))


def tell(monkeypatch, milliseconds):
    """Let a clock go on, at each look, by what is said of the plan in force."""
    now = [0.0]

    def clock():
        random.random()  # what training draws must not reach the training that follows
        now[0] += milliseconds(current()) / 1e3
        return now[0]

    monkeypatch.setattr(trial, "clock", clock)


def fast_halves(plan):
    return (1.0 if "16" in plan.precision else 10.0) + (5.0 if plan.steps_per_execution == 1 else 0.0)


def fast_floats(plan):
    return 1.0 if plan.precision == "float32" else 10.0


def net(shared):
    return dk.Sequential([dk.ConvBlock(4), shared, dk.MLP([8], dropout=0.5), dk.Classifier(2)], name="net")


def with_weights():
    """Return a layer that has its weights already: a definition holds it as it is, every model of it shares it."""
    layer = layers.Conv2D(3, 3, kernel_initializer=keras.initializers.GlorotUniform(seed=1), name="own")
    layer.build((None, 6, 6, 4))
    return layer


def fit(plan, folder, epochs):
    data = dk.data.from_arrays(*images(64), batch_size=16, augment=[dk.data.Shift(1)], seed=3)
    return dk.fit(net(with_weights()), data, epochs=epochs, plan=plan, run_dir=folder, optimizer="sgd", verbose=0)


@pytest.mark.slow
def test_the_training_is_the_one_without_measuring_to_the_last_bit_also_when_it_goes_on(tmp_path, monkeypatch):
    tell(monkeypatch, fast_halves)
    first = fit(dk.plan(measure=True, seed=4), tmp_path / "measured", epochs=1)
    chosen = dk.plan(precision="mixed_bfloat16", steps_per_execution=4, seed=4)
    assert first.plan == chosen
    verdicts = [(row.field, row.value, row.verdict) for row in first.measurements]
    assert verdicts[0][0] == "jit_compile"
    assert verdicts[1:] == [
        ("precision", "float32", "takes 150% longer"),
        ("precision", "mixed_bfloat16", "taken"),
        ("steps_per_execution", "4", "kept"),
        ("steps_per_execution", "1", "takes 500% longer, at the first look"),
    ]
    tell(monkeypatch, fast_floats)  # would choose otherwise
    monkeypatch.setattr(measure, "_Search", None)
    more = fit(dk.plan(measure=True, seed=4), tmp_path / "measured", epochs=2)
    assert (more.plan, more.resume, more.measurements) == (chosen, "exact", first.measurements)
    assert dict(more.plan.reasons)["precision"] == "as measured when the run began"
    plain = fit(chosen, tmp_path / "plain", epochs=2)
    assert_same_state(tmp_path / "measured", tmp_path / "plain")
    settings = [json.loads((tmp_path / name / "config.json").read_text()) for name in ("measured", "plain")]
    assert settings[0] == settings[1]
    page = more.report.read_text()
    assert "What was measured" in page
    assert "<td>mixed_bfloat16</td>" in page
    assert "What was measured" not in plain.report.read_text()


class Wrong(layers.Layer):
    """Computes something else in bfloat16."""

    def call(self, x):
        return x * (3.0 if self.compute_dtype == "bfloat16" else 1.0)

    def compute_output_shape(self, shape):
        return shape


class NoXla(layers.Layer):
    """Has no form for XLA."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_jit = False

    def call(self, x):
        return x

    def compute_output_shape(self, shape):
        return shape


def test_a_layer_that_computes_something_else_in_bfloat16_keeps_float32(monkeypatch, capsys):
    tell(monkeypatch, fast_halves)
    plan = dk.plan(measure=True, steps_per_execution=1)
    run = dk.fit(dk.Sequential([dk.MLP([8]), Wrong(), dk.Classifier(2)]), images(64), plan=plan, verbose=2)
    assert run.plan.precision == "float32"
    refused = next(row for row in run.measurements if row.value == "mixed_bfloat16")
    assert refused.verdict.startswith("refused: its loss is ")
    printed = capsys.readouterr().out
    assert "measuring precision, which can take a minute or two" in printed
    assert f"  {refused}\n" in printed


def test_a_layer_without_a_form_for_xla_rules_it_out(monkeypatch):
    monkeypatch.setattr("deepkit.execution.devices.repeats_bits", lambda: False)
    tell(monkeypatch, lambda plan: 1.0 if plan.jit_compile else 10.0)
    plan = dk.plan(measure=True, precision="float32", steps_per_execution=1, deterministic=False)
    run = dk.fit(dk.Sequential([NoXla(), dk.Classifier(2)]), images(64), plan=plan, verbose=0)
    assert run.measurements[1].verdict == "not measured: XLA does not support the layer no_xla"
    assert run.plan.jit_compile is False


def test_what_is_wrong_with_the_call_is_raised_at_once():
    with pytest.raises(ValueError, match="loss: nothing in the definition says what to train"):
        dk.fit(dk.Sequential([dk.MLP([3])]), images(64), plan=dk.plan(measure=True), verbose=0)


def test_a_compiled_model_has_nothing_to_measure():
    model = keras.Sequential([keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    run = dk.fit(model, images(64), plan=dk.plan(measure=True), verbose=0)
    assert (run.measurements, run.plan.measure) == ((), False)
    assert dict(run.plan.reasons)["measure"] == "nothing to measure: the model came compiled"


def test_an_optimiser_that_cannot_be_made_again_is_not_used_up():
    class Mine(keras.optimizers.SGD):
        def __init__(self, rate):  # and no get_config that knows of it
            super().__init__(rate)

    optimizer = Mine(0.1)
    run = dk.fit(
        dk.Sequential([dk.Classifier(2)]), images(64), plan=dk.plan(measure=True), optimizer=optimizer, verbose=0
    )
    assert run.model.optimizer is optimizer
    assert run.measurements == ()
    assert dict(run.plan.reasons)["measure"] == (
        "nothing was measured: Mine has no config to make a fresh one from, and trials would use it up"
    )


def test_the_batches_are_the_first_of_the_run_without_a_smaller_last_one():
    plan = dk.plan()
    x, y = images(40)
    seen = [batch for batch, _ in trial.first_batches(make_training_data((x, y), None, 16, plan)).as_numpy_iterator()]
    assert [len(batch) for batch in seen] == [16, 16]
    source = make_training_data((x, y), None, 16, plan).train.epochs().take(2)
    for batch, (ours, _) in zip(seen, source.as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(batch, ours)
    assert len(list(trial.first_batches(make_training_data((x, y), None, 64, plan)))) == 1


def test_a_trial_starts_anew_at_every_run_and_leaves_what_it_shares(monkeypatch):
    tell(monkeypatch, lambda plan: 6.0)
    plan, shared = dk.plan(seed=1, steps_per_execution=1), with_weights()
    source = make_training_data(images(48), None, 16, plan)
    compiled = {"optimizer": keras.optimizers.SGD(1.0), "loss": None, "metrics": None}
    before = shared.get_weights()
    one = trial.Trial(net(shared), source, plan, compiled, trial.first_batches(source))
    assert one.draws
    assert one.seconds(2) == pytest.approx(0.003)
    assert one.loss(2) == one.loss(2) != one.loss(2, draw=1)
    for x, y in zip(before, shared.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_the_loss_of_a_model_that_reports_several_or_none():
    assert trial.reported_loss({"loss": 1.0, "d_loss": 5.0}) == 1.0
    assert trial.reported_loss({"d_loss": 1.0, "g_loss": 2.0, "accuracy": 0.5}) == 3.0
    with pytest.raises(ValueError, match="the training step reports no loss to compare, only accuracy"):
        trial.reported_loss({"accuracy": 0.5})
